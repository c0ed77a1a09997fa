"""Edited copies of train reviews: small changes that leave the sentiment as it was, drawn from a seed.

Random deletion and random swap are those of Wei and Zou 2019, https://arxiv.org/abs/1901.11196, section 2. Here words
that turn a sentiment, such as not and but, stay where they are, and so does the end of what they turn.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np

from sentiment.pipeline.params import AugmentationParams
from sentiment.reviews.cues import turns_meaning
from sentiment.reviews.typos import mistype

# A word with what is attached to it, and any signs behind it that stand alone, as in "good , but".
_WORD = re.compile(r"\S+(?:\s++[^\w\s]++(?!\S))*")
_SIGN = re.compile(r"[^\w\s'\u2019-]|--")  # anything but letters, digits, apostrophes and hyphens ends a clause

_VERBS = ("are", "could", "did", "do", "does", "had", "has", "have", "is", "must", "need", "should", "was", "were")
_NOT = {f"{verb} not": f"{verb}n't" for verb in (*_VERBS, "would")} | {"will not": "won't", "cannot": "can't"}
_WILL = {f"{person} will": f"{person}'ll" for person in ("i", "you", "he", "she", "it", "we", "they")}
_HAVE = {f"{person} have": f"{person}'ve" for person in ("i", "you", "we", "they")}
_ARE = {"i am": "i'm"} | {f"{person} are": f"{person}'re" for person in ("you", "we", "they")}
_IS = {f"{word} is": f"{word}'s" for word in ("he", "here", "it", "she", "that", "there", "what", "who")}
_OTHER_FORM = {long: short for forms in (_NOT, _WILL, _HAVE, _ARE, _IS) for long, short in forms.items()}
_OTHER_FORM |= {short: long for long, short in _OTHER_FORM.items()}


def _any(forms: Iterable[str]) -> str:
    """Write a pattern that matches each of the forms, with either apostrophe."""
    return "(?:" + "|".join(forms).replace("'", "['\u2019]") + r")(?![\w'\u2019-])"


_FORMS = (  # that have another one where they stand
    _any(_NOT.values()) + r"(?! (?:i|you|he|she|it|we|they|this|that|there|these|those)\b)",  # not "isn't it"
    _any(_NOT) + r"(?! (?:only|just|merely|simply)\b)",  # "not only" denies nothing
    _any([*_WILL.values(), *_HAVE.values(), *_ARE.values()]),
    _any(_IS.values()) + r"(?= (?:a|an|the|very|too)\b)",  # elsewhere 's may be has
    _any([*_ARE, *_IS]) + r"(?= (?:a|an|the|very|too)\b)",  # not "as good as it is"
    _any(_WILL) + r"(?= (?:be|never|always)\b)",
)
_CONTRACTIBLE = re.compile(r"(?<![\w'\u2019-])(?:" + "|".join(_FORMS) + ")", re.IGNORECASE)

_turns = lru_cache(maxsize=2**16)(turns_meaning)  # most words come again and again


def _other_form(found: str, apostrophe: str) -> str:
    """Spell a contraction out, or contract; capitals stay where the first letter or all letters have them."""
    other = _OTHER_FORM[found.lower().replace("\u2019", "'")].replace("'", apostrophe)
    return other.upper() if found.isupper() else found[0] + other[1:]


def _change_contractions(text: str, probability: float, rng: np.random.Generator) -> str:
    """Give each contraction, and each pair of words that has one, its other form at random."""
    apostrophe = "\u2019" if "\u2019" in text and "'" not in text else "'"
    return _CONTRACTIBLE.sub(
        lambda match: _other_form(match[0], apostrophe) if rng.random() < probability else match[0], text
    )


def _swap(words: list[str], probability: float, rng: np.random.Generator) -> list[str]:
    """Let words change positions with the next one at random; a word moves by one position at most.

    Neither of the two may turn a sentiment or carry a sign such as a comma, so every word stays in its clause.
    """
    swapped = words.copy()
    free = [not (_turns(word) or _SIGN.search(word)) for word in words]
    draws = rng.random(len(words)) < probability
    position = 0
    while position + 1 < len(words):
        if draws[position] and free[position] and free[position + 1]:
            swapped[position : position + 2] = words[position + 1], words[position]
            position += 1
        position += 1
    return swapped


def _kept(words: list[str], probability: float, rng: np.random.Generator) -> list[int]:
    """Choose the words that stay: one at least, those that turn a sentiment, and the one that ends their clause.

    Without the last, "not good. Great" could become "not Great".

    Returns:
        Their positions, ascending.
    """
    draws = rng.random(len(words))
    kept = []
    turned = False  # since the last sign, a word has turned the sentiment
    for position, word in enumerate(words):
        turns, ends = _turns(word), bool(_SIGN.search(word))
        if turns or (turned and ends) or draws[position] >= probability:
            kept.append(position)
        turned = (turned or turns) and not ends
    return kept or [int(np.argmax(draws))]


def edit(text: str, augmentation: AugmentationParams, rng: np.random.Generator) -> str:
    """Edit a text at random: contractions first, then the order of words, which of them stay, and typing errors.

    Punctuation stays attached to its word, and white space to its position.

    Args:
        text: any text.
        augmentation: the probabilities; where all are 0, the text comes back as it is.
        rng: draws.

    Returns:
        The edited text; empty only if the text has no words.
    """
    text = _change_contractions(text, augmentation.contractions, rng)
    spans = [match.span() for match in _WORD.finditer(text)]
    if not spans:
        return text
    words = _swap([text[start:end] for start, end in spans], augmentation.word_swap, rng)
    ends = [start for start, _ in spans[1:]] + [spans[-1][1]]
    gaps = [text[end:start] for (_, end), start in zip(spans, ends, strict=True)]  # white space behind each word
    kept = _kept(words, augmentation.word_dropout, rng)
    body = "".join(words[position] + gaps[position] for position in kept).rstrip()
    edited = text[: spans[0][0]] + body + text[spans[-1][1] :]
    return mistype(edited, augmentation.typos, rng.random) if augmentation.typos else edited


def augment(texts: Sequence[str], augmentation: AugmentationParams, copy: int, seed: int) -> list[str]:
    """Edit every text once.

    An edit is drawn from the seed, the number of the copy and the text itself, so it stays the same whatever other
    texts there are and in whatever order they stand.

    Args:
        texts: train reviews.
        augmentation: the probabilities.
        copy: the number of the copy; each is edited in another way.
        seed: not negative.

    Returns:
        The edited texts, in the order of the texts.
    """
    return [edit(text, augmentation, _generator(text, copy, seed)) for text in texts]


def _generator(text: str, copy: int, seed: int) -> np.random.Generator:
    """Make the random numbers of one text's copy."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return np.random.default_rng(np.random.SeedSequence([seed, int.from_bytes(digest)], spawn_key=(copy,)))

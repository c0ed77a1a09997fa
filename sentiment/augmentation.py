"""Edit train reviews so that they read otherwise and mean the same: words left out, swapped, contracted or spelled out.

Random deletion and random swap are those of Wei and Zou 2019, https://arxiv.org/abs/1901.11196, section 2. Words that
turn what stands beside them, such as not or but, are neither left out nor moved, and nothing is moved across them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sentiment.cues import turns_meaning

_WORD = re.compile(r"\S+")
_SPELLED_OUT = {  # contraction -> spelled out; only those that mean one thing
    "isn't": "is not", "aren't": "are not", "wasn't": "was not", "weren't": "were not", "don't": "do not",
    "doesn't": "does not", "didn't": "did not", "hasn't": "has not", "haven't": "have not", "hadn't": "had not",
    "won't": "will not", "wouldn't": "would not", "can't": "cannot", "couldn't": "could not",
    "shouldn't": "should not", "mustn't": "must not", "i'm": "i am", "you're": "you are", "we're": "we are",
    "they're": "they are", "i've": "i have", "you've": "you have", "we've": "we have", "they've": "they have",
    "i'll": "i will", "you'll": "you will", "we'll": "we will", "they'll": "they will", "it'll": "it will",
}  # fmt: skip
_CONTRACTED = {spelled: short for short, spelled in _SPELLED_OUT.items()}
_EITHER = re.compile(
    r"\b(?:"
    + "|".join(sorted([*_SPELLED_OUT, *_CONTRACTED], key=len, reverse=True)).replace("'", "['\u2019]")
    + r")\b(?! (?:only|just|merely|simply)\b)",  # "not only" denies nothing
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Augmentation:
    """The part `tokenize.augmentation` of params.yaml; params.schema.json says what each value means."""

    copies: int
    word_dropout: float
    word_swap: float
    contractions: float


def augment(texts: Sequence[str], augmentation: Augmentation, seed: int) -> Iterator[list[str]]:
    """Edit every text, once for each copy.

    Args:
        texts: the train reviews.
        augmentation: how often each edit is made.
        seed: the seed of params.yaml; with the copy's number and the text it decides the edits, so that other texts
            do not.

    Yields:
        For each copy the edited texts, in the order of `texts`.
    """
    for copy in range(augmentation.copies):
        yield [edit(text, augmentation, _generator(text, copy, seed)) for text in texts]


def _generator(text: str, copy: int, seed: int) -> np.random.Generator:
    """Make the random numbers of one text's copy."""
    words = np.frombuffer(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest(), dtype=np.uint32)
    return np.random.default_rng([seed, copy, *words.tolist()])


def edit(text: str, augmentation: Augmentation, rng: np.random.Generator) -> str:
    """Edit one text; white space stays where nothing is left out.

    Args:
        text: the review.
        augmentation: how often each edit is made.
        rng: decides.
    """
    text = _EITHER.sub(lambda found: _other_form(found[0], rng.random() < augmentation.contractions), text)
    words = _WORD.findall(text)
    gaps = _WORD.split(text)  # what stands before, between and behind the words
    fixed = [turns_meaning(word) for word in words]
    place = 0
    while place + 1 < len(words):
        if not fixed[place] and not fixed[place + 1] and rng.random() < augmentation.word_swap:
            words[place], words[place + 1] = words[place + 1], words[place]
            place += 1  # the two are done: a word moves by one place at most
        place += 1
    kept = [fixed[n] or rng.random() >= augmentation.word_dropout for n in range(len(words))]
    if words and not any(kept):
        kept[int(rng.integers(len(words)))] = True
    parts = [word + gap for word, gap, keep in zip(words, gaps[1:], kept, strict=True) if keep]
    return gaps[0] + "".join(parts)


def _other_form(found: str, change: bool) -> str:
    """Give the other form of a contraction or spelled-out pair, with the capital it began with."""
    key = found.lower().replace("\u2019", "'")
    if not change:
        return found
    other = _SPELLED_OUT.get(key) or _CONTRACTED[key]
    return other[0].upper() + other[1:] if found[0].isupper() else other

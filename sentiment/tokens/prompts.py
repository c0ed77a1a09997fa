"""Prompts and label words: what stands around a review, and with which tokens a language model may answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sentiment.checkpoints.manifest import Manifest
from sentiment.pipeline.errors import InputError
from sentiment.pipeline.labels import LABELS
from sentiment.tokens.tokenizer import plain_backend

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


MASK = "{mask}"


def read_prompt(tokenizer: PreTrainedTokenizerFast, prompt: str) -> tuple[str, str]:
    """Split a prompt at the review. Where a masked model finds no {mask} in it, the mask stands at the end.

    Raises:
        InputError: the prompt does not suit the tokenizer.
    """
    key = "params.yaml: tokenize.prompt"
    if prompt.count("{review}") != 1:
        raise InputError(f"{key}: found {prompt!r}, must hold {{review}} once")
    masks = prompt.count(MASK)
    if tokenizer.mask_token_id is None and masks:
        raise InputError(
            f"{key}: found {prompt!r} with {MASK}, but this tokenizer has no mask token; end where the word follows"
        )
    if masks > 1:
        raise InputError(f"{key}: found {prompt!r}, must hold {MASK} at most once, where the label word goes")
    before, after = prompt.split("{review}")
    if tokenizer.mask_token_id is not None and not masks:
        after = f"{after.rstrip()} {MASK}"
    return before, after


def surroundings(tokenizer: PreTrainedTokenizerFast, manifest: Manifest) -> tuple[list[int], list[int]]:
    """Return the token ids that stand before and after every text: special tokens, and the prompt for label words."""
    backend = plain_backend(tokenizer)
    special = backend.encode("a")
    text = special.special_tokens_mask.index(0)
    end = len(special.ids) - special.special_tokens_mask[::-1].index(0)
    left, right = special.ids[:text], special.ids[end:]
    if manifest.has_head:
        return left, right
    before, after = read_prompt(tokenizer, manifest.prompt)
    *parts, last = after.split(MASK)
    middle = [
        token for part in parts for token in (*continuation(tokenizer, part.rstrip(), "a"), tokenizer.mask_token_id)
    ]
    start = backend.encode(before, add_special_tokens=False).ids
    return [*left, *start], [*middle, *continuation(tokenizer, last, "a"), *right]


def continuation(tokenizer: PreTrainedTokenizerFast, text: str, behind: str) -> list[int]:
    """Encode a text as it reads behind another one.

    SentencePiece puts a blank before whatever it is given first; behind a letter it has no reason to.

    Args:
        tokenizer: the tokenizer.
        text: the text.
        behind: what ends as the other text does: a letter, or a letter and a blank.

    Returns:
        Its token ids; those it has alone, where the two melt into one token.
    """
    backend = plain_backend(tokenizer)
    alone = backend.encode(behind, add_special_tokens=False).ids
    whole: list[int] = backend.encode(behind + text, add_special_tokens=False).ids
    if whole[: len(alone)] == alone:
        return whole[len(alone) :]
    return list(backend.encode(text, add_special_tokens=False).ids)


def label_word_ids(
    tokenizer: PreTrainedTokenizerFast, label_words: Mapping[str, list[str]], prompt: str
) -> tuple[tuple[int, ...], ...]:
    """Find the token of every label word, with the leading blank that it has after the prompt.

    A causal prompt that ends in a blank has brought the blank already: then the word stands without one.

    Raises:
        InputError: a word is not one token, or stands for both labels.
    """
    blank = "" if tokenizer.mask_token_id is None and prompt[-1:].isspace() else " "
    groups = tuple(
        tuple(_single_token(tokenizer, blank + word, label) for word in label_words[label]) for label in LABELS
    )
    shared = set(groups[0]) & set(groups[1])
    if shared:
        tokens = tokenizer.convert_ids_to_tokens(sorted(shared))
        raise InputError(f"params.yaml: tokenize.label_words: {', '.join(tokens)} stands for both labels")
    return groups


def _single_token(tokenizer: PreTrainedTokenizerFast, word: str, label: str) -> int:
    ids = continuation(tokenizer, word, "a" if word[0] == " " else "a ")
    if len(ids) != 1 or ids[0] == tokenizer.unk_token_id:
        raise InputError(
            f"params.yaml: tokenize.label_words.{label}: {word!r} is {len(ids)} tokens for this tokenizer "
            f"({' '.join(tokenizer.convert_ids_to_tokens(ids))}); choose a word that is one token"
        )
    token: int = ids[0]
    return token

"""Prompts and label words: what stands around a review, and with which tokens a language model may answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sentiment.checkpoints.manifest import Manifest
from sentiment.pipeline.errors import InputError
from sentiment.pipeline.labels import LABELS
from sentiment.tokens.encoding import MASK, Encoded, Prompt, continuation, encode

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def prompt_of(tokenizer: PreTrainedTokenizerFast, manifest: Manifest) -> Prompt | None:
    """Return the prompt that the texts are put into: none for a head."""
    return None if manifest.has_head else read_prompt(tokenizer, manifest.prompt)


def encode_all(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], manifest: Manifest) -> Encoded:
    """Encode texts as a model reads them, in its prompt where it has one, all at once; see `encode`."""
    chunks = [*encode(tokenizer, texts, manifest, prompt_of(tokenizer, manifest))]
    return Encoded([row for part in chunks for row in part.ids], [cut for part in chunks for cut in part.truncated])


def read_prompt(tokenizer: PreTrainedTokenizerFast, prompt: str) -> Prompt:
    """Part a prompt at the review. Where a masked model finds no {mask} in it, the mask stands at the end.

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
    return Prompt(before, after)


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
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    ids = continuation(tokenizer, word, "a" if word[0] == " " else "a ")
    if len(ids) != 1 or ids[0] == tokenizer.unk_token_id:
        raise InputError(
            f"params.yaml: tokenize.label_words.{label}: {word!r} is {len(ids)} tokens for this tokenizer "
            f"({' '.join(tokenizer.convert_ids_to_tokens(ids))}); choose a word that is one token"
        )
    token: int = ids[0]
    return token

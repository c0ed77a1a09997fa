"""Turn texts into token ids, the same way wherever a text is read: for training, for scoring, for prediction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sentiment.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

CHUNK = 4096  # texts handed to the Rust tokenizer at once: enough to keep its threads busy, little memory


MASK = "{mask}"


@dataclass(frozen=True)
class Prompt:
    """What stands around a review.

    Attributes:
        before: the text before it.
        after: the text after it; `{mask}` in it becomes the mask token.
    """

    before: str
    after: str


@dataclass(frozen=True)
class Encoded:
    """Texts as token ids.

    Attributes:
        ids: one list of ids per text, at most max_length long, without padding.
        truncated: for each text, whether something was cut off.
    """

    ids: list[list[int]]
    truncated: list[bool]


def check_max_length(max_length: int, positions: int, folder: object) -> None:
    """Refuse a length that the backbone cannot read.

    Raises:
        InputError: names the limit.
    """
    if max_length > positions:
        raise InputError(
            f"params.yaml: tokenize.max_length: found {max_length}, must be at most {positions}, "
            f"the positions of {folder}"
        )


def encode(
    tokenizer: PreTrainedTokenizerFast,
    texts: Sequence[str],
    max_length: int,
    truncation_side: str,
    prompt: Prompt | None = None,
) -> Iterator[Encoded]:
    """Encode texts, chunk by chunk.

    What looks like a special token inside a text is read as plain text: no review can end or pad itself.

    Args:
        tokenizer: from `sentiment.backbones.load_tokenizer`.
        texts: the texts.
        max_length: tokens kept of each, special tokens included.
        truncation_side: `right` cuts the end, `left` the beginning; of the review, never of the prompt.
        prompt: what stands around each text; None for the text alone.

    Yields:
        The encoded texts in their order, a few thousand at a time.

    Raises:
        InputError: the prompt and the special tokens alone are longer than max_length.
    """
    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    backend.encode_special_tokens = True
    left, right = surroundings(tokenizer, prompt)
    room = max_length - len(left) - len(right)
    if room < 1:
        raise InputError(
            f"params.yaml: tokenize.max_length: found {max_length}, but the prompt and special tokens alone take "
            f"{len(left) + len(right)}; allow more tokens, or shorten tokenize.prompt"
        )
    backend.enable_truncation(room, direction=truncation_side)
    for start in range(0, len(texts), CHUNK):
        encodings = backend.encode_batch_fast(list(texts[start : start + CHUNK]), add_special_tokens=False)
        yield Encoded([[*left, *e.ids, *right] for e in encodings], [bool(e.overflowing) for e in encodings])


def surroundings(tokenizer: PreTrainedTokenizerFast, prompt: Prompt | None) -> tuple[list[int], list[int]]:
    """Give the token ids that stand before and after every text: special tokens, and the prompt."""
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    special = backend.encode("a")
    text = special.special_tokens_mask.index(0)
    end = len(special.ids) - special.special_tokens_mask[::-1].index(0)
    left, right = special.ids[:text], special.ids[end:]
    if prompt is None:
        return left, right

    *parts, last = prompt.after.split(MASK)
    middle = [token for part in parts for token in (*continuation(tokenizer, part.rstrip()), tokenizer.mask_token_id)]
    before = backend.encode(prompt.before, add_special_tokens=False).ids
    return [*left, *before], [*middle, *continuation(tokenizer, last), *right]


def continuation(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    """Encode a text as it reads behind another one.

    SentencePiece puts a blank before whatever it is given first; behind a letter it has no reason to.
    """
    backend = tokenizer.backend_tokenizer
    alone = backend.encode("a", add_special_tokens=False).ids
    whole: list[int] = backend.encode("a" + text, add_special_tokens=False).ids
    if whole[: len(alone)] == alone:
        return whole[len(alone) :]
    return list(backend.encode(text, add_special_tokens=False).ids)

"""Turn texts into token ids, the same way wherever a text is read: for training, for scoring, for prediction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sentiment.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

CHUNK = 4096  # texts handed to the Rust tokenizer at once: enough to keep its threads busy, little memory


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
    tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], max_length: int, truncation_side: str
) -> Iterator[Encoded]:
    """Encode texts, chunk by chunk.

    What looks like a special token inside a text is read as plain text: no review can end or pad itself.

    Args:
        tokenizer: from `sentiment.backbones.load_tokenizer`.
        texts: the texts.
        max_length: tokens kept of each, special tokens included.
        truncation_side: `right` cuts the end, `left` the beginning.

    Yields:
        The encoded texts in their order, a few thousand at a time.
    """
    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    backend.enable_truncation(max_length, direction=truncation_side)
    backend.encode_special_tokens = True
    for start in range(0, len(texts), CHUNK):
        encodings = backend.encode_batch_fast(list(texts[start : start + CHUNK]))
        yield Encoded([e.ids for e in encodings], [bool(e.overflowing) for e in encodings])

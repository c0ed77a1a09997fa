"""Turn texts into token ids, the same way wherever a text is read: for training, for scoring, for prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sentiment.checkpoints.manifest import Manifest
from sentiment.pipeline.errors import InputError
from sentiment.reviews.normalization import normalize
from sentiment.tokens.prompts import surroundings
from sentiment.tokens.tokenizer import plain_backend

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

CHUNK = 4096  # texts handed to the Rust tokenizer at once: enough to keep its threads busy, little memory
HEAD_SHARE = 4  # head+tail keeps one part of this many from the beginning; 128 of 512 in the paper

Ids = Sequence[Sequence[int]]  # token ids of each text


@dataclass(frozen=True)
class Encoded:
    """Texts as token ids.

    Attributes:
        ids: one list of ids per text, at most max_length long, without padding.
        truncated: for each text, whether something was cut off.
    """

    ids: list[list[int]]
    truncated: list[bool]


def check_max_length(
    max_length: int, positions: int, folder: object, where: str = "params.yaml: tokenize.max_length"
) -> None:
    """Raise if the backbone cannot read so many tokens.

    Args:
        max_length: tokens of a text.
        positions: what the backbone can read.
        folder: the model, for the message.
        where: the place of max_length, for the message.

    Raises:
        InputError: names the limit.
    """
    if max_length > positions:
        raise InputError(f"{where}: found {max_length}, must be at most {positions}, the positions of {folder}")


def encode(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], manifest: Manifest) -> Encoded:
    """Normalize and encode texts as a model reads them, in its prompt where it has one.

    What looks like a special token inside a text is read as plain text: no review can end or pad itself.

    Args:
        tokenizer: from `sentiment.tokens.tokenizer.load_tokenizer`.
        texts: the texts.
        manifest: how texts are read. max_length counts special tokens and prompt too; `head+tail` keeps a quarter of
            what is kept from the beginning (Sun et al. 2019, https://arxiv.org/abs/1905.05583, section 5.3.1); the
            review is cut, never the prompt.

    Raises:
        InputError: the prompt does not suit the tokenizer, or it and the special tokens alone are longer than
            max_length.
    """
    backend = plain_backend(tokenizer)
    backend.encode_special_tokens = True
    left, right = surroundings(tokenizer, manifest)
    max_length, side = manifest.max_length, manifest.truncation_side
    room = max_length - len(left) - len(right)
    if room < 1:
        raise InputError(
            f"params.yaml: tokenize.max_length: found {max_length}, but the prompt and special tokens alone take "
            f"{len(left) + len(right)}; allow more tokens, or shorten tokenize.prompt"
        )
    if side != "head+tail":
        backend.enable_truncation(room, direction=side)
    encoded = Encoded([], [])
    for start in range(0, len(texts), CHUNK):
        chunk = [normalize(text, manifest.text) for text in texts[start : start + CHUNK]]
        for found in backend.encode_batch_fast(chunk, add_special_tokens=False):
            row = found.ids
            # a row that is not full has lost nothing, and reading what it lost is slow
            encoded.truncated.append(len(row) > room or (len(row) == room and bool(found.overflowing)))
            encoded.ids.append([*left, *_without_middle(row, room), *right])
    return encoded


def _without_middle(ids: list[int], room: int) -> list[int]:
    """Keep the beginning and the end of a row that is longer than the room for it."""
    if len(ids) <= room:
        return ids
    head = room // HEAD_SHARE
    return ids[:head] + ids[len(ids) - (room - head) :]

"""Turn texts into token ids, the same way wherever a text is read: for training, for scoring, for prediction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sentiment.checkpoints.manifest import Manifest
from sentiment.pipeline.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

CHUNK = 4096  # texts handed to the Rust tokenizer at once: enough to keep its threads busy, little memory
HEAD_SHARE = 4  # head+tail keeps one part of this many from the beginning; 128 of 512 in the paper

MASK = "{mask}"

Ids = Sequence[Sequence[int]]  # token ids of each text


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
    """Raise if the backbone cannot read so many tokens.

    Raises:
        InputError: names the limit.
    """
    if max_length > positions:
        raise InputError(
            f"params.yaml: tokenize.max_length: found {max_length}, must be at most {positions}, "
            f"the positions of {folder}"
        )


def encode(
    tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], manifest: Manifest, prompt: Prompt | None
) -> Iterator[Encoded]:
    """Encode texts, chunk by chunk.

    What looks like a special token inside a text is read as plain text: no review can end or pad itself.

    Args:
        tokenizer: from `sentiment.backbones.loading.load_tokenizer`.
        texts: the texts.
        manifest: how texts are read. max_length counts special tokens and prompt too; `head+tail` keeps a quarter of
            what is kept from the beginning (Sun et al. 2019, https://arxiv.org/abs/1905.05583, section 5.3.1); the
            review is cut, never the prompt.
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
    max_length, side = manifest.max_length, manifest.truncation_side
    room = max_length - len(left) - len(right)
    if room < 1:
        raise InputError(
            f"params.yaml: tokenize.max_length: found {max_length}, but the prompt and special tokens alone take "
            f"{len(left) + len(right)}; allow more tokens, or shorten tokenize.prompt"
        )
    if side == "head+tail":
        backend.no_truncation()
    else:
        backend.enable_truncation(room, direction=side)
    for start in range(0, len(texts), CHUNK):
        chunk = [text.lower() if manifest.lowercase else text for text in texts[start : start + CHUNK]]
        encodings = backend.encode_batch_fast(chunk, add_special_tokens=False)
        rows = [e.ids for e in encodings]
        # a row that is not full has lost nothing, and asking for what it lost is slow
        cut = [
            len(row) > room or (len(row) == room and bool(e.overflowing))
            for e, row in zip(encodings, rows, strict=True)
        ]
        yield Encoded([[*left, *_without_middle(row, room), *right] for row in rows], cut)


def _without_middle(ids: list[int], room: int) -> list[int]:
    """Keep the beginning and the end of a row that is longer than the room for it."""
    if len(ids) <= room:
        return ids
    head = room // HEAD_SHARE
    return ids[:head] + ids[len(ids) - (room - head) :]


def surroundings(tokenizer: PreTrainedTokenizerFast, prompt: Prompt | None) -> tuple[list[int], list[int]]:
    """Return the token ids that stand before and after every text: special tokens, and the prompt."""
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    special = backend.encode("a")
    text = special.special_tokens_mask.index(0)
    end = len(special.ids) - special.special_tokens_mask[::-1].index(0)
    left, right = special.ids[:text], special.ids[end:]
    if prompt is None:
        return left, right

    *parts, last = prompt.after.split(MASK)
    middle = [
        token for part in parts for token in (*continuation(tokenizer, part.rstrip(), "a"), tokenizer.mask_token_id)
    ]
    before = backend.encode(prompt.before, add_special_tokens=False).ids
    return [*left, *before], [*middle, *continuation(tokenizer, last, "a"), *right]


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
    backend = tokenizer.backend_tokenizer
    alone = backend.encode(behind, add_special_tokens=False).ids
    whole: list[int] = backend.encode(behind + text, add_special_tokens=False).ids
    if whole[: len(alone)] == alone:
        return whole[len(alone) :]
    return list(backend.encode(text, add_special_tokens=False).ids)

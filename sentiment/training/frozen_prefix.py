"""What a backbone's frozen part makes of the reviews: computed once, kept in a file, read back in every epoch.

Frozen blocks without dropout give the same output for a review each time. So with `train.frozen_blocks` the first
block that learns reads its input from the file, and where the head alone learns it reads the one state that it looks
at; losses and gradients are the same. The idea is that of feature-based training, Peters et al. 2019,
https://arxiv.org/abs/1903.05987, with the features taken wherever learning begins.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from datasets import concatenate_datasets

from sentiment.backbones import families, layers
from sentiment.engine.packed import replaced
from sentiment.engine.scoring import batches_by_length
from sentiment.pipeline.progress import say, timed

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel

    from sentiment.engine.families import Forwards
    from sentiment.engine.heads import Formulation
    from sentiment.engine.packing import Packer

PREFIX_BATCH_SIZE = 32  # reviews; the file's numbers depend on it in their last bits, so it is no choice
START = "start_in_prefix"  # the column that says where the states of a review begin
_BYTES = 4  # of a number in fp32


@dataclass(frozen=True)
class Prefix:
    """The states of all reviews, in a file.

    Attributes:
        states: fp32, one row for each token, or one for each review where nothing of the backbone learns; [., width].
        of_tokens: which of the two.
    """

    states: np.ndarray
    of_tokens: bool

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """Read the states of a batch.

        Args:
            rows: dataset rows with input_ids and START.

        Returns:
            What a packed batch holds beside its ids: `resumed` [1, tokens, width], or `features` [reviews, width].
        """
        spans = [(row[START], len(row["input_ids"]) if self.of_tokens else 1) for row in rows]
        states = torch.from_numpy(np.concatenate([self.states[start : start + count] for start, count in spans]))
        return {"resumed": states[None]} if self.of_tokens else {"features": states}


def first_to_learn(model: PreTrainedModel) -> int | None:
    """Return the number of the block where learning begins.

    The last one where only what follows the blocks learns; None where nothing of the backbone does.
    """
    prefix = f"{model.base_model_prefix}."
    learning = [name for name, p in model.named_parameters() if p.requires_grad and name.startswith(prefix)]
    if not learning:
        return None
    if any(families.is_embedding(name) for name in learning):
        return 0
    last = layers.count_blocks(model) - 1
    return min([last, *(number for name in learning if (number := layers.block_number(name)) >= 0)])


@contextmanager
def computed_once(
    model: PreTrainedModel, formulation: Formulation, packer: Packer, splits: Sequence[Dataset], file: Path
) -> Iterator[tuple[Prefix | None, list[Dataset]]]:
    """Compute the states of all reviews, and let the model read them as long as the context lasts.

    Args:
        model: one that is in the context `packed`; meanwhile its frozen blocks are passed over for batches that hold
            states, and computed for others.
        formulation: how its logits are computed.
        packer: makes its batches.
        splits: rows with input_ids and length.
        file: where to; as large as the states.

    Yields:
        The states and the splits with the column START; None and the splits as they are where no block is frozen,
        where dropout makes each output another, or where the file would take more than half of the free space.
    """
    begin = first_to_learn(model)
    lengths = np.concatenate([np.asarray(split["length"]) for split in splits])
    sizes = np.ones_like(lengths) if begin is None else lengths
    shape = (int(sizes.sum()), model.config.hidden_size)
    if begin == 0 or families.has_dropout(model.config) or not _fits(math.prod(shape) * _BYTES, file):
        yield None, list(splits)
        return
    states = np.memmap(file, np.float32, "w+", shape=shape)
    starts = np.cumsum(sizes) - sizes
    what = f"the output of the frozen part for {len(lengths)} reviews, {states.nbytes / 1e9:.2f} GB, once"
    rows = concatenate_datasets([split.select_columns(["input_ids"]) for split in splits])
    with timed(what), _output(model, formulation, packer, begin) as output:
        for chosen in batches_by_length(lengths.tolist(), PREFIX_BATCH_SIZE):
            found = torch.split(output(rows[chosen]["input_ids"]), sizes[chosen].tolist())
            for i, part in zip(chosen, found, strict=True):
                states[starts[i] : starts[i] + sizes[i]] = part.numpy()
    bounds = np.cumsum([len(split) for split in splits])[:-1]
    parts = zip(splits, np.split(starts, bounds), strict=True)
    with replaced([] if begin is None else _resuming_forwards(model, begin)):
        yield Prefix(states, begin is not None), [split.add_column(START, part) for split, part in parts]


def _fits(size: int, file: Path) -> bool:
    """Return whether a file of that many bytes takes at most half of the free space; report it otherwise."""
    file.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(file.parent).free
    if size > free / 2:
        say(f"the frozen part is computed in every epoch: its output would take more than half of {free / 1e9:.1f} GB")
    return size <= free / 2


@contextmanager
def _output(
    model: PreTrainedModel, formulation: Formulation, packer: Packer, begin: int | None
) -> Iterator[Callable[[list[list[int]]], torch.Tensor]]:
    """Let the blocks that learn be passed over, as long as the context lasts.

    Yields:
        What computes, from token ids, the input of the first of them [tokens, width]; or where there are none, the
        output that is read [reviews, width].
    """
    kept: list[torch.Tensor] = []

    def pass_over(hidden: torch.Tensor, *others: Any, **handed_down: Any) -> torch.Tensor:
        kept[:] = [hidden[0]]
        return hidden

    def output(ids: list[list[int]]) -> torch.Tensor:
        read = formulation.states(model, packer(ids))
        return kept[0] if learning else read

    learning = [] if begin is None else list(layers.blocks_of(model))[begin:]
    model.train(mode=False)
    with replaced([(block, pass_over) for block in learning]), torch.inference_mode():
        yield output


def _resuming_forwards(model: PreTrainedModel, begin: int) -> Forwards:
    """Let a block take its input from the batch's `resumed`, and pass over those below it; without it all computes."""
    blocks = list(layers.blocks_of(model))
    below: Forwards = [(block, partial(_unless_resumed, block.forward)) for block in blocks[:begin]]
    return [*below, (blocks[begin], partial(_resumed, blocks[begin].forward))]


def _unless_resumed(
    forward: Callable[..., torch.Tensor], hidden: torch.Tensor, *others: Any, **handed_down: Any
) -> torch.Tensor:
    return hidden if "resumed" in handed_down else forward(hidden, *others, **handed_down)


def _resumed(
    forward: Callable[..., torch.Tensor], hidden: torch.Tensor, *others: Any, **handed_down: Any
) -> torch.Tensor:
    return forward(handed_down.pop("resumed", hidden), *others, **handed_down)

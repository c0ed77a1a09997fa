"""The layers of a backbone, by name and number: blocks, embeddings, what is frozen."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sentiment.backbones.families import is_embedding
from sentiment.pipeline.errors import InputError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


def freeze(model: PreTrainedModel, blocks: int | str) -> None:
    """Keep the lower part of a backbone as it is: its embeddings and its lowest blocks take no gradient.

    Args:
        model: the model, changed in place.
        blocks: how many blocks; 0 freezes nothing, `all` the whole backbone, so that the head alone learns.

    Raises:
        InputError: the model has fewer blocks, or nothing would be left to learn.
    """
    if blocks == 0:
        return
    names = [name for name, _ in model.named_parameters() if name.startswith(f"{model.base_model_prefix}.")]
    count = count_blocks(model)
    if isinstance(blocks, int) and blocks > count:
        raise InputError(
            f"params.yaml: train.frozen_blocks: found {blocks}, must be at most {count}, the model's blocks"
        )
    for name in names:
        if blocks == "all" or is_embedding(name) or 0 <= block_number(name) < int(blocks):
            model.get_parameter(name).requires_grad = False
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise InputError("params.yaml: train.frozen_blocks: all leaves nothing to learn; freeze fewer blocks")


def blocks_of(model: PreTrainedModel) -> torch.nn.ModuleList:
    """Return the blocks of the backbone, from the lowest on."""
    import torch

    return next(module for module in model.base_model.modules() if isinstance(module, torch.nn.ModuleList))


def count_blocks(model: PreTrainedModel) -> int:
    """Count the blocks of the backbone."""
    return 1 + max(block_number(name) for name, _ in model.named_parameters())


def linear_layers(model: PreTrainedModel) -> list[str]:
    """Name the linear layers inside the backbone's blocks, from the lowest on."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    kinds = (nn.Linear, Conv1D)
    return [n for n, module in model.named_modules() if isinstance(module, kinds) and block_number(f"{n}.") >= 0]


def parameters_outside(model: PreTrainedModel) -> list[str]:
    """Name the parameters outside the backbone: those of the head, or none where the head is tied to the embeddings."""
    return [name for name, _ in model.named_parameters() if not name.startswith(f"{model.base_model_prefix}.")]


def height(model: PreTrainedModel, name: str) -> int:
    """Return how far below the top a parameter stands: 0 outside the blocks and above them, 1 in the highest block.

    The embeddings stand below the lowest block.
    """
    blocks = count_blocks(model)
    if is_embedding(name):
        return blocks + 1
    number = block_number(name)
    return blocks - number if number >= 0 else 0


def block_number(name: str) -> int:
    """Return the number of the block that a parameter belongs to; -1 outside the blocks."""
    found = re.search(r"\.(\d+)\.", name)
    return int(found.group(1)) if found else -1

"""Write a model as a Hugging Face folder with one safetensors file per block, so that equal blocks are equal files.

`AutoModelFor...from_pretrained` reads such a folder as it reads any sharded checkpoint: an index names the file of
each tensor (https://huggingface.co/docs/transformers/big_models#sharded-checkpoints). The file names come from the
tensors' names alone, never from sizes, and DVC stores a file once however many runs share it.
"""

from __future__ import annotations

import filecmp
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sentiment.backbones.families import is_embedding
from sentiment.backbones.layers import block_number
from sentiment.checkpoints.tensors import INDEX
from sentiment.pipeline.artifacts import read_json, write_json

if TYPE_CHECKING:
    import torch

METADATA = {"format": "pt"}  # what transformers asks for; a second key would be written in random order


_BLOCK_FILE = re.compile(r"model-(?!\d+-of-)(.+)\.safetensors")  # transformers' own shards are no blocks


_NUMBERED_BLOCK = re.compile(r"(.*?\.\d+)\.")


def block_of(tensor: str, prefix: str) -> str:
    """Name the block that a tensor belongs to.

    Args:
        tensor: a tensor's name, such as `transformer.h.3.mlp.c_fc.weight`.
        prefix: the backbone's attribute in the model, such as `transformer`.

    Returns:
        `transformer.h.3` for that tensor; outside the numbered blocks the first part of the name below the prefix,
        such as `transformer.wte` or `score`.
    """
    numbered = _NUMBERED_BLOCK.match(tensor)
    if numbered:
        return numbered.group(1)
    parts = tensor.split(".")
    return ".".join(parts[: 2 if parts[0] == prefix and len(parts) > 2 else 1])


def save_blocks(weights: Mapping[str, torch.Tensor], prefix: str, folder: Path) -> None:
    """Write weights as one safetensors file per block, and the index.

    Args:
        weights: tensor name to tensor, without tied copies.
        prefix: the backbone's attribute in the model, such as `transformer`.
        folder: where to; created if missing.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    blocks: dict[str, dict[str, torch.Tensor]] = {}
    for name in sorted(weights):
        blocks.setdefault(block_of(name, prefix), {})[name] = weights[name].contiguous()
    for block, tensors in blocks.items():
        save_file(tensors, folder / file_of(block), metadata=METADATA)
    size = sum(tensor.nbytes for tensor in weights.values())
    weight_map = {name: file_of(block) for block, tensors in blocks.items() for name in tensors}
    write_json(folder / INDEX, {"metadata": {"total_size": size}, "weight_map": weight_map})


def held_tensors(folder: Path) -> list[str]:
    """Name the tensors that a folder from `save_blocks` holds."""
    return list(read_json(folder / INDEX)["weight_map"])


def round_changed(folder: Path, base: Path) -> None:
    """Store weights in bfloat16, half the bytes: float32's range, but eight significant bits instead of 24.

    Files that equal the base's, those of frozen blocks, stay as they are: DVC keeps them once for both, and rounded
    ones would be stored anew. transformers reads types side by side, and computes in the one that config.json names.

    Args:
        folder: with safetensors files in float32 and the index; changed in place.
        base: the model folder that training started from.
    """
    from safetensors.torch import load, save_file

    index = read_json(folder / INDEX)
    for file in sorted(folder.glob("*.safetensors")):
        if (base / file.name).is_file() and filecmp.cmp(file, base / file.name, shallow=False):
            continue
        before = load(file.read_bytes())  # not mapped, as it is about to be overwritten
        after = {name: t.bfloat16() if t.is_floating_point() else t for name, t in before.items()}
        save_file(after, file, metadata=METADATA)
        if file.name in index["weight_map"].values():
            index["metadata"]["total_size"] -= sum(before[name].nbytes - after[name].nbytes for name in before)
    write_json(folder / INDEX, index)


def file_of(block: str) -> str:
    """Name the file that holds a block."""
    return f"model-{block}.safetensors"


def block_of_file(name: str) -> str | None:
    """Name the block that a file holds; None for a file that is not of one block alone."""
    held = _BLOCK_FILE.fullmatch(name)
    return held.group(1) if held else None


def block_files(files: Iterable[Path]) -> dict[str, str]:
    """Find the files of blocks among others.

    Returns:
        Block to file name, from the embeddings upwards.
    """
    blocks = {block: file.name for file in files if (block := block_of_file(file.name)) is not None}
    return {block: blocks[block] for block in sorted(blocks, key=height_of_block)}


def height_of_block(block: str) -> tuple[int, int, str]:
    """Give what sorts blocks from the lowest to the highest: embeddings, numbered blocks, what follows, heads."""
    number = block_number(f"{block}.")
    if is_embedding(block):
        return 0, 0, block
    if number >= 0:
        return 1, number, block
    return (2 if "." in block else 3), 0, block

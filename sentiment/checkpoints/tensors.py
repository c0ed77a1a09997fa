"""Read a safetensors file tensor by tensor and piece by piece, from anything that can seek: a file, a cache, a remote.

The format: eight bytes with the header's length, a JSON header with each tensor's type, shape and place, the numbers
(https://huggingface.co/docs/safetensors/index#format). Pieces keep the memory small whatever the size of a tensor.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from sentiment.pipeline.artifacts import read_json_object
from sentiment.pipeline.errors import InputError, allowed, plain_name

PIECE = 1 << 14  # numbers; 128 kB as float64, so that what is computed from a piece finds it in the processor's cache
_LONGEST_HEADER = 100_000_000  # bytes; the limit of the safetensors library
INDEX = "model.safetensors.index.json"
_TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor stands in a file: its type as safetensors names it, and its first byte."""

    name: str
    type: str
    shape: tuple[int, ...]
    start: int

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


def stored_types(folder: Path) -> dict[str, str]:
    """Read which tensors the weights of a Hugging Face folder hold: those of its one file, or of those in its index.

    Returns:
        Tensor name to type of number, as safetensors names it.

    Raises:
        InputError: a file is missing, empty, cut short or no safetensors file, or the index is none.
    """
    from safetensors import SafetensorError, safe_open

    types: dict[str, str] = {}
    for file in weight_files(folder):
        if not file.is_file():
            raise InputError(f"{file}: no such file, though {INDEX} names it; put all files of the model there")
        try:
            with safe_open(file, "numpy") as tensors:
                types |= {name: tensors.get_slice(name).get_dtype() for name in tensors.keys()}  # noqa: SIM118  # no dict
        except SafetensorError as error:
            raise InputError(
                f"{file}: no safetensors file, or a damaged one ({error}); fetch it again, and where it is a pointer "
                "of Git LFS with `git lfs pull`"
            ) from error
    return types


def weight_files(folder: Path) -> list[Path]:
    """Name the files that transformers reads a folder's weights from.

    Raises:
        InputError: there are none, or the index names none, or one outside the folder.
    """
    if (folder / "model.safetensors").is_file():
        return [folder / "model.safetensors"]
    index = folder / INDEX
    if not index.is_file():
        raise InputError(f"{folder}: neither model.safetensors nor {INDEX}; save the model with save_pretrained")
    return [folder / name for name in sorted(set(weight_map(index).values()))]


def weight_map(index: Path) -> dict[str, str]:
    """Read which file holds each tensor, from the index of a folder's weights.

    Raises:
        InputError: the index does not say, or names a file outside its folder.
    """
    stated = read_json_object(index).get("weight_map")
    if not isinstance(stated, dict):
        raise InputError(f"{index}: no weight_map, which must say for each tensor which file holds it")
    return {tensor: plain_name(name, f"{index}: weight_map.{tensor}") for tensor, name in stated.items()}


def read_header(stream: BinaryIO, where: str) -> tuple[dict[str, StoredTensor], dict[str, str]]:
    """Read which tensors a file holds.

    Args:
        stream: the file, opened for bytes.
        where: the file's name, for messages.

    Returns:
        Tensor name to place, sorted by name; and the file's metadata.

    Raises:
        InputError: the file is no safetensors file, or of a type of number that NumPy does not know.
    """
    stream.seek(0)
    start = stream.read(8)
    length = struct.unpack("<Q", start)[0] if len(start) == 8 else _LONGEST_HEADER + 1
    if length > _LONGEST_HEADER:
        raise InputError(f"{where}: no safetensors file")
    try:
        header: dict[str, Any] = json.loads(stream.read(length))
        metadata = header.pop("__metadata__", {})
        tensors = {name: _placed(name, header[name], 8 + length, where) for name in sorted(header)}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{where}: no safetensors file: {error}") from error
    return tensors, metadata


def _placed(name: str, entry: dict[str, Any], offset: int, where: str) -> StoredTensor:
    """Turn one entry of a header into a place.

    Raises:
        InputError: NumPy has no such type of number.
        ValueError: the bytes are not as many as the shape says.
    """
    if entry["dtype"] not in _TYPES:
        raise InputError(f"{where}: {name}: found numbers of the type {entry['dtype']}, {allowed('', _TYPES)}")
    begin, end = entry["data_offsets"]
    tensor = StoredTensor(name, entry["dtype"], tuple(entry["shape"]), offset + begin)
    if tensor.size * np.dtype(_TYPES[tensor.type]).itemsize != end - begin:
        raise ValueError(f"{name}: {end - begin} bytes are not the shape {list(tensor.shape)}")
    return tensor


def pieces(stream: BinaryIO, tensor: StoredTensor, where: str) -> Iterator[np.ndarray]:
    """Read a tensor's numbers in order.

    Args:
        stream: the file, opened for bytes.
        tensor: from `read_header` of the same file.
        where: the file's name, for messages.

    Yields:
        float64 [at most PIECE].

    Raises:
        InputError: the file ends too early.
    """
    kind = np.dtype(_TYPES[tensor.type])
    stream.seek(tensor.start)
    for first in range(0, tensor.size, PIECE):
        count = min(PIECE, tensor.size - first)
        content = stream.read(count * kind.itemsize)
        if len(content) != count * kind.itemsize:
            raise InputError(f"{where}: {tensor.name}: the file ends too early")
        numbers = np.frombuffer(content, dtype=kind)
        if tensor.type == "BF16":  # the upper half of a float32
            numbers = (numbers.astype(np.uint32) << 16).view(np.float32)
        yield numbers.astype(np.float64)

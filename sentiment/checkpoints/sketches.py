"""Sketches of tensors: 256 numbers each, from which the distance of two tensors can be estimated without them.

A sketch is a random linear map, the same for all tensors of one name and size, so that the sketch of a difference is
the difference of the sketches. Each entry of the tensor is added, with a random sign, to one random cell in each of
four tables of 64 cells (the count sketch of Charikar, Chen and Farach-Colton 2002,
https://doi.org/10.1007/3-540-45465-9_59, with several cells per entry as in Nelson and Nguyen 2013,
https://arxiv.org/abs/1211.1002), and the whole is divided by the square root of four.

The squared length of a sketch has the tensor's as its mean, and a standard deviation of at most sqrt(2 / 256) = 8.8 %
of it, whatever the tensor. The length itself is then off by about 1 / sqrt(2 * 256) = 4.4 % (standard deviation); of
several tensors together by less. A tensor of at most 256 numbers is its own sketch, without an error.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from sentiment.checkpoints.tensors import pieces, read_header
from sentiment.pipeline.errors import InputError

FILE = "model.sketches"  # a safetensors file by another ending: what looks for weights must not find it
LENGTH = 256
RELATIVE_ERROR = 1 / math.sqrt(2 * LENGTH)  # standard deviation of an estimated length
_TABLES = 4
_CELLS = LENGTH // _TABLES
_SCALE = math.sqrt(_TABLES)
_BITS = 7  # of a random number, for each table: six for the cell, one for the sign
_ABOUT = "tensors"  # the one key of the file's metadata; safetensors writes several in random order


@dataclass(frozen=True)
class Sketch:
    """What is kept of a tensor: the file and shape it has, its norm, and at most 256 numbers, float64."""

    file: str
    shape: tuple[int, ...]
    norm: float
    values: np.ndarray

    @property
    def size(self) -> int:
        """How many numbers the tensor holds."""
        return math.prod(self.shape)

    @property
    def exact(self) -> bool:
        """Whether the values are the tensor's own."""
        return self.size <= LENGTH


def sketch(name: str, size: int, numbers: Iterable[np.ndarray]) -> tuple[np.ndarray, float]:
    """Sketch a tensor.

    Args:
        name: the tensor's name; with the size it seeds the signs and cells.
        size: how many numbers it holds.
        numbers: them in order, float64, in pieces; all but the last of an even length.

    Returns:
        The sketch, float64 [min(size, 256)], and the tensor's norm.
    """
    key = int.from_bytes(hashlib.sha256(f"{name}:{size}".encode()).digest()[:16], "little")
    random = np.random.Philox(key=key)  # whose numbers NumPy promises to keep (NEP 19)
    tables = np.zeros((_TABLES, 2 * _CELLS))  # cells of sign plus, then of sign minus
    squares, kept = [], [np.empty(0)]
    for piece in numbers:
        squares.append(float(np.square(piece).sum()))  # no dot product, whose bits depend on the number of threads
        if size <= LENGTH:
            kept.append(piece)
            continue
        words = random.random_raw((len(piece) + 1) // 2).view(np.uint32)[: len(piece)]
        for number, table in enumerate(tables):
            cells = ((words >> np.uint32(_BITS * number)) & np.uint32(2 * _CELLS - 1)).astype(np.intp)
            np.add.at(table, cells, piece)
    values = np.concatenate(kept) if size <= LENGTH else (tables[:, :_CELLS] - tables[:, _CELLS:]).ravel() / _SCALE
    return values, math.sqrt(math.fsum(squares))


def distance(first: Sketch, second: Sketch) -> float:
    """Estimate the norm of the difference of two tensors of one name and shape from their sketches."""
    return float(np.linalg.norm(first.values - second.values))


def sketch_file(stream: BinaryIO, name: str) -> dict[str, Sketch]:
    """Sketch every tensor of a safetensors file.

    Args:
        stream: the file, opened for bytes.
        name: its name.

    Returns:
        Tensor name to sketch.
    """
    sketches = {}
    for tensor in read_header(stream, name)[0].values():
        values, norm = sketch(tensor.name, tensor.size, pieces(stream, tensor, name))
        sketches[tensor.name] = Sketch(name, tensor.shape, norm, values)
    return sketches


def write_sketches(folder: Path) -> None:
    """Write the sketches of all weights in a model folder beside them.

    Args:
        folder: with safetensors files, each read once, a piece at a time.
    """
    from safetensors.numpy import save_file

    found: dict[str, Sketch] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb") as stream:
            found |= sketch_file(stream, file.name)
    about = {name: {"file": s.file, "norm": s.norm, "shape": s.shape} for name, s in found.items()}
    values = {name: found[name].values for name in sorted(found)}
    save_file(values, folder / FILE, metadata={_ABOUT: json.dumps(about, sort_keys=True)})


def read_sketches(stream: BinaryIO, where: str) -> dict[str, Sketch]:
    """Read what `write_sketches` wrote.

    Args:
        stream: the file, opened for bytes.
        where: its name, for messages.

    Returns:
        Tensor name to sketch.

    Raises:
        InputError: it is no file of sketches.
    """
    tensors, metadata = read_header(stream, where)
    if _ABOUT not in metadata:
        raise InputError(f"{where}: holds no sketches")
    sketches = {}
    for name, entry in json.loads(metadata[_ABOUT]).items():
        values = np.concatenate([np.empty(0), *pieces(stream, tensors[name], where)])
        sketches[name] = Sketch(entry["file"], tuple(entry["shape"]), entry["norm"], values)
    return sketches

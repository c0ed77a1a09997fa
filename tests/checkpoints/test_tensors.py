"""Reading safetensors in pieces, against the safetensors library itself; and what a broken file gives."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from sentiment.checkpoints.tensors import PIECE, pieces, read_header
from sentiment.pipeline.errors import InputError

TYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
         torch.uint8, torch.bool]  # fmt: skip


def made(header: dict[str, object], numbers: bytes) -> io.BytesIO:
    """A file with any header."""
    text = json.dumps(header).encode()
    return io.BytesIO(struct.pack("<Q", len(text)) + text + numbers)


@pytest.mark.parametrize("kind", TYPES)
def test_numbers_shapes_and_metadata_are_those_of_the_library(kind: torch.dtype, tmp_path: Path) -> None:
    torch.manual_seed(0)
    shapes = {"z.long": (2, PIECE + 3), "a.scalar": (), "m.empty": (0, 4), "b.small": (3, 5)}
    written = {name: (torch.randn(shape) * 50).to(kind) for name, shape in shapes.items()}
    save_file(written, tmp_path / "f.safetensors", metadata={"format": "pt"})
    with (tmp_path / "f.safetensors").open("rb") as stream:
        tensors, metadata = read_header(stream, "f")
        assert metadata == {"format": "pt"}
        assert list(tensors) == sorted(shapes)
        for name, expected in load_file(tmp_path / "f.safetensors").items():
            parts = list(pieces(stream, tensors[name], "f"))
            assert tensors[name].shape == shapes[name]
            assert tensors[name].size == expected.numel() == sum(map(len, parts))
            assert all(part.dtype == np.float64 and len(part) <= PIECE for part in parts)
            found = np.concatenate([np.empty(0), *parts])
            assert np.array_equal(found, expected.double().numpy().ravel())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x01\x02",
        b"not a safetensors file at all",
        struct.pack("<Q", 20) + b'{"a": 1',
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 8) + b'{"a": 1}',
    ],
)
def test_a_file_of_another_kind_is_refused_by_name(content: bytes) -> None:
    with pytest.raises(InputError, match=r"^there\.safetensors: no safetensors file"):
        read_header(io.BytesIO(content), "there.safetensors")


def test_bytes_that_are_not_the_shape_are_refused() -> None:
    stream = made({"w": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}, b"\0" * 8)
    with pytest.raises(InputError, match=r"w: 8 bytes are not the shape \[3\]"):
        read_header(stream, "f")


def test_an_unknown_type_of_number_is_named_with_those_allowed() -> None:
    stream = made({"w": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}, b"\0\0")
    with pytest.raises(InputError, match=r"w: found numbers of the type F8_E4M3, allowed: F64, F32"):
        read_header(stream, "f")


def test_a_file_that_ends_too_early_is_refused() -> None:
    stream = made({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}, b"\0" * 12)
    [tensor] = read_header(stream, "f")[0].values()
    with pytest.raises(InputError, match=r"f: w: the file ends too early"):
        list(pieces(stream, tensor, "f"))

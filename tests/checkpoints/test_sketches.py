"""Sketches: the map they are, how good their estimates are on many pairs of many kinds, and the file they stand in."""

from __future__ import annotations

import json
import math
import os
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from safetensors.torch import load_file

from sentiment.checkpoints.sketches import (
    FILE,
    LENGTH,
    RELATIVE_ERROR,
    Sketch,
    distance,
    read_sketches,
    sketch,
    sketch_file,
    write_sketches,
)
from sentiment.checkpoints.tensors import PIECE
from sentiment.pipeline.errors import InputError
from tests.backbones.test_adapters import LORA
from tests.conftest import ROOT, run_stages

Change = Callable[..., None]
SIZE, PAIRS = 3000, 600


def values(name: str, numbers: np.ndarray) -> np.ndarray:
    """The sketch of an array that is given whole."""
    return sketch(name, numbers.size, [numbers.astype(np.float64).ravel()])[0]


def written(folder: Path) -> dict[str, Sketch]:
    """The sketches that stand in a folder."""
    with (folder / FILE).open("rb") as stream:
        return read_sketches(stream, FILE)


def one_column(random: np.random.Generator) -> np.ndarray:
    """A matrix 256 wide with one column filled: entries that a fixed place in the sketch would all hit."""
    matrix = np.zeros((SIZE // 256 + 1, 256))
    matrix[:, 7] = random.standard_normal(len(matrix))
    return matrix


KINDS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "normal": lambda random: random.standard_normal(SIZE),
    "all equal": lambda random: np.ones(SIZE),
    "heavy tails": lambda random: random.standard_t(1.5, SIZE),
    "a few entries": lambda random: np.eye(1, SIZE, 5).ravel() * 3 + np.eye(1, SIZE, 999).ravel() * 2,
    "one column": one_column,
    "of rank one": lambda random: np.outer(random.standard_normal(60), random.standard_normal(50)),
}


def test_the_sketch_is_a_matrix_of_four_random_signs_per_column() -> None:
    """The matrix is read off the unit vectors; every other sketch must be its product."""
    size = 700
    matrix = np.stack([values("t", row) for row in np.eye(size)], axis=1)
    assert matrix.shape == (LENGTH, size)
    assert np.array_equal(np.unique(matrix), [-0.5, 0.0, 0.5])
    assert (np.count_nonzero(matrix.reshape(4, LENGTH // 4, size), axis=1) == 1).all()  # one cell in each table
    signs = matrix[matrix != 0] > 0
    assert abs(signs.mean() - 0.5) < 4 * 0.5 / math.sqrt(signs.size)
    numbers = np.random.default_rng(1).standard_normal(size)
    assert np.allclose(values("t", numbers), matrix @ numbers, atol=1e-12)


def test_names_and_sizes_have_maps_of_their_own() -> None:
    numbers = np.random.default_rng(1).standard_normal(SIZE)
    assert np.array_equal(values("a", numbers), values("a", numbers))
    assert not np.array_equal(values("a", numbers), values("b", numbers))
    assert not np.array_equal(values("a", numbers), values("a", np.append(numbers, 0.0)))


@pytest.mark.parametrize("kind", KINDS)
def test_on_many_random_pairs_the_error_is_what_is_stated(kind: str) -> None:
    """Another name gives another random map, so the pairs are draws of the map as well as of the tensors.

    The bound sqrt(2 / 256) on the standard deviation of the squared length holds for every kind, and the length itself
    is off by about 1 / sqrt(512); four standard errors are allowed for the draw.
    """
    random = np.random.default_rng(0)
    ratios = []
    for number in range(PAIRS):
        before, added = random.standard_normal(KINDS[kind](random).shape), KINDS[kind](random) * 1e-3
        difference = values(f"{kind}{number}", before + added) - values(f"{kind}{number}", before)
        ratios.append(np.linalg.norm(difference) / np.linalg.norm(added))
    squares = np.square(ratios)
    bound = math.sqrt(2 / LENGTH)
    assert abs(squares.mean() - 1) < 4 * bound / math.sqrt(PAIRS)  # no bias
    spread = math.sqrt(np.square(squares - 1).mean())
    assert spread < bound * (1 + 4 * 2 / math.sqrt(PAIRS))
    assert math.sqrt(np.square(np.array(ratios) - 1).mean()) < RELATIVE_ERROR * (1 + 4 / math.sqrt(2 * PAIRS))
    assert max(abs(np.array(ratios) - 1)) < 6 * RELATIVE_ERROR
    if kind == "normal":  # and the statement is no exaggeration
        assert np.std(ratios) > RELATIVE_ERROR * (1 - 4 / math.sqrt(2 * PAIRS))


def test_a_tiny_change_of_a_large_tensor_is_not_lost_in_rounding(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    before, added = random.standard_normal(SIZE), random.standard_normal(SIZE)
    for name, numbers in (("a", before), ("b", before + 1e-12 * added)):
        (tmp_path / name).mkdir()
        save_file({"t": numbers}, tmp_path / name / "model.safetensors")
        write_sketches(tmp_path / name)
    first, second = (written(tmp_path / name)["t"] for name in "ab")
    assert distance(first, second) == pytest.approx(1e-12 * np.linalg.norm(added), rel=6 * RELATIVE_ERROR)


@pytest.mark.parametrize("size", [0, 1, 17, LENGTH])
def test_a_small_tensor_is_its_own_sketch(size: int) -> None:
    numbers = np.random.default_rng(1).standard_normal(size)
    assert np.array_equal(values("t", numbers), numbers)


def test_a_tensor_cut_into_pieces_has_the_same_sketch() -> None:
    numbers = np.random.default_rng(1).standard_normal(SIZE + 1)
    cut = [numbers[start : start + 64] for start in range(0, len(numbers), 64)]
    assert np.array_equal(sketch("t", len(numbers), cut)[0], values("t", numbers))


def test_the_file_gives_back_every_tensor_with_its_file_shape_and_norm(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    held = {
        "model-a.safetensors": {"a.w": random.standard_normal((40, 50), dtype=np.float32), "a.b": np.ones(3)},
        "adapter_model.safetensors": {"l.lora_A": random.standard_normal((2, 500), dtype=np.float32)},
    }
    for file, tensors in held.items():
        save_file(tensors, tmp_path / file)
    write_sketches(tmp_path)
    found = written(tmp_path)
    assert found.keys() == {name for tensors in held.values() for name in tensors}
    for file, tensors in held.items():
        for name, numbers in tensors.items():
            assert (found[name].file, found[name].shape) == (file, numbers.shape)
            assert found[name].norm == pytest.approx(np.linalg.norm(numbers.astype(np.float64)), rel=1e-12)
            assert np.array_equal(found[name].values, values(name, numbers))
            assert found[name].exact == (numbers.size <= LENGTH)


def test_a_file_without_sketches_is_refused(tmp_path: Path) -> None:
    save_file({"a": np.ones(3)}, tmp_path / "f")
    with pytest.raises(InputError, match="there: holds no sketches"), (tmp_path / "f").open("rb") as stream:
        read_sketches(stream, "there")


def test_the_bytes_depend_on_the_weights_alone(tmp_path: Path) -> None:
    """Other processes, hash seeds and numbers of threads write the same file, which has one key of metadata."""
    random = np.random.default_rng(2)
    save_file({f"t{n}": random.standard_normal((300, 400)) for n in range(4)}, tmp_path / "model-x.safetensors")
    contents = set()
    for seed, threads in (("1", "1"), ("2", "4")):
        code = (
            "import sys; from pathlib import Path; from sentiment.checkpoints import sketches as s\n"
            "s.write_sketches(Path(sys.argv[1]))"
        )
        environment = {**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": threads}
        subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT, env=environment, check=True)
        contents.add((tmp_path / FILE).read_bytes())
    [content] = contents
    (length,) = struct.unpack("<Q", content[:8])
    assert len(json.loads(content[8 : 8 + length])["__metadata__"]) == 1


def test_a_large_tensor_is_never_held_whole(tmp_path: Path) -> None:
    numbers = np.ones((5000, 1024), dtype=np.float32)  # 20 MB
    save_file({"t": numbers}, tmp_path / "model-x.safetensors")
    with (tmp_path / "model-x.safetensors").open("rb") as stream:
        tracemalloc.start()
        found = sketch_file(stream, "x")["t"]
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert found.norm == pytest.approx(math.sqrt(numbers.size))
    assert peak < 16 * 8 * PIECE < numbers.nbytes / 5


@pytest.mark.parametrize("save", ["merged", "adapter"])
def test_the_stages_write_the_sketches_of_what_they_save(save: str, small: Change) -> None:
    small(**{"train.lora": {**LORA, "save": save}, "train.learning_rate": 0.01})
    run_stages("prepare", "base", "tokenize", "train")
    for folder in (Path("models/base"), Path("models/finetuned")):
        found = written(folder)
        weights = {file.name: load_file(file) for file in folder.glob("*.safetensors")}
        assert {name: s.file for name, s in found.items()} == {n: f for f, tensors in weights.items() for n in tensors}
        for tensors in weights.values():
            for name, tensor in tensors.items():
                assert np.array_equal(found[name].values, values(name, tensor.numpy()))
    stated = json.loads(Path("models/finetuned/sentiment.json").read_text())["sha256"]
    assert FILE in stated

"""How far weights have moved: exact measures of two tensors, read side by side in pieces, and of whole blocks."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from sentiment.backbones.adapters import CONFIG, WEIGHTS
from sentiment.checkpoints.blocks import block_files
from sentiment.checkpoints.tensors import PIECE, StoredTensor, pieces, read_header
from sentiment.pipeline.errors import InputError


@dataclass(frozen=True)
class WeightDelta:
    """What became of the numbers of a tensor, or of several together.

    The squares are squared norms: of the numbers before, after, and of what was added. largest is the greatest
    absolute difference of two numbers and changed how many differ; None where an estimate cannot know them.
    """

    size: int
    square_before: float
    square_after: float
    square_added: float
    largest: float | None
    changed: int | None

    def __add__(self, other: WeightDelta) -> WeightDelta:
        """Take two tensors together."""
        known = None not in (self.largest, self.changed, other.largest, other.changed)
        return WeightDelta(
            self.size + other.size,
            self.square_before + other.square_before,
            self.square_after + other.square_after,
            self.square_added + other.square_added,
            max(self.largest or 0.0, other.largest or 0.0) if known else None,
            (self.changed or 0) + (other.changed or 0) if known else None,
        )

    @property
    def norm(self) -> float:
        """Euclidean norm of what was added."""
        return math.sqrt(self.square_added)

    @property
    def relative(self) -> float | None:
        """That norm over the norm before; None where all was zero and no longer is."""
        if self.square_added == 0:
            return 0.0
        return math.sqrt(self.square_added / self.square_before) if self.square_before else None

    @property
    def cosine(self) -> float | None:
        """Cosine of the angle between before and after; None where one of them is zero."""
        lengths = math.sqrt(self.square_before) * math.sqrt(self.square_after)
        if lengths == 0:
            return None
        return min((self.square_before + self.square_after - self.square_added) / 2 / lengths, 1.0)

    @property
    def share(self) -> float | None:
        """Share of the numbers that differ."""
        return None if self.changed is None else self.changed / max(self.size, 1)


def together(changes: Iterable[WeightDelta]) -> WeightDelta:
    """Take any number of tensors together."""
    return sum(changes, start=WeightDelta(0, 0.0, 0.0, 0.0, 0.0, 0))


def measure_delta(before: Iterable[np.ndarray], after: Iterable[np.ndarray], name: str) -> WeightDelta:
    """Measure the change of a tensor exactly, in float64, holding one piece of each at a time.

    Args:
        before: its numbers in order, float64, in pieces.
        after: likewise, cut at the same positions.
        name: the tensor's name, for messages.

    Raises:
        InputError: a number is not finite.
    """
    total = together(_piece_delta(*both) for both in zip(before, after, strict=True))
    check_finite(total, name)
    return total


def _piece_delta(before: np.ndarray, after: np.ndarray) -> WeightDelta:
    added = after - before
    largest, changed = float(max(added.max(), -added.min())), int(np.count_nonzero(before != after))
    return WeightDelta(len(added), _square(before), _square(after), _square(added), largest, changed)


def _square(numbers: np.ndarray) -> float:
    """Compute a squared norm; no dot product, which is slow where its threads wait for each other on a busy machine."""
    return float(np.square(numbers).sum())


def check_finite(change: WeightDelta, name: str) -> None:
    """Raise if a tensor holds infinite numbers or numbers that are none.

    Raises:
        InputError: names the tensor.
    """
    if not math.isfinite(change.square_before + change.square_after + change.square_added):
        raise InputError(f"{name}: holds numbers that are not finite; no change can be measured")


def check_shapes(name: str, before: tuple[int, ...], after: tuple[int, ...]) -> None:
    """Raise if tensors are of different shape.

    Raises:
        InputError: names the tensor and both shapes.
    """
    if before != after:
        raise InputError(
            f"{name}: shapes {list(before)} and {list(after)}; tensors of different shape have no difference. Compare "
            "models of one architecture and vocabulary, or their files alone with --hashes"
        )


class Additions:
    """What an adapter that lies beside a model's own weights adds to them: scale * B A for each adapted layer.

    Hu et al. 2021, section 4.1, https://arxiv.org/abs/2106.09685; the two small matrices of every layer are held, and
    the sum they make of one layer at a time.
    """

    def __init__(self, folder: Path) -> None:
        """Read the adapter of a model folder; without one nothing is added."""
        self.matrices: dict[str, np.ndarray] = {}
        self.scale, self.transposed = 0.0, False
        if not (folder / WEIGHTS).is_file():
            return
        config: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        rank = config["r"]
        self.scale = config["lora_alpha"] / (math.sqrt(rank) if config.get("use_rslora") else rank)
        self.transposed = bool(config["fan_in_fan_out"])
        with (folder / WEIGHTS).open("rb") as stream:
            for name, tensor in read_header(stream, str(folder / WEIGHTS))[0].items():
                numbers = np.concatenate([*pieces(stream, tensor, str(folder / WEIGHTS))])
                self.matrices[name.removeprefix("base_model.model.")] = numbers.reshape(tensor.shape)

    def to(self, name: str) -> np.ndarray | None:
        """Compute what is added to one tensor, float64 in its shape; None where nothing is."""
        layer = name.removesuffix(".weight")
        if f"{layer}.lora_A.weight" not in self.matrices:
            return None
        up, down = (self.matrices[f"{layer}.lora_{letter}.weight"] for letter in "BA")
        added: np.ndarray = self.scale * up @ down
        return added.T if self.transposed else added


def layer_deltas(base: Path, finetuned: Path) -> list[tuple[str, float]]:
    """Measure how far each block has moved from the base, exactly; an adapter beside the weights counts.

    Args:
        base: a model folder with one file per block.
        finetuned: likewise; blocks that the base lacks or has in another shape, new heads, are left out.

    Returns:
        Block and relative change: the norm of what was added over the norm in the base. From the embeddings upwards;
        a block that was all zero in the base is left out, as nothing relates to it.
    """
    additions = Additions(finetuned)
    deltas = {
        block: _file_delta(base / file, finetuned / file, additions)
        for block, file in block_files(finetuned.iterdir()).items()
        if (base / file).is_file()
    }
    return [(block, delta.relative) for block, delta in deltas.items() if delta and delta.relative is not None]


def _file_delta(before: Path, after: Path, additions: Additions) -> WeightDelta | None:
    """Measure one block; None where it has another shape."""
    with ExitStack() as stack:
        first, second = (stack.enter_context(path.open("rb")) for path in (before, after))
        olds, news = read_header(first, str(before))[0], read_header(second, str(after))[0]
        if {name: t.shape for name, t in olds.items()} != {name: t.shape for name, t in news.items()}:
            return None
        return together(
            measure_delta(
                pieces(first, old, str(before)),
                _with(additions.to(name), second, news[name], str(after)),
                f"{after}: {name}",
            )
            for name, old in olds.items()
        )


def _with(added: np.ndarray | None, stream: BinaryIO, tensor: StoredTensor, where: str) -> Iterator[np.ndarray]:
    """Read a tensor's numbers with what an adapter adds to them, float64 [at most PIECE] at a time."""
    flat = None if added is None else added.reshape(-1)
    for number, piece in enumerate(pieces(stream, tensor, where)):
        yield piece if flat is None else piece + flat[number * PIECE : (number + 1) * PIECE]

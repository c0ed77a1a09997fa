"""Compare two models block by block: which changed, from hashes alone; how far, from sketches or from the weights.

Three ways, each reading more than the one before:
hashes: the md5 of every file, as DVC has written it down; no file is read.
sketches: what `sentiment.checkpoints.sketches` wrote beside the weights, some hundred kilobytes; estimates.
exact: the files that changed, and of these one tensor after the other.
"""

from __future__ import annotations

import filecmp
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sentiment.backbones.adapters import WEIGHTS as ADAPTER
from sentiment.checkpoints.blocks import block_of, block_of_file, height_of_block
from sentiment.checkpoints.sketches import FILE as SKETCHES
from sentiment.checkpoints.sketches import RELATIVE_ERROR, Sketch, distance, read_sketches, sketch_file
from sentiment.checkpoints.tensors import StoredTensor, pieces, read_header
from sentiment.evaluation.deltas import WeightDelta, check_finite, check_shapes, measure_delta, together
from sentiment.pipeline.errors import InputError
from sentiment.registry.revisions import Folder, Revision, find

Side = Folder | Revision
Held = list[dict[str, str]]  # for each side its tensors, or its files where none is read, each with its file
DifferenceRow = tuple[str, Any, Any]  # what differs, and its value on both sides; None where it has none
ADAPTER_BLOCK = "adapter"
ONLY = ("only in A", "only in B")


@dataclass(frozen=True)
class Block:
    """A part of the model: unchanged, changed, or there in A, the first model, or B, the second, alone.

    change is None where there is none to state; tensors holds the changes that it sums up.
    """

    name: str
    state: str
    change: WeightDelta | None
    tensors: dict[str, WeightDelta]


@dataclass(frozen=True)
class Difference:
    """All that is said about two models."""

    first: str
    second: str
    how: str
    blocks: list[Block]
    params: list[DifferenceRow] = field(default_factory=list)
    metrics: list[DifferenceRow] = field(default_factory=list)
    data: list[DifferenceRow] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def compare_models(first: str, second: str, repo: str, remote: str | None, how: str) -> Difference:
    """Compare two models.

    Args:
        first: a folder with a model, a git revision or an experiment; a revision may be followed by a colon and the
            model's folder in it.
        second: likewise.
        repo: path or address of the git repository of the revisions.
        remote: a DVC remote's name; None takes the default one.
        how: hashes, sketches or exact.

    Raises:
        InputError: one of them cannot be found or read, both are the same, or tensors have different shapes.
    """
    with find(first, repo, remote) as a, find(second, repo, remote) as b:
        return _compare(a, b, how)


def _compare(a: Side, b: Side, how: str) -> Difference:
    if a.identity == b.identity:
        raise InputError(f"{a.title} and {b.title} are one and the same ({a.identity}); give two different ones")
    notes = _adapter_notes(a, b)
    if isinstance(a, Folder) and isinstance(b, Folder) and how == "sketches":
        how = "exact"  # two folders on this machine: to sketch them would read as much
    same = _same(a, b)
    changed = [_weights(side) - same for side in (a, b)]
    lacking = [side.title for side in (a, b) if isinstance(side, Revision) and SKETCHES not in side.files]
    held: Held = [{file: file for file in files} for files in changed]
    changes: dict[str, WeightDelta] = {}
    if how == "exact":
        held, changes = exactly(a, b, *changed)
    elif how == "sketches" and any(changed) and lacking:
        notes.append(f"no estimate: {' and '.join(lacking)} without {SKETCHES}; --exact reads the weights")
    elif how == "sketches" and any(changed):
        held, changes = by_sketches(a, b, *changed)
        error = f"{100 * RELATIVE_ERROR:.1f} %"
        notes.append(f"the norms of changes are estimates from sketches, each tensor's off by about {error} (s.d.)")
    blocks = _blocks(same, held, changes)
    return Difference(a.title, b.title, how, blocks, **_other_differences(a, b, notes), notes=notes)


def _weights(side: Side) -> set[str]:
    return set(side.files) - {SKETCHES}


def _same(a: Side, b: Side) -> set[str]:
    """Name the weight files that are byte for byte the same on both sides."""
    common = _weights(a) & _weights(b)
    if isinstance(a, Folder) and isinstance(b, Folder):  # no need to hash what can be laid side by side
        return {name for name in common if filecmp.cmp(a.path / name, b.path / name, shallow=False)}
    return {name for name in common if a.md5(name) == b.md5(name)}


def exactly(a: Side, b: Side, first: set[str], second: set[str]) -> tuple[Held, dict[str, WeightDelta]]:
    """Measure the change of every tensor in the given files of both sides, a piece of each at a time."""
    olds, news = _headers(a, first), _headers(b, second)
    pairs: dict[tuple[str, str], list[str]] = {}
    for name in sorted(olds.keys() & news.keys()):
        check_shapes(name, olds[name][1].shape, news[name][1].shape)
        pairs.setdefault((olds[name][0], news[name][0]), []).append(name)
    changes = {}
    for (old, new), names in pairs.items():
        with a.open(old) as before, b.open(new) as after:
            for name in names:
                parts = pieces(before, olds[name][1], old), pieces(after, news[name][1], new)
                changes[name] = measure_delta(*parts, name)
    return [{name: file for name, (file, _) in side.items()} for side in (olds, news)], changes


def _headers(side: Side, files: Iterable[str]) -> dict[str, tuple[str, StoredTensor]]:
    """Find every tensor of the files: its file, and its position in it."""
    found: dict[str, tuple[str, StoredTensor]] = {}
    for file in sorted(files):
        with side.open(file) as stream:
            found |= {name: (file, tensor) for name, tensor in read_header(stream, f"{side.title}: {file}")[0].items()}
    return found


def by_sketches(a: Side, b: Side, first: set[str], second: set[str]) -> tuple[Held, dict[str, WeightDelta]]:
    """Estimate the change of every tensor in the given files of both sides from their sketches."""
    olds, news = _sketches(a, first), _sketches(b, second)
    changes = {}
    for name in sorted(olds.keys() & news.keys()):
        old, new = olds[name], news[name]
        check_shapes(name, old.shape, new.shape)
        if old.exact:
            changes[name] = measure_delta([old.values], [new.values], name)
        else:
            changes[name] = WeightDelta(old.size, old.norm**2, new.norm**2, distance(old, new) ** 2, None, None)
            check_finite(changes[name], name)
    return [{name: sketch.file for name, sketch in side.items()} for side in (olds, news)], changes


def _sketches(side: Side, files: set[str]) -> dict[str, Sketch]:
    """Bring the sketches of the tensors in the files: those of a folder are made from its weights as they are now."""
    found: dict[str, Sketch] = {}
    if isinstance(side, Folder):
        for file in sorted(files):
            with side.open(file) as stream:
                found |= sketch_file(stream, file)
        return found
    with side.open(SKETCHES) as stream:
        every = read_sketches(stream, f"{side.title}: {SKETCHES}")
    return {name: sketch for name, sketch in every.items() if sketch.file in files}


def _blocks(same: set[str], held: Held, changes: Mapping[str, WeightDelta]) -> list[Block]:
    """List the blocks of both sides, from the embeddings upwards."""
    blocks = {name: Block(name, "unchanged", None, {}) for name in (_block_of(file, [file]) for file in same)}
    groups: dict[str, list[str]] = {}
    for name in sorted(held[0].keys() | held[1].keys()):
        groups.setdefault(_block_of(name, [side[name] for side in held if name in side]), []).append(name)
    blocks |= {block: _summed(block, names, held, changes) for block, names in groups.items()}
    return [blocks[name] for name in sorted(blocks, key=height_of_block)]


def _summed(block: str, names: list[str], held: Held, changes: Mapping[str, WeightDelta]) -> Block:
    tensors = {name: changes[name] for name in names if name in changes}
    if not tensors:
        there = [names[0] in side for side in held]
        return Block(block, "changed" if all(there) else ONLY[there.index(True)], None, {})
    change = together(tensors.values())
    state = "unchanged" if change.changed == 0 else "changed"
    for where, side in zip(ONLY, held, strict=True):
        lone = [name for name in names if name in side and name not in tensors]
        state += f", {len(lone)} tensor(s) {where}" if lone else ""
    return Block(block, state, change, tensors)


def _block_of(name: str, files: list[str]) -> str:
    """Name the block of a tensor or file.

    It is that of the tensor's file on either side, or where a file holds several blocks, what the tensor's own name
    says; such a file that is not read keeps its name.
    """
    named = (ADAPTER_BLOCK if file == ADAPTER else block_of_file(file) for file in files)
    return next(filter(None, named), None) or (name if name in files else block_of(name, name.split(".")[0]))


def _adapter_notes(a: Side, b: Side) -> list[str]:
    """Return a note for each side with an adapter on what its blocks are."""
    return [
        f"{side.title} holds an adapter beside the weights of its base: {ADAPTER} is a block of its own, and what it "
        "would add to the others when merged does not count as a change of theirs"
        for side in (a, b)
        if ADAPTER in side.files
    ]


def _other_differences(a: Side, b: Side, notes: list[str]) -> dict[str, list[DifferenceRow]]:
    """Compare params, metrics and data of two revisions; what cannot be compared is noted."""
    folders = [side.title for side in (a, b) if isinstance(side, Folder)]
    if folders:
        notes.append(f"params, metrics and data are those of revisions; {' and '.join(folders)}: a folder alone")
    known = [side.context() for side in (a, b) if isinstance(side, Revision)]
    notes.extend(problem for _, problems in known for problem in problems)
    if folders:
        return {}
    (one, _), (two, _) = known
    return {section: _rows(one[section], two[section]) for section in one}


def _rows(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[DifferenceRow]:
    """List the keys whose values differ, in the order of the first."""
    keys = dict.fromkeys((*first, *second))
    return [(key, first.get(key), second.get(key)) for key in keys if first.get(key) != second.get(key)]

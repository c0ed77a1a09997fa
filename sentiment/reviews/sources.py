"""Read a labelled dataset by splits: from a file, a folder of split files, the IMDb tree, or a hub snapshot.

What is wrong with a file as a whole is found when its rows are read; texts and labels are left unjudged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from sentiment.pipeline.errors import InputError, allowed, plain_pattern
from sentiment.pipeline.labels import SPLITS
from sentiment.reviews.files import FORMATS, Chunk, Column, encoding_problem, file_source, numbered, readable, shown

READ_ROWS = 4096  # of a chunk: enough that a chunk's own cost does not count, little memory
UNLABELLED_FOLDER = "unsup"  # the IMDb archive keeps its unlabelled reviews there

Chunks = Iterator[Chunk]


def read_local(path: Path, entry: Mapping[str, Any], where: str) -> dict[str, Chunks]:
    """Read reviews from a file or a folder.

    Args:
        path: a file; a folder with train.* and perhaps validation.* and test.*; or a folder of folders named by label
            words and full of .txt files, either straight inside or under train, validation and test.
        entry: the catalog entry: `text` and `label` name the columns, `labels` the label words.
        where: the entry's place, for messages, such as `catalog.yaml: datasets.reviews`.

    Returns:
        Split name to chunks. A source without splits gives the one key `all`.

    Raises:
        InputError: nothing readable lies there.
    """
    if path.is_file():
        return {"all": read_file(path, entry, where)}
    if not path.is_dir():
        raise InputError(
            f"{path}: no such file or folder; {where}.path says it is there: put it there or change the path"
        )
    if files := _split_files(path):
        return {split: read_file(file, entry, where) for split, file in files.items()}
    folders = {split: path / split for split in SPLITS if (path / split).is_dir()}
    if "train" in folders:
        return {split: read_tree(folder, entry) for split, folder in folders.items()}
    if any(child.is_dir() for child in path.iterdir()):
        return {"all": read_tree(path, entry)}
    names = ", ".join(sorted(shown(child.name) for child in path.iterdir())[:10]) or "nothing"
    raise InputError(
        f"{path}: no reviews found there, only {names}; allowed: train.csv, .tsv, .json, .jsonl or .parquet "
        "(validation.* and test.* beside it), or folders of .txt files named by label"
    )


def _split_files(folder: Path) -> dict[str, Path]:
    """Find the one file of each split; none at all where there is none of train."""
    files = {}
    for split in SPLITS:
        found = sorted(f for f in folder.glob(f"{split}.*") if f.suffix.lower().removeprefix(".") in FORMATS)
        if len(found) > 1:
            names = ", ".join(file.name for file in found)
            raise InputError(f"{folder}: several files for the split {split}: {names}; keep one")
        if found:
            files[split] = found[0]
    return files if "train" in files else {}


def read_file(path: Path, entry: Mapping[str, Any], where: str) -> Chunks:
    """Read one file of reviews.

    Raises:
        InputError: the format is unknown; while it is read, that a column is missing or the file is broken as a whole.
    """
    wanted = [Column(entry[key], f"{where}.{key}") for key in ("text", "label")]
    return file_source(path, wanted).read(READ_ROWS)


def read_tree(folder: Path, entry: Mapping[str, Any]) -> Chunks:
    """Read folders of .txt files, one review a file, each folder named by a label word.

    Yields:
        Chunks of the reviews, folder by folder; their rows are the files, numbered through.

    Raises:
        InputError: a folder's name is no label word, a file cannot be read, or there is no .txt file at all.
    """
    words = [str(word) for group in entry["labels"].values() for word in group]
    found = False
    for numbers, files in numbered(_labelled_files(folder, words), READ_ROWS):
        texts, labels = [_read_text(file) for file in files], [file.parent.name for file in files]
        yield Chunk([*map(str, files)], numbers, files, (), texts, labels, [*map(encoding_problem, texts)])
        found = True
    if not found:
        raise InputError(f"{folder}: no .txt file in its folders")


def _labelled_files(folder: Path, words: list[str]) -> Iterator[Path]:
    for child in sorted(folder.iterdir()):
        if not child.is_dir() or child.name == UNLABELLED_FOLDER:
            continue
        if child.name.casefold() not in map(str.casefold, words):
            raise InputError(f"{child}: a folder of reviews is named by its label, {allowed(child.name, words)}")
        yield from sorted(child.glob("*.txt"), key=lambda file: (len(file.name), file.name))


def _read_text(file: Path) -> str:
    with readable(file):
        return file.read_bytes().decode("utf-8-sig", errors="surrogateescape")


def read_snapshot(folder: Path, entry: Mapping[str, Any], where: str) -> dict[str, Chunks]:
    """Read the split files of a downloaded hub dataset.

    Args:
        folder: the snapshot.
        entry: the catalog entry; `splits` gives a file pattern for each split.
        where: the entry's place, for messages.

    Returns:
        Split name to chunks; each file's rows are numbered anew.

    Raises:
        InputError: a pattern fits no file, or leads out of the snapshot.
    """
    splits = {}
    for split, pattern in entry["splits"].items():
        plain_pattern(pattern, f"{where}.splits.{split}")
        paths = (file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
        files = sorted(folder / path for path in paths if fnmatch(path.as_posix(), pattern))  # * crosses folders
        if not files:
            raise InputError(f"{folder}: no file fits {pattern}, which {where}.splits.{split} names")
        splits[split] = _read_shards(files, folder, entry, where)
    return splits


def _read_shards(files: list[Path], folder: Path, entry: Mapping[str, Any], where: str) -> Chunks:
    """Read files one after another, each named by its path below the folder."""
    for file in files:
        for chunk in read_file(file, entry, where):
            yield replace(chunk, sources=[str(file.relative_to(folder))] * len(chunk.sources))

"""Read labelled reviews from files: csv, tsv, json, jsonl, parquet, a folder of split files, or the IMDb tree.

However many rows there are, only some thousands of them are in memory; json alone, which is one value, is read whole.
The rows come in tables with the columns text, label (as found), problem (what makes the row unreadable, else empty),
source (the file) and source_row (counted from 1, a header not counted). The caller judges problems. What is wrong with
a file as a whole is found when its rows are asked for.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import pyarrow.parquet as pq
from pyarrow import ArrowException

from sentiment.pipeline.errors import InputError, allowed, plain_pattern
from sentiment.pipeline.labels import SPLITS

COLUMNS = ("text", "label", "problem", "source")
TABLE_ROWS = 4096  # enough that a table's own cost does not count, little memory
READ_BUFFER = 1 << 16  # bytes read at once from a column of a parquet file, which is not held as a whole
UNLABELLED_FOLDER = "unsup"  # the IMDb archive keeps its unlabelled reviews there

Row = tuple[Any, Any, str]  # text, label, problem
Tables = Iterator[pd.DataFrame]
Item = TypeVar("Item")


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Part a stream into lists of `size` items, the last of them perhaps shorter."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def tables(rows: Iterable[tuple[Any, ...]], columns: Sequence[str]) -> Tables:
    """Lay a stream of rows out as tables of some thousands, and number them from 1 in the column source_row."""
    first = 1
    for batch in batches(rows, TABLE_ROWS):
        table = pd.DataFrame(batch, columns=list(columns), dtype=object)
        yield table.assign(source_row=range(first, first + len(batch)))
        first += len(batch)


def read_local(path: Path, entry: Mapping[str, Any], where: str) -> dict[str, Tables]:
    """Read reviews from a file or a folder.

    Args:
        path: a file; a folder with train.* and perhaps validation.* and test.*; or a folder of folders named by label
            words and full of .txt files, either straight inside or under train, validation and test.
        entry: the catalog entry: `text` and `label` name the columns, `labels` the label words.
        where: the entry's place, for messages, such as `catalog.yaml: datasets.reviews`.

    Returns:
        Split name to tables. A source without splits gives the one key `all`.

    Raises:
        InputError: nothing readable lies there.
    """
    if path.is_file():
        return {"all": read_file(path, entry, where)}
    if not path.is_dir():
        raise InputError(
            f"{path}: no such file or folder; {where}.path says it is there: put it there or change the path"
        )
    files = {split: sorted(f for f in path.glob(f"{split}.*") if f.suffix in READERS) for split in SPLITS}
    for split, found in files.items():
        if len(found) > 1:
            raise InputError(
                f"{path}: several files for the split {split}: {', '.join(f.name for f in found)}; keep one"
            )
    if files["train"]:
        return {split: read_file(found[0], entry, where) for split, found in files.items() if found}
    folders = {split: path / split for split in SPLITS if (path / split).is_dir()}
    if "train" in folders:
        return {split: read_tree(folder, entry) for split, folder in folders.items()}
    if any(child.is_dir() for child in path.iterdir()):
        return {"all": read_tree(path, entry)}
    names = ", ".join(sorted(child.name for child in path.iterdir())[:10]) or "nothing"
    raise InputError(
        f"{path}: no reviews found there, only {names}; allowed: train.csv, .tsv, .json, .jsonl or .parquet "
        "(validation.* and test.* beside it), or folders of .txt files named by label"
    )


def read_file(path: Path, entry: Mapping[str, Any], where: str) -> Tables:
    """Read one file of reviews.

    Yields:
        Tables of its rows, in order.

    Raises:
        InputError: the format is unknown, a column is missing, or the file is broken as a whole.
    """
    if path.suffix not in READERS:
        raise InputError(f"{path}: found the ending {path.suffix or 'none'}, {allowed(path.suffix, READERS)}")
    rows = READERS[path.suffix](path, entry["text"], entry["label"], where)
    yield from tables(((*row, str(path)) for row in rows), COLUMNS)


def read_tree(folder: Path, entry: Mapping[str, Any]) -> Tables:
    """Read folders of .txt files, one review a file, each folder named by a label word.

    Yields:
        Tables of the reviews, folder by folder.

    Raises:
        InputError: a folder's name is no label word, or there is no .txt file at all.
    """
    yield from tables(_read_folders(folder, entry), COLUMNS)


def _read_folders(folder: Path, entry: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Read text, label, problem and source of each .txt file."""
    words = [str(word) for group in entry["labels"].values() for word in group]
    found = False
    for child in sorted(folder.iterdir()):
        if not child.is_dir() or child.name == UNLABELLED_FOLDER:
            continue
        if child.name.casefold() not in map(str.casefold, words):
            raise InputError(f"{child}: a folder of reviews is named by its label, {allowed(child.name, words)}")
        for file in sorted(child.glob("*.txt"), key=lambda file: (len(file.name), file.name)):
            text = file.read_bytes().decode("utf-8-sig", errors="surrogateescape")
            yield text, child.name, encoding_problem(text), str(file)
            found = True
    if not found:
        raise InputError(f"{folder}: no .txt file in its folders")


def encoding_problem(*values: Any) -> str:
    """Say whether a value held bytes that are no UTF-8 (kept as surrogates by the reader)."""
    for value in values:
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode("utf-8")
            except UnicodeEncodeError:
                return "not UTF-8"
    return ""


def _check_columns(path: Path, found: Sequence[str], wanted: tuple[str, str], where: str) -> None:
    """Refuse a file that lacks a column."""
    for key, name in zip(("text", "label"), wanted, strict=True):
        if name not in found:
            raise InputError(
                f"{path}: no column {name}, which {where}.{key} names; the file has: {allowed(name, found)[9:]}"
            )


def _read_csv(path: Path, text: str, label: str, where: str, delimiter: str = ",") -> Iterator[Row]:
    """Read a delimited file with a header, as the csv module and spreadsheets quote it."""
    csv.field_size_limit(sys.maxsize)
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            header = next(reader, [])
            _check_columns(path, header, (text, label), where)
            at_text, at_label = header.index(text), header.index(label)
            for fields in reader:
                if len(fields) == len(header):
                    yield fields[at_text], fields[at_label], encoding_problem(*fields)
                elif fields:  # the csv module gives [] for a blank line
                    yield "", "", f"fields unlike the header's {len(header)}"
        except csv.Error as error:
            raise InputError(f"{path}: broken near line {reader.line_num}: {error}; is a quote left open?") from error


def _read_tsv(path: Path, text: str, label: str, where: str) -> Iterator[Row]:
    """Read a tab-delimited file with a header."""
    return _read_csv(path, text, label, where, delimiter="\t")


def _read_jsonl(path: Path, text: str, label: str, where: str) -> Iterator[Row]:
    """Read one JSON object a line."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        lines = (json_object(line) for line in file if line.strip())
        yield from _from_records(path, lines, text, label, where)


def json_object(line: str) -> tuple[dict[str, Any], str]:
    """Read one line of a jsonl file: the object, or its problem."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return {}, "not JSON"
    return (record, "") if isinstance(record, dict) else ({}, "not a JSON object")


def _from_records(
    path: Path, records: Iterable[tuple[Mapping[str, Any], str]], text: str, label: str, where: str
) -> Iterator[Row]:
    """Take text and label out of JSON objects, each with its problem; what an object lacks is None.

    Raises:
        InputError: at the end, when not one of the objects has a key that is wanted.
    """
    keys: dict[str, None] | None = None
    for record, problem in records:
        if problem:
            yield "", "", problem
        else:
            keys = keys or {}
            keys.update(dict.fromkeys(record))
            yield record.get(text), record.get(label), encoding_problem(record.get(text))
    if keys is not None:
        _check_columns(path, list(keys), (text, label), where)


def _read_json(path: Path, text: str, label: str, where: str) -> Iterator[Row]:
    """Read a JSON list of objects, as a whole."""
    try:
        records = json.loads(path.read_bytes().decode("utf-8-sig", errors="surrogateescape"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON: {error}") from error
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise InputError(f"{path}: must be a JSON list of objects; one object a line is a .jsonl file")
    yield from _from_records(path, ((record, "") for record in records), text, label, where)


def _read_parquet(path: Path, text: str, label: str, where: str) -> Iterator[Row]:
    """Read two columns of a parquet file."""
    try:
        file = pq.ParquetFile(path, buffer_size=READ_BUFFER, pre_buffer=False)
        _check_columns(path, file.schema_arrow.names, (text, label), where)
        for batch in file.iter_batches(TABLE_ROWS, columns=[text, label]):
            batch.validate(full=True)  # else a string that is no UTF-8 stops the program further on
            for row in zip(batch[text].to_pylist(), batch[label].to_pylist(), strict=True):
                yield *row, ""
    except (ArrowException, OSError) as error:
        raise InputError(f"{path}: not readable as parquet: {error}") from error


READERS: dict[str, Callable[[Path, str, str, str], Iterator[Row]]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".json": _read_json,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}


def read_snapshot(folder: Path, entry: Mapping[str, Any], where: str) -> dict[str, Tables]:
    """Read the split files of a downloaded hub dataset.

    Args:
        folder: the snapshot.
        entry: the catalog entry; `splits` gives a file pattern for each split.
        where: the entry's place, for messages.

    Returns:
        Split name to tables; each file's rows are numbered anew.

    Raises:
        InputError: a pattern fits no file, or leads out of the snapshot.
    """
    splits = {}
    for split, pattern in entry["splits"].items():
        files = sorted(_matching(folder, plain_pattern(pattern, f"{where}.splits.{split}")))
        if not files:
            raise InputError(f"{folder}: no file fits {pattern}, which {where}.splits.{split} names")
        splits[split] = _read_shards(files, folder, entry, where)
    return splits


def _read_shards(files: list[Path], folder: Path, entry: Mapping[str, Any], where: str) -> Tables:
    """Read files one after another, each named by its place in the folder."""
    for file in files:
        for table in read_file(file, entry, where):
            yield table.assign(source=str(file.relative_to(folder)))


def _matching(folder: Path, pattern: str) -> Iterator[Path]:
    """Find the files whose path below the folder fits a pattern, in which * crosses folders as on the hub."""
    from fnmatch import fnmatch

    for file in folder.rglob("*"):
        if file.is_file() and fnmatch(file.relative_to(folder).as_posix(), pattern):
            yield file

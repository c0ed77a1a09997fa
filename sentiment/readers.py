"""Read labelled reviews from files: csv, tsv, json, jsonl, parquet, a folder of split files, or the IMDb tree.

Every reader gives a table with the columns text, label (as found), source (the file), source_row (counted from 1,
a header not counted) and problem (what makes the row unreadable, else empty). Problems are judged by the caller.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
from pyarrow import ArrowException

from sentiment.errors import InputError, allowed
from sentiment.names import SPLITS

COLUMNS = ("text", "label", "source", "source_row", "problem")
UNLABELLED_FOLDER = "unsup"  # the IMDb archive keeps its unlabelled reviews there

Row = tuple[Any, Any, str]  # text, label, problem


def read_local(path: Path, entry: Mapping[str, Any], where: str) -> dict[str, pd.DataFrame]:
    """Read reviews from a file or a folder.

    Args:
        path: a file; a folder with train.* and perhaps validation.* and test.*; or a folder of folders named by label
            words and full of .txt files, either straight inside or under train, validation and test.
        entry: the catalog entry: `text` and `label` name the columns, `labels` the label words.
        where: the entry's place, for messages, such as `catalog.yaml: datasets.reviews`.

    Returns:
        Split name to table. A source without splits gives the one key `all`.

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


def read_file(path: Path, entry: Mapping[str, Any], where: str) -> pd.DataFrame:
    """Read one file of reviews.

    Raises:
        InputError: the format is unknown, a column is missing, or the file is broken as a whole.
    """
    if path.suffix not in READERS:
        raise InputError(f"{path}: found the ending {path.suffix or 'none'}, {allowed(path.suffix, READERS)}")
    rows = READERS[path.suffix](path, entry["text"], entry["label"], where)
    table = pd.DataFrame(rows, columns=["text", "label", "problem"], dtype=object)
    return _located(table, str(path))


def _located(table: pd.DataFrame, source: str | list[str]) -> pd.DataFrame:
    """Add where each row stands."""
    return table.assign(source=source, source_row=range(1, len(table) + 1))[list(COLUMNS)]


def read_tree(folder: Path, entry: Mapping[str, Any]) -> pd.DataFrame:
    """Read folders of .txt files, one review a file, each folder named by a label word.

    Raises:
        InputError: a folder's name is no label word, or there is no .txt file at all.
    """
    words = [str(word) for group in entry["labels"].values() for word in group]
    rows: list[Row] = []
    sources: list[str] = []
    for child in sorted(folder.iterdir()):
        if not child.is_dir() or child.name == UNLABELLED_FOLDER:
            continue
        if child.name.casefold() not in map(str.casefold, words):
            raise InputError(f"{child}: a folder of reviews is named by its label, {allowed(child.name, words)}")
        for file in sorted(child.glob("*.txt"), key=lambda file: (len(file.name), file.name)):
            text = file.read_bytes().decode("utf-8-sig", errors="surrogateescape")
            rows.append((text, child.name, encoding_problem(text)))
            sources.append(str(file))
    if not rows:
        raise InputError(f"{folder}: no .txt file in its folders")
    return _located(pd.DataFrame(rows, columns=["text", "label", "problem"], dtype=object), sources)


def encoding_problem(*values: Any) -> str:
    """Say whether a value held bytes that are no UTF-8 (kept as surrogates by the reader)."""
    for value in values:
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode("utf-8")
            except UnicodeEncodeError:
                return "not UTF-8"
    return ""


def _check_columns(path: Path, found: list[str], wanted: tuple[str, str], where: str) -> None:
    """Refuse a file that lacks a column."""
    for key, name in zip(("text", "label"), wanted, strict=True):
        if name not in found:
            raise InputError(
                f"{path}: no column {name}, which {where}.{key} names; the file has: {allowed(name, found)[9:]}"
            )


def _read_csv(path: Path, text: str, label: str, where: str, delimiter: str = ",") -> list[Row]:
    """Read a delimited file with a header, as the csv module and spreadsheets quote it."""
    csv.field_size_limit(sys.maxsize)
    rows: list[Row] = []
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            header = next(reader, [])
            _check_columns(path, header, (text, label), where)
            at_text, at_label = header.index(text), header.index(label)
            for fields in reader:
                if len(fields) == len(header):
                    problem = encoding_problem(*fields)
                    rows.append((fields[at_text], fields[at_label], problem))
                elif fields:  # the csv module gives [] for a blank line
                    rows.append(("", "", f"fields unlike the header's {len(header)}"))
        except csv.Error as error:
            raise InputError(f"{path}: broken near line {reader.line_num}: {error}; is a quote left open?") from error
    return rows


def _read_tsv(path: Path, text: str, label: str, where: str) -> list[Row]:
    """Read a tab-delimited file with a header."""
    return _read_csv(path, text, label, where, delimiter="\t")


def _read_jsonl(path: Path, text: str, label: str, where: str) -> list[Row]:
    """Read one JSON object a line."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        lines = [json_object(line) for line in file if line.strip()]
    records = [record for record, problem in lines if not problem]
    _check_keys(path, records, (text, label), where)
    return [("", "", problem) if problem else _from_record(record, text, label) for record, problem in lines]


def json_object(line: str) -> tuple[dict[str, Any], str]:
    """Read one line of a jsonl file: the object, or its problem."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return {}, "not JSON"
    return (record, "") if isinstance(record, dict) else ({}, "not a JSON object")


def _check_keys(path: Path, records: list[dict[str, Any]], wanted: tuple[str, str], where: str) -> None:
    """Refuse a file none of whose JSON objects has a key that is wanted."""
    if records:
        _check_columns(path, list(dict.fromkeys(key for record in records for key in record)), wanted, where)


def _from_record(record: Mapping[str, Any], text: str, label: str) -> Row:
    """Take text and label out of a JSON object; what it lacks is None."""
    return record.get(text), record.get(label), encoding_problem(record.get(text))


def _read_json(path: Path, text: str, label: str, where: str) -> list[Row]:
    """Read a JSON list of objects."""
    try:
        records = json.loads(path.read_bytes().decode("utf-8-sig", errors="surrogateescape"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON: {error}") from error
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise InputError(f"{path}: must be a JSON list of objects; one object a line is a .jsonl file")
    _check_keys(path, records, (text, label), where)
    return [_from_record(record, text, label) for record in records]


def _read_parquet(path: Path, text: str, label: str, where: str) -> list[Row]:
    """Read two columns of a parquet file."""
    try:
        file = pq.ParquetFile(path)
        _check_columns(path, file.schema_arrow.names, (text, label), where)
        table = file.read(columns=[text, label])
        table.validate(full=True)
    except (ArrowException, OSError) as error:
        raise InputError(f"{path}: not readable as parquet: {error}") from error
    texts, labels = table[text].to_pylist(), table[label].to_pylist()
    return [(t, lab, "") for t, lab in zip(texts, labels, strict=True)]


READERS: dict[str, Callable[[Path, str, str, str], list[Row]]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".json": _read_json,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}


def read_snapshot(folder: Path, entry: Mapping[str, Any], where: str) -> dict[str, pd.DataFrame]:
    """Read the split files of a downloaded hub dataset.

    Args:
        folder: the snapshot.
        entry: the catalog entry; `splits` gives a file pattern for each split.
        where: the entry's place, for messages.

    Returns:
        Split name to table.

    Raises:
        InputError: a pattern fits no file.
    """
    tables = {}
    for split, pattern in entry["splits"].items():
        files = sorted(_matching(folder, pattern))
        if not files:
            raise InputError(f"{folder}: no file fits {pattern}, which {where}.splits.{split} names")
        parts = [read_file(file, entry, where).assign(source=str(file.relative_to(folder))) for file in files]
        tables[split] = pd.concat(parts, ignore_index=True)
    return tables


def _matching(folder: Path, pattern: str) -> Iterator[Path]:
    """Find the files whose path below the folder fits a pattern, in which * crosses folders as on the hub."""
    from fnmatch import fnmatch

    for file in folder.rglob("*"):
        if file.is_file() and fnmatch(file.relative_to(folder).as_posix(), pattern):
            yield file

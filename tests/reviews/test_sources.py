"""Guards the readers: every format gives the rows that other tools wrote, and broken input is told, not guessed at."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sentiment.pipeline.errors import InputError
from sentiment.reviews import sources

WHERE = "catalog.yaml: datasets.reviews"
LABELS = {"negative": [0, "negative", "neg"], "positive": [1, "positive", "pos"]}
ENTRY: dict[str, Any] = {"text": "Review", "label": "Label", "labels": LABELS}

TEXTS = [
    "plain",
    'commas, and "quotes", too',
    "two\nlines",
    "Windows\r\nlines",
    "a\ttab; a semicolon",
    " blanks around ",
]
TEXTS += ["Ünïcode ☕ 電影", "a line separator\u2028and a next line\x85 inside", "it's <br /> fine \\n"]
WRITERS: dict[str, Callable[[pd.DataFrame, Path], Any]] = {
    ".csv": lambda table, path: table.to_csv(path, index=False),
    ".tsv": lambda table, path: table.to_csv(path, index=False, sep="\t"),
    ".json": lambda table, path: table.to_json(path, orient="records"),
    ".jsonl": lambda table, path: table.to_json(path, orient="records", lines=True, force_ascii=False),
    ".parquet": lambda table, path: table.to_parquet(path),
}


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def whole(chunks: sources.Chunks) -> pd.DataFrame:
    """Join the chunks of a split."""
    columns = ("text", "label", "problem", "source", "source_row")
    rows = [row for c in chunks for row in zip(c.texts, c.labels, c.problems, c.sources, c.numbers, strict=True)]
    return pd.DataFrame(rows, columns=list(columns), dtype=object)


def read_local(path: Path, entry: dict[str, Any] = ENTRY) -> dict[str, pd.DataFrame]:
    return {split: whole(chunks) for split, chunks in sources.read_local(path, entry, WHERE).items()}


def read(path: Path) -> list[tuple[Any, ...]]:
    """Give text, label, row and problem of each row; the source must be the file."""
    table = whole(sources.read_file(path, ENTRY, WHERE))
    assert set(table["source"]) <= {str(path)}
    return list(table[["text", "label", "source_row", "problem"]].itertuples(index=False, name=None))


@pytest.mark.parametrize("ending", WRITERS)
def test_what_pandas_wrote_is_read_back_whole_and_in_order(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"reviews{ending}"
    WRITERS[ending](pd.DataFrame({"id": range(9), "Label": [1, 0] * 4 + [1], "Review": TEXTS}), path)
    rows = read(path)
    assert [row[0] for row in rows] == TEXTS
    assert [str(row[1]) for row in rows] == ["1", "0"] * 4 + ["1"]
    assert [row[2] for row in rows] == list(range(1, 10))
    assert {row[3] for row in rows} == {""}


@pytest.mark.parametrize("ending", WRITERS)
def test_a_long_file_comes_in_several_chunks_numbered_through(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "READ_ROWS", 4)
    path = tmp_path / f"reviews{ending}"
    WRITERS[ending](pd.DataFrame({"Review": TEXTS, "Label": [1] * 9}), path)
    chunks = [chunk for chunk in sources.read_file(path, ENTRY, WHERE) if chunk.numbers]
    assert [list(chunk.numbers) for chunk in chunks] == [[1, 2, 3, 4], [5, 6, 7, 8], [9]]
    assert [text for chunk in chunks for text in chunk.texts] == TEXTS


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".json", ".jsonl"])
def test_a_byte_order_mark_is_no_part_of_the_first_column(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"reviews{ending}"
    WRITERS[ending](pd.DataFrame({"Review": ["good"], "Label": ["pos"]}), path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read(path) == [("good", "pos", 1, "")]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_rows_count_from_one_whatever_ends_the_lines(newline: str, tmp_path: Path) -> None:
    """The header is not counted, a quoted line break makes no row, nor does a blank line."""
    lines = ["Review,Label", '"one\nstill one",1', "", "two,0", "three,1"]
    path = write(tmp_path / "reviews.csv", newline.join(lines))
    assert read(path) == [("one\nstill one", "1", 1, ""), ("two", "0", 2, ""), ("three", "1", 3, "")]


def test_ragged_rows_are_problems_of_their_own_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "reviews.csv", "Review,Label,stars\ngood,1,5\nbad\nbad,0,1,9\nfine,1,\n")
    problem = "fields unlike the header's 3"
    assert read(path) == [("good", "1", 1, ""), ("", "", 2, problem), ("", "", 3, problem), ("fine", "1", 4, "")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("reviews.csv", "Review,Label\ngood,1\ncafé,1\nbad,0\n"),
        ("reviews.jsonl", "".join(f'{{"Review": "{text}", "Label": 1}}\n' for text in ("good", "café", "bad"))),
        ("reviews.json", '[{"Review": "good"}, {"Review": "café", "Label": 1}, {"Review": "bad"}]'),
    ],
)
def test_latin_1_bytes_are_a_problem_of_their_row_alone(name: str, content: str, tmp_path: Path) -> None:
    rows = read(write(tmp_path / name, content.encode("latin-1")))
    assert [row[3] for row in rows] == ["", "not UTF-8", ""]


def test_latin_1_bytes_in_a_txt_file_are_a_problem_of_that_file(tmp_path: Path) -> None:
    write(tmp_path / "pos" / "1.txt", "café".encode("latin-1"))
    write(tmp_path / "neg" / "1.txt", "café")
    table = read_local(tmp_path)["all"]
    assert list(table["source"]) == [str(tmp_path / "neg" / "1.txt"), str(tmp_path / "pos" / "1.txt")]
    assert list(table["problem"]) == ["", "not UTF-8"]


def test_a_parquet_string_that_is_not_utf_8_is_reported(tmp_path: Path) -> None:
    offsets = pa.array([0, 4], pa.int32()).buffers()[1]
    text = pa.StringArray.from_buffers(1, offsets, pa.py_buffer("café".encode("latin-1")))
    pq.write_table(pa.table({"Review": text, "Label": [1]}), tmp_path / "reviews.parquet")
    with pytest.raises(InputError, match=r"reviews\.parquet.*UTF"):
        read(tmp_path / "reviews.parquet")


def test_broken_lines_of_jsonl_are_problems_of_their_own_rows(tmp_path: Path) -> None:
    lines = ['{"Review": "good", "Label": 1}', '{"Review": "cut', "", "[1, 2]", '{"Review": "no label"}']
    assert read(write(tmp_path / "reviews.jsonl", "\n".join(lines))) == [
        ("good", 1, 1, ""),
        (None, None, 2, "not JSON"),
        (None, None, 3, "not a JSON object"),
        ("no label", None, 4, ""),
    ]


def test_a_key_may_first_appear_far_down_a_jsonl_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "READ_ROWS", 2)
    lines = [json.dumps({"Review": "good"})] * 5 + [json.dumps({"Review": "bad", "Label": 0})]
    rows = read(write(tmp_path / "reviews.jsonl", "\n".join(lines)))
    assert [row[1] for row in rows] == [None] * 5 + [0]


@pytest.mark.parametrize("key", ["Review", "Label"])
def test_json_objects_without_a_key_have_none_there(key: str, tmp_path: Path) -> None:
    records = [{"Review": "good", "Label": 1}, {k: v for k, v in (("Review", "bad"), ("Label", 0)) if k != key}]
    expected = (None if key == "Review" else "bad", None if key == "Label" else 0, 2, "")
    assert read(write(tmp_path / "reviews.json", json.dumps(records)))[1] == expected
    lines = "\n".join(json.dumps(record) for record in records)
    assert read(write(tmp_path / "reviews.jsonl", lines))[1] == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('Review,Label\n"open,1\nbad,0\n', r"reviews\.csv: broken near line 3: .*; is a quote left open\?"),
        ('Review,Label\n"good" or not,1\n', r"reviews\.csv: broken near line 2: .*; is a quote left open\?"),
        ("", r"reviews\.csv: empty; nothing to read"),
        ("\n", r"reviews\.csv: no column Review"),
    ],
)
def test_a_csv_broken_as_a_whole_is_refused(content: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read(write(tmp_path / "reviews.csv", content))


@pytest.mark.parametrize("ending", WRITERS)
@pytest.mark.parametrize(("key", "wanted", "there"), [("text", "Review", "review"), ("label", "Label", "label")])
def test_a_missing_column_is_reported(ending: str, key: str, wanted: str, there: str, tmp_path: Path) -> None:
    """The message names the file, the column, the catalog's key and the columns found."""
    path = tmp_path / f"reviews{ending}"
    table = pd.DataFrame({"id": [1], "Review": ["good"], "Label": [1]}).rename(columns={wanted: there})
    WRITERS[ending](table, path)
    with pytest.raises(InputError) as caught:
        read(path)
    columns = ", ".join(table.columns)
    assert str(caught.value) == (
        f"{path}: no column {wanted}, which {WHERE}.{key} names; the file has: {columns} (did you mean {there}?)"
    )


@pytest.mark.parametrize(("name", "ending"), [("reviews.xlsx", ".xlsx"), ("reviews.jsonn", ".jsonn"), ("raw", "none")])
def test_an_unknown_ending_is_reported_with_those_allowed(name: str, ending: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, "Review,Label\n")
    allowed = r"allowed: \.csv, \.tsv, \.json, \.jsonl, \.parquet"
    with pytest.raises(InputError, match=rf"{name}: found the ending {ending}, {allowed}"):
        read_local(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("reviews.json", '[{"Review": ', "not JSON: Expecting value"),
        ("reviews.json", '{"Review": "good"}', r"must be a JSON list of objects; .* \.jsonl file"),
        ("reviews.json", "[" * 100_000, "not JSON"),
        ("reviews.parquet", b"", "not readable as parquet"),
        ("reviews.parquet", b"PAR1 and then nothing", "not readable as parquet"),
    ],
)
def test_broken_json_and_parquet_files_are_refused(name: str, content: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"{name}: {message}"):
        read(write(tmp_path / name, content))


def test_a_parquet_file_damaged_in_the_middle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "reviews.parquet"
    pd.DataFrame({"Review": ["x" * 1000] * 5, "Label": [1] * 5}).to_parquet(path)
    content = bytearray(path.read_bytes())
    content[4:40] = b"\xff" * 36
    with pytest.raises(InputError, match=r"reviews\.parquet: not readable as parquet"):
        read(write(path, bytes(content)))


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".json", ".jsonl"])
def test_utf_16_is_refused_by_name(ending: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"reviews\{ending}: written in UTF-16, must be UTF-8"):
        read(write(tmp_path / f"reviews{ending}", "Review,Label\ngood,1\n".encode("utf-16")))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("reviews.csv", b"Review,Label\ngood,1\nok fine,\xff\n"),
        ("reviews.jsonl", b'{"Review": "good", "Label": 1}\n{"Review": "ok fine", "Label": "\\ud800"}\n'),
        ("reviews.json", b'[{"Review": "good", "Label": 1}, {"Review": "ok fine", "Label": "\xff"}]'),
    ],
)
def test_bytes_in_a_label_are_a_problem_of_their_row(name: str, content: bytes, tmp_path: Path) -> None:
    assert [row[3] for row in read(write(tmp_path / name, content))] == ["", "not UTF-8"]


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@pytest.mark.parametrize("column", ["Review", "Label"])
def test_a_column_named_twice_is_refused(column: str, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"reviews{ending}"
    if ending == ".csv":
        write(path, f"Review,Label,{column}\ngood,1,1\n")
    else:
        pq.write_table(pa.table([["good"], ["1"], ["1"]], names=["Review", "Label", column]), path)
    with pytest.raises(InputError, match=rf"reviews\{ending}: has the column {column} 2 times; keep one"):
        read(path)


def test_parquet_reads_none_but_the_wanted_columns(tmp_path: Path) -> None:
    table = pa.table({"Label": [1], "other": ["x"], "Review": ["good"]})
    pq.write_table(table, tmp_path / "reviews.parquet")
    [_, chunk] = sources.read_file(tmp_path / "reviews.parquet", ENTRY, WHERE)
    assert chunk.rows.column_names == ["Review", "Label"]
    assert read(tmp_path / "reviews.parquet") == [("good", 1, 1, "")]


def test_a_folder_named_like_a_text_is_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path / "pos" / "1.txt" / "a", "good")
    with pytest.raises(InputError, match=r"1\.txt: cannot be read: Is a directory"):
        read_local(tmp_path)


def test_split_files_of_any_format_make_the_splits(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "Review,Label\ngood,1\nbad,0\n")
    write(tmp_path / "test.jsonl", '{"Review": "fine", "Label": "pos"}\n')
    write(tmp_path / "notes.txt", "ignored")
    tables = read_local(tmp_path)
    assert list(tables) == ["train", "test"]
    assert [list(table["text"]) for table in tables.values()] == [["good", "bad"], ["fine"]]
    assert list(tables["test"]["source"]) == [str(tmp_path / "test.jsonl")]


def test_the_imdb_tree_is_read_without_its_unlabelled_folder(tmp_path: Path) -> None:
    for split, label, number in [("train", "pos", 2), ("train", "neg", 10), ("test", "pos", 0), ("train", "unsup", 1)]:
        write(tmp_path / split / label / f"{number}_7.txt", f"{split} {label} {number}")
    write(tmp_path / "train" / "pos" / "10_7.txt", "\ufefftrain pos 10")
    write(tmp_path / "train" / "urls_pos.txt", "http://example.org")
    tables = read_local(tmp_path)
    assert list(tables["train"]["text"]) == ["train neg 10", "train pos 2", "train pos 10"]
    assert list(tables["test"]["text"]) == ["test pos 0"]
    assert list(tables["train"]["label"]) == ["neg", "pos", "pos"]
    assert list(tables["train"]["source"])[1] == str(tmp_path / "train" / "pos" / "2_7.txt")


@pytest.mark.parametrize("words", [LABELS, {"negative": ["Neg"], "positive": ["POS"]}])
def test_folders_named_by_label_words_of_any_case_are_one_dataset(words: dict[str, Any], tmp_path: Path) -> None:
    write(tmp_path / "Pos" / "a.txt", "good")
    write(tmp_path / "NEG" / "a.txt", "bad")
    table = read_local(tmp_path, {**ENTRY, "labels": words})["all"]
    assert dict(zip(table["text"], table["label"], strict=True)) == {"bad": "NEG", "good": "Pos"}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["train.csv", "train.tsv"], r"several files for the split train: train\.csv, train\.tsv; keep one"),
        (["test.json", "train.csv", "test.csv"], r"several files for the split test: test\.csv, test\.json; keep one"),
        ([], r"no reviews found there, only nothing; allowed: train\.csv"),
        (["test.csv", "notes.txt"], r"no reviews found there, only notes\.txt, test\.csv; allowed: train\.csv"),
        (["posi/1.txt"], r"posi: a folder of reviews is named by its label, allowed: .* \(did you mean pos\?\)"),
        (["pos/1.csv", "neg/1.csv"], r"no \.txt file in its folders"),
        (["train/unsup/1.txt"], r"train: no \.txt file in its folders"),
    ],
)
def test_a_folder_that_holds_no_dataset_is_reported_apart(files: list[str], message: str, tmp_path: Path) -> None:
    for name in files:
        write(tmp_path / name, "Review,Label\ngood,1\n")
    with pytest.raises(InputError, match=message):
        read_local(tmp_path)


def test_a_path_that_is_not_there_is_reported_with_the_key_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv: no such file or folder; catalog\.yaml: datasets\.reviews\.path"):
        read_local(tmp_path / "none.csv")


def test_snapshot_patterns_cross_folders_and_join_shards_in_order(tmp_path: Path) -> None:
    shards = [f"plain/train-0000{number}.csv" for number in range(8)]
    for name in (*shards[::-1], "plain/test-00000.csv", "README.md"):
        write(tmp_path / name, f"Review,Label\n{name} a,1\n{name} b,0\n")
    entry = {**ENTRY, "splits": {"train": "*train-*.csv", "test": "plain/test*"}}
    tables = {split: whole(parts) for split, parts in sources.read_snapshot(tmp_path, entry, WHERE).items()}
    assert list(tables) == ["train", "test"]
    assert list(tables["train"]["text"]) == [f"{shard} {letter}" for shard in shards for letter in "ab"]
    assert list(tables["train"]["source"]) == [shard for shard in shards for _ in "ab"]
    assert list(tables["train"]["source_row"]) == [1, 2] * 8
    with pytest.raises(InputError, match=r"no file fits \*val\*, which catalog\.yaml: datasets\.reviews\.splits\.val"):
        sources.read_snapshot(tmp_path, {**ENTRY, "splits": {"validation": "*val*"}}, WHERE)
    (tmp_path.parent / "secret.csv").write_text("text,label\nmine,1\n")
    for pattern in ("../*", "/etc/*", "data/../../*", "", 5):
        with pytest.raises(InputError, match=r"splits\.train: found .*; allowed: (plain names|a file pattern)"):
            sources.read_snapshot(tmp_path, {**ENTRY, "splits": {"train": pattern}}, WHERE)

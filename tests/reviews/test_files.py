"""Streams of rows: what pandas wrote comes in whole, in chunks, and every row that is no use says why."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from itertools import chain, cycle, islice
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sentiment.pipeline.errors import InputError
from sentiment.reviews.files import READERS, Chunk, Column, Problems, batched, judge, shown
from tests.reviews.test_sources import TEXTS

FORMATS = ("csv", "tsv", "json", "jsonl", "parquet")
HEADED = ("csv", "tsv", "parquet")  # their first chunk has no rows
WRITE: dict[str, Callable[[pd.DataFrame, Path], Any]] = {
    "csv": lambda table, path: table.to_csv(path, index=False),
    "tsv": lambda table, path: table.to_csv(path, index=False, sep="\t"),
    "json": lambda table, path: table.to_json(path, orient="records"),
    "jsonl": lambda table, path: table.to_json(path, orient="records", lines=True, force_ascii=False),
    "parquet": lambda table, path: table.to_parquet(path, index=False),
}
LABELS: dict[str, list[Any]] = {"negative": [0, "Negative", "neg"], "positive": [1, "positive", "POS"]}


def chunks(form: str, content: bytes, size: int = 3, column: str = "text") -> list[Chunk]:
    reading = READERS[form](io.BytesIO(content), f"reviews.{form}", [Column(column)], size)
    return [chunk.judged() for chunk in reading]


def judged(form: str, content: str | bytes, size: int = 3) -> list[tuple[int, Any, str]]:
    """Number, text and problem of every row."""
    content = content.encode() if isinstance(content, str) else content
    found = chunks(form, content, size)
    return [row for c in found for row in zip(c.numbers, c.texts, c.problems, strict=True)]


@pytest.mark.parametrize("size", [1, 4, 100])
@pytest.mark.parametrize("form", FORMATS)
def test_what_pandas_wrote_comes_in_whole_and_in_order_in_chunks(form: str, size: int, tmp_path: Path) -> None:
    table = pd.DataFrame({"id": range(len(TEXTS)), "text": TEXTS, "stars": [0.5] * len(TEXTS)})
    path = tmp_path / f"reviews.{form}"
    WRITE[form](table, path)
    found = chunks(form, path.read_bytes(), size)
    assert [text for chunk in found for text in chunk.texts] == TEXTS
    assert [number for chunk in found for number in chunk.numbers] == list(range(1, len(TEXTS) + 1))
    assert {problem for chunk in found for problem in chunk.problems} == {""}
    assert max(len(chunk.numbers) for chunk in found) == min(size, len(TEXTS))
    assert len(found) == -(-len(TEXTS) // size) + (form in HEADED)


@pytest.mark.parametrize("form", ["csv", "jsonl", "text"])
def test_no_more_is_read_than_the_chunk_asked_for(form: str) -> None:
    """Of a stream without end, the first chunk is to be had."""
    lines = {"csv": b"text\n", "jsonl": b"", "text": b""}[form]
    row = {"csv": b"good\n", "jsonl": b'{"text": "good"}\n', "text": b"good\n"}[form]

    class Endless(io.RawIOBase):
        content = chain(lines, cycle(row))

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            buffer[:] = bytes(islice(self.content, len(buffer)))
            return len(buffer)

    reading = READERS[form](io.BufferedReader(Endless()), "endless", [Column("text")], 1000)
    texts = next(reading).texts or next(reading).texts
    assert texts == ["good"] * 1000
    assert list(batched(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(batched([], 3)) == []


def test_rows_without_a_use_say_why_and_count_as_rows() -> None:
    assert judged("csv", "id,text\n1,good\n2,\n\n3,  \n4,a,b\n5\n6,fine\n") == [
        (1, "good", ""),
        (2, "", "empty text"),
        (3, "  ", "empty text"),
        (4, "", "fields unlike the header's 2"),
        (5, "", "fields unlike the header's 2"),
        (6, "fine", ""),
    ]
    lines = ['{"text": "good"}', "", '{"text": 3}', '{"text": null}', '{"id": 1}', "[1]", "{", '{"text": " "}']
    assert judged("jsonl", "\n".join(lines)) == [
        (1, "good", ""),
        (2, 3, "text that is no string"),
        (3, None, "empty text"),
        (4, None, "empty text"),
        (5, None, "not a JSON object"),
        (6, None, "not JSON"),
        (7, " ", "empty text"),
    ]
    assert judged("text", "good\n\r\nbad\n") == [(1, "good", ""), (2, "", "empty text"), (3, "bad", "")]


@pytest.mark.parametrize(
    ("form", "content"),
    [
        ("csv", "text,note\ngood,\nfine,café\ncafé,\nbad,\n"),
        ("jsonl", '{"text": "good"}\n{"text": "fine", "note": "café"}\n{"text": "café"}\n{"text": "bad"}\n'),
        ("json", '[{"text": "good"}, {"text": "fine", "note": "café"}, {"text": "café"}, {"text": "bad"}]'),
        ("text", "good\nfine é\ncafé\nbad\n"),
    ],
)
def test_latin_1_bytes_are_a_problem_of_their_row_alone(form: str, content: str) -> None:
    assert [row[2] for row in judged(form, content.encode("latin-1"))] == ["", "not UTF-8", "not UTF-8", ""]


def test_half_a_character_escaped_in_json_is_a_problem_of_its_row() -> None:
    assert [row[2] for row in judged("jsonl", '{"text": "\\ud83d\\ude00"}\n{"text": "\\ud83d"}')] == ["", "not UTF-8"]


@pytest.mark.parametrize(
    ("header", "form"),
    [("id,text", "csv"), ('"text","label"\r', "csv"), ("label\ttext", "tsv"), ("\ufefftext, id", "csv")],
)
def test_a_table_among_plain_texts_is_refused_with_the_option_that_reads_it(header: str, form: str) -> None:
    with pytest.raises(InputError, match=rf"looks like the header of a {form} file .* --format {form}"):
        judged("text", f"{header}\ngood,1\n")
    assert [row[1] for row in judged("text", "text\nmy text, all good\n")] == ["text", "my text, all good"]
    assert judged("text", "\ufeff") == []


@pytest.mark.parametrize("form", ["csv", "tsv", "json", "jsonl", "text"])
def test_a_byte_order_mark_is_no_part_of_the_content(form: str) -> None:
    content = {"json": '[{"text": "good"}]', "jsonl": '{"text": "good"}\n', "text": "good\n"}.get(form, "text\ngood\n")
    assert judged(form, b"\xef\xbb\xbf" + content.encode()) == [(1, "good", "")]


@pytest.mark.parametrize("form", ["csv", "tsv", "json", "jsonl", "text"])
def test_utf_16_and_nothing_at_all_are_reported(form: str) -> None:
    with pytest.raises(InputError, match=rf"reviews\.{form}: written in UTF-16, must be UTF-8"):
        chunks(form, "text\ngood\n".encode("utf-16"))
    with pytest.raises(InputError, match=rf"reviews\.{form}: empty; nothing to read"):
        chunks(form, b"")


def test_broken_files_are_reported_by_name() -> None:
    with pytest.raises(InputError, match=r"reviews\.csv: broken near line 3.*quote"):
        chunks("csv", b'text\ngood\n"bad\n')
    with pytest.raises(InputError, match=r"reviews\.csv: the header is not UTF-8"):
        chunks("csv", "text,né\ngood,1\n".encode("latin-1"))
    for content in (b"", b"PAR1 and so on"):
        with pytest.raises(InputError, match=r"reviews\.parquet: not readable as parquet"):
            chunks("parquet", content)


@pytest.mark.parametrize("form", FORMATS)
def test_a_missing_column_is_reported_with_those_that_are_there(form: str, tmp_path: Path) -> None:
    path = tmp_path / f"reviews.{form}"
    WRITE[form](pd.DataFrame({"id": [1], "Texts": ["good"]}), path)
    with pytest.raises(
        InputError, match=r"no column text, which --column names; .* has: id, Texts \(did you mean Texts\?\)"
    ):
        chunks(form, path.read_bytes())


def test_a_parquet_column_of_numbers_is_reported_with_its_type(tmp_path: Path) -> None:
    pd.DataFrame({"text": [1, 2]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(InputError, match="the column text holds int64, must hold strings"):
        chunks("parquet", (tmp_path / "a.parquet").read_bytes())


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_every_type_of_string_in_parquet_is_text(kind: pa.DataType, tmp_path: Path) -> None:
    column = pa.array(["good", None, "bad"]).cast(kind)
    pq.write_table(pa.table({"text": column}), tmp_path / "a.parquet")
    content = (tmp_path / "a.parquet").read_bytes()
    assert judged("parquet", content) == [(1, "good", ""), (2, None, "empty text"), (3, "bad", "")]


@pytest.mark.parametrize("form", FORMATS)
def test_only_usable_rows_stay_with_their_numbers(form: str, tmp_path: Path) -> None:
    path = tmp_path / f"reviews.{form}"
    WRITE[form](pd.DataFrame({"id": [1, 2, 3], "text": ["good", " ", "bad"]}), path)
    good = chunks(form, path.read_bytes(), 10)[-1].usable()
    assert (list(good.numbers), good.texts, good.problems) == ([1, 3], ["good", "bad"], ["", ""])
    rows = good.rows.to_pylist() if form == "parquet" else good.rows
    ids = [row[0] for row in rows] if form in ("csv", "tsv") else [row["id"] for row in rows]
    assert list(map(int, ids)) == [1, 3]


@pytest.mark.parametrize("form", FORMATS)
def test_new_columns_must_have_new_names(form: str, tmp_path: Path) -> None:
    path = tmp_path / f"reviews.{form}"
    WRITE[form](pd.DataFrame({"text": ["good"], "predicted": ["?"]}), path)
    [*_, last] = chunks(form, path.read_bytes())
    last.check_free(["mine_predicted"], "reviews")
    with pytest.raises(InputError, match=r"reviews: has the column\(s\) predicted already.*--prefix"):
        last.check_free(["predicted", "other"], "reviews")


def found(problems: list[str], labels: list[Any] | None = None, first: int = 1, source: str = "reviews.csv") -> Chunk:
    """A chunk of rows with those problems."""
    numbers, nothing = range(first, first + len(problems)), [""] * len(problems)
    return Chunk([source] * len(problems), numbers, [], (), nothing, labels or [None] * len(problems), problems)


def described(*chunks: Chunk) -> list[str]:
    problems = Problems(LABELS)
    for chunk in chunks:
        problems.add(chunk)
    assert problems.total == sum(map(bool, (problem for chunk in chunks for problem in chunk.problems)))
    return problems.describe().split("\n  ")


def test_problems_are_counted_and_the_first_ten_rows_of_each_are_named() -> None:
    kinds = {3: "not UTF-8", 4: ""}
    parts = [found([kinds.get(row, "empty text") for row in range(start, start + 8)], first=start) for start in (1, 9)]
    assert described(*parts) == [
        "reviews.csv: empty text in row 1, 2, 5, 6, 7, 8, 9, 10, 11, 12 and 4 more",
        "reviews.csv: not UTF-8 in row 3",
    ]


def test_problems_name_the_file_and_the_labels_that_are_allowed() -> None:
    unknown = ["unknown label"] * 6
    parts = [
        found(["", *unknown], ["neg", *["maybe"] * 6]),
        found([*unknown, "empty text"], [*["maybe"] * 6, 1], first=8),
        found(["unknown label", ""], ["maybe", 1], source="a.csv"),
    ]
    allowed = "(found 'maybe'; allowed negative: 0, Negative, neg; positive: 1, positive, POS)"
    assert described(*parts) == [
        f"a.csv: unknown label in row 1 {allowed}",
        "reviews.csv: empty text in row 14",
        f"reviews.csv: unknown label in row 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 more {allowed}",
    ]


def test_usable_rows_are_no_problems() -> None:
    assert described(found(["", ""])) == [""]


def test_the_first_ten_odd_labels_are_shown() -> None:
    [line] = described(found(["unknown label"] * 29, [2] * 12 + list(range(3, 20))))
    assert "(found 2, 3, 4, 5, 6, 7, 8, 9, 10, 11; allowed" in line
    assert "in row 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 19 more" in line


def test_ten_problems_are_all_shown_and_odd_labels_are_quoted_once() -> None:
    [line] = described(found(["unknown label"] * 10, [2, " ?", [1], {"a": 1}, 2, 2, 2, 2, 2, 2]))
    assert "in row 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 (found 2, ' ?', [1], {'a': 1}; allowed" in line


def test_many_bad_files_are_reported_in_ten_lines() -> None:
    lines = described(*[found(["empty text"], source=f"data/raw/{n:02}.txt") for n in range(13)])
    assert len(lines) == 11
    assert lines[-1] == "and 3 more such lines"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("good", ""),
        ("  \n\t", "empty text"),
        ("\u200b\ufeff<br />&nbsp;", "empty text"),
        ("\x00", "empty text"),
        ("\u3164", "empty text"),
        ("<", ""),
        (None, "empty text"),
        (float("nan"), "empty text"),
        (7, "text that is no string"),
        (b"good", "text that is no string"),
        ([float("nan")], "text that is no string"),
    ],
)
def test_a_text_is_a_string_that_is_not_blank(text: Any, problem: str) -> None:
    assert judge(text) == problem
    assert judge(text, "not JSON") == "not JSON"


def test_what_a_file_holds_is_shown_escaped_and_cut() -> None:
    assert shown("plain ☕") == "plain ☕"
    assert shown("\x1b]0;title\x07 \udcff\n") == "\\x1b]0;title\\x07 \\udcff\\n"
    assert shown("a" * 4000) == "a" * 100 + "..."


def test_a_header_of_control_bytes_or_without_end_is_shown_escaped_and_cut() -> None:
    for header in (b"\x1b]0;a,b\n", b"x" * 5_000_000 + b"\n", b"x," * 100_000 + b"\n"):
        with pytest.raises(InputError, match="no column text") as caught:
            chunks("csv", header)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 1000


def test_an_odd_label_is_shown_escaped_and_cut() -> None:
    [line] = described(found(["unknown label"] * 2, ["\x1b[2J", "9" * 4000]))
    assert line.isprintable()
    assert len(line) < 400


def twice(form: str) -> bytes:
    if form in ("csv", "tsv"):
        return b"text\ttext\n1\t2\n".replace(b"\t", b"," if form == "csv" else b"\t")
    stream = io.BytesIO()
    pq.write_table(pa.table([["good"], ["bad"]], names=["text", "text"]), stream)
    return stream.getvalue()


@pytest.mark.parametrize("form", HEADED)
def test_a_column_that_is_there_twice_is_refused(form: str) -> None:
    with pytest.raises(InputError, match=rf"reviews\.{form}: has the column text 2 times; keep one"):
        chunks(form, twice(form))


def test_json_objects_come_through_unchanged() -> None:
    record = {"text": "☕", "n": 12345678901234567890, "x": 0.1, "nested": {"a": [1, None]}}
    [chunk] = chunks("jsonl", json.dumps(record).encode())
    assert chunk.rows == [record]

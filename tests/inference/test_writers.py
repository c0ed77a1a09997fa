"""Rows go out as they came in, with the new columns behind them: pandas and pyarrow read them back."""

from __future__ import annotations

import io
import json
import os
import stat
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sentiment.inference.writers import ROW_GROUP, WRITERS, replacing
from sentiment.pipeline.errors import InputError
from sentiment.reviews.files import READERS, Column
from tests.reviews.test_sources import TEXTS

COLUMNS: dict[str, type] = {"predicted": str, "probability_positive": float}
LABELS = ["positive", None, "negative"] * 3
SHARES = [0.25, 1.0, 0.1234567] * 3


class Pipe(io.BytesIO):
    """A stream that, like a pipe, does not know its place."""

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        raise OSError("Illegal seek")


def copied(form: str, content: bytes, size: int = 4, out: str | None = None) -> bytes:
    """Send content through a reader and a writer, with the columns above added to nine rows."""
    target, done = Pipe(), 0
    writer = WRITERS[out or form](target, COLUMNS)
    for chunk in READERS[form](io.BytesIO(content), "rows", [Column("text")], size):
        end = done + len(chunk.numbers)
        writer.write(chunk, {"predicted": LABELS[done:end], "probability_positive": SHARES[done:end]})
        done = end
    writer.close()
    return target.getvalue()


def with_columns(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(predicted=LABELS[: len(table)], probability_positive=SHARES[: len(table)])


@pytest.mark.parametrize("form", ["csv", "tsv"])
def test_fields_stay_to_the_letter_and_new_ones_follow(form: str) -> None:
    delimiter = {"csv": ",", "tsv": "\t"}[form]
    texts = [*TEXTS[:-1], "a lone\rreturn"]
    table = pd.DataFrame({"id": ["007"] * 9, "text": texts, "": ["1.10"] * 9})
    content = table.to_csv(index=False, sep=delimiter, quoting=1).encode()
    found = pd.read_csv(io.BytesIO(copied(form, content)), sep=delimiter, dtype=str, keep_default_na=False)
    assert found["text"].tolist() == texts
    assert set(found["id"]) == {"007"}
    assert set(found.iloc[:, 2]) == {"1.10"}
    assert list(found)[3:] == ["predicted", "probability_positive"]
    assert found["predicted"].tolist() == [label or "" for label in LABELS]
    assert found["probability_positive"].tolist() == ["0.250000", "1.000000", "0.123457"] * 3


def test_two_columns_of_one_name_both_stay() -> None:
    content = copied("csv", b"text,a,a\ngood,1,2\n")
    assert content == b"text,a,a,predicted,probability_positive\ngood,1,2,positive,0.250000\n"


def test_json_objects_keep_keys_types_and_order() -> None:
    records = [{"b": [1, {"c": None}], "text": text, "a": 1.5, "big": 12345678901234567890} for text in TEXTS]
    content = "\n".join(map(json.dumps, records)).encode()
    found = [json.loads(line) for line in copied("jsonl", content).decode().split("\n")[:-1]]
    assert json.loads(copied("json", json.dumps(records).encode())) == found
    for record, source, label, share in zip(found, records, LABELS, SHARES, strict=True):
        assert record == {**source, "predicted": label, "probability_positive": share}
        assert list(record) == [*source, "predicted", "probability_positive"]


def test_fields_can_go_out_as_json_objects() -> None:
    content = copied("csv", 'id,text\n1,"good, ☕"\n'.encode(), out="jsonl").decode()
    assert content.count("\n") == 1
    assert "☕" in content
    assert json.loads(content) == {
        "id": "1", "text": "good, ☕", "predicted": "positive", "probability_positive": 0.25,
    }  # fmt: skip


def test_parquet_keeps_types_nulls_and_what_pandas_noted(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "text": TEXTS,
            "kind": pd.Categorical(["a", "b", "a"] * 3),
            "when": pd.date_range("2024-01-01", periods=9, tz="UTC"),
            "stars": pd.array([1, None, 3] * 3, dtype="Int8"),
            "words": [["a", "b"], [], None] * 3,
        },
        index=pd.Index(range(10, 19), name="key"),
    )
    table.to_parquet(tmp_path / "in.parquet", row_group_size=2)
    content = copied("parquet", (tmp_path / "in.parquet").read_bytes())
    pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(content)), with_columns(table))
    before = pq.read_schema(tmp_path / "in.parquet")
    after = pq.read_schema(io.BytesIO(content))
    assert [after.field(name) for name in before.names] == list(before)
    assert [after.field(name).type for name in COLUMNS] == [pa.string(), pa.float64()]


def test_parquet_is_written_in_large_groups() -> None:
    count, target = ROW_GROUP + 10, io.BytesIO()
    source = io.BytesIO()
    pq.write_table(pa.table({"text": ["good"] * count}), source)
    writer = WRITERS["parquet"](target, COLUMNS)
    for chunk in READERS["parquet"](io.BytesIO(source.getvalue()), "rows", [Column("text")], 1024):
        rows = len(chunk.numbers)
        writer.write(chunk, {"predicted": ["positive"] * rows, "probability_positive": [0.5] * rows})
    writer.close()
    metadata = pq.ParquetFile(target).metadata
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [ROW_GROUP, 10]


def test_an_empty_json_list_goes_out_as_one() -> None:
    assert json.loads(copied("json", b"[]")) == []


@pytest.mark.parametrize("form", ["csv", "tsv", "parquet"])
def test_no_rows_in_give_the_columns_and_no_rows_out(form: str, tmp_path: Path) -> None:
    content = b"text\n"
    if form == "parquet":
        pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "a.parquet")
        content = (tmp_path / "a.parquet").read_bytes()
    found = copied(form, content)
    read: Any = pd.read_parquet if form == "parquet" else pd.read_csv
    table = read(io.BytesIO(found), **({"sep": "\t"} if form == "tsv" else {}))
    assert (list(table), len(table)) == (["text", *COLUMNS], 0)


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_bytes(b"before")
    with pytest.raises(TypeError), replacing(path) as stream:
        stream.writelines([b"half", "no bytes"])  # type: ignore[list-item]
    assert [file.name for file in tmp_path.iterdir()] == ["out.csv"]
    assert path.read_bytes() == b"before"
    with replacing(path) as stream:
        stream.write(b"after")
        stream.flush()
        assert path.read_bytes() == b"before"
    assert path.read_bytes() == b"after"


def test_a_new_file_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with replacing(tmp_path / "out.csv"):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out.csv").stat().st_mode) == 0o640


def test_a_folder_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"out\.csv: cannot be written there: No such file"),
        replacing(tmp_path / "no" / "out.csv"),
    ):
        pass

"""Guards the written tables and numbers: equal content is equal bytes, and what is read is what was written."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sentiment.pipeline.artifacts import (
    read_csv,
    read_json,
    rounded,
    write_csv,
    write_json,
    write_parquet,
)
from tests.conftest import ROOT

TEXTS = ["plain", "a, comma", 'a "quote"', "two\nlines", "Windows\r\nlines", "", " blanks ", "é 漢 🙂", "tab\there"]

WRITE_ALL = """
import sys
from pathlib import Path
import pandas as pd
from sentiment.pipeline.artifacts import write_csv, write_json, write_parquet

folder = Path(sys.argv[1])
table = pd.DataFrame({"id": [1, 2, 3], "text": ["a", "é, b", "c\\nd"], "p": [0.1, 1 / 3, 2e-7], "ok": True})
facts = {word: {other: len(word) / 7 for other in {"x", "y", "z"}} for word in {"beta", "alpha", "gamma"}}
writers = [
    lambda: write_parquet(folder / "t.parquet", table),
    lambda: write_csv(folder / "t.csv", table),
    lambda: write_json(folder / "t.json", facts),
]
for write in writers if sys.argv[2] == "forth" else reversed(writers):
    write()
"""


def written(path: Path, content: Any) -> str:
    write_json(path, content)
    return path.read_bytes().decode("utf-8")


def test_a_p_value_keeps_digits_however_small_it_is(tmp_path: Path) -> None:
    written(tmp_path / "f.json", {"gain": {"mcnemar_p": 1.23456789e-20, "accuracy": 1.23456789e-20}})
    assert read_json(tmp_path / "f.json") == {"gain": {"mcnemar_p": 1.23457e-20, "accuracy": 0.0}}


def test_json_is_sorted_indented_rounded_and_ends_in_one_newline(tmp_path: Path) -> None:
    content = {"b": 1 / 3, "a": {"d": [1, 2.00000049], "c": "é"}, "B": None, "e": True}
    assert written(tmp_path / "f.json", content) == (
        '{\n  "B": null,\n  "a": {\n    "c": "é",\n    "d": [\n      1,\n      2.0\n    ]\n  },\n'
        '  "b": 0.333333,\n  "e": true\n}\n'
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1234565001, "0.123457"),
        (1e-7, "0.0"),
        (-1e-7, "0.0"),
        (-0.0, "0.0"),
        (-0.25, "-0.25"),
        (2e-05, "2e-05"),
        (1.0, "1.0"),
        (3, "3"),
        (True, "true"),
        (12345678.1234564, "12345678.123456"),
        (np.float64(0.1), "0.1"),
        (np.float32(0.1), "0.1"),  # 0.100000001490116 in double precision
        (np.int64(7), "7"),
        (np.bool_(True), "true"),
        (np.str_("x"), '"x"'),
    ],
)
def test_a_value_is_written_so(value: Any, text: str, tmp_path: Path) -> None:
    assert written(tmp_path / "f.json", {"v": value}) == f'{{\n  "v": {text}\n}}\n'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), np.float64("nan"), np.float32("inf")])
@pytest.mark.parametrize("wrap", [lambda v: {"v": v}, lambda v: [{"v": [1, (v,)]}], lambda v: {"a": {"b": v}}])
def test_a_number_that_is_not_finite_is_refused_and_nothing_is_written(value: Any, wrap: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not finite"):
        write_json(tmp_path / "f.json", wrap(value))
    assert not (tmp_path / "f.json").exists()


def test_equal_content_in_another_order_is_equal_bytes(tmp_path: Path) -> None:
    first = written(tmp_path / "1.json", {"a": {"x": 1.0, "y": 2}, "b": [{"p": 0.1, "q": 0.2}]})
    assert written(tmp_path / "2.json", {"b": ({"q": 0.2 + 1e-12, "p": 0.1},), "a": {"y": 2, "x": 1.0}}) == first


def test_json_is_read_as_it_was_written(tmp_path: Path) -> None:
    content = {"text": 'é "x" \u2028 \\', "rows": [{"n": 1, "share": 0.5}], "none": None}
    write_json(tmp_path / "deep" / "er" / "f.json", content)
    assert read_json(tmp_path / "deep" / "er" / "f.json") == content
    assert json.loads((tmp_path / "deep" / "er" / "f.json").read_bytes()) == content


def test_rounding_leaves_the_content_given_as_it_was() -> None:
    content = {"a": [1 / 3]}
    assert rounded(content) == {"a": [0.333333]}
    assert content == {"a": [1 / 3]}


def test_csv_has_six_digits_and_unix_line_ends(tmp_path: Path) -> None:
    table = pd.DataFrame({"step": [1, 20], "loss": [0.69314718, 2.0], "rate": [2e-7, 1e6], "ok": [True, False]})
    table.index = pd.Index([5, 3])
    write_csv(tmp_path / "t.csv", table)
    assert (tmp_path / "t.csv").read_bytes() == (
        b"step,loss,rate,ok\n1,0.693147,0.000000,True\n20,2.000000,1000000.000000,False\n"
    )


def test_csv_texts_come_back_through_the_standard_library(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", pd.DataFrame({"id": range(len(TEXTS)), "text": TEXTS}))
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        assert [row["text"] for row in csv.DictReader(file)] == TEXTS


def test_a_lone_carriage_return_in_a_text_does_not_break_its_csv_row(tmp_path: Path) -> None:
    """Reviews from JSON or parquet may hold one; a reader takes it for a line end unless it is quoted."""
    write_csv(tmp_path / "t.csv", pd.DataFrame({"id": [1, 2], "text": ["old\rMac", "next"]}))
    assert pd.read_csv(tmp_path / "t.csv").to_dict("list") == {"id": [1, 2], "text": ["old\rMac", "next"]}


def test_parquet_gives_the_table_back_without_its_index(tmp_path: Path) -> None:
    table = pd.DataFrame({"id": [1, 2], "text": ["é\r\n", ""], "p": [1 / 3, 1e-300], "ok": [True, False]}, index=[9, 4])
    write_parquet(tmp_path / "deep" / "t.parquet", table)
    found = pd.read_parquet(tmp_path / "deep" / "t.parquet")
    pd.testing.assert_frame_equal(found, table.reset_index(drop=True), check_exact=True)
    assert list(found.columns) == ["id", "text", "p", "ok"]


def test_csv_is_read_as_columns_of_numbers_and_texts(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b'step,log_loss,text\n0,0.693147,"a\nb, c"\n10,1e-06,\n')
    found = read_csv(tmp_path / "t.csv")
    assert found == {"step": [0, 10], "log_loss": [0.693147, 1e-06], "text": ["a\nb, c", ""]}
    assert list(map(type, [found["step"][0], found["log_loss"][0]])) == [int, float]


def test_an_empty_table_keeps_its_columns(tmp_path: Path) -> None:
    table = pd.DataFrame({"id": pd.Series([], dtype="int64"), "text": pd.Series([], dtype="str")})
    write_parquet(tmp_path / "t.parquet", table)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "t.parquet"), table)
    write_csv(tmp_path / "t.csv", table)
    assert (tmp_path / "t.csv").read_bytes() == b"id,text\n"


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    """Each has another hash seed, so another order of sets, and another order of writing."""
    for seed, order in (("1", "forth"), ("2", "back")):
        (tmp_path / seed).mkdir()
        subprocess.run(
            [sys.executable, "-c", WRITE_ALL, str(tmp_path / seed), order],
            check=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
    for name in ("t.parquet", "t.csv", "t.json"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes(), name


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    table = pd.DataFrame({"text": TEXTS, "p": np.linspace(0, 1, len(TEXTS))})
    for name, write in (("t.csv", write_csv), ("t.parquet", write_parquet)):
        write(tmp_path / name, table)
        first = (tmp_path / name).read_bytes()
        write(tmp_path / name, table.copy())
        assert (tmp_path / name).read_bytes() == first

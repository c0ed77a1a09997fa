"""The command predict: the same rows out as in, whatever the format; what cannot be used, and how it ends."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sentiment.__main__ import SIGPIPE_STATUS
from sentiment.cli import predict
from sentiment.cli.options import Options
from sentiment.inference.predictor import Predictor
from sentiment.pipeline.errors import InputError
from tests.conftest import ROOT, TEXTS, help_of, parsed_by
from tests.inference.test_predictor import ROUNDING, finetuned
from tests.reviews.test_files import FORMATS, WRITE

READ: dict[str, Callable[..., pd.DataFrame]] = {
    "csv": pd.read_csv,
    "tsv": lambda source: pd.read_csv(source, sep="\t"),
    "json": pd.read_json,
    "jsonl": lambda source: pd.read_json(source, lines=True),
    "parquet": pd.read_parquet,
}
NEW = ["predicted", "probability_positive", "model_revision"]


@pytest.fixture(scope="module")
def folder(tiny_models: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fine-tuned folder that no test changes."""
    return finetuned(tiny_models("gpt2"), tmp_path_factory.mktemp("finetuned") / "gpt2")


def command(*words: object, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "sentiment", "predict", *map(str, words)],
        cwd=ROOT,
        input=given,
        capture_output=True,
        check=False,
    )


def options(*inputs: object, **choices: Any) -> Options:
    """The defaults of the command line, with changes."""
    parsed = parsed_by(predict, "predict", *map(str, inputs))
    return Options(**{**vars(parsed), **choices})


def reviews(count: int = 40) -> pd.DataFrame:
    """Rows of very unequal length, with columns beside the text."""
    texts = [" ".join(TEXTS[: 1 + i % 3]) if i % 2 else TEXTS[i % len(TEXTS)] + " so" * (i % 7) for i in range(count)]
    return pd.DataFrame({"id": range(count), "comment": texts, "stars": [i % 5 + 0.5 for i in range(count)]})


def check(found: pd.DataFrame, rows: pd.DataFrame, folder: Path) -> None:
    """Compare with one text at a time through the Python API."""
    predictor = Predictor.load(folder, batch_size=1)
    assert list(found) == [*rows, *NEW]
    pd.testing.assert_frame_equal(found[list(rows)], rows, check_dtype=False)
    expected = [predictor([text])[0] for text in rows["comment"]]
    assert found["predicted"].tolist() == [answer.label for answer in expected]
    stated = np.array([answer.probability_positive for answer in expected])
    assert np.abs(found["probability_positive"] - stated).max() < ROUNDING
    assert np.ptp(stated) > 0.1
    assert set(found["model_revision"]) == {predictor.revision}


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_goes_out_as_it_came_in_with_the_answers_behind(form: str, folder: Path, tmp_path: Path) -> None:
    rows = reviews()
    WRITE[form](rows, tmp_path / f"in.{form}")
    given = (tmp_path / f"in.{form}", "--model", folder, "--column", "comment", "--chunk-rows", 7, "--batch-size", 3)
    result = command(*given)
    assert (result.returncode, result.stderr) == (0, b"")
    check(READ[form](io.BytesIO(result.stdout)), rows, folder)


def test_standard_input_and_texts_give_the_same_answers(folder: Path) -> None:
    lines = "".join(f"{text}\n" for text in TEXTS).encode()
    given = command("-", "--model", folder, given=lines)
    words = command(*TEXTS, "--model", folder, "--json")
    assert (given.returncode, words.returncode, given.stderr, words.stderr) == (0, 0, b"", b"")
    table = pd.read_csv(io.BytesIO(given.stdout), sep="\t")
    assert list(table) == ["text", *NEW]
    assert table["text"].tolist() == TEXTS
    objects = [json.loads(line) for line in words.stdout.decode().splitlines()]
    assert [list(entry) for entry in objects] == [["text", *NEW]] * len(TEXTS)
    assert [entry["text"] for entry in objects] == TEXTS
    assert np.allclose([entry["probability_positive"] for entry in objects], table["probability_positive"], atol=2e-6)
    assert [entry["predicted"] for entry in objects] == table["predicted"].tolist()


def test_a_reader_that_has_seen_enough_is_no_error_message(folder: Path, tmp_path: Path) -> None:
    """Far more rows than a pipe holds, one chunk at a time, into a reader that takes one line."""
    pd.DataFrame({"text": ["Fine."] * 4000, "note": ["x" * 100] * 4000}).to_csv(tmp_path / "in.csv")
    process = subprocess.Popen(
        [sys.executable, "-m", "sentiment", "predict", tmp_path / "in.csv", "--model", folder, "--chunk-rows", "50"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout
    assert process.stderr
    assert process.stdout.readline().startswith(b",text,note,predicted")
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == SIGPIPE_STATUS


def test_errors_end_with_status_1_and_slips_of_the_command_line_with_2(folder: Path, tmp_path: Path) -> None:
    result = command(tmp_path / "none.csv", "--model", folder)
    assert (result.returncode, result.stdout) == (1, b"")
    assert result.stderr.decode() == f"error: {tmp_path / 'none.csv'}: no such file\n"
    result = command("-", "--model", folder, given=b"good\n\nbad\n")
    assert (result.returncode, result.stdout) == (1, b"")
    assert b"standard input: empty text in row 2\n" in result.stderr
    assert b"Traceback" not in result.stderr
    assert command().returncode == 2
    assert command("good", "--batch-size", 0).returncode == 2


def test_help_brings_nothing_heavy() -> None:
    heavy = ("torch", "transformers", "dvc", "pandas", "pyarrow", "numpy")
    shown, loaded = help_of("predict", heavy)
    assert loaded == []
    assert "--on-bad-rows" in shown


def test_one_text_loads_no_library_that_only_training_needs(folder: Path) -> None:
    code = (
        f"import runpy, sys\nsys.argv[1:] = ['predict', 'Fine.', '--model', {str(folder)!r}]\n"
        "runpy.run_module('sentiment', run_name='__main__')\n"
        "heavy = {'peft', 'datasets', 'sklearn', 'pandas', 'transformers.trainer', 'transformers'}\n"
        "print(sorted(heavy & {*sys.modules}))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "['transformers']"


def peak(*words: object) -> int:
    """Peak resident memory of one run, in bytes, as Linux counts it from the program's start.

    `resource.getrusage` will not do: a child begins there with what its parent has.
    """
    code = (
        f"import re, runpy, sys\nsys.argv[1:] = {['predict', *map(str, words)]!r}\n"
        "runpy.run_module('sentiment', run_name='__main__')\n"
        "print(re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read())[1])"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return int(result.stdout) * 1024


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="no /proc to read the peak from")
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_memory_does_not_grow_with_the_rows(form: str, folder: Path, tmp_path: Path) -> None:
    """Ten times the rows, 90 MB more of them, may take 45 MB more; without a change, peaks differ by up to 25 MB."""
    generator, peaks = np.random.default_rng(0), []
    for count in (2_000, 20_000):
        notes = generator.integers(0, 16, (count, 5_000)).astype(np.uint8)
        table = pd.DataFrame({"text": TEXTS[4], "note": [bytes(row + 97).decode() for row in notes]})
        source = tmp_path / f"{count}.{form}"
        WRITE[form](table, source)
        target = tmp_path / f"out.{form}"
        peaks.append(peak(source, "--model", folder, "--output", target, "--threads", 1))
        assert len(READ[form](target)) == count
    assert peaks[1] - peaks[0] < 45e6, peaks


def run(*inputs: object, **choices: Any) -> None:
    predict.run(options(*inputs, **choices))


@pytest.mark.parametrize("form", FORMATS)
def test_bad_rows_are_all_named_before_the_model_is_loaded_or_left_out(
    form: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = reviews(12)
    rows.loc[[2, 9], "comment"] = " "
    source, target = tmp_path / f"in.{form}", tmp_path / f"out.{form}"
    WRITE[form](rows, source)
    chosen = {"column": "comment", "output": target, "chunk_rows": 5}
    with pytest.raises(InputError) as caught:
        run(source, model="no such model", **chosen)
    assert "2 row(s) cannot be used" in str(caught.value)
    assert f"{source}: empty text in row 3, 10\n" in str(caught.value)
    assert "--on-bad-rows drop" in str(caught.value)
    assert not target.exists()
    run(source, model=str(folder), on_bad_rows="drop", **chosen)
    assert f"rows left out:\n  {source}: empty text in row 3, 10\n" in capsys.readouterr().err
    check(READ[form](target), rows.drop([2, 9]).reset_index(drop=True), folder)


@pytest.mark.parametrize(
    ("inputs", "choices", "told"),
    [
        (("in.csv", "A text."), {}, "in.csv: found beside other words"),
        (("-", "A text."), {}, "-: found beside other words"),
        (("none.jsonl",), {}, "none.jsonl: no such file"),
        (("in.jsn",), {}, r"in.jsn: found the ending .jsn, allowed: .*\(did you mean .json\?\)"),
        (("in.txt",), {}, r"allowed: .csv, .*; one text a line: python -m sentiment predict - < in.txt"),
        (("sub/folder",), {}, "sub/folder: found the ending none"),
        (("in.csv",), {"column": "Comment"},
         r"no column Comment, which --column names; the file has: id, comment, stars \(did you mean comment"),
        (("in.csv",), {"column": "comment", "output": Path("o.jsonl")}, "found the ending .jsonl, allowed: .csv for"),
        (("Good.",), {"output": Path("out.parquet")}, "found the ending .parquet, allowed: .tsv, .csv, .jsonl"),
        (("in.parquet",), {"column": "comment", "json": True}, "--json: not for parquet"),
        (("in.csv",), {"column": "comment", "output": Path("no/out.csv")}, "no/out.csv: cannot be written there"),
        (("Good.", " "), {}, "the command line: empty text in row 2"),
        (("Good.", "caf\udce9"), {}, "the command line: not UTF-8 in row 2"),
        (("Good.",), {"model": "nowhere"}, "nowhere: no such folder"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_told(
    inputs: tuple[str, ...],
    choices: dict[str, Any],
    told: str,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for form in FORMATS:
        WRITE[form](reviews(3), tmp_path / f"in.{form}")
    (tmp_path / "in.jsn").touch()
    (tmp_path / "in.txt").touch()
    (tmp_path / "sub/folder").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=told):
        run(*inputs, **{"model": str(folder), **choices})
    assert sorted(tmp_path.rglob("*")) == before


def test_columns_that_are_there_already_need_a_prefix(folder: Path, tmp_path: Path) -> None:
    rows = reviews(5).assign(predicted="?")
    rows.to_csv(tmp_path / "in.csv", index=False)
    chosen = {"column": "comment", "output": tmp_path / "out.csv", "model": str(folder)}
    with pytest.raises(InputError, match=r"in\.csv: has the column\(s\) predicted already"):
        run(tmp_path / "in.csv", **chosen)
    run(tmp_path / "in.csv", prefix="new_", **chosen)
    found = pd.read_csv(tmp_path / "out.csv")
    check(found.drop(columns="predicted").rename(columns=lambda name: name.removeprefix("new_")), reviews(5), folder)


@pytest.mark.parametrize("ending", ["tsv", "csv", "jsonl"])
def test_texts_go_into_the_format_that_the_output_names(ending: str, folder: Path, tmp_path: Path) -> None:
    run(*TEXTS, model=str(folder), output=tmp_path / f"out.{ending}")
    assert READ[ending](tmp_path / f"out.{ending}")["text"].tolist() == TEXTS


def test_texts_on_the_command_line_get_a_table_with_the_probability_of_the_label(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    texts = ["A [bold] film.", *TEXTS]
    run(*texts, model=str(folder))
    shown = capsys.readouterr().out
    predictor = Predictor.load(folder)
    answers = predictor(texts)
    assert {answer.label for answer in answers} == {"negative", "positive"}
    for text, answer in zip(texts, answers, strict=True):
        [line] = [line for line in shown.splitlines() if text[:20] in line]
        positive = answer.probability_positive
        assert f"{answer.label} │" in line
        assert f"{positive if answer.label == 'positive' else 1 - positive:.4f}" in line
    assert predictor.revision[:15] not in shown


@pytest.mark.parametrize("inputs", [("Fine.",), ("in.csv",)])
def test_a_format_is_refused_where_it_would_be_ignored(inputs: tuple[str, ...], folder: Path) -> None:
    with pytest.raises(InputError, match=r"^--format: is for standard input"):
        run(*inputs, model=str(folder), format="jsonl")


def test_a_model_of_generated_texts_is_named_as_such_once_and_no_other(
    folder: Path, tiny_models: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generated = finetuned(tiny_models("gpt2"), tmp_path / "generated", generated_texts=True)
    run(*TEXTS, model=str(generated), chunk_rows=2)
    shown = capsys.readouterr()
    assert shown.err.count("model trained on generated texts only: expect errors on other texts\n") == 1
    assert "generated" not in shown.out
    run(*TEXTS, model=str(folder))
    assert "generated" not in capsys.readouterr().err


def test_no_label_is_an_empty_field_and_null(tiny_models: Callable[[str], Path], tmp_path: Path) -> None:
    unsure = finetuned(tiny_models("gpt2"), tmp_path / "unsure", abstain_below=1.0)
    for form in FORMATS:
        WRITE[form](reviews(3), tmp_path / f"in.{form}")
        run(tmp_path / f"in.{form}", column="comment", model=str(unsure), output=tmp_path / f"out.{form}")
        assert READ[form](tmp_path / f"out.{form}")["predicted"].isna().all()
    assert b'"predicted": null' in (tmp_path / "out.jsonl").read_bytes()
    assert b",," not in (tmp_path / "in.csv").read_bytes()
    assert (tmp_path / "out.csv").read_bytes().count(b",,") == 3


def test_long_work_says_how_far_and_how_fast_it_is(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every chunk is said here; a run of less than ten seconds says nothing."""
    reviews().to_csv(tmp_path / "in.csv", index=False)
    chosen = {"column": "comment", "output": tmp_path / "out.csv", "model": str(folder), "chunk_rows": 16}
    run(tmp_path / "in.csv", **chosen)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(predict, "SECONDS_BETWEEN_LINES", 0.0)
    run(tmp_path / "in.csv", **chosen)
    lines = [line for line in capsys.readouterr().err.splitlines() if "rows/s" in line]
    assert [line.split(" rows,")[0].strip() for line in lines] == ["0 of 40", "16 of 40", "32 of 40", "40 of 40"]

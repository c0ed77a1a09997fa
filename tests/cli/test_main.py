"""The command line: what it prints, and with which status it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from sentiment.__main__ import SIGPIPE_STATUS
from sentiment.cli import show
from sentiment.cli.options import Options
from sentiment.pipeline.errors import InputError
from tests.conftest import ROOT


def command(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sentiment", *words], cwd=cwd, capture_output=True, text=True, check=False
    )


def test_show_prints_the_table_of_the_committed_metrics() -> None:
    result = command("show")
    assert result.returncode == 0
    assert "accuracy" in result.stdout
    assert "reports/report.html" in result.stdout


def test_show_without_a_run_says_what_to_do(workspace: Path) -> None:
    with pytest.raises(InputError, match="run `dvc repro` first"):
        show.run(Options())


def test_the_help_loads_no_library_that_takes_time() -> None:
    code = (
        "import sys; sys.argv = ['sentiment', 'diff', '--help']\nfrom sentiment.__main__ import main\n"
        "try: main()\nexcept SystemExit: print(sorted({name.split('.')[0] for name in sys.modules}))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "--exact" in result.stdout
    loaded = result.stdout.splitlines()[-1]
    assert "'sentiment'" in loaded
    for heavy in ("numpy", "torch", "transformers", "dvc", "pandas", "safetensors", "matplotlib", "rich"):
        assert f"'{heavy}'" not in loaded


@pytest.mark.parametrize(("given", "found"), [({}, "passive"), ({"OMP_WAIT_POLICY": "active"}, "active")])
def test_threads_that_wait_sleep_unless_told_otherwise_and_an_import_sets_nothing(
    given: dict[str, str], found: str
) -> None:
    code = (
        "import os, sys; sys.argv = ['sentiment', 'check']; import sentiment.__main__ as command\n"
        "before = os.environ.get('OMP_WAIT_POLICY'); command.main(); print(before, os.environ['OMP_WAIT_POLICY'])"
    )
    clean = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=clean | given, capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-1].split() == [given.get("OMP_WAIT_POLICY", "None"), found]


def test_diff_prints_and_draws(tmp_path: Path) -> None:
    for number, folder in enumerate(("one", "two")):
        (tmp_path / folder).mkdir()
        save_file({"m.h.0.w": np.full(4, 2.0 + number)}, tmp_path / folder / "model-m.h.0.safetensors")
    words = ("diff", str(tmp_path / "one"), str(tmp_path / "two"))
    picture = tmp_path / "p.png"
    result = command(*words, "--exact", "--json", "--picture", str(picture))
    assert result.returncode == 0, result.stderr
    [block] = json.loads(result.stdout)["blocks"]
    assert (block["name"], block["norm"], block["relative"]) == ("m.h.0", 2.0, 0.5)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "picture" in command(*words, "--hashes", "--picture", str(picture)).stderr
    assert command(*words, "--hashes", "--exact").returncode == 2
    again = command("diff", words[1], words[1])
    assert (again.returncode, again.stdout) == (1, "")
    assert "one and the same" in again.stderr


def test_an_unknown_command_ends_with_status_2() -> None:
    result = command("chek")
    assert result.returncode == 2
    assert "check" in result.stderr


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ("recipe list >/dev/full", 1, "error: standard output: no space left\n"),
        ("recipe list >&-", 1, "error: standard output is closed; there is nowhere to print to\n"),
        ("recipe flags imdb-gpt2 | true; exit ${PIPESTATUS[0]}", SIGPIPE_STATUS, ""),
        ("predict - <&-", 1, "error: standard input is closed; give texts, a file, or a pipe into -\n"),
    ],
)
def test_a_stream_that_is_closed_or_full_is_no_traceback(words: str, status: int, said: str) -> None:
    line = f"{sys.executable} -m sentiment {words}"
    result = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (status, said)


@pytest.mark.parametrize("path", ["sentiment", "sentiment/__main__.py"])
def test_run_by_its_path_it_says_how_to_run_it(path: str) -> None:
    result = subprocess.run([sys.executable, path, "check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "error: run it from the repository's root, as python -m sentiment\n"


@pytest.mark.parametrize("module", ["sentiment", "stages.base", "stages.tokenize"])
def test_without_the_environment_it_says_how_to_get_it(module: str) -> None:
    """An interpreter that has no packages but the standard library's."""
    result = subprocess.run(
        [sys.executable, "-S", "-m", module], cwd=ROOT, env={"PATH": ""}, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout) == (1, "")
    [line] = result.stderr.splitlines()
    assert line.startswith("error: not installed for ")
    assert line.endswith("run `pip install -r requirements.txt`")


def test_elsewhere_a_missing_file_is_said_with_the_root(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-m", "sentiment", "check"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (1, f"error: params.yaml: no such file here; run it from {ROOT}\n")


def test_an_input_error_ends_with_status_1_and_no_traceback() -> None:
    code = "from sentiment.pipeline.errors import *\ndef f(): raise InputError('no such thing')\nexit_on_input_error(f)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (1, "error: no such thing\n")

"""The command line: what it prints, and with which status it ends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sentiment.__main__ import check, show
from sentiment.errors import InputError
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


def test_check_says_all_well_or_everything_that_is_wrong(workspace: Path, change: Callable[..., None]) -> None:
    check()
    change("params.yaml", **{"seed": "x", "train.epochs": 0})
    with pytest.raises(InputError, match=r"2 problem\(s\)") as caught:
        check()
    assert "seed" in str(caught.value)
    assert "train.epochs" in str(caught.value)


def test_show_without_a_run_says_what_to_do(workspace: Path) -> None:
    with pytest.raises(InputError, match="run `dvc repro` first"):
        show()


def test_an_unknown_command_ends_with_status_2() -> None:
    result = command("chek")
    assert result.returncode == 2
    assert "check" in result.stderr


def test_an_input_error_ends_with_status_1_and_no_traceback() -> None:
    code = "from sentiment.errors import *\ndef f(): raise InputError('no such thing')\nexit_on_input_error(f)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (1, "error: no such thing\n")

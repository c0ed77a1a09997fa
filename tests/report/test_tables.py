"""Tables on the terminal: what is given stands there to the letter, numbers on the right."""

from __future__ import annotations

import pytest
from rich import box

from sentiment.report.tables import print_table


def test_cells_stand_to_the_letter_and_numbers_on_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("[name]", "state", "number"), [("[b]a[/b]", "x", "1"), ("c", ":x:", "10.5")], 2, box=box.ASCII)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "+" not in line] == [
        ["[name]", "state", "number"],
        ["[b]a[/b]", "x", "1"],
        ["c", ":x:", "10.5"],
    ]
    assert lines[-1] == "| c        | :x:   |   10.5 |"


def test_a_narrow_terminal_cuts_no_cell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    print_table(("name", "text"), [("n" * 15, "z" * 40)], 2)
    shown = capsys.readouterr().out
    assert "n" * 15 in shown
    assert shown.count("z") == 40

"""How a difference is shown: every form says the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from sentiment.comparison.models import Block, Difference, compare_models
from sentiment.comparison.views import as_json, as_markdown, block_table, draw, show_difference
from sentiment.evaluation.deltas import WeightDelta
from sentiment.pipeline.errors import InputError
from sentiment.registry.revisions import Tracked

MOVED = WeightDelta(4, 16.0, 25.0, 1.0, 0.5, 3)
ESTIMATED = WeightDelta(400, 16.0, 25.0, 1.0, None, None)


def difference(change: WeightDelta | None = MOVED, how: str = "exact", **parts: Any) -> Difference:
    blocks = [
        Block("m.wte", "unchanged", None, {}),
        Block("m.h.0", "changed", change, {"m.h.0.w": change} if change else {}),
        Block("score", "only in B", None, {}),
    ]
    given = {
        "params": [("train.rate", 0.1, 0.25), ("train.lora", None, "a|b"), ("flag", True, False)],
        "metrics": [("test.accuracy", 0.5, 0.75), ("test.new", None, 1)],
        "data": [("data/raw", Tracked("0123456789abcdef", 1200, 2), Tracked("fedcba9876543210", 5, None))],
        "notes": ["a note"],
        **parts,
    }
    return Difference("main", "exp", how, blocks, **given)


def test_the_table_of_blocks_states_every_measure() -> None:
    heads, rows = block_table(difference())
    assert heads == ["block", "state", "change", "relative", "cosine", "largest", "differ"]
    assert rows == [
        ["m.wte", "unchanged", "0", "0", "1", "0", "0 %"],
        ["m.h.0", "changed", "1", "0.25", "1.000000", "0.5", "75 %"],
        ["score", "only in B", "-", "-", "-", "-", "-"],
    ]


def test_an_estimate_states_only_what_it_knows_and_hashes_no_number() -> None:
    heads, rows = block_table(difference(ESTIMATED, "sketches"))
    assert heads == ["block", "state", "change", "relative", "cosine"]
    assert rows[1][:4] == ["m.h.0", "changed", "1", "0.25"]
    heads, rows = block_table(difference(None, "hashes"))
    assert heads == ["block", "state"]
    assert rows[1] == ["m.h.0", "changed"]


@pytest.mark.parametrize("form", ["table", "json", "md"])
def test_every_form_says_all(form: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    show_difference(difference(), form)
    shown = capsys.readouterr().out
    for word in ("main", "exp", "m.wte", "unchanged", "only in B", "0.25", "train.rate", "test.accuracy", "0.75",
                 "data/raw", "0123456", "a note"):  # fmt: skip
        assert word in shown, word
    if form != "table":
        assert "m.h.0.w" in shown
    if form != "json":
        assert "+0.25" in shown


def test_json_holds_numbers_and_null(capsys: pytest.CaptureFixture[str]) -> None:
    show_difference(difference(ESTIMATED, "sketches"), "json")
    page = json.loads(capsys.readouterr().out)
    assert page == as_json(difference(ESTIMATED, "sketches"))
    assert set(page) == {"first", "second", "how", "blocks", "params", "metrics", "data", "notes"}
    assert page["blocks"][1]["relative"] == 0.25
    assert page["blocks"][1]["share"] is None
    assert page["blocks"][1]["tensors"]["m.h.0.w"]["norm"] == 1.0
    assert page["data"][0]["first"] == {"md5": "0123456789abcdef", "size": 1200, "files": 2}


def test_markdown_is_tables_of_equal_width() -> None:
    page = as_markdown(difference())
    tables = [part.splitlines() for part in page.split("\n\n") if part.startswith("|")]
    assert len(tables) == 5  # blocks, tensors, params, metrics, data
    for lines in tables:
        assert len({line.replace("\\|", "").count("|") for line in lines}) == 1
        assert set(lines[1]) <= set("|- ")
    assert "a\\|b" in page
    assert "## Params" not in as_markdown(difference(params=[]))


def test_a_picture_shows_unchanged_blocks_too_and_twice_the_same(tmp_path: Path) -> None:
    for name in ("1.png", "2.png"):
        draw(difference(), tmp_path / name)
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()
    with pytest.raises(InputError, match="no block has a change in numbers; compare with --exact"):
        draw(difference(None, "hashes"), tmp_path / "3.png")


@pytest.mark.parametrize("how", ["hashes", "sketches", "exact"])
def test_real_folders_are_shown_in_the_order_of_the_layers(how: str, tmp_path: Path) -> None:
    for number, folder in enumerate(("a", "b")):
        (tmp_path / folder).mkdir()
        for block in ("score", "t.wte", "t.ln_f", *(f"t.h.{n}" for n in range(11))):
            value = 1.0 + number * (block in ("t.h.10", "score"))
            save_file({f"{block}.w": np.full((30, 30), value)}, tmp_path / folder / f"model-{block}.safetensors")
    _, rows = block_table(compare_models(str(tmp_path / "a"), str(tmp_path / "b"), ".", None, how))
    assert [row[0] for row in rows] == ["t.wte", *(f"t.h.{n}" for n in range(11)), "t.ln_f", "score"]
    assert [row[0] for row in rows if row[1] == "changed"] == ["t.h.10", "score"]


def test_a_change_from_nothing_has_no_relative_size() -> None:
    born: Callable[[], Difference] = lambda: difference(WeightDelta(4, 0.0, 1.0, 1.0, 0.5, 3))  # noqa: E731
    _, rows = block_table(born())
    assert rows[1][2:5] == ["1", "-", "-"]

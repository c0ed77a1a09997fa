"""The command `choices`: what it lists, and that it writes what the models say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sentiment.cli import choices
from sentiment.pipeline.params import Params
from tests.conftest import ROOT


def test_every_param_is_listed_with_its_limits() -> None:
    listed = {key: (may_be, meaning) for key, may_be, meaning in choices.rows()}
    assert listed["train.warmup_fraction"] == ("number >= 0, <= 1", "share of all steps")
    assert listed["train.frozen_blocks"][0] == "whole number >= 0 or `all`"
    assert listed["tokenize.label_words"][0] == "for each label: list of text"
    assert listed["prepare.train_rows"][0] == "whole number >= 4 or null"
    assert listed["seed"][0] == "whole number >= 0, < 4294967296"
    leaves = [key for key in listed if key.split(".")[0] not in ("seed", "threads", "device")]
    assert {key.split(".")[0] for key in leaves} == Params.model_fields.keys() - {"seed", "threads", "device"}


def test_a_comment_is_replaced_and_the_value_stays() -> None:
    text = "seed: 7  # old\nplot:\n  dpi: 120\n  worst_rows: 3   # '# no comment'\ntokenize:\n  prompt: 'a #1'\n"
    lines = choices.commented(text).splitlines()
    assert lines[0] == "seed: 7                       # whole number; every random choice derives from it"
    assert lines[1] == "plot:"
    assert lines[2] == "  dpi: 120                    # dots per inch of the figures"
    assert lines[5].startswith("  prompt: 'a #1'  ")


def test_the_command_prints_a_table_and_writes_nothing(tmp_path: Path) -> None:
    before = (ROOT / "params.yaml").read_bytes()
    command = [sys.executable, "-m", "sentiment", "choices"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "train.learning_rate" in result.stdout
    assert (ROOT / "params.yaml").read_bytes() == before

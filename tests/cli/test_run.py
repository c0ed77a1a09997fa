"""The command `run`: slips are named before DVC starts, params.yaml stays where it fails, what runs can be kept."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sentiment.cli import run
from sentiment.pipeline.errors import InputError
from tests.conftest import ROOT, parsed_by

STAGES = f"""
stages:
  all:
    cmd: {sys.executable} -c "import shutil; shutil.copy('{ROOT}/metrics.json', 'metrics.json')" && test ! -e broken
    params: [train.epochs]
    metrics:
    - metrics.json:
        cache: false
"""


def tried(*words: str) -> None:
    run.run(parsed_by(run, "run", *words))


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The flags that DVC would be started with."""
    calls: list[list[str]] = []
    monkeypatch.setattr(run, "run_dvc", calls.append)
    monkeypatch.setattr(run, "read_json", lambda _path: {"test": {"accuracy": 0.5, "log_loss": 0.7}})
    return calls


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train.epoch=3"], r"^train.epoch: no such key of params.yaml \(did you mean train.epochs\?\)"),
        (["learning_rate=3"], r"\(did you mean train.learning_rate\?\)"),
        (["model.name=gpt-2", "train.epochs=0"],
         r"(?s)^2 problem.*train.epochs: found 0, must be.*found gpt-2, allowed: .*\(did you mean gpt2\?\)"),
        (["data.name=reviews"], r"data/raw/reviews.csv: no such file"),
        (["train.frozen_blocks=99"], r"must be at most 2"),
        (["train.epochs"], r"^train.epochs: must be KEY=VALUE"),
        (["train.epochs=[1"], r"^train.epochs=\[1: not readable: "),
        (["train.epochs=1,2"], r"several values are tried with --queue alone"),
        (["--queue", "train.epochs=1,x"], r'train.epochs: found "x"'),
    ],
)  # fmt: skip
def test_a_slip_is_named_before_dvc_starts(
    words: list[str], said: str, workspace: Path, started: list[list[str]]
) -> None:
    before = (workspace / "params.yaml").read_bytes()
    with pytest.raises(InputError, match=said):
        tried(*words)
    assert started == []
    assert (workspace / "params.yaml").read_bytes() == before


def test_dvc_gets_every_choice(workspace: Path, started: list[list[str]]) -> None:
    words = ["train.epochs=5", "tokenize.label_words.negative=[awful]", "train.class_weights=balanced"]
    tried(*words, "--name", "mine")
    tried("train.epochs=5,6", "--queue")
    choices = [flag for word in words for flag in ("-S", word)]
    assert started == [[*choices, "--name", "mine"], ["-S", "train.epochs=5,6", "--queue"]]


@pytest.mark.slow
def test_what_fails_leaves_params_as_they_were_and_what_runs_can_be_kept_or_undone(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL"):
        monkeypatch.setenv(f"GIT_{name}", "t@t")
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(workspace / ".dvc/site"))

    def shell(*command: str) -> None:
        subprocess.run(command, check=True)

    shutil.copy(ROOT / "metrics.json", workspace)
    (workspace / "dvc.yaml").write_text(STAGES)
    shell("git", "init", "-q")
    shell(sys.executable, "-m", "dvc", "init", "-q")
    shell(sys.executable, "-m", "dvc", "repro", "-q")
    shell("git", "add", "-A")
    shell("git", "commit", "-qm", "first")
    params, lock = (workspace / "params.yaml").read_bytes(), (workspace / "dvc.lock").read_bytes()
    (workspace / "broken").touch()
    with pytest.raises(InputError, match=r"^the experiment failed"):
        tried("train.epochs=9")
    assert (workspace / "params.yaml").read_bytes() == params
    (workspace / "broken").unlink()
    capfd.readouterr()
    tried("train.epochs=9")
    shown = capfd.readouterr()
    assert b"epochs: 9" in (workspace / "params.yaml").read_bytes()
    [name] = run.experiments()
    accuracy = json.loads((ROOT / "metrics.json").read_text())["test"]["accuracy"]
    assert f"experiment {name}: accuracy {accuracy:.4f}, log loss" in shown.err
    [undo] = [line.split(":", 1)[1].strip() for line in shown.err.splitlines() if "back to the commit" in line]
    shell("sh", "-c", undo.replace("dvc checkout", f"{sys.executable} -m dvc checkout -q"))
    assert ((workspace / "params.yaml").read_bytes(), (workspace / "dvc.lock").read_bytes()) == (params, lock)

"""Scratch folders disturb none of another process, and a stage does not outlive the dvc that runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sentiment.pipeline.paths import SCRATCH
from sentiment.pipeline.scratch import scratch
from tests.conftest import ROOT

HOLD = """
import sys
from sentiment.pipeline.scratch import scratch
with scratch() as folder:
    (folder / "checkpoint").write_text("best")
    print(folder, flush=True)
    sys.stdin.readline()
    print((folder / "checkpoint").read_text(), flush=True)
"""


def hold(folder: Path) -> subprocess.Popen[str]:
    """A process that keeps a file in its scratch folder until it is told to end."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", HOLD]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_two_at_once_do_not_disturb_each_other(workspace: Path) -> None:
    with hold(workspace) as other:
        assert other.stdout
        theirs = Path(other.stdout.readline().strip())
        with scratch() as first, scratch() as second:
            assert len({theirs, first, second}) == 3
            (second / "file").touch()
            assert list(first.iterdir()) == []
            assert all(folder.parent == SCRATCH for folder in (theirs, first, second))
        assert list(SCRATCH.iterdir()) == [theirs]
        assert other.communicate("\n")[0] == "best\n"
    assert list(SCRATCH.iterdir()) == []


def test_what_a_killed_process_has_left_is_removed(workspace: Path) -> None:
    SCRATCH.mkdir(parents=True)
    (SCRATCH / "reviews.arrow").touch()  # as versions before left it
    with hold(workspace) as other:
        assert other.stdout
        theirs = Path(other.stdout.readline().strip())
        other.kill()
        other.wait()
        assert (theirs / "checkpoint").is_file()
        with scratch() as own:
            assert list(SCRATCH.iterdir()) == [own]


def test_it_is_removed_after_an_error_too(workspace: Path) -> None:
    def fail() -> None:
        with scratch() as folder:
            (folder / "file").touch()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(SCRATCH.iterdir()) == []


STAGE = "import os, stages, time; print(os.getpid(), flush=True); time.sleep(600)"
DVC = """
import subprocess, sys
from dvc.stage.run import _make_cmd
subprocess.run(_make_cmd(sys.argv[1], f"{sys.executable} -c '{sys.argv[2]}'"), check=False)
"""


def running(process: int) -> bool:
    """Whether a process is there and no zombie, which the system may leave to a parent that never asks."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks Linux for the state of a process")
@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
def test_a_stage_ends_when_dvc_is_killed(shell: str) -> None:
    """The stage is begun as DVC begins it: by bash, which gives way to it, and by sh, which may wait for it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DVC_STAGE": "train"}
    with subprocess.Popen(
        [sys.executable, "-c", DVC, shell, STAGE], env=environment, stdout=subprocess.PIPE, text=True
    ) as dvc:
        assert dvc.stdout
        stage = int(dvc.stdout.readline())
        try:
            assert running(stage)
            dvc.kill()
            dvc.wait()
            while running(stage):
                time.sleep(0.05)
        finally:
            if running(stage):
                os.kill(stage, signal.SIGKILL)


def test_a_stage_run_by_hand_may_outlive_its_shell() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DVC_STAGE"}
    code = "import stages, threading; print(threading.active_count())"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, check=True)
    assert found.stdout.split() == [b"1"]

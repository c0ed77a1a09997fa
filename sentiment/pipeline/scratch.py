"""A folder of its own for each process that needs room on disk, gone when the process is done."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from sentiment.pipeline.paths import SCRATCH


@contextmanager
def scratch() -> Iterator[Path]:
    """Make an empty folder below `.dvc/tmp/scratch`, and remove it with all it holds at the end.

    What a killed process has left is removed first. A process holds a lock on its folder, which the system takes back
    when the process ends, however it ends, so that the folder of a running process is never removed.

    Yields:
        The folder.
    """
    SCRATCH.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        with _locked(SCRATCH):  # else a folder could be taken for a leftover before its own lock is set
            for folder in SCRATCH.iterdir():
                _remove_leftover(folder)
            own = Path(tempfile.mkdtemp(dir=SCRATCH))
            held.enter_context(_locked(own))
        # it may be gone already; what cannot be removed now goes with the next call
        held.callback(shutil.rmtree, own, ignore_errors=True)
        yield own


def _remove_leftover(path: Path) -> None:
    """Remove a folder whose process has ended."""
    if path.is_file():  # of versions before this one
        path.unlink()
        return
    # a process that runs holds its folder, one that has just ended has removed it
    with suppress(BlockingIOError, FileNotFoundError), _locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB):
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _locked(folder: Path, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold a lock on a folder.

    Raises:
        BlockingIOError: another process holds it, and `how` is not to wait.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)

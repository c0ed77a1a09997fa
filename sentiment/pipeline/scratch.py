"""A folder of its own for each process that needs room on disk, gone when the process is done."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sentiment.pipeline.paths import SCRATCH


@contextmanager
def scratch() -> Iterator[Path]:
    """Make an empty folder below `.dvc/tmp/scratch`, and remove it with all it holds at the end.

    What a killed process has left is removed first. A process holds a lock on its folder, which the system takes back
    when the process ends however it ends, so that nobody removes the folder of one that still runs.

    Yields:
        The folder.
    """
    SCRATCH.mkdir(parents=True, exist_ok=True)
    with _locked(SCRATCH):  # else a folder could be taken for a leftover before its own lock is set
        for folder in SCRATCH.iterdir():
            _remove_leftover(folder)
        own = Path(tempfile.mkdtemp(dir=SCRATCH))
        held = _lock(own, fcntl.LOCK_EX)
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)  # somebody may have removed it; what is left goes with the next call
        os.close(held)


def _remove_leftover(path: Path) -> None:
    """Remove what nobody holds."""
    if path.is_file():  # of versions before this one
        path.unlink()
        return
    try:
        held = _lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, FileNotFoundError):  # its process runs, or has just removed it
        return
    shutil.rmtree(path, ignore_errors=True)
    os.close(held)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder, waiting for it."""
    held = _lock(folder, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(held)


def _lock(folder: Path, how: int) -> int:
    """Lock a folder until the descriptor returned is closed.

    Raises:
        BlockingIOError: another process holds it, and `how` is not to wait.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, how)
    except BlockingIOError:
        os.close(descriptor)
        raise
    return descriptor

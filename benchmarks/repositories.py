"""Scratch git and DVC repositories with a folder as remote: what lies in cache and remote, commands killed midway.

Nothing of the user's own DVC is read or written: settings and site cache lie beside the repository.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

_OBJECT = re.compile(r"[0-9a-f]{30}(\.dir)?")  # a file of a cache or remote; one that is not whole yet ends in .tmp
_SETTINGS = ("GLOBAL_CONFIG", "SYSTEM_CONFIG", "SITE_CACHE")
Objects = dict[str, tuple[int, int, int]]


def objects(folder: Path) -> Objects:
    """Find the whole objects in a cache or remote that nobody is writing to.

    Returns:
        md5, ending in .dir for the list of a folder's files, to bytes, inode and time of change; an object that is
        written again differs in one of the last two.
    """
    found = {file.parent.name + file.name: file.stat() for file in _files(folder) if _OBJECT.fullmatch(file.name)}
    return {name: (stat.st_size, stat.st_ino, stat.st_mtime_ns) for name, stat in found.items()}


def weigh(found: Objects) -> int:
    """Sum the bytes of objects."""
    return sum(seen[0] for seen in found.values())


def written(folder: Path) -> int:
    """Sum the bytes in a cache or remote, those of objects that are not whole yet among them."""
    total = 0
    for file in _files(folder):
        try:
            total += file.stat().st_size
        except FileNotFoundError:  # it has got its final name just now
            continue
    return total


def _files(folder: Path) -> Iterator[Path]:
    """Find the files of a cache or remote."""
    return (folder / "files" / "md5").glob("*/*")


class Repository:
    """A repository and its remote.

    Attributes:
        folder: the repository's root.
        cache: DVC's cache in it.
        remote: the folder that is its remote.
    """

    def __init__(self, folder: Path, beside: Path) -> None:
        """Make the repository.

        Args:
            folder: its root, where files may lie already.
            beside: where the remote and DVC's settings go.
        """
        self.folder, self.cache, self.remote = folder, folder / ".dvc" / "cache", beside / "remote"
        others = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "GIT_"))}
        own = {f"DVC_{name}_DIR": str(beside / name.lower()) for name in _SETTINGS}
        self._notes = beside / "site_cache"
        self.environment = {**others, **own, "DVC_NO_ANALYTICS": "1"}
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "init", "-q"], cwd=folder, check=True)  # noqa: S607  # the git of the user
        self.dvc("init", "-q", "-f")  # stages may have left their scratch folder in .dvc
        self.dvc("config", "core.check_update", "false")
        self.dvc("remote", "add", "-q", "-d", "remote", str(self.remote.resolve()))

    def dvc(self, *words: str) -> None:
        """Run a DVC command to its end.

        Raises:
            RuntimeError: it failed; what it printed.
        """
        with self._start(words) as process:
            printed, _ = process.communicate()
        if process.returncode:
            raise RuntimeError(f"dvc {' '.join(words)}: status {process.returncode}: {printed}")

    def forget(self) -> None:
        """Have DVC forget what it has noted of the files it knows.

        A kill while it notes them, before the first byte is sent or after the last, leaves notes that are not whole and
        that later commands believe: they then say that everything is up to date, and send nothing (DVC 3.67.1).
        """
        shutil.rmtree(self._notes, ignore_errors=True)

    def killed(self, *words: str, when: Callable[[], bool]) -> bool:
        """Run a DVC command and kill it, without a warning (SIGKILL), as soon as something is so.

        Args:
            words: the command; it should print little.
            when: asked again and again.

        Returns:
            Whether it was killed; False if it came to its end before.
        """
        with self._start(words) as process:
            while process.poll() is None:
                if when():
                    process.kill()
                    break
            process.communicate()
        return process.returncode == -signal.SIGKILL

    def _start(self, words: tuple[str, ...]) -> subprocess.Popen[str]:
        """Start a DVC command."""
        return subprocess.Popen(  # noqa: S603  # our own interpreter
            [sys.executable, "-m", "dvc", *words],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

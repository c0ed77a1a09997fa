"""Say on standard error what a stage is doing, so that long work shows progress and outputs stay clean."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


def say(message: str) -> None:
    """Print one line of progress."""
    print(message, file=sys.stderr, flush=True)


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Announce a piece of work and say how many seconds it took."""
    say(f"{what} ...")
    start = time.perf_counter()
    yield
    say(f"{what}: {time.perf_counter() - start:.1f} s")

"""Torch is set up so that memory is kept, and that changes no number."""

from __future__ import annotations

import json
import platform
import subprocess
import sys

import pytest

from sentiment.backbones import torch_setup
from tests.conftest import ROOT

GLIBC = platform.system() == "Linux" and platform.libc_ver()[0] == "glibc"
STEPS = """
import json, resource, sys
import torch
from sentiment.backbones.torch_setup import keep_freed_pages

kept = keep_freed_pages() if sys.argv[1] == "keep" else None
torch.set_num_threads(1)
total = 0.0
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for step in range(20):
    total += float(torch.full((12_000_000,), 1.0 + step).sum())  # 48 MB, freed again
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(json.dumps({"kept": kept, "faults": faults, "total": total}))
"""


def steps(choice: str) -> dict[str, float]:
    """Allocate and free 48 MB twenty times in a process of its own."""
    done = subprocess.run([sys.executable, "-c", STEPS, choice], cwd=ROOT, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(not GLIBC, reason="only glibc's allocator can be told")
def test_large_tensors_are_faulted_in_once_instead_of_every_time() -> None:
    given_back, kept = steps("give back"), steps("keep")
    assert kept["kept"]
    assert kept["total"] == given_back["total"]
    assert kept["faults"] < given_back["faults"] / 5  # by the count of steps, it would be a twentieth


@pytest.mark.parametrize(("system", "library"), [("Darwin", ("", "")), ("Linux", ("", "")), ("Windows", ("", ""))])
def test_other_allocators_are_left_alone(
    system: str, library: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_setup.platform, "system", lambda: system)
    monkeypatch.setattr(torch_setup.platform, "libc_ver", lambda: library)
    monkeypatch.setattr(torch_setup.ctypes, "CDLL", lambda name: pytest.fail("the C library was asked"))
    assert torch_setup.keep_freed_pages() is False

"""Torch is set up so that memory is kept, and that changes no number."""

from __future__ import annotations

import json
import platform
import random
import subprocess
import sys

import numpy as np
import pytest
import torch

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


@pytest.mark.parametrize(("cuda", "mps", "taken"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")])
def test_auto_is_the_first_device_that_is_here_and_says_so(
    cuda: bool, mps: bool, taken: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert torch_setup.find_device("auto", "device") == taken
    assert capsys.readouterr().err == f"device: {taken}\n"
    assert torch_setup.find_device("cpu", "device") == "cpu"
    assert capsys.readouterr().err == ""


def test_every_source_of_random_numbers_is_seeded_as_transformers_does() -> None:
    from transformers import set_seed

    def drawn() -> tuple[float, float, float]:
        return random.random(), np.random.random(), torch.rand(1).item()  # noqa: NPY002

    set_seed(3)
    expected = drawn()
    assert torch_setup.set_up_torch(3, torch.get_num_threads(), "cpu") == "cpu"
    assert drawn() == expected

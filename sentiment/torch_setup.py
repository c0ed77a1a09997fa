"""Bring torch into the state that makes results repeatable: thread count, seeds, deterministic kernels."""

from __future__ import annotations

import os
from typing import Any

import torch
from transformers import set_seed
from transformers.utils import logging

from sentiment.errors import InputError, allowed


def set_up_torch(seed: int, threads: int, device: str) -> None:
    """Seed everything and fix what changes the bits of a result.

    Args:
        seed: the seed of params.yaml.
        threads: CPU threads; the order of floating-point sums depends on it.
        device: cpu, cuda or mps.

    Raises:
        InputError: this machine has no such device.
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available[device]:
        here = allowed(device, [name for name, present in available.items() if present])
        raise InputError(f"params.yaml: device: found {device}, but torch {torch.__version__} sees none here; {here}")
    quiet: Any = logging  # untyped; a head drawn anew is expected here, and reported at length otherwise
    quiet.set_verbosity_error()
    quiet.disable_progress_bar()
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # read when cuBLAS starts; without it its sums vary
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=device != "cpu")
    set_seed(seed)

"""Choose the device, and bring torch into the state that makes results repeatable: threads, seeds, kernels."""

from __future__ import annotations

import ctypes
import os
import platform
import random
import shutil
from typing import Any

import numpy as np
import torch
from transformers.utils import logging

from sentiment.pipeline.errors import InputError, allowed
from sentiment.pipeline.progress import say

# What mallopt sets, by the numbers that glibc's malloc.h gives the names: no block is mapped on its own, however large;
# nothing is given back; the heap grows by 64 MiB at least. https://man7.org/linux/man-pages/man3/mallopt.3.html
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_KEEPING = {_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: -1, _M_TOP_PAD: 64 * 2**20}


def set_up_torch(seed: int, threads: int, device: str, where: str = "params.yaml: device") -> str:
    """Seed everything and fix what changes the bits of a result.

    fp32 means fp32 on a GPU too: torch leaves TF32, which rounds the factors of a product to 10 bits, off unless
    told otherwise, and nothing here does. Who wants speed chooses bf16.

    Args:
        seed: the seed of params.yaml.
        threads: CPU threads; the order of floating-point sums depends on it.
        device: cpu, cuda, mps or auto.
        where: the key or option that the device comes from, for the message.

    Returns:
        The device: cpu, cuda or mps.

    Raises:
        InputError: this machine has no such device.
    """
    device = find_device(device, where)
    if device == "cpu":
        keep_freed_pages()
    quiet: Any = logging  # untyped; a new head is expected here, and reported at length otherwise
    quiet.set_verbosity_error()
    quiet.disable_progress_bar()
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # read when cuBLAS starts; without it its sums vary
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=device != "cpu")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - what others still draw from
    torch.manual_seed(seed)  # every device's generator
    return device


def find_device(device: str, where: str) -> str:
    """Return the device that a choice stands for on this machine.

    Args:
        device: cpu, cuda or mps; or auto, the first of cuda, mps and cpu that torch sees here, which is printed.
        where: the key or option that it comes from, for the message.

    Raises:
        InputError: names the devices that torch sees.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    here = [name for name, present in available.items() if present]
    if device == "auto":
        say(f"device: {here[0]}")
        return here[0]
    if device not in here:
        raise InputError(
            f"{where}: found {device}, but torch {torch.__version__} sees none here; {allowed(device, ['auto', *here])}"
        )
    return device


def check_precision(precision: str, device: str) -> None:
    """Raise if the graphics processor cannot compute in a precision; a CPU can, if slowly, without units for it.

    Raises:
        InputError: says what to choose instead.
    """
    if precision == "bf16" and device == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise InputError(
            f"params.yaml: train.precision: found bf16, which {torch.cuda.get_device_name()} does not have; choose fp32"
        )


def check_compiler(compiling: bool, device: str) -> None:
    """Raise if a model is to be compiled on the CPU and there is no C++ compiler.

    Raises:
        InputError: says what to do.
    """
    compiler = os.environ.get("CXX", "g++")
    if compiling and device == "cpu" and shutil.which(compiler) is None:
        raise InputError(
            f"params.yaml: train.compile: found true, but torch needs a C++ compiler for it and {compiler} is not "
            "there; install one, name it in CXX, or choose false"
        )


def keep_freed_pages() -> bool:
    """Tell glibc's allocator to keep freed memory for the next allocation; from then on, in this process.

    By default every tensor above 32 MB is mapped anew, and given back when freed: the kernel then clears the same
    pages again in each step, four million of them for a padded batch of eight long reviews and GPT-2, a third of the
    step's CPU time. Kept pages stay with the process until it ends; the peak grows by a few per cent, once. The numbers
    computed are the same.

    Returns:
        Whether there was such an allocator: False on macOS, Windows and Linux without glibc, where nothing is changed.
    """
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    accepted = [mallopt(name, value) == 1 for name, value in _KEEPING.items()]
    return all(accepted)

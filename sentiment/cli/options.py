"""The options that say which model a command asks, and where it runs: the same words for predict, serve and export."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sentiment.pipeline.paths import FINETUNED

if TYPE_CHECKING:
    from sentiment.inference.predictor import Predictor


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """Which model is asked, and where it runs; the functions below say what each word means."""

    model: str
    rev: str | None
    repo: str | None
    remote: str | None
    threads: int | None
    device: str = "cpu"
    batch_size: int | None = None


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options that say which model is asked."""
    add = parser.add_argument
    add("--model", default=str(FINETUNED), metavar="FOLDER", help=f"model folder (default: {FINETUNED})")
    add("--rev", help="take the folder from this git revision; kept below ~/.cache/sentiment")
    add("--repo", metavar="URL_OR_PATH", help="... of this repository")
    add("--remote", metavar="NAME", help="... and its files from this DVC remote")
    add("--threads", type=count, help="CPU threads (default: torch's choice)")


def add_scoring_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options that say where texts are scored, and how many at once."""
    add = parser.add_argument
    add("--device", default="cpu", choices=("cpu", "cuda", "mps"), help="where the model runs (default: cpu)")
    add("--batch-size", type=count, help="texts scored at once; no answer depends on it")


def count(word: str) -> int:
    """Read a number of at least 1."""
    number = int(word)
    if number < 1:
        raise argparse.ArgumentTypeError(f"found {number}, must be at least 1")
    return number


def load(options: ModelOptions) -> Predictor:
    """Set up torch as the stages do, and load the model that was asked for."""
    import torch

    from sentiment.backbones.torch_setup import set_up_torch
    from sentiment.inference.predictor import BATCH_SIZE, Predictor, check_device

    check_device(options.device)
    set_up_torch(0, options.threads or torch.get_num_threads(), options.device)
    return Predictor.load(
        options.model,
        rev=options.rev,
        repo=options.repo,
        remote=options.remote,
        device=options.device,
        batch_size=options.batch_size or BATCH_SIZE,
    )

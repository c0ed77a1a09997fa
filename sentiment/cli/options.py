"""What the commands share: how they are declared, and the options that say which model runs where."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sentiment.checkpoints.manifest import Manifest
from sentiment.pipeline.errors import InputError
from sentiment.pipeline.paths import FINETUNED
from sentiment.pipeline.progress import say

if TYPE_CHECKING:
    from sentiment.inference.predictor import Predictor

Options = argparse.Namespace  # the words of the command line; each command's `add_parser` says what they mean
Commands = Any  # argparse's collection of commands, whose type has no public name


def add_command(
    commands: Commands, name: str, run: Callable[[Options], None], about: str, description: str | None = None
) -> argparse.ArgumentParser:
    """Declare a command: its name, the function that runs it, what it does in one line, and perhaps in more."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=about, description=description or about)
    parser.set_defaults(run=run)
    return parser


def add_model_options(parser: argparse.ArgumentParser, scoring: bool = True) -> None:
    """Declare the options that say which model is used, and with `scoring` where it runs and on how many texts."""
    add = parser.add_argument
    add("--model", default=str(FINETUNED), metavar="FOLDER", help=f"model folder (default: {FINETUNED})")
    add("--rev", help="take the folder from this git revision; kept below ~/.cache/sentiment")
    add("--repo", metavar="URL_OR_PATH", help="... of this repository")
    add("--remote", metavar="NAME", help="... and its files from this DVC remote")
    add("--threads", type=count, help="CPU threads (default: torch's choice)")
    if scoring:
        add("--device", default="cpu", choices=("cpu", "cuda", "mps"), help="where the model runs (default: cpu)")
        add("--batch-size", type=count, help="texts scored at once; no answer depends on it")
    else:
        parser.set_defaults(device="cpu", batch_size=None)


def count(word: str) -> int:
    """Read a number of at least 1."""
    number = int(word)
    if number < 1:
        raise argparse.ArgumentTypeError(f"found {number}, must be at least 1")
    return number


def require(packages: Iterable[str], requirements: str) -> None:
    """Raise if packages that only one command needs are not installed.

    Raises:
        InputError: says how to install them.
    """
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"not installed: {', '.join(missing)}; run `pip install -r {requirements}`")


def say_caution(manifest: Manifest) -> None:
    """Say what a person should know before they trust the answers, if anything."""
    if manifest.caution:
        say(f"model {manifest.caution}")


def load_predictor(options: Options) -> Predictor:
    """Set up torch as the stages do, and load the chosen model.

    Raises:
        InputError: there is no such model or device.
    """
    if not (options.rev or options.repo or options.remote):
        Manifest.read(Path(options.model))  # a missing model is reported before the seconds that torch takes to load
    import torch

    from sentiment.backbones.torch_setup import set_up_torch
    from sentiment.inference.predictor import DEFAULT_BATCH_SIZE, Predictor

    set_up_torch(0, options.threads or torch.get_num_threads(), options.device, "--device")
    return Predictor.load(
        options.model,
        rev=options.rev,
        repo=options.repo,
        remote=options.remote,
        device=options.device,
        batch_size=options.batch_size or DEFAULT_BATCH_SIZE,
    )

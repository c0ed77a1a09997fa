"""What the commands share: how they are declared, and the options that say which model runs where."""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sentiment.pipeline.paths import FINETUNED
from sentiment.pipeline.progress import say

if TYPE_CHECKING:
    from sentiment.checkpoints.manifest import Manifest
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
        devices = ("cpu", "cuda", "mps", "auto")
        add("--device", default="cpu", choices=devices, help="where the model runs; auto: a GPU if any (default: cpu)")
        add("--batch-size", type=count, help="texts scored at once; no answer depends on it")
    else:
        parser.set_defaults(device="cpu", batch_size=None)


def count(word: str) -> int:
    """Read a number of at least 1."""
    number = int(word)
    if number < 1:
        raise argparse.ArgumentTypeError(f"found {number}, must be at least 1")
    return number


def say_caution(manifest: Manifest) -> None:
    """Say what a person should know before they trust the answers, if anything."""
    if manifest.caution:
        say(f"model {manifest.caution}")


def load_predictor(options: Options) -> Predictor:
    """Find the chosen model, set up torch as the stages do, and load it.

    Raises:
        InputError: there is no such model or device.
    """
    from sentiment.registry.fetching import find_model

    # before the seconds that torch takes to load
    folder, revision = find_model(options.model, options.rev, options.repo, options.remote)
    with collecting_no_garbage():
        import torch

        from sentiment.backbones.torch_setup import set_up_torch
        from sentiment.inference.predictor import DEFAULT_BATCH_SIZE, Predictor

        device = set_up_torch(0, options.threads or torch.get_num_threads(), options.device, "--device")
        return Predictor.open(folder, revision, device, options.batch_size or DEFAULT_BATCH_SIZE)


@contextmanager
def collecting_no_garbage() -> Iterator[None]:
    """Do not search for garbage: of the million objects that torch and transformers make on import, none is."""
    gc.disable()
    yield
    gc.freeze()
    gc.enable()

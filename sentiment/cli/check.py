"""The command `check`: everything that is wrong with params.yaml, or with what it names here, before any long work.

Of a local dataset only the beginning is read, of a local model only the names of its files; nothing is fetched.
"""

from __future__ import annotations

from pathlib import Path

from sentiment.cli.options import Commands, Options, add_command
from sentiment.pipeline.catalog import catalog_entry
from sentiment.pipeline.errors import InputError
from sentiment.pipeline.params import Params, load_params
from sentiment.pipeline.paths import CATALOG, PARAMS
from sentiment.pipeline.progress import say
from sentiment.reviews.sources import read_local


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    add_command(
        commands, "check", run, f"List everything that is wrong with {PARAMS} or what it names, before any long work."
    )


def check_dataset(params: Params) -> None:
    """Raise if a local dataset is not there, or a file of it cannot be read or lacks a column."""
    entry = catalog_entry("datasets", params.data.name)
    if entry["source"] == "local":
        for chunks in read_local(Path(entry["path"]), entry, f"{CATALOG}: datasets.{params.data.name}").values():
            next(chunks, None)


def check_model(params: Params) -> None:
    """Raise if a local model is not there, or not in a form that can be read."""
    from sentiment.backbones.checks import check_folder, check_shards  # here, since they load NumPy

    entry = catalog_entry("models", params.model.name)
    if entry["source"] == "local":
        check_folder(Path(entry["path"]))
        check_shards(Path(entry["path"]))


def check_hardware(params: Params) -> None:
    """Raise if this machine lacks the device, or the device the precision."""
    if params.device != "cpu":
        from sentiment.backbones import torch_setup  # here, since torch takes seconds to load

        torch_setup.check_device(params.device, f"{PARAMS}: device")
        torch_setup.check_precision(params.train.precision, params.device)


def run(_options: Options) -> None:
    """Check params.yaml, and what it names."""
    params, problems = load_params(), []
    for check in (check_dataset, check_model, check_hardware):
        try:
            check(params)
        except InputError as error:
            problems.append(str(error))
    if problems:
        raise InputError(f"{len(problems)} choice(s) of {PARAMS} cannot work here:\n  " + "\n  ".join(problems))
    say(f"{PARAMS}: all well; {params.model.name} on {params.data.name}")

"""The command `check`: everything that is wrong with params.yaml, or with what it names here, before any long work.

Of a local dataset only the beginning is read; of a model its config, its tokenizer and the names of its files, where
they are at hand: in the entry's folder, the hub's cache, or models/base. Nothing is fetched.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from sentiment.cli import forecast
from sentiment.cli.options import Commands, Options, add_command
from sentiment.packages import installed_model
from sentiment.pipeline.catalog import catalog_entry, read_yaml, warn_if_too_small
from sentiment.pipeline.errors import InputError
from sentiment.pipeline.params import Params, load_params
from sentiment.pipeline.paths import BASE, CATALOG, PARAMS
from sentiment.pipeline.progress import say
from sentiment.report.tables import print_table
from sentiment.reviews.cleaning import label_numbers, label_problem
from sentiment.reviews.files import Problems

COPIES = (
    8  # of the weights on disk: base and fine-tuned with their cached copies, the best checkpoint and its optimizer
)


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    about = f"List everything that is wrong with {PARAMS} or what it names; say what each stage would do, and how long."
    add_command(commands, "check", run, about, __doc__)


def check_dataset(params: Params) -> None:
    """Raise if a local dataset is not there, or a file of it cannot be read, lacks a column or has unknown labels."""
    entry, where = catalog_entry("datasets", params.data.name), f"{CATALOG}: datasets.{params.data.name}"
    if entry["source"] != "local":
        return
    problems, numbers = Problems(entry["labels"]), label_numbers(entry["labels"])
    for chunk in forecast.beginnings(entry, where):
        found = zip(chunk.labels, chunk.problems, strict=True)
        judged = [problem or label_problem(label, numbers) for label, problem in found]
        problems.add(replace(chunk, problems=judged).judged())
    if problems.total and params.prepare.on_bad_rows == "error":
        raise InputError(
            f"{problems.describe()}; correct the rows, or leave them out with {PARAMS}: prepare.on_bad_rows: drop"
        )


def model_folder(name: str) -> Path | None:
    """Find the folder of a model on this machine: the entry's own, models/base of that name, or the hub's cache."""
    entry = catalog_entry("models", name)
    if entry["source"] == "local":
        return Path(entry["path"])
    if entry["source"] == "package":
        with suppress(InputError):  # check_model says it
            return installed_model(entry, name)
    lock = Path("dvc.lock")
    stages = read_yaml(lock)["stages"] if lock.is_file() else {}
    made = stages.get("base", {}).get("params", {})
    same = (
        made.get(str(PARAMS), {}).get("model.name") == name
        and made.get(str(CATALOG), {}).get(f"models.{name}") == entry
    )
    if same and (BASE / "config.json").is_file():
        return BASE
    if entry["source"] == "hub":
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(entry["id"], "config.json", revision=entry["revision"])
        return Path(found).parent if isinstance(found, str) else None
    return None


def check_model(params: Params) -> None:
    """Raise if a local model is not there, or not in a form that can be read."""
    from sentiment.backbones.checks import check_folder, check_shards  # here, since they load NumPy

    entry = catalog_entry("models", params.model.name)
    if entry["source"] in ("local", "package"):
        where = f"{CATALOG}: models.{params.model.name}"
        folder = Path(entry["path"]) if entry["source"] == "local" else installed_model(entry, where)
        check_folder(folder)
        check_shards(folder)


def check_reading(params: Params) -> None:
    """Raise if the model cannot read texts of that length, or in that prompt, or answer with those words."""
    entry, folder = catalog_entry("models", params.model.name), model_folder(params.model.name)
    from sentiment.tokens.encoding import check_max_length

    if entry["source"] == "builtin":
        check_max_length(params.tokenize.max_length, entry["positions"], params.model.name)
    if folder is None or not (folder / "config.json").is_file():
        return
    from sentiment.tokens.tokenizer import load_config, load_tokenizer, max_positions

    check_max_length(params.tokenize.max_length, max_positions(load_config(folder)), folder)
    if params.model.formulation == "label_words" and (folder / "tokenizer.json").is_file():
        from sentiment.tokens.prompts import label_word_ids, read_prompt

        tokenizer = load_tokenizer(folder)
        read_prompt(tokenizer, params.tokenize.prompt)
        label_word_ids(tokenizer, params.tokenize.label_words, params.tokenize.prompt)


def check_learning(params: Params) -> None:
    """Raise if the model has not the blocks that are to be frozen, or the layers that are to get adapters."""
    entry, folder = catalog_entry("models", params.model.name), model_folder(params.model.name)
    known = entry["source"] == "builtin" or (folder is not None and (folder / "config.json").is_file())
    if not known or not (params.train.frozen_blocks or params.train.lora.rank):
        return
    import torch
    from transformers import AutoModelForSequenceClassification, GPT2Config

    from sentiment.backbones import adapters, layers
    from sentiment.tokens.tokenizer import load_config

    config: Any = load_config(folder) if folder else GPT2Config(n_layer=entry["layers"])
    with torch.device("meta"):  # shapes without numbers
        model = AutoModelForSequenceClassification.from_config(config)  # type: ignore[no-untyped-call]
    if params.train.lora.rank:
        adapters.targets(model, params.train.lora.modules, params.train.frozen_blocks)
    else:
        layers.freeze(model, params.train.frozen_blocks)


def check_hardware(params: Params) -> None:
    """Raise if this machine lacks the device, or the device the precision."""
    if params.device != "cpu":
        from sentiment.backbones import torch_setup  # here, since torch takes seconds to load

        device = torch_setup.find_device(params.device, f"{PARAMS}: device")
        torch_setup.check_precision(params.train.precision, device)


def check_disk(params: Params) -> None:
    """Raise if there is not the room that a run takes."""
    needed = (
        COPIES
        * 4
        * (forecast.count_weights(catalog_entry("models", params.model.name), model_folder(params.model.name)) or 0)
    )
    free = shutil.disk_usage(".").free
    if free < needed:
        raise InputError(
            f"a run takes about {needed / 1e9:.2f} GB on disk, but {free / 1e9:.2f} GB are free; `dvc gc -w` removes "
            "what no file here refers to from the cache"
        )


CHECKS = (check_dataset, check_model, check_reading, check_learning, check_hardware, check_disk)


def find_problems(params: Params) -> list[str]:
    """List everything that could not work here."""
    problems = []
    for check in CHECKS:
        try:
            check(params)
        except InputError as error:
            problems.append(str(error))
    return list(dict.fromkeys(problems))  # a damaged model is found by more than one


def run(_options: Options) -> None:
    """Check params.yaml, and what it names; show what would run."""
    params = load_params()
    problems = find_problems(params)
    if problems:
        raise InputError(f"{len(problems)} choice(s) of {PARAMS} cannot work here:\n  " + "\n  ".join(problems))
    show_forecast(params)
    warn_if_too_small(params)
    say(f"{PARAMS}: all well; {params.model.name} on {params.data.name}")


def show_forecast(params: Params) -> None:
    """Print what each stage would do, and about how long that takes; and the room on disk."""
    device: str = params.device
    if device == "auto":
        from sentiment.backbones import torch_setup

        device = torch_setup.find_device(device, f"{PARAMS}: device")
    size = forecast.size(params, model_folder(params.model.name))
    seconds, to_run = forecast.seconds(params, size, device), forecast.stages_to_run(forecast.changed_stages())
    rows = [
        (stage, "run" if runs else "up to date", in_words(seconds[stage]) if runs else "")
        for stage, runs in to_run.items()
    ]
    print_table(("stage", "dvc repro would", "about (reckoned, not measured)"), rows, 2)
    say(f"device {device}, {params.threads} thread(s); {shutil.disk_usage('.').free / 1e9:.1f} GB free on disk")


def in_words(seconds: float | None) -> str:
    """Write a rough time, in seconds, minutes or hours."""
    if seconds is None:
        return "depends on what is fetched"
    if seconds < 90:
        return f"{max(5, round(seconds / 5) * 5)} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"

"""What a run adds to DVC's cache and remote at GPT-2's size, and what a push or pull sends after it was killed.

`python -m benchmarks.storing --model folder`. The stage train makes one optimizer step of each kind of run from one
base; after each, models/base and models/finetuned are added and pushed to a folder as remote. The same models, with all
weights in one file as `save_pretrained` writes them, go to a second repository. Then one full model is pushed, and
pulled, by a DVC that is killed when half of the bytes have arrived, and again to the end.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd

from benchmarks import material
from benchmarks.harness import Result, named_files, parser, print_table, publish, run_child, run_here
from benchmarks.repositories import Objects, Repository, objects, weigh, written
from benchmarks.workspaces import lay_out, stage
from sentiment.checkpoints.blocks import METADATA, block_of_file
from sentiment.checkpoints.tensors import INDEX
from sentiment.cli import recipes
from sentiment.pipeline.errors import exit_on_input_error
from sentiment.pipeline.paths import BASE, FINETUNED, PARAMS
from sentiment.tokens.tokenizer import load_config
from sentiment.training.trainer import StartCounts

COLUMNS = ("run", "learns_percent", "added_mb", "added_percent", "pushed_mb", "whole_added_mb")
ONE_STEP = {  # at the full rate: the first step of a warm-up would have the rate zero
    **dict.fromkeys(("prepare.train_rows", "prepare.validation_rows", "prepare.test_rows", "train.batch_size"), 4),
    "train.epochs": 1,
    "train.evaluations_per_epoch": 1,
    "train.warmup_fraction": 0.0,
    "tokenize.max_length": 64,
}
ATTEMPTS = 30  # to kill a command in its midst, which on a busy machine may end first
MB = 1e6


def runs(blocks: int) -> dict[str, dict[str, Any]]:
    """Name the kinds of runs, for a model with that many blocks, and what each chooses otherwise than the default."""
    lora = {"train.lora.rank": 8}
    return {
        "full": {},
        "full, saved as bf16": {"train.save_precision": "bf16"},
        "two top blocks": {"train.frozen_blocks": max(1, blocks - 2)},  # of the tiny model's two it is one
        "head alone": {"train.frozen_blocks": "all"},
        "LoRA, adapter": {**lora, "train.lora.save": "adapter"},
        "LoRA, merged": {**lora, "train.lora.save": "merged"},
    }


def learning(request: dict[str, Any]) -> Result:
    """Count what learns with the choices of a workspace; to be called in a process of its own.

    Args:
        request: folder, with the base model in it.

    Returns:
        percent, of the parameters that learn in those of the model without adapters.
    """
    from sentiment.backbones.loading import load_classifier
    from sentiment.backbones.torch_setup import set_up_torch
    from sentiment.pipeline.params import load_params
    from sentiment.tokens.tokenizer import load_tokenizer
    from stages.train import choose_what_learns

    with contextlib.chdir(request["folder"]):
        set_up_torch(seed=0, threads=1, device="cpu")  # and have transformers be quiet
        model = load_classifier(BASE, load_tokenizer(BASE), seed=0)
        parameters = model.num_parameters()
        choose_what_learns(model, load_params().train)
    return {"percent": 100 * model.num_parameters(only_trainable=True) / parameters}


def join(blocks: Path, whole: Path) -> None:
    """Write a model folder with all weights in one file, everything else as it is."""
    from safetensors.torch import load_file, save_file

    shutil.rmtree(whole, ignore_errors=True)
    whole.mkdir(parents=True)
    weights: dict[str, Any] = {}
    for file in sorted(blocks.iterdir()):
        if block_of_file(file.name):
            weights |= load_file(file)
        elif file.name != INDEX:
            shutil.copy(file, whole)
    save_file(weights, whole / "model.safetensors", metadata=METADATA)


def store(repository: Repository) -> dict[str, float]:
    """Add the models of a repository to DVC and push them.

    Returns:
        added and pushed: what is new in the cache and in the remote, in MB.
    """
    before = weigh(objects(repository.cache)), weigh(objects(repository.remote))
    repository.dvc("add", "-q", *(str(path) for path in (BASE, FINETUNED) if (repository.folder / path).is_dir()))
    repository.dvc("push", "-q")
    after = weigh(objects(repository.cache)), weigh(objects(repository.remote))
    return {name: (new - old) / MB for name, new, old in zip(("added", "pushed"), after, before, strict=True)}


def store_both(blocks: Repository, whole: Repository) -> dict[str, float]:
    """Store the models of a repository, and the same ones with all their weights in one file."""
    ours = store(blocks)
    for path in (BASE, FINETUNED):
        if (blocks.folder / path).is_dir():
            join(blocks.folder / path, whole.folder / path)
    theirs = store(whole)
    return {**{f"{k}_mb": v for k, v in ours.items()}, **{f"whole_{k}_mb": v for k, v in theirs.items()}}


def interrupt(repository: Repository, command: str) -> Result:
    """Push or pull the fine-tuned model, kill DVC when half of the bytes have arrived, and do it again to the end.

    Returns:
        objects in the end; arrived before the kill, and of these rewritten by the second command; arrived_mb and
        sent_mb, by the first and by the second; unfinished_mb, of an object that was on its way.

    Raises:
        RuntimeError: whenever it was tried, all had arrived before the kill.
    """
    there = repository.remote if command == "push" else repository.cache
    words = (command, "-q", "-j", "1", f"{FINETUNED}.dvc")
    size = sum(file.stat().st_size for file in (repository.folder / FINETUNED).iterdir())
    for _ in range(ATTEMPTS):
        repository.forget()
        shutil.rmtree(there, ignore_errors=True)
        if command == "pull":
            shutil.rmtree(repository.folder / FINETUNED, ignore_errors=True)
        repository.killed(*words, when=lambda: written(there) >= size / 2)
        arrived = objects(there)
        if weigh(arrived) < size:
            break
    else:
        raise RuntimeError(f"dvc {command}: all had arrived {ATTEMPTS} times before it could be killed")
    unfinished = written(there) - weigh(arrived)
    repository.dvc(*words)
    repository.dvc("status", "-q", "-c", f"{FINETUNED}.dvc")
    return {**compare(arrived, objects(there)), "unfinished_mb": unfinished / MB}


def compare(arrived: Objects, after: Objects) -> Result:
    """Compare what had arrived when a command was killed with what lies there in the end, as `interrupt` returns it."""
    kept = {name: seen for name, seen in arrived.items() if after[name] == seen}
    counts = {"objects": len(after), "arrived": len(arrived), "rewritten": len(arrived) - len(kept)}
    return {**counts, "arrived_mb": weigh(arrived) / MB, "sent_mb": (weigh(after) - weigh(kept)) / MB}


def make_base(scratch: Path, arguments: Any, run: Callable[..., Result]) -> Path:
    """Lay a workspace out, and run the stages before train in it."""
    folder = scratch / "blocks"
    folder.mkdir()
    files = named_files(arguments.texts)
    texts = [text for some in material.read_texts(files, 20).values() for text in some]
    reviews = pd.DataFrame({"text": texts, "label": [number % 2 for number in range(len(texts))]})
    reviews.to_csv(scratch / "reviews.csv", index=False)
    request = {"files": files, "model": arguments.model, "work": str(scratch), "classifier": False}
    made = run(material.make, {**request, "small": arguments.small})
    lay_out(folder, scratch / "reviews.csv", Path(made["model"]))
    recipes.write_choices({**ONE_STEP, "threads": arguments.threads}, folder / PARAMS)
    for name in ("prepare", "base", "tokenize"):
        run(stage, {"folder": str(folder), "stage": name})
    return folder


def choose(folder: Path, choices: dict[str, Any]) -> None:
    """Write the choices of a run into the params of a workspace, and clear the last run's model away, as DVC does."""
    default = {key: value for key, value in recipes.resolve(recipes.DEFAULT).items() if key.startswith("train.")}
    recipes.write_choices({**default, **ONE_STEP, **choices}, folder / PARAMS)
    shutil.rmtree(folder / FINETUNED, ignore_errors=True)


def train(request: dict[str, Any]) -> Result:
    """Run the stage train, and keep its one step even where the model before it is better on validation."""
    with patch.object(StartCounts, "on_evaluate", lambda *_, **__: None):
        return stage({**request, "stage": "train"})


def measure_runs(blocks: Repository, whole: Repository, run: Callable[..., Result]) -> list[dict[str, Any]]:
    """Store the base, then train and store each kind of run, with a seed of its own; one row of the table for each.

    From one seed all runs would begin with the same head, and AdamW's first step is the rate times the gradient's sign:
    on some processors the head alone and the adapters then give the same head to the bit, and one file for both.
    """
    request = {"folder": str(blocks.folder)}
    rows: list[dict[str, Any]] = [{"run": "the base itself", "learns_percent": None, **store_both(blocks, whole)}]
    count = load_config(blocks.folder / BASE).num_hidden_layers
    for seed, (name, choices) in enumerate(runs(count).items()):
        choose(blocks.folder, {**choices, "seed": seed})
        share = run(learning, request)["percent"]
        run(train, request)
        rows.append({"run": name, "learns_percent": share, **store_both(blocks, whole)})
    return [{**row, "added_percent": 100 * row["added_mb"] / rows[0]["added_mb"]} for row in rows]


def main() -> None:
    """Measure all runs, and what interruptions cost."""
    arguments = parser(__doc__ or "", rounds=1).parse_args()
    run = run_here if arguments.small else run_child
    with tempfile.TemporaryDirectory() as scratch:
        folder = make_base(Path(scratch), arguments, run)
        blocks = Repository(folder, Path(scratch) / "blocks-beside")
        whole = Repository(Path(scratch) / "whole", Path(scratch) / "whole-beside")
        rows = measure_runs(blocks, whole, run)
        interrupted = [
            {"killed": command, "files": kind, **interrupt(repository, command)}
            for command in ("push", "pull")
            for kind, repository in (("one per block", blocks), ("one for all", whole))
        ]
    publish("storing", arguments, rows, COLUMNS, interrupted=interrupted)
    print_table("killed half-way, then run again", interrupted)


if __name__ == "__main__":
    exit_on_input_error(main)

"""How fast a training step is on an NVIDIA GPU: ours in fp32 and bf16 beside the ways commonly copied.

`python -m benchmarks.gpu --texts imdb=imdb.csv --model folder`; without arguments generated texts as long as IMDb's and
random weights of GPT-2's shape. All variants read the same reviews in each round. A pass over all batches goes before
the one that is measured, so that no kernel is chosen or compiled meanwhile, and the GPU has finished at both ends of
it. MFU: useful FLOP/s, as `benchmarks.training` counts them, of the fastest matrix product in the same process: on a
GPU one in bf16.
"""

from __future__ import annotations

import argparse
import math
import random
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import material, training
from benchmarks.harness import interleave, medians, meter, parser, peak_memory, publish, run_child, run_here, shown
from benchmarks.training import Setting, Variant, finish, ours, stock_head
from sentiment.pipeline.errors import InputError, exit_on_input_error
from sentiment.pipeline.progress import say

RECIPE = "label words, padded, all logits"  # what the ratios are to; as copied: fp32, checkpointing, few at once
RECIPE_BATCH = 8
EPOCH = "head, ours, bf16"
EPOCH_REVIEWS = 25_000  # as IMDb's train split has
VARIANTS = {
    RECIPE: training.VARIANTS[RECIPE],
    "head, stock Trainer, bf16": Variant(stock_head(padding=True, bf16=True)),
    "head, ours, fp32": Variant(ours(epochs=1)),
    EPOCH: Variant(ours(epochs=1, precision="bf16")),
    "head, ours, bf16, dropout 0.1": Variant(ours(epochs=1, precision="bf16", dropout=0.1)),
    "head, ours, bf16, compiled": Variant(ours(epochs=1, precision="bf16", compile=True)),
}
COLUMNS = ("texts", "variant", "batch_size", "tokens_per_second", "reviews_per_second", "times_recipe",
           "useful_tflops", "mfu", "memory_gb", "minutes_per_epoch")  # fmt: skip


def long_texts(count: int) -> list[str]:
    """Join generated texts, about 24 words each, to reviews of lengths as IMDb's are: log-normal, median 174 words.

    The spread is IMDb's too, 0.65 of the logarithm; it decides what padding costs. Cut at 512 tokens they have about
    250, as IMDb's have by GPT-2's tokenizer.
    """
    draw = random.Random(0)  # noqa: S311  # a seeded generator is the point
    counts = [max(1, round(draw.lognormvariate(math.log(174 / 24), 0.65))) for _ in range(count)]
    parts = iter(material.generated(sum(counts)))
    return [" ".join(next(parts) for _ in range(number)) for number in counts]


def peak_on(device: str) -> float:
    """Give the most memory taken at once, in GB: of the GPU by tensors, on the CPU by the process."""
    import torch

    return torch.cuda.max_memory_allocated() / 1e9 if device == "cuda" else peak_memory()


def against_peak(flops: float, device: str) -> dict[str, Any]:
    """Set useful FLOP/s against the fastest product of matrices, 8192 wide on a GPU; and name the GPU.

    Whatever a variant computes in, a step can then not beat the peak: a processor without units for bf16 is slower in
    it than in fp32; with AVX2 alone, fifty times (measured).
    """
    import torch

    size, count = (8192, 50) if device == "cuda" else (256, 6)
    peak = max(training.product_peak(size, count, device, dtype) for dtype in (torch.bfloat16, torch.float32))
    name = torch.cuda.get_device_name() if device == "cuda" else "none"
    return {"peak_flops_per_second": peak, "mfu": flops / peak, "gpu": name}


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Measure a variant once.

    Args:
        request: a Setting's values.

    Returns:
        What `training.measure_steps` gives; the peak in FLOP/s, the share of it, and the most memory in GB.
    """
    import torch

    setting = Setting(**request)
    torch.set_num_threads(setting.threads)
    measured = training.measure_steps(VARIANTS[setting.variant], setting)
    memory = peak_on(setting.device)  # before the product takes some
    return {**measured, **against_peak(measured["useful_flops_per_second"], setting.device), "memory_gb": memory}


def train_epoch(request: dict[str, Any]) -> dict[str, Any]:
    """Train one epoch by `Trainer.train`, as the stage does: with schedule, two small evaluations and a checkpoint.

    Args:
        request: a Setting's values; the steps are as many as all reviews need.

    Returns:
        reviews, minutes, tokens per second, the peak in FLOP/s, the share of it, and the most memory in GB.
    """
    import torch

    setting = Setting(**request)
    torch.set_num_threads(setting.threads)
    rows = material.read_ids(setting.work, setting.texts, VARIANTS[setting.variant].formulation)
    lengths = [row["length"] for row in rows]
    with ExitStack() as stack:
        trainer = VARIANTS[setting.variant].build(setting, rows, rows, stack)
        with meter() as used:
            trainer.train()
            finish(setting.device)
        config: Any = trainer.model.config  # type: ignore[union-attr]
    memory, seconds = peak_on(setting.device), used["seconds"]
    flops = training.useful_flops(config, lengths, config.n_layer) / seconds
    return {
        "reviews": len(rows),
        "minutes": seconds / 60,
        "tokens_per_second": sum(lengths) / seconds,
        **against_peak(flops, setting.device),
        "memory_gb": memory,
    }


def summarise(texts: str, results: dict[str, list[dict[str, Any]]], batch_size: int) -> list[dict[str, Any]]:
    """Put the medians of all variants on a set of texts into rows, beside the recipe."""
    middle = {name: medians(rounds) for name, rounds in results.items()}
    return [
        {
            "texts": texts,
            "variant": name,
            "batch_size": RECIPE_BATCH if name == RECIPE else batch_size,
            "tokens_per_second": values["tokens_per_second"],
            "reviews_per_second": values["reviews_per_second"],
            "times_recipe": values["reviews_per_second"] / middle[RECIPE]["reviews_per_second"],
            "useful_tflops": values["useful_flops_per_second"] / 1e12,
            "mfu": values["mfu"],
            "memory_gb": values["memory_gb"],
            "minutes_per_epoch": EPOCH_REVIEWS / values["reviews_per_second"] / 60,
        }
        for name, values in middle.items()
    ]


def check_device(device: str) -> None:
    """Refuse a GPU that is not there, or that does not compute in bf16.

    Raises:
        InputError: lists what is allowed.
    """
    import torch

    from sentiment.backbones.torch_setup import check_precision

    if device == "cuda" and not torch.cuda.is_available():
        raise InputError(
            f"--device: found cuda, but torch {torch.__version__} sees no NVIDIA GPU here; allowed: cpu, which with "
            "--small tries whether all runs"
        )
    check_precision("bf16", device)


def parse() -> argparse.Namespace:
    """Read the command line."""
    commands = parser(__doc__ or "", rounds=3)
    commands.add_argument(
        "--device", choices=("cuda", "cpu"), default="cuda", help="cpu tries, with --small, whether all runs"
    )
    commands.add_argument("--steps", type=int, default=20, help="steps measured in each round")
    commands.add_argument("--batch-size", type=int, default=64, help="reviews per step; the recipe's stay 8")
    commands.add_argument("--epoch", action="store_true", help=f"train an epoch too: {EPOCH_REVIEWS:,} reviews")
    commands.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS), help="variants beside recipe")
    arguments = commands.parse_args()
    if arguments.small:
        arguments.rounds = arguments.steps = arguments.threads = 1
        arguments.batch_size = RECIPE_BATCH
    return arguments


def main() -> None:
    """Measure all variants on all texts."""
    arguments = parse()
    check_device(arguments.device)
    recipe_steps = max(1, arguments.steps * arguments.batch_size // RECIPE_BATCH)  # for the same number of reviews
    names = [name for name in VARIANTS if name in arguments.only or name == RECIPE]
    with tempfile.TemporaryDirectory() as work:
        if not arguments.texts:
            count = EPOCH_REVIEWS if arguments.epoch else max(2000, arguments.steps * arguments.batch_size)
            pd.DataFrame({"text": long_texts(64 if arguments.small else count)}).to_csv(Path(work) / "long.csv")
            arguments.texts = [f"long={work}/long.csv"]
        made = material.made(arguments, work, classifier=False)
        rows, rounds, epochs = [], {}, {}
        for texts in made["sets"]:
            shared = {
                **training.shared_setting(made, texts, work, arguments),
                "threads": arguments.threads,
                "device": arguments.device,
                "warm_up": arguments.steps,
            }
            slow = {"batch_size": RECIPE_BATCH, "steps": recipe_steps}
            requests = {name: {**shared, **(slow if name == RECIPE else {}), "variant": name} for name in names}
            rounds[texts] = interleave(measure, requests, arguments.rounds, arguments.small)
            rows += summarise(texts, rounds[texts], arguments.batch_size)
            if arguments.epoch:
                run = run_here if arguments.small else run_child
                epochs[texts] = run(train_epoch, {**shared, "variant": EPOCH, "round": 0})
                say(f"{EPOCH}, an epoch of {texts}: {', '.join(f'{k} {shown(v)}' for k, v in epochs[texts].items())}")
    publish("gpu", arguments, rows, COLUMNS, texts=made["sets"], epochs=epochs, rounds=rounds)


if __name__ == "__main__":
    exit_on_input_error(main)

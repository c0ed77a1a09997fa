"""How fast texts of mixed length are scored, from text to probability: transformers' own ways, and ours.

`python -m benchmarks.scoring --texts rt=train.csv --texts imdb=imdb.csv --model folder`; as many texts of each file,
shuffled together. All variants give the same probabilities; the table says how far they differ.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import material
from benchmarks.harness import interleave, medians, meter, parser, peak_memory, publish
from sentiment.pipeline.artifacts import read_json
from sentiment.pipeline.errors import exit_on_input_error
from sentiment.pipeline.labels import LABELS

Score = Callable[[str, list[str]], list[float]]
COLUMNS = ("variant", "seconds", "reviews_per_second", "times_pipeline", "memory_gb", "faults", "difference")
MAX_LENGTH = material.LONG


def by_pipeline(batch_size: int) -> Score:
    """Give transformers.pipeline with a batch size; 1 is its own choice."""

    def score(folder: str, texts: list[str]) -> list[float]:
        from transformers import pipeline

        classify: Any = pipeline("text-classification", model=folder, device="cpu", top_k=None)
        answers = classify(texts, batch_size=batch_size, truncation=True, max_length=MAX_LENGTH)
        return [next(a["score"] for a in answer if a["label"] == LABELS[1]) for answer in answers]

    return score


def by_trainer(folder: str, texts: list[str]) -> list[float]:
    """Score by Trainer.predict, tokenized as transformers' examples do, padded to the longest of each batch."""
    from datasets import Dataset
    from transformers import AutoModelForSequenceClassification, DataCollatorWithPadding, Trainer, TrainingArguments

    from sentiment.tokens.tokenizer import load_tokenizer

    tokenizer: Any = load_tokenizer(Path(folder))
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    rows = Dataset.from_dict(dict(tokenizer(texts, truncation=True, max_length=MAX_LENGTH)))
    with tempfile.TemporaryDirectory() as scratch:
        arguments = TrainingArguments(
            output_dir=scratch, use_cpu=True, per_device_eval_batch_size=32, report_to=[], disable_tqdm=True
        )
        trainer = Trainer(model=model, args=arguments, data_collator=DataCollatorWithPadding(tokenizer))
        logits: Any = trainer.predict(rows).predictions
    return positive(logits)


def by_us(folder: str, texts: list[str]) -> list[float]:
    """Score as stages.evaluate does."""
    from sentiment.engine import heads
    from sentiment.engine.scoring import score
    from sentiment.pipeline.params import load_params
    from sentiment.tokens.encoding import encode
    from sentiment.tokens.tokenizer import load_tokenizer

    tokenizer = load_tokenizer(Path(folder))
    manifest = material.manifest(MAX_LENGTH)
    model, formulation = heads.load(Path(folder), tokenizer, manifest, seed=0)
    ids = encode(tokenizer, texts, manifest).ids
    return positive(score(model, formulation, ids, load_params().evaluate.batch_size, "cpu"))


def positive(logits: np.ndarray) -> list[float]:
    """Turn logits, [reviews, 2], into the probability of the second label."""
    shares: list[float] = (1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))).tolist()
    return shares


VARIANTS: dict[str, Score] = {
    "pipeline, one by one": by_pipeline(1),
    "pipeline, batches of 32": by_pipeline(32),
    "Trainer.predict, batches of 32": by_trainer,
    "ours": by_us,
}
REFERENCE = "pipeline, one by one"


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Measure a variant once, on texts sampled by the round; loading the model counts, a first call does not.

    Args:
        request: variant, work, model, sets (names of the texts), rows (of each), threads, round.

    Returns:
        `meter`'s values, reviews per second, the process's peak in GB, and the probabilities.
    """
    import torch

    from sentiment.backbones.torch_setup import set_up_torch

    if request["variant"] == "ours":
        set_up_torch(0, request["threads"], "cpu")
    torch.set_num_threads(request["threads"])
    draw = random.Random(request["round"])  # noqa: S311
    sets = [read_json(Path(request["work"]) / f"{name}.json")["texts"] for name in request["sets"]]
    texts = [text for some in sets for text in draw.sample(some, request["rows"])]
    draw.shuffle(texts)
    score = VARIANTS[request["variant"]]
    score(request["model"], texts[:2])
    with meter() as used:
        probabilities = score(request["model"], texts)
    speed = len(texts) / used["seconds"]
    return {**used, "reviews_per_second": speed, "memory_gb": peak_memory(), "probabilities": probabilities}


def summarise(results: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Put the medians into rows; the difference is the largest from the reference's probabilities."""
    reference = medians(results[REFERENCE])["reviews_per_second"]
    stated = {name: np.array([r["probabilities"] for r in rounds]) for name, rounds in results.items()}
    rows = []
    for name, rounds in results.items():
        values = medians(rounds)
        difference = float(np.abs(stated[name] - stated[REFERENCE]).max())
        ratio = values["reviews_per_second"] / reference
        rows.append({"variant": name, **values, "times_pipeline": ratio, "difference": difference})
    return rows


def main() -> None:
    """Measure all variants."""
    commands = parser(__doc__ or "", rounds=3)
    commands.add_argument("--rows", type=int, default=64, help="texts of each file in a round")
    arguments = commands.parse_args()
    if arguments.small:
        arguments.rounds, arguments.rows, arguments.threads = 1, 6, 1
    with tempfile.TemporaryDirectory() as work:
        made = material.made(arguments, work, classifier=True)
        shared = {
            "work": work,
            "model": made["model"],
            "sets": list(made["sets"]),
            "rows": arguments.rows,
            "threads": arguments.threads,
        }
        requests = {name: {**shared, "variant": name} for name in VARIANTS}
        results = interleave(measure, requests, arguments.rounds, arguments.small)
    rows = summarise(results)
    for rounds in results.values():
        for result in rounds:
            del result["probabilities"]
    publish("scoring", arguments, rows, COLUMNS, texts=made["sets"], rounds=results)


if __name__ == "__main__":
    exit_on_input_error(main)

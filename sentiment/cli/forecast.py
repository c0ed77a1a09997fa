"""What `dvc repro` would do now, stage by stage, and about how long each stage would take.

The seconds are reckoned from rows, tokens and weights, not measured: a forward and backward pass costs six operations
for each weight and token, a forward pass alone two (Kaplan et al. 2020, https://arxiv.org/abs/2001.08361, section 2.1).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from sentiment.pipeline.catalog import catalog_entry, read_yaml
from sentiment.pipeline.params import Params
from sentiment.pipeline.paths import CATALOG
from sentiment.reviews.files import Chunk
from sentiment.reviews.sources import read_local

STARTING = 8.0  # seconds that a stage takes to import what it needs
# operations per second in fp32: of one CPU thread (benchmarks/results/training-default.json); of GPUs, a guess
SPEED = {"cpu": 5e10, "cuda": 1.5e13, "mps": 2e12}
READING, ENCODING, FITTING = 10_000, 4_000, 700  # reviews per second: prepare, tokenize, the baselines of evaluate
BUILTIN_TOKENS, LETTERS_PER_TOKEN = 30, 4  # a built-in review has about that many tokens; others are reckoned


@dataclass(frozen=True)
class Size:
    """What a run has to work on; None where that is not known before it is fetched.

    Attributes:
        rows: reviews of each split.
        tokens: of a review, on average.
        weights: parameters of the model.
    """

    rows: Mapping[str, float] | None
    tokens: float | None
    weights: int | None


def stages_to_run(changed: set[str] | None) -> dict[str, bool]:
    """Return for each stage whether `dvc repro` would run it: something it depends on has changed, or will.

    Args:
        changed: from `changed_stages`; None runs all.
    """
    stages: dict[str, Any] = read_yaml(Path("dvc.yaml"))["stages"]
    answer: dict[str, bool] = {}
    made: list[str] = []
    for name, stage in stages.items():  # dvc.yaml lists them in the order they run
        inputs = [str(dep) for dep in stage["deps"]]
        answer[name] = changed is None or name in changed or any(dep.startswith(tuple(made)) for dep in inputs)
        if answer[name]:
            made += [str(out) for out in stage["outs"] if isinstance(out, str)]
    return answer


def changed_stages() -> set[str] | None:
    """Ask DVC which stages have changed; None where it cannot say."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            return {name.split(":")[-1] for name in repo.status()}
    except DvcException:
        return None


def size(params: Params, folder: Path | None) -> Size:
    """Find out how much there is to read and to learn.

    Args:
        params: the choices.
        folder: the model's, where it is at hand.
    """
    data, model = catalog_entry("datasets", params.data.name), catalog_entry("models", params.model.name)
    rows, tokens = _reviews(data, f"{CATALOG}: datasets.{params.data.name}", params)
    return Size(rows, tokens and min(tokens, params.tokenize.max_length), count_weights(model, folder))


def _reviews(entry: Mapping[str, Any], where: str, params: Params) -> tuple[dict[str, float] | None, float | None]:
    """Estimate the rows of each split and the tokens of a review; of a local file from its beginning."""
    limits = {name: getattr(params.prepare, f"{name}_rows") for name in ("train", "validation", "test")}
    if entry["source"] == "hub":
        return (limits if all(limits.values()) else None), None
    if entry["source"] == "builtin":
        rows, tokens = dict(entry["rows"]), float(BUILTIN_TOKENS)
    else:
        rows, tokens = _local_reviews(entry, where, params)
    return {name: min(count, limits[name] or count) for name, count in rows.items()}, tokens


def beginnings(entry: Mapping[str, Any], where: str) -> Iterator[Chunk]:
    """Read the first rows of each split of a local dataset."""
    for chunks in read_local(Path(entry["path"]), entry, where).values():
        yield from islice((chunk for chunk in chunks if chunk.texts), 1)  # the first tells the columns alone


def _local_reviews(entry: Mapping[str, Any], where: str, params: Params) -> tuple[dict[str, float], float]:
    """Estimate from the first rows of a file how many it has; a folder counts by the bytes of all its files."""
    texts = [text for chunk in beginnings(entry, where) for text in chunk.texts]
    path = Path(entry["path"])
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    letters = sum(map(len, texts)) / max(1, len(texts))
    count = max(len(texts), sum(file.stat().st_size for file in files) / max(1.0, letters + 10))
    test, validation = params.prepare.test_fraction, params.prepare.validation_fraction
    rest = count * (1 - test)
    rows = {"train": rest * (1 - validation), "validation": rest * validation, "test": count * test}
    return rows, letters / LETTERS_PER_TOKEN


def count_weights(entry: Mapping[str, Any], folder: Path | None) -> int | None:
    """Count the weights of a model: from its sizes, or from the bytes of its files."""
    if entry["source"] == "builtin":  # the vocabulary is the most that the tokenizer may learn
        return int(
            12 * entry["layers"] * entry["width"] ** 2 + (entry["vocabulary"] + entry["positions"]) * entry["width"]
        )
    files = list(folder.glob("*.safetensors")) if folder else []
    return sum(file.stat().st_size for file in files) // 4 or None


def seconds(params: Params, size: Size, device: str) -> dict[str, float | None]:
    """Reckon how long each stage takes.

    Args:
        params: the choices.
        size: what there is to work on.
        device: cpu, cuda or mps.

    Returns:
        Stage to seconds; None where what they depend on is not known.
    """
    builtin = catalog_entry("models", params.model.name)["source"] == "builtin"
    pass_speed = SPEED[device] * (params.threads if device == "cpu" else 1)
    answer: dict[str, float | None] = dict.fromkeys(("prepare", "base", "tokenize", "train", "evaluate"))
    answer["plot"] = STARTING
    if size.weights:
        tokens = params.base.pretraining_rows * BUILTIN_TOKENS if builtin else 0
        answer["base"] = STARTING + 6 * size.weights * tokens / pass_speed
    if size.rows:
        rows, train = sum(size.rows.values()), size.rows["train"] * (1 + params.tokenize.augmentation.copies)
        answer["prepare"] = STARTING / 4 + rows / READING
        answer["tokenize"] = STARTING + train / ENCODING
        if size.weights and size.tokens:
            forward = 2 * size.weights * size.tokens / pass_speed  # of one review
            checked = params.train.epochs * params.train.evaluations_per_epoch * size.rows["validation"]
            answer["train"] = STARTING + forward * (3 * train * params.train.epochs + checked)
            scored = 2 * (rows - size.rows["train"]) + size.rows["train"]  # both models; the base's features of train
            answer["evaluate"] = STARTING + forward * scored + rows / FITTING
    return answer

"""Models + test -> numbers, predictions, curves as tables. The only stage that reads the test split.

In: data/prepared, data/tokenized/validation, models/base (with the head that training started from) and
models/finetuned. Out: metrics/evaluate.json; data/predictions/test.{parquet,csv}, every test row with both models'
probabilities; plots/test/*.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from datasets import load_from_disk
from sklearn.metrics import log_loss

from sentiment import backbones, baselines, formulations, metrics
from sentiment.encoding import encode
from sentiment.errors import exit_on_input_error
from sentiment.names import FACTS, LABELS
from sentiment.params import load_params, section
from sentiment.paths import BASE, EVALUATE_METRICS, FINETUNED, PREDICTIONS, PREPARED, TEST_CURVES, TOKENIZED
from sentiment.probability import probabilities
from sentiment.progress import say, timed
from sentiment.scoring import score
from sentiment.tables import read_json, read_parquet, write_csv, write_json, write_parquet
from sentiment.torch_setup import set_up_torch
from sentiment.verbalizer import prompt_of


@dataclass(frozen=True)
class EvaluateParams:
    """The section `evaluate` of params.yaml; params.schema.json says what each value means."""

    batch_size: int
    bootstrap_samples: int
    calibration_bins: int


def encode_test(texts: list[str], facts: dict[str, Any]) -> tuple[list[list[int]], float]:
    """Encode the test texts as the fine-tuned model's sentiment.json says.

    Returns:
        Token ids of each text, and the share of texts that were cut.
    """
    tokenizer = backbones.load_tokenizer(FINETUNED)
    prompt = prompt_of(tokenizer, facts)
    chunks = list(encode(tokenizer, texts, facts["max_length"], facts["truncation_side"], prompt))
    ids = [row for chunk in chunks for row in chunk.ids]
    return ids, float(np.mean([cut for chunk in chunks for cut in chunk.truncated]))


def predict(
    folder: Path, facts: dict[str, Any], splits: list[list[list[int]]], batch_size: int, device: str, seed: int
) -> list[np.ndarray]:
    """Load a model folder once, and compute the probability of the positive label for every row of each split's ids."""
    model, formulation = formulations.load(folder, backbones.load_tokenizer(folder), facts, seed)
    return [probabilities(score(model, formulation, ids, batch_size, device)) for ids in splits]


def baseline_measures(splits: dict[str, pd.DataFrame]) -> dict[str, dict[str, float]]:
    """Fit the baselines on train, choose on validation, measure on test."""
    labels = {split: rows["label"].to_numpy() for split, rows in splits.items()}
    texts = {split: rows["text"].tolist() for split, rows in splits.items()}
    tfidf = baselines.tfidf_lr(
        texts["train"], labels["train"], texts["validation"], labels["validation"], texts["test"]
    )
    positive = {"majority": baselines.majority(labels["train"], len(labels["test"])), "tfidf_lr": tfidf}
    return {name: baselines.measure_baseline(labels["test"], values) for name, values in positive.items()}


def validation_measures(positive: np.ndarray, labels: np.ndarray, facts: dict[str, Any]) -> dict[str, float]:
    """Measure the fine-tuned model on validation, and repeat what sentiment.json states."""
    return {
        "accuracy": float(((positive > 0.5) == (labels == 1)).mean()),
        "log_loss": float(log_loss(labels, positive, labels=[0, 1])),
        "temperature": facts["temperature"],
        "threshold": facts["threshold"],
    }


def prediction_table(test: pd.DataFrame, positive: dict[str, np.ndarray]) -> pd.DataFrame:
    """Lay every test row beside both models' probabilities.

    Returns:
        id, text, tags, label, predicted and correct (of the fine-tuned model, label words), probability_positive and
        probability_negative (fine-tuned), base_probability_positive, source, source_row.
    """
    after = positive["finetuned"].round(6)
    words = np.array(LABELS)
    predicted = words[(positive["finetuned"] > 0.5).astype(int)]
    label = words[test["label"].to_numpy()]
    return pd.DataFrame(
        {
            "id": test["id"],
            "text": test["text"],
            "tags": test["tags"],
            "label": label,
            "predicted": predicted,
            "correct": predicted == label,
            "probability_positive": after,
            "probability_negative": (1 - after).round(6),
            "base_probability_positive": positive["base"].round(6),
            "source": test["source"],
            "source_row": test["source_row"],
        }
    )


def write_curves(folder: Path, labels: np.ndarray, positive: dict[str, np.ndarray], bins: int) -> None:
    """Write the data behind the plots: confusion, ROC, precision-recall and calibration, for both models."""
    points: dict[str, Callable[[np.ndarray, np.ndarray], list[dict[str, float]]]] = {
        "roc": metrics.roc_points,
        "precision_recall": metrics.precision_recall_points,
        "calibration": lambda truth, stated: metrics.calibration_bins(truth, stated, bins),
    }
    for model, values in positive.items():
        for name, trace in points.items():
            write_json(folder / f"{name}_{model}.json", trace(labels, values))
        words = np.array(LABELS)
        pairs = pd.DataFrame({"actual": words[labels], "predicted": words[(values > 0.5).astype(int)]})
        write_csv(folder / f"confusion_{model}.csv", pairs)


def main() -> None:
    """Measure the base and the fine-tuned model, and the baselines, on the test split."""
    all_params = load_params()
    params = section(all_params, "evaluate", EvaluateParams)
    seed, device = all_params["seed"], all_params["device"]
    set_up_torch(seed, all_params["threads"], device)
    splits = {split: read_parquet(PREPARED / f"{split}.parquet") for split in ("train", "validation", "test")}
    test, labels = splits["test"], splits["test"]["label"].to_numpy()
    facts = read_json(FINETUNED / FACTS)
    ids, truncated_share = encode_test(test["text"].tolist(), facts)
    validation = load_from_disk(TOKENIZED / "validation")
    with timed(f"scoring {len(ids)} reviews with {BASE}"):
        [before] = predict(BASE, facts, [ids], params.batch_size, device, seed)
    with timed(f"scoring {len(ids) + len(validation)} reviews with {FINETUNED}"):
        both = [ids, validation["input_ids"][:]]
        after, stated = predict(FINETUNED, facts, both, params.batch_size, device, seed)
    positive = {"base": before, "finetuned": after}
    with timed("fitting the baselines"):
        floor = baseline_measures(splits)
    correct = (positive["finetuned"] > 0.5) == (labels == 1)
    measures: dict[str, Any] = {
        "test": metrics.measure(labels, positive["finetuned"], params.calibration_bins),
        "base": metrics.measure(labels, positive["base"], params.calibration_bins),
        "baselines": floor,
        "gain": metrics.gain(labels, positive["base"], positive["finetuned"], params.bootstrap_samples, seed),
        "validation": validation_measures(stated, np.asarray(validation["label"]), facts),
        "slices": metrics.slices(test["tags"].tolist(), correct),
        "data": {"truncated_share": {"test": truncated_share}},
    }
    write_json(EVALUATE_METRICS, measures)
    table = prediction_table(test, positive)
    write_parquet(PREDICTIONS / "test.parquet", table)
    write_csv(PREDICTIONS / "test.csv", table)
    write_curves(TEST_CURVES, labels, positive, params.calibration_bins)
    say(f"test accuracy {measures['test']['accuracy']:.4f}, before {measures['base']['accuracy']:.4f}")


if __name__ == "__main__":
    exit_on_input_error(main)

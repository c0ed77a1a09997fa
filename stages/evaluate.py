"""Models + test -> numbers, predictions, curves as tables. The only stage that reads the test split.

In: data/prepared, data/tokenized, models/base and models/finetuned. 'Before' is the strongest score of the base model
without fine-tuning, chosen on validation: its label words, plainly or calibrated, or the head that training started
from. Out: metrics/evaluate.json; data/predictions/test.{parquet,csv}, every test row with both models'
probabilities; plots/test/*.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from datasets import load_from_disk
from sklearn.metrics import log_loss

from sentiment.backbones import loading
from sentiment.backbones.torch_setup import set_up_torch
from sentiment.checkpoints.blocks import held_tensors
from sentiment.engine import heads
from sentiment.engine.heads import Features, Head, LabelWords
from sentiment.engine.probability import probabilities
from sentiment.engine.scoring import score
from sentiment.evaluation import baselines, metrics
from sentiment.evaluation.deltas import layer_changes
from sentiment.evaluation.zero_shot import CONTENT_FREE, METHODS, zero_shot_logits
from sentiment.pipeline.artifacts import read_json, read_parquet, write_csv, write_json, write_parquet
from sentiment.pipeline.errors import InputError, exit_on_input_error
from sentiment.pipeline.labels import FACTS, LABELS, SPLITS
from sentiment.pipeline.params import EvaluateParams, load_params
from sentiment.pipeline.paths import BASE, EVALUATE_METRICS, FINETUNED, PREDICTIONS, PREPARED, TEST_CURVES, TOKENIZED
from sentiment.pipeline.progress import say, timed
from sentiment.tokens.encoding import encode
from sentiment.tokens.prompts import prompt_of
from sentiment.tokens.tokenizer import load_tokenizer

Ids = list[list[int]]  # token ids of each review
Positive = np.ndarray  # probability of the positive label for each review, [reviews]


def encode_as(facts: dict[str, Any], tokenizer: Any, texts: list[str]) -> tuple[Ids, float]:
    """Encode texts as the fine-tuned model's sentiment.json says.

    Returns:
        Token ids of each text, and the share of texts that were cut.
    """
    chunks = list(encode(tokenizer, texts, facts, prompt_of(tokenizer, facts)))
    ids = [row for chunk in chunks for row in chunk.ids]
    return ids, float(np.mean([cut for chunk in chunks for cut in chunk.truncated]))


def predict(facts: dict[str, Any], splits: list[Ids], params: EvaluateParams, device: str, seed: int) -> list[Positive]:
    """Load the fine-tuned model once, and compute the probability of the positive label for each split's rows."""
    model, formulation = heads.load(FINETUNED, load_tokenizer(FINETUNED), facts, seed)
    return [probabilities(score(model, formulation, ids, params.batch_size, device)) for ids in splits]


def zero_shot(
    facts: dict[str, Any], texts: dict[str, list[str]], params: EvaluateParams, device: str, seed: int
) -> dict[str, dict[str, Positive]]:
    """Ask the base model by its label words, plainly and calibrated.

    Args:
        facts: what sentiment.json says; a model fine-tuned by its head is asked as well, where it can be.
        texts: split to texts.
        params: the stage's params.
        device: cpu, cuda or mps.
        seed: the seed of params.yaml.

    Returns:
        Method to split to probabilities; empty where a headed model has no words to answer with.
    """
    asked = {**facts, "formulation": "label_words"}
    tokenizer = load_tokenizer(BASE)
    try:
        model, formulation = heads.load(BASE, tokenizer, asked, seed)
        encoded = {
            name: encode_as(asked, tokenizer, rows)[0] for name, rows in {**texts, "": list(CONTENT_FREE)}.items()
        }
    except InputError as error:
        if facts["formulation"] == "label_words":
            raise
        say(f"  no zero-shot score: {error}")
        return {}
    assert isinstance(formulation, LabelWords)
    sizes = [len(facts["label_words"][label]) for label in LABELS]
    logits = {n: score(model, formulation.apart(), ids, params.batch_size, device) for n, ids in encoded.items()}
    answers = {split: zero_shot_logits(logits[split], logits[""], sizes) for split in texts}
    return {method: {split: probabilities(answers[split][method]) for split in texts} for method in METHODS}


def head_before(model: Any, ids: dict[str, Ids], params: EvaluateParams, device: str) -> dict[str, Positive]:
    """Ask the head that training started from about validation and test; split to probabilities."""
    return {
        split: probabilities(score(model, Head(), ids[split], params.batch_size, device))
        for split in ("validation", "test")
    }


def probe(
    model: Any, ids: dict[str, Ids], labels: dict[str, np.ndarray], params: EvaluateParams, device: str
) -> Positive:
    """Fit a linear probe on the base model's features.

    Args:
        model: the base model.
        ids: token ids of train, validation and test.
        labels: of the same rows.
        params: the stage's params.
        device: cpu, cuda or mps.

    Returns:
        The probe's probabilities for test.
    """
    features = {split: score(model, Features(), rows, params.batch_size, device) for split, rows in ids.items()}
    return baselines.linear_probe(
        features["train"], labels["train"], features["validation"], labels["validation"], features["test"]
    )


def strongest(candidates: dict[str, dict[str, Positive]], labels: np.ndarray) -> str:
    """Choose the untuned way of asking that is most often right on validation; the first of equals."""
    right = {name: float(((p["validation"] > 0.5) == (labels == 1)).mean()) for name, p in candidates.items()}
    return max(right, key=lambda name: right[name])


def bag_of_words(splits: dict[str, pd.DataFrame], labels: dict[str, np.ndarray]) -> dict[str, Positive]:
    """Fit the baselines that need no model on train, choose on validation, and score test."""
    texts = {split: rows["text"].tolist() for split, rows in splits.items()}
    rows = (texts["train"], labels["train"], texts["validation"], labels["validation"], texts["test"])
    return {
        "majority": baselines.majority(labels["train"], len(labels["test"])),
        "tfidf_lr": baselines.tfidf_lr(*rows),
        "nbsvm": baselines.nbsvm(*rows),
    }


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


def write_layer_change(folder: Path) -> None:
    """Write how far training has moved each layer: norm of fine-tuned minus base over norm of base."""
    table = pd.DataFrame(layer_changes(BASE, FINETUNED), columns=["layer", "relative_change"])
    write_csv(folder / "layer_change.csv", table)


def main() -> None:
    """Measure the base and the fine-tuned model, and the baselines, on the test split."""
    all_params = load_params()
    params = all_params.evaluate
    seed, device = all_params.seed, all_params.device
    set_up_torch(seed, all_params.threads, device)
    splits = {split: read_parquet(PREPARED / f"{split}.parquet") for split in SPLITS}
    labels = {split: rows["label"].to_numpy() for split, rows in splits.items()}
    test, truth = splits["test"], labels["test"]
    facts = read_json(FINETUNED / FACTS)
    ids = {split: load_from_disk(TOKENIZED / split)["input_ids"][: len(splits[split])] for split in SPLITS[:2]}
    ids["test"], truncated_share = encode_as(facts, load_tokenizer(FINETUNED), test["text"].tolist())
    with timed(f"scoring {len(ids['validation']) + len(test)} reviews with {FINETUNED}"):
        stated, after = predict(facts, [ids["validation"], ids["test"]], params, device, seed)
    with timed(f"scoring {len(ids['validation']) + len(test)} reviews with {BASE}, untuned"):
        texts = {split: splits[split]["text"].tolist() for split in ("validation", "test")}
        untuned = zero_shot(facts, texts, params, device, seed)
        base = loading.load_classifier(BASE, load_tokenizer(BASE), seed)
        head = "untrained_head" if loading.new_head(base, held_tensors(BASE)) else "own_head"
        headed = {head: head_before(base, ids, params, device)} if facts["formulation"] == "head" else {}
    with timed(f"probing the features of {BASE}"):
        probed = probe(base, ids, labels, params, device)
    with timed("fitting the baselines"):
        others = bag_of_words(splits, labels)
    floor = {**others, "linear_probe": probed, **{name: answers["test"] for name, answers in untuned.items()}}
    candidates = {**headed, **untuned}
    before = strongest(candidates, labels["validation"])
    positive = {"base": candidates[before]["test"], "finetuned": after}
    measures: dict[str, Any] = {
        "before": before,
        "test": metrics.measure(truth, after, params.calibration_bins),
        "base": metrics.measure(truth, positive["base"], params.calibration_bins),
        "baselines": {name: baselines.measure_baseline(truth, values) for name, values in floor.items()},
        "gain": metrics.gain(truth, positive["base"], after, params.bootstrap_samples, seed),
        "validation": validation_measures(stated, labels["validation"], facts),
        "slices": metrics.slices(test["tags"].tolist(), (after > 0.5) == (truth == 1)),
        "data": {"truncated_share": {"test": truncated_share}},
    }
    write_json(EVALUATE_METRICS, measures)
    table = prediction_table(test, positive)
    write_parquet(PREDICTIONS / "test.parquet", table)
    write_csv(PREDICTIONS / "test.csv", table)
    write_curves(TEST_CURVES, truth, positive, params.calibration_bins)
    write_layer_change(TEST_CURVES)
    say(f"test accuracy {measures['test']['accuracy']:.4f}, before {measures['base']['accuracy']:.4f} ({before})")


if __name__ == "__main__":
    exit_on_input_error(main)

"""Models + test -> numbers, predictions, curves as tables. The only stage that reads the test split.

In: data/prepared, data/tokenized, models/base and models/finetuned. 'Before' is the best score, on validation, of the
base model without fine-tuning: a linear probe of its features, its label words, plainly or calibrated, or a head of its
own; a randomly initialised head is only listed among the baselines. Out: metrics/evaluate.json;
data/predictions/test.{parquet,csv}, every test row with both models' probabilities; plots/test/*.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from datasets import load_from_disk

from sentiment.backbones import loading
from sentiment.backbones.torch_setup import set_up_torch
from sentiment.checkpoints.blocks import held_tensors
from sentiment.checkpoints.manifest import Manifest
from sentiment.engine import heads
from sentiment.engine.probability import probabilities
from sentiment.engine.scoring import score
from sentiment.evaluation import metrics, untuned
from sentiment.evaluation.deltas import layer_deltas
from sentiment.evaluation.untuned import ScoreFunction
from sentiment.pipeline.artifacts import write_csv, write_json, write_parquet
from sentiment.pipeline.errors import exit_on_input_error
from sentiment.pipeline.labels import LABELS, SPLITS, THRESHOLD, decide
from sentiment.pipeline.params import load_params
from sentiment.pipeline.paths import BASE, EVALUATE_METRICS, FINETUNED, PREDICTIONS, PREPARED, TEST_CURVES, TOKENIZED
from sentiment.pipeline.progress import say, timed
from sentiment.tokens.encoding import Ids, encode
from sentiment.tokens.tokenizer import load_tokenizer


def score_finetuned(manifest: Manifest, splits: list[Ids], scored: ScoreFunction, seed: int) -> list[np.ndarray]:
    """Load the fine-tuned model once, and compute the probability of the positive label for each split's rows."""
    model, formulation = heads.load(FINETUNED, load_tokenizer(FINETUNED), manifest, seed)
    return [probabilities(scored(model, formulation, ids), manifest.temperature) for ids in splits]


def predicted_labels(positive: np.ndarray, threshold: float) -> np.ndarray:
    """Return the label word of each probability, [reviews]."""
    words: np.ndarray = np.array(LABELS)[decide(positive, threshold).astype(int)]
    return words


def prediction_table(test: pd.DataFrame, after: np.ndarray, before: np.ndarray, threshold: float) -> pd.DataFrame:
    """List every test row with both models' probabilities.

    Returns:
        id, text, tags, label, predicted and correct (of the fine-tuned model, label words), probability_positive and
        probability_negative (fine-tuned), base_probability_positive, source, source_row.
    """
    table = test[["id", "text", "tags"]].copy()
    table["label"] = np.array(LABELS)[test["label"].to_numpy()]
    table["predicted"] = predicted_labels(after, threshold)
    table["correct"] = table["predicted"] == table["label"]
    table["probability_positive"] = after.round(6)
    table["probability_negative"] = (1 - after.round(6)).round(6)
    table["base_probability_positive"] = before.round(6)
    return table.join(test[["source", "source_row"]])


def write_curves(name: str, labels: np.ndarray, positive: np.ndarray, threshold: float, bins: int) -> None:
    """Write the data behind one model's plots: confusion, ROC, precision-recall and calibration."""
    write_json(TEST_CURVES / f"roc_{name}.json", metrics.roc_points(labels, positive))
    write_json(TEST_CURVES / f"precision_recall_{name}.json", metrics.precision_recall_points(labels, positive))
    write_json(TEST_CURVES / f"calibration_{name}.json", metrics.calibration_bins(labels, positive, bins))
    pairs = {"actual": np.array(LABELS)[labels], "predicted": predicted_labels(positive, threshold)}
    write_csv(TEST_CURVES / f"confusion_{name}.csv", pd.DataFrame(pairs))


def pick(measures: dict[str, float], *names: str) -> dict[str, float]:
    """Keep the named measures alone."""
    return {name: measures[name] for name in names}


def main() -> None:
    """Measure the base and the fine-tuned model, and the baselines, on the test split."""
    all_params = load_params()
    params = all_params.evaluate
    seed = all_params.seed
    device = set_up_torch(seed, all_params.threads, all_params.device)
    scored = partial(score, batch_size=params.batch_size, device=device)
    splits = {split: pd.read_parquet(PREPARED / f"{split}.parquet") for split in SPLITS}
    texts = {split: rows["text"].tolist() for split, rows in splits.items()}
    labels = {split: rows["label"].to_numpy() for split, rows in splits.items()}
    test, truth = splits["test"], labels["test"]
    manifest = Manifest.read(FINETUNED)
    ids: dict[str, Ids] = {
        split: load_from_disk(TOKENIZED / split)["input_ids"][: len(splits[split])] for split in SPLITS[:2]
    }
    encoded = encode(load_tokenizer(FINETUNED), texts["test"], manifest)
    ids["test"] = encoded.ids
    judged = {split: texts[split] for split in ("validation", "test")}
    reviews = sum(map(len, judged.values()))
    with timed(f"scoring {reviews} reviews with {FINETUNED}"):
        validation, after = score_finetuned(manifest, [ids[split] for split in judged], scored, seed)
    with timed(f"scoring {reviews} reviews with {BASE}, untuned"):
        by_words = untuned.zero_shot(BASE, manifest, judged, scored, seed)
        base = loading.load_classifier(BASE, load_tokenizer(BASE), seed)
        head = "untrained_head" if loading.new_head(base, held_tensors(BASE)) else "own_head"
        by_head = {head: untuned.by_head(base, ids, scored)} if manifest.has_head else {}
    with timed(f"probing the features of {BASE}"):
        by_base = {"linear_probe": untuned.probe(base, ids, labels, scored), **by_words, **by_head}
    with timed("fitting the baselines"):
        baselines = {**untuned.bag_of_words(texts, labels), **by_base}
    by_base.pop("untrained_head", None)
    name_before, name_best = (untuned.strongest(scores, labels["validation"]) for scores in (by_base, baselines))
    before, threshold, bins = by_base[name_before]["test"], manifest.threshold, params.calibration_bins
    comparisons = {
        name: metrics.gain(truth, baselines[name]["test"], after, threshold) for name in (name_before, name_best)
    }
    tags = test["tags"].tolist()
    measures: dict[str, Any] = {
        "before": name_before,
        "best_baseline": name_best,
        "test": metrics.measure(truth, after, bins, threshold),
        "base": metrics.measure(truth, before, bins),
        "baselines": {
            name: pick(metrics.measure(truth, scores["test"], bins), "accuracy", "f1", "roc_auc")
            for name, scores in baselines.items()
        },
        "gain": comparisons[name_before],
        "gain_over_baseline": comparisons[name_best],
        "validation": {
            **pick(metrics.measure(labels["validation"], validation, bins, threshold), "accuracy", "log_loss"),
            "temperature": manifest.temperature,
            "threshold": threshold,
        },
        "slices": metrics.slices(tags, decide(after, threshold) == (truth == 1)),
        "data": {"truncated_share": {"test": float(np.mean(encoded.truncated))}, **metrics.noise_ceiling(tags)},
    }
    write_json(EVALUATE_METRICS, measures)
    table = prediction_table(test, after, before, threshold)
    write_parquet(PREDICTIONS / "test.parquet", table)
    write_csv(PREDICTIONS / "test.csv", table)
    write_curves("finetuned", truth, after, threshold, bins)
    write_curves("base", truth, before, THRESHOLD, bins)
    moved = pd.DataFrame(layer_deltas(BASE, FINETUNED), columns=["layer", "relative_change"])
    write_csv(TEST_CURVES / "layer_change.csv", moved)
    say(f"test accuracy {measures['test']['accuracy']:.4f}, before {measures['base']['accuracy']:.4f} ({name_before})")
    for ceiling in metrics.noise_ceiling(tags).values():
        say(f"ceiling from label noise: {ceiling:.3f}")


if __name__ == "__main__":
    exit_on_input_error(main)

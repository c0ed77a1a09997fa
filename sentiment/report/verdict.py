"""The verdict in words: is the fine-tuned model better than what costs less, what has it seen, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FEW_REVIEWS = 1000  # in train; with fewer, another seed can turn the verdict
MANY_CUT = 0.25  # share of the train reviews

SCORERS = {  # key in metrics.json: baselines -> name
    "majority": "majority label",
    "tfidf_lr": "TF-IDF, logistic regression",
    "tfidf_negation_lr": "TF-IDF with negation marking, logistic regression",
    "nbsvm": "NB-SVM",
    "linear_probe": "linear probe on frozen features",
    "zero_shot_plain": "label words, zero-shot",
    "zero_shot_contextual": "label words, contextual calibration",
    "zero_shot_pmi": "label words, PMI",
    "untrained_head": "randomly initialised head, untrained",
    "own_head": "the base model's own head, not fine-tuned",
}


def percent(share: float) -> str:
    """Write a share as a percentage."""
    return f"{100 * share:.1f} %"


def p_value(p: float) -> str:
    """Write a p-value as it stands after the letter p."""
    return f"= {p:.2g}" if p >= 0.001 else "< 0.001"


def outcome(gain: Mapping[str, float]) -> str:
    """Say what a comparison has shown, by the one rule: does the 95 % interval of the difference leave zero out?

    It does exactly where McNemar's p-value is below 0.05.
    """
    if gain["accuracy_low"] > 0:
        return "better than"
    return "worse than" if gain["accuracy_high"] < 0 else "not shown to be better than"


def verdict(measures: Mapping[str, Any]) -> list[str]:
    """Judge a run.

    Args:
        measures: the content of metrics.json.

    Returns:
        Plain sentences: accuracy, the comparisons, what the model has seen, and what to do next if anything.
    """
    test, rows = measures["test"], measures["data"]["rows"]["train"]
    ceiling = measures["data"].get("label_noise_ceiling")
    allowed = f"; ceiling from label noise {percent(ceiling)}" if ceiling else ""
    interval = f"95 % interval {percent(test['accuracy_low'])} to {percent(test['accuracy_high'])}"
    seen = "built-in reviews only: expect errors on other texts" if measures["builtin"]["data"] else "reviews"
    steps = "; ".join(next_steps(measures))
    return [
        f"Accuracy {percent(test['accuracy'])} on {test['n']:,} test reviews ({interval}{allowed}).",
        *comparisons(measures),
        f"Trained on {rows:,} {seen}.",
        *([f"Next: {steps}."] if steps else []),
    ]


def comparisons(measures: Mapping[str, Any]) -> list[str]:
    """Compare the fine-tuned model with the best baseline and the untuned model; one sentence where these are one.

    Both are chosen on validation, and so another baseline may be the best on test.
    """
    best, before = measures["best_baseline"], measures["before"]
    if best == before:
        what = "the best baseline on validation, which is the untuned model"
        return [_comparison(what, best, measures["gain"], measures)]
    return [
        _comparison("the best baseline on validation", best, measures["gain_over_baseline"], measures),
        _comparison("the untuned model", before, measures["gain"], measures),
    ]


def _comparison(what: str, name: str, gain: Mapping[str, float], measures: Mapping[str, Any]) -> str:
    points, low, high = (f"{100 * gain[key]:+.1f}" for key in ("accuracy", "accuracy_low", "accuracy_high"))
    return (
        f"{outcome(gain).capitalize()} {what} ({SCORERS[name]}: {percent(measures['baselines'][name]['accuracy'])}): "
        f"{points} points (95 % interval {low} to {high}, McNemar p {p_value(gain['mcnemar_p'])})."
    )


def next_steps(measures: Mapping[str, Any]) -> list[str]:
    """Advise what is likely to help, the most useful first."""
    builtin, train, data = measures["builtin"], measures["train"], measures["data"]
    rows, cut = data["rows"]["train"], data["truncated_share"]["train"]
    if builtin["data"]:
        return ["train on reviews of your own, as README.md says"]
    advice = {
        "a pretrained model (model.name: minilm), since the built-in one has read built-in reviews only": builtin[
            "model"
        ],
        f"more reviews, since {rows:,} are few": rows < FEW_REVIEWS,
        f"a larger tokenize.max_length, since {percent(cut)} of the reviews are cut": cut > MANY_CUT,
        "a lower train.learning_rate, since no step was better than the model before training": train["best_step"] == 0,
        "more train.epochs, since the last step was the best": train["best_step"] == train["steps"],
    }
    return [text for text, applies in advice.items() if applies]

"""The verdict: what it calls better or worse, and what it advises, for runs made up here."""

from __future__ import annotations

from typing import Any

import pytest

from sentiment.evaluation.metrics import difference_interval
from sentiment.report.verdict import next_steps, outcome, p_value, verdict

FEW = {"rows": {"train": 240}}


def gained(better: int, worse: int, n: int = 1500) -> dict[str, float]:
    low, high = difference_interval(better, worse, n)
    return {"accuracy": (better - worse) / n, "accuracy_low": low, "accuracy_high": high, "mcnemar_p": 0.0321}


def run(**changed: Any) -> dict[str, Any]:
    """A run on 300 own reviews with a pretrained model, of which the third of four steps was kept."""
    measures = {
        "test": {"n": 1500, "accuracy": 0.9, "accuracy_low": 0.88, "accuracy_high": 0.92},
        "baselines": {"nbsvm": {"accuracy": 0.876}, "linear_probe": {"accuracy": 0.7}},
        "best_baseline": "nbsvm",
        "before": "linear_probe",
        "gain_over_baseline": gained(40, 20),
        "gain": gained(400, 20),
        "data": {"rows": {"train": 5000}, "truncated_share": {"train": 0.25}},
        "train": {"best_step": 3, "steps": 4},
        "builtin": {"data": False, "model": False},
    }
    return {**measures, **changed}


@pytest.mark.parametrize(
    ("better", "worse", "said"),
    [
        (40, 20, "better than"),
        (20, 40, "worse than"),
        (30, 20, "not shown to be better than"),
        (0, 0, "not shown to be better than"),
        (5, 0, "better than"),  # McNemar: 25 / 5 = 5, above 3.84
        (3, 0, "not shown to be better than"),  # 9 / 3 = 3
    ],
)
def test_what_is_better_is_what_mcnemars_test_says(better: int, worse: int, said: str) -> None:
    assert outcome(gained(better, worse)) == said


def test_the_verdict_has_the_numbers_and_both_comparisons() -> None:
    assert verdict(run()) == [
        "Accuracy 90.0 % on 1,500 test reviews (95 % interval 88.0 % to 92.0 %).",
        "Better than the best baseline on validation (NB-SVM: 87.6 %): "
        "+1.3 points (95 % interval +0.3 to +2.4, McNemar p = 0.032).",
        "Better than the untuned model (linear probe on frozen features: 70.0 %): "
        "+25.3 points (95 % interval +23.0 to +27.7, McNemar p = 0.032).",
        "Trained on 5,000 reviews.",
    ]


def test_an_untuned_model_that_is_the_best_baseline_is_compared_once() -> None:
    sentences = verdict(run(best_baseline="linear_probe", gain=gained(20, 60), gain_over_baseline=gained(20, 60)))
    assert [sentence for sentence in sentences if "McNemar" in sentence] == [
        "Worse than the best baseline on validation, which is the untuned model "
        "(linear probe on frozen features: 70.0 %): "
        "-2.7 points (95 % interval -3.9 to -1.5, McNemar p = 0.032)."
    ]


def test_generated_reviews_are_named_with_their_ceiling() -> None:
    data = {"rows": {"train": 8000}, "truncated_share": {"train": 0.0}, "label_noise_ceiling": 0.989}
    sentences = verdict(run(data=data, builtin={"data": True, "model": True}))
    assert "ceiling from label noise 98.9 %" in sentences[0]
    assert sentences[-2:] == [
        "Trained on 8,000 built-in reviews only: expect errors on other texts.",
        "Next: train on reviews of your own, as README.md says.",
    ]


@pytest.mark.parametrize(
    ("changed", "advice"),
    [
        ({}, []),
        ({"builtin": {"data": False, "model": True}}, ["a pretrained model (model.name: minilm)"]),
        ({"data": {**FEW, "truncated_share": {"train": 0.0}}}, ["more reviews, since 240 are few"]),
        ({"data": {**FEW, "truncated_share": {"train": 0.9}}}, ["more reviews", "a larger tokenize.max_length"]),
        ({"train": {"best_step": 0, "steps": 4}}, ["a lower train.learning_rate"]),
        ({"train": {"best_step": 4, "steps": 4}}, ["more train.epochs"]),
        ({"train": {"best_step": 0, "steps": 18}, "builtin": {"data": 0, "model": 1}},
         ["a pretrained model", "a lower train.learning_rate"]),
    ],
)  # fmt: skip
def test_advice_fits_the_run(changed: dict[str, Any], advice: list[str]) -> None:
    found = next_steps(run(**changed))
    assert len(found) == len(advice)
    assert all(text.startswith(start) for text, start in zip(found, advice, strict=True))


def test_a_small_p_value_is_not_called_zero() -> None:
    assert [p_value(p) for p in (0.0625, 0.001, 0.00099, 1e-100)] == ["= 0.062", "= 0.001", "< 0.001", "< 0.001"]

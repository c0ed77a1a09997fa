"""The training loss against formulas written out; class weights and resampling against counts worked by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from sentiment.training.losses import ClassificationLoss, class_weights, resample

LOGITS = torch.tensor([[2.0, -1.0], [0.5, 0.25], [-3.0, 1.0], [0.0, 0.0]])
LABELS = torch.tensor([0, 1, 1, 0])


def by_hand(weights: tuple[float, float], smoothing: float, gamma: float) -> list[float]:
    """Cross-entropy against the smoothed target, each label's part weighted; focal by the probability of the label."""
    losses = []
    for logits, label in zip(LOGITS.double().tolist(), LABELS.tolist(), strict=True):
        shares = np.exp(logits) / np.exp(logits).sum()
        target = [smoothing / 2 + (1 - smoothing) * (number == label) for number in range(2)]
        loss = -sum(weights[n] * target[n] * np.log(shares[n]) for n in range(2))
        losses.append(loss * (1 - shares[label]) ** gamma)
    return losses


@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.5, 3.0)])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_rows_cost_what_the_formulas_say(weights: tuple[float, float], smoothing: float, gamma: float) -> None:
    loss = ClassificationLoss(torch.tensor(weights), smoothing, gamma)
    assert loss.rows(LOGITS, LABELS).tolist() == pytest.approx(by_hand(weights, smoothing, gamma), rel=1e-5)
    outputs = SimpleNamespace(logits=LOGITS)
    assert float(loss(outputs, LABELS)) == pytest.approx(np.mean(by_hand(weights, smoothing, gamma)), rel=1e-5)
    assert float(loss(outputs, LABELS, 8)) == pytest.approx(sum(by_hand(weights, smoothing, gamma)) / 8, rel=1e-5)


def test_plain_cross_entropy_is_torchs() -> None:
    loss = ClassificationLoss(torch.ones(2), 0.0, 0.0)
    assert torch.equal(loss(SimpleNamespace(logits=LOGITS), LABELS), torch.nn.functional.cross_entropy(LOGITS, LABELS))


def test_class_weights_are_none_balanced_or_given() -> None:
    labels = np.array([0, 0, 0, 1])
    assert class_weights("none", labels).tolist() == [1, 1]
    reference = compute_class_weight("balanced", classes=np.array([0, 1]), y=labels)
    assert class_weights("balanced", labels).tolist() == pytest.approx(reference.tolist())
    given = class_weights({"positive": 3, "negative": 0.5}, labels).tolist()
    assert given[1] / given[0] == pytest.approx(6)
    assert np.mean([given[label] for label in labels]) == pytest.approx(1)


@pytest.mark.parametrize(
    "choice", ["none", "balanced", {"negative": 1.0, "positive": 3.0}, {"negative": 40.0, "positive": 2.0}]
)
def test_the_mean_loss_of_all_rows_is_torchs_weighted_mean(choice: Any) -> None:
    """Whatever the size of the weights: torch divides by the sum of the rows' weights."""
    rng = np.random.default_rng(0)
    labels, logits = (rng.random(40) < 0.3).astype(int), torch.tensor(rng.normal(size=(40, 2)))
    relative = {"none": [1.0, 1.0], "balanced": [1 / (labels == 0).sum(), 1 / (labels == 1).sum()]}
    given = relative[choice] if isinstance(choice, str) else [choice["negative"], choice["positive"]]
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor(labels), torch.tensor(given).double())
    loss = ClassificationLoss(class_weights(choice, labels), 0.0, 0.0)
    assert float(loss(SimpleNamespace(logits=logits), torch.tensor(labels))) == pytest.approx(float(expected), rel=1e-6)


def test_oversampling_repeats_every_row_of_the_rarer_label_equally_often() -> None:
    labels = np.array([0, 1, 0, 0, 1, 0, 0])  # 5 to 2: each row of label 1 twice, one of them a third time
    rows = resample(labels, "oversample", seed=0)
    counts = np.bincount(rows, minlength=7)
    assert counts[[0, 2, 3, 5, 6]].tolist() == [1] * 5
    assert sorted(counts[[1, 4]]) == [2, 3]
    assert rows.tolist() == sorted(rows)


def test_undersampling_leaves_rows_of_the_larger_label_out() -> None:
    labels = np.array([1, 1, 0, 1, 1, 0])
    rows = resample(labels, "undersample", seed=0)
    assert {2, 5} <= set(rows)
    assert len(rows) == len(set(rows)) == 4
    assert rows.tolist() == resample(labels, "undersample", seed=0).tolist()
    others = {tuple(resample(labels, "undersample", seed=seed)) for seed in range(20)}
    assert len(others) > 1


def test_no_sampling_keeps_every_row_once() -> None:
    assert resample(np.array([1, 0, 1]), "none", seed=3).tolist() == [0, 1, 2]

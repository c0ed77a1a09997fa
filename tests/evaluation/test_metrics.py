"""Guards every measure: against values worked by hand, and against formulas written out here without scikit-learn."""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import NormalDist

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from sentiment.evaluation import metrics

LABELS = np.array([1, 1, 1, 1, 1, 0, 0, 0])
POSITIVE = np.array([0.95, 0.85, 0.65, 0.35, 0.25, 0.75, 0.15, 0.05])
# Predicted: 1 1 1 0 0 1 0 0, so 3 true positives, 2 false negatives, 1 false positive, 2 true negatives.
BY_HAND = {
    "n": 8,
    "accuracy": 5 / 8,
    # z = 1.959964, z^2 / 8 = 0.480182: centre (0.625 + 0.240091) / 1.480182 = 0.584449,
    # half width 1.959964 * sqrt(0.625 * 0.375 / 8 + 0.480182 / 32) / 1.480182 = 0.278707
    "accuracy_low": 0.305742,
    "accuracy_high": 0.863156,
    "precision": 3 / 4,
    "recall": 3 / 5,
    "f1": 2 / 3,  # 2 * 3 / (2 * 3 + 1 + 2)
    "f1_macro": 13 / 21,  # of the negative label 2 * 2 / (2 * 2 + 2 + 1) = 4 / 7; (2 / 3 + 4 / 7) / 2
    "mcc": 4 / math.sqrt(240),  # (3 * 2 - 1 * 2) / sqrt(4 * 5 * 3 * 4)
    "roc_auc": 12 / 15,  # pairs in order: 3 + 3 + 2 + 2 + 2 of 5 * 3
    "pr_auc": (1 + 1 + 3 / 4 + 4 / 5 + 5 / 6) / 5,  # ranks of the positive ones: 1, 2, 4, 5, 6
    "log_loss": -math.log(0.95**2 * 0.85**2 * 0.65 * 0.35 * 0.25**2) / 8,
    "brier": 1.72 / 8,  # 0.0025 + 0.0225 + 0.1225 + 0.4225 + 0.5625 + 0.5625 + 0.0225 + 0.0025
    "ece": 0.175,  # two bins of 4: stated 0.2, observed 0.5; stated 0.8, observed 0.75
}


def predictions(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw labels and probabilities that know something, with ties among them."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, rows)
    return labels, np.clip(0.3 * labels + 0.35 + rng.normal(0, 0.25, rows), 0.01, 0.99).round(2)


def counts(labels: np.ndarray, positive: np.ndarray) -> tuple[int, int, int, int]:
    """Count true positives, false positives, false negatives and true negatives, one row at a time."""
    pairs = [(bool(label), stated > 0.5) for label, stated in zip(labels, positive, strict=True)]
    return tuple(pairs.count(pair) for pair in ((True, True), (False, True), (True, False), (False, False)))  # type: ignore[return-value]


def wilson(right: int, n: int) -> tuple[float, float]:
    z = NormalDist().inv_cdf(0.975)
    p = right / n
    centre = p + z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)


def ordered_pairs(labels: np.ndarray, positive: np.ndarray) -> float:
    """The share of pairs of a positive and a negative row in which the positive one has more; ties count half."""
    ups, downs = positive[labels == 1], positive[labels == 0]
    points = [1.0 if up > down else 0.5 if up == down else 0.0 for up in ups for down in downs]
    return sum(points) / len(points)


def average_precision(labels: np.ndarray, positive: np.ndarray) -> float:
    """The sum over thresholds of precision times the recall gained."""
    total, recall = 0.0, 0.0
    for threshold in sorted(set(positive), reverse=True):
        chosen = labels[positive >= threshold]
        reached = chosen.sum() / labels.sum()
        total, recall = total + chosen.mean() * (reached - recall), reached
    return total


def expected_calibration_error(labels: np.ndarray, positive: np.ndarray, bins: int) -> float:
    total = 0.0
    for number in range(bins):
        inside = [
            (y, p) for y, p in zip(labels, positive, strict=True) if min(math.floor(p * bins), bins - 1) == number
        ]
        total += abs(sum(y for y, _ in inside) - sum(p for _, p in inside))
    return total / len(labels)


def score_statistic(better: int, worse: int, n: int, difference: float) -> float:
    """Standardise the difference observed by its error if the true one is given, all by maximising the likelihood."""

    def unlikelihood(share: float) -> float:
        """Of `share` of rows that only the first model is right about, and `difference` more for the second."""
        cells = [(better, share + difference), (worse, share), (n - better - worse, 1 - 2 * share - difference)]
        return -sum(count * math.log(max(chance, 1e-300)) for count, chance in cells if count)

    bounds = (max(0.0, -difference), (1 - difference) / 2)
    share = minimize_scalar(unlikelihood, bounds=bounds, method="bounded", options={"xatol": 1e-13}).x
    return (better - worse - n * difference) / math.sqrt(n * (2 * share + difference - difference**2))


def test_every_measure_is_as_worked_by_hand() -> None:
    found = metrics.measure(LABELS, POSITIVE, bins=2)
    assert found.keys() == BY_HAND.keys()
    for name, value in BY_HAND.items():
        assert found[name] == pytest.approx(value, abs=2e-6), name


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("bins", [2, 10, 15])
def test_every_measure_follows_its_formula(seed: int, bins: int) -> None:
    labels, positive = predictions(300, seed)
    tp, fp, fn, tn = counts(labels, positive)
    low, high = wilson(tp + tn, 300)
    stated = np.where(labels == 1, positive, 1 - positive)
    reference = {
        "n": 300,
        "accuracy": (tp + tn) / 300,
        "accuracy_low": low,
        "accuracy_high": high,
        "precision": tp / (tp + fp),
        "recall": tp / (tp + fn),
        "f1": 2 * tp / (2 * tp + fp + fn),
        "f1_macro": tp / (2 * tp + fp + fn) + tn / (2 * tn + fp + fn),
        "mcc": (tp * tn - fp * fn) / math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)),
        "roc_auc": ordered_pairs(labels, positive),
        "pr_auc": average_precision(labels, positive),
        "log_loss": -np.log(stated).mean(),
        "brier": ((positive - labels) ** 2).mean(),
        "ece": expected_calibration_error(labels, positive, bins),
    }
    assert metrics.measure(labels, positive, bins) == pytest.approx(reference, abs=1e-12)


def test_a_probability_of_one_half_is_no_prediction_of_positive() -> None:
    found = metrics.measure(np.array([0, 1]), np.array([0.5, 0.5]), 10)
    assert (found["accuracy"], found["recall"], found["roc_auc"]) == (0.5, 0.0, 0.5)


@pytest.mark.parametrize("stated", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_predictions_of_one_class_only_give_finite_measures_without_a_warning(stated: float) -> None:
    labels, positive = np.array([0, 1, 1, 0]), np.full(4, stated)
    found = metrics.measure(labels, positive, 10)
    assert all(math.isfinite(value) for value in found.values())
    assert (found["accuracy"], found["mcc"], found["roc_auc"]) == (0.5, 0.0, 0.5)
    assert all(math.isfinite(value) for value in metrics.gain(labels, positive, 1 - positive).values())
    assert len(metrics.calibration_bins(labels, positive, 10)) == 1


def test_the_wilson_interval_stays_inside_zero_and_one_where_all_are_right_or_wrong() -> None:
    for right in (0, 1, 7, 19, 20):
        correct = np.arange(20) < right
        assert metrics.accuracy_interval(correct) == pytest.approx(wilson(right, 20), abs=1e-12)
    assert metrics.accuracy_interval(np.ones(20, dtype=bool))[1] <= 1.0
    assert metrics.accuracy_interval(np.zeros(20, dtype=bool))[0] >= 0.0


def test_calibration_bins_hold_every_row_once_and_a_certain_one_in_the_last() -> None:
    labels, positive = np.array([0, 0, 1, 1, 1]), np.array([0.0, 0.05, 0.55, 0.95, 1.0])
    rows = metrics.calibration_bins(labels, positive, 10)
    assert rows == [
        {"n": 2, "probability": 0.025, "positive_rate": 0.0},
        {"n": 1, "probability": 0.55, "positive_rate": 1.0},
        {"n": 2, "probability": 0.975, "positive_rate": 1.0},
    ]


def compared(better: int, worse: int, n: int) -> dict[str, float]:
    """Compare two models of which each alone is right about so many of n reviews."""
    before = np.array([0.2] * better + [0.8] * worse + [0.7] * (n - better - worse))
    after = np.array([0.8] * better + [0.2] * worse + [0.6] * (n - better - worse))
    return metrics.gain(np.ones(n, dtype=int), before, after)


PAIRS = [(9, 3, 60), (3, 9, 60), (5, 5, 60), (1, 0, 60), (0, 6, 60), (40, 17, 60), (5, 0, 1500), (700, 30, 1500)]


@pytest.mark.parametrize(("better", "worse", "n"), PAIRS)
def test_the_difference_and_its_interval_are_those_of_the_score_test(better: int, worse: int, n: int) -> None:
    """At both limits the statistic is that of a tail of 2.5 %; at no difference it is McNemar's."""
    found, z = compared(better, worse, n), NormalDist()
    assert found["accuracy"] == pytest.approx((better - worse) / n, abs=1e-15)
    assert score_statistic(better, worse, n, found["accuracy_low"]) == pytest.approx(z.inv_cdf(0.975), rel=1e-4)
    assert score_statistic(better, worse, n, found["accuracy_high"]) == pytest.approx(z.inv_cdf(0.025), rel=1e-4)
    mcnemar = (better - worse) / math.sqrt(better + worse)
    assert score_statistic(better, worse, n, 0.0) == pytest.approx(mcnemar, rel=1e-4)
    assert found["mcnemar_p"] == pytest.approx(math.erfc(abs(mcnemar) / math.sqrt(2)), rel=1e-9)


def test_the_interval_leaves_zero_out_exactly_where_p_is_below_a_twentieth() -> None:
    verdicts = set()
    for better in range(16):
        for worse in range(16):
            found = compared(better, worse, 100)
            outside = not found["accuracy_low"] <= 0 <= found["accuracy_high"]
            assert outside == (found["mcnemar_p"] < 0.05), (better, worse)
            verdicts.add(outside)
    assert verdicts == {True, False}


@pytest.mark.parametrize("n", [60, 100])
def test_the_interval_covers_the_true_difference_in_95_of_100_samples(n: int) -> None:
    """Of models that are alone right in 0.15 and 0.05 of all reviews."""
    rng = np.random.default_rng(n)
    drawn = [tuple(counts[:2]) for counts in rng.multinomial(n, [0.15, 0.05, 0.8], size=4000)]
    limits = {pair: metrics.difference_interval(*pair, n) for pair in set(drawn)}
    covered = np.mean([limits[pair][0] <= 0.1 <= limits[pair][1] for pair in drawn])
    assert 0.94 < covered < 0.965


@pytest.mark.parametrize(("better", "worse", "limits"), [(8, 0, (0.1, 1.0)), (0, 8, (-1.0, -0.1)), (0, 0, (-0.5, 0.5))])
def test_the_interval_has_limits_where_all_or_no_reviews_differ(
    better: int, worse: int, limits: tuple[float, float]
) -> None:
    low, high = metrics.difference_interval(better, worse, 8)
    assert limits[0] <= low <= (better - worse) / 8 <= high <= limits[1]
    assert low < high


def test_a_p_value_is_never_zero() -> None:
    assert 0 < compared(50_000, 0, 100_000)["mcnemar_p"] < 1e-300


def test_equal_predictions_gain_nothing_with_p_one() -> None:
    labels, positive = predictions(100, 0)
    found = metrics.gain(labels, positive, positive.copy())
    assert (found["accuracy"], found["mcnemar_p"]) == (0.0, 1.0)
    assert found["accuracy_high"] == pytest.approx(-found["accuracy_low"])


def test_slices_count_a_review_under_each_of_its_tags() -> None:
    tags = ["product negation", "film", "", "film negation", "film"]
    found = metrics.slices(tags, np.array([False, False, True, True, True]))
    assert found == {
        "film": {"n": 3, "accuracy": 2 / 3},
        "negation": {"n": 2, "accuracy": 0.5},
        "product": {"n": 1, "accuracy": 0.0},
    }
    assert list(found) == sorted(found)
    assert metrics.slices(["", ""], np.array([True, False])) == {}


def test_label_noise_is_a_ceiling_and_no_slice() -> None:
    tags = ["film noise", "film", "", "noise product"]
    assert set(metrics.slices(tags, np.ones(4, dtype=bool))) == {"film", "product"}
    assert metrics.noise_ceiling(tags) == {"label_noise_ceiling": 0.5}
    assert metrics.noise_ceiling(["film", "noisy"]) == {}


@pytest.mark.parametrize("seed", range(3))
def test_the_area_under_the_roc_points_is_roc_auc(seed: int) -> None:
    labels, positive = predictions(200, seed)
    points = [(p["false_positive_rate"], p["true_positive_rate"]) for p in metrics.roc_points(labels, positive)]
    assert points[0] == (0.0, 0.0)
    assert points[-1] == (1.0, 1.0)
    area = sum((x1 - x0) * (y0 + y1) / 2 for (x0, y0), (x1, y1) in pairwise(points))
    assert area == pytest.approx(ordered_pairs(labels, positive), abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_the_thinned_precision_recall_points_keep_average_precision(seed: int) -> None:
    labels, positive = predictions(200, seed)
    points = metrics.precision_recall_points(labels, positive)
    possible = {((labels[positive >= t]).mean(), labels[positive >= t].sum() / labels.sum()) for t in set(positive)}
    assert {(p["precision"], p["recall"]) for p in points[:-1]} <= possible
    assert points[-1] == {"precision": 1.0, "recall": 0.0}
    recalls = [p["recall"] for p in points]
    assert not [a for a, b, c in zip(recalls, recalls[1:], recalls[2:], strict=False) if a == b == c]
    total = sum((here["recall"] - following["recall"]) * here["precision"] for here, following in pairwise(points))
    assert total == pytest.approx(average_precision(labels, positive), abs=1e-12)

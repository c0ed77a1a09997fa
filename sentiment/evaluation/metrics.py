"""Measures of a binary classifier's probabilities."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.stats import binomtest, chi2
from sklearn import metrics

from sentiment.pipeline.labels import NOISE, THRESHOLD, decide

CONFIDENCE = 0.95
NEARBY = 1e-12  # beside the estimate, where a limit is looked for


def measure(labels: np.ndarray, positive: np.ndarray, bins: int, threshold: float = THRESHOLD) -> dict[str, float]:
    """Compute every measure of metrics.json for one set of predictions.

    Args:
        labels: 0 or 1, [reviews]; both occur.
        positive: probability of label 1, in [0, 1], [reviews].
        bins: bins of the expected calibration error.
        threshold: what a probability must exceed for label 1 to be predicted.

    Returns:
        n; accuracy with its 95 % Wilson interval (accuracy_low, accuracy_high), precision, recall and f1 of the
        positive label, f1_macro, roc_auc and pr_auc (average precision) in [0, 1]; mcc in [-1, 1]; log_loss in nats per
        review; brier and ece in [0, 1].
    """
    predicted = decide(positive, threshold).astype(int)
    low, high = accuracy_interval(labels == predicted)
    return {
        "n": len(labels),
        "accuracy": float(metrics.accuracy_score(labels, predicted)),
        "accuracy_low": low,
        "accuracy_high": high,
        "precision": float(metrics.precision_score(labels, predicted, zero_division=0.0)),
        "recall": float(metrics.recall_score(labels, predicted)),
        "f1": float(metrics.f1_score(labels, predicted)),
        "f1_macro": float(metrics.f1_score(labels, predicted, average="macro")),
        "mcc": float(metrics.matthews_corrcoef(labels, predicted)),
        "roc_auc": float(metrics.roc_auc_score(labels, positive)),
        "pr_auc": float(metrics.average_precision_score(labels, positive)),
        "log_loss": float(metrics.log_loss(labels, positive, labels=[0, 1])),
        "brier": float(metrics.brier_score_loss(labels, positive)),
        "ece": calibration_error(labels, positive, bins),
    }


def accuracy_interval(correct: np.ndarray) -> tuple[float, float]:
    """Compute the 95 % Wilson score interval of an accuracy.

    Args:
        correct: whether each prediction is right, [reviews].

    Source:
        Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953
    """
    interval = binomtest(int(correct.sum()), len(correct)).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def calibration_bins(labels: np.ndarray, positive: np.ndarray, bins: int) -> list[dict[str, float]]:
    """Compare stated and observed probability in bins of equal width.

    Args:
        labels: 0 or 1, [reviews].
        positive: probability of label 1, [reviews].
        bins: number of bins over [0, 1].

    Returns:
        For each bin that is not empty: n, probability (the mean stated) and positive_rate (the share observed).
    """
    index = np.minimum((positive * bins).astype(int), bins - 1)
    return [
        {
            "n": int(inside.sum()),
            "probability": float(positive[inside].mean()),
            "positive_rate": float(labels[inside].mean()),
        }
        for inside in (index == number for number in np.unique(index))
    ]


def calibration_error(labels: np.ndarray, positive: np.ndarray, bins: int) -> float:
    """Compute the expected calibration error of the positive label's probability, in [0, 1].

    Source:
        Naeini, Cooper and Hauskrecht 2015, https://doi.org/10.1609/aaai.v29i1.9602, with bins over the positive
        label's probability as in scikit-learn's calibration_curve.
    """
    rows = calibration_bins(labels, positive, bins)
    return sum(row["n"] * abs(row["probability"] - row["positive_rate"]) for row in rows) / len(labels)


def gain(labels: np.ndarray, before: np.ndarray, after: np.ndarray, threshold: float = THRESHOLD) -> dict[str, float]:
    """Compare two sets of predictions for the same reviews.

    The interval is made of the score test of every possible difference, McNemar's for none: it leaves zero out exactly
    where McNemar's p-value is below 0.05, and so there is one rule that says which model is better.

    Args:
        labels: 0 or 1, [reviews].
        before: the first model's probability of label 1, [reviews].
        after: the second model's.
        threshold: what a probability of the second model must exceed for label 1 to be predicted.

    Returns:
        accuracy, the difference after minus before, with its 95 % interval (accuracy_low, accuracy_high); mcnemar_p,
        the two-sided p-value that both are equally often right.

    Source:
        McNemar 1947, https://doi.org/10.1007/BF02295996; Fagerland, Lydersen and Laake 2013,
        https://doi.org/10.1186/1471-2288-13-91, prefer it to its exact form, which is conservative.
    """
    right_before, right_after = decide(before) == (labels == 1), decide(after, threshold) == (labels == 1)
    better, worse = int((right_after & ~right_before).sum()), int((right_before & ~right_after).sum())
    low, high = difference_interval(better, worse, len(labels))
    p = float(chi2.sf((better - worse) ** 2 / (better + worse), 1)) if better + worse else 1.0
    return {
        "accuracy": (better - worse) / len(labels),
        "accuracy_low": low,
        "accuracy_high": high,
        "mcnemar_p": max(p, float(np.finfo(float).tiny)),
    }


def difference_interval(better: int, worse: int, n: int) -> tuple[float, float]:
    """Compute the 95 % score interval of the difference of two accuracies on the same reviews.

    Args:
        better: how many reviews only the second model is right about.
        worse: how many only the first is right about.
        n: how many there are in all.

    Source:
        Tango 1998, Statistics in Medicine 17, 891-908, equations 14 and 15.
    """

    def rejection(difference: float) -> float:
        """Compute what is above zero where the score test rejects a difference, and below where it does not."""
        linear = (2 * n - better + worse) * difference - better - worse
        root = np.sqrt(max(linear**2 + 8 * n * worse * difference * (1 - difference), 0.0))
        only_first = (root - linear) / (4 * n)  # the likeliest share of `worse`, given the difference
        variance = n * (2 * only_first + difference * (1 - difference))
        return float((better - worse - n * difference) ** 2 - chi2.ppf(CONFIDENCE, 1) * variance)

    estimate = (better - worse) / n
    low = brentq(rejection, -1.0, estimate - NEARBY) if worse < n else -1.0
    high = brentq(rejection, estimate + NEARBY, 1.0) if better < n else 1.0
    return float(low), float(high)


def slices(tags: list[str], correct: np.ndarray) -> dict[str, dict[str, float]]:
    """Measure the accuracy of the reviews that carry each tag.

    Args:
        tags: each review's tags, separated by blanks, [reviews].
        correct: whether each prediction is right, [reviews].

    Returns:
        Tag to n and accuracy, for every tag that occurs; but not for label noise, which is no kind of review.
    """
    carried: dict[str, list[bool]] = {}
    for words, right in zip(tags, correct, strict=True):
        for word in set(words.split()) - {NOISE}:
            carried.setdefault(word, []).append(bool(right))
    return {tag: {"n": len(rights), "accuracy": float(np.mean(rights))} for tag, rights in sorted(carried.items())}


def noise_ceiling(tags: list[str]) -> dict[str, float]:
    """Compute the accuracy of a model that reads every review right, where labels are known to be noise.

    Args:
        tags: each review's tags, separated by blanks, [reviews].

    Returns:
        label_noise_ceiling, in [0, 1); empty where no review is tagged as noise, and nothing is known.
    """
    noisy = float(np.mean([NOISE in words.split() for words in tags]))
    return {"label_noise_ceiling": 1 - noisy} if noisy else {}


def roc_points(labels: np.ndarray, positive: np.ndarray) -> list[dict[str, float]]:
    """Trace the ROC curve: false_positive_rate and true_positive_rate at every useful threshold."""
    false_positive, true_positive, _ = metrics.roc_curve(labels, positive)
    rates = zip(false_positive.tolist(), true_positive.tolist(), strict=True)
    return [{"false_positive_rate": x, "true_positive_rate": y} for x, y in rates]


def precision_recall_points(labels: np.ndarray, positive: np.ndarray) -> list[dict[str, float]]:
    """Trace precision over recall, thinned to thresholds at which the curve turns."""
    precision, recall, _ = metrics.precision_recall_curve(labels, positive, drop_intermediate=True)
    return [{"precision": float(p), "recall": float(r)} for p, r in zip(precision, recall, strict=True)]

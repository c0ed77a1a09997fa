"""What training minimises: cross-entropy, with class weights, label smoothing or focal weighting where chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from sentiment.pipeline.labels import LABELS


def class_weights(choice: str | Mapping[str, float], labels: np.ndarray) -> torch.Tensor:
    """Return the weight of each label.

    The mean weight of the rows is 1, so that weights change what the labels count beside each other, and not the size
    of the loss: over all rows the mean loss is that of torch's cross-entropy with weights.

    Args:
        choice: `none` (all 1), `balanced` (rows / (2 * rows of the label), as in scikit-learn), or a weight per label,
            of which only the ratio counts.
        labels: of the rows trained on, [reviews].

    Returns:
        float32 [labels].
    """
    if choice == "none":
        return torch.ones(len(LABELS))
    counts = np.bincount(labels, minlength=len(LABELS))
    weights = np.array([choice[label] for label in LABELS]) if isinstance(choice, Mapping) else 1 / counts
    return torch.tensor(weights * len(labels) / (weights @ counts), dtype=torch.float32)


@dataclass(frozen=True)
class ClassificationLoss:
    """The loss of a batch; called by the Trainer as its `compute_loss_func`.

    Attributes:
        weights: of each label, [labels].
        label_smoothing: share of a row's target spread evenly over the labels, in [0, 1); Szegedy et al. 2016,
            https://arxiv.org/abs/1512.00567.
        focal_gamma: a row counts (1 - p) ** gamma, where p is the probability of its label; 0 is plain cross-entropy;
            Lin et al. 2017, https://arxiv.org/abs/1708.02002.
    """

    weights: torch.Tensor
    label_smoothing: float
    focal_gamma: float

    def rows(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Compute the loss of every row.

        Args:
            logits: [reviews, labels].
            labels: int64 [reviews].

        Returns:
            Nats, weighted, [reviews].
        """
        weights = self.weights.to(logits)
        losses = functional.cross_entropy(
            logits, labels, weights, reduction="none", label_smoothing=self.label_smoothing
        )
        if not self.focal_gamma:
            return losses
        right = functional.softmax(logits, -1).gather(1, labels[:, None])[:, 0]
        return losses * (1 - right) ** self.focal_gamma

    def __call__(
        self, outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        """Average over the rows of an optimizer step, however many forward passes it is made of."""
        losses = self.rows(outputs.logits, labels)
        return losses.mean() if num_items_in_batch is None else losses.sum() / num_items_in_batch


def resample(labels: np.ndarray, sampling: str, seed: int) -> np.ndarray:
    """Choose the train rows so that both labels are equally frequent.

    Args:
        labels: the train split's labels, [reviews].
        sampling: `none`; `oversample` repeats rows of the rarer label; `undersample` leaves rows of the other out.
        seed: decides which.

    Returns:
        Row numbers, ascending; every row once for `none`.
    """
    if sampling == "none":
        return np.arange(len(labels))
    rng = np.random.default_rng(seed)
    groups = [np.flatnonzero(labels == number) for number in range(len(LABELS))]
    smaller, larger = sorted(groups, key=len)
    if sampling == "undersample":
        return np.sort(np.concatenate([smaller, rng.choice(larger, len(smaller), replace=False)]))
    times, rest = divmod(len(larger), len(smaller))
    repeated = [*[smaller] * times, rng.choice(smaller, rest, replace=False)]
    return np.sort(np.concatenate([larger, *repeated]))

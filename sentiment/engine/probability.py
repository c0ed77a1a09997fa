"""From a classifier's logits to the probability that a review is positive."""

from __future__ import annotations

import numpy as np


def probabilities(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Turn logits into the probability of the positive label.

    Args:
        logits: [reviews, 2], in the order of the labels' numbers.
        temperature: what the logits are divided by; 1 leaves them as they are (Guo et al. 2017,
            https://arxiv.org/abs/1706.04599).

    Returns:
        Probabilities in [0, 1], float64 [reviews].
    """
    margin = (logits[:, 1].astype(np.float64) - logits[:, 0]) / temperature
    positive: np.ndarray = np.exp(-np.logaddexp(0.0, -margin))
    return positive

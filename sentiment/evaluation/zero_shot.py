"""Score a language model that was never fine-tuned by its label words: plainly, and corrected for its own leanings.

A language model prefers some words whatever the review says. Both corrections subtract what it says without a review:
contextual calibration (Zhao et al. 2021, https://arxiv.org/abs/2102.09690, section 5) label by label, averaged over
inputs free of content; pointwise mutual information (Holtzman et al. 2021, https://arxiv.org/abs/2104.08315, section 3)
word by word, with the prompt alone as the premise. No label is needed for either.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import log_softmax, logsumexp

CONTENT_FREE = ("N/A", "[MASK]", "")  # as in Zhao et al.; the last leaves the prompt alone
METHODS = ("zero_shot_plain", "zero_shot_contextual", "zero_shot_pmi")


def zero_shot_logits(word_logits: np.ndarray, content_free: np.ndarray, sizes: Sequence[int]) -> dict[str, np.ndarray]:
    """Turn the logits of label words into the logits of labels, in three ways.

    Args:
        word_logits: [reviews, words]; any constant may be added to a row.
        content_free: the same for the prompt around each of CONTENT_FREE, [inputs, words].
        sizes: how many of the words stand for each label, in the labels' order.

    Returns:
        For each of METHODS logits [reviews, labels].
    """
    shares = log_softmax(content_free, axis=1)  # of each word among all label words
    leaning = logsumexp(grouped(shares, sizes), axis=0)  # the mean over the inputs, up to a constant
    plain = grouped(word_logits, sizes)
    corrected = grouped(word_logits - shares[CONTENT_FREE.index("")], sizes)
    return dict(zip(METHODS, (plain, plain - leaning, corrected), strict=True))


def grouped(word_logits: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """Add the probabilities of the words that stand for the same label.

    Args:
        word_logits: [rows, words].
        sizes: how many words each label has.

    Returns:
        Logits [rows, labels].
    """
    groups = np.split(word_logits.astype(np.float64), np.cumsum(sizes)[:-1], axis=1)
    return np.stack([logsumexp(group, axis=1) for group in groups], axis=1)

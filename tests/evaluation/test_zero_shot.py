"""Zero-shot scores: against the formulas of the papers, written out on probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from sentiment.evaluation.zero_shot import CONTENT_FREE, METHODS, grouped, zero_shot_logits

SIZES = (1, 2)  # one word for negative, two for positive
RNG = np.random.default_rng(5)
WORDS = RNG.normal(size=(40, 3))
FREE = RNG.normal(size=(len(CONTENT_FREE), 3))


def labels(words: np.ndarray) -> np.ndarray:
    """Probabilities of the labels from those of the words."""
    return np.stack([words[:, 0], words[:, 1] + words[:, 2]], axis=1)


def test_plain_is_the_sum_of_the_words_probabilities() -> None:
    assert np.allclose(softmax(zero_shot_logits(WORDS, FREE, SIZES)["zero_shot_plain"], 1), labels(softmax(WORDS, 1)))


def test_contextual_calibration_is_the_papers() -> None:
    """Section 5: q proportional to W p with W = diag(p_cf) ** -1, p_cf the mean over the content-free inputs."""
    leaning = labels(softmax(FREE, 1)).mean(0)
    scaled = labels(softmax(WORDS, 1)) @ np.diag(1 / leaning)
    found = softmax(zero_shot_logits(WORDS, FREE, SIZES)["zero_shot_contextual"], 1)
    assert np.allclose(found, scaled / scaled.sum(1, keepdims=True))


def test_pmi_is_the_papers() -> None:
    """Section 3: the score of a word is P(word | review, prompt) / P(word | prompt), over a whole vocabulary."""
    others = RNG.normal(size=(41, 50))  # logits of the words that stand for no label
    whole = softmax(np.concatenate([np.vstack([WORDS, FREE[-1:]]), others], axis=1), 1)[:, :3]
    ratio = labels(whole[:-1] / whole[-1])
    found = softmax(zero_shot_logits(WORDS, FREE, SIZES)["zero_shot_pmi"], 1)
    assert np.allclose(found, ratio / ratio.sum(1, keepdims=True))


def test_a_leaning_of_the_model_changes_the_plain_score_alone() -> None:
    leaning = np.array([3.0, 0.0, 0.0])
    before, after = zero_shot_logits(WORDS, FREE, SIZES), zero_shot_logits(WORDS + leaning, FREE + leaning, SIZES)
    for method in METHODS:
        same = np.allclose(softmax(before[method], 1), softmax(after[method], 1))
        assert same == (method == "zero_shot_pmi")


def test_a_constant_added_to_a_row_changes_nothing() -> None:
    moved = zero_shot_logits(WORDS + RNG.normal(size=(40, 1)), FREE + 2.0, SIZES)
    for method, logits in zero_shot_logits(WORDS, FREE, SIZES).items():
        assert np.allclose(softmax(logits, 1), softmax(moved[method], 1))


def test_groups_keep_the_order_of_the_labels() -> None:
    assert grouped(np.array([[1.0, 2.0, 2.0]]), SIZES)[0] == pytest.approx([1.0, 2.0 + np.log(2)])

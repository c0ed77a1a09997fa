"""Guards the baselines: what they learn, what they depend on, and how they are measured."""

from __future__ import annotations

import numpy as np
import pytest

from sentiment.baselines import majority, measure_baseline, tfidf_lr

GOOD, BAD = ("superb", "lovely", "great"), ("awful", "dull", "broken")
THINGS = ("film", "lamp", "book", "plot", "cable")

TEXTS = [f"a {word} {thing}" for word in GOOD + BAD for thing in THINGS]
LABELS = np.array([1] * (len(GOOD) * len(THINGS)) + [0] * (len(BAD) * len(THINGS)))
VALIDATION = ["superb lamp indeed", "lovely cable", "awful plot", "broken film indeed"]
VALIDATION_LABELS = np.array([1, 1, 0, 0])
TEST = ["the superb film", "a great, lovely book", "a dull cable", "awful and broken", "nothing known"]


def predict(test: list[str], validation_labels: np.ndarray = VALIDATION_LABELS) -> np.ndarray:
    return tfidf_lr(TEXTS, LABELS, VALIDATION, validation_labels, test)


def test_majority_gives_every_review_the_share_of_positive_labels_in_train() -> None:
    assert majority(np.array([1, 1, 1, 0]), 3).tolist() == [0.75, 0.75, 0.75]
    assert majority(np.array([0, 0, 1]), 2).tolist() == [1 / 3, 1 / 3]


def test_tfidf_learns_a_separable_set() -> None:
    positive = predict(TEST)
    assert positive.shape == (5,)
    assert ((positive > 0) & (positive < 1)).all()
    assert (positive[:4] > 0.5).tolist() == [True, True, False, False]
    assert abs(positive[4] - 0.5) < 0.1


def test_word_pairs_tell_what_single_words_cannot() -> None:
    """Both labels use the same words equally often; only the pairs differ."""
    texts = ["not good but fine", "good not but fine"] * 10
    labels = np.array([0, 1] * 10)
    positive = tfidf_lr(texts, labels, texts[:2], labels[:2], ["not good but fine", "good not but fine"])
    assert positive[0] < 0.3
    assert positive[1] > 0.7


def test_a_test_text_has_the_same_probability_in_any_company() -> None:
    together = predict(TEST)
    order = [3, 0, 4, 1, 2]
    assert predict([TEST[i] for i in order]) == pytest.approx(together[order], abs=1e-12)
    alone = [predict([text])[0] for text in TEST]
    assert alone == pytest.approx(together, abs=1e-12)


def test_the_same_texts_give_the_same_bits() -> None:
    assert np.array_equal(predict(TEST), predict(TEST))


def test_validation_chooses_the_strength_of_the_penalty() -> None:
    """Where validation agrees with train, the surest model is the best one; where it contradicts, the least sure."""
    sure = np.abs(predict(TEST[:4]) - 0.5)
    unsure = np.abs(predict(TEST[:4], 1 - VALIDATION_LABELS) - 0.5)
    assert (sure > unsure + 0.05).all()


def test_a_validation_split_of_one_label_is_no_obstacle() -> None:
    positive = tfidf_lr(TEXTS, LABELS, VALIDATION[:2], np.array([1, 1]), TEST)
    assert (positive[:4] > 0.5).tolist() == [True, True, False, False]


@pytest.mark.parametrize("seed", range(3))
def test_a_baseline_is_measured_by_plain_arithmetic(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, positive = rng.integers(0, 2, 60), rng.random(60).round(1)
    right = hits = chosen = 0
    for label, stated in zip(labels, positive, strict=True):
        right += int((stated > 0.5) == (label == 1))
        hits += int(stated > 0.5 and label == 1)
        chosen += int(stated > 0.5)
    ups, downs = positive[labels == 1], positive[labels == 0]
    wins = sum((up > down) + (up == down) / 2 for up in ups for down in downs)
    reference = {
        "accuracy": right / 60,
        "f1": 2 * hits / (chosen + labels.sum()),
        "roc_auc": wins / (len(ups) * len(downs)),
    }
    assert measure_baseline(labels, positive) == pytest.approx(reference, abs=1e-12)


@pytest.mark.parametrize(("share", "f1"), [(0.75, 2 / 3), (0.25, 0.0), (0.5, 0.0)])
def test_the_majority_baseline_ranks_nothing(share: float, f1: float) -> None:
    """Half of the test rows are positive: all called positive, precision 1/2 and recall 1 give F1 2/3."""
    labels = np.array([0, 1, 0, 1])
    assert measure_baseline(labels, np.full(4, share)) == pytest.approx({"accuracy": 0.5, "f1": f1, "roc_auc": 0.5})

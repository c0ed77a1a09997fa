"""Guards the step from logits to probabilities: softmax in float64, whatever the size of the logits."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sentiment.engine.probability import probabilities


def softmax(negative: float, positive: float) -> float:
    """The definition, in Python's floats."""
    return math.exp(positive) / (math.exp(negative) + math.exp(positive))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_probability_is_the_softmax_of_the_logits_over_the_temperature(temperature: float) -> None:
    logits = np.random.default_rng(0).normal(0, 5, (200, 2))
    reference = [softmax(a / temperature, b / temperature) for a, b in logits]
    assert probabilities(logits, temperature) == pytest.approx(reference, rel=1e-12)


def test_the_temperature_is_one_unless_given() -> None:
    logits = np.array([[0.3, -1.2], [0.0, 2.0]])
    assert probabilities(logits) == pytest.approx([softmax(0.3, -1.2), softmax(0.0, 2.0)], rel=1e-14)


def test_huge_logits_give_zero_and_one_without_an_overflow() -> None:
    """Every warning is an error here, so an overflow would show."""
    logits = np.array([[1000.0, -1000.0], [-1000.0, 1000.0], [1000.0, 1000.0], [-1000.0, -1000.0], [0.0, 0.0]])
    assert probabilities(logits).tolist() == [0.0, 1.0, 0.5, 0.5, 0.5]
    assert probabilities(logits, 1e-3).tolist() == [0.0, 1.0, 0.5, 0.5, 0.5]


def test_small_probabilities_keep_their_digits() -> None:
    assert probabilities(np.array([[0.0, -50.0]]))[0] == pytest.approx(math.exp(-50), rel=1e-12)


def test_float32_logits_are_computed_in_float64() -> None:
    logits = np.array([[0.1, 0.7], [3.0, -2.0]], dtype=np.float32)
    found = probabilities(logits)
    assert found.dtype == np.float64
    assert found == pytest.approx([softmax(float(a), float(b)) for a, b in logits], rel=1e-13)


def test_the_probabilities_of_both_labels_add_up_to_one() -> None:
    logits = np.random.default_rng(1).normal(0, 3, (100, 2))
    assert probabilities(logits) + probabilities(logits[:, ::-1]) == pytest.approx(np.ones(100), abs=1e-15)


def test_another_temperature_changes_no_decision() -> None:
    logits = np.random.default_rng(2).normal(0, 3, (100, 2))
    decisions = [(probabilities(logits, t) > 0.5).tolist() for t in (0.2, 1.0, 7.0)]
    assert decisions[0] == decisions[1] == decisions[2] == (logits[:, 1] > logits[:, 0]).tolist()

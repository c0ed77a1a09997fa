"""Guards the cleaning: what a label stands for, and which texts are the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sentiment.reviews import cleaning

LABELS: dict[str, list[Any]] = {"negative": [0, "Negative", "neg"], "positive": [1, "positive", "POS"]}
NUMBERS = {"0": 0, "negative": 0, "neg": 0, "1": 1, "positive": 1, "pos": 1}


def fingerprint(text: str) -> int:
    return cleaning.fingerprint(cleaning.folded(text))


def test_label_words_are_numbered_whatever_their_case() -> None:
    assert cleaning.label_numbers(LABELS) == NUMBERS


@pytest.mark.parametrize(
    ("found", "word"),
    [
        (1, "1"),
        (1.0, "1"),
        (np.int64(0), "0"),
        (np.float64(0.0), "0"),
        ("1", "1"),
        ("1.0", "1"),
        ("1.00", "1"),
        (-1, "-1"),
        ("-1.0", "-1"),
        ("0.5", "0.5"),
        (" Positive ", "positive"),
        ("NEG\n", "neg"),
        (True, "true"),
        (None, ""),
        (float("nan"), ""),
        ("  ", ""),
        ([1], "[1]"),
    ],
)
def test_a_label_is_written_as_the_catalog_writes_it(found: Any, word: str) -> None:
    assert cleaning.label_word(found) == word


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        ("1.0", ""),
        (" NEG ", ""),
        (None, "missing label"),
        ("", "missing label"),
        (2, "unknown label"),
        ("?", "unknown label"),
    ],
)
def test_a_label_is_known_or_has_a_problem(found: Any, problem: str) -> None:
    assert cleaning.label_problem(found, NUMBERS) == problem


@pytest.mark.parametrize(
    ("one", "same"),
    [
        ("The plot is good.", "the PLOT is good"),
        ("The plot is good.", "  The\tplot,\n is: 'good'!!! "),
        ("Straße", "STRASSE"),
        ("ΚΑΛΟΣ", "καλος"),
        ("电影\uff0c很好\u3002", "电影 很好"),
        ("यह दिन अच्छा है।", "यह दिन अच्छा है"),
        ("salt &amp; pepper, &quot;good&quot;", 'salt & pepper, "good"'),
        ("a <b>good</b> plot", "a good plot"),
        ("caf\u00e9", "cafe\u0301"),
        ("go\u200bod", "good"),
        ("a `good` plot ~", "a good plot"),
    ],
)
def test_case_punctuation_and_spacing_do_not_count(one: str, same: str) -> None:
    assert fingerprint(one) == fingerprint(same)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("good", "god"),
        ("not good", "good not"),
        ("no table", "notable"),
        ("10", "1 0"),
        ("!!!", "???"),
        (":)", ":("),
        ("", "..."),
        ("电影很好", "电影很差"),
        ("фильм хороший", "фильм плохой"),
        ("दिन अच्छा", "दीन अच्छा"),  # Hindi: day and poor, told apart by a vowel sign alone
        ("ดี", "ดู"),  # Thai: good and look, likewise
        ("good 👍", "good 👎"),
        ("a 5+ film", "a 5 film"),
        ("I <3 it", "I 3 it"),
        ("$5", "5"),
    ],
)
def test_other_words_and_other_signs_do_count(one: str, other: str) -> None:
    assert fingerprint(one) != fingerprint(other)


def test_a_fingerprint_fits_into_a_signed_number_of_64_bits() -> None:
    numbers = [fingerprint(f"review {number}") for number in range(100)]
    assert len(set(np.array(numbers, dtype=np.int64))) == 100
    assert min(numbers) < -(2**60) < 2**60 < max(numbers)  # over the whole range

"""Edits of train reviews: how often they are made, what they leave alone, and that the seed decides them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from scipy.stats import binomtest

from sentiment.pipeline.params import AugmentationParams
from sentiment.reviews.augmentation import augment, edit
from tests.conftest import ROOT, TEXTS

NONE = {"copies": 1, "word_dropout": 0.0, "word_swap": 0.0, "contractions": 0.0, "typos": 0.0}
ODD = ["", " ", "word", "  two\twords\n", "naïve café 漢字 🙂 !", "I'm   HERE, and it wasn't\u00a0bad."]
CUES = ["not", "never", "but", "although", "Nobody", "cannot", "don't", "isn\u2019t", "hardly,", "NOT"]
PLAIN = [f"word{n}" for n in range(4000)]


def edited(text: str, seed: int = 1, **changes: float) -> str:
    return edit(text, AugmentationParams(**{**NONE, **changes}), np.random.default_rng(seed))


@pytest.mark.parametrize("text", TEXTS + ODD)
def test_without_edits_a_text_is_the_same_to_the_byte(text: str) -> None:
    assert edited(text) == text


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_words_are_left_out_as_often_as_asked(share: float) -> None:
    kept = edited(" ".join(PLAIN), word_dropout=share).split()
    assert binomtest(len(PLAIN) - len(kept), len(PLAIN), share).pvalue > 0.001
    assert [word for word in PLAIN if word in set(kept)] == kept


def test_words_change_places_as_often_as_asked() -> None:
    """A pair is asked for every word that did not just move, so pairs are n * p / (1 + p) of n places."""
    moved = edited(" ".join(PLAIN), word_swap=0.2).split()
    assert Counter(moved) == Counter(PLAIN)
    swapped = sum(a != b for a, b in zip(moved, PLAIN, strict=True)) / 2
    expected = len(PLAIN) * 0.2 / 1.2
    assert abs(swapped - expected) < 4 * np.sqrt(expected)
    place = {word: n for n, word in enumerate(moved)}
    assert max(abs(place[word] - n) for n, word in enumerate(PLAIN)) == 1


@pytest.mark.parametrize("seed", range(20))
def test_words_that_turn_the_meaning_stay_and_nothing_crosses_them(seed: int) -> None:
    words = [w for n, cue in enumerate(CUES) for w in (f"a{n}", f"b{n}", cue)]
    found = edited(" ".join(words), seed, word_dropout=0.5, word_swap=0.5).split()
    assert [word for word in found if word in CUES] == CUES
    part = 0
    for word in found:
        if word in CUES:
            part += 1
        else:
            assert word[1:] == str(part)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("It isn't bad.", "It is not bad."),
        ("It is not bad.", "It isn't bad."),
        ("Don\u2019t buy it; we CAN\u2019T.", "Do not buy it; we CANNOT."),
        ("Cannot say, I'll pass.", "Can't say, I will pass."),
        ("Its wont and cant stay.", "Its wont and cant stay."),
        ("It's gone, he'd say", "It's gone, he'd say"),  # it is or it has, he had or he would
        ("It is not only bad", "It is not only bad"),  # denies nothing
        ("Isn't it great?", "Isn't it great?"),  # asks
        ("as good as it is", "as good as it is"),
        ("a can't-miss film", "a can't-miss film"),
    ],
)
def test_contractions_are_spelled_out_and_back(before: str, after: str) -> None:
    assert edited(before, contractions=1.0) == after


def test_what_is_denied_stays_the_same() -> None:
    """The end of a denied clause stays, or "not good. Great" could become "not Great"."""
    for seed in range(300):
        found = edited("It is not good. Great acting, never dull! Fine.", seed, word_dropout=0.6, word_swap=0.6)
        assert "not good." in found
        assert "never dull!" in found


def test_a_text_is_never_left_empty() -> None:
    for seed in range(50):
        assert edited("one two", seed, word_dropout=0.99).strip() in ("one", "two", "one two")
    assert edited("", word_dropout=0.9) == ""


def test_the_seed_the_copy_and_the_text_decide_and_nothing_else() -> None:
    asked = AugmentationParams(copies=2, word_dropout=0.3, word_swap=0.3, contractions=0.5, typos=0.1)
    first, second = (augment(TEXTS, asked, copy, 5) for copy in (0, 1))
    assert augment(TEXTS, asked, 0, 5) == first != second
    assert augment(TEXTS, asked, 0, 6) != first
    assert augment(TEXTS[::-1], asked, 0, 5) == first[::-1]
    given = "AugmentationParams(copies=2, word_dropout=.3, word_swap=.3, contractions=.5, typos=.1)"
    code = f"from sentiment.reviews.augmentation import *; print(augment({TEXTS!r}, {given}, 1, 5))"
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={"PYTHONHASHSEED": "9"}, capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == str(second)


def test_punctuation_stays_with_its_word() -> None:
    words = edited("Good, bad; ugly! Fine.", word_swap=0.9, seed=3).split()
    assert Counter(words) == Counter(["Good,", "bad;", "ugly!", "Fine."])
    assert all(re.fullmatch(r"\w+[,;!.]", word) for word in words)


def test_typing_errors_come_last_and_only_where_they_are_asked_for() -> None:
    """In words of four letters or more; each keeps its first letter."""
    text = "a wonderful keyboard, not too loud"
    typed = edited(text, typos=1.0).split()
    assert [word[0] for word in typed] == [word[0] for word in text.split()]
    assert [word == plain for word, plain in zip(typed, text.split(), strict=True)] == [
        True,
        False,
        False,
        True,
        True,
        False,
    ]
    assert "not" in edited("It isn't wonderful", contractions=1.0, typos=1.0)

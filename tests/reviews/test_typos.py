"""Typing errors: one in a word, of the kinds named, inside words of four letters or more, as often as asked for."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest

from sentiment.reviews.typos import mistype

WORDS = ("love", "superb", "wonderful", "Terrible", "AWFUL", "keyboard", "quiz", "zzzz")
BESIDE = {"a": "s", "s": "ad", "q": "w", "p": "o", "m": "n", "z": "x", "t": "ry", "l": "k"}  # some keys of a keyboard


def kind_of(word: str, typed: str) -> str:
    """Name the one edit that makes a word into what was typed; raise if there is none."""
    for at in range(1, len(word) - 1):
        before, letter, after = word[:at], word[at], word[at + 1 :]
        if typed == before + after:
            return "left out"
        if typed == before + letter * 2 + after:
            return "doubled"
        if typed == before + after[0] + letter + after[1:]:
            return "changed places"
        if len(typed) == len(word) and typed[:at] == before and typed[at + 1 :] == after:
            assert typed[at].lower() in BESIDE.get(letter.lower(), typed[at].lower()), (word, typed)
            assert typed[at].isupper() == letter.isupper()
            return "another key"
    raise AssertionError((word, typed))


@pytest.mark.parametrize("word", WORDS)
def test_a_word_gets_one_error_of_a_known_kind_and_keeps_its_first_letter(word: str) -> None:
    draw = random.Random(word).random
    typed = [mistype(word, 1.0, draw) for _ in range(300)]
    kinds = Counter(kind_of(word, each) for each in typed if each != word)
    assert all(each[0] == word[0] for each in typed)
    assert {"left out", "doubled", "another key"} <= set(kinds)
    assert min(kinds.values()) > 20


def test_short_words_signs_and_what_is_no_english_letter_stay() -> None:
    text = "It is a 10/10 😀 für 1234, ... bad!!"
    assert mistype(text, 1.0, random.Random(1).random) == text


def test_errors_come_as_often_as_the_probability_says() -> None:
    """Four standard deviations of a binomial count around its mean."""
    text = " ".join(["wonderful"] * 4000)
    assert mistype(text, 0.0, random.Random(1).random) == text
    changed = sum(word != "wonderful" for word in mistype(text, 0.3, random.Random(1).random).split())
    assert abs(changed - 1200) < 4 * (4000 * 0.3 * 0.7) ** 0.5
    always = mistype(text, 1.0, random.Random(2).random)
    assert len(re.findall(r"\S+", always)) == 4000
    assert all(word != "wonderful" for word in always.split())

"""Cues: what stands in a text, and which words turn a meaning."""

from __future__ import annotations

import pytest

from sentiment.reviews.cues import cue_tags, turns_meaning


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("The plot is dull, BUT the acting is superb.", "contrast"),
        ("Butter and button, note and nobody's", "negation"),
        ("Butter, noted.", ""),
        ("I don't know", "negation"),
        ("I don\u2019t know", "negation"),
        ("Why?", "question"),
        ("NEVER again", "negation shouting"),
        ("The USA, TV and DVDs", ""),
        ("Great!!", "shouting"),
        ("Great! Great!", ""),
        ("Although it is long, why not?", "contrast negation question"),
    ],
)
def test_cue_tags_name_what_stands_in_the_text(text: str, tags: str) -> None:
    assert cue_tags(text) == tags


@pytest.mark.parametrize("word", ["not", "Never,", "didn't", "isn\u2019t", "(but", "HOWEVER", "nobody."])
def test_words_that_turn_a_meaning(word: str) -> None:
    assert turns_meaning(word)


@pytest.mark.parametrize("word", ["knot", "button", "good", "notable", "yeti", "?!", "LOUD", ""])
def test_words_that_do_not(word: str) -> None:
    assert not turns_meaning(word)

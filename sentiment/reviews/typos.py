"""Typing errors, as fingers make them."""

from __future__ import annotations

import re
from collections.abc import Callable

_WORD = re.compile(r"[A-Za-z]{4,}")  # an error in a shorter word makes another word
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")  # of a keyboard
_BESIDE = {
    key: "".join(row[at] for at in (place - 1, place + 1) if 0 <= at < len(row))
    for row in _ROWS
    for place, key in enumerate(row)
}


def mistype(text: str, probability: float, draw: Callable[[], float]) -> str:
    """Put a typing error into words of four English letters or more.

    Behind the first letter, two letters change places, or one is left out, doubled, or replaced by the key beside it.

    Args:
        text: any text.
        probability: of an error, for each such word.
        draw: returns a random number, 0 <= number < 1.
    """
    return _WORD.sub(lambda match: _misspelt(match[0], draw) if draw() < probability else match[0], text)


def _misspelt(word: str, draw: Callable[[], float]) -> str:
    """Make one error inside a word."""
    at = 1 + int(draw() * (len(word) - 2))
    letter, following = word[at], word[at + 1]
    beside = _BESIDE[letter.lower()]
    key = beside[int(draw() * len(beside))]
    other = key.upper() if letter.isupper() else key
    wrong = (following + letter, following, letter * 2 + following, other + following)
    return word[:at] + wrong[int(draw() * len(wrong))] + word[at + 2 :]

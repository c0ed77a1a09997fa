"""Which words moved an answer: leave each word out and see how far the answer goes (occlusion).

The weight of a word is log-odds(text) - log-odds(text without the word), the log-odds being log p / (1 - p) of the
probability p of the positive label: a word with a weight above 0 speaks for positive, below 0 for negative. A model is
only scored, never looked into, so that this holds for every family and every way of batching; and each weight is a fact
about the model that anyone can check by scoring again. It says what one word does while the others stay: of two words
that say the same, each alone may count little. Li et al. 2016, https://arxiv.org/abs/1612.08220 (erasure); Zeiler and
Fergus 2014, https://arxiv.org/abs/1311.2901 (occlusion).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

MAX_PIECES = 64  # what one text may cost: so many more scorings
SIGNS = """.,;:!?…"“”„«»()[]{}"""  # a comma is no part of the word before it: in "dull, but" it makes the contrast
_SATURATED = 36.0  # log-odds: beyond about 36.7 a float64 cannot tell a probability from 1


@dataclass(frozen=True)
class Piece:
    """A part of a text that is left out as one: a word or a run of signs, or several of them in a long text.

    Attributes:
        text: what it reads.
        start: where it begins, in characters (Unicode code points, as Python counts).
        end: where it ends, likewise; what stands there is no part of it.
    """

    text: str
    start: int
    end: int


_PIECE = re.compile(rf"[^\s{re.escape(SIGNS)}]+|[{re.escape(SIGNS)}]+")


def find_pieces(text: str) -> list[Piece]:
    """Part a text into at most MAX_PIECES pieces.

    Words are runs of characters that are neither white space nor SIGNS. Where words and runs of signs are more than
    MAX_PIECES, each piece is of equally many neighbours, the last perhaps of fewer.

    Returns:
        The pieces, in their order; between and around them is white space alone.
    """
    words = [match.span() for match in _PIECE.finditer(text)]
    size = max(1, math.ceil(len(words) / MAX_PIECES))
    groups = [words[start : start + size] for start in range(0, len(words), size)]
    return [Piece(text[group[0][0] : group[-1][1]], group[0][0], group[-1][1]) for group in groups]


def leave_out(text: str, piece: Piece) -> str:
    """Write a text without a piece, as one would write it: of `is dull, but` stays `is, but`.

    Of the white space around the piece, that behind it stays: none at either end of the text, and a blank where two
    words would run together.

    Returns:
        The rest; empty where there was nothing else.
    """
    left, right = text[: piece.start].rstrip(), text[piece.end :].lstrip()
    if not left or not right:
        return left or right
    together = left[-1] not in SIGNS and right[0] not in SIGNS
    behind = text[piece.end : len(text) - len(right)]
    return left + (behind or " " * together) + right


def log_odds(probability: float) -> float:
    """Return log p / (1 - p), kept within 36 of 0, for a probability in [0, 1]."""
    if probability in (0.0, 1.0):
        return math.copysign(_SATURATED, probability - 0.5)
    odds = math.log(probability) - math.log1p(-probability)
    return max(-_SATURATED, min(_SATURATED, odds))


def weigh(whole: float, rests: Sequence[float | None]) -> list[float]:
    """Compute the weight of each piece.

    Args:
        whole: probability that the text is positive.
        rests: the same for the text without each piece; None where nothing was left to be scored, which counts
            as undecided, a probability of one half.

    Returns:
        Weights in units of log-odds; above 0 for a piece that speaks for positive.
    """
    return [log_odds(whole) - log_odds(0.5 if rest is None else rest) for rest in rests]

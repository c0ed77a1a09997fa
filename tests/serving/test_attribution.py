"""What is left out of a text, and what a weight is; tests/test_serving.py asks transformers about the weights."""

from __future__ import annotations

import pytest
from scipy.special import logit

from sentiment.serving.attribution import MAX_PIECES, find_pieces, leave_out, log_odds, weigh
from tests.conftest import TEXTS


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("The plot is dull, but fine.", ["The", "plot", "is", "dull", ",", "but", "fine", "."]),
        ("isn't it well-made?!", ["isn't", "it", "well-made", "?!"]),
        (' "good"\n(great)... 😀 ', ['"', "good", '"', "(", "great", ")...", "😀"]),
        ("हिन्दी फिल्म", ["हिन्दी", "फिल्म"]),
        ("!!!", ["!!!"]),
    ],
)
def test_words_and_runs_of_signs_are_the_pieces(text: str, pieces: list[str]) -> None:
    assert [piece.text for piece in find_pieces(text)] == pieces


def test_pieces_stand_where_they_say_and_only_white_space_stands_between() -> None:
    for text in [*TEXTS, "  two\n\tlines 😀 é  ", " ".join(TEXTS * 20)]:
        pieces, rest = find_pieces(text), list(text)
        for piece in pieces:
            assert text[piece.start : piece.end] == piece.text
            rest[piece.start : piece.end] = " " * len(piece.text)
        assert "".join(rest).isspace() or not rest
        assert [piece.start for piece in pieces] == sorted(piece.start for piece in pieces)


@pytest.mark.parametrize(("words", "sizes"), [(64, [1] * 64), (65, [2] * 32 + [1]), (129, [3] * 43), (5000, [79] * 64)])
def test_a_long_text_has_pieces_of_equally_many_words(words: int, sizes: list[int]) -> None:
    found = [len(piece.text.split()) for piece in find_pieces(" ".join(["word"] * words))]
    assert len(found) <= MAX_PIECES
    assert found[:-1] == sizes[: len(found) - 1]
    assert sum(found) == words


@pytest.mark.parametrize(
    ("text", "rests"),
    [
        ("is dull, but", ["dull, but", "is, but", "is dull but", "is dull,"]),
        ("Fine.", [".", "Fine"]),
        ("Fine", [""]),
        ('is "good" here', ['"good" here', 'is good" here', 'is "" here', 'is "good here', 'is "good"']),
        ("fine,but", [",but", "fine but", "fine,"]),
        (" a  b\nc ", ["b\nc ", " a\nc ", " a  b"]),
    ],
)
def test_what_is_left_is_written_as_one_would_write_it(text: str, rests: list[str]) -> None:
    assert [leave_out(text, piece) for piece in find_pieces(text)] == rests


def test_log_odds_are_scipys_and_stay_finite() -> None:
    for probability in (1e-12, 0.001, 0.3, 0.5, 0.999, 1 - 1e-9):
        assert log_odds(probability) == pytest.approx(logit(probability), rel=1e-12, abs=1e-15)
    assert (log_odds(0.0), log_odds(1.0), log_odds(1e-300), log_odds(1 - 2**-53)) == (-36, 36, -36, 36)


def test_a_weight_is_the_fall_of_the_log_odds_and_nothing_left_is_undecided() -> None:
    assert weigh(0.9, [0.6, 0.95, 0.9, None]) == pytest.approx(
        [logit(0.9) - logit(0.6), logit(0.9) - logit(0.95), 0, logit(0.9)]
    )

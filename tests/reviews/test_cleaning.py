"""Guards the cleaning: which rows can be used, which are the same, and how rows are parted by label and seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from sentiment.pipeline.errors import InputError
from sentiment.reviews import cleaning, splitting

LABELS: dict[str, list[Any]] = {"negative": [0, "Negative", "neg"], "positive": [1, "positive", "POS"]}
NUMBERS = {"0": 0, "negative": 0, "neg": 0, "1": 1, "positive": 1, "pos": 1}


def rows_of(*rows: tuple[Any, Any, str], source: str = "data/raw/reviews.csv") -> pd.DataFrame:
    """Lay rows of text, label and problem out as the readers do."""
    table = pd.DataFrame(list(rows), columns=["text", "label", "problem"], dtype=object)
    return table.assign(source=source, source_row=range(1, len(rows) + 1))


def describe(*tables: pd.DataFrame) -> list[str]:
    """Judge tables one after another, and say what is wrong with them, line by line."""
    problems = cleaning.Problems()
    for table in tables:
        problems.add(cleaning.judge(table, NUMBERS))
    assert problems.total > 0
    return problems.describe(LABELS).split("\n  ")


def labelled(negative: int, positive: int) -> pd.DataFrame:
    """Make that many rows of each label, interleaved, numbered by a column `row`."""
    labels = np.random.default_rng(5).permutation([0] * negative + [1] * positive)
    return pd.DataFrame({"label": labels, "row": range(len(labels))})


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


def test_every_row_gets_its_number_or_its_problem() -> None:
    """A reader's problem comes first, then the label, then the text."""
    rows = rows_of(
        ("good", "1.0", ""), ("bad", " NEG ", ""), ("  \n\t", 1, ""), (None, 0, ""), (7, 1, ""), (b"good", 1, ""),
        ("fine", None, ""), ("fine", "", ""), ("", float("nan"), ""), ("fine", "maybe", ""), ("", 2, ""),
        ("caf\udce9", "1", "not UTF-8"), ("", "", "not JSON"),
    )  # fmt: skip
    judged = cleaning.judge(rows, NUMBERS)
    assert list(judged["label"]) == [1, 0, 1, 0, 1, 1, -1, -1, -1, -1, -1, 1, -1]
    assert list(judged["problem"]) == [
        "", "", "empty text", "empty text", "text that is no string", "text that is no string",
        "missing label", "missing label", "missing label", "unknown label", "unknown label", "not UTF-8", "not JSON",
    ]  # fmt: skip
    assert judged["label"].dtype == np.int64
    assert list(rows["label"])[:2] == ["1.0", " NEG "]


def test_no_rows_at_all_are_judged_without_complaint() -> None:
    assert len(cleaning.judge(rows_of(), NUMBERS)) == 0


def test_problems_name_the_file_and_the_first_ten_rows() -> None:
    good, unknown = ("good", 1, ""), ("good", "maybe", "")
    here = rows_of(good, *[unknown] * 12, ("", 1, ""))
    there = rows_of(unknown, good, source="data/raw/a.csv")
    allowed = "(found 'maybe'; allowed negative: 0, Negative, neg; positive: 1, positive, POS)"
    assert describe(here[:6], here[6:], there) == [
        f"data/raw/a.csv: unknown label in row 1 {allowed}",
        "data/raw/reviews.csv: empty text in row 14",
        f"data/raw/reviews.csv: unknown label in row 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 more {allowed}",
    ]


def test_usable_rows_are_no_problems() -> None:
    problems = cleaning.Problems()
    problems.add(cleaning.judge(rows_of(("good", 1, ""), ("bad", 0, "")), NUMBERS))
    assert problems.total == 0


def test_the_first_ten_odd_labels_are_shown() -> None:
    [line] = describe(rows_of(*[("good", 2, "")] * 12, *[("good", n, "") for n in range(3, 20)]))
    assert "(found 2, 3, 4, 5, 6, 7, 8, 9, 10, 11; allowed" in line
    assert "in row 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 19 more" in line


def test_ten_problems_are_all_shown_and_odd_labels_are_quoted_once() -> None:
    rows = rows_of(*[("good", label, "") for label in [2, " ?", [1], {"a": 1}, 2, 2, 2, 2, 2, 2]])
    [line] = describe(rows)
    assert "in row 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 (found 2, ' ?', [1], {'a': 1}; allowed" in line


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("one<br />two", "one two"),
        ("one <BR/>\n two<br>", "one two"),
        ("<br /><br />", ""),
        ("a < b and b> c, <b>bold</b>", "a < b and b> c, <b>bold</b>"),
        ("two  blanks", "two  blanks"),
        (None, None),
        (7, 7),
    ],
)
def test_html_breaks_become_single_spaces(text: Any, clean: Any) -> None:
    assert cleaning.without_breaks(text) == clean


@pytest.mark.parametrize(
    ("one", "same"),
    [
        ("The plot is good.", "the PLOT is good"),
        ("The plot is good.", "  The\tplot,\n is: 'good'!!! "),
        ("Straße", "STRASSE"),
        ("ΚΑΛΟΣ", "καλος"),
        ("电影\uff0c很好\u3002", "电影 很好"),
        ("यह दिन अच्छा है।", "यह दिन अच्छा है"),
    ],
)
def test_case_punctuation_and_spacing_do_not_count(one: str, same: str) -> None:
    assert cleaning.fingerprint(one) == cleaning.fingerprint(same)


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
    ],
)
def test_other_words_and_other_signs_do_count(one: str, other: str) -> None:
    assert cleaning.fingerprint(one) != cleaning.fingerprint(other)


def test_a_fingerprint_fits_into_a_signed_number_of_64_bits() -> None:
    numbers = [cleaning.fingerprint(f"review {number}") for number in range(100)]
    assert len(set(np.array(numbers, dtype=np.int64))) == 100
    assert min(numbers) < -(2**60) < 2**60 < max(numbers)  # over the whole range


def test_the_first_of_equal_rows_stays_and_contradictions_are_counted() -> None:
    rows = pd.DataFrame({"fingerprint": list("abacbab"), "label": [1, 0, 0, 1, 0, 1, 1], "row": range(7)})
    kept, dropped, contradictions = splitting.drop_duplicates(rows)
    assert list(kept["row"]) == [0, 1, 3]
    assert (dropped, contradictions) == (4, 2)  # rows 2, 4, 5 and 6; of them 2 and 6 contradict


@pytest.mark.parametrize(
    ("negative", "positive", "size", "expected"),
    [
        (30, 70, 0.2, (6, 14)),
        (50, 50, 0.1, (5, 5)),
        (900, 100, 50, (45, 5)),
        (5, 5, 4, (2, 2)),
    ],
)
def test_both_parts_have_the_label_shares_of_the_whole(
    negative: int, positive: int, size: float, expected: tuple[int, int]
) -> None:
    rows = labelled(negative, positive)
    rest, part = splitting.carve(rows, size, seed=0)
    assert tuple(part["label"].value_counts().sort_index()) == expected
    assert tuple(rest["label"].value_counts().sort_index()) == (negative - expected[0], positive - expected[1])
    assert sorted([*rest["row"], *part["row"]]) == list(range(len(rows)))
    assert list(part["row"]) == sorted(part["row"])
    assert list(rest["row"]) == sorted(rest["row"])


def test_the_seed_decides_which_rows_are_carved_off() -> None:
    rows = labelled(50, 50)
    first, same, other = (list(splitting.carve(rows, 0.2, seed)[1]["row"]) for seed in (0, 0, 1))
    assert first == same
    assert first != other
    assert len(splitting.carve(rows, 0.2, 2**32 - 1)[1]) == 20  # the largest seed that params.yaml allows


@pytest.mark.parametrize(("negative", "positive", "size"), [(1, 9, 0.2), (2, 1, 0.2), (0, 0, 0.5), (4, 4, 0.1)])
def test_too_few_rows_are_told_with_their_labels(negative: int, positive: int, size: float) -> None:
    with pytest.raises(InputError, match=f"too few rows to split {size} of them off: rows by label") as caught:
        splitting.carve(labelled(negative, positive), size, seed=0)
    for label, count in ((0, negative), (1, positive)):
        assert (f"{label}: {count}" in str(caught.value)) == (count > 0)


def test_a_subsample_has_the_asked_rows_and_the_label_shares_of_the_whole() -> None:
    rows = labelled(60, 20)
    sample = splitting.subsample(rows, 20, seed=3)
    assert tuple(sample["label"].value_counts().sort_index()) == (15, 5)
    assert list(sample["row"]) == sorted(set(sample["row"]))
    assert list(sample["row"]) == list(splitting.subsample(rows, 20, seed=3)["row"])
    assert list(sample["row"]) != list(splitting.subsample(rows, 20, seed=4)["row"])


@pytest.mark.parametrize(("count", "left"), [(None, 8), (8, 8), (9, 8), (7, 7), (6, 6), (4, 4)])
def test_a_subsample_of_any_count_can_be_had(count: int | None, left: int) -> None:
    assert len(splitting.subsample(labelled(4, 4), count, seed=0)) == left


def test_many_bad_files_are_told_in_ten_lines() -> None:
    lines = describe(*[rows_of(("", 1, ""), source=f"data/raw/{n:02}.txt") for n in range(13)])
    assert len(lines) == 11
    assert lines[-1] == "and 3 more such lines"

"""Guards the splitting: which repetitions go, and how rows are parted by label and seed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sentiment.pipeline.errors import InputError
from sentiment.reviews import splitting


def labelled(negative: int, positive: int) -> pd.DataFrame:
    """Make that many rows of each label, interleaved, numbered by a column `row`."""
    labels = np.random.default_rng(5).permutation([0] * negative + [1] * positive)
    return pd.DataFrame({"label": labels, "row": range(len(labels))})


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
def test_too_few_rows_are_reported_with_their_labels(negative: int, positive: int, size: float) -> None:
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

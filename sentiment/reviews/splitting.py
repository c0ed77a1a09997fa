"""Drop repetitions, carve the splits that a source lacks, subsample them, and check what they hold, by label.

A row is three numbers, which decide about it: its id, label and fingerprint.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from sentiment.pipeline.errors import InputError
from sentiment.pipeline.labels import LABELS, SPLITS
from sentiment.pipeline.params import PrepareParams

MIN_ROWS_PER_LABEL = 2

Splits = dict[str, pd.DataFrame]


def drop_duplicates(rows: pd.DataFrame) -> tuple[pd.DataFrame, int, int]:
    """Keep the first of every group of rows with one fingerprint.

    Args:
        rows: columns fingerprint and label among others.

    Returns:
        The rows kept, how many were dropped, and how many of those contradict the label of the row kept.
    """
    first_label = rows.groupby("fingerprint", sort=False)["label"].transform("first")
    repeated = rows.duplicated("fingerprint")
    return rows[~repeated], int(repeated.sum()), int((repeated & (rows["label"] != first_label)).sum())


def carve(rows: pd.DataFrame, size: float | int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Part rows in two at random, with the label shares of the whole in both.

    Args:
        rows: the rows, with a column label.
        size: the second part's share, in (0, 1), or its number of rows.
        seed: the same seed gives the same parts.

    Returns:
        The larger and the carved part, each in the order of the rows.

    Raises:
        InputError: there are too few rows of a label for both parts.
    """
    from sklearn.model_selection import train_test_split  # half of the stage's start-up, and not all data is split here

    try:
        rest, part = train_test_split(np.arange(len(rows)), test_size=size, random_state=seed, stratify=rows["label"])
    except ValueError as error:
        counts = rows["label"].value_counts().sort_index().to_dict()
        raise InputError(
            f"too few rows to split {size:g} of them off: rows by label {counts}; add rows, or "
            "change the fractions or row counts in params.yaml: prepare"
        ) from error
    return rows.iloc[np.sort(rest)], rows.iloc[np.sort(part)]


def subsample(rows: pd.DataFrame, count: int | None, seed: int) -> pd.DataFrame:
    """Keep that many rows, with the label shares of the whole; all of them where there are no more."""
    if count is None or count >= len(rows):
        return rows
    rest = len(rows) - count
    return carve(rows, count, seed)[1] if rest > 1 else rows.drop(rows.sample(rest, random_state=seed).index)


def drop_repetitions(splits: Splits) -> tuple[Splits, dict[str, int]]:
    """Drop duplicates within each split, and rows that also stand in a split that must stay unseen.

    Args:
        splits: rows with label and fingerprint.

    Returns:
        The rows left, and the counts: duplicates_dropped and contradictions (duplicates under the other label) over
        all splits, leaks_dropped (rows of train or validation in test) and validation_leaks_dropped (of train in
        validation).
    """
    counts = {"duplicates_dropped": 0, "contradictions": 0, "leaks_dropped": 0, "validation_leaks_dropped": 0}
    kept = {}
    for split, rows in splits.items():
        kept[split], dropped, contradicting = drop_duplicates(rows)
        counts["duplicates_dropped"] += dropped
        counts["contradictions"] += contradicting
    for unseen, count in (("test", "leaks_dropped"), ("validation", "validation_leaks_dropped")):
        for split in SPLITS[: SPLITS.index(unseen)]:
            if split in kept and unseen in kept:
                leaking = kept[split]["fingerprint"].isin(kept[unseen]["fingerprint"])
                counts[count] += int(leaking.sum())
                kept[split] = kept[split][~leaking]
    return kept, counts


def drop_near_duplicates(splits: Splits, repeats: Mapping[tuple[str, str], np.ndarray]) -> Splits:
    """Drop rows that nearly repeat a row of a split that must stay unseen; those that repeat their own split stay.

    Args:
        splits: the rows.
        repeats: for two splits whether each row of the first nearly repeats one of the second.
    """
    kept = dict(splits)
    for split, rows in splits.items():
        seen = [found for (one, other), found in repeats.items() if one == split != other]
        kept[split] = rows[~np.any(seen, axis=0)] if seen else rows
    return kept


def complete_splits(splits: Splits, params: PrepareParams, seed: int) -> Splits:
    """Carve the splits that the source lacks, then subsample each.

    Args:
        splits: any of all, train, validation, test.
        params: the fractions and row counts.
        seed: the seed of params.yaml.
    """
    splits = {("train" if split == "all" else split): rows for split, rows in splits.items()}
    if "test" not in splits:
        splits["train"], splits["test"] = carve(splits["train"], params.test_fraction, seed)
    if "validation" not in splits:
        splits["train"], splits["validation"] = carve(splits["train"], params.validation_fraction, seed)
    counts = {"train": params.train_rows, "validation": params.validation_rows, "test": params.test_rows}
    return {split: subsample(splits[split], counts[split], seed) for split in SPLITS}


def check_rows_per_label(splits: Splits, where: str) -> None:
    """Refuse splits that cannot train or judge a classifier.

    Raises:
        InputError: a split has fewer than two rows of a label.
    """
    for split, rows in splits.items():
        for number, label in enumerate(LABELS):
            count = int((rows["label"] == number).sum())
            if count < MIN_ROWS_PER_LABEL:
                raise InputError(
                    f"{where}: the {split} split has {count} {label} row(s) of {len(rows)}; each split needs at least "
                    f"{MIN_ROWS_PER_LABEL} of both labels: add rows, or change the fractions or row counts in "
                    "params.yaml: prepare"
                )

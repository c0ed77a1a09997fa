"""Deduplicate rows, carve splits off them and subsample them, by label."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sentiment.pipeline.errors import InputError


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

"""Guards the scratch file: rows that are chosen by their ids come out as they went in, in row groups of some size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from sentiment.reviews import spool
from sentiment.reviews.cleaning import fingerprint, folded


def rows(first: int, count: int) -> spool.ReviewColumns:
    numbers = range(first, first + count)
    texts = [f"Review {number} ☕" for number in numbers]
    return {"text": texts, "label": [n % 2 for n in numbers], "tags": [""] * count, "source": ["a.csv"] * count,
            "source_row": numbers}  # fmt: skip


def test_ids_count_the_rows_of_all_splits_through(tmp_path: Path) -> None:
    splits = spool.spool({"train": [rows(1, 3), rows(4, 2)], "empty": [], "test": [rows(1, 2)]}, tmp_path / "scratch")
    assert {split: list(table["id"]) for split, table in splits.items()} == {
        "train": [0, 1, 2, 3, 4], "empty": [], "test": [5, 6],
    }  # fmt: skip
    assert list(splits["train"]["label"]) == [1, 0, 1, 0, 1]
    assert list(splits["test"]["fingerprint"]) == [fingerprint(folded(f"review {number} ☕")) for number in (1, 2)]
    assert {str(kind) for table in splits.values() for kind in table.dtypes} == {"int64"}


def test_chosen_rows_come_out_as_they_went_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "GROUP_ROWS", 5)
    parts = [rows(first, 3) for first in range(1, 40, 3)]
    spool.spool({"train": parts}, tmp_path / "scratch")
    ids = np.array([0, 2, *range(9, 33), 38])
    spool.write_split(tmp_path / "scratch", ids, tmp_path / "train.parquet")
    expected = pd.concat([pd.DataFrame(dict(part)) for part in parts], ignore_index=True).loc[ids]
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "train.parquet"), expected.reset_index(names="id"), check_dtype=False
    )
    metadata = pq.ParquetFile(tmp_path / "train.parquet").metadata
    sizes = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    assert all(5 <= size < 8 for size in sizes[:-1])
    assert len(sizes) > 3

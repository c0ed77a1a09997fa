"""Let the rows of a dataset wait in a scratch file while three numbers of each decide where it goes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sentiment.reviews.cleaning import fingerprint, folded
from sentiment.reviews.near_duplicates import band_keys
from sentiment.reviews.splitting import Splits

KINDS = {"id": "int64", "text": "str", "label": "int64", "tags": "str", "source": "str", "source_row": "int64"}
PREPARED_SCHEMA = pa.Schema.from_pandas(pd.DataFrame(columns=list(KINDS)).astype(KINDS), preserve_index=False)
GROUP_ROWS = 32_768  # of a written file's row groups, each of which is put together in memory

ReviewColumns = Mapping[str, Sequence[Any]]  # column to values, for all of KINDS but id


def spool(splits: Mapping[str, Iterable[ReviewColumns]], file: Path, keys: Path | None = None) -> Splits:
    """Write all rows to the scratch file, one after another.

    Args:
        splits: some thousand rows at a time.
        file: the scratch file.
        keys: another one, for the `band_keys` of all rows; None where they are not wanted.

    Returns:
        What decides about each row: its id, which counts the rows of the file from 0, label and fingerprint.
    """
    kept, start = {}, 0
    with (
        pa.OSFile(str(file), "wb") as stream,
        pa.ipc.new_stream(stream, PREPARED_SCHEMA) as writer,
        keys.open("wb") if keys else nullcontext() as key_stream,
    ):
        for split, parts in splits.items():
            numbers = [pd.DataFrame(columns=["id", "label", "fingerprint"], dtype="int64")]
            for rows in parts:
                ids = np.arange(start, start + len(rows["text"]))
                writer.write(pa.RecordBatch.from_pydict({"id": ids, **rows}, PREPARED_SCHEMA))
                words = [folded(text) for text in rows["text"]]
                fingerprints = [fingerprint(text) for text in words]
                if key_stream:
                    key_stream.write(band_keys(words).tobytes())
                numbers.append(pd.DataFrame({"id": ids, "label": rows["label"], "fingerprint": fingerprints}))
                start += len(ids)
            kept[split] = pd.concat(numbers, ignore_index=True)
    return kept


def row_groups(file: Path, ids: np.ndarray) -> Iterator[pa.Table]:
    """Read rows from the scratch file.

    Args:
        file: the scratch file.
        ids: of the rows, ascending.

    Yields:
        Tables of GROUP_ROWS rows, or some more, in order; the last one holds what is left.
    """
    waiting: list[pa.RecordBatch] = []
    start = yielded = 0
    with pa.OSFile(str(file)) as stream:
        for batch in pa.ipc.open_stream(stream):
            first, last = ids.searchsorted((start, start + len(batch)))
            waiting.append(batch.take(pa.array(ids[first:last] - start)))
            start += len(batch)
            if last - yielded >= GROUP_ROWS or last == len(ids) > yielded:
                group = pa.Table.from_batches(waiting).combine_chunks()
                waiting, yielded = [], last  # before the group is written, so that its rows are in memory once
                yield group


def write_split(file: Path, ids: np.ndarray, path: Path) -> None:
    """Write rows of the scratch file, given their ascending ids, to a parquet file."""
    with pq.ParquetWriter(path, PREPARED_SCHEMA) as writer:
        for group in row_groups(file, ids):
            writer.write_table(group)

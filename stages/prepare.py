"""Raw reviews -> cleaned, deduplicated, labelled and split.

In: the dataset that `data.name` chooses in catalog.yaml: generated, fetched from the hub by pinned revision, or local
files below data/raw. Out: data/prepared/{train,validation,test}.parquet with the columns id, text, label (0 negative,
1 positive), tags (words that name slices, separated by blanks), source and source_row; metrics/prepare.json.

The source's own splits are honoured. What is missing of test and validation is carved off train, stratified by label;
validation never comes from test. Duplicates (case, punctuation and white space do not count) are dropped within a
split, and rows of train and validation that also stand in test, or of train in validation, are dropped too.

The texts wait in a scratch file; in memory are three numbers of each row, which decide about it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sentiment.builtin import grammar
from sentiment.hub import fetch
from sentiment.pipeline.artifacts import write_json
from sentiment.pipeline.catalog import catalog_entry
from sentiment.pipeline.errors import InputError, exit_on_input_error
from sentiment.pipeline.labels import LABELS, SPLITS
from sentiment.pipeline.params import PrepareParams, load_params
from sentiment.pipeline.paths import CATALOG, PREPARE_METRICS, PREPARED
from sentiment.pipeline.progress import say, timed
from sentiment.pipeline.scratch import scratch
from sentiment.reviews import cleaning, sources, splitting
from sentiment.reviews.cues import cue_tags

Splits = dict[str, pd.DataFrame]

MIN_ROWS_PER_LABEL = 2
KINDS = {"id": "int64", "text": "str", "label": "int64", "tags": "str", "source": "str", "source_row": "int64"}
SCHEMA = pa.Schema.from_pandas(pd.DataFrame(columns=list(KINDS)).astype(KINDS), preserve_index=False)
GROUP_ROWS = 32_768  # of a written file's row groups, each of which is put together in memory


def generate_reviews(entry: dict[str, Any], seed: int) -> dict[str, sources.Tables]:
    """Generate the built-in reviews, split as the catalog entry says.

    Args:
        entry: the catalog entry, with `mix` and `rows` per split.
        seed: the seed of params.yaml.

    Returns:
        Tables of each split, to be taken in this order: all come from one stream.
    """
    reviews = grammar.generate(f"labelled-{seed}", grammar.Mix(**entry["mix"]))
    rows = ((review.text, review.label, " ".join(review.tags), "builtin") for review in reviews)
    columns = ("text", "label", "tags", "source")
    return {split: sources.tables(islice(rows, count), columns) for split, count in entry["rows"].items()}


def read_reviews(entry: dict[str, Any], where: str) -> dict[str, sources.Tables]:
    """Read the rows of a hub or local dataset, unjudged.

    Args:
        entry: the catalog entry.
        where: its place, for messages.
    """
    if entry["source"] == "local":
        return sources.read_local(Path(entry["path"]), entry, where)
    folder = fetch(entry, where, "dataset", list(entry["splits"].values()))
    return sources.read_snapshot(folder, entry, where)


def usable_rows(
    tables: sources.Tables, labels: dict[str, list[Any]], strip_html_breaks: bool, problems: cleaning.Problems
) -> sources.Tables:
    """Keep the rows that have a known label and a text, with tags.

    Args:
        tables: rows as read.
        labels: the catalog entry's label words.
        strip_html_breaks: whether breaks become spaces before the texts are judged.
        problems: takes up the rows that are left out.
    """
    numbers = cleaning.label_numbers(labels)
    for rows in tables:
        if strip_html_breaks:
            texts = [cleaning.without_breaks(text) for text in rows["text"]]
            rows["text"] = pd.Series(texts, dtype=object)  # may hold what is no text, or no UTF-8
        judged = cleaning.judge(rows, numbers)
        problems.add(judged)
        good = judged[judged["problem"] == ""]
        yield good.assign(tags=good["text"].map(cue_tags))


def spool(splits: Mapping[str, sources.Tables], file: Path) -> Splits:
    """Write all rows to the scratch file, one after another.

    Args:
        splits: tables with the columns of KINDS but id.
        file: the scratch file.

    Returns:
        What decides about each row: its id, which counts the rows of the file from 0, label and fingerprint.
    """
    kept, start = {}, 0
    with pa.OSFile(str(file), "wb") as stream, pa.ipc.new_stream(stream, SCHEMA) as writer:
        for split, tables in splits.items():
            parts = [pd.DataFrame(columns=["id", "label", "fingerprint"], dtype="int64")]
            for rows in tables:
                ids = range(start, start + len(rows))
                writer.write(pa.RecordBatch.from_pandas(rows.assign(id=ids), SCHEMA, preserve_index=False))
                fingerprints = [cleaning.fingerprint(text) for text in rows["text"]]
                numbers = {"id": ids, "label": rows["label"].to_numpy(), "fingerprint": fingerprints}
                parts.append(pd.DataFrame(numbers, dtype="int64"))
                start += len(rows)
            kept[split] = pd.concat(parts, ignore_index=True)
    return kept


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
        kept[split], dropped, contradicting = splitting.drop_duplicates(rows)
        counts["duplicates_dropped"] += dropped
        counts["contradictions"] += contradicting
    for unseen, count in (("test", "leaks_dropped"), ("validation", "validation_leaks_dropped")):
        for split in SPLITS[: SPLITS.index(unseen)]:
            if split in kept and unseen in kept:
                leaking = kept[split]["fingerprint"].isin(kept[unseen]["fingerprint"])
                counts[count] += int(leaking.sum())
                kept[split] = kept[split][~leaking]
    return kept, counts


def complete_splits(splits: Splits, params: PrepareParams, seed: int) -> Splits:
    """Carve the splits that the source lacks, then subsample each.

    Args:
        splits: any of all, train, validation, test.
        params: the fractions and row counts.
        seed: the seed of params.yaml.
    """
    splits = {("train" if split == "all" else split): rows for split, rows in splits.items()}
    if "test" not in splits:
        splits["train"], splits["test"] = splitting.carve(splits["train"], params.test_fraction, seed)
    if "validation" not in splits:
        splits["train"], splits["validation"] = splitting.carve(splits["train"], params.validation_fraction, seed)
    counts = {"train": params.train_rows, "validation": params.validation_rows, "test": params.test_rows}
    return {split: splitting.subsample(splits[split], counts[split], seed) for split in SPLITS}


def check_labels(splits: Splits, where: str) -> None:
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


def prepare(
    entry: dict[str, Any], where: str, params: PrepareParams, seed: int, file: Path
) -> tuple[Splits, dict[str, Any]]:
    """Make the three splits of a dataset.

    Args:
        entry: the catalog entry.
        where: its place, for messages.
        params: the stage's params.
        seed: the seed of params.yaml.
        file: the scratch file, yet to be written.

    Returns:
        The splits, as numbers of the rows that stand in the scratch file, and the counts for metrics/prepare.json.

    Raises:
        InputError: there are unusable rows and they are not to be dropped.
    """
    problems = cleaning.Problems()
    if entry["source"] == "builtin":
        tables = generate_reviews(entry, seed)
    else:
        tables = {
            split: usable_rows(rows, entry["labels"], params.strip_html_breaks, problems)
            for split, rows in read_reviews(entry, where).items()
        }
    splits = spool(tables, file)
    if problems.total and params.on_bad_rows == "error":
        raise InputError(
            f"{problems.total} row(s) cannot be used (rows count from 1, a header not counted):\n"
            f"  {problems.describe(entry['labels'])}\n"
            "correct the rows, or leave them out with params.yaml: prepare.on_bad_rows: drop"
        )
    splits, counts = drop_repetitions(splits)
    splits = complete_splits(splits, params, seed)
    check_labels(splits, where)
    rows = {split: len(table) for split, table in splits.items()}
    positive = {split: float(table["label"].mean()) for split, table in splits.items()}
    return splits, {**counts, "bad_rows_dropped": problems.total, "rows": rows, "positive_rate": positive}


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
                yield pa.Table.from_batches(waiting).combine_chunks()
                waiting, yielded = [], last


def main() -> None:
    """Prepare the dataset that params.yaml chooses."""
    all_params = load_params()
    name = all_params.data.name
    where = f"{CATALOG}: datasets.{name}"
    with timed(f"preparing {name}"), scratch() as folder:
        file = folder / "reviews.arrow"
        entry = catalog_entry("datasets", name)
        splits, counts = prepare(entry, where, all_params.prepare, all_params.seed, file)
        PREPARED.mkdir(parents=True, exist_ok=True)
        for split, rows in splits.items():
            with pq.ParquetWriter(PREPARED / f"{split}.parquet", SCHEMA) as writer:
                for group in row_groups(file, rows["id"].to_numpy()):
                    writer.write_table(group)
        write_json(PREPARE_METRICS, counts)
    say(f"rows {counts['rows']}, duplicates {counts['duplicates_dropped']}, leaks into test {counts['leaks_dropped']}")


if __name__ == "__main__":
    exit_on_input_error(main)

"""Raw reviews -> cleaned, deduplicated, labelled and split.

In: the dataset that `data.name` chooses in catalog.yaml: generated, fetched from the hub by pinned revision, or local
files below data/raw. Out: data/prepared/{train,validation,test}.parquet with the columns id, text, label (0 negative,
1 positive), tags (words that name slices, separated by blanks), source and source_row; metrics/prepare.json.

The source's own splits are honoured. What is missing of test and validation is carved off train, stratified by label;
validation never comes from test. Duplicates (case, punctuation and white space do not count) are dropped within a
split, and rows of train and validation that also stand in test, or of train in validation, are dropped too.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from sentiment import cleaning, grammar, readers
from sentiment.cues import cue_tags
from sentiment.errors import InputError, exit_on_input_error
from sentiment.hub import fetch
from sentiment.names import LABELS, SPLITS
from sentiment.params import catalog_entry, load_params, section
from sentiment.paths import CATALOG, PREPARE_METRICS, PREPARED
from sentiment.progress import say, timed
from sentiment.tables import write_json, write_parquet

Splits = dict[str, pd.DataFrame]

MIN_ROWS_PER_LABEL = 2
COLUMNS = ["id", "text", "label", "tags", "source", "source_row"]


@dataclass(frozen=True)
class PrepareParams:
    """The section `prepare` of params.yaml; params.schema.json says what each value means."""

    strip_html_breaks: bool
    on_bad_rows: str
    validation_fraction: float
    test_fraction: float
    train_rows: int | None
    validation_rows: int | None
    test_rows: int | None


def generate_reviews(entry: dict[str, Any], seed: int) -> Splits:
    """Generate the built-in reviews, split as the catalog entry says.

    Args:
        entry: the catalog entry, with `mix` and `rows` per split.
        seed: the seed of params.yaml.
    """
    reviews = grammar.generate(f"labelled-{seed}", grammar.Mix(**entry["mix"]))
    splits = {}
    for split, count in entry["rows"].items():
        rows = [(r.text, r.label, " ".join(r.tags)) for r in islice(reviews, count)]
        table = pd.DataFrame(rows, columns=["text", "label", "tags"])
        splits[split] = table.assign(source="builtin", source_row=range(1, count + 1))
    return splits


def read_reviews(entry: dict[str, Any], where: str) -> Splits:
    """Read the rows of a hub or local dataset, unjudged.

    Args:
        entry: the catalog entry.
        where: its place, for messages.
    """
    if entry["source"] == "local":
        return readers.read_local(Path(entry["path"]), entry, where)
    folder = fetch(entry, where, "dataset", list(entry["splits"].values()))
    return readers.read_snapshot(folder, entry, where)


def usable_rows(splits: Splits, labels: dict[str, list[Any]], on_bad_rows: str) -> tuple[Splits, int]:
    """Keep the rows that have a known label and a text.

    Args:
        splits: rows as read.
        labels: the catalog entry's label words.
        on_bad_rows: `error` or `drop`.

    Returns:
        The usable rows with tags, and how many rows were dropped.

    Raises:
        InputError: there are unusable rows and they are not to be dropped.
    """
    numbers = cleaning.label_numbers(labels)
    judged = {split: cleaning.judge(rows, numbers) for split, rows in splits.items()}
    bad = sum(int((rows["problem"] != "").sum()) for rows in judged.values())
    if bad and on_bad_rows == "error":
        problems = cleaning.describe_problems(pd.concat(judged.values()), labels)
        raise InputError(
            f"{bad} row(s) cannot be used (rows count from 1, a header not counted):\n  {problems}\n"
            "correct the rows, or leave them out with params.yaml: prepare.on_bad_rows: drop"
        )
    good = {split: rows[rows["problem"] == ""] for split, rows in judged.items()}
    return {split: rows.assign(tags=rows["text"].map(cue_tags)) for split, rows in good.items()}, bad


def number_rows(splits: Splits) -> Splits:
    """Give every row an id that no other row of the dataset has."""
    start, numbered = 0, {}
    for split, rows in splits.items():
        numbered[split] = rows.assign(id=range(start, start + len(rows)))
        start += len(rows)
    return numbered


def drop_repetitions(splits: Splits) -> tuple[Splits, dict[str, int]]:
    """Drop duplicates within each split, and rows that also stand in a split that must stay unseen.

    Args:
        splits: rows with text and label.

    Returns:
        The rows left, and the counts: duplicates_dropped and contradictions (duplicates under the other label) over
        all splits, leaks_dropped (rows of train or validation in test) and validation_leaks_dropped (of train in
        validation).
    """
    counts = {"duplicates_dropped": 0, "contradictions": 0, "leaks_dropped": 0, "validation_leaks_dropped": 0}
    kept = {}
    for split, rows in splits.items():
        marked = rows.assign(fingerprint=rows["text"].map(cleaning.fingerprint))
        kept[split], dropped, contradicting = cleaning.drop_duplicates(marked)
        counts["duplicates_dropped"] += dropped
        counts["contradictions"] += contradicting
    for unseen, count in (("test", "leaks_dropped"), ("validation", "validation_leaks_dropped")):
        for split in SPLITS[: SPLITS.index(unseen)]:
            if split in kept and unseen in kept:
                leaking = kept[split]["fingerprint"].isin(set(kept[unseen]["fingerprint"]))
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
        splits["train"], splits["test"] = cleaning.carve(splits["train"], params.test_fraction, seed)
    if "validation" not in splits:
        splits["train"], splits["validation"] = cleaning.carve(splits["train"], params.validation_fraction, seed)
    counts = {"train": params.train_rows, "validation": params.validation_rows, "test": params.test_rows}
    return {split: cleaning.subsample(splits[split], counts[split], seed) for split in SPLITS}


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


def prepare(entry: dict[str, Any], where: str, params: PrepareParams, seed: int) -> tuple[Splits, dict[str, Any]]:
    """Make the three splits of a dataset.

    Args:
        entry: the catalog entry.
        where: its place, for messages.
        params: the stage's params.
        seed: the seed of params.yaml.

    Returns:
        The splits, and the counts for metrics/prepare.json.
    """
    if entry["source"] == "builtin":
        splits, bad = generate_reviews(entry, seed), 0
    else:
        splits = read_reviews(entry, where)
        if params.strip_html_breaks:
            splits = {s: rows.assign(text=rows["text"].map(cleaning.without_breaks)) for s, rows in splits.items()}
        splits, bad = usable_rows(splits, entry["labels"], params.on_bad_rows)
    splits, counts = drop_repetitions(number_rows(splits))
    splits = complete_splits(splits, params, seed)
    check_labels(splits, where)
    rows = {split: len(table) for split, table in splits.items()}
    positive = {split: float(table["label"].mean()) for split, table in splits.items()}
    return splits, {**counts, "bad_rows_dropped": bad, "rows": rows, "positive_rate": positive}


def main() -> None:
    """Prepare the dataset that params.yaml chooses."""
    params = load_params()
    name = params["data"]["name"]
    where = f"{CATALOG}: datasets.{name}"
    with timed(f"preparing {name}"):
        entry = catalog_entry("datasets", name)
        splits, counts = prepare(entry, where, section(params, "prepare", PrepareParams), params["seed"])
        for split, table in splits.items():
            write_parquet(PREPARED / f"{split}.parquet", table[COLUMNS])
        write_json(PREPARE_METRICS, counts)
    say(f"rows {counts['rows']}, duplicates {counts['duplicates_dropped']}, leaks into test {counts['leaks_dropped']}")


if __name__ == "__main__":
    exit_on_input_error(main)

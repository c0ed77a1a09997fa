"""Raw reviews -> cleaned, deduplicated, labelled and split.

In: the dataset that `data.name` chooses in catalog.yaml: generated, fetched from the hub by pinned revision, or local
files below data/raw. Out: data/prepared/{train,validation,test}.parquet with the columns id, text, label (0 negative,
1 positive), tags (words that name slices, separated by blanks), source and source_row; metrics/prepare.json.

The source's own splits are honoured. What is missing of test and validation is carved off train, stratified by label;
validation never comes from test. Duplicates (case, punctuation and white space do not count) are dropped within a
split, and rows of train and validation that also stand in test, or of train in validation, are dropped too. What is
nearly the same is counted, and dropped where that is chosen.

The texts wait in a scratch file; in memory are three numbers of each row, which decide about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from sentiment.builtin import grammar
from sentiment.hub import fetch
from sentiment.pipeline.artifacts import write_json
from sentiment.pipeline.catalog import catalog_entry
from sentiment.pipeline.errors import InputError, exit_on_input_error
from sentiment.pipeline.params import Params, TextParams, load_params
from sentiment.pipeline.paths import CATALOG, PREPARE_METRICS, PREPARED
from sentiment.pipeline.progress import say, timed
from sentiment.pipeline.scratch import scratch
from sentiment.reviews.cleaning import label_numbers, label_problem, label_word
from sentiment.reviews.cues import cue_tags
from sentiment.reviews.files import Chunk, Problems, numbered
from sentiment.reviews.near_duplicates import find_near_duplicates
from sentiment.reviews.normalization import normalize
from sentiment.reviews.sources import READ_ROWS, Chunks, read_local, read_snapshot
from sentiment.reviews.splitting import (
    Splits,
    check_rows_per_label,
    complete_splits,
    drop_near_duplicates,
    drop_repetitions,
)
from sentiment.reviews.spool import ReviewColumns, spool, write_split


def generate_reviews(entry: dict[str, Any], text: TextParams, seed: int) -> dict[str, Iterator[ReviewColumns]]:
    """Generate the built-in reviews, split as the catalog entry says.

    Args:
        entry: the catalog entry, with `mix` and `rows` per split.
        text: how texts are normalized.
        seed: the seed of params.yaml.

    Returns:
        Rows of each split, to be taken in this order: all come from one stream.
    """
    reviews = grammar.generate(f"labelled-{seed}", grammar.Mix(**entry["mix"]))
    return {split: generated_rows(islice(reviews, count), text) for split, count in entry["rows"].items()}


def generated_rows(reviews: Iterable[grammar.Review], text: TextParams) -> Iterator[ReviewColumns]:
    """Turn generated reviews into columns, some thousands at a time."""
    for numbers, batch in numbered(reviews, READ_ROWS):
        yield {
            "text": [normalize(review.text, text) for review in batch],
            "label": [review.label for review in batch],
            "tags": [" ".join(review.tags) for review in batch],
            "source": ["builtin"] * len(batch),
            "source_row": numbers,
        }


def read_dataset(entry: dict[str, Any], where: str) -> dict[str, Chunks]:
    """Read the rows of a hub or local dataset, unjudged; `where` is the catalog entry's place, for messages."""
    if entry["source"] == "local":
        return read_local(Path(entry["path"]), entry, where)
    folder = fetch(entry, where, "dataset", list(entry["splits"].values()))
    return read_snapshot(folder, entry, where)


def judge_rows(chunk: Chunk, numbers: dict[str, int], params: TextParams) -> Chunk:
    """Judge the labels of rows as read, then their texts, and normalize these."""
    texts = [normalize(text, params) if isinstance(text, str) else text for text in chunk.texts]
    found = zip(chunk.labels, chunk.problems, strict=True)
    problems = [problem or label_problem(label, numbers) for label, problem in found]
    return replace(chunk, texts=texts, problems=problems).judged()


def usable_rows(chunks: Chunks, text: TextParams, problems: Problems) -> Iterator[ReviewColumns]:
    """Keep the rows that have a label known to `problems` and a text, with tags; `problems` counts the others."""
    numbers = label_numbers(problems.labels)
    for chunk in chunks:
        judged = judge_rows(chunk, numbers, text)
        problems.add(judged)
        good = judged.usable()
        yield {
            "text": good.texts,
            "label": [numbers[label_word(label)] for label in good.labels],
            "tags": [cue_tags(text) for text in good.texts],
            "source": good.sources,
            "source_row": good.numbers,
        }


def spool_dataset(
    entry: dict[str, Any], where: str, all_params: Params, file: Path, keys: Path | None
) -> tuple[Splits, int]:
    """Write the usable rows of a dataset to the scratch file, and what finds near duplicates to that of keys, if any.

    Returns:
        The source's splits, and how many rows were left out.

    Raises:
        InputError: there are unusable rows and they are not to be dropped.
    """
    if entry["source"] == "builtin":
        return spool(generate_reviews(entry, all_params.text, all_params.seed), file, keys), 0
    params, problems = all_params.prepare, Problems(entry["labels"])
    chunks = read_dataset(entry, where)
    rows = {split: usable_rows(part, all_params.text, problems) for split, part in chunks.items()}
    splits = spool(rows, file, keys)
    if problems.total and params.on_bad_rows == "error":
        raise InputError(
            f"{problems.total} row(s) cannot be used (rows count from 1, a header not counted):\n"
            f"  {problems.describe()}\n"
            "correct the rows, or leave them out with params.yaml: prepare.on_bad_rows: drop"
        )
    return splits, problems.total


def treat_near_duplicates(splits: Splits, file: Path, keys: Path, drop: bool) -> tuple[Splits, dict[str, int]]:
    """Count the rows that are nearly the same as another one, and drop those that a split must not see.

    Returns:
        The rows left; and for two splits, as `train_test`, how many rows of the first nearly repeat one of the second.
    """
    repeats = find_near_duplicates(splits, file, keys)
    counts = {f"{split}_{other}": int(found.sum()) for (split, other), found in repeats.items()}
    if any(counts.values()):
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        leaving = (
            "those also in an unseen split are left out" if drop else "prepare.near_duplicates: drop leaves them out"
        )
        say(f"  nearly the same: {listed}; {leaving}")
    return drop_near_duplicates(splits, repeats) if drop else splits, counts


def make_splits(entry: dict[str, Any], where: str, all_params: Params, file: Path) -> tuple[Splits, dict[str, Any]]:
    """Make the three splits of a dataset.

    Args:
        entry: the catalog entry.
        where: its place, for messages.
        all_params: the content of params.yaml.
        file: the scratch file, yet to be written.

    Returns:
        The splits, as numbers of the rows that stand in the scratch file, and the counts for metrics/prepare.json.
    """
    params = all_params.prepare
    keys = None if params.near_duplicates == "off" else file.with_suffix(".keys")
    splits, left_out = spool_dataset(entry, where, all_params, file, keys)
    splits, dropped = drop_repetitions(splits)
    splits = complete_splits(splits, params, all_params.seed)
    near: dict[str, Any] = {}
    if keys:
        splits, near["near_duplicates"] = treat_near_duplicates(splits, file, keys, params.near_duplicates == "drop")
    check_rows_per_label(splits, where)
    rows = {split: len(table) for split, table in splits.items()}
    positive = {split: float(table["label"].mean()) for split, table in splits.items()}
    return splits, {**dropped, **near, "bad_rows_dropped": left_out, "rows": rows, "positive_rate": positive}


def main() -> None:
    """Prepare the dataset that params.yaml chooses."""
    all_params = load_params()
    name = all_params.data.name
    with timed(f"preparing {name}"), scratch() as folder:
        file = folder / "reviews.arrow"
        entry, where = catalog_entry("datasets", name), f"{CATALOG}: datasets.{name}"
        splits, counts = make_splits(entry, where, all_params, file)
        PREPARED.mkdir(parents=True, exist_ok=True)
        for split, rows in splits.items():
            write_split(file, rows["id"].to_numpy(), PREPARED / f"{split}.parquet")
        write_json(PREPARE_METRICS, counts)
    say(f"rows {counts['rows']}, duplicates {counts['duplicates_dropped']}, leaks into test {counts['leaks_dropped']}")


if __name__ == "__main__":
    exit_on_input_error(main)

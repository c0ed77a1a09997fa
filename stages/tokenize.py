"""Prepared text -> token ids.

In: the train and validation splits of data/prepared (test is read by evaluate alone) and the tokenizer of models/base.
Out: data/tokenized/{train,validation}: Arrow data sets with the columns id, input_ids (ragged, without padding), length
(tokens) and label; metrics/tokenize.json. Edited copies of train reviews, if there are any, follow the reviews.
"""

from __future__ import annotations

if __package__ != "stages":  # by path, this file would shadow the standard library's: stop before any import
    raise SystemExit("error: run stages as modules, from the repository's root, such as python -m stages.tokenize")

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from datasets.table import MemoryMappedTable

from sentiment.checkpoints.manifest import Manifest
from sentiment.pipeline.artifacts import write_json
from sentiment.pipeline.errors import exit_on_input_error
from sentiment.pipeline.params import AugmentationParams, load_params
from sentiment.pipeline.paths import BASE, PREPARED, TOKENIZE_METRICS, TOKENIZED
from sentiment.pipeline.progress import say, timed
from sentiment.pipeline.scratch import scratch
from sentiment.reviews.augmentation import augment
from sentiment.tokens.encoding import CHUNK, check_max_length, encode
from sentiment.tokens.prompts import label_word_ids
from sentiment.tokens.tokenizer import load_config, load_tokenizer, max_positions

SCHEMA = pa.schema({"id": pa.int64(), "input_ids": pa.list_(pa.int32()), "length": pa.int32(), "label": pa.int64()})


def read_copies(
    file: Path, augmentation: AugmentationParams, copies: int, seed: int
) -> Iterator[tuple[Any, list[str]]]:
    """Read a split as often as there are to be copies, a few thousand rows at a time.

    Args:
        file: the split in data/prepared.
        augmentation: how copies are edited.
        copies: how many; they follow the reviews themselves, and keep id and label.
        seed: decides the edits.

    Yields:
        A record batch with id and label, and its texts.
    """
    for copy in range(copies + 1):
        for batch in pq.ParquetFile(file).iter_batches(CHUNK, columns=["id", "text", "label"]):
            texts: list[str] = batch["text"].to_pylist()
            yield batch, texts if copy == 0 else augment(texts, augmentation, copy - 1, seed)


def tokenize_split(
    reviews: Iterable[tuple[Any, list[str]]],
    tokenizer: Any,
    manifest: Manifest,
    folder: Path,
    file: Path,
) -> dict[str, float]:
    """Encode one split into an Arrow dataset, in memory that does not grow with it.

    Args:
        reviews: from `read_copies`.
        tokenizer: the backbone's.
        manifest: how texts are read; see `encode`.
        folder: where to.
        file: the scratch file, which the dataset is read from while it is written.

    Returns:
        The split's tokens, mean_length (tokens) and truncated_share.
    """
    rows = tokens = truncated = 0
    with pa.OSFile(str(file), "wb") as stream, pa.ipc.new_stream(stream, SCHEMA) as writer:
        for batch, texts in reviews:
            encoded = encode(tokenizer, texts, manifest)
            ids = pa.array(encoded.ids, SCHEMA.field("input_ids").type)
            lengths = pa.compute.list_value_length(ids)
            writer.write(pa.record_batch([batch["id"], ids, lengths, batch["label"]], schema=SCHEMA))
            rows, truncated = rows + len(texts), truncated + sum(encoded.truncated)
            tokens += pa.compute.sum(lengths).as_py()
    save_dataset(file, folder)
    return {"tokens": tokens, "mean_length": tokens / rows, "truncated_share": truncated / rows}


def save_dataset(file: Path, folder: Path) -> None:
    """Save the rows of the scratch file as an Arrow dataset, in the same bytes whenever the file holds the same."""
    with file.open("rb") as written:  # datasets would take the file's time of change for what it is made of
        content = hashlib.file_digest(written, "sha256").hexdigest()[:16]
    datasets.Dataset(MemoryMappedTable.from_file(str(file)), fingerprint=content).save_to_disk(folder)


def main() -> None:
    """Tokenize the train and validation splits."""
    all_params = load_params()
    params = all_params.tokenize
    datasets.disable_progress_bars()
    check_max_length(params.max_length, max_positions(load_config(BASE)), BASE)
    tokenizer = load_tokenizer(BASE)
    manifest = Manifest.from_params(all_params.model.formulation, all_params.text, params)
    if not manifest.has_head:
        label_word_ids(tokenizer, params.label_words, params.prompt)  # refused here, before anything is trained
    metrics = {}
    with scratch() as folder:
        for split, copies in (("train", params.augmentation.copies), ("validation", 0)):
            reviews = read_copies(PREPARED / f"{split}.parquet", params.augmentation, copies, all_params.seed)
            with timed(f"tokenizing {split}"):
                place, file = TOKENIZED / split, folder / f"{split}.arrow"
                metrics[split] = tokenize_split(reviews, tokenizer, manifest, place, file)
            counts = metrics[split]
            say(f"{split}: {counts['tokens']} tokens, {counts['truncated_share']:.1%} of the reviews cut")
    write_json(TOKENIZE_METRICS, metrics)


if __name__ == "__main__":
    exit_on_input_error(main)

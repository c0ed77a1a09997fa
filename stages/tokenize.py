"""Prepared text -> token ids.

In: the train and validation splits of data/prepared (test is read by evaluate alone) and the tokenizer of models/base.
Out: data/tokenized/{train,validation}: Arrow data sets with the columns id, input_ids (ragged, without padding), length
(tokens) and label; metrics/tokenize.json. Edited copies of train reviews, where asked for, follow the reviews.
"""

from __future__ import annotations

if __package__ != "stages":  # by path, this file would shadow the standard library's: stop before any import
    raise ImportError("run stages as modules, from the repository root: python -m stages.tokenize")

from dataclasses import dataclass
from typing import Any

import datasets
import pandas as pd
import pyarrow as pa

from sentiment.augmentation import Augmentation, augment
from sentiment.backbones import load_config, load_tokenizer, max_positions
from sentiment.encoding import Prompt, check_max_length, encode
from sentiment.errors import exit_on_input_error
from sentiment.params import load_params, section
from sentiment.paths import BASE, PREPARED, TOKENIZE_METRICS, TOKENIZED
from sentiment.progress import say, timed
from sentiment.tables import read_parquet, write_json
from sentiment.verbalizer import label_word_ids, prompt_of


@dataclass(frozen=True)
class TokenizeParams:
    """The section `tokenize` of params.yaml; params.schema.json says what each value means."""

    max_length: int
    truncation_side: str
    lowercase: bool
    prompt: str
    label_words: dict[str, list[str]]
    augmentation: Augmentation


def tokenize_split(
    rows: pd.DataFrame, tokenizer: Any, facts: dict[str, Any], prompt: Prompt | None
) -> tuple[pa.Table, dict[str, float]]:
    """Encode one split.

    Args:
        rows: the prepared rows, with id, text and label.
        tokenizer: the backbone's.
        facts: how texts are read; see `encode`.
        prompt: what stands around each text; None for the text alone.

    Returns:
        The table, and the split's tokens, mean_length (tokens) and truncated_share.
    """
    ids: list[pa.Array] = []
    truncated = 0
    for encoded in encode(tokenizer, rows["text"].tolist(), facts, prompt):
        ids.append(pa.array(encoded.ids, pa.list_(pa.int32())))
        truncated += sum(encoded.truncated)
    column = pa.chunked_array(ids)
    lengths = pa.compute.list_value_length(column)
    table = pa.table({"id": rows["id"], "input_ids": column, "length": lengths, "label": rows["label"]})
    tokens = int(pa.compute.sum(lengths).as_py())
    counts = {"tokens": tokens, "mean_length": tokens / len(rows), "truncated_share": truncated / len(rows)}
    return table, counts


def with_edited_copies(rows: pd.DataFrame, augmentation: Augmentation, seed: int) -> pd.DataFrame:
    """Put the edited copies of train reviews behind the reviews themselves; a copy keeps id and label."""
    copies = [rows.assign(text=texts) for texts in augment(rows["text"].tolist(), augmentation, seed)]
    return pd.concat([rows, *copies])


def main() -> None:
    """Tokenize the train and validation splits."""
    all_params = load_params()
    params = section(all_params, "tokenize", TokenizeParams)
    datasets.disable_progress_bars()
    check_max_length(params.max_length, max_positions(load_config(BASE)), BASE)
    tokenizer = load_tokenizer(BASE)
    asked = {"formulation": all_params["model"]["formulation"], **all_params["tokenize"]}
    prompt = prompt_of(tokenizer, asked)
    if prompt is not None:
        label_word_ids(tokenizer, params.label_words, params.prompt)  # refused here, before anything is trained
    metrics = {}
    for split in ("train", "validation"):
        with timed(f"tokenizing {split}"):
            rows = read_parquet(PREPARED / f"{split}.parquet")
            if split == "train":
                rows = with_edited_copies(rows, params.augmentation, all_params["seed"])
            table, metrics[split] = tokenize_split(rows, tokenizer, asked, prompt)
            datasets.Dataset(table).save_to_disk(TOKENIZED / split)
        say(f"{split}: {metrics[split]['tokens']} tokens, {metrics[split]['truncated_share']:.1%} of the reviews cut")
    write_json(TOKENIZE_METRICS, metrics)


if __name__ == "__main__":
    exit_on_input_error(main)

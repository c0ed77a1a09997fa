"""The stage tokenize: ragged ids in Arrow, for train and validation alone."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from datasets import load_from_disk
from transformers import AutoTokenizer

from sentiment.pipeline.errors import InputError
from stages import tokenize
from tests.conftest import ROOT, peak_memory_of, run_stages

Change = Callable[..., None]


def test_rows_hold_what_the_tokenizer_says(small: Change) -> None:
    small("bert", **{"tokenize.max_length": 24})
    run_stages("prepare", "base", "tokenize")
    assert {folder.name for folder in Path("data/tokenized").iterdir()} == {"train", "validation"}
    tokenizer = AutoTokenizer.from_pretrained("models/base")
    cut = 0
    for split in ("train", "validation"):
        rows, table = pd.read_parquet(f"data/prepared/{split}.parquet"), load_from_disk(f"data/tokenized/{split}")
        assert table.column_names == ["id", "input_ids", "length", "label"]
        assert table["id"][:] == rows["id"].tolist()
        assert table["label"][:] == rows["label"].tolist()
        expected = [tokenizer(text, truncation=True, max_length=24)["input_ids"] for text in rows["text"]]
        assert table["input_ids"][:] == expected
        assert table["length"][:] == [len(row) for row in expected]
        whole = [len(tokenizer(text)["input_ids"]) for text in rows["text"]]
        share = sum(length > 24 for length in whole) / len(whole)
        counts = json.loads(Path("metrics/tokenize.json").read_text())[split]
        assert counts["truncated_share"] == pytest.approx(share, abs=1e-6)
        assert counts["tokens"] == sum(map(len, expected))
        cut += sum(length > 24 for length in whole)
    assert cut > 0


def test_the_left_end_is_cut_where_asked(small: Change) -> None:
    small("gpt2", **{"tokenize.max_length": 8, "tokenize.truncation_side": "left"})
    run_stages("prepare", "base", "tokenize")
    tokenizer = AutoTokenizer.from_pretrained("models/base")
    texts = pd.read_parquet("data/prepared/train.parquet")["text"]
    rows = load_from_disk("data/tokenized/train")["input_ids"][:]
    assert rows == [tokenizer(text)["input_ids"][-8:] for text in texts]


def test_twice_gives_the_same_bytes(small: Change) -> None:
    small("gpt2")
    run_stages("prepare", "base")
    contents = []
    for _ in range(2):
        run_stages("tokenize")
        contents.append({f: f.read_bytes() for f in sorted(Path("data/tokenized").rglob("*")) if f.is_file()})
    assert contents[0] == contents[1]


def test_edited_copies_follow_the_train_reviews_and_no_others(small: Change, change: Change) -> None:
    small("gpt2", **{"tokenize.augmentation": {"copies": 2, "word_dropout": 0.5, "word_swap": 0.0, "contractions": 0,
                                      "typos": 0.0}})  # fmt: skip
    run_stages("prepare", "base", "tokenize")
    rows = pd.read_parquet("data/prepared/train.parquet")
    train, validation = (load_from_disk(f"data/tokenized/{split}") for split in ("train", "validation"))
    assert train["id"][:] == rows["id"].tolist() * 3
    assert train["label"][:] == rows["label"].tolist() * 3
    tokenizer = AutoTokenizer.from_pretrained("models/base")
    plain = [tokenizer(text, truncation=True, max_length=48)["input_ids"] for text in rows["text"]]
    ids = train["input_ids"][:]
    assert ids[: len(rows)] == plain
    assert ids[len(rows) : 2 * len(rows)] != plain != ids[2 * len(rows) :]
    assert ids[len(rows) : 2 * len(rows)] != ids[2 * len(rows) :]
    assert len(validation) == len(pd.read_parquet("data/prepared/validation.parquet"))
    change("params.yaml", seed=1)
    run_stages("tokenize")
    again = load_from_disk("data/tokenized/train")["input_ids"][:]
    assert again[: len(rows)] == plain
    assert again != ids


def test_a_split_of_several_chunks_is_whole(small: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    small("gpt2")
    run_stages("prepare", "base", "tokenize")
    before = load_from_disk("data/tokenized/train").to_dict()
    monkeypatch.setattr(tokenize, "CHUNK", 7)
    run_stages("tokenize")
    assert load_from_disk("data/tokenized/train").to_dict() == before
    assert not list(Path(".dvc/tmp/scratch").iterdir())


@pytest.mark.slow
def test_memory_does_not_grow_with_the_reviews(small: Change) -> None:
    """As ids and texts in memory, 70,000 reviews more would take 100 MB and more."""
    small("gpt2", **{"tokenize.max_length": 64})
    run_stages("prepare", "base", "tokenize")
    train = pd.read_parquet("data/prepared/train.parquet")
    peaks = []
    for times in (110, 990):  # 9,000 reviews and 79,000
        pd.concat([train] * times).to_parquet("data/prepared/train.parquet", index=False, row_group_size=10_000)
        shutil.rmtree("data/tokenized")
        peaks.append(peak_memory_of("tokenize"))
    assert len(load_from_disk("data/tokenized/train")) == 990 * len(train)
    assert peaks[1] - peaks[0] < 0.05  # GB


def test_a_length_beyond_the_model_is_refused(small: Change) -> None:
    small("gpt2", **{"tokenize.max_length": 65})
    run_stages("prepare", "base")
    with pytest.raises(InputError, match=r"tokenize\.max_length: found 65, must be at most 64"):
        run_stages("tokenize")


def test_a_stage_run_by_path_says_how_to_run_it() -> None:
    for stage in ("tokenize", "train"):
        result = subprocess.run(
            [sys.executable, f"stages/{stage}.py"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert result.returncode != 0
        assert "run stages as modules, from the repository's root, such as python -m stages" in result.stderr

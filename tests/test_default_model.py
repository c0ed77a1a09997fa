"""What the default says to a person: the committed params, run in full, answer plain sentences, however they are typed.

`plain_sentences.csv` was written by hand before the grammar was tuned. Nothing in it is generated or trained on.
"""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sentiment.inference.predictor import Predictor
from sentiment.reviews.typos import mistype
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

SHORT = {"cannot": "can't", "will not": "won't", "i am": "i'm", "it is": "it's"} | {
    f"{verb} not": f"{verb}n't"
    for verb in ("is", "was", "are", "were", "do", "does", "did", "could", "would", "should", "has", "have", "had")
}


def contracted(text: str) -> str:
    for long, short in SHORT.items():
        text = re.sub(rf"\b{long}\b", short, text, flags=re.I)
    return text


def spelt_out(text: str) -> str:
    for long, short in SHORT.items():
        text = re.sub(rf"\b{short}\b", long, text, flags=re.I)
    return text


def words_of(text: str) -> str:
    return " ".join(re.findall(r"[\w']+", text.lower()))


CHANGES: dict[str, tuple[Callable[[str], str], float]] = {  # what is done to a text, and how many may flip
    "trailing blank": (lambda text: text + " ", 0.01),
    "newline": (lambda text: text + "\n", 0.01),
    "no final stop": (lambda text: text.rstrip(".!"), 0.01),
    "final stop": (lambda text: text.rstrip(".!") + ".", 0.01),
    "lower case": (str.lower, 0.03),
    "upper case": (str.upper, 0.03),
    "contracted": (contracted, 0.02),
    "spelt out": (spelt_out, 0.02),
}


@pytest.fixture(scope="module")
def sentences() -> tuple[list[str], np.ndarray]:
    with (ROOT / "tests" / "plain_sentences.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], np.array([row["label"] == "positive" for row in rows])


@pytest.fixture(scope="module")
def default(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of the committed params, up to the fine-tuned model."""
    folder = tmp_path_factory.mktemp("default")
    for name in ("sentiment", "stages"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("params.yaml", "params.schema.json", "catalog.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("data/raw", "models/local", "metrics", "plots"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for stage in ("prepare", "base", "tokenize", "train"):
        subprocess.run([sys.executable, "-m", f"stages.{stage}"], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def says(default: Path) -> Callable[[Sequence[str]], np.ndarray]:
    predictor = Predictor.load(default / "models" / "finetuned")
    return lambda texts: np.array([row.probability_positive > 0.5 for row in predictor(texts)])


@pytest.fixture(scope="module")
def own(default: Path) -> tuple[list[str], np.ndarray]:
    """The test split of the run."""
    rows = pd.read_parquet(default / "data" / "prepared" / "test.parquet")
    return rows["text"].tolist(), (rows["label"] == 1).to_numpy()


def test_plain_sentences_are_answered_right(
    default: Path, says: Callable[..., np.ndarray], sentences: tuple[list[str], np.ndarray]
) -> None:
    """Some are idioms that the grammar writes too ("Never again."); the others are judged alone as well."""
    texts, positive = sentences
    assert len(texts) == 300
    assert positive.sum() == 150
    right = says(texts) == positive
    assert right.mean() >= 0.90
    trained = set(map(words_of, pd.read_parquet(default / "data" / "prepared" / "train.parquet")["text"]))
    unseen = np.array([words_of(text) not in trained for text in texts])
    assert unseen.mean() > 0.8
    assert right[unseen].mean() >= 0.90


def test_its_own_test_split_is_answered_right(
    says: Callable[..., np.ndarray], own: tuple[list[str], np.ndarray]
) -> None:
    texts, positive = own
    assert (says(texts) == positive).mean() >= 0.95


@pytest.mark.parametrize("change", CHANGES)
def test_how_a_text_is_typed_flips_few_labels(
    change: str,
    says: Callable[..., np.ndarray],
    sentences: tuple[list[str], np.ndarray],
    own: tuple[list[str], np.ndarray],
) -> None:
    edit, most = CHANGES[change]
    for texts in (sentences[0], own[0]):
        assert (says([edit(text) for text in texts]) != says(texts)).mean() < most


def one_typo(text: str, rng: np.random.Generator) -> str:
    """Put an error into one word."""
    words = list(re.finditer(r"[A-Za-z]{4,}", text))
    if not words:
        return text
    word = words[rng.integers(len(words))]
    return text[: word.start()] + mistype(word[0], 1.0, rng.random) + text[word.end() :]


def test_one_typing_error_flips_few_labels(says: Callable[..., np.ndarray], own: tuple[list[str], np.ndarray]) -> None:
    rng = np.random.default_rng(0)
    assert (says([one_typo(text, rng) for text in own[0]]) != says(own[0])).mean() < 0.06

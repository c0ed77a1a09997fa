"""Predictions are those of the stage evaluate and of transformers, whatever stands beside a text."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.special import softmax
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from sentiment.backbones import layers
from sentiment.cli import predict
from sentiment.engine import heads
from sentiment.inference.predictor import Prediction, Predictor, predict_label
from sentiment.pipeline.errors import InputError
from sentiment.pipeline.params import LoraParams
from sentiment.reviews.files import CHUNK_ROWS
from sentiment.tokens.tokenizer import load_tokenizer
from stages.train import write_model
from tests.conftest import TEXTS, manifest, parsed_by, run_stages
from tests.engine.test_heads import asked_of

Change = Callable[..., None]
Tiny = Callable[[str], Path]

NO_LORA = LoraParams(rank=0, alpha=16, dropout=0.0, modules="attention", save="merged")
ROUNDING = 3e-6  # half of the sixth digit, and what another batch does to the sums


def finetuned(base: Path, folder: Path, **stated: Any) -> Path:
    """Write a model folder as the stage train does, with a drawn head and nothing learnt; state more if asked."""
    tokenizer = load_tokenizer(base)
    written = manifest(**{**asked_of(base), "formulation": "head", "max_length": 48})
    model, _ = heads.load(base, tokenizer, written, seed=3)
    for name in layers.parameters_outside(model):  # a drawn head is so small that all answers are one half
        torch.nn.init.normal_(model.get_parameter(name), std=0.5, generator=torch.Generator().manual_seed(5))
    write_model(model, tokenizer, NO_LORA, "fp32", written, folder)
    path = folder / "sentiment.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **stated}))
    return folder


@pytest.fixture(scope="module")
def folder(tiny_models: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fine-tuned folder that no test changes."""
    return finetuned(tiny_models("gpt2"), tmp_path_factory.mktemp("finetuned") / "gpt2")


def test_a_max_length_beyond_the_positions_is_refused_by_its_place(tiny_models: Tiny, tmp_path: Path) -> None:
    folder = finetuned(tiny_models("gpt2"), tmp_path / "model", max_length=65)
    with pytest.raises(
        InputError, match=r"sentiment\.json: max_length: found 65, must be at most 64, the positions of"
    ):
        Predictor.load(folder)


def test_a_head_that_is_no_number_is_refused_by_name(tiny_models: Tiny, tmp_path: Path) -> None:
    folder = finetuned(tiny_models("gpt2"), tmp_path / "model")
    [file] = [file for file in folder.glob("*.safetensors") if "score.weight" in load_file(file)]
    weights = load_file(file)
    save_file({**weights, "score.weight": weights["score.weight"] * torch.nan}, file, {"format": "pt"})
    stated = json.loads((folder / "sentiment.json").read_text())
    stated["sha256"][file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
    (folder / "sentiment.json").write_text(json.dumps(stated))
    with pytest.raises(InputError, match=r"model: score\.weight: weights that are NaN"):
        Predictor.load(folder)


ADAPTER = {"train.lora": {"rank": 4, "alpha": 16, "dropout": 0.0, "modules": "attention", "save": "adapter"}}


@pytest.mark.parametrize(
    ("family", "formulation", "params"),
    [
        ("gpt2", "head", {}),
        ("gpt2", "label_words", {}),
        ("bert", "head", {}),
        ("gpt2", "head", {**ADAPTER, "train.learning_rate": 0.01}),
    ],
    ids=["gpt2-head", "gpt2-label_words", "bert-head", "gpt2-adapter"],
)
def test_predictions_are_those_of_evaluate_whatever_the_batch_and_the_order(
    family: str, formulation: str, params: dict[str, Any], small: Change, tiny_models: Tiny
) -> None:
    asked = asked_of(tiny_models(family))
    words = {f"tokenize.{key}": asked[key] for key in ("prompt", "label_words")}
    small(family, **words, **params, **{"model.formulation": formulation})
    run_stages("prepare", "base", "tokenize", "train", "evaluate")
    table = pd.read_parquet("data/predictions/test.parquet")
    assert np.ptp(table["probability_positive"]) > 1e-3
    assert Path("models/finetuned/adapter_config.json").is_file() == bool(params)
    for batch_size, seed in ((1, 0), (7, 1), (64, 2)):
        predictor = Predictor.load("models/finetuned", batch_size=batch_size)
        mixed = table.sample(frac=1, random_state=seed)
        found = predictor(mixed["text"].tolist())
        stated = np.array([answer.probability_positive for answer in found])
        assert np.abs(stated - mixed["probability_positive"]).max() < ROUNDING
        assert [answer.label for answer in found] == mixed["predicted"].tolist()


def test_raw_files_are_answered_as_evaluate_has_answered_their_rows(small: Change, tiny_models: Tiny) -> None:
    """By the command line, the rows of a file like IMDb's, before and after the stage prepare has normalized them."""
    around = [
        ("", ""), (" ", "\n"), ("<br /><br />", "<br />"), ("\ufeff", " \u200b"), ("<p><b>", "</b></p>"),
        ("\t", "&nbsp;"), ("&quot;", "&#34;\xa0"),
("&amp;amp; ", ""), ("cafe\u0301 ", " &lt;3"),
    ]  # fmt: skip
    rows = [
        (f"{before}{text.replace(', ', ',<br /><br />')}{after}", number % 2)
        for number, (text, (before, after)) in enumerate(itertools.product(TEXTS, around))
    ]
    folder = Path("data/raw/reviews")
    folder.mkdir(parents=True)
    pd.DataFrame(rows, columns=["text", "label"]).to_csv(folder / "test.csv", index=False)
    train = [(f"{text} {number}", number % 2) for number, text in enumerate(TEXTS * 6)]
    pd.DataFrame(train, columns=["text", "label"]).to_csv(folder / "train.csv", index=False)
    small("gpt2", **{"data.name": "reviews_splits"})
    run_stages("prepare", "base", "tokenize", "train", "evaluate")
    predict.run(parsed_by(predict, "predict", str(folder / "test.csv"), "--output", "labelled.csv"))
    table = pd.read_parquet("data/predictions/test.parquet")
    assert len(table) == 2 * len(TEXTS)  # each as it is, and behind a word more; the others are duplicates
    labelled = pd.read_csv("labelled.csv")
    found = labelled.iloc[table["source_row"].to_numpy() - 1]
    assert np.abs(found["probability_positive"].to_numpy() - table["probability_positive"]).max() < ROUNDING
    assert found["predicted"].tolist() == table["predicted"].tolist()
    unseen = labelled["probability_positive"].to_numpy().reshape(len(TEXTS), -1)[:, :6]  # what surrounds these texts
    assert np.ptp(unseen, axis=1).max() < ROUNDING


def test_temperature_threshold_and_abstention_come_from_the_folder(tiny_models: Tiny, tmp_path: Path) -> None:
    """The reference asks transformers' own classifier, one text at a time."""
    stated = {"temperature": 3.0, "threshold": 0.45, "abstain_below": 0.65}
    folder = finetuned(tiny_models("gpt2"), tmp_path / "folder", **stated)
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForSequenceClassification.from_pretrained(folder)
    answers = Predictor.load(folder)(TEXTS)
    seen = set()
    for text, answer in zip(TEXTS, answers, strict=True):
        with torch.no_grad():
            ids = tokenizer(text, return_tensors="pt", truncation=True, max_length=48)
            logits = model.eval()(**ids).logits[0].double().numpy()
        positive = softmax(logits / 3.0)[1]
        assert answer.probability_positive == pytest.approx(positive, abs=1e-5)
        label, own = ("positive", positive) if positive > 0.45 else ("negative", 1 - positive)
        assert answer.label == (None if own < 0.65 else label)
        seen.add(answer.label)
    assert seen == {None, "negative", "positive"}


@pytest.mark.parametrize(
    ("positive", "threshold", "abstain_below", "label"),
    [
        (0.5, 0.5, None, "negative"),  # as evaluate decides: greater than the threshold, not equal to it
        (0.500001, 0.5, None, "positive"),
        (0.4, 0.3, None, "positive"),
        (0.4, 0.3, 0.5, None),  # positive by the threshold, with a probability of its own of 0.4
        (0.2, 0.3, 0.8, "negative"),  # 0.8 is not below 0.8
        (0.21, 0.3, 0.8, None),
        (0.0, 0.5, 0.0, "negative"),
    ],
)
def test_a_label_is_decided_by_threshold_and_its_own_probability(
    positive: float, threshold: float, abstain_below: float | None, label: str | None
) -> None:
    assert predict_label(positive, threshold, abstain_below) == Prediction(label, positive)


def test_three_lines_are_enough(folder: Path) -> None:
    predictor = Predictor.load(folder)
    [answer] = predictor(["A fine film."])
    assert answer.label in ("negative", "positive")
    assert predictor.revision.startswith("sha256:")
    assert predictor([]) == []
    with pytest.raises(AttributeError):
        answer.label = "positive"  # type: ignore[misc]


def test_a_stream_is_read_no_further_than_a_chunk_and_numbers_go_on(folder: Path) -> None:
    predictor, read = Predictor.load(folder), 0

    def texts() -> Iterator[str]:
        nonlocal read
        for _ in range(CHUNK_ROWS + 7):
            read += 1
            yield "Fine."
        read += 1
        yield " "

    answers = predictor.stream(texts())
    first = next(answers)
    assert read == CHUNK_ROWS
    with pytest.raises(InputError, match=f"text {CHUNK_ROWS + 8}: empty"):
        assert {first, *answers} == {first}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "empty text"),
        ("\n\t ", "empty text"),
        (None, "empty text"),
        (3, "no string"),
        ("caf\udce9", "not UTF-8"),
        ("<br />\u200b", "empty text"),
        ("\x00", "empty text"),
        ("\u3164", "empty text"),
    ],
)
def test_what_is_no_text_is_told_by_its_number(text: Any, told: str, folder: Path) -> None:
    with pytest.raises(InputError, match=f"text 2: .*{told}"):
        Predictor.load(folder)(["Fine.", text])


def test_one_text_in_place_of_a_list_is_a_slip(folder: Path) -> None:
    with pytest.raises(TypeError, match="a list of texts"):
        Predictor.load(folder)("Fine.")


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json", "model-score.safetensors", "sentiment.json"])
def test_a_changed_file_is_refused_by_name(name: str, tiny_models: Tiny, tmp_path: Path) -> None:
    folder = finetuned(tiny_models("gpt2"), tmp_path / "folder")
    with (folder / name).open("ab") as file:
        file.write(b"\n" if name != "sentiment.json" else b"}")
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        Predictor.load(folder)


def test_loading_leaves_the_callers_random_numbers_alone(folder: Path) -> None:
    before = torch.get_rng_state()
    Predictor.load(folder)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_device_that_is_not_here_is_told(folder: Path) -> None:
    absent = "mps" if not torch.backends.mps.is_available() else "cuda"
    with pytest.raises(InputError, match=rf"device: found {absent}.*allowed: auto, .*cpu"):
        Predictor.load(folder, device=absent)

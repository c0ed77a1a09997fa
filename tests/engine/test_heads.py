"""Both formulations for every family: label words give what the full language model gives, for less work."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import transformers

from sentiment.backbones import loading
from sentiment.engine import heads
from sentiment.engine.scoring import score
from sentiment.pipeline.errors import InputError
from sentiment.tokens.encoding import encode
from sentiment.tokens.tokenizer import load_tokenizer
from tests.conftest import FAMILIES, LANGUAGE_MODELS, TEXTS, manifest, reading, run_stages
from tests.tokens.test_prompts import single_words

Change = Callable[..., None]
Tiny = Callable[[str], Path]


def asked_of(folder: Path) -> dict[str, object]:
    """A prompt and label words that suit the folder's tokenizer: one word for negative, two for positive."""
    tokenizer = load_tokenizer(folder)
    one, two, three = single_words(tokenizer)[:3]
    prompt = "{review} It was {mask}." if tokenizer.mask_token else "{review} Overall it was"
    return {
        "formulation": "label_words",
        "prompt": prompt,
        "label_words": {"negative": [one], "positive": [two, three]},
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_those_of_the_full_language_model_at_the_one_position(family: str, tiny_models: Tiny) -> None:
    """The reference runs transformers' own model on one row at a time and reads the whole vocabulary's logits."""
    folder = tiny_models(family)
    tokenizer, asked = load_tokenizer(folder), manifest(**asked_of(folder))
    model, formulation = heads.load(folder, tokenizer, asked, seed=0)
    assert isinstance(formulation, heads.LabelWords)
    encoded = encode(tokenizer, TEXTS, asked)
    plain = getattr(transformers, LANGUAGE_MODELS[family]).from_pretrained(folder).eval()
    expected = []
    for row in encoded.ids:
        with torch.no_grad():
            logits = plain(input_ids=torch.tensor([row])).logits[0]  # [tokens, vocabulary]
        place = row.index(tokenizer.mask_token_id) if tokenizer.mask_token else len(row) - 1
        shares = logits[place].double().softmax(-1)
        sums = [shares[list(group)].sum() for group in formulation.words]
        expected.append(float(sums[1] / (sums[0] + sums[1])))
    assert np.ptp(expected) > 1e-3
    for batch_size in (1, 4, len(TEXTS)):
        found = score(model, formulation, encoded.ids, batch_size, "cpu")
        shares = 1 / (1 + np.exp(found[:, 0] - found[:, 1]))
        assert np.abs(shares - expected).max() < 1e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_features_are_the_mean_of_the_backbones_output(family: str, tiny_models: Tiny) -> None:
    """The reference runs transformers' own backbone on one row at a time."""
    folder = tiny_models(family)
    tokenizer = load_tokenizer(folder)
    encoded = encode(tokenizer, TEXTS, reading(60))
    model = loading.load_classifier(folder, tokenizer, seed=0)
    found = score(model, heads.Features(), encoded.ids, 4, "cpu")
    plain = transformers.AutoModel.from_pretrained(folder).eval()
    for row, features in zip(encoded.ids, found, strict=True):
        with torch.no_grad():
            expected = plain(input_ids=torch.tensor([row])).last_hidden_state[0].mean(0)
        assert np.allclose(features, expected.numpy(), atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_logits_over_the_vocabulary_are_computed(family: str, tiny_models: Tiny) -> None:
    folder = tiny_models(family)
    tokenizer, asked = load_tokenizer(folder), manifest(**asked_of(folder))
    model, formulation = heads.load(folder, tokenizer, asked, seed=0)
    called: list[str] = []
    model.get_output_embeddings().register_forward_hook(lambda *_: called.append("full head"))
    encoded = encode(tokenizer, TEXTS, asked)
    assert score(model, formulation, encoded.ids, 3, "cpu").shape == (len(TEXTS), 2)
    assert called == []


@pytest.mark.parametrize("family", FAMILIES)
def test_label_words_go_through_all_stages(family: str, small: Change, tiny_models: Tiny) -> None:
    asked = asked_of(tiny_models(family))
    params = {"tokenize.prompt": asked["prompt"], "tokenize.label_words": asked["label_words"]}
    small(family, **params, **{"model.formulation": "label_words", "train.epochs": 2, "train.learning_rate": 0.003})
    run_stages("prepare", "base", "tokenize", "train", "evaluate")
    kind = getattr(transformers, LANGUAGE_MODELS[family])
    model = kind.from_pretrained("models/finetuned")
    stated = json.loads(Path("models/finetuned/sentiment.json").read_text())
    assert {key: stated[key] for key in asked} == asked
    assert model.config.architectures == [LANGUAGE_MODELS[family]]
    table = pd.read_parquet("data/predictions/test.parquet")
    assert (table["probability_positive"] - table["base_probability_positive"]).abs().max() > 1e-3
    curve = pd.read_csv("plots/training/train.csv")
    assert curve["log_loss"].iloc[-5:].mean() < curve["log_loss"].iloc[:5].mean()


def test_a_model_without_a_language_model_head_is_refused(tiny_models: Tiny, tmp_path: Path) -> None:
    transformers.AutoModel.from_pretrained(tiny_models("bert")).save_pretrained(tmp_path)
    tokenizer = load_tokenizer(tiny_models("bert"))
    with pytest.raises(InputError, match=r"holds no language-model head .* model\.formulation: head"):
        heads.load(tmp_path, tokenizer, manifest(**asked_of(tiny_models("bert"))), seed=0)


def test_bad_label_words_stop_the_tokenize_stage(small: Change) -> None:
    words = {"negative": ["zyx"], "positive": ["fine"]}
    small("gpt2", **{"model.formulation": "label_words", "tokenize.label_words": words})
    run_stages("prepare", "base")
    with pytest.raises(InputError, match=r"label_words\.negative: ' zyx' is \d tokens"):
        run_stages("tokenize")
    assert not Path("data/tokenized").exists()

"""Every model family through the same doors: loading, padding, positions, what a checkpoint holds."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from sentiment.backbones import checks, loading
from sentiment.engine.heads import Head
from sentiment.engine.scoring import score
from sentiment.pipeline.errors import InputError
from sentiment.pipeline.labels import MANIFEST
from sentiment.tokens.tokenizer import load_config, load_tokenizer, max_positions
from tests.conftest import FAMILIES, LANGUAGE_MODELS, TEXTS

Tiny = Callable[[str], Path]


def rows_of_ids(tokenizer: object) -> list[list[int]]:
    return [tokenizer(text, truncation=True, max_length=60)["input_ids"] for text in TEXTS]  # type: ignore[operator]


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_depend_on_neither_padding_nor_batch_nor_neighbours(family: str, tiny_models: Tiny) -> None:
    """The reference is the plain model on one row at a time: no padding, no mask, no code of ours."""
    folder = tiny_models(family)
    tokenizer = load_tokenizer(folder)
    model = loading.load_classifier(folder, tokenizer, seed=3)
    for name, parameter in model.named_parameters():
        if name.startswith(("score", "classifier")):
            torch.nn.init.normal_(parameter, std=1.0)  # logits that differ visibly
    ids = rows_of_ids(tokenizer)
    assert len({len(row) for row in ids}) > 3
    with torch.no_grad():
        alone = torch.cat([model(input_ids=torch.tensor([row])).logits for row in ids]).numpy()
    assert np.abs(alone - alone[0]).max() > 1e-2
    for batch_size in (1, 2, 3, len(ids)):
        assert np.abs(score(model, Head(), ids, batch_size, "cpu") - alone).max() < 1e-4
    shuffled = [3, 0, 5, 2, 4, 1]
    assert np.abs(score(model, Head(), [ids[i] for i in shuffled], 4, "cpu") - alone[shuffled]).max() < 1e-4


@pytest.mark.parametrize("family", FAMILIES)
def test_the_pad_token_is_set_in_tokenizer_and_config(family: str, tiny_models: Tiny) -> None:
    tokenizer = load_tokenizer(tiny_models(family))
    model = loading.load_classifier(tiny_models(family), tokenizer, seed=0)
    assert tokenizer.pad_token_id is not None
    assert model.config.pad_token_id == tokenizer.pad_token_id
    assert tokenizer.padding_side == "right"
    if family == "gpt2":
        assert tokenizer.pad_token == tokenizer.eos_token


def test_the_head_is_drawn_from_the_seed(tiny_models: Tiny) -> None:
    tokenizer = load_tokenizer(tiny_models("gpt2"))
    first, same, other = (
        loading.load_classifier(tiny_models("gpt2"), tokenizer, seed).score.weight for seed in (0, 0, 1)
    )
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(("family", "limit"), [("gpt2", 64), ("bert", 64), ("roberta", 64), ("llama", 64)])
def test_max_positions_is_the_longest_row_that_a_model_reads(family: str, limit: int, tiny_models: Tiny) -> None:
    config = load_config(tiny_models(family))
    assert max_positions(config) == limit
    tokenizer = load_tokenizer(tiny_models(family))
    model = loading.load_classifier(tiny_models(family), tokenizer, seed=0)
    assert model(input_ids=torch.full((1, limit), 5)).logits.shape == (1, 2)
    if family in ("gpt2", "bert", "roberta"):
        with pytest.raises((IndexError, RuntimeError)):
            model(input_ids=torch.full((1, limit + 1), 5))


def test_dropout_is_set_wherever_a_config_names_one(tiny_models: Tiny) -> None:
    for family in FAMILIES:
        tokenizer = load_tokenizer(tiny_models(family))
        model = loading.load_classifier(tiny_models(family), tokenizer, seed=0, dropout=0.25)
        rates = {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)}
        assert rates <= {0.25}
        assert rates or model.config.attention_dropout == 0.25


@pytest.mark.parametrize("family", FAMILIES)
def test_pretrained_weights_are_all_that_the_folder_holds(family: str, tiny_models: Tiny) -> None:
    """The reference is transformers' own language model of the folder."""
    import transformers

    folder = tiny_models(family)
    weights, prefix = loading.pretrained_weights(folder, load_tokenizer(folder))
    plain = getattr(transformers, LANGUAGE_MODELS[family]).from_pretrained(folder).state_dict()
    assert prefix in {name.split(".")[0] for name in weights}
    assert not any(name.startswith(("score", "classifier", "pre_classifier")) for name in weights)
    for name, tensor in weights.items():
        assert torch.equal(tensor, plain[name])
    stored = {tensor.data_ptr(): name for name, tensor in plain.items()}
    assert {plain[name].data_ptr() for name in weights} == set(stored)


def test_a_folder_without_config_or_with_pickled_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no config\.json"):
        checks.check_folder(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(InputError, match=r"no \*\.safetensors; other weights found: pytorch_model\.bin"):
        checks.check_folder(tmp_path)


def test_unknown_architectures_and_missing_tokenizers_are_said_clearly(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "no-such-type"}))
    with pytest.raises(InputError, match=r"config\.json cannot be used"):
        load_config(tmp_path)
    with pytest.raises(InputError, match="no tokenizer"):
        load_tokenizer(tmp_path)


def test_a_tokenizer_that_cannot_pad_is_refused(tmp_path: Path, tiny_models: Tiny) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_models("gpt2"))
    tokenizer.eos_token = None
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="neither a pad token nor an end-of-text token"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_classifier_from_elsewhere_with_three_labels_gets_a_new_head(
    family: str, tiny_models: Tiny, tmp_path: Path
) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(tiny_models(family), num_labels=3)
    model.save_pretrained(tmp_path)
    tokenizer = load_tokenizer(tiny_models(family))
    weights, _ = loading.pretrained_weights(tmp_path, tokenizer)
    assert not any(tensor.shape[0] == 3 for tensor in weights.values())
    assert loading.load_classifier(tmp_path, tokenizer, seed=0).config.id2label == {0: "negative", 1: "positive"}


@pytest.mark.parametrize(
    ("index", "told"),
    [
        ({"metadata": {}}, "index.json: no weight_map"),
        ([], "index.json: holds list, must be a JSON object"),
        ({"metadata": {}, "weight_map": {"wte": "../outside.safetensors"}}, "weight_map.wte: found the file name '../"),
        ({"metadata": {}, "weight_map": {"wte": "/etc/passwd"}}, "weight_map.wte: found the file name '/etc/passwd'"),
        ({"metadata": {}, "weight_map": {"wte": 5}}, "weight_map.wte: found the file name '5'"),
    ],
)
def test_weights_outside_the_folder_are_not_read(index: object, told: str, tiny_models: Tiny, tmp_path: Path) -> None:
    """The weights beside the folder would load: without the check they do."""
    folder = shutil.copytree(tiny_models("gpt2"), tmp_path / "model")
    tokenizer = load_tokenizer(folder)
    (folder / "model.safetensors").rename(tmp_path / "outside.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError) as caught:
        loading.load_classifier(folder, tokenizer, seed=0)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_tokenizer_file_outside_the_folder_is_not_read(tiny_models: Tiny, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_models("gpt2"), tmp_path / "model")
    (folder / "tokenizer.json").rename(tmp_path / "tokenizer.4.0.0.json")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["fast_tokenizer_files"] = ["../tokenizer.4.0.0.json"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(InputError, match=r"fast_tokenizer_files: found the file name '\.\./tokenizer"):
        load_tokenizer(folder)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("labels", "said"), [(None, "missing"), (3, r"found \[3(, 32)?\], config\.json asks for \[2")])
def test_a_fine_tuned_folder_must_hold_its_own_head(
    labels: int | None, said: str, family: str, tiny_models: Tiny, tmp_path: Path
) -> None:
    """A head drawn from the seed would answer as firmly as a trained one."""
    folder = shutil.copytree(tiny_models(family), tmp_path / "finetuned")
    if labels:
        AutoModelForSequenceClassification.from_pretrained(folder, num_labels=labels).save_pretrained(folder)
    tokenizer = load_tokenizer(folder)
    loading.load_classifier(folder, tokenizer, seed=0)  # a pretrained folder may lack it
    (folder / MANIFEST).write_text("{}")
    with pytest.raises(InputError, match=rf"no classification head for negative and positive \(.*{said}"):
        loading.load_classifier(folder, tokenizer, seed=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_backbone_is_never_filled_in_wherever_it_is_loaded(family: str, tiny_models: Tiny, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_models(family), tmp_path / "base")
    weights = load_file(folder / "model.safetensors")
    lost = next(name for name in weights if ".1." in name)
    save_file({name: tensor for name, tensor in weights.items() if name != lost}, folder / "model.safetensors")
    tokenizer = load_tokenizer(folder)
    for load in (
        lambda: loading.load_classifier(folder, tokenizer, 0),
        lambda: loading.load_language_model(folder, tokenizer),
    ):
        with pytest.raises(InputError, match=f"{re.escape(lost)}: missing"):
            load()

"""Guards the model folders: one file per block, equal blocks in equal files, and transformers reads them unchanged."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForSequenceClassification, pipeline

from sentiment.backbones import loading
from sentiment.checkpoints.blocks import (
    block_files,
    block_of,
    block_of_file,
    file_of,
    height_of_block,
    round_changed,
    save_blocks,
)
from sentiment.checkpoints.manifest import digests
from sentiment.tokens.tokenizer import load_tokenizer
from tests.conftest import FAMILIES, TEXTS

Tiny = Callable[[str], Path]
INDEX = "model.safetensors.index.json"

BLOCKS = [
    ("transformer", "transformer.h.3.mlp.c_fc.weight", "transformer.h.3"),
    ("transformer", "transformer.h.11.ln_1.bias", "transformer.h.11"),
    ("transformer", "transformer.wte.weight", "transformer.wte"),
    ("transformer", "transformer.wpe.weight", "transformer.wpe"),
    ("transformer", "transformer.ln_f.bias", "transformer.ln_f"),
    ("transformer", "transformer.bias", "transformer"),
    ("transformer", "score.weight", "score"),
    ("bert", "bert.embeddings.word_embeddings.weight", "bert.embeddings"),
    ("bert", "bert.embeddings.LayerNorm.bias", "bert.embeddings"),
    ("bert", "bert.encoder.layer.0.attention.self.query.weight", "bert.encoder.layer.0"),
    ("bert", "bert.encoder.layer.10.output.dense.bias", "bert.encoder.layer.10"),
    ("bert", "bert.pooler.dense.weight", "bert.pooler"),
    ("bert", "cls.predictions.transform.dense.weight", "cls"),
    ("bert", "classifier.bias", "classifier"),
    ("distilbert", "distilbert.transformer.layer.5.ffn.lin1.weight", "distilbert.transformer.layer.5"),
    ("distilbert", "distilbert.embeddings.position_embeddings.weight", "distilbert.embeddings"),
    ("distilbert", "pre_classifier.weight", "pre_classifier"),
    ("distilbert", "vocab_transform.bias", "vocab_transform"),
    ("roberta", "roberta.encoder.layer.1.output.LayerNorm.weight", "roberta.encoder.layer.1"),
    ("roberta", "classifier.out_proj.weight", "classifier"),
    ("roberta", "lm_head.layer_norm.bias", "lm_head"),
    ("model", "model.layers.31.self_attn.q_proj.weight", "model.layers.31"),
    ("model", "model.embed_tokens.weight", "model.embed_tokens"),
    ("model", "model.norm.weight", "model.norm"),
    ("model", "lm_head.weight", "lm_head"),
]


def write(family: str, tiny_models: Tiny, folder: Path) -> Any:
    """Write a classifier of a family with a head of visible size; give the model back."""
    tokenizer = load_tokenizer(tiny_models(family))
    model = loading.load_classifier(tiny_models(family), tokenizer, seed=5)
    for name, parameter in model.named_parameters():
        if name.startswith(("score", "classifier")):
            torch.nn.init.normal_(parameter, std=1.0)
    save_blocks(loading.stored_weights(model), model.base_model_prefix, folder)
    model.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model


def tensors(file: Path) -> dict[str, torch.Tensor]:
    with safe_open(file, "pt") as content:
        return {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118  # it is no dict


@pytest.mark.parametrize(("prefix", "tensor", "block"), BLOCKS)
def test_a_tensors_block_is_read_from_its_name(prefix: str, tensor: str, block: str) -> None:
    assert block_of(tensor, prefix) == block
    assert file_of(block) == f"model-{block}.safetensors"


@pytest.mark.parametrize(("prefix", "tensor", "block"), BLOCKS)
def test_a_files_block_is_read_from_its_name(prefix: str, tensor: str, block: str) -> None:
    assert block_of_file(file_of(block)) == block


@pytest.mark.parametrize(
    "name", ["model.safetensors", "model-00001-of-00003.safetensors", "adapter_model.safetensors", "model.sketches"]
)
def test_other_files_are_of_no_block(name: str) -> None:
    assert block_of_file(name) is None


def test_blocks_are_sorted_from_the_embeddings_to_the_heads() -> None:
    ordered = ["distilbert.embeddings", *(f"distilbert.transformer.layer.{n}" for n in (0, 1, 2, 10, 11)), "classifier"]
    files = [Path(file_of(block)) for block in reversed(ordered)]
    assert list(block_files([*files, Path("config.json")])) == ordered
    others = ["model.embed_tokens", "model.layers.2", "model.layers.10", "model.norm", "lm_head"]
    assert sorted(set(others), key=height_of_block) == others


@pytest.mark.parametrize("family", FAMILIES)
def test_the_files_are_named_by_block_and_the_index_maps_every_tensor(
    family: str, tiny_models: Tiny, tmp_path: Path
) -> None:
    model = write(family, tiny_models, tmp_path)
    weights = loading.stored_weights(model)
    index = json.loads((tmp_path / INDEX).read_text(encoding="utf-8"))
    assert index["weight_map"].keys() == weights.keys()
    assert index["metadata"]["total_size"] == sum(t.numel() * t.element_size() for t in weights.values())
    files = {file.name: file for file in tmp_path.glob("*.safetensors")}
    assert set(files) == set(index["weight_map"].values())
    for name, file in files.items():
        held = tensors(file)
        assert held.keys() == {tensor for tensor, place in index["weight_map"].items() if place == name}
        for tensor in held:
            assert torch.equal(held[tensor], weights[tensor])
    numbered = [name for name in files if name.removesuffix(".safetensors")[-1].isdigit()]
    assert len(numbered) == 2  # the tiny models have two layers
    assert len(files) >= 4  # embeddings and head beside them


def test_the_metadata_is_what_transformers_asks_for_and_no_more(tiny_models: Tiny, tmp_path: Path) -> None:
    """A second key would be written in an order that changes from run to run."""
    write("gpt2", tiny_models, tmp_path)
    for file in tmp_path.glob("*.safetensors"):
        content = file.read_bytes()
        (length,) = struct.unpack("<Q", content[:8])
        assert json.loads(content[8 : 8 + length])["__metadata__"] == {"format": "pt"}


@pytest.mark.parametrize("family", FAMILIES)
def test_transformers_reads_back_the_same_bits(family: str, tiny_models: Tiny, tmp_path: Path) -> None:
    model = write(family, tiny_models, tmp_path)
    again, info = AutoModelForSequenceClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert not info["mismatched_keys"]
    before, after = model.state_dict(), again.state_dict()
    assert before.keys() == after.keys()
    for name in before:
        assert before[name].dtype == after[name].dtype == torch.float32, name
        assert torch.equal(before[name], after[name]), name


@pytest.mark.parametrize("family", FAMILIES)
def test_the_pipeline_of_transformers_answers_in_label_words(family: str, tiny_models: Tiny, tmp_path: Path) -> None:
    """The reference is the model that was written, on the same ids, row by row."""
    model = write(family, tiny_models, tmp_path)
    tokenizer = load_tokenizer(tiny_models(family))
    answers = pipeline("text-classification", model=str(tmp_path), device="cpu")(TEXTS, top_k=None)
    for text, answer in zip(TEXTS, answers, strict=True):
        with torch.no_grad():
            logits = model(**tokenizer(text, return_tensors="pt", return_token_type_ids=False)).logits[0].double()
        negative, positive = torch.softmax(logits, 0).tolist()
        scores = {row["label"]: row["score"] for row in answer}
        assert scores == pytest.approx({"negative": negative, "positive": positive}, abs=1e-5)


def test_saving_twice_in_another_order_gives_the_same_bytes(tiny_models: Tiny, tmp_path: Path) -> None:
    model = write("gpt2", tiny_models, tmp_path / "1")
    weights = loading.stored_weights(model)
    backwards = {name: weights[name].clone() for name in reversed(weights)}
    save_blocks(backwards, model.base_model_prefix, tmp_path / "2")
    for file in sorted((tmp_path / "2").iterdir()):
        assert file.read_bytes() == (tmp_path / "1" / file.name).read_bytes(), file.name
    assert len(list((tmp_path / "2").glob("*.safetensors"))) == len(list((tmp_path / "1").glob("*.safetensors")))


@pytest.mark.parametrize(
    ("tensor", "file"),
    [
        ("transformer.h.1.mlp.c_fc.bias", "model-transformer.h.1.safetensors"),
        ("transformer.wpe.weight", "model-transformer.wpe.safetensors"),
        ("score.weight", "model-score.safetensors"),
    ],
)
def test_a_changed_block_changes_its_file_alone(tensor: str, file: str, tiny_models: Tiny, tmp_path: Path) -> None:
    model = write("gpt2", tiny_models, tmp_path / "1")
    weights = {name: value.clone() for name, value in loading.stored_weights(model).items()}
    weights[tensor].view(-1)[0] += 1
    save_blocks(weights, model.base_model_prefix, tmp_path / "2")
    changed = [f.name for f in (tmp_path / "2").iterdir() if f.read_bytes() != (tmp_path / "1" / f.name).read_bytes()]
    assert changed == [file]


@pytest.mark.parametrize("family", FAMILIES)
def test_blocks_that_training_leaves_alone_are_the_files_of_the_base(
    family: str, tiny_models: Tiny, tmp_path: Path
) -> None:
    """What the base stage writes of the backbone, the classifier writes again byte for byte."""
    folder = tiny_models(family)
    save_blocks(*loading.pretrained_weights(folder, load_tokenizer(folder)), tmp_path / "base")
    write(family, tiny_models, tmp_path / "classifier")
    base, classifier = ({file.name for file in (tmp_path / f).glob("*.safetensors")} for f in ("base", "classifier"))
    shared = base & classifier
    assert sum(name.removesuffix(".safetensors")[-1].isdigit() for name in shared) == 2
    heads = {"score", "classifier", "pre_classifier", "bert.pooler"}
    assert classifier - shared <= {file_of(head) for head in heads}
    for name in shared:
        assert (tmp_path / "base" / name).read_bytes() == (tmp_path / "classifier" / name).read_bytes(), name


def test_tensors_that_are_no_plain_rows_are_saved_as_what_they_show(tmp_path: Path) -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    save_blocks({"m.a.weight": whole.T, "m.b.weight": whole[:, 1]}, "m", tmp_path)
    assert torch.equal(tensors(tmp_path / "model-m.a.safetensors")["m.a.weight"], whole.T)
    assert tensors(tmp_path / "model-m.b.safetensors")["m.b.weight"].tolist() == [1.0, 5.0, 9.0]


def test_what_differs_from_the_base_is_rounded_as_torch_does_and_whole_numbers_are_kept(tmp_path: Path) -> None:
    torch.manual_seed(0)
    weights = {"m.h.0.w": torch.randn(40, 7), "m.h.1.w": torch.randn(40, 7), "m.h.1.n": torch.arange(3)}
    save_blocks(weights, "m", tmp_path / "base")
    changed = {**weights, "m.h.1.w": weights["m.h.1.w"] + 1, "score.weight": torch.randn(2, 7)}
    save_blocks(changed, "m", tmp_path / "tuned")
    round_changed(tmp_path / "tuned", tmp_path / "base")
    kept, touched, head = (file_of(block) for block in ("m.h.0", "m.h.1", "score"))
    assert (tmp_path / "tuned" / kept).read_bytes() == (tmp_path / "base" / kept).read_bytes()
    found = tensors(tmp_path / "tuned" / touched) | tensors(tmp_path / "tuned" / head)
    assert found["m.h.1.n"].tolist() == [0, 1, 2]
    for name in ("m.h.1.w", "score.weight"):
        assert torch.equal(found[name], changed[name].to(torch.bfloat16))
        assert found[name].dtype == torch.bfloat16
    index = json.loads((tmp_path / "tuned" / INDEX).read_text(encoding="utf-8"))
    assert index["metadata"]["total_size"] == 280 * 4 + 280 * 2 + 3 * 8 + 14 * 2


def test_digests_are_those_of_hashlib_for_every_file_but_the_one_left_out(tmp_path: Path) -> None:
    contents = {"b.safetensors": b"weights" * 100_000, "a.json": b"{}\n", "empty": b"", "sentiment.json": b"own"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder").mkdir()
    del contents["sentiment.json"]
    found = digests(tmp_path)
    assert found == {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}

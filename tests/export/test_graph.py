"""An exported graph answers as transformers' plain model does for one text without padding, whatever the batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import transformers
from onnx import TensorProto, numpy_helper

from sentiment.backbones import adapters
from sentiment.checkpoints.manifest import Manifest
from sentiment.engine import heads
from sentiment.export import graph as graph_module
from sentiment.export.graph import write_fp32, write_int8
from sentiment.pipeline.errors import InputError
from sentiment.pipeline.params import LoraParams
from sentiment.tokens.encoding import encode
from sentiment.tokens.prompts import label_word_ids
from sentiment.tokens.tokenizer import load_tokenizer
from stages.train import write_model
from tests.conftest import FAMILIES, LANGUAGE_MODELS, TEXTS, manifest
from tests.engine.test_heads import asked_of
from tests.inference.test_predictor import finetuned

Tiny = Callable[[str], Path]
Ids = list[list[int]]

POSITIONS = 64  # of the tiny models
KINDS = [(family, form) for family in FAMILIES for form in ("head", "label_words")]
SOME = [("gpt2", "head"), ("bert", "label_words")]  # the others take a minute
PARAMS = [pytest.param(*kind, marks=() if kind in SOME else pytest.mark.slow, id="-".join(kind)) for kind in KINDS]


def asked(base: Path, form: str) -> Manifest:
    return manifest(**{**asked_of(base), "formulation": form, "max_length": 48})


def model_folder(base: Path, form: str, folder: Path) -> Path:
    """A folder to load: with a drawn head as the stage train writes it, or the language model itself."""
    return finetuned(base, folder) if form == "head" else base


def load(folder: Path, base: Path, form: str) -> tuple[Any, Any, Any]:
    tokenizer = load_tokenizer(folder)
    return tokenizer, *heads.load(folder, tokenizer, asked(base, form), seed=0)


def encoded(tokenizer: Any, stated: Manifest) -> Ids:
    return encode(tokenizer, TEXTS, stated).ids


def plain_logits(folder: Path, family: str, stated: Manifest, ids: Ids) -> np.ndarray:
    """What transformers' own model says of one row at a time, without padding; [rows, 2]."""
    tokenizer = load_tokenizer(folder)
    if stated.has_head:
        model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    else:
        model = getattr(transformers, LANGUAGE_MODELS[family]).from_pretrained(folder).eval()
        words = label_word_ids(tokenizer, stated.label_words, stated.prompt)
    rows = []
    for row in ids:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([row])).logits[0]
        if not stated.has_head:
            place = row.index(tokenizer.mask_token_id) if tokenizer.mask_token else len(row) - 1
            logits = torch.stack([logits[place][list(group)].exp().sum().log() for group in words])
        rows.append(logits.numpy())
    return np.stack(rows)


def padded(ids: Ids, pad: int) -> dict[str, np.ndarray]:
    longest = max(map(len, ids))
    rows = np.array([[*row, *[pad] * (longest - len(row))] for row in ids])
    mask = np.array([[1] * len(row) + [0] * (longest - len(row)) for row in ids])
    return {"input_ids": rows, "attention_mask": mask}


def answers(file: Path, ids: Ids, pad: int = 0) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    [logits] = session.run(["logits"], padded(ids, pad))
    assert logits.dtype == np.float32
    assert logits.shape == (len(ids), 2)
    return np.asarray(logits)


def weights(file: Path) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(file).graph.initializer}


def margins(logits: np.ndarray) -> np.ndarray:
    return np.asarray(logits[:, 1] - logits[:, 0])


@pytest.mark.parametrize(("family", "form"), PARAMS)
def test_logits_are_those_of_transformers_for_batches_of_any_shape(
    family: str, form: str, tiny_models: Tiny, tmp_path: Path
) -> None:
    base = tiny_models(family)
    folder = model_folder(base, form, tmp_path / "folder")
    tokenizer, model, formulation = load(folder, base, form)
    file, small = tmp_path / "model.onnx", tmp_path / "int8.onnx"
    write_fp32(model, formulation, file)
    check_signature(file)
    ids = encoded(tokenizer, asked(base, form))
    if form == "head":  # the shortest and the longest that there can be
        ids += [[7], (ids[0] * POSITIONS)[:POSITIONS]]
    expected = plain_logits(folder, family, asked(base, form), ids)
    assert np.ptp(margins(expected)) > 0.1
    for pad in (0, len(tokenizer) - 1, tokenizer.pad_token_id):
        assert np.abs(answers(file, ids, pad) - expected).max() < 1e-4
    for row, logits in zip(ids, expected, strict=True):
        assert np.abs(answers(file, [row]) - logits).max() < 1e-4
    write_int8(file, small)
    check_int8(small, file)
    found = answers(small, ids)
    assert np.corrcoef(margins(found), margins(expected))[0, 1] > 0.95


def check_signature(file: Path) -> None:
    """What goes in and out has its name, and any size."""
    graph = onnx.load(file).graph
    kinds = {value.name: value.type.tensor_type for value in (*graph.input, *graph.output)}
    shapes = {name: (k.elem_type, [d.dim_param or d.dim_value for d in k.shape.dim]) for name, k in kinds.items()}
    assert shapes == {
        "input_ids": (TensorProto.INT64, ["batch", "tokens"]),
        "attention_mask": (TensorProto.INT64, ["batch", "tokens"]),
        "logits": (TensorProto.FLOAT, ["batch", 2]),
    }


def check_int8(small: Path, file: Path) -> None:
    """No table of floats is left, whether it is looked up or multiplied, and what int8 holds is what fp32 held."""
    assert small.stat().st_size < 0.7 * file.stat().st_size  # of tiny weights, much is graph
    held, before = weights(small), weights(file)
    floats = [name for name, t in held.items() if t.dtype == np.float32 and t.ndim == 2 and min(t.shape) > 1]
    assert floats == []
    tables = [name for name in held if name.endswith("_int8")]
    assert tables
    for name in tables:
        table = before[name.removesuffix("_int8")]
        scale = np.abs(table).max(1, keepdims=True) / 127
        assert np.abs(held[name] * held[f"{name.removesuffix('_int8')}_scale"] - table).max() <= scale.max() / 2 + 1e-6
    matrices = [tensor for name, tensor in held.items() if name.endswith("_quantized")]
    assert len(matrices) >= 8
    assert {tensor.dtype for tensor in matrices} == {np.dtype(np.int8)}
    assert max(np.abs(tensor.astype(int)).max() for tensor in matrices) <= 64  # 7 bits


@pytest.mark.slow
def test_equal_models_give_equal_bytes_and_tell_nothing_of_the_machine(tiny_models: Tiny, tmp_path: Path) -> None:
    for name in ("one", "two"):
        _, model, formulation = load(tiny_models("distilbert"), tiny_models("distilbert"), "head")
        write_fp32(model, formulation, tmp_path / f"{name}.onnx")
        write_int8(tmp_path / f"{name}.onnx", tmp_path / f"{name}8.onnx")
    for suffix in (".onnx", "8.onnx"):
        content = (tmp_path / f"one{suffix}").read_bytes()
        assert content == (tmp_path / f"two{suffix}").read_bytes()
        assert b".py" not in content


@pytest.mark.slow
def test_only_the_rows_of_the_label_words_are_kept_and_the_model_stays_as_it_was(
    tiny_models: Tiny, tmp_path: Path
) -> None:
    """RoBERTa's head has a bias; Llama's is a matrix of its own, which the file would hold beside the embeddings."""
    for family in ("roberta", "llama"):
        base = tiny_models(family)
        tokenizer, model, formulation = load(base, base, "label_words")
        head, attention = model.get_output_embeddings(), model.config._attn_implementation
        write_fp32(model, formulation, tmp_path / "model.onnx")
        assert model.get_output_embeddings() is head
        assert model.config._attn_implementation == attention
        vocabulary = len(tokenizer)
        of_words = [name for name, t in weights(tmp_path / "model.onnx").items() if vocabulary in t.shape]
        assert len(of_words) == 1
        assert "embed" in of_words[0]


def test_adapters_are_merged(tiny_models: Tiny, tmp_path: Path) -> None:
    """The reference is transformers, which reads the adapter beside the weights by itself."""
    base, lora = tiny_models("gpt2"), LoraParams(rank=2, alpha=8, dropout=0.0, modules="all", save="adapter")
    tokenizer, model, _ = load(base, base, "head")
    adapters.inject(model, lora, 0)
    generator = torch.Generator().manual_seed(4)
    for name, parameter in model.named_parameters():
        if ".lora_" in name or name.startswith("score"):
            torch.nn.init.normal_(parameter, std=0.3, generator=generator)
    write_model(model, tokenizer, lora, "fp32", asked(base, "head"), tmp_path / "folder")
    assert (tmp_path / "folder" / adapters.CONFIG).is_file()
    tokenizer, model, formulation = load(tmp_path / "folder", base, "head")
    write_fp32(model, formulation, tmp_path / "model.onnx")
    ids, stated = encoded(tokenizer, asked(base, "head")), Manifest.read(tmp_path / "folder")
    expected = plain_logits(tmp_path / "folder", "gpt2", stated, ids)
    assert np.abs(answers(tmp_path / "model.onnx", ids) - expected).max() < 1e-4
    (tmp_path / "folder" / adapters.CONFIG).unlink()
    assert np.abs(plain_logits(tmp_path / "folder", "gpt2", stated, ids) - expected).max() > 1e-2


def test_a_model_too_large_for_one_file_is_refused(
    tiny_models: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, model, formulation = load(tiny_models("gpt2"), tiny_models("gpt2"), "head")
    monkeypatch.setattr(graph_module, "FILE_LIMIT", 4 * model.num_parameters())
    with pytest.raises(InputError, match=r"fp32 weights take 0\.0 GB; one ONNX file holds less"):
        write_fp32(model, formulation, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []

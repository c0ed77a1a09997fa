"""Products through oneDNN are those of torch and of transformers' own models, in value, gradient and layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

from sentiment.engine import onednn
from sentiment.engine.batches import pad
from tests.conftest import FAMILIES, Pack
from tests.engine.test_dropout import put_on
from tests.engine.test_packing import LABELS, count_equal, difference, gradients, load, reference_logits

Tiny = Callable[[str], Path]

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch was built without oneDNN")


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Let all layers go through oneDNN, whatever their size and the processor; the weights it is given."""
    seen: list[tuple[int, ...]] = []
    compute = onednn.onednn_linear

    def product(rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        seen.append(tuple(weight.shape))
        return compute(rows, weight, bias)

    monkeypatch.setattr(onednn, "onednn_linear", product)
    monkeypatch.setattr(onednn, "available", lambda: True)
    monkeypatch.setattr(onednn, "MIN_WEIGHTS", 0)
    return seen


@pytest.mark.parametrize("kind", ["head", "label_words"])
@pytest.mark.parametrize("family", FAMILIES)
def test_loss_and_every_gradient_are_those_of_the_plain_padded_model(
    family: str, kind: str, tiny_models: Tiny, tmp_path: Path, used: list[tuple[int, ...]], pack: Pack
) -> None:
    ours, formulation, plain, ids = load(family, kind, tiny_models, tmp_path)
    batch = pack(ours)(ids)
    labels = LABELS[: len(ids)]
    found = functional.cross_entropy(formulation.logits(ours, batch), labels)
    layers = [layer for layer in ours.base_model.modules() if isinstance(layer, torch.nn.Linear | Conv1D)]
    assert len(used) >= len(layers) - 1  # BERT's pooler is the head's
    expected = functional.cross_entropy(reference_logits(plain, formulation, ids), labels)
    assert difference(found, expected) < 1e-5
    assert count_equal(gradients(ours, found), gradients(plain, expected)) > 20


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("strided", [True, False])
@pytest.mark.parametrize("shape", [(1, 8, 8), (7, 96, 33), (203, 64, 160)])
def test_a_product_is_numpys_in_double_precision(shape: tuple[int, int, int], strided: bool, bias: bool) -> None:
    rows, width, outputs = shape
    x, w, b = torch.randn(1, rows, width), torch.randn(outputs, width), torch.randn(outputs)
    given = w.t().contiguous().t() if strided else w
    found = onednn.onednn_linear(x, given, b if bias else None)
    expected = x.double().numpy() @ w.double().numpy().T + (b.double().numpy() if bias else 0)
    assert found.shape == (1, rows, outputs)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layer", [torch.nn.Linear(24, 40), torch.nn.Linear(24, 40, bias=False), Conv1D(40, 24)])
def test_gradients_are_autograds_and_laid_out_as_the_weights(layer: Any, used: list[tuple[int, ...]]) -> None:
    x = torch.randn(3, 5, 24, requires_grad=True)
    direction = torch.randn(3, 5, 40)
    weight = layer.weight if isinstance(layer, torch.nn.Linear) else layer.weight.t()
    wanted = [x, *layer.parameters()]
    expected = torch.autograd.grad((functional.linear(x, weight, layer.bias) * direction).sum(), wanted)
    put_on(onednn.linear_forwards(layer))
    found = torch.autograd.grad((layer(x) * direction).sum(), wanted)
    assert used
    for mine, theirs, tensor in zip(found, expected, wanted, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
        assert mine.stride() == tensor.stride()


def test_gradients_that_nobody_needs_are_not_computed(used: list[tuple[int, ...]]) -> None:
    layer = torch.nn.Linear(8, 16).requires_grad_(False)
    put_on(onednn.linear_forwards(layer))
    x = torch.randn(2, 8, requires_grad=True)
    layer(x).sum().backward()
    assert used == [(16, 8), (8, 16)]
    assert layer.weight.grad is None


def test_small_layers_and_processors_without_its_kernels_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Linear(512, 512))
    monkeypatch.setattr(onednn, "available", lambda: False)
    put_on(onednn.linear_forwards(model))
    assert not any("forward" in vars(layer) for layer in model)
    monkeypatch.setattr(onednn, "available", lambda: True)
    put_on(onednn.linear_forwards(model))
    assert ["forward" in vars(layer) for layer in model] == [False, True]


@pytest.mark.parametrize("capability", ["DEFAULT", "AVX2"])
def test_without_avx_512_torch_computes(capability: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert not onednn.available()


def test_under_autocast_and_compiled_the_layer_computes_as_it_always_did(used: list[tuple[int, ...]]) -> None:
    layer = torch.nn.Linear(16, 16)
    x = torch.randn(4, 16)
    plain = functional.linear(x, layer.weight, layer.bias)
    put_on(onednn.linear_forwards(layer))
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
    compiled: Any = torch.compile(layer, backend="eager", fullgraph=True)
    assert torch.equal(compiled(x), plain)
    assert used == []


def test_the_same_product_twice_is_the_same_bits() -> None:
    x, w = torch.randn(300, 768), torch.randn(3072, 768)
    assert torch.equal(onednn.onednn_linear(x, w), onednn.onednn_linear(x.clone(), w.clone()))


def test_a_packed_batch_is_scored_as_the_padded_one(
    tiny_models: Tiny, tmp_path: Path, used: list[tuple[int, ...]], pack: Pack
) -> None:
    ours, formulation, plain, ids = load("gpt2", "head", tiny_models, tmp_path)
    batch = pack(ours)(ids)
    with torch.inference_mode():
        found = formulation.logits(ours, batch)
        expected = plain(**pad(ids, plain.config.pad_token_id)).logits
    assert used
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)

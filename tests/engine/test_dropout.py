"""Guards dropout: how often each place is dropped, and attention and gradients for a mask that is known."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch.nn import functional
from transformers import GPT2Config, GPT2ForSequenceClassification

from sentiment.engine import dropout, packing
from tests.conftest import Pack

SIZES = [5, 1, 7, 2]


def put_on(forwards: Any) -> None:
    """Let layers compute by other forwards, for good."""
    for layer, forward in forwards:
        layer.forward = forward


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9, 1 / 65536])
@pytest.mark.parametrize("shape", [(400_000,), (3, 101, 333)])
def test_as_many_are_kept_as_asked_in_each_of_a_draws_four_places(shape: tuple[int, ...], probability: float) -> None:
    torch.manual_seed(5)
    mask = dropout.kept(shape, probability)
    assert mask.shape == shape
    assert mask.dtype == torch.bool
    for lane in range(4):
        values = mask.flatten()[lane::4].double()
        deviation = math.sqrt(probability * (1 - probability) / len(values))
        assert abs(float(values.mean()) - (1 - probability)) < 5 * deviation + 1e-5


def test_places_are_independent_of_each_other_and_of_the_draw_before() -> None:
    torch.manual_seed(6)
    first, second = (dropout.kept((400_000,), 0.3).double() - 0.7 for _ in range(2))
    bound = 5 * 0.3 * 0.7 / math.sqrt(len(first))
    assert abs(float((first * second).mean())) < bound
    for distance in (1, 2, 3, 4, 8):
        assert abs(float((first[distance:] * first[:-distance]).mean())) < bound, distance


def test_the_seed_decides() -> None:
    masks = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        masks.append(dropout.kept((7, 33), 0.5))
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


def test_nothing_is_dropped_at_probability_nought_and_the_mean_is_kept() -> None:
    assert dropout.kept((1000,), 0.0).all()
    assert dropout.scale(0.0) == 1.0
    assert dropout.scale(0.5) == 2.0
    assert dropout.scale(0.1) == pytest.approx(1 / 0.9, rel=1e-4)


def test_a_layer_scales_what_it_keeps_and_its_gradient_and_rests_in_evaluation() -> None:
    layer = torch.nn.Sequential(torch.nn.Dropout(0.25))
    put_on(dropout.dropout_forwards(layer))
    states = torch.randn(50, 40, requires_grad=True)
    found = layer(states)
    dropped = found == 0
    assert 0.15 < float(dropped.double().mean()) < 0.35
    torch.testing.assert_close(found, torch.where(dropped, 0.0, states / 0.75), rtol=1e-4, atol=0)
    found.sum().backward()
    torch.testing.assert_close(states.grad, torch.where(dropped, 0.0, torch.tensor(1 / 0.75)), rtol=1e-4, atol=0)
    assert torch.equal(layer.eval()(states), states)


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_layers_that_drop_nothing_or_all_do_so(probability: float) -> None:
    layer = torch.nn.Sequential(torch.nn.Dropout(probability))
    put_on(dropout.dropout_forwards(layer))
    assert torch.equal(layer(torch.ones(9)), torch.full((9,), 1 - probability))


def written_out(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, masks: Sequence[torch.Tensor], causal: bool, up: float
) -> torch.Tensor:
    """Attention review by review and head by head, for masks that are given, in plain products."""
    rows, start = [], 0
    for size, mask in zip(SIZES, masks, strict=True):
        heads = []
        for head in range(query.shape[1]):
            group = head * key.shape[1] // query.shape[1]
            q, k, v = (s[0, h, start : start + size] for s, h in ((query, head), (key, group), (value, group)))
            scores = q @ k.T / math.sqrt(q.shape[-1])
            if causal:
                scores = scores.masked_fill(torch.ones(size, size).triu(1).bool(), -math.inf)
            heads.append((scores.softmax(-1) * mask[head] * up) @ v)
        rows.append(torch.stack(heads, 1))
        start += size
    return torch.cat(rows)[None]


@pytest.mark.parametrize("groups", [4, 2])
@pytest.mark.parametrize("causal", [True, False])
def test_attention_and_its_gradients_are_those_of_the_formula(
    causal: bool, groups: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(7)
    masks = [torch.rand(4, size, size) >= 0.3 for size in SIZES]
    given = itertools.cycle(masks)
    monkeypatch.setattr(dropout, "kept", lambda shape, probability: next(given))
    states = [torch.randn(1, h, sum(SIZES), 8, requires_grad=True) for h in (4, groups, groups)]
    direction = torch.randn(1, sum(SIZES), 4, 8)
    module: Any = torch.nn.Module()
    module.is_causal = causal
    found, _ = packing.attend_packed(module, *states, None, 0.3, lengths=torch.tensor(SIZES))
    expected = written_out(*states, masks, causal, dropout.scale(0.3))  # type: ignore[arg-type]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    mine, theirs = (torch.autograd.grad((attended * direction).sum(), states) for attended in (found, expected))
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_the_mean_over_many_masks_is_attention_without_dropout() -> None:
    torch.manual_seed(8)
    query, key, value = (torch.randn(1, 2, sum(SIZES), 8) for _ in range(3))
    draws = torch.stack([dropout.attend_with_dropout(query, key, value, SIZES, True, None, 0.2) for _ in range(4000)])
    plain = torch.cat(
        [
            functional.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)
            for q, k, v in zip(*(torch.split(states, SIZES, dim=2) for states in (query, key, value)), strict=True)
        ],
        dim=1,
    )
    error = draws.std(0) / math.sqrt(len(draws))
    assert ((draws.mean(0) - plain).abs() < 5 * error + 1e-6).all()


def test_a_prepared_gpt2_drops_in_training_by_its_seed_and_not_in_evaluation(pack: Pack) -> None:
    sizes: dict[str, Any] = {"n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 50, "n_positions": 32}
    dropouts = {"attn_pdrop": 0.2, "resid_pdrop": 0.2, "embd_pdrop": 0.2}
    torch.manual_seed(9)
    model = GPT2ForSequenceClassification(GPT2Config(**sizes, **dropouts, pad_token_id=0))
    batch = pack(model)([[4, 5, 6], [7, 8]])
    outputs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        outputs.append(packing.hidden_at(model.train(), batch, torch.tensor([2, 4])))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])
    one, other = (packing.hidden_at(model.eval(), batch, torch.tensor([2, 4])) for _ in range(2))
    assert torch.equal(one, other)

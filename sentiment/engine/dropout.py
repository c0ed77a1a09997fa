"""Dropout on the CPU (Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html), in a fifth of the time.

torch makes each number of a mask apart, on one thread, and has no kernel for attention with dropout: on long reviews
the two take a ninth of a training step. Here 64 random bits decide about four numbers, so a probability is rounded to
1/65536, and what is kept is scaled by the rounded one; attention keeps its weights and mask, nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import torch

from sentiment.engine.private_ops import softmax_gradient

if TYPE_CHECKING:
    from sentiment.engine.families import Forwards

STEPS = 2**16  # of a probability


def kept(shape: Sequence[int], probability: float) -> torch.Tensor:
    """Sample from torch's generator what is kept.

    Args:
        shape: of the mask.
        probability: that an element is dropped, in [0, 1).

    Returns:
        True where it is kept, bool.
    """
    count = math.prod(shape)
    words = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None)
    return (words.view(torch.int16)[:count] >= round(probability * STEPS) - STEPS // 2).view(*shape)


def scale(probability: float) -> float:
    """Return the factor that keeps the mean of what `kept` leaves."""
    return STEPS / (STEPS - round(probability * STEPS))


def near(length: int, window: int, causal: bool, device: torch.device) -> torch.Tensor:
    """Return which tokens a token may look at: those less than `window` away, bool [length, length]."""
    positions = torch.arange(length, device=device)
    away = positions[:, None] - positions
    return (away >= 0) & (away < window) if causal else away.abs() < window


def dropout_forwards(model: torch.nn.Module) -> Forwards:
    """Return forwards of a model's dropout layers that sample their masks with `kept`."""
    return [(layer, partial(_drop, layer)) for layer in model.modules() if isinstance(layer, torch.nn.Dropout)]


def _drop(layer: torch.nn.Dropout, states: torch.Tensor) -> torch.Tensor:
    if not layer.training or layer.p in (0, 1) or states.device.type != "cpu" or torch.compiler.is_compiling():
        return torch.nn.Dropout.forward(layer, states)
    return torch.where(kept(states.shape, layer.p), states, 0.0) * scale(layer.p)


def attend_with_dropout(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    sizes: Sequence[int],
    causal: bool,
    scaling: float | None,
    probability: float,
    window: int | None = None,
) -> torch.Tensor:
    """Attend within each review of a packed row, some weights dropped.

    Args:
        query: [1, heads, tokens, head width], fp32.
        key: [1, heads or groups of heads, tokens, head width].
        value: likewise.
        sizes: tokens of each review.
        causal: whether a token sees earlier ones and itself alone.
        scaling: factor of the products of query and key; None for one over the root of the head width.
        probability: that a weight is dropped, in (0, 1).
        window: as for `near`; None for no window.

    Returns:
        [1, tokens, heads, head width].
    """
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = (states.repeat_interleave(groups, dim=1) for states in (key, value))
    factor = query.shape[-1] ** -0.5 if scaling is None else scaling
    apply: Any = _Attention.apply  # untyped
    return cast("torch.Tensor", apply(query, key, value, list(sizes), causal, factor, probability, window))


class _Attention(torch.autograd.Function):
    """Attention with dropout; autograd itself would keep nearly twice as much."""

    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        sizes: list[int],
        causal: bool,
        factor: float,
        probability: float,
        window: int | None,
    ) -> torch.Tensor:
        """Attend, [1, heads, tokens, head width] each, to [1, tokens, heads, head width]."""
        longest = max(sizes)
        bias = query.new_full((longest, longest), -math.inf if causal else 0.0).triu_(1)
        if window is not None:
            bias = bias.masked_fill_(~near(longest, window, causal, bias.device), -math.inf)
        parts, saved = [], []
        for q, k, v in zip(*(_reviews(states, sizes) for states in (query, key, value)), strict=True):
            length = q.shape[1]
            weights = torch.baddbmm(bias[:length, :length], q, k.transpose(1, 2), alpha=factor).softmax(-1)
            keep = kept(weights.shape, probability)
            parts.append(torch.bmm(torch.where(keep, weights, 0.0), v))
            saved += [weights, keep]
        ctx.save_for_backward(query, key, value, *saved)
        ctx.sizes, ctx.factor, ctx.scale = sizes, factor, scale(probability)
        return _joined(parts).mul_(ctx.scale)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return the gradients of query, key and value."""
        query, key, value, *saved = ctx.saved_tensors
        rows = [_reviews(states, ctx.sizes) for states in (gradients[0].transpose(1, 2), query, key, value)]
        found = []
        for gradient, q, k, v, weights, keep in zip(*rows, saved[::2], saved[1::2], strict=True):
            outer = gradient * ctx.scale
            of_value = torch.bmm(torch.where(keep, weights, 0.0).transpose(1, 2), outer)
            of_weights = torch.where(keep, torch.bmm(outer, v.transpose(1, 2)), 0.0)
            of_scores = softmax_gradient(of_weights, weights)
            of_query, of_key = torch.bmm(of_scores, k), torch.bmm(of_scores.transpose(1, 2), q)
            found.append((of_query.mul_(ctx.factor), of_key.mul_(ctx.factor), of_value))
        return *(_joined(parts).transpose(1, 2) for parts in zip(*found, strict=True)), *(None,) * 5


def _reviews(states: torch.Tensor, sizes: list[int]) -> tuple[torch.Tensor, ...]:
    return torch.split(states.squeeze(0), sizes, dim=1)  # of each review [heads, length, head width]


def _joined(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.cat([part.transpose(0, 1) for part in parts])[None]  # [1, tokens, heads, head width]

"""Packed rows on an NVIDIA GPU: attention over the whole row at once, and nothing that the host has to wait for.

The row is that of `sentiment.engine.packing`: here too every layer but attention costs what the real tokens cost, and
batches need no grouping by length. Attention is torch's `varlen_attn`, FlashAttention-2 (Dao 2023,
https://arxiv.org/abs/2307.08691) for sequences of unequal length in one row. It knows neither fp32 nor dropout: then
the row is padded, for the product of queries and keys alone, and torch's other kernels take it.

The host learns no number from the GPU: the longest review is the shape of a tensor that the packer makes. So it can
queue kernels for the next layers, and the next step, while the GPU computes.

Not measured, and the kernel itself not run: no GPU was at hand. The tests put a stand-in in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface

from sentiment.engine.dropout import near
from sentiment.engine.packing import Packer

VARLEN = "varlen"  # as config._attn_implementation; transformers writes that into no file
KERNEL_TYPES = (torch.bfloat16, torch.float16)  # what FlashAttention-2 computes in
KERNEL_WIDTHS = range(8, 257, 8)  # and how wide its heads may be


class VarlenPacker(Packer):
    """Makes a packed batch, with what a GPU's attention needs to know of it; a pickle-safe callable."""

    def __call__(self, ids: Sequence[Sequence[int]]) -> dict[str, torch.Tensor]:
        """Join the reviews.

        Args:
            ids: token ids of each review, none of them empty; in any order.

        Returns:
            What `Packer` gives, and three that say where the reviews stand: offsets, int32 [reviews + 1], the position
            of each one's first token, and the row's end; real, bool [reviews, longest], which positions of a padded
            batch hold a token; slots, int64 [tokens], the positions that do, counted through all rows.
        """
        batch = super().__call__(ids)
        lengths = batch["lengths"]
        real = torch.arange(int(lengths.max())) < lengths[:, None]
        offsets = functional.pad(lengths.cumsum(0), (1, 0)).int()
        return {**batch, "offsets": offsets, "real": real, "slots": real.flatten().nonzero()[:, 0]}


def attend_varlen(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    *,
    offsets: torch.Tensor,
    real: torch.Tensor,
    slots: torch.Tensor,
    sliding_window: int | None = None,
    **unused: Any,
) -> tuple[torch.Tensor, None]:
    """Attend within each review of a packed row; called by transformers' attention layers.

    Args:
        module: the layer, which knows whether it is causal.
        query: [1, heads, tokens, head width].
        key: [1, heads or groups of heads, tokens, head width].
        value: likewise; its type, which comes from a matrix product, decides the type computed in.
        attention_mask: none; transformers makes no mask for an attention without a mask function.
        dropout: probability that a weight of attention is dropped; 0 in evaluation mode.
        scaling: factor of the products of query and key.
        is_causal: overrules the layer.
        offsets: from `VarlenPacker`.
        real: likewise.
        slots: likewise.
        sliding_window: a token looks at those less than so far away; None: at all.
        unused: whatever else transformers hands down.

    Returns:
        [1, tokens, heads, head width], and no weights.
    """
    causal = bool(module.is_causal) if is_causal is None else is_causal
    grouped = query.shape[1] != key.shape[1]
    q, k, v = (states[0].transpose(0, 1).to(value.dtype) for states in (query, key, value))
    if value.dtype in KERNEL_TYPES and dropout == 0 and value.shape[-1] in KERNEL_WIDTHS:
        longest, reach = real.shape[1], -1 if sliding_window is None else sliding_window - 1
        window = (reach, 0 if causal else reach)  # to the left and to the right; -1 is no limit
        groups: dict[str, Any] = {"enable_gqa": True} if grouped else {}  # earlier versions of torch do not know it
        attended: Any = varlen_attn(
            q, k, v, offsets, offsets, longest, longest, scale=scaling, window_size=window, **groups
        )
        return attended[None], None
    mask = None if causal else real[:, None, None]  # what is causal never sees padding on its right
    if sliding_window is not None and sliding_window < real.shape[1]:
        mask = near(real.shape[1], sliding_window, causal, real.device) & real[:, None, None]
        mask = mask | ~real[:, None, :, None]  # padding that looks at nothing would make every gradient NaN
    q, k, v = (_pad(states, real, slots) for states in (q, k, v))
    padded = functional.scaled_dot_product_attention(
        q, k, v, mask, dropout, is_causal=mask is None, scale=scaling, enable_gqa=grouped
    )
    return padded.transpose(1, 2).flatten(0, 1).index_select(0, slots)[None], None


def _pad(states: torch.Tensor, real: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
    """Pad a row with zeros, from [tokens, heads, head width] to [reviews, heads, longest, head width]."""
    padded = states.new_zeros(real.numel(), *states.shape[1:]).index_copy(0, slots, states)
    return padded.view(*real.shape, *states.shape[1:]).transpose(1, 2)


AttentionInterface.register(VARLEN, attend_varlen)

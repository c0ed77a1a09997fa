"""Batches without padding: all reviews of a batch stand one after another in a single row of tokens.

Every layer of a transformer but attention looks at one token alone, so such a row costs what its real tokens cost.
On the CPU attention, registered with transformers under the name PACKED, is computed for each review by itself:
transformers hands the reviews' lengths down to it, and the models stay transformers' own; `sentiment.engine.varlen`
has that of a GPU. Same idea, for one long sequence: Krell et al. 2021, https://arxiv.org/abs/2107.02027.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch.nn import functional
from transformers import AttentionInterface

from sentiment.engine import dropout as dropping

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PACKED = "packed"  # as config._attn_implementation; transformers writes that into no file


class Packer:
    """Makes a packed batch of token ids; a pickle-safe callable."""

    def __init__(self, first_position: int) -> None:
        """Remember the number that the model gives a review's first token."""
        self.first_position = first_position

    def __call__(self, ids: Sequence[Sequence[int]]) -> dict[str, torch.Tensor]:
        """Join the reviews.

        Args:
            ids: token ids of each review, none of them empty.

        Returns:
            input_ids and position_ids [1, tokens of all reviews], lengths in tokens [reviews]; all int64.
        """
        first = self.first_position
        return {
            "input_ids": torch.tensor([[token for row in ids for token in row]]),
            "position_ids": torch.cat([torch.arange(first, first + len(row)) for row in ids])[None],
            "lengths": torch.tensor([len(row) for row in ids]),
        }


def attend_packed(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    *,
    lengths: torch.Tensor,
    sliding_window: int | None = None,
    **unused: Any,
) -> tuple[torch.Tensor, None]:
    """Attend within each review of a packed row; called by transformers' attention layers.

    Args:
        module: the layer, which knows whether it is causal.
        query: [1, heads, tokens, head width].
        key: [1, heads or groups of heads, tokens, head width].
        value: likewise.
        attention_mask: none; transformers makes no mask for an attention without a mask function.
        dropout: probability that a weight of attention is dropped; 0 in evaluation mode.
        scaling: factor of the products of query and key.
        is_causal: overrules the layer.
        lengths: tokens of each review, int64 [reviews]; a call without packing fails here, as it should.
        sliding_window: a token looks at those less than so far away; None: at all.
        unused: whatever else transformers hands down.

    Returns:
        [1, tokens, heads, head width], and no weights.
    """
    sizes = lengths.tolist()
    causal = bool(module.is_causal) if is_causal is None else is_causal
    if 0 < dropout < 1 and query.dtype == torch.float32:
        return dropping.attend_with_dropout(query, key, value, sizes, causal, scaling, dropout, sliding_window), None
    grouped = query.shape[1] != key.shape[1]

    def attended(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        length = q.shape[2]
        beyond = sliding_window is not None and length > sliding_window
        mask = dropping.near(length, cast("int", sliding_window), causal, q.device) if beyond else None
        return functional.scaled_dot_product_attention(
            q, k, v, mask, dropout, is_causal=causal and not beyond, scale=scaling, enable_gqa=grouped
        ).transpose(1, 2)  # [1, tokens of a review, heads, head width]

    parts = zip(*(torch.split(states, sizes, dim=2) for states in (query, key, value)), strict=True)
    return torch.cat([attended(*part) for part in parts], dim=1), None


_opaque: Any = torch.compiler.disable  # compiled, the loop over lengths would be compiled anew for every batch
AttentionInterface.register(PACKED, _opaque(attend_packed))


def starts(lengths: torch.Tensor) -> torch.Tensor:
    """Return the position of each review's first token in the row, int64 [reviews]."""
    return lengths.cumsum(0) - lengths


def positions_of_highest(values: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Find the first of the highest values within each review.

    Args:
        values: whole numbers, at least 0, [1, tokens].
        lengths: tokens of each review, [reviews].

    Returns:
        Positions in the row, int64 [reviews].
    """
    tokens = values.shape[1]
    review = torch.repeat_interleave(lengths, output_size=tokens)  # of each token; given the size, it waits for no GPU
    back = torch.arange(tokens - 1, -1, -1, device=values.device)  # tokens after this one: of equals the first has most
    highest = torch.zeros_like(lengths).scatter_reduce(0, review, values[0].long() * tokens + back, "amax")
    return tokens - 1 - highest % tokens


def hidden_at(model: PreTrainedModel, batch: Mapping[str, torch.Tensor], positions: torch.Tensor) -> torch.Tensor:
    """Run a backbone over a packed batch and select its output at one position of each review.

    Args:
        model: one that is in the context `packed`.
        batch: from `Packer`.
        positions: in the row, int64 [reviews].

    Returns:
        [reviews, width].
    """
    # hidden[0] would copy zeros in the backward pass
    return backbone_output(model, batch, positions=positions).squeeze(0).index_select(0, positions)


def mean_of(model: PreTrainedModel, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Run a backbone over a packed batch; the mean of its output over the tokens of each review, [reviews, width]."""
    hidden = backbone_output(model, batch)
    return torch.stack([part.mean(0) for part in torch.split(hidden[0], batch["lengths"].tolist())])


def backbone_output(model: PreTrainedModel, batch: Mapping[str, torch.Tensor], **settings: Any) -> torch.Tensor:
    """Run a backbone over a packed batch, [1, tokens, width]."""
    mask = torch.ones_like(batch["input_ids"])  # unused; without one transformers waits for a GPU to look for padding
    output = model.base_model(**batch, **settings, attention_mask=mask, use_cache=False)
    return cast("torch.Tensor", output.last_hidden_state)

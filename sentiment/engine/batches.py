"""Batches of reviews: padded on the right, sent to a device, and with their labels; `packing` has the packed ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

Batcher = Callable[[Sequence[Sequence[int]]], dict[str, torch.Tensor]]
States = Callable[[Sequence[Mapping[str, Any]]], dict[str, torch.Tensor]]


def pad(ids: Sequence[Sequence[int]], pad_token_id: int) -> dict[str, torch.Tensor]:
    """Pad rows of token ids to one length.

    Args:
        ids: one list of ids per review, none of them empty.
        pad_token_id: the id that fills the rest.

    Returns:
        input_ids and attention_mask (1 for a token, 0 for padding), both int64 [reviews, longest].
    """
    rows = [torch.tensor(row) for row in ids]
    masks = [torch.ones_like(row) for row in rows]
    return {
        "input_ids": pad_sequence(rows, batch_first=True, padding_value=pad_token_id),
        "attention_mask": pad_sequence(masks, batch_first=True),
    }


def send(batch: Mapping[str, torch.Tensor], device: str) -> dict[str, torch.Tensor]:
    """Move a batch to a device; to an NVIDIA GPU from pinned memory, so that the host need not wait for it."""
    if device == "cuda":
        return {name: tensor.pin_memory().to(device, non_blocking=True) for name, tensor in batch.items()}
    return {name: tensor.to(device) for name, tensor in batch.items()}


class Collator:
    """Makes a batch of dataset rows with input_ids and label; a pickle-safe callable for data loaders."""

    def __init__(self, batcher: Batcher, states: States | None = None) -> None:
        """Remember what makes the batches.

        Args:
            batcher: joins token ids.
            states: reads what else a batch holds of its rows, such as a `Prefix`.
        """
        self.batcher, self.states = batcher, states

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """Join the rows.

        Returns:
            labels [reviews], int64, and the batch. The labels come first because the Trainer counts the reviews in
            the first tensor.
        """
        labels = torch.tensor([row["label"] for row in rows])
        states = {} if self.states is None else self.states(rows)
        return {"labels": labels, **self.batcher([row["input_ids"] for row in rows]), **states}

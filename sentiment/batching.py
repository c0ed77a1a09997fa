"""Batches of reviews: padded on the right to the longest of the batch, with a mask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch


def pad(ids: Sequence[Sequence[int]], pad_token_id: int) -> dict[str, torch.Tensor]:
    """Pad rows of token ids to one length.

    Args:
        ids: one list of ids per review, none of them empty.
        pad_token_id: the id that fills the rest.

    Returns:
        input_ids and attention_mask (1 for a token, 0 for padding), both int64 [reviews, longest].
    """
    longest = max(map(len, ids))
    rows = [[*row, *[pad_token_id] * (longest - len(row))] for row in ids]
    mask = [[1] * len(row) + [0] * (longest - len(row)) for row in ids]
    return {"input_ids": torch.tensor(rows), "attention_mask": torch.tensor(mask)}


class PaddingCollator:
    """Makes a batch of dataset rows with input_ids and label; a pickle-safe callable for data loaders."""

    def __init__(self, pad_token_id: int) -> None:
        """Remember the id that pads."""
        self.pad_token_id = pad_token_id

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """Pad the rows.

        Returns:
            input_ids and attention_mask [reviews, longest], labels [reviews], all int64.
        """
        batch = pad([row["input_ids"] for row in rows], self.pad_token_id)
        return {**batch, "labels": torch.tensor([row["label"] for row in rows])}

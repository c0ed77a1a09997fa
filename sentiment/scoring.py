"""Score many reviews with a classifier: batches of near-equal length, results in the order asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from sentiment.batching import pad

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from sentiment.formulations import Formulation


def score(
    model: PreTrainedModel,
    formulation: Formulation,
    ids: Sequence[Sequence[int]],
    batch_size: int,
    device: str,
) -> np.ndarray:
    """Compute the logits of every review.

    Only the two logits of each review are kept; rows are sorted by length, so that little of a batch is padding.

    Args:
        model: a model whose config names the pad token.
        formulation: how the model is asked.
        ids: token ids of each review.
        batch_size: reviews scored at once.
        device: cpu, cuda or mps.

    Returns:
        What the formulation gives for each review, float64 [reviews, labels], in the order of `ids`.
    """
    model.to(device)  # type: ignore[arg-type]  # the stub takes the wrapped method for unbound
    model.train(mode=False)
    order = np.argsort([len(row) for row in ids], kind="stable")[::-1]
    outputs = []
    with torch.inference_mode():
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            batch = pad([ids[i] for i in chosen], model.config.pad_token_id)
            output = formulation.logits(model, **{name: tensor.to(device) for name, tensor in batch.items()})
            outputs.append(output.float().cpu().numpy())
    back = np.empty(len(order), dtype=np.int64)
    back[order] = np.arange(len(order))
    return np.concatenate(outputs)[back].astype(np.float64)

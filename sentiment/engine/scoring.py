"""Score many reviews: batches of near-equal length and bounded size, results in the order of the reviews."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from sentiment.engine.batches import send
from sentiment.engine.packed import packed

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from sentiment.engine.heads import Features, Formulation


TOKENS_PER_BATCH = 8192  # activations of GPT-2's width, 768, then need a quarter of a GB when packed; more is no faster


def batches_by_length(lengths: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    """Part rows into batches, the longest rows first.

    Args:
        lengths: tokens of each row.
        batch_size: the most rows of a batch.

    Yields:
        Row numbers; together they hold at most TOKENS_PER_BATCH, were each as long as the longest, or are one row.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    start = 0
    while start < len(order):
        rows = min(batch_size, max(1, TOKENS_PER_BATCH // lengths[order[start]]))
        yield order[start : start + rows]
        start += rows


def score(
    model: PreTrainedModel,
    formulation: Formulation | Features,
    ids: Sequence[Sequence[int]],
    batch_size: int,
    device: str,
) -> np.ndarray:
    """Compute the logits of every review.

    Only the two logits of each review are kept, and a batch is bounded in tokens, so that memory is flat.

    Args:
        model: a model whose config names the pad token; afterwards it is what it was, but for the device it is on.
        formulation: how its logits are computed.
        ids: token ids of each review.
        batch_size: the most reviews scored at once.
        device: cpu, cuda or mps.

    Returns:
        What the formulation gives for each review, float64 [reviews, labels], in the order of `ids`.

    Raises:
        RuntimeError: the model is packed already, as while it is trained.
    """
    model.to(device)  # type: ignore[arg-type]  # the stub takes the wrapped method for unbound
    trained = model.training
    model.train(mode=False)
    order: list[int] = []
    outputs = []
    try:
        with packed(model, device) as make_batch, torch.inference_mode():
            for chosen in batches_by_length([len(row) for row in ids], batch_size):
                batch = make_batch([ids[i] for i in chosen])
                order += chosen
                outputs.append(formulation.logits(model, send(batch, device)).float())
    finally:
        model.train(trained)
    scores = torch.cat(outputs).cpu().numpy().astype(np.float64)  # fetched once: a GPU is not waited for in between
    scores[order] = scores.copy()
    return scores

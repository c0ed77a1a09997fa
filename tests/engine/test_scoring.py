"""Scoring keeps the order asked for and the memory flat; that it equals the plain model is in test_backbones."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sentiment.engine.heads import Head
from sentiment.engine.scoring import TOKENS_PER_BATCH, batches_by_length, score


class LengthModel(torch.nn.Module):
    """Answers with a row's length and sum; notes the shape of each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.config = SimpleNamespace(pad_token_id=0, model_type="unknown")  # such a model is padded
        self.shapes: list[tuple[int, int]] = []

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> SimpleNamespace:
        self.shapes.append((input_ids.shape[0], input_ids.shape[1]))
        assert not torch.is_grad_enabled()
        answers = torch.stack([attention_mask.sum(1), (input_ids * attention_mask).sum(1)], 1)
        return SimpleNamespace(logits=answers.float())


def test_results_stand_in_the_order_of_the_rows_and_batches_in_that_of_lengths() -> None:
    rows = [[5], [1, 2, 3], [7, 7], [2, 2, 2, 2], [9]]
    model = LengthModel()
    logits = score(model, Head(), rows, 2, "cpu")  # type: ignore[arg-type]
    assert np.array_equal(logits, [[1, 5], [3, 6], [2, 14], [4, 8], [1, 9]])
    assert model.shapes == [(2, 4), (2, 2), (1, 1)]


def test_a_batch_is_bounded_in_rows_and_in_tokens() -> None:
    lengths = [5, 2000, 9000, 4096, *[7] * 100, 4000]
    chosen = list(batches_by_length(lengths, 64))
    assert sorted(row for batch in chosen for row in batch) == list(range(len(lengths)))
    assert [lengths[batch[0]] for batch in chosen] == [9000, 4096, 2000, 7, 7]
    for batch in chosen:
        assert len(batch) <= 64
        assert len(batch) == 1 or len(batch) * max(lengths[row] for row in batch) <= TOKENS_PER_BATCH


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_in_the_mode_it_was_in(training: bool) -> None:
    model = LengthModel().train(training)
    score(model, Head(), [[1]], 2, "cpu")  # type: ignore[arg-type]
    assert model.training is training

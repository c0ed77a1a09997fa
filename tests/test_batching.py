"""Guards the batches: padding on the right, the mask, and the labels of a collated batch."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

from sentiment.batching import PaddingCollator, pad

ROWS = [[5, 6, 7], [8], [9, 10, 11, 12, 13], [2, 2]]


@pytest.mark.parametrize("pad_token_id", [0, 2, 50256])
def test_rows_are_padded_as_torch_pads_them(pad_token_id: int) -> None:
    batch = pad(ROWS, pad_token_id)
    tensors = [torch.tensor(row) for row in ROWS]
    assert torch.equal(
        batch["input_ids"], pad_sequence(tensors, batch_first=True, padding_value=pad_token_id, padding_side="right")
    )
    assert torch.equal(batch["attention_mask"], pad_sequence([torch.ones_like(t) for t in tensors], batch_first=True))


def test_a_token_that_equals_the_pad_token_is_not_masked() -> None:
    batch = pad([[2, 2], [7, 2, 7]], pad_token_id=2)
    assert batch["attention_mask"].tolist() == [[1, 1, 0], [1, 1, 1]]


def test_ids_and_mask_are_int64() -> None:
    assert {tensor.dtype for tensor in pad(ROWS, 0).values()} == {torch.int64}


def test_rows_of_one_length_get_no_padding() -> None:
    batch = pad([[1, 2], [3, 4]], pad_token_id=9)
    assert batch["input_ids"].tolist() == [[1, 2], [3, 4]]
    assert batch["attention_mask"].tolist() == [[1, 1], [1, 1]]


def test_the_rows_given_stay_as_they_are() -> None:
    rows = [[1], [2, 3]]
    pad(rows, 0)
    assert rows == [[1], [2, 3]]


def test_the_collator_pads_the_ids_and_keeps_the_labels_in_order() -> None:
    rows = [{"id": 4, "input_ids": ids, "length": len(ids), "label": n % 2} for n, ids in enumerate(ROWS)]
    batch = PaddingCollator(3)(rows)
    assert batch.keys() == {"input_ids", "attention_mask", "labels"}
    assert batch["input_ids"].tolist() == [[5, 6, 7, 3, 3], [8, 3, 3, 3, 3], [9, 10, 11, 12, 13], [2, 2, 3, 3, 3]]
    assert batch["labels"].tolist() == [0, 1, 0, 1]
    assert batch["labels"].dtype == torch.int64


def test_a_collator_survives_pickling() -> None:
    again = pickle.loads(pickle.dumps(PaddingCollator(3)))  # noqa: S301
    assert again([{"input_ids": [1], "label": 0}, {"input_ids": [1, 2], "label": 1}])["input_ids"][0].tolist() == [1, 3]

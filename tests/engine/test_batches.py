"""Guards the batches: padding on the right, the mask, the labels of a collated batch, and who pads and who packs."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModel, ElectraConfig, ElectraForSequenceClassification
from transformers.trainer_pt_utils import find_batch_size

from sentiment.engine import packing, varlen
from sentiment.engine.batches import Batcher, Collator, pad
from sentiment.engine.packing import Packer
from sentiment.engine.varlen import VarlenPacker
from tests.conftest import Pack

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


def test_the_collator_keeps_the_rows_order_and_the_labels_go_along() -> None:
    rows = [{"id": 4, "input_ids": ids, "length": len(ids), "label": n % 2} for n, ids in enumerate(ROWS)]
    batch = Collator(partial(pad, pad_token_id=3))(rows)
    assert batch.keys() == {"input_ids", "attention_mask", "labels"}
    assert batch["input_ids"].tolist() == [[5, 6, 7, 3, 3], [8, 3, 3, 3, 3], [9, 10, 11, 12, 13], [2, 2, 3, 3, 3]]
    assert batch["labels"].tolist() == [0, 1, 0, 1]
    assert batch["labels"].dtype == torch.int64


def test_the_collator_packs_and_the_trainer_counts_reviews() -> None:
    """The Trainer takes the first tensor's first dimension for the number of reviews."""
    batch = Collator(Packer(0))([{"input_ids": ids, "label": 1} for ids in ROWS])
    assert batch["lengths"].tolist() == [3, 1, 5, 2]
    assert find_batch_size(batch) == len(ROWS)


@pytest.mark.parametrize("batcher", [partial(pad, pad_token_id=3), Packer(0)])
def test_a_collator_survives_pickling(batcher: Batcher) -> None:
    again = pickle.loads(pickle.dumps(Collator(batcher)))  # noqa: S301
    rows = [{"input_ids": [1], "label": 0}, {"input_ids": [1, 2], "label": 1}]
    assert str(again(rows)) == str(Collator(batcher)(rows))


@pytest.mark.parametrize(
    ("device", "kind", "attention"),
    [("cpu", Packer, packing.PACKED), ("cuda", VarlenPacker, varlen.VARLEN), ("mps", partial, "sdpa")],
)
def test_each_device_has_its_batches(
    device: str, kind: type, attention: str, tiny_models: Callable[[str], Path], pack: Pack
) -> None:
    model = AutoModel.from_pretrained(tiny_models("gpt2"))
    assert type(pack(model, device)) is kind
    assert model.config._attn_implementation == attention


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_an_unknown_family_is_padded(device: str, pack: Pack) -> None:
    config = ElectraConfig(vocab_size=9, embedding_size=4, hidden_size=4, num_hidden_layers=1, num_attention_heads=1)
    model = ElectraForSequenceClassification(config)
    assert not isinstance(pack(model, device), Packer)
    assert model.config._attn_implementation == "sdpa"

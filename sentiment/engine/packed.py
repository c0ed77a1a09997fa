"""Let a model compute packed rows as long as a context lasts; before and after it is transformers' own.

Packed rows save padding, which is most of the time of reviews of unequal length. An Apple GPU has no kernels for them,
and a family that is not known may hide a layer in which packed reviews would mix: both get padded batches.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakSet

import torch

from sentiment.engine import dropout, families, onednn
from sentiment.engine.batches import Batcher, pad
from sentiment.engine.packing import PACKED, Packer
from sentiment.engine.varlen import VARLEN, VarlenPacker
from sentiment.tokens import tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from sentiment.engine.families import Forwards

_entered: WeakSet[torch.nn.Module] = WeakSet()


@contextmanager
def packed(model: PreTrainedModel, device: str) -> Iterator[Batcher]:
    """Choose how a model reads its batches, and make it ready for them.

    Args:
        model: its attention, last block, linear layers and dropout compute otherwise as long as the context lasts:
            once packed, it refuses padded batches. Weights and their names stay what they are.
        device: cpu, cuda or mps.

    Yields:
        What makes a batch for `Formulation.logits` of token ids.

    Raises:
        RuntimeError: the model is in such a context already.
    """
    if model in _entered:
        raise RuntimeError("the model is packed already; score it before that context is entered or once it has ended")
    _entered.add(model)
    try:
        if device == "mps" or model.config.model_type not in families.FAMILIES:
            yield partial(pad, pad_token_id=model.config.pad_token_id)
            return
        on_gpu = device == "cuda"
        name, packer = (VARLEN, VarlenPacker) if on_gpu else (PACKED, Packer)
        forwards = families.last_block_forwards(model)
        if device == "cpu":
            forwards += onednn.linear_forwards(model) + dropout.dropout_forwards(model)
        with attention(model, name), replaced(forwards):
            yield packer(tokenizer.first_position(model.config))
    finally:
        _entered.discard(model)


@contextmanager
def attention(model: PreTrainedModel, implementation: str) -> Iterator[None]:
    """Let a model attend by another of transformers' implementations as long as the context lasts."""
    before = model.config._attn_implementation
    model.set_attn_implementation(implementation)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


@contextmanager
def replaced(forwards: Forwards) -> Iterator[None]:
    """Let layers compute by other forwards as long as the context lasts."""
    before = [(layer, vars(layer).get("forward")) for layer, _ in forwards]
    try:
        for layer, forward in forwards:
            layer.forward = forward
        yield
    finally:
        for layer, own in before:
            if own is None:
                vars(layer).pop("forward", None)  # the class's own shows again
            else:
                layer.forward = own

"""A model with its formulation as an ONNX graph, in fp32 or with int8 weights: token ids in, the labels' logits out.

The graph is transformers' plain padded model with what `sentiment.engine.heads` does around it: the choice of the
position that answers and, for label words, their few rows of the language-model head. Whoever runs it needs the
tokenizer, and a softmax of the logits over the temperature.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from sentiment.engine.heads import Formulation, LabelWords
from sentiment.engine.packed import attention
from sentiment.pipeline.errors import InputError
from sentiment.tokens import tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

OPSET = 20  # the first with GELU as one operator
INPUTS, OUTPUT = ("input_ids", "attention_mask"), "logits"
FILE_LIMIT = 2**31  # bytes; protobuf, the form of an ONNX file, holds no more
INT8_LARGEST = 127


class Graph(torch.nn.Module):
    """What is exported: one padded batch in, its logits out."""

    def __init__(self, model: PreTrainedModel, formulation: Formulation) -> None:
        """Take a model in evaluation mode, and its formulation."""
        super().__init__()
        self.model, self.formulation = model, formulation

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Compute the logits of a batch that is padded on the right.

        The mask alone says what is padding: any id may pad, for here it becomes the one that the model knows.

        Args:
            input_ids: int64 [batch, tokens].
            attention_mask: int64 [batch, tokens], 1 for a token, 0 for padding.

        Returns:
            [batch, labels].
        """
        ids = torch.where(attention_mask.bool(), input_ids, self.model.config.pad_token_id)
        return self.formulation.logits(self.model, {"input_ids": ids, "attention_mask": attention_mask})


def write_fp32(model: PreTrainedModel, formulation: Formulation, path: Path) -> None:
    """Write a model as an ONNX file; equal models give equal bytes.

    Args:
        model: from `sentiment.engine.heads.load`, on the CPU.
        formulation: a head, or label words.
        path: where to.

    Raises:
        InputError: the model is too large for one file.
    """
    size = 4 * model.num_parameters()
    if size >= FILE_LIMIT:
        raise InputError(f"the model's fp32 weights take {size / 1e9:.1f} GB; one ONNX file holds less than 2.1 GB")
    # eager: attention as products and a softmax, which every runtime has
    with quiet(), attention(model, "eager"), _few_words(model, formulation) as reduced:
        longest = tokenizer.max_positions(model.config)
        any_shape = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens", max=longest)}
        shapes = dict.fromkeys(INPUTS, any_shape)
        example = (torch.ones(2, 5, dtype=torch.int64), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]))  # one padded
        program = torch.export.export(Graph(model, reduced).eval(), example, dynamic_shapes=shapes, strict=False)
        exported: Any = torch.onnx.export(
            program, dynamo=True, opset_version=OPSET, input_names=INPUTS, output_names=[OUTPUT], verbose=False,
            dynamic_shapes={INPUTS[0]: {0: "batch", 1: "tokens"}, INPUTS[1]: {}},
        )  # fmt: skip
    onnx_model = _without_traces(exported.model_proto)
    onnx.checker.check_model(onnx_model)
    path.write_bytes(onnx_model.SerializeToString(deterministic=True))


def write_int8(source: Path, path: Path) -> None:
    """Write an ONNX file whose embeddings and linear layers hold int8 weights, a quarter of the size.

    Embeddings get a scale for each row, linear layers one for each column of their weights. What goes into a linear
    layer is brought to 8 bits while it runs, with one scale for the whole batch, so that an answer depends a little on
    what stands beside it. Weights use 7 of the 8 bits: processors without VNNI would overflow with more.
    https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html

    Args:
        source: from `write_fp32`.
        path: where to.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(source)
    _quantise_embeddings(model.graph)
    with quiet():
        quantize_dynamic(
            model, path, op_types_to_quantize=["MatMul"], per_channel=True, reduce_range=True,
            weight_type=QuantType.QInt8,
        )  # fmt: skip


@contextmanager
def quiet() -> Iterator[None]:
    """Keep advice for developers off the terminal; errors are raised all the same."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch's, of what it does itself
            yield
    finally:
        logging.disable(before)


@contextmanager
def _few_words(model: PreTrainedModel, formulation: Formulation) -> Iterator[Formulation]:
    """Let a language model's head hold the rows of the label words alone, and give the words their new numbers."""
    if not isinstance(formulation, LabelWords):
        yield formulation
        return
    language_model: Any = model
    full = language_model.get_output_embeddings()
    ids = [token for group in formulation.words for token in group]
    few = torch.nn.Linear(full.in_features, len(ids), bias=full.bias is not None)
    few.load_state_dict({name: tensor[ids] for name, tensor in full.state_dict().items()})
    numbers = iter(range(len(ids)))
    words = tuple(tuple(next(numbers) for _ in group) for group in formulation.words)
    language_model.set_output_embeddings(few)
    try:
        yield LabelWords(words, formulation.mask_token_id)
    finally:
        language_model.set_output_embeddings(full)


def _without_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """Take out what no runtime needs: stack traces with the paths of this machine, and shapes that can be inferred."""
    graph = model.graph
    graph.ClearField("value_info")
    for part in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        part.ClearField("metadata_props")
    return model


def _quantise_embeddings(graph: onnx.GraphProto) -> None:
    """Put an int8 table and a scale for each of its rows in place of every table of floats that is looked up.

    onnxruntime's own way has one scale for the whole table, which its largest number spoils for all the others.
    """
    tables = {table.name: table for table in graph.initializer if table.data_type == TensorProto.FLOAT}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        table = tables.get(node.input[0]) if node.op_type == "Gather" else None
        nodes += [node] if table is None or len(table.dims) != 2 else _lookup(graph, node, table)
    del graph.node[:]
    graph.node.extend(nodes)


def _lookup(graph: onnx.GraphProto, node: onnx.NodeProto, table: onnx.TensorProto) -> list[onnx.NodeProto]:
    """Return the nodes that look a table of int8 rows up in place of one node; the table itself is exchanged."""
    weights = numpy_helper.to_array(table)
    highest = np.abs(weights).max(1, keepdims=True)
    scales = np.where(highest == 0, 1, highest / INT8_LARGEST).astype(np.float32)
    whole = np.round(weights / scales).astype(np.int8)
    graph.initializer.remove(table)
    graph.initializer.extend(
        numpy_helper.from_array(array, f"{table.name}_{suffix}")
        for suffix, array in (("int8", whole), ("scale", scales))
    )
    [_, ids], [found] = node.input, node.output
    return [
        helper.make_node("Gather", [f"{table.name}_int8", ids], [f"{found}_int8"]),
        helper.make_node("Gather", [f"{table.name}_scale", ids], [f"{found}_scale"]),
        helper.make_node("Cast", [f"{found}_int8"], [f"{found}_float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{found}_float", f"{found}_scale"], [found]),
    ]

"""Train with the embedding rows of the tokens that occur, instead of with all of the vocabulary's.

GPT-2's embedding has 50,257 rows, 38 of its 124 million numbers; a set of reviews uses some thousands of them. The rest
have a gradient of zero, and yet the gradient, the norm, the optimizer's state and its step go through all of them.
While training, a matrix of the occurring rows takes the embedding's place; afterwards they are written back, and the
other rows are what they were, to the byte. Gradients are the same as before. One thing is not: AdamW decays every row,
those that never occur too; here those are left alone, as nothing was learnt about them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import pyarrow.compute
import torch
from torch.nn import Embedding, Parameter

from sentiment.engine.heads import Formulation, LabelWords

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel


class CompactEmbedding(Embedding):
    """Finds the rows of tokens, by the ids of the whole vocabulary, in a matrix of the occurring ones.

    A token that has no row is refused with torch's IndexError.
    """

    row_of: torch.Tensor

    def __init__(self, weight: Parameter, row_of: torch.Tensor, padding_token: int | None) -> None:
        """Take the matrix as it is.

        Args:
            weight: [occurring tokens, width].
            row_of: the row of each token of the vocabulary, -1 for none, int64 [vocabulary].
            padding_token: the token whose row takes no gradient, by its id in the vocabulary.
        """
        rows, width = weight.shape
        padding_row = None if padding_token is None else int(row_of[padding_token])
        super().__init__(rows, width, padding_idx=padding_row, _weight=weight.data)  # _weight: initialises none
        self.weight = weight
        self.register_buffer("row_of", row_of, persistent=False)

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002  # torch's name for it
        """Return the rows of token ids, [..., width]."""
        return super().forward(self.row_of[input])


@contextmanager
def compact_vocabulary(model: PreTrainedModel, formulation: Formulation, *splits: Dataset) -> Iterator[Formulation]:
    """Leave the rows of tokens that never occur out of a model, as long as the context lasts.

    Inputs keep the ids of the vocabulary. Checkpoints written meanwhile hold the occurring rows alone, and can be
    read back meanwhile. Where the embeddings are frozen nothing would be gained and nothing is done, nor where their
    class is the family's own, which may compute more, as Gemma's scales the rows.

    Args:
        model: changed in place; whole again, with the trained rows, when the context ends.
        formulation: how its logits are computed.
        splits: everything that the model will read: rows with input_ids.

    Yields:
        The formulation of the compact model.
    """
    matrices = _matrices(model)
    embedding = cast("Embedding", model.get_input_embeddings())
    if type(embedding) is not Embedding or not any(matrix.requires_grad for matrix in matrices):
        yield formulation
        return
    words = formulation.words if isinstance(formulation, LabelWords) else ()
    special = {model.config.pad_token_id, embedding.padding_idx, *(token for group in words for token in group)}
    tokens = torch.tensor(sorted(_occurring(splits) | special - {None}))
    row_of = torch.full((embedding.num_embeddings,), -1)
    row_of[tokens] = torch.arange(len(tokens))
    if isinstance(formulation, LabelWords):
        rows = tuple(tuple(int(row_of[token]) for token in group) for group in words)
        formulation = dataclasses.replace(formulation, words=rows)

    compact = [Parameter(matrix.detach()[tokens], matrix.requires_grad) for matrix in matrices]
    _exchange(model, matrices, compact)
    model.set_input_embeddings(CompactEmbedding(compact[0], row_of, embedding.padding_idx))
    try:
        yield formulation
    finally:
        model.set_input_embeddings(embedding)
        _exchange(model, compact, matrices)
        for matrix, trained in zip(matrices, compact, strict=True):
            matrix.data = matrix.data.to(trained.device)
            matrix.data[tokens.to(trained.device)] = trained.detach()


def _matrices(model: PreTrainedModel) -> list[Parameter]:
    """Collect the parameters with one row per token: input embedding first, then output embedding and its bias."""
    whole: Any = model  # transformers leaves the getters untyped
    output = whole.get_output_embeddings()
    found = [whole.get_input_embeddings().weight, *([] if output is None else [output.weight, output.bias])]
    return list({id(parameter): parameter for parameter in found if parameter is not None}.values())


def _exchange(model: PreTrainedModel, old: list[Parameter], new: list[Parameter]) -> None:
    """Put parameters in the stead of others, in every module that holds them: tied ones are held by several."""
    by_old = {id(parameter): replacement for parameter, replacement in zip(old, new, strict=True)}
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False, remove_duplicate=False)):
            if id(parameter) in by_old:
                setattr(module, name, by_old[id(parameter)])


def _occurring(splits: tuple[Dataset, ...]) -> set[int]:
    """Collect the ids of all tokens in datasets."""
    columns = [split.with_format("arrow")[:]["input_ids"] for split in splits]
    return {token for column in columns for token in pyarrow.compute.unique(column.combine_chunks().flatten()).tolist()}

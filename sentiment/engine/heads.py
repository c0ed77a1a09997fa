"""Two formulations of the task, under one interface: a classification head, or a label word.

`head`: a new layer on the backbone answers. `label_words`: the review stands in a prompt, and the language model's own
head answers, with the word it would put next (causal models) or in place of the mask token (masked ones). Only the
logits of the label words at that one position are computed, in training and in scoring. A label with several words
gets the sum of their probabilities. Source: Schick and Schuetze 2021, https://arxiv.org/abs/2001.07676 (verbalizer).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from sentiment.backbones import adapters, loading
from sentiment.checkpoints.manifest import Manifest
from sentiment.engine import families, packing
from sentiment.tokens.prompts import label_word_ids

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


@dataclass(frozen=True)
class Head:
    """Lets a classification head answer."""

    def logits(self, model: PreTrainedModel, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Compute the logits of a batch.

        Args:
            model: a classifier.
            batch: from what `packed` gave for the model: packed where it has lengths, padded otherwise.

        Returns:
            [reviews, labels].
        """
        if "lengths" not in batch:
            logits: torch.Tensor = model(**batch).logits
            return logits
        return _family(model).classify(model, self.states(model, batch))

    def states(self, model: PreTrainedModel, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Run the backbone on a packed batch; what the head reads of each review, [reviews, width].

        With `features` [reviews, width] in the batch, these are it, and nothing is run.
        """
        if "features" in batch:
            return batch["features"]
        pooling = _family(model).pooling(model.config)
        if pooling == "mean":
            return packing.mean_of(model, batch)
        if pooling == "first":
            return packing.hidden_at(model, batch, packing.starts(batch["lengths"]))
        real = batch["input_ids"] != model.config.pad_token_id  # the last that is no pad token, as in the padded model
        last = packing.positions_of_highest((batch["position_ids"] + 1) * real, batch["lengths"])
        return packing.hidden_at(model, batch, last)


@dataclass(frozen=True)
class LabelWords:
    """Lets a language model answer with a word.

    Attributes:
        words: token ids of each label's words.
        mask_token_id: the token in whose place the word stands; None for the position after the last token.
    """

    words: tuple[tuple[int, ...], ...]
    mask_token_id: int | None

    def apart(self) -> LabelWords:
        """Return the same words, each as a label of its own: logits [reviews, words]."""
        return LabelWords(tuple((word,) for group in self.words for word in group), self.mask_token_id)

    def logits(self, model: PreTrainedModel, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Compute the logits of a batch, as `Head.logits` does.

        Of a family whose head is not known here, the whole language model computes the logits of all tokens: right,
        and slower, and it takes 4 bytes for each token of the batch and word of the vocabulary.
        """
        ids = torch.tensor([token for group in self.words for token in group])
        ids = ids.to(batch["input_ids"].device, non_blocking=batch["input_ids"].is_cuda)
        if "lengths" in batch:
            logits = families.word_logits(model, self.states(model, batch), ids)
        elif model.config.model_type in families.FAMILIES:
            hidden = model.base_model(**batch).last_hidden_state
            logits = families.word_logits(model, self._select(hidden, batch), ids)
        else:
            logits = self._select(model(**batch).logits, batch)[:, ids]
        parts = torch.split(logits, [len(group) for group in self.words], 1)
        return torch.stack([part.logsumexp(1) for part in parts], 1)

    def states(self, model: PreTrainedModel, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Run the backbone on a packed batch; its output at the position scored, as `Head.states` does."""
        if "features" in batch:
            return batch["features"]
        values = batch["position_ids"] if self.mask_token_id is None else batch["input_ids"] == self.mask_token_id
        return packing.hidden_at(model, batch, packing.positions_of_highest(values.int(), batch["lengths"]))

    def _select(self, states: torch.Tensor, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Select states [reviews, longest, width] of a padded batch at the position scored, [reviews, width]."""
        if self.mask_token_id is None:
            positions = batch["attention_mask"].sum(1) - 1
        else:
            positions = (batch["input_ids"] == self.mask_token_id).int().argmax(1)
        return states[torch.arange(states.shape[0], device=states.device), positions]  # len() would fix it in an export


@dataclass(frozen=True)
class Features:
    """Gives what the backbone makes of a review, for a probe to read."""

    def logits(self, model: PreTrainedModel, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Compute the mean of the backbone's output over the tokens of each review, [reviews, width]."""
        if "lengths" in batch:
            return packing.mean_of(model, batch)
        hidden: torch.Tensor = model.base_model(**batch).last_hidden_state
        mask = batch["attention_mask"][:, :, None].to(hidden)
        return (hidden * mask).sum(1) / mask.sum(1)


def _family(model: PreTrainedModel) -> families.FamilyComputations:
    return families.FAMILIES[model.config.model_type]


Formulation = Head | LabelWords


def load(
    folder: Path, tokenizer: PreTrainedTokenizerFast, manifest: Manifest, seed: int, dropout: float | None = None
) -> tuple[PreTrainedModel, Formulation]:
    """Load a model folder for its formulation.

    Args:
        folder: a Hugging Face folder.
        tokenizer: its tokenizer.
        manifest: its formulation, and for label words prompt and label_words.
        seed: of a head that the folder lacks and that is randomly initialised.
        dropout: every dropout probability of the backbone; None keeps the config's.

    Raises:
        InputError: label words are the formulation, and the model or its tokenizer cannot have them.
    """
    formulation: Formulation = Head()
    if manifest.has_head:
        model = loading.load_classifier(folder, tokenizer, seed, dropout)
    else:
        words = label_word_ids(tokenizer, manifest.label_words, manifest.prompt)
        formulation = LabelWords(words, tokenizer.mask_token_id)
        model = loading.load_language_model(folder, tokenizer, dropout)
    if (folder / adapters.CONFIG).is_file():
        adapters.merge(model)  # the same answers, without the detour through the adapters
    return model, formulation

"""Two ways to ask a model for the sentiment, under one interface: a classification head, or a label word.

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
    """Asks a model with a classification head."""

    def logits(self, model: PreTrainedModel, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Compute the logits of a batch.

        Args:
            model: a classifier.
            batch: from what `batching.prepare` gave for the model: packed where it has lengths, padded otherwise.

        Returns:
            [reviews, labels].
        """
        if "lengths" not in batch:
            logits: torch.Tensor = model(**batch).logits
            return logits
        return families.head_logits(model, packing.hidden_at(model, batch, self.places(model, batch)))

    def places(self, model: PreTrainedModel, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Say which token of each review of a packed batch the head reads, int64 [reviews]."""
        if not families.head_reads_last(model):
            return packing.starts(batch["lengths"])
        real = batch["input_ids"] != model.config.pad_token_id  # the last that is no pad token, as in the padded model
        return packing.places_of_highest((batch["position_ids"] + 1) * real, batch["lengths"])


@dataclass(frozen=True)
class LabelWords:
    """Asks a language model.

    Attributes:
        words: token ids of each label's words.
        mask_token_id: the token whose place is asked about; None asks for the token after the last.
    """

    words: tuple[tuple[int, ...], ...]
    mask_token_id: int | None

    def apart(self) -> LabelWords:
        """Ask for the same words, each as a label of its own: logits [reviews, words]."""
        return LabelWords(tuple((word,) for group in self.words for word in group), self.mask_token_id)

    def logits(self, model: PreTrainedModel, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Compute the logits of a batch, as `Head.logits` does."""
        if "lengths" in batch:
            asked = packing.hidden_at(model, batch, self.places(model, batch))
        else:
            asked = self._padded(model, batch)
        ids = torch.tensor([token for group in self.words for token in group])
        ids = ids.to(asked.device, non_blocking=asked.is_cuda)
        logits = torch.split(families.word_logits(model, asked, ids), [len(group) for group in self.words], 1)
        return torch.stack([group.logsumexp(1) for group in logits], 1)

    def places(self, model: PreTrainedModel, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Say which token of each review of a packed batch is asked about, int64 [reviews]."""
        values = batch["position_ids"] if self.mask_token_id is None else batch["input_ids"] == self.mask_token_id
        return packing.places_of_highest(values.int(), batch["lengths"])

    def _padded(self, model: PreTrainedModel, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Run the backbone on a padded batch; its output at the places asked about, [reviews, width]."""
        hidden: torch.Tensor = model.base_model(**batch).last_hidden_state
        if self.mask_token_id is None:
            places = batch["attention_mask"].sum(1) - 1
        else:
            places = (batch["input_ids"] == self.mask_token_id).int().argmax(1)
        return hidden[torch.arange(hidden.shape[0], device=hidden.device), places]  # len() would fix it in an export


@dataclass(frozen=True)
class Features:
    """Asks for no sentiment at all: gives what the backbone makes of a review, for a probe to read."""

    def logits(self, model: PreTrainedModel, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Compute the mean of the backbone's output over the tokens of each review, [reviews, width]."""
        hidden: torch.Tensor = model.base_model(**batch).last_hidden_state
        if "lengths" in batch:
            return torch.stack([part.mean(0) for part in torch.split(hidden[0], batch["lengths"].tolist())])
        mask = batch["attention_mask"][:, :, None].to(hidden)
        return (hidden * mask).sum(1) / mask.sum(1)


Formulation = Head | LabelWords


def load(
    folder: Path, tokenizer: PreTrainedTokenizerFast, manifest: Manifest, seed: int, dropout: float | None = None
) -> tuple[PreTrainedModel, Formulation]:
    """Load a model folder for its formulation.

    Args:
        folder: a Hugging Face folder.
        tokenizer: its tokenizer.
        manifest: its formulation, and for label words prompt and label_words.
        seed: draws a head that the folder lacks.
        dropout: every dropout probability of the backbone; None keeps the config's.

    Raises:
        InputError: label words are asked for and cannot be had.
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

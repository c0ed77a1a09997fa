"""How the model families name their parts; a family without a row here is read by all the names together.

What the engine computes differently for some of them stands in `sentiment.engine.families`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


@dataclass(frozen=True)
class FamilyNames:
    """The names of one family.

    Attributes:
        dropouts: its config's dropout probabilities.
        embeddings: parts of the names of its embeddings' parameters.
        attention: parts of the names of its attention layers.
    """

    dropouts: tuple[str, ...]
    embeddings: tuple[str, ...] = ("embed",)
    attention: tuple[str, ...] = ("attn", "attention")


_BERT_NAMES = FamilyNames(("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"))
_LLAMA_NAMES = FamilyNames(("attention_dropout",))
_MODERNBERT_NAMES = FamilyNames(("embedding_dropout", "attention_dropout", "mlp_dropout", "classifier_dropout"))
FAMILY_NAMES = {
    "gpt2": FamilyNames(("resid_pdrop", "embd_pdrop", "attn_pdrop"), ("wte", "wpe")),
    "distilbert": FamilyNames(("dropout", "attention_dropout", "seq_classif_dropout")),
    "bert": _BERT_NAMES,
    "roberta": _BERT_NAMES,
    "xlm-roberta": _BERT_NAMES,
    "modernbert": _MODERNBERT_NAMES,
    "modernbert-decoder": _MODERNBERT_NAMES,
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3", "smollm3"), _LLAMA_NAMES),
    "albert": FamilyNames(("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout_prob")),
    "deberta-v2": FamilyNames(("hidden_dropout_prob", "attention_probs_dropout_prob", "pooler_dropout", "cls_dropout")),
}
_EMBEDDINGS = tuple(dict.fromkeys(part for names in FAMILY_NAMES.values() for part in names.embeddings))
_DROPOUTS = tuple(dict.fromkeys(key for names in FAMILY_NAMES.values() for key in names.dropouts))


def is_embedding(name: str) -> bool:
    """Return whether a parameter, or a file of weights, of that name belongs to the embeddings."""
    return any(part in name for part in _EMBEDDINGS)


def in_attention(name: str) -> bool:
    """Return whether a layer of that name belongs to attention."""
    return any(part in name for names in FAMILY_NAMES.values() for part in names.attention)


def dropout_settings(config: PreTrainedConfig, dropout: float | None) -> dict[str, float]:
    """Return every dropout setting that a config has, at that probability; none where the config's own are kept."""
    return {} if dropout is None else dict.fromkeys(_dropout_keys(config), dropout)


def has_dropout(config: PreTrainedConfig) -> bool:
    """Return whether anything is dropped in training."""
    return any(getattr(config, key) for key in _dropout_keys(config))


def _dropout_keys(config: PreTrainedConfig) -> list[str]:
    names = FAMILY_NAMES.get(config.model_type)
    return [key for key in (names.dropouts if names else _DROPOUTS) if hasattr(config, key)]

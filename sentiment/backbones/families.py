"""How the model families name their parts.

What the engine computes differently for some of them stands in `sentiment.engine.families`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

KNOWN_FAMILIES = (
    "gpt2", "distilbert", "bert", "roberta", "xlm-roberta", "modernbert", "modernbert-decoder", "llama", "mistral",
    "qwen2", "qwen3", "smollm3", "albert", "deberta-v2",
)  # fmt: skip
_EMBEDDINGS = ("embed", "wte", "wpe")  # parts of parameters' names
_ATTENTION = ("attn", "attention")  # parts of layers' names
_DROPOUTS = (  # keys of configs; each family has some of them
    "resid_pdrop", "embd_pdrop", "attn_pdrop", "dropout", "attention_dropout", "seq_classif_dropout",
    "hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout", "embedding_dropout", "mlp_dropout",
    "classifier_dropout_prob", "pooler_dropout", "cls_dropout",
)  # fmt: skip


def is_embedding(name: str) -> bool:
    """Return whether a parameter, or a file of weights, of that name belongs to the embeddings."""
    return any(part in name for part in _EMBEDDINGS)


def in_attention(name: str) -> bool:
    """Return whether a layer of that name belongs to attention."""
    return any(part in name for part in _ATTENTION)


def dropout_settings(config: PreTrainedConfig, dropout: float | None) -> dict[str, float]:
    """Return every dropout setting that a config has, at that probability; none where the config's own are kept."""
    return {} if dropout is None else {key: dropout for key in _DROPOUTS if hasattr(config, key)}


def has_dropout(config: PreTrainedConfig) -> bool:
    """Return whether anything is dropped in training."""
    return any(getattr(config, key, None) for key in _DROPOUTS)

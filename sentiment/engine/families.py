"""What the engine computes differently from family to family: the last block, heads and label words."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel
from sentiment.backbones.layers import blocks_of


def shorten_last_block(model: PreTrainedModel) -> None:
    """Let a backbone's last block compute its feed-forward part for one token of each review alone.

    No later layer mixes tokens and nobody asks for the others, so their output is left at zero. On GPT-2's shape this
    saves one twentieth of a training step.

    Args:
        model: one of PACKABLE, changed in place; its backbone then heeds the argument `places`, from
            `packing.hidden_at`. Weights and their names stay as they are.
    """
    last: Any = blocks_of(model)[-1]
    last.forward = partial(_shortened, _LAST_BLOCKS[model.config.model_type], last)


def _shortened(
    compute: Callable[..., torch.Tensor], block: Any, hidden: torch.Tensor, *others: Any, **handed_down: Any
) -> torch.Tensor:
    """Compute a last block in place of its own `forward`; the mask and the cache among its arguments are none.

    Without the argument `places` all tokens are asked for, and the block computes as it always did.

    Returns:
        [1, tokens, width], as the rest of the model expects it.
    """
    if "places" not in handed_down:
        return cast("torch.Tensor", type(block).forward(block, hidden, *others, **handed_down))
    asked = compute(block, hidden, **handed_down)
    return asked.new_zeros(hidden.shape).index_copy(1, handed_down["places"], asked)


def _last_of_gpt2(block: Any, hidden: torch.Tensor, *, places: torch.Tensor, **handed_down: Any) -> torch.Tensor:
    """Compute GPT-2's block, from the states [1, tokens, width] to those asked for, [1, reviews, width]."""
    attended, _ = block.attn(block.ln_1(hidden), **handed_down)
    asked = (hidden + attended)[:, places]
    asked = asked + block.mlp(block.ln_2(asked))
    return cast("torch.Tensor", asked)


def _last_of_llama(block: Any, hidden: torch.Tensor, *, places: torch.Tensor, **handed_down: Any) -> torch.Tensor:
    """Compute Llama's block, likewise."""
    attended, _ = block.self_attn(block.input_layernorm(hidden), **handed_down)
    asked = (hidden + attended)[:, places]
    asked = asked + block.mlp(block.post_attention_layernorm(asked))
    return cast("torch.Tensor", asked)


def _last_of_bert(block: Any, hidden: torch.Tensor, *, places: torch.Tensor, **handed_down: Any) -> torch.Tensor:
    """Compute BERT's or RoBERTa's block, likewise."""
    attended, _ = block.attention(hidden, **handed_down)
    return cast("torch.Tensor", block.feed_forward_chunk(attended[:, places]))


def _last_of_distilbert(block: Any, hidden: torch.Tensor, *, places: torch.Tensor, **handed_down: Any) -> torch.Tensor:
    """Compute DistilBERT's block, likewise."""
    attended, _ = block.attention(hidden, **handed_down)
    asked = block.sa_layer_norm((attended + hidden)[:, places])
    return cast("torch.Tensor", block.output_layer_norm(block.ffn(asked) + asked))


_LAST_BLOCKS = {
    "gpt2": _last_of_gpt2,
    "llama": _last_of_llama,
    "bert": _last_of_bert,
    "roberta": _last_of_bert,
    "distilbert": _last_of_distilbert,
}


PACKABLE = tuple(_LAST_BLOCKS)  # the model types that sentiment/engine/packing.py knows and is tested with


def head_reads_last(model: PreTrainedModel) -> bool:
    """Say whether a classification head reads a review's last token, as causal models do, or its first."""
    return model.config.model_type in ("gpt2", "llama")


def head_logits(model: PreTrainedModel, hidden: torch.Tensor) -> torch.Tensor:
    """Compute a classifier's logits from the backbone's output at the place that its head reads.

    Args:
        model: from `load_classifier`, one of PACKABLE.
        hidden: [reviews, width].

    Returns:
        [reviews, labels].
    """
    head: Any = model
    if model.config.model_type == "bert":
        hidden = head.dropout(head.bert.pooler(hidden[:, None]))  # the pooler picks the first of [reviews, 1, width]
    elif model.config.model_type == "distilbert":
        hidden = head.dropout(head.pre_classifier(hidden).relu())
    elif model.config.model_type == "roberta":
        hidden = hidden[:, None]  # the head picks the first itself
    logits: torch.Tensor = (head.score if head_reads_last(model) else head.classifier)(hidden)
    return logits


def word_logits(model: PreTrainedModel, hidden: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Compute a language model's logits for a few words, from the backbone's output at the place asked about.

    Args:
        model: from `load_language_model`.
        hidden: [reviews, width].
        ids: token ids of the words, int64 [words].

    Returns:
        [reviews, words]; what the model's full head would give for these tokens.
    """
    from torch.nn import functional

    head: Any = model
    if model.config.model_type == "bert":
        hidden = head.cls.predictions.transform(hidden)
    elif model.config.model_type == "distilbert":
        hidden = head.vocab_layer_norm(head.activation(head.vocab_transform(hidden)))
    elif model.config.model_type == "roberta":
        hidden = head.lm_head.layer_norm(functional.gelu(head.lm_head.dense(hidden)))
    decoder = head.get_output_embeddings()
    return functional.linear(hidden, decoder.weight[ids], None if decoder.bias is None else decoder.bias[ids])

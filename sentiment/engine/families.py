"""What the engine computes differently from family to family: the last block, classification heads, label words.

A family without a row here is padded and computed by transformers' own heads, which is slower and as right.
How the families name their parts stands in `sentiment.backbones.families`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from torch.nn import functional

from sentiment.backbones.layers import blocks_of

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    Forwards = list[tuple[torch.nn.Module, Callable[..., torch.Tensor]]]  # layers, each with another forward


@dataclass(frozen=True)
class FamilyComputations:
    """What packed rows need to know of one family.

    Attributes:
        last_block: computes the backbone's last block: block, its input [1, tokens, width], `positions` [reviews] and
            what else transformers hands down -> its output there, [1, reviews, width].
        pooling: from the config to what a classification head reads: the `first` token, the `last` or the `mean`.
        classify: a classifier and what its head reads, [reviews, width] -> logits [reviews, labels].
        word_states: a language model and its backbone's output [reviews, width] -> what its output embedding
            multiplies, [reviews, width]; its logits are that product alone.
    """

    last_block: Callable[..., torch.Tensor]
    pooling: Callable[[Any], str]
    classify: Callable[[Any, torch.Tensor], torch.Tensor]
    word_states: Callable[[Any, torch.Tensor], torch.Tensor]


def last_block_forwards(model: PreTrainedModel) -> Forwards:
    """Return a forward of the last block that computes its feed-forward part for one token of each review alone.

    No later layer mixes tokens and the others are read by nobody, so their output is left at zero. On GPT-2's shape
    this saves one twentieth of a training step. The backbone then heeds the argument `positions`, from
    `packing.hidden_at`.

    Args:
        model: of one of FAMILIES.
    """
    last = blocks_of(model)[-1]
    return [(last, partial(_shortened, FAMILIES[model.config.model_type].last_block, last))]


def _shortened(
    compute: Callable[..., torch.Tensor], block: Any, hidden: torch.Tensor, *others: Any, **handed_down: Any
) -> torch.Tensor:
    """Compute a last block in place of its own `forward`; the mask and the cache among `others` are none."""
    if "positions" not in handed_down:  # all tokens are read
        return cast("torch.Tensor", type(block).forward(block, hidden, *others, **handed_down))
    read = compute(block, hidden, **handed_down)
    return read.new_zeros(hidden.shape).index_copy(1, handed_down["positions"], read)  # [1, tokens, width]


def _pre_norm(attention: str, first_norm: str, second_norm: str) -> Callable[..., torch.Tensor]:
    """Compute a block that normalises before attention and before its `mlp`, by the names of its parts."""

    def compute(block: Any, hidden: torch.Tensor, *, positions: torch.Tensor, **handed_down: Any) -> torch.Tensor:
        attended, _ = getattr(block, attention)(getattr(block, first_norm)(hidden), **handed_down)
        read = (hidden + attended)[:, positions]
        read = read + block.mlp(getattr(block, second_norm)(read))
        return cast("torch.Tensor", read)

    return compute


def _last_of_bert(block: Any, hidden: torch.Tensor, *, positions: torch.Tensor, **handed_down: Any) -> torch.Tensor:
    attended, _ = block.attention(hidden, **handed_down)
    return cast("torch.Tensor", block.feed_forward_chunk(attended[:, positions]))


def _last_of_distilbert(
    block: Any, hidden: torch.Tensor, *, positions: torch.Tensor, **handed_down: Any
) -> torch.Tensor:
    attended, _ = block.attention(hidden, **handed_down)
    read = block.sa_layer_norm((attended + hidden)[:, positions])
    return cast("torch.Tensor", block.output_layer_norm(block.ffn(read) + read))


_CAUSAL = FamilyComputations(
    _pre_norm("self_attn", "input_layernorm", "post_attention_layernorm"),
    pooling=lambda config: "last",
    classify=lambda model, read: model.score(read),
    word_states=lambda model, hidden: hidden,
)
_ROBERTA = FamilyComputations(
    _last_of_bert,
    pooling=lambda config: "first",
    classify=lambda model, read: model.classifier(read[:, None]),  # the head picks the first token itself
    word_states=lambda model, hidden: model.lm_head.layer_norm(functional.gelu(model.lm_head.dense(hidden))),
)
_MODERNBERT = FamilyComputations(
    _pre_norm("attn", "attn_norm", "mlp_norm"),
    pooling=lambda config: "mean" if config.classifier_pooling == "mean" else "first",
    classify=lambda model, read: model.classifier(model.drop(model.head(read))),
    word_states=lambda model, hidden: model.head(hidden),
)
FAMILIES = {  # the model types that packing knows and is tested with
    "gpt2": replace(_CAUSAL, last_block=_pre_norm("attn", "ln_1", "ln_2")),
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3", "smollm3"), _CAUSAL),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "bert": FamilyComputations(
        _last_of_bert,
        pooling=lambda config: "first",
        classify=lambda model, read: model.classifier(model.dropout(model.bert.pooler(read[:, None]))),  # picks it too
        word_states=lambda model, hidden: model.cls.predictions.transform(hidden),
    ),
    "distilbert": FamilyComputations(
        _last_of_distilbert,
        pooling=lambda config: "first",
        classify=lambda model, read: model.classifier(model.dropout(model.pre_classifier(read).relu())),
        word_states=lambda model, hidden: model.vocab_layer_norm(model.activation(model.vocab_transform(hidden))),
    ),
    "modernbert": _MODERNBERT,
    "modernbert-decoder": replace(
        _MODERNBERT, pooling=lambda config: "last", word_states=lambda model, hidden: model.lm_head(hidden)
    ),
}


def word_logits(model: PreTrainedModel, hidden: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Compute a language model's logits for a few words, from the backbone's output at the position scored.

    Args:
        model: from `load_language_model`, of one of FAMILIES.
        hidden: [reviews, width].
        ids: token ids of the words, int64 [words].

    Returns:
        [reviews, words]; what the model's full head would give for these tokens.
    """
    language_model: Any = model  # transformers leaves the getter untyped
    decoder = language_model.get_output_embeddings()
    states = FAMILIES[model.config.model_type].word_states(model, hidden)
    return functional.linear(states, decoder.weight[ids], None if decoder.bias is None else decoder.bias[ids])

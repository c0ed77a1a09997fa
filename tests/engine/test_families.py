"""Every family's classification head, label words and features are transformers' own, packed or padded.

The reference is transformers' own model on one row at a time: no padding, no mask, no code of ours. A family without a
row in `sentiment.engine.families` once got label words without its prediction head, logit scale or softcap.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSequenceClassification

from sentiment.backbones import checks, families, layers
from sentiment.checkpoints.tensors import stored_types
from sentiment.engine import packing, varlen
from sentiment.engine.batches import pad
from sentiment.engine.families import FAMILIES
from sentiment.engine.heads import Features, Head, LabelWords
from sentiment.engine.packing import Packer
from sentiment.engine.scoring import score
from sentiment.engine.varlen import VarlenPacker
from sentiment.pipeline.errors import InputError
from sentiment.training.compact_vocabulary import compact_vocabulary
from tests.conftest import ROOT, Pack
from tests.engine.test_packing import count_equal, difference, gradients

SIZES = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48}
DECODER = {**SIZES, "num_key_value_heads": 2, "bos_token_id": 1, "eos_token_id": 2}
WINDOW = {"sliding_window": 4, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}
LOCAL = {"local_attention": 8, "global_attn_every_n_layers": 2, "classifier_pooling": "cls"}
CONFIGS: dict[str, dict[str, Any]] = {  # the config class and what is set in it; a name may be a family's variant
    "gpt2": {"class": "GPT2Config", "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64},
    "bert": {"class": "BertConfig", **SIZES},
    "roberta": {"class": "RobertaConfig", **SIZES, "max_position_embeddings": 66},
    "xlm-roberta": {"class": "XLMRobertaConfig", **SIZES, "max_position_embeddings": 66},
    "distilbert": {"class": "DistilBertConfig", "dim": 32, "hidden_dim": 48, "n_layers": 3, "n_heads": 4},
    "llama": {"class": "LlamaConfig", **DECODER},
    "mistral": {"class": "MistralConfig", **DECODER, "sliding_window": 4},
    "qwen2": {"class": "Qwen2Config", **DECODER, **WINDOW, "use_sliding_window": True},
    "qwen3": {"class": "Qwen3Config", **DECODER, "head_dim": 8},
    "qwen3, window": {"class": "Qwen3Config", **DECODER, **WINDOW, "head_dim": 8, "use_sliding_window": True},
    "smollm3": {"class": "SmolLM3Config", **DECODER, "no_rope_layer_interval": 2},
    "modernbert": {"class": "ModernBertConfig", **SIZES, **LOCAL},
    "modernbert, mean": {"class": "ModernBertConfig", **SIZES, **LOCAL, "classifier_pooling": "mean"},
    "modernbert-decoder": {"class": "ModernBertDecoderConfig", **SIZES, **LOCAL},
    "albert": {"class": "AlbertConfig", **SIZES, "embedding_size": 16},
    "electra": {"class": "ElectraConfig", **SIZES, "embedding_size": 16},
    "deberta-v2": {
        "class": "DebertaV2Config", **SIZES, "relative_attention": True, "pos_att_type": ["p2c", "c2p"],
        "position_buckets": 8, "norm_rel_ebd": "layer_norm", "share_att_key": True, "pooler_hidden_size": 32,
    },
    "granite": {"class": "GraniteConfig", **DECODER, "logits_scaling": 4.0, "embedding_multiplier": 2.0},
    "cohere": {"class": "CohereConfig", **DECODER, "logit_scale": 0.25},
    "gemma2": {"class": "Gemma2Config", **DECODER, "head_dim": 8, "final_logit_softcapping": 3.0, "sliding_window": 4},
}  # fmt: skip
PADDED = ("albert", "electra", "deberta-v2", "granite", "cohere", "gemma2")
PACKED = [name for name in CONFIGS if name not in PADDED]
SCALES = [
    ("granite", "logits_scaling", 1.0),
    ("cohere", "logit_scale", 1.0),
    ("gemma2", "final_logit_softcapping", None),
]
WITHOUT_CLASSIFIER = ("granite", "cohere")
MASK = 4
CAUSAL = ("gpt2", "llama", "mistral", "qwen", "smollm3", "modernbert-decoder", "granite", "cohere", "gemma2")
WORDS = ((20,), (21, 22))
torch.manual_seed(0)
ROWS = [[5, *torch.randint(10, 60, (length,)).tolist(), MASK, 7] for length in (14, 3, 9, 1, 14)]


def make(name: str, head: bool) -> Any:
    """A random model, with weights large enough that a wrong logit shows."""
    settings = dict(CONFIGS[name])
    own: dict[str, Any] = {"vocab_size": 64, "pad_token_id": 0 if "roberta" not in name else 1, "num_labels": 2}
    config = getattr(transformers, settings.pop("class"))(**{"max_position_embeddings": 64, **own, **settings})
    for key in families.dropout_settings(config, 0.0):
        setattr(config, key, 0.0)
    language_model = AutoModelForCausalLM if name.startswith(CAUSAL) else AutoModelForMaskedLM
    torch.manual_seed(7)
    model = (AutoModelForSequenceClassification if head else language_model).from_config(config).eval()
    for parameter_name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.3)
        elif parameter_name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.5)
    return model


def words_of(name: str) -> LabelWords:
    return LabelWords(WORDS, None if name.startswith(CAUSAL) else MASK)


def reference(model: Any, row: list[int], words: LabelWords | None) -> torch.Tensor:
    """The logits of one row alone, [labels], from the model's own call."""
    logits: torch.Tensor = model(input_ids=torch.tensor([row])).logits[0]
    if words is None:
        return logits
    at_position = logits[-1 if words.mask_token_id is None else row.index(MASK)]
    return torch.stack([at_position[list(group)].logsumexp(0) for group in words.words])


def cases() -> list[tuple[str, str]]:
    kinds = [(name, kind) for name in CONFIGS for kind in ("head", "label_words")]
    return [case for case in kinds if case[1] == "label_words" or case[0] not in WITHOUT_CLASSIFIER]


def test_the_families_named_as_packed_are_those_that_the_engine_and_the_docs_know() -> None:
    assert {name.split(",")[0] for name in PACKED} == set(FAMILIES) <= set(families.FAMILY_NAMES)
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    [row] = [line for line in page.splitlines() if line.startswith("| packed")]
    assert set(re.findall("`(.+?)`", row)) == set(FAMILIES)


@pytest.mark.parametrize(("name", "key", "neutral"), SCALES)
def test_a_scale_or_softcap_left_out_would_show(name: str, key: str, neutral: float | None) -> None:
    """Otherwise no test here could fail for a family whose output head we had skipped."""
    model, words = make(name, head=False), words_of(name)
    with_scale = torch.stack([reference(model, row, words) for row in ROWS])
    held = model if hasattr(model, key) else model.config  # Cohere copies its scale
    setattr(held, key, neutral)
    assert difference(torch.stack([reference(model, row, words) for row in ROWS]), with_scale) > 0.1


@pytest.mark.parametrize(("name", "kind"), cases())
def test_logits_and_gradients_are_transformers_own(name: str, kind: str, pack: Pack) -> None:
    model, plain = (make(name, kind == "head") for _ in range(2))
    if name != "gemma2":  # in fp64 its own mask makes NaN of a padded row
        model, plain = model.double(), plain.double()  # rounding hides nothing
    words = words_of(name) if kind == "label_words" else None
    formulation = words or Head()
    make_batch = pack(model)
    assert isinstance(make_batch, Packer) == (name in PACKED)
    found = formulation.logits(model, make_batch(ROWS))
    expected = torch.stack([reference(plain, row, words) for row in ROWS])
    assert difference(found, expected) < 1e-5
    assert float((expected[:, 0] - expected[:, 1]).detach().std()) > 0.05
    labels = torch.tensor([0, 1, 1, 0, 1])
    losses = [torch.nn.functional.cross_entropy(logits, labels) for logits in (found, expected)]
    assert count_equal(gradients(model, losses[0]), gradients(plain, losses[1])) > 15


@pytest.mark.parametrize("name", CONFIGS)
def test_scored_padded_and_with_a_compact_vocabulary_label_words_are_the_same(name: str) -> None:
    model, words = make(name, head=False), words_of(name)
    with torch.inference_mode():
        expected = torch.stack([reference(model, row, words) for row in ROWS]).double()
        padded = words.logits(model, pad(ROWS, model.config.pad_token_id))
    assert difference(padded, expected) < 1e-5
    assert difference(torch.from_numpy(score(model, words, ROWS, 2, "cpu")), expected) < 1e-5
    with compact_vocabulary(model, words, Dataset.from_dict({"input_ids": ROWS})) as compact:
        assert difference(torch.from_numpy(score(model, compact, ROWS, 2, "cpu")), expected) < 1e-5
    assert difference(torch.from_numpy(score(model, words, ROWS, 2, "cpu")), expected) < 1e-5


@pytest.mark.parametrize("name", CONFIGS)
def test_features_are_the_mean_of_the_backbones_output(name: str) -> None:
    model = make(name, head=False)
    with torch.no_grad():
        expected = [model.base_model(input_ids=torch.tensor([row])).last_hidden_state[0].mean(0) for row in ROWS]
    assert difference(torch.from_numpy(score(model, Features(), ROWS, 2, "cpu")), torch.stack(expected)) < 1e-5


@pytest.mark.parametrize("name", WITHOUT_CLASSIFIER)
def test_a_family_without_a_classifier_in_transformers_is_refused_by_name(name: str, tmp_path: Path) -> None:
    make(name, head=False).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=f"found the model type {name}, which has no classifier in transformers"):
        checks.check_config(tmp_path, stored_types(tmp_path))


@pytest.mark.parametrize("name", PACKED)
def test_names_are_known_and_nothing_is_dropped_where_all_dropouts_are_nought(name: str) -> None:
    model = make(name, head=True)
    assert not families.has_dropout(model.config)
    assert not any(module.p for module in model.modules() if isinstance(module, torch.nn.Dropout))
    embedded = {n for n, _ in model.named_parameters() if families.is_embedding(n)}
    assert {id(p) for p in model.get_input_embeddings().parameters()} <= {id(model.get_parameter(n)) for n in embedded}
    assert not any(layers.block_number(n) >= 0 for n in embedded)
    assert any(families.in_attention(n) for n in layers.linear_layers(model))


@pytest.mark.parametrize("dropout", [0.0, 1e-9])
@pytest.mark.parametrize("causal", [True, False])
def test_a_window_hides_what_lies_farther_off_on_every_device(causal: bool, dropout: float) -> None:
    """Against attention written out, review by review; on a GPU in fp32 the row is padded. Gradients too."""
    sizes, window = [9, 3, 5], 4
    states = [torch.randn(1, 2, sum(sizes), 8, requires_grad=True) for _ in range(3)]
    module: Any = torch.nn.Module()
    module.is_causal = causal
    batch = VarlenPacker(0)([[5] * size for size in sizes])
    wanted = []
    for q, k, v in zip(*(torch.split(state[0], sizes, dim=1) for state in states), strict=True):
        away = torch.arange(q.shape[1])[:, None] - torch.arange(q.shape[1])
        hidden = (away.abs() >= window) | (causal & (away < 0))
        weights = (q @ k.transpose(1, 2) * 0.3).masked_fill(hidden, -torch.inf).softmax(-1)
        wanted.append((weights @ v).transpose(0, 1))
    direction = torch.randn(1, sum(sizes), 2, 8)
    expected = torch.cat(wanted)[None]
    for attention in (packing.attend_packed, varlen.attend_varlen):
        places = {key: batch[key] for key in ("lengths", "offsets", "real", "slots")}
        found, _ = attention(module, *states, None, dropout, 0.3, sliding_window=window, **places)
        assert difference(found, expected) < 1e-5
        both = (torch.autograd.grad((a * direction).sum(), states, retain_graph=True) for a in (found, expected))
        assert all(difference(mine, theirs) < 1e-4 for mine, theirs in zip(*both, strict=True))

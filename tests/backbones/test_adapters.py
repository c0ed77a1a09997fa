"""LoRA: against the formula of the paper, and against what peft and transformers make of the written folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, pipeline

from sentiment.backbones import adapters, checks, loading
from sentiment.pipeline.errors import InputError
from sentiment.pipeline.params import LoraParams
from sentiment.tokens import tokenizer
from tests.conftest import FAMILIES, LANGUAGE_MODELS, run_stages
from tests.engine.test_heads import asked_of

Change = Callable[..., None]
Tiny = Callable[[str], Path]
LORA = {"rank": 2, "alpha": 8, "dropout": 0.0, "modules": "attention", "save": "merged"}
INPUTS = {"input_ids": torch.tensor([[5, 6, 7, 8]]), "attention_mask": torch.ones(1, 4, dtype=torch.int64)}


def classifier(folder: Path) -> torch.nn.Module:
    return loading.load_classifier(folder, tokenizer.load_tokenizer(folder), seed=3)


def stir(model: torch.nn.Module) -> None:
    """Give the adapters weights as if they had learnt; fresh ones add nothing."""
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if ".lora_" in name:
            torch.nn.init.normal_(parameter, std=0.3)


@pytest.mark.parametrize("family", FAMILIES)
def test_fresh_adapters_change_nothing_and_merged_ones_are_the_papers_sum(family: str, tiny_models: Tiny) -> None:
    """Hu et al., section 4.1: W + alpha / rank * B A."""
    model, plain = classifier(tiny_models(family)).eval(), classifier(tiny_models(family)).eval()
    adapters.inject(model, LoraParams(**{**LORA, "modules": "all"}), 0)
    with torch.no_grad():
        assert torch.equal(model(**INPUTS).logits, plain(**INPUTS).logits)
        stir(model)
        matrices = {n: p.clone() for n, p in model.named_parameters() if ".lora_" in n}
        asked = model(**INPUTS).logits
        adapters.merge(model)
        assert torch.allclose(model(**INPUTS).logits, asked, atol=1e-5)
        assert not torch.allclose(asked, plain(**INPUTS).logits, atol=1e-3)
    merged = dict(model.named_parameters())
    assert set(merged) == {name for name, _ in plain.named_parameters()}
    touched = {name.split(".lora_")[0] + ".weight" for name in matrices}
    for name, weight in plain.named_parameters():
        if name not in touched:
            assert torch.equal(merged[name], weight)
            continue
        layer = name.removesuffix(".weight")
        added = matrices[f"{layer}.lora_B.default.weight"] @ matrices[f"{layer}.lora_A.default.weight"] * 8 / 2
        expected = weight + (added.T if family == "gpt2" else added)  # GPT-2's Conv1D holds the transposed matrix
        assert torch.allclose(merged[name], expected, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_adapters_and_head_learn_and_nothing_else(family: str, tiny_models: Tiny) -> None:
    model = classifier(tiny_models(family))
    inside = {name for name, _ in model.named_parameters() if name.startswith(model.base_model_prefix)}
    adapters.inject(model, LoraParams(**LORA), 1)
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert {name for name in learning if ".lora_" not in name} == {
        name for name, _ in classifier(tiny_models(family)).named_parameters() if name not in inside
    }
    matrices = [name for name in learning if ".lora_" in name]
    assert matrices
    assert all(".1." in name and ("attn" in name or "attention" in name) for name in matrices)


def test_layers_may_be_named(tiny_models: Tiny) -> None:
    model = classifier(tiny_models("gpt2"))
    named = adapters.targets(model, ["c_attn"], 0)
    assert named == ["transformer.h.0.attn.c_attn", "transformer.h.1.attn.c_attn"]
    both = adapters.targets(model, ["attn.c_proj"], 0)
    assert both == ["transformer.h.0.attn.c_proj", "transformer.h.1.attn.c_proj"]
    assert len(adapters.targets(model, "all", 0)) == 8
    assert len(adapters.targets(model, "attention", 1)) == 2


def test_what_cannot_be_adapted_is_refused(tiny_models: Tiny) -> None:
    model = classifier(tiny_models("gpt2"))
    with pytest.raises(InputError, match=r"train\.lora\.modules: found query, allowed: c_attn, c_fc, c_proj"):
        adapters.targets(model, ["query"], 0)
    with pytest.raises(InputError, match=r"frozen_blocks: found 2, which leaves no block for the adapters"):
        adapters.targets(model, "all", 2)
    with pytest.raises(InputError, match="frozen_blocks: all leaves no block"):
        adapters.inject(model, LoraParams(**LORA), "all")


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("save", ["merged", "adapter"])
@pytest.mark.parametrize("family", FAMILIES)
def test_lora_goes_through_all_stages(family: str, save: str, small: Change) -> None:
    """By itself, transformers reads the folder, adapters included, and predicts what evaluate wrote."""
    small(family, **{"train.epochs": 2, "train.learning_rate": 0.01, "train.lora": {**LORA, "save": save}})
    run_stages("prepare", "base", "tokenize", "train", "evaluate")
    table = pd.read_parquet("data/predictions/test.parquet")
    classify = pipeline("text-classification", model="models/finetuned", device="cpu", top_k=None)
    for row in table.head(8).itertuples():
        [answers] = classify([row.text], truncation=True, max_length=48)
        assert {a["label"]: a["score"] for a in answers}["positive"] == pytest.approx(
            row.probability_positive, abs=1e-4
        )
    base = {f.name: f.read_bytes() for f in Path("models/base").glob("*.safetensors")}
    after = {f.name: f.read_bytes() for f in Path("models/finetuned").glob("*.safetensors")}
    changed = {name for name in base if name in after and base[name] != after[name]}
    written = Path("models/finetuned", adapters.CONFIG)
    if save == "adapter":
        assert changed == set()
        assert after[adapters.WEIGHTS]
        config = json.loads(written.read_text())
        assert (config["r"], config["lora_alpha"], config["peft_type"]) == (2, 8, "LORA")
        assert config["target_modules"] == sorted(config["target_modules"])
    else:
        assert changed
        assert all(any(c.isdigit() for c in name) for name in changed)
        assert not written.exists()
        assert all(".lora_" not in key for name in after for key in load_file(f"models/finetuned/{name}"))


def test_label_words_take_adapters_too(small: Change, tiny_models: Tiny) -> None:
    asked = asked_of(tiny_models("gpt2"))
    small(
        "gpt2",
        **{f"tokenize.{key}": asked[key] for key in ("prompt", "label_words")},
        **{"model.formulation": "label_words", "train.lora": {**LORA, "save": "adapter"}, "train.learning_rate": 0.01},
    )
    run_stages("prepare", "base", "tokenize", "train", "evaluate")
    import transformers

    model = getattr(transformers, LANGUAGE_MODELS["gpt2"]).from_pretrained("models/finetuned")
    assert any(".lora_" in name for name, _ in model.named_parameters())
    table = pd.read_parquet("data/predictions/test.parquet")
    assert (table["probability_positive"] - table["base_probability_positive"]).abs().max() > 1e-3


def test_twice_gives_the_same_bytes(small: Change) -> None:
    small("bert", **{"train.lora": {**LORA, "save": "adapter", "dropout": 0.1}})
    run_stages("prepare", "base", "tokenize")
    contents = []
    for _ in range(2):
        run_stages("train")
        contents.append({f.name: f.read_bytes() for f in sorted(Path("models/finetuned").iterdir())})
    assert contents[0] == contents[1]


def test_a_folder_with_an_adapter_is_not_taken_for_a_base(tiny_models: Tiny, tmp_path: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(tiny_models("bert"))
    model.save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").touch()
    (tmp_path / adapters.CONFIG).write_text("{}")
    with pytest.raises(InputError, match="holds an adapter beside its weights"):
        checks.check_folder(tmp_path)


def test_scale_is_alpha_over_rank(tiny_models: Tiny) -> None:
    """A sanity of the formula's scale: twice alpha moves the logits' change about twice as far, for small changes."""
    changes = []
    for alpha in (0.02, 0.04):
        model = classifier(tiny_models("gpt2")).eval()
        with torch.no_grad():
            before = model(**INPUTS).logits
            adapters.inject(model, LoraParams(**{**LORA, "alpha": alpha}), 0)
            stir(model)
            changes.append((model(**INPUTS).logits - before).numpy())
    assert np.allclose(changes[1], 2 * changes[0], rtol=0.05, atol=1e-4)

"""A model that trains with the rows of occurring tokens alone ends where the plain one does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from datasets import Dataset
from safetensors.torch import load_file
from torch.nn import functional

from sentiment.backbones import layers
from sentiment.checkpoints.manifest import Manifest
from sentiment.engine import heads
from sentiment.engine.batches import pad
from sentiment.engine.heads import LabelWords
from sentiment.tokens.encoding import encode
from sentiment.tokens.tokenizer import load_tokenizer
from sentiment.training.compact_vocabulary import CompactEmbedding, compact_vocabulary
from tests.conftest import FAMILIES, LANGUAGE_MODELS, TEXTS, make_tiny_model, manifest, run_stages
from tests.engine.test_heads import asked_of

Change = Callable[..., None]
Tiny = Callable[[str], Path]

LABELS = torch.tensor([1, 0, 0])


def llama_tied(folder: Path) -> Path:
    """A tiny Llama whose output embeddings are its input embeddings."""
    make_tiny_model("llama", folder)
    model = transformers.LlamaForCausalLM.from_pretrained(folder, tie_word_embeddings=True)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(params=[*FAMILIES, "llama tied"])
def folder(request: pytest.FixtureRequest, tiny_models: Tiny, tmp_path: Path) -> Path:
    return llama_tied(tmp_path / "tied") if request.param == "llama tied" else tiny_models(request.param)


def manifest_of(folder: Path, formulation: str) -> Manifest:
    return manifest(**{**asked_of(folder), "formulation": formulation})


def rows_of(folder: Path, stated: Manifest) -> Dataset:
    """The first three of the texts, as the stage tokenize writes them."""
    tokenizer = load_tokenizer(folder)
    encoded = encode(tokenizer, TEXTS[:3], stated)
    return Dataset.from_dict({"input_ids": encoded.ids})


def ask(formulation: heads.Formulation, model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    return formulation.logits(model, batch)


def step(model: torch.nn.Module, loss: torch.Tensor) -> None:
    """One step of AdamW, without decay, on a clipped gradient."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.0)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    model.zero_grad()


def plain_loss(folder: Path, stated: Manifest, model: Any, words: Any, batch: dict[str, torch.Tensor]) -> Any:
    """The loss as transformers alone computes it, all logits of the vocabulary among it."""
    if stated.has_head:
        return functional.cross_entropy(model(**batch).logits, LABELS)
    tokenizer = load_tokenizer(folder)
    logits = model(**batch).logits  # [reviews, tokens, vocabulary]
    places = [
        row.index(tokenizer.mask_token_id) if tokenizer.mask_token else int(mask.sum()) - 1
        for row, mask in zip(batch["input_ids"].tolist(), batch["attention_mask"], strict=True)
    ]
    asked = logits[range(3), places].softmax(-1)
    negative, positive = (asked[:, list(group)].sum(1) for group in words)
    right = torch.where(LABELS == 1, positive, negative) / (negative + positive)
    return -right.log().mean()


@pytest.mark.parametrize("formulation", ["head", "label_words"])
def test_a_step_is_plain_adamw_and_absent_rows_stay(folder: Path, formulation: str) -> None:
    """In float64, so that Adam's first step, a sign, is no sign of rounding noise."""
    stated = manifest_of(folder, formulation)
    tokenizer, rows = load_tokenizer(folder), rows_of(folder, manifest_of(folder, formulation))
    model, asked = heads.load(folder, tokenizer, stated, seed=3)
    plain, _ = heads.load(folder, tokenizer, stated, seed=3)
    model, plain = model.double(), plain.double()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    batch = pad(rows["input_ids"][:], tokenizer.pad_token_id)

    with compact_vocabulary(model, asked, rows) as compact:
        assert len(model.get_input_embeddings().weight) < 0.8 * len(tokenizer)
        step(model, functional.cross_entropy(ask(compact, model, batch), LABELS))
    words = asked.words if isinstance(asked, LabelWords) else ()
    step(plain, plain_loss(folder, stated, plain, words, batch))

    after, expected = model.state_dict(), plain.state_dict()
    assert set(after) == set(expected) == set(before)
    for name, tensor in expected.items():
        assert (after[name] - tensor).abs().max() < 1e-6, name
    used = {token for row in rows["input_ids"] for token in row} | {token for group in words for token in group}
    absent = sorted(set(range(len(tokenizer))) - used)
    assert len(absent) > 20
    table = next(name for name, p in model.named_parameters() if p is model.get_input_embeddings().weight)
    assert torch.equal(after[table][absent], before[table][absent])
    assert not torch.equal(after[table], before[table])
    assert type(model.get_input_embeddings()) is torch.nn.Embedding


@pytest.mark.parametrize("formulation", ["head", "label_words"])
def test_a_checkpoint_written_meanwhile_is_read_back_meanwhile(folder: Path, formulation: str, tmp_path: Path) -> None:
    stated = manifest_of(folder, formulation)
    tokenizer, rows = load_tokenizer(folder), rows_of(folder, stated)
    model, asked = heads.load(folder, tokenizer, stated, seed=3)
    batch = pad(rows["input_ids"][:], tokenizer.pad_token_id)
    with compact_vocabulary(model, asked, rows) as compact:
        step(model, ask(compact, model, batch).sum())
        trained = ask(compact, model, batch).detach()
        model.save_pretrained(tmp_path / "checkpoint")
        step(model, ask(compact, model, batch).sum())
        assert not torch.allclose(ask(compact, model, batch), trained)
        model.load_state_dict(load_file(tmp_path / "checkpoint" / "model.safetensors"), strict=False)
    model.save_pretrained(tmp_path / "whole")
    whole = type(model).from_pretrained(tmp_path / "whole")
    assert len(whole.get_input_embeddings().weight) == len(tokenizer)
    assert torch.allclose(ask(asked, whole, batch), trained, atol=1e-6)


def test_a_token_that_never_occurred_is_refused(tiny_models: Tiny) -> None:
    stated = manifest_of(tiny_models("gpt2"), "head")
    tokenizer, rows = load_tokenizer(tiny_models("gpt2")), rows_of(tiny_models("gpt2"), stated)
    model, asked = heads.load(tiny_models("gpt2"), tokenizer, stated, seed=3)
    absent = next(iter(set(range(400)) - {token for row in rows["input_ids"] for token in row} - {0}))
    with (
        compact_vocabulary(model, asked, rows) as compact,
        pytest.raises(IndexError, match="out of range"),
    ):
        ask(compact, model, pad([[absent]], 0))


def test_nothing_is_drawn_from_the_seed(tiny_models: Tiny) -> None:
    """Dropout is then the same with and without."""
    stated = manifest_of(tiny_models("bert"), "head")
    tokenizer, rows = load_tokenizer(tiny_models("bert")), rows_of(tiny_models("bert"), stated)
    model, asked = heads.load(tiny_models("bert"), tokenizer, stated, seed=3)
    state = torch.get_rng_state()
    with compact_vocabulary(model, asked, rows):
        assert torch.equal(torch.get_rng_state(), state)


def test_frozen_embeddings_are_left_alone(tiny_models: Tiny) -> None:
    stated = manifest_of(tiny_models("gpt2"), "head")
    tokenizer, rows = load_tokenizer(tiny_models("gpt2")), rows_of(tiny_models("gpt2"), stated)
    model, asked = heads.load(tiny_models("gpt2"), tokenizer, stated, seed=3)
    layers.freeze(model, 1)
    weight = model.get_input_embeddings().weight
    with compact_vocabulary(model, asked, rows) as compact:
        assert compact is asked
        assert model.get_input_embeddings().weight is weight
        assert not isinstance(model.get_input_embeddings(), CompactEmbedding)


@pytest.mark.parametrize("formulation", ["head", "label_words"])
def test_the_stage_leaves_absent_rows_as_the_base_has_them(
    formulation: str, small: Change, trained: None, tiny_models: Tiny
) -> None:
    """Also when an earlier checkpoint is loaded back, and with the weight decay of plain AdamW on the rest."""
    asked = asked_of(tiny_models("gpt2"))
    params = {"tokenize.prompt": asked["prompt"], "tokenize.label_words": asked["label_words"]}
    small("gpt2", **params, **{"model.formulation": formulation, "train.epochs": 3, "train.learning_rate": 0.05,
                               "train.weight_decay": 0.5, "train.early_stopping_patience": 9})  # fmt: skip
    run_stages("prepare", "base", "tokenize", "train")
    kind = getattr(transformers, LANGUAGE_MODELS["gpt2"]) if formulation == "label_words" else None
    after = (kind or transformers.AutoModelForSequenceClassification).from_pretrained("models/finetuned")
    before = transformers.AutoModel.from_pretrained("models/base")
    used = {
        token
        for split in ("train", "validation")
        for row in Dataset.load_from_disk(f"data/tokenized/{split}")["input_ids"]
        for token in row
    }
    old, new = before.get_input_embeddings().weight, after.get_input_embeddings().weight
    same = {token for token in range(len(old)) if torch.equal(old[token], new[token])}
    assert len(same) > 50
    assert not same & (used - {0})  # the end-of-text token pads, and does so unseen
    assert len(set(range(len(old))) - same - used) <= 1 + (3 if formulation == "label_words" else 0)

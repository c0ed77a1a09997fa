"""A model that was scored, or trained for a while, is the model it was before: its answers, state and attributes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset

from sentiment.backbones import layers, loading
from sentiment.engine import onednn
from sentiment.engine.batches import Collator, pad
from sentiment.engine.heads import Head
from sentiment.engine.packed import packed
from sentiment.engine.scoring import score
from sentiment.tokens.tokenizer import load_tokenizer
from sentiment.training.frozen_prefix import computed_once
from tests.conftest import FAMILIES

Tiny = Callable[[str], Path]
IDS = [[5, 6, 7, 8], [9, 10], [11, 12, 13], [14]]


@pytest.fixture(autouse=True)
def all_means(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the linear layers' kernels on too, whatever their size and the processor."""
    monkeypatch.setattr(onednn, "available", torch.backends.mkldnn.is_available)
    monkeypatch.setattr(onednn, "MIN_WEIGHTS", 0)


def classifier(family: str, tiny_models: Tiny, dropout: float | None = None) -> Any:
    return loading.load_classifier(tiny_models(family), load_tokenizer(tiny_models(family)), 3, dropout)


class Failing(Head):
    """Fails when the model is to compute."""

    def logits(self, model: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        assert not model.training
        raise ZeroDivisionError


def attributes(model: torch.nn.Module) -> dict[str, dict[str, Any]]:
    """What every module holds beside parameters and submodules, by name; and which of its parameters learn."""
    return {
        name: {
            **{key: str(value) for key, value in vars(module).items() if key not in ("_parameters", "_modules")},
            "learning": [key for key, p in module.named_parameters(recurse=False) if p.requires_grad],
        }
        for name, module in model.named_modules()
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_a_scored_model_answers_a_padded_call_as_one_that_was_never_scored(family: str, tiny_models: Tiny) -> None:
    model, never = (classifier(family, tiny_models) for _ in range(2))
    score(model, Head(), IDS, 2, "cpu")
    with torch.no_grad():
        batch = pad(IDS, model.config.pad_token_id)
        assert torch.equal(model(**batch).logits, never(**batch).logits)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_state_config_and_attributes_are_as_before(family: str, training: bool, tiny_models: Tiny) -> None:
    model = classifier(family, tiny_models, dropout=0.1).train(training)
    layers.freeze(model, 1)
    attributes_before, state, config = attributes(model), copy.deepcopy(model.state_dict()), model.config.to_dict()
    with packed(model, "cpu"):
        assert attributes(model) != attributes_before
    with pytest.raises(ZeroDivisionError), packed(model, "cpu"):
        raise ZeroDivisionError
    assert attributes(model) == attributes_before
    with pytest.raises(ZeroDivisionError):
        score(model, Failing(), IDS, 2, "cpu")
    assert attributes(model) == attributes_before
    score(model, Head(), IDS, 2, "cpu")
    assert attributes(model) == attributes_before
    assert model.config._attn_implementation == "sdpa"
    assert model.config.to_dict() == config
    assert model.state_dict().keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_a_model_is_packed_once_at_a_time(device: str, tiny_models: Tiny) -> None:
    model, other = (classifier("gpt2", tiny_models) for _ in range(2))
    with packed(model, device):
        with pytest.raises(RuntimeError, match="packed already"), packed(model, device):
            pass
        with packed(other, device):
            pass
    with packed(model, device):
        pass


def test_scoring_in_the_middle_of_a_run_with_frozen_blocks_changes_no_logit_of_its_rest(
    tiny_models: Tiny, tmp_path: Path
) -> None:
    """The two blocks' input is read from the file; `score` once took the second one's reading away."""
    model = classifier("gpt2", tiny_models, dropout=0.0)
    layers.freeze(model, 1)
    rows = Dataset.from_dict({"input_ids": IDS, "length": [len(row) for row in IDS], "label": [0, 1, 1, 0]})
    with ExitStack() as stack:
        packer: Any = stack.enter_context(packed(model, "cpu"))
        once = computed_once(model, Head(), packer, [rows], tmp_path / "prefix")
        states, [read] = stack.enter_context(once)
        assert states is not None
        batch = Collator(packer, states)(read.to_list())
        batch.pop("labels")
        model.train()
        before = Head().logits(model, batch)
        with pytest.raises(RuntimeError, match="packed already"):
            score(model, Head(), IDS, 2, "cpu")
        assert torch.equal(Head().logits(model, batch), before)
        assert model.training
        with torch.inference_mode():
            middle = Head().logits(model.eval(), packer(IDS)).numpy()
        model.train()
        assert torch.equal(Head().logits(model, batch), before)
    assert np.abs(score(model, Head(), IDS, 2, "cpu") - middle).max() < 1e-6
    with torch.no_grad():
        assert np.abs(model.eval()(**pad(IDS, model.config.pad_token_id)).logits.numpy() - middle).max() < 1e-4

"""A frozen part that is read from a file: the same losses and gradients as the plain padded model's, computed once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from torch.nn import functional

from sentiment.backbones import adapters, layers
from sentiment.engine.batches import Collator
from sentiment.engine.heads import Formulation
from sentiment.engine.packing import Packer
from sentiment.pipeline.params import LoraParams
from sentiment.training import frozen_prefix, trainer
from sentiment.training.frozen_prefix import START, Prefix, first_to_learn
from tests.conftest import FAMILIES, Pack, run_stages
from tests.engine.test_packing import (
    KINDS,
    LABELS,
    Rows,
    Tiny,
    count_equal,
    difference,
    gradients,
    load,
    reference_logits,
)

Change = Callable[..., None]


def rows_of(ids: Rows) -> Dataset:
    """Token ids as the stage tokenize writes them."""
    labels = LABELS[: len(ids)].tolist()
    return Dataset.from_dict({"input_ids": ids, "length": [len(row) for row in ids], "label": labels})


Compute = Callable[[Any, Formulation, Packer, Rows], tuple[Prefix | None, Dataset]]


@pytest.fixture
def computed(tmp_path: Path) -> Iterator[Compute]:
    """What gives the prefix of all reviews, computed in two splits, and the rows of the first."""
    with ExitStack() as stack:

        def compute(ours: Any, formulation: Formulation, packer: Packer, ids: Rows) -> tuple[Prefix | None, Dataset]:
            splits = [rows_of(ids), rows_of([[5, 6], *ids[:2]])]
            once = frozen_prefix.computed_once(ours, formulation, packer, splits, tmp_path / "prefix")
            states, (train_rows, other) = stack.enter_context(once)
            if states is not None:
                repeated = states([other[1]])  # the same review, in another split
                first = states([train_rows[0]])
                assert all(difference(value, first[name]) < 1e-5 for name, value in repeated.items())
            return states, train_rows

        yield compute


@pytest.mark.parametrize("blocks", [1, 2, "all"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_loss_and_gradients_are_the_padded_models(
    family: str,
    kind: str,
    blocks: int | str,
    tiny_models: Tiny,
    tmp_path: Path,
    pack: Pack,
    computed: Compute,
) -> None:
    ours, formulation, plain, ids = load(family, kind, tiny_models, tmp_path)
    if kind == "label_words" and blocks == "all" and family in ("gpt2", "llama"):
        blocks = 2  # nothing stands above their backbone but the tied embedding
    for model in (ours, plain):
        layers.freeze(model, blocks)
    # where all blocks are frozen by number, a norm above them learns, or a pooler
    above = family in ("gpt2", "llama") or (family, kind) == ("bert", "head")
    assert first_to_learn(ours) == (1 if blocks == 1 or (blocks == 2 and above) else None)
    packer = pack(ours)
    states, rows = computed(ours, formulation, packer, ids)
    assert states is not None
    chosen = [3, 0, 6, 5, 1, 1]
    batch = Collator(packer, states)(rows.select(chosen).to_list())
    labels = batch.pop("labels")
    assert labels.tolist() == LABELS[chosen].tolist()
    logits = formulation.logits(ours.train(), batch)
    expected = reference_logits(plain.train(), formulation, [ids[i] for i in chosen])
    assert difference(logits, expected) < 1e-5
    found = gradients(ours, functional.cross_entropy(logits, labels))
    wanted = gradients(plain, functional.cross_entropy(expected, labels))
    assert count_equal(found, wanted) >= 1


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_frozen_is_not_computed_again(
    family: str,
    tiny_models: Tiny,
    tmp_path: Path,
    pack: Pack,
    computed: Compute,
) -> None:
    ours, formulation, _, ids = load(family, "head", tiny_models, tmp_path)
    calls: list[int] = []
    for number, block in enumerate(layers.blocks_of(ours)):
        attention = next(m for name, m in block.named_children() if "attn" in name or "attention" in name)
        attention.register_forward_hook(lambda *_, number=number: calls.append(number))
    layers.freeze(ours, 1)
    packer = pack(ours)
    states, rows = computed(ours, formulation, packer, ids)
    assert calls == [0]  # one batch of all reviews, and no block that learns
    batch = Collator(packer, states)(rows.to_list())
    batch.pop("labels")
    read = formulation.logits(ours.train(), batch)
    assert calls == [0, 1]
    plain = formulation.logits(ours, packer(ids))  # a batch without states, as later stages make them
    assert calls == [0, 1, 0, 1]
    assert difference(read, plain) < 1e-5


def test_adapters_learn_above_the_prefix(
    tiny_models: Tiny,
    tmp_path: Path,
    pack: Pack,
    computed: Compute,
) -> None:
    ours, formulation, _, ids = load("gpt2", "head", tiny_models, tmp_path)
    adapters.inject(ours, LoraParams(rank=2, alpha=4.0, dropout=0.0, modules="attention", save="merged"), 1)
    assert first_to_learn(ours) == 1
    packer = pack(ours)
    batch = packer(ids)
    expected = gradients(ours, functional.cross_entropy(formulation.logits(ours, batch), LABELS))
    states, rows = computed(ours, formulation, packer, ids)
    batch = Collator(packer, states)(rows.to_list())
    batch.pop("labels")
    found = gradients(ours, functional.cross_entropy(formulation.logits(ours, batch), LABELS))
    assert max(float(g.abs().max()) for name, g in expected.items() if "lora_B" in name) > 1e-6
    assert all(torch.allclose(found[name], g, atol=1e-6) for name, g in expected.items())


@pytest.mark.parametrize("frozen", [1, "all"])
def test_a_run_learns_the_same_weights(frozen: int | str, small: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    """With resampling, evaluations in between and two epochs, against the same run without the file."""
    small("gpt2", **{"train.frozen_blocks": frozen, "train.epochs": 2, "train.sampling": "oversample"})
    run_stages("prepare", "base", "tokenize", "train")
    with_file = {file.name: load_file(file) for file in Path("models/finetuned").glob("*.safetensors")}
    history = json.loads(Path("metrics/train.json").read_text())
    assert not list(Path(".dvc/tmp/scratch").iterdir())
    monkeypatch.setattr(trainer, "reads_prefix_again", lambda params: False)
    run_stages("train")
    for name, tensors in with_file.items():
        for key, tensor in load_file(Path("models/finetuned", name)).items():
            assert torch.allclose(tensor, tensors[key], atol=2e-5), key
    plain = json.loads(Path("metrics/train.json").read_text())
    assert plain["best_step"] == history["best_step"]
    assert plain["validation"]["log_loss"] == pytest.approx(history["validation"]["log_loss"], abs=1e-4)


def test_dropout_or_too_little_space_means_no_file(
    tiny_models: Tiny,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    pack: Pack,
    computed: Compute,
) -> None:
    ours, formulation, _, ids = load("gpt2", "head", tiny_models, tmp_path)
    layers.freeze(ours, 1)
    ours.config.resid_pdrop = 0.1
    packer = pack(ours)
    assert computed(ours, formulation, packer, ids)[0] is None
    ours.config.resid_pdrop = 0.0
    monkeypatch.setattr(frozen_prefix.shutil, "disk_usage", lambda folder: SimpleNamespace(free=1000))  # type: ignore[attr-defined]
    states, rows = computed(ours, formulation, packer, ids)
    assert states is None
    assert START not in rows.column_names
    assert "computed in every epoch" in capsys.readouterr().err
    assert not (tmp_path / "prefix").exists()


def test_one_epoch_needs_no_file(small: Change, capsys: pytest.CaptureFixture[str]) -> None:
    small("gpt2", **{"train.frozen_blocks": 1, "train.epochs": 1})
    run_stages("prepare", "base", "tokenize", "train")
    assert "frozen part" not in capsys.readouterr().err

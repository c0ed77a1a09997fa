"""Exact changes, against NumPy on whole tensors; changes of layers, against transformers' own merged models."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from sentiment.backbones import adapters, loading
from sentiment.checkpoints.blocks import block_of, round_changed, save_blocks
from sentiment.evaluation.deltas import WeightDelta, layer_deltas, measure_delta, together
from sentiment.pipeline.errors import InputError
from sentiment.pipeline.params import LoraParams
from sentiment.tokens.tokenizer import load_tokenizer
from tests.backbones.test_adapters import LORA, stir
from tests.conftest import FAMILIES

Tiny = Callable[[str], Path]


def cut(numbers: np.ndarray) -> list[np.ndarray]:
    """An array in pieces of 100."""
    return np.split(numbers, range(100, len(numbers), 100))


def pair(random: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Two arrays of which a third of the entries differ."""
    before = random.standard_normal(size)
    return before, before + np.where(random.random(size) < 0.33, random.standard_normal(size), 0.0)


@pytest.mark.parametrize("size", [1, 100, 1234])
def test_the_measures_are_numpys(size: int) -> None:
    for seed in range(20):
        before, after = pair(np.random.default_rng(seed), size)
        change = measure_delta(cut(before), cut(after), "t")
        added = after - before
        assert change.size == size
        assert change.norm == pytest.approx(np.linalg.norm(added))
        assert change.relative == pytest.approx(np.linalg.norm(added) / np.linalg.norm(before))
        cosine = before @ after / np.linalg.norm(before) / np.linalg.norm(after)
        assert change.cosine == pytest.approx(cosine, abs=1e-12)
        assert change.largest == np.abs(added).max()
        assert change.share == np.count_nonzero(added) / size


def test_several_tensors_together_are_one_long_tensor() -> None:
    pairs = [pair(np.random.default_rng(seed), 50 * seed + 1) for seed in range(4)]
    summed = together(measure_delta(cut(a), cut(b), "t") for a, b in pairs)
    long = measure_delta(*([np.concatenate(side)] for side in zip(*pairs, strict=True)), "t")
    for name in ("size", "largest", "changed"):
        assert getattr(summed, name) == getattr(long, name)
    for name in ("norm", "relative", "cosine", "share"):
        assert getattr(summed, name) == pytest.approx(getattr(long, name))


def test_an_estimate_among_exact_changes_leaves_unknown_what_it_does_not_know() -> None:
    summed = together([WeightDelta(3, 1.0, 1.0, 4.0, None, None), WeightDelta(2, 3.0, 1.0, 5.0, 0.5, 1)])
    assert (summed.size, summed.norm, summed.relative) == (5, 3.0, 1.5)
    assert summed.largest is summed.share is None


def test_the_edges() -> None:
    zero, one = [np.zeros(3)], [np.ones(3)]
    unchanged = measure_delta(one, one, "t")
    assert (unchanged.norm, unchanged.relative, unchanged.largest, unchanged.share) == (0.0, 0.0, 0.0, 0.0)
    assert unchanged.cosine == pytest.approx(1)
    assert measure_delta(zero, one, "t").relative is None
    assert measure_delta(zero, one, "t").cosine is None
    assert measure_delta(zero, zero, "t").relative == 0.0
    assert measure_delta(one, [-np.ones(3)], "t").cosine == pytest.approx(-1)
    nothing = measure_delta([], [], "t")
    assert (nothing.size, nothing.norm, nothing.share) == (0, 0.0, 0.0)
    for bad in (math.nan, math.inf):
        with pytest.raises(InputError, match=r"^t: holds numbers that are not finite"):
            measure_delta(one, [np.array([1.0, bad, 1.0])], "t")


def expected_changes(base: Path, changed: dict[str, torch.Tensor], prefix: str) -> dict[str, float]:
    """Norm of the difference over the norm before for each block, from whole tensors."""
    before = {name: t for file in base.glob("*.safetensors") for name, t in load_file(file).items()}
    squares: dict[str, list[float]] = {}
    for name, tensor in changed.items():
        if name in before:
            added, old = (tensor - before[name]).double(), before[name].double()
            sums = squares.setdefault(block_of(name, prefix), [0.0, 0.0])
            sums[0] += float((added**2).sum())
            sums[1] += float((old**2).sum())
    return {block: math.sqrt(added / old) for block, (added, old) in squares.items()}


@pytest.mark.parametrize("save", ["full", "merged", "adapter"])
@pytest.mark.parametrize("family", FAMILIES)
def test_layer_changes_are_those_of_the_merged_model(family: str, save: str, tiny_models: Tiny, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(tiny_models(family))
    save_blocks(*loading.pretrained_weights(tiny_models(family), tokenizer), tmp_path / "base")
    shutil.copy(tiny_models(family) / "config.json", tmp_path / "base")
    model = loading.load_classifier(tiny_models(family), tokenizer, seed=1)
    prefix = model.base_model_prefix
    if save == "full":
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.01 * torch.randn_like(parameter)
    else:
        adapters.inject(model, LoraParams(**{**LORA, "modules": "all", "save": save}), 1)
        stir(model)
    if save == "merged":
        adapters.merge(model)
    weights = adapters.without_adapters(loading.stored_weights(model))
    save_blocks(weights, prefix, tmp_path / "finetuned")
    if save == "adapter":
        adapters.save_adapters(model, tmp_path / "finetuned")
        adapters.merge(model)
    expected = expected_changes(tmp_path / "base", loading.stored_weights(model), prefix)
    found = layer_deltas(tmp_path / "base", tmp_path / "finetuned")
    assert dict(found) == pytest.approx(expected, rel=1e-5, abs=1e-9)
    names = [name for name, _ in found]
    numbered = [name for name in names if name[-1].isdigit()]
    assert numbered == sorted(numbered)
    assert len(numbered) == 2
    assert "embed" in names[0] or names[:2] == ["transformer.wpe", "transformer.wte"]
    assert not {"score", "classifier", "pre_classifier"} & set(names)
    if save != "full":
        moved = {name for name, change in found if change > 0}
        assert moved == {numbered[1]}  # the lowest block got no adapter


def test_weights_rounded_to_bf16_have_moved_to_where_torch_rounds_them(tiny_models: Tiny, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(tiny_models("gpt2"))
    weights, prefix = loading.pretrained_weights(tiny_models("gpt2"), tokenizer)
    save_blocks(weights, prefix, tmp_path / "base")
    moved = {n: t if ".h.0." in n else t + 0.01 * torch.randn_like(t) for n, t in weights.items()}
    save_blocks(moved, prefix, tmp_path / "tuned")
    round_changed(tmp_path / "tuned", tmp_path / "base")
    rounded = {n: t if ".h.0." in n else t.to(torch.bfloat16).float() for n, t in moved.items()}
    expected = expected_changes(tmp_path / "base", rounded, prefix)
    assert dict(layer_deltas(tmp_path / "base", tmp_path / "tuned")) == pytest.approx(expected, rel=1e-5)
    assert expected["transformer.h.0"] == 0


def test_blocks_stand_in_the_order_of_the_layers(tmp_path: Path) -> None:
    """Twelve layers sort by number; norms follow, then heads; a head of another shape relates to nothing."""
    names = ["wte", "wpe", *(f"h.{n}" for n in range(12)), "ln_f"]
    weights = {f"transformer.{name}.weight": torch.ones(4) for name in names}
    save_blocks(
        {**weights, "score.weight": torch.ones(3, 4), "lm.weight": torch.ones(2)}, "transformer", tmp_path / "a"
    )
    moved = {name: tensor * 1.5 for name, tensor in weights.items()}
    save_blocks({**moved, "score.weight": torch.ones(2, 4), "new.weight": torch.ones(2)}, "transformer", tmp_path / "b")
    found = layer_deltas(tmp_path / "a", tmp_path / "b")
    ordered = ["wpe", "wte", *(f"h.{n}" for n in range(12)), "ln_f"]
    assert found == [(f"transformer.{name}", pytest.approx(0.5)) for name in ordered]


def test_the_scale_of_rank_stabilised_adapters_is_the_root(tmp_path: Path) -> None:
    """Kalajdzievski 2023, https://arxiv.org/abs/2312.03732: alpha / sqrt(rank)."""
    torch.manual_seed(0)
    weight, up, down = torch.randn(6, 4), torch.randn(6, 3), torch.randn(3, 4)
    for folder in ("base", "tuned"):
        save_blocks({"m.h.0.w.weight": weight}, "m", tmp_path / folder)
    matrices = {"base_model.model.m.h.0.w.lora_A.weight": down, "base_model.model.m.h.0.w.lora_B.weight": up}
    save_file(matrices, tmp_path / "tuned" / adapters.WEIGHTS)
    for stabilised, scale in ((False, 9 / 3), (True, 9 / math.sqrt(3))):
        config = {"r": 3, "lora_alpha": 9, "use_rslora": stabilised, "fan_in_fan_out": False}
        (tmp_path / "tuned" / adapters.CONFIG).write_text(json.dumps(config))
        [(block, change)] = layer_deltas(tmp_path / "base", tmp_path / "tuned")
        assert block == "m.h.0"
        assert change == pytest.approx(float(scale * (up @ down).norm() / weight.norm()), rel=1e-5)

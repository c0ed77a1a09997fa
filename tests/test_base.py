"""The stage base: the miniature built, hub and local folders adopted, all with one file per block."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from sentiment.errors import InputError
from sentiment.params import catalog_entry
from stages import base
from tests.conftest import FAMILIES, LANGUAGE_MODELS, run_stages

Change = Callable[..., None]


@pytest.fixture
def tiny_builtin(workspace: Path, change: Change) -> Path:
    size = {"layers": 2, "width": 16, "heads": 2, "positions": 32, "vocabulary": 300}
    change("catalog.yaml", **{f"models.gpt2-mini.{key}": value for key, value in size.items()})
    change("params.yaml", **{"base.pretraining_rows": 64, "base.pretraining_block_size": 32})
    return workspace


def test_the_miniature_is_a_folder_that_transformers_loads(tiny_builtin: Path) -> None:
    run_stages("base")
    files = {file.name for file in (tiny_builtin / "models/base").iterdir()}
    blocks = {"wte", "wpe", "h.0", "h.1", "ln_f"}
    assert files == {f"model-transformer.{block}.safetensors" for block in blocks} | {
        "config.json",
        "model.safetensors.index.json",
        "model.sketches",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    model = AutoModelForCausalLM.from_pretrained("models/base")
    tokenizer = AutoTokenizer.from_pretrained("models/base")
    assert type(model).__name__ == "GPT2LMHeadModel"
    assert model.config.vocab_size == len(tokenizer) == 300
    text = "The plot is dull, but the acting is süperb. 👍"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    metrics = json.loads(Path("metrics/base.json").read_text())
    assert metrics["parameters"] == model.num_parameters()


def test_pre_training_lowers_the_loss_below_that_of_guessing(tiny_builtin: Path) -> None:
    run_stages("base")
    assert json.loads(Path("metrics/base.json").read_text())["pretraining"]["log_loss"] < torch.log(torch.tensor(300.0))


def test_the_seed_decides_the_weights(tiny_builtin: Path, change: Change) -> None:
    def files() -> dict[str, bytes]:
        run_stages("base")
        return {file.name: file.read_bytes() for file in (tiny_builtin / "models/base").iterdir()}

    first, again = files(), files()
    change("params.yaml", seed=1)
    other = files()
    assert first == again
    assert first["model-transformer.h.0.safetensors"] != other["model-transformer.h.0.safetensors"]


def test_blocks_longer_than_the_model_reads_are_refused(tiny_builtin: Path, change: Change) -> None:
    change("params.yaml", **{"base.pretraining_block_size": 33})
    with pytest.raises(InputError, match=r"pretraining_block_size: found 33, must be at most 32"):
        run_stages("base")


@pytest.mark.parametrize("family", FAMILIES)
def test_an_adopted_folder_keeps_its_weights(family: str, small: Change, tiny_models: Callable[[str], Path]) -> None:
    """The reference is the language model loaded from the original folder."""
    import transformers

    small(family)
    run_stages("base")
    kind = getattr(transformers, LANGUAGE_MODELS[family])
    original = kind.from_pretrained(tiny_models(family)).state_dict()
    adopted = kind.from_pretrained("models/base").state_dict()
    assert original.keys() == adopted.keys()
    assert all(torch.equal(tensor, adopted[name]) for name, tensor in original.items())
    assert len(list(Path("models/base").glob("model-*.safetensors"))) >= 4


def test_a_missing_local_folder_is_said_clearly(workspace: Path, change: Change) -> None:
    change("params.yaml", **{"model.name": "local"})
    with pytest.raises(InputError, match=r"models/local: no config\.json"):
        run_stages("base")


def test_a_hub_model_comes_from_the_snapshot(
    workspace: Path, change: Change, tiny_models: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def fetch(entry: object, where: str, kind: str, patterns: list[str]) -> Path:
        asked.extend([entry, where, kind])
        return tiny_models("gpt2")

    monkeypatch.setattr(base, "fetch", fetch)
    change("params.yaml", **{"model.name": "gpt2"})
    run_stages("base")
    assert asked == [catalog_entry("models", "gpt2"), "catalog.yaml: models.gpt2", "model"]
    assert Path("models/base/config.json").is_file()


def test_an_unavailable_device_is_refused_before_any_work(
    workspace: Path, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    change("params.yaml", device="cuda")
    with pytest.raises(InputError, match=r"device: found cuda, but torch .* sees none here; allowed: cpu"):
        run_stages("base")
    assert not Path("models").exists()

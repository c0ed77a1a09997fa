"""The stage base: the miniature built, hub and local folders adopted, all with one file per block."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from sentiment.pipeline.catalog import catalog_entry
from sentiment.pipeline.errors import InputError
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
    text = "The plot isn\u2019t dull, and the acting is SÜPERB 👍"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == " the plot isn't dull, and the acting is süperb 👍"
    same = ["A fine film", "A fine film.", "a FINE film!!", "a fine film ...\n"]
    assert len({tuple(tokenizer(form)["input_ids"]) for form in same}) == 1
    assert tokenizer("a fine film?")["input_ids"] != tokenizer("a fine film")["input_ids"]
    assert tokenizer.decode(tokenizer("...")["input_ids"]) == " ..."
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
    with pytest.raises(InputError, match=r"device: found cuda, but torch .* sees none here; allowed: auto, cpu"):
        run_stages("base")
    assert not Path("models").exists()


Tensors = dict[str, torch.Tensor]
ATTENTION = "transformer.h.1.attn.c_attn.weight"


@pytest.fixture
def mine(small: Change, change: Change, workspace: Path, tiny_models: Callable[[str], Path]) -> Callable[[str], Path]:
    """Put a copy of a family's tiny model into models/local of the workspace, to be spoilt by the test."""

    def put(family: str = "gpt2") -> Path:
        small(family)
        change("catalog.yaml", **{"models.local.path": "models/local"})
        return Path(shutil.copytree(tiny_models(family), "models/local"))

    return put


def rewrite(folder: Path, edit: Callable[[Tensors], Tensors]) -> None:
    weights = edit(load_file(folder / "model.safetensors"))
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, folder / "model.safetensors")


def configure(folder: Path, **values: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **values}))


def third_block(weights: Tensors) -> Tensors:
    return weights | {
        n.replace(".1.", ".2."): t.clone() for n, t in weights.items() if n.startswith("transformer.h.1.")
    }


SPOILT: dict[str, tuple[Callable[[Tensors], Tensors], str]] = {
    "another shape": (
        lambda w: {**w, ATTENTION: torch.ones(32, 95)},
        r"attn\.c_attn\.weight: found \[32, 95\], config\.json asks for \[32, 96\]",
    ),
    "a bias of another shape": (
        lambda w: {**w, "transformer.h.1.attn.c_attn.bias": torch.ones(95)},
        r"attn\.c_attn\.bias: found \[95\], config\.json asks for \[96\]",
    ),
    "embeddings of another shape": (
        lambda w: {**w, "transformer.wte.weight": torch.ones(100, 32)},
        r"transformer\.wte\.weight: found \[100, 32\], config\.json asks for \[\d+, 32\]",
    ),
    "a tensor left out": (
        lambda w: {name: tensor for name, tensor in w.items() if name != ATTENTION},
        r"transformer\.h\.1\.attn\.c_attn\.weight: missing",
    ),
    "a block emptied": (
        lambda w: {name: tensor for name, tensor in w.items() if ".h.1." not in name},
        r"transformer\.h\.1\.attn\.c_attn\.bias: missing, .* and 9 more",
    ),
    "a block that config.json does not know": (
        third_block,
        r"transformer\.h\.2\.attn.*: not in the model that config\.json describes",
    ),
    "names of DDP": (
        lambda w: {f"module.{name}": tensor for name, tensor in w.items()},
        r"transformer\.h\.0\.attn\.c_attn\.bias: missing.*names that the model does not have: module\.transformer",
    ),
    "foreign names": (
        lambda w: {f"x{number}": tensor for number, tensor in enumerate(w.values())},
        r"transformer\.h\.0\.attn\.c_attn\.bias: missing.*names that the model does not have: x0, x1",
    ),
    "int8 without a scale": (
        lambda w: {**w, ATTENTION: (w[ATTENTION] * 40).to(torch.int8)},
        r"transformer\.h\.1\.attn\.c_attn\.weight \(I8\): whole numbers",
    ),
    "eight-bit floats": (
        lambda w: {**w, ATTENTION: w[ATTENTION].to(torch.float8_e4m3fn)},
        r"transformer\.h\.1\.attn\.c_attn\.weight \(F8_E4M3\): whole numbers, or fewer than 16 bits",
    ),
    **{
        f"{value} in one weight": (
            lambda w, value=value: {**w, ATTENTION: w[ATTENTION].index_fill(1, torch.tensor([3]), value)},
            r"transformer\.h\.1\.attn\.c_attn\.weight: weights that are NaN, infinite or too large",
        )
        for value in (float("nan"), float("-inf"), 1e30)
    },
}


@pytest.mark.parametrize("case", SPOILT)
def test_weights_that_are_not_the_models_are_refused_by_name(case: str, mine: Callable[..., Path]) -> None:
    edit, said = SPOILT[case]
    rewrite(mine(), edit)
    with pytest.raises(InputError, match=said) as refused:
        run_stages("base")
    assert str(refused.value).startswith("models/local: ")
    assert "\n" not in str(refused.value)
    assert not Path("models/base").exists()


def test_buffers_that_old_files_hold_and_missing_prefixes_are_no_reason_to_refuse(mine: Callable[..., Path]) -> None:
    def as_on_the_hub(weights: Tensors) -> Tensors:
        old = {"h.0.attn.bias": torch.ones(1, 1, 64, 64, dtype=torch.uint8), "h.0.attn.masked_bias": torch.tensor(-1e4)}
        return {name.removeprefix("transformer."): tensor for name, tensor in weights.items()} | old

    folder = mine()
    plain = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    rewrite(folder, as_on_the_hub)
    run_stages("base")
    adopted = AutoModelForCausalLM.from_pretrained("models/base").state_dict()
    assert all(torch.equal(tensor, adopted[name]) for name, tensor in plain.items())


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"n_layer": 1}, r"transformer\.h\.1\..*: not in the model that config\.json describes"),
        ({"n_layer": 3}, r"transformer\.h\.2\..*: missing"),
        ({"n_layer": 100_000}, r"config\.json: found 100000 layers, but the weights hold 28 tensors"),
        ({"n_layer": "2"}, r"config\.json cannot be used: .*expected int, got str"),
        ({"n_head": 0}, r"config\.json and the weights give no model: ZeroDivisionError"),
        ({"activation_function": "nosuch"}, r"config\.json and the weights give no model: .*nosuch"),
        ({"architectures": ["NoSuchLMHeadModel"]}, r"config\.json: architectures: found NoSuchLMHeadModel"),
        ({"model_type": "nosuch"}, r"config\.json cannot be used: .*nosuch"),
    ],
    ids=str,
)
def test_a_config_that_cannot_be_is_refused_by_name(
    values: dict[str, Any], said: str, mine: Callable[..., Path]
) -> None:
    configure(mine(), **values)
    with pytest.raises(InputError, match=said) as refused:
        run_stages("base")
    assert "models/local" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("family", "lacks"),
    [
        ("t5", "is an encoder-decoder"),
        ("bart", "is an encoder-decoder"),
        ("bloom", "has no limit of positions"),
        ("xlnet", "has no limit of positions"),
        ("clip", "has no limit of positions"),
    ],
)
def test_families_that_cannot_work_are_refused_by_name(family: str, lacks: str, mine: Callable[..., Path]) -> None:
    AutoConfig.for_model(family).save_pretrained(mine())
    said = rf"^models/local/config\.json: found the model type {family}, which {lacks}.*; supported are .* gpt2,"
    with pytest.raises(InputError, match=said):
        run_stages("base")


def test_a_config_that_is_a_list_is_refused(mine: Callable[..., Path]) -> None:
    (mine() / "config.json").write_text("[]")
    with pytest.raises(InputError, match=r"^models/local: config\.json cannot be used"):
        run_stages("base")


def header(content: bytes) -> bytes:
    return struct.pack("<Q", len(content)) + content


OVERLAPPING = {name: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} for name in "ab"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda whole: whole[:-9], r"a damaged one \(.*file not fully covered"),
        (lambda whole: whole[:100], "no safetensors file"),
        (lambda whole: b"", "no safetensors file"),
        (lambda whole: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "pointer of Git LFS"),
        (lambda whole: struct.pack("<Q", 1 << 62) + whole[8:], "no safetensors file"),
        (lambda whole: header(b"[" * 200_000), "no safetensors file"),
        (
            lambda whole: header(json.dumps(OVERLAPPING).encode()) + b"\0" * 8,
            r"a damaged one \(.*invalid offset for tensor `[ab]`",
        ),
    ],
    ids=["cut", "cut in the header", "empty", "Git LFS", "huge header", "deep header", "overlap"],
)
def test_damaged_weights_are_refused_in_one_line(
    content: Callable[[bytes], bytes], said: str, mine: Callable[..., Path]
) -> None:
    file = mine() / "model.safetensors"
    file.write_bytes(content(file.read_bytes()))
    with pytest.raises(InputError, match=rf"^models/local/model\.safetensors: .*{said}") as refused:
        run_stages("base")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("index", "said"),
    [
        ("{}", r"index\.json: no weight_map, which must say for each tensor which file holds it"),
        ("[" * 200_000, r"index\.json: not JSON"),
        ('{"weight_map": {"a": 5}}', r"index\.json: weight_map\.a: found the file name '5'"),
        ('{"weight_map": {"a": "../b.safetensors"}}', r"weight_map\.a: found the file name '\.\./b\.safetensors'"),
        (
            '{"weight_map": {"a": "away.safetensors"}}',
            r"away\.safetensors: no such file, though .*index\.json names it",
        ),
    ],
    ids=["no weight_map", "deep", "number", "outside", "missing file"],
)
def test_an_index_without_its_files_is_refused(index: str, said: str, mine: Callable[..., Path]) -> None:
    folder = mine()
    (folder / "model.safetensors").rename(folder / "part.safetensors")
    (folder / "model.safetensors.index.json").write_text(index)
    with pytest.raises(InputError, match=said):
        run_stages("base")


def test_a_tokenizer_of_another_model_is_refused(mine: Callable[..., Path]) -> None:
    folder = mine()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([f"more{number}" for number in range(9)])
    tokenizer.save_pretrained(folder)
    with pytest.raises(InputError, match=r"tokenizer numbers \d+ tokens, but the model has embeddings for \d+"):
        run_stages("base")


def test_a_folder_without_a_tokenizer_is_refused(mine: Callable[..., Path]) -> None:
    (mine() / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"^models/local: no tokenizer; tokenizer\.json, vocab\.json, vocab\.txt or"):
        run_stages("base")
    assert not Path("models/base").exists()


def test_a_model_in_a_package_is_adopted_as_one_in_a_folder_is(
    mine: Callable[..., Path], change: Change, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reference is models/base made from the same files in models/local."""

    def adopted() -> dict[str, bytes]:
        run_stages("base")
        return {file.name: file.read_bytes() for file in Path("models/base").iterdir()}

    folder = mine("bert")
    from_folder = adopted()
    site = tmp_path / "site"
    shutil.copytree(folder, site / "mine" / "model")
    information = site / "mine-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n", encoding="utf-8")
    (information / "RECORD").write_text("mine/model/config.json,,\nmine/model/model.safetensors,,\n", encoding="utf-8")
    monkeypatch.syspath_prepend(site)
    entry = {"source": "package", "package": "mine", "version": "1.0", "licence": "MIT"}
    change("catalog.yaml", **{"models.mine": entry})
    change("params.yaml", **{"model.name": "mine"})
    shutil.rmtree(folder)
    assert adopted() == from_folder


def classifier_of(folder: Path, names: list[str]) -> Any:
    """Replace the folder's language model by a classifier with labels of these names."""
    torch.manual_seed(1)
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, id2label=dict(enumerate(names)), label2id={name: number for number, name in enumerate(names)}
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    if model.config.pad_token_id is None:
        model.config.pad_token_id = 0
    model.save_pretrained(folder)
    return model.eval()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("names", "order"), [(["negative", "Positive"], [0, 1]), (["POS", "neg"], [1, 0]), (["LABEL_0", "LABEL_1"], [0, 1])]
)
def test_a_head_of_its_own_is_read_by_the_names_of_its_labels(
    names: list[str], order: list[int], family: str, mine: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """The reference is the classifier as it came, its columns picked by name."""
    folder = mine(family)
    original = classifier_of(folder, names)
    run_stages("base")
    adopted = AutoModelForSequenceClassification.from_pretrained("models/base").eval()
    assert adopted.config.id2label == {0: "negative", 1: "positive"}
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        assert torch.equal(adopted(input_ids=ids).logits, original(input_ids=ids).logits[:, order])
    assert ("does not name its labels (LABEL_0, LABEL_1)" in capsys.readouterr().err) == (names[0] == "LABEL_0")


@pytest.mark.parametrize(
    "names", [["happy", "sad"], ["negative", "neutral", "positive"], ["score"], ["neg", "negative"]]
)
def test_a_head_for_other_labels_is_left_out_and_that_is_said(
    names: list[str], mine: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    classifier_of(mine(), names)
    run_stages("prepare", "base", "tokenize", "train", "evaluate")
    said = capsys.readouterr().err
    assert f"its labels ({', '.join(names)}) are not negative, positive" in said
    assert said.count("the classification head is new (score.weight): randomly initialised from seed 0") == 1
    assert not list(Path("models/base").glob("model-score*"))
    assert "untrained_head" in json.loads(Path("metrics/evaluate.json").read_text())["baselines"]


def test_a_head_of_its_own_is_not_called_untrained(
    mine: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    classifier_of(mine(), ["positive", "negative"])
    run_stages("prepare", "base", "tokenize", "train", "evaluate")
    assert "the classification head is the one that the base model brings" in capsys.readouterr().err
    assert "untrained_head" not in json.loads(Path("metrics/evaluate.json").read_text())["baselines"]

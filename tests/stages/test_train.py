"""The stage train: what it writes, what decides its result, and that it is plain AdamW on the plain model."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from datasets import Dataset, load_from_disk
from safetensors.torch import load_file
from sklearn.metrics import log_loss
from transformers import AutoModelForSequenceClassification, EvalPrediction, Trainer, TrainerCallback, pipeline
from transformers.trainer_pt_utils import LengthGroupedSampler

from sentiment.backbones import layers, loading
from sentiment.checkpoints.manifest import Manifest
from sentiment.engine import families, heads
from sentiment.engine.heads import Head
from sentiment.inference.predictor import Predictor
from sentiment.pipeline.errors import InputError
from sentiment.tokens.tokenizer import load_tokenizer
from sentiment.training.trainer import CollapseGuard, EvaluateOnSchedule, measure_predictions, prepared_trainer
from stages import train
from tests.backbones.test_adapters import LORA
from tests.conftest import FAMILIES, run_stages
from tests.engine.test_heads import asked_of

Change = Callable[..., None]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_trains_into_a_folder_that_transformers_loads(family: str, small: Change) -> None:
    small(family)
    run_stages("prepare", "base", "tokenize", "train")
    classify = pipeline("text-classification", model="models/finetuned", device="cpu")
    assert classify("The plot is superb.")[0]["label"] in ("negative", "positive")
    files = {file.name for file in Path("models/finetuned").iterdir()}
    assert {"config.json", "tokenizer.json", "sentiment.json", "model.safetensors.index.json"} <= files
    assert not [name for name in files if "trainer" in name or "optimizer" in name or "training_args" in name]
    stated = json.loads(Path("models/finetuned/sentiment.json").read_text())
    keys = ("formulation", "max_length", "temperature", "threshold")
    assert [stated[key] for key in keys] == ["head", 48, 1, 0.5]
    assert set(stated["sha256"]) == files - {"sentiment.json"}
    for name, digest in stated["sha256"].items():
        assert hashlib.sha256(Path("models/finetuned", name).read_bytes()).hexdigest() == digest
    assert list(pd.read_csv("plots/training/train.csv")) == ["step", "epoch", "log_loss", "learning_rate"]
    validation = pd.read_csv("plots/training/validation.csv")
    assert validation["step"].tolist() == [0, 10]
    assert validation["log_loss"][0] == pytest.approx(np.log(2), abs=0.6)
    assert not list(Path(".dvc/tmp/scratch").iterdir())


@pytest.mark.parametrize("source", ["builtin", "local"])
def test_the_manifest_says_whether_all_texts_were_generated(source: str, small: Change, change: Change) -> None:
    small()
    run_stages("prepare", "base", "tokenize")
    if source == "local":  # the same rows, from a file of one's own
        change("params.yaml", **{"data.name": "reviews"})
    run_stages("train")
    assert Manifest.read(Path("models/finetuned")).generated_texts == (source == "builtin")


def test_the_metrics_tell_the_run(small: Change) -> None:
    small(**{"train.epochs": 2, "train.evaluations_per_epoch": 2, "train.early_stopping_patience": 9})
    run_stages("prepare", "base", "tokenize", "train")
    metrics = json.loads(Path("metrics/train.json").read_text())
    assert (metrics["steps"], metrics["epochs"]) == (20, 2)
    assert metrics["tokens"] == 2 * sum(load_from_disk("data/tokenized/train")["length"])
    curve = pd.read_csv("plots/training/validation.csv")
    assert curve["step"].tolist() == [0, 5, 10, 15, 20]
    best = curve.sort_values("log_loss", kind="stable").iloc[0]
    assert metrics["best_step"] == best["step"]
    assert metrics["validation"]["log_loss"] == best["log_loss"]


def validate_on_train() -> None:
    """Make the train split the validation split too, so that what is learnt shows."""
    shutil.rmtree("data/tokenized/validation")
    shutil.copytree("data/tokenized/train", "data/tokenized/validation")


def test_the_model_kept_is_the_one_of_the_best_step(small: Change) -> None:
    """Scored again from its folder by transformers alone, it has the validation numbers of that step."""
    small(**{"train.epochs": 3, "train.learning_rate": 0.005, "train.early_stopping_patience": 9})
    run_stages("prepare", "base", "tokenize")
    validate_on_train()
    run_stages("train")
    metrics = json.loads(Path("metrics/train.json").read_text())
    model = AutoModelForSequenceClassification.from_pretrained("models/finetuned").eval()
    rows = load_from_disk("data/tokenized/validation")
    with torch.no_grad():
        logits = torch.cat([model(input_ids=torch.tensor([ids])).logits for ids in rows["input_ids"]])
    positive = torch.softmax(logits.double(), -1)[:, 1].numpy()
    assert log_loss(rows["label"][:], positive) == pytest.approx(metrics["validation"]["log_loss"], abs=1e-4)
    curve = pd.read_csv("plots/training/validation.csv")
    best = curve.loc[curve["log_loss"].idxmin()]
    assert best["step"] == metrics["best_step"] > 0
    assert best["log_loss"] == pytest.approx(metrics["validation"]["log_loss"], abs=1e-6)


@pytest.mark.parametrize("lora", [{}, {"train.lora": {**LORA, "save": "adapter"}}])
def test_where_no_step_is_better_the_model_before_training_is_kept(
    lora: dict[str, Any], small: Change, capsys: pytest.CaptureFixture[str]
) -> None:
    """A learning rate of 1 spoils the model; of early stopping's two evaluations both are worse than the first."""
    late = {"train.epochs": 9, "train.learning_rate": 1.0, "train.early_stopping_patience": 2}
    small(**late, **lora)
    run_stages("prepare", "base", "tokenize", "train")
    assert "kept step 0 (the model before training: no step was better on validation)" in capsys.readouterr().err
    curve = pd.read_csv("plots/training/validation.csv")
    assert curve["step"].tolist() == [0, 10, 20]
    metrics = json.loads(Path("metrics/train.json").read_text())
    assert (metrics["best_step"], metrics["steps"]) == (0, 20)
    assert metrics["validation"]["log_loss"] == curve["log_loss"][0]
    tokenizer, manifest = load_tokenizer(Path("models/base")), Manifest.read(Path("models/finetuned"))
    untouched, kept = (heads.load(Path(f"models/{n}"), tokenizer, manifest, seed=0)[0] for n in ("base", "finetuned"))
    for name, tensor in untouched.state_dict().items():
        assert torch.equal(kept.state_dict()[name], tensor), name
    run_stages("evaluate")


def test_training_stops_when_validation_gets_no_better(small: Change) -> None:
    small(**{"train.epochs": 9, "train.learning_rate": 1.0, "train.early_stopping_patience": 1})
    run_stages("prepare", "base", "tokenize", "train")
    assert json.loads(Path("metrics/train.json").read_text())["epochs"] < 9


def test_the_seed_decides_the_weights_and_test_rows_do_not(small: Change, change: Change, trained: None) -> None:
    def weights() -> dict[str, bytes]:
        run_stages("tokenize", "train")
        return {file.name: file.read_bytes() for file in Path("models/finetuned").iterdir()}

    small(**{"train.dropout": 0.1})
    run_stages("prepare", "base")
    first = weights()
    test = pd.read_parquet("data/prepared/test.parquet")
    test.assign(text="changed", label=1 - test["label"]).to_parquet("data/prepared/test.parquet", index=False)
    assert weights() == first
    change("params.yaml", seed=1)
    assert weights()["model-transformer.h.0.safetensors"] != first["model-transformer.h.0.safetensors"]


def test_two_steps_are_adamw_on_the_plain_models_loss(small: Change, trained: None) -> None:
    """One batch twice, no warm-up, constant rate: the weights equal steps written out with torch and transformers."""
    settings = {"batch_size": 80, "epochs": 2, "schedule": "constant", "warmup_fraction": 0, "dropout": 0.0}
    adam = {"weight_decay": 0.1, "adam_beta1": 0.5, "adam_beta2": 0.7, "adam_epsilon": 1e-3, "learning_rate": 0.0005}
    small(**{f"train.{key}": value for key, value in {**settings, **adam}.items()})
    run_stages("prepare", "base", "tokenize")
    validate_on_train()
    run_stages("train")
    assert json.loads(Path("metrics/train.json").read_text())["best_step"] == 2
    tokenizer = load_tokenizer(Path("models/base"))
    plain = loading.load_classifier(Path("models/base"), tokenizer, seed=0, dropout=0.0)
    rows = load_from_disk("data/tokenized/train")
    spared = [p for n, p in plain.named_parameters() if "bias" in n or "ln_" in n]
    decayed = [p for n, p in plain.named_parameters() if not ("bias" in n or "ln_" in n)]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": spared, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=0.0005, betas=(0.5, 0.7), eps=1e-3)
    for _ in range(2):
        optimizer.zero_grad()
        losses = [plain(input_ids=torch.tensor([r["input_ids"]]), labels=torch.tensor([r["label"]])).loss for r in rows]
        torch.stack(losses).mean().backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
        optimizer.step()
    trained = AutoModelForSequenceClassification.from_pretrained("models/finetuned").state_dict()
    compared = 0
    for name, parameter in plain.named_parameters():
        assert parameter.grad is not None
        seen = parameter.grad != 0  # embeddings of tokens that no review has stay as the base has them, without decay
        assert ((trained[name] - parameter).abs()[seen] < 1e-5).all(), name
        compared += int(seen.sum())
    assert compared > 10_000


@pytest.mark.parametrize(
    ("evaluations", "expected"), [(1, {10}), (2, {5, 10}), (3, {3, 7, 10}), (99, set(range(1, 11)))]
)
def test_evaluations_are_spread_over_an_epoch(evaluations: int, expected: set[int]) -> None:
    assert EvaluateOnSchedule(10, evaluations).due == expected


def test_measures_equal_scikit_learns() -> None:
    logits = np.array([[2.0, 0.0], [0.0, 1.0], [0.3, 0.2], [-1.0, 1.0]], dtype=np.float32)
    labels = np.array([0, 1, 1, 1])
    measures = measure_predictions(EvalPrediction(logits, labels))
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert measures["accuracy"] == 0.75
    assert measures["predicted_positive_rate"] == 0.5
    assert measures["log_loss"] == pytest.approx(-np.log(shares[range(4), labels]).mean(), rel=1e-6)


@contextmanager
def untrained() -> Iterator[tuple[Trainer, Dataset]]:
    """The Trainer of the workspace's choices before it has trained, and the train rows."""
    run_stages("prepare", "base", "tokenize")
    model = loading.load_classifier(Path("models/base"), load_tokenizer(Path("models/base")), 0)
    rows, validation = (load_from_disk(f"data/tokenized/{split}") for split in ("train", "validation"))
    params = train.load_params().train
    with prepared_trainer(model, Head(), rows, validation, params, "cpu", 0, Path("room"), new_head=True) as trainer:
        yield trainer, rows


def test_every_epoch_holds_every_token_once_in_an_order_of_its_own(small: Change) -> None:
    small()
    with untrained() as (trainer, rows):
        loader = trainer.get_train_dataloader()
        first, second = ([batch["input_ids"] for batch in loader] for _ in range(2))
    assert sum(ids.numel() for ids in first) == sum(ids.numel() for ids in second) == sum(rows["length"])
    assert not all(torch.equal(one, two) for one, two in zip(first, second, strict=True))


def test_padded_batches_hold_reviews_of_near_equal_length(small: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    """As they are made for a GPU, or for a family that cannot be packed."""
    monkeypatch.setattr(families, "FAMILIES", {})
    small()
    with untrained() as (trainer, rows):
        assert isinstance(trainer._get_train_sampler(rows), LengthGroupedSampler)
        masks = [batch["attention_mask"].float() for batch in trainer.get_train_dataloader()]
    real = sum(float(mask.sum()) for mask in masks)
    assert real == sum(rows["length"])
    assert real / sum(mask.numel() for mask in masks) > 0.8
    run_stages("train", "evaluate")


def test_a_collapsed_model_is_told_or_stopped(small: Change, capsys: pytest.CaptureFixture[str]) -> None:
    """A learning rate of 1 leaves a model that answers every review alike."""
    small(**{"train.learning_rate": 1.0, "train.warmup_fraction": 0.0})
    run_stages("prepare", "base", "tokenize", "train")
    warned = capsys.readouterr().err
    assert re.search(r"warning: after step 10 every validation review is called (negative|positive); lower", warned)
    assert pd.read_csv("plots/training/validation.csv")["predicted_positive_rate"].iloc[-1] in (0.0, 1.0)


def test_on_collapse_stop_ends_the_run(small: Change) -> None:
    small(**{"train.learning_rate": 1.0, "train.warmup_fraction": 0.0, "train.on_collapse": "stop"})
    run_stages("prepare", "base", "tokenize")
    with pytest.raises(
        InputError, match=r"after step 10 every validation review is called .* train\.class_weights: balanced"
    ):
        run_stages("train")
    assert not Path("models/finetuned").exists()


def test_oversampling_trains_on_as_many_rows_of_both_labels(small: Change) -> None:
    small(**{"train.sampling": "oversample"})
    run_stages("prepare", "base", "tokenize", "train")
    assert json.loads(Path("metrics/train.json").read_text())["positive_rate"] == 0.5


def test_accumulated_steps_equal_one_large_batch(small: Change, change: Change) -> None:
    """80 rows at once, or in five forward passes: the same step but for rounding."""
    plain = {"train.warmup_fraction": 0.0, "train.schedule": "constant", "train.class_weights": "balanced"}
    small(**plain, **{"train.batch_size": 80})
    run_stages("prepare", "base", "tokenize", "train")
    whole = AutoModelForSequenceClassification.from_pretrained("models/finetuned").state_dict()
    change("params.yaml", **{"train.batch_size": 16, "train.gradient_accumulation_steps": 5})
    run_stages("train")
    parts = AutoModelForSequenceClassification.from_pretrained("models/finetuned").state_dict()
    assert json.loads(Path("metrics/train.json").read_text())["steps"] == 1
    for name, tensor in whole.items():
        assert ((tensor - parts[name]).abs() < 1e-5).float().mean() > 0.95, name  # but for signs of rounding noise


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("family", FAMILIES)
def test_frozen_blocks_are_the_same_files_before_and_after(family: str, small: Change) -> None:
    small(family, **{"train.frozen_blocks": 1})
    run_stages("prepare", "base", "tokenize", "train")
    same, moved = [], []
    for file in sorted(Path("models/base").glob("model-*.safetensors")):
        after = Path("models/finetuned", file.name)
        if after.is_file():
            (same if after.read_bytes() == file.read_bytes() else moved).append(file.name)
    assert any(re.search(r"\.0\.safetensors", name) for name in same)
    assert any(re.search(r"embed|wte", name) for name in same)
    assert any(re.search(r"\.1\.safetensors", name) for name in moved)
    assert not any(re.search(r"\.0\.|embed|wte", name) for name in moved)


def test_a_frozen_backbone_trains_the_head_alone(small: Change) -> None:
    small("gpt2", **{"train.frozen_blocks": "all"})
    run_stages("prepare", "base", "tokenize", "train")
    for file in Path("models/base").glob("model-*.safetensors"):
        assert Path("models/finetuned", file.name).read_bytes() == file.read_bytes()
    assert json.loads(Path("metrics/train.json").read_text())["steps"] == 10


def test_more_frozen_blocks_than_there_are_is_refused(small: Change) -> None:
    small("gpt2", **{"train.frozen_blocks": 3})
    run_stages("prepare", "base", "tokenize")
    with pytest.raises(InputError, match=r"frozen_blocks: found 3, must be at most 2"):
        run_stages("train")


def test_nothing_left_to_learn_is_refused(tiny_models: Callable[[str], Path]) -> None:
    folder = tiny_models("gpt2")
    model = loading.load_language_model(folder, load_tokenizer(folder))
    with pytest.raises(InputError, match="leaves nothing to learn"):
        layers.freeze(model, "all")


@pytest.mark.parametrize("family", ["gpt2", "bert"])
def test_gradient_checkpointing_changes_no_weight(family: str, small: Change, change: Change) -> None:
    small(family)
    run_stages("prepare", "base", "tokenize", "train")
    plain = AutoModelForSequenceClassification.from_pretrained("models/finetuned").state_dict()
    change("params.yaml", **{"train.gradient_checkpointing": True})
    run_stages("train")
    saved = AutoModelForSequenceClassification.from_pretrained("models/finetuned").state_dict()
    assert all(torch.allclose(tensor, saved[name], atol=1e-6) for name, tensor in plain.items())


def test_each_block_learns_at_its_share_of_the_rate(small: Change, trained: None) -> None:
    """Adam's first step is the rate times the gradient's sign, whatever its size: so far has each weight moved."""
    plain = {"train.warmup_fraction": 0.0, "train.schedule": "constant", "train.weight_decay": 0.0}
    small("gpt2", **plain, **{"train.batch_size": 80, "train.layerwise_decay": 0.5, "train.learning_rate": 0.01})
    run_stages("prepare", "base", "tokenize", "train")
    before = AutoModelForSequenceClassification.from_pretrained("models/base").state_dict()
    after = AutoModelForSequenceClassification.from_pretrained("models/finetuned").state_dict()
    below = {"ln_f": 0, "h.1": 1, "h.0": 2, "wpe": 3, "wte": 3}
    for part, height in below.items():
        names = [name for name in after if name.startswith(f"transformer.{part}.")]
        assert names
        for name in names:
            moved = (after[name] - before[name]).abs().max()
            assert float(moved) == pytest.approx(0.01 * 0.5**height, rel=0.02), name


def test_bf16_computes_products_in_bfloat16_and_keeps_the_weights(small: Change, change: Change) -> None:
    small("gpt2", **{"train.learning_rate": 0.003})
    run_stages("prepare", "base", "tokenize", "train")
    plain = pd.read_csv("plots/training/train.csv")["log_loss"]
    change("params.yaml", **{"train.precision": "bf16"})
    run_stages("train")
    rough = pd.read_csv("plots/training/train.csv")["log_loss"]
    assert (plain - rough).abs().max() > 1e-5
    assert np.allclose(plain, rough, atol=0.05)
    model = AutoModelForSequenceClassification.from_pretrained("models/finetuned")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def weight_files() -> dict[str, dict[str, torch.Tensor]]:
    """The tensors of each weight file that the stage has written."""
    return {file.name: load_file(file) for file in sorted(Path("models/finetuned").glob("*.safetensors"))}


RUNS = {
    "full": {},
    "frozen": {"train.frozen_blocks": 1, "train.epochs": 2},  # read from a file in the second epoch
    "merged": {"train.lora": {**LORA, "save": "merged"}},
    "adapter": {"train.lora": {**LORA, "save": "adapter"}},
}


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("run", RUNS)
def test_saved_as_bf16_what_training_changed_is_rounded_and_nothing_else(
    family: str, run: str, small: Change, change: Change
) -> None:
    small(family, **{"train.learning_rate": 0.01}, **RUNS[run])
    run_stages("prepare", "base", "tokenize", "train")
    plain, index = weight_files(), json.loads(Path("models/finetuned/model.safetensors.index.json").read_text())
    change("params.yaml", **{"train.save_precision": "bf16"})
    run_stages("train")
    rounded, shared = weight_files(), 0
    assert rounded.keys() == plain.keys()
    for name, tensors in plain.items():
        base, after = Path("models/base", name), Path("models/finetuned", name)
        kept = base.is_file() and base.read_bytes() == after.read_bytes()
        shared += kept
        for key, tensor in tensors.items():
            assert tensor.dtype == torch.float32
            expected = tensor if kept else tensor.to(torch.bfloat16)
            assert rounded[name][key].dtype == expected.dtype
            assert torch.equal(rounded[name][key], expected), key
    assert (shared > 0) == (run != "full")
    again = json.loads(Path("models/finetuned/model.safetensors.index.json").read_text())
    assert again["weight_map"] == index["weight_map"]
    held = {key: tensor for tensors in rounded.values() for key, tensor in tensors.items() if ".lora_" not in key}
    assert again["metadata"]["total_size"] == sum(t.numel() * t.element_size() for t in held.values())
    if run == "full":
        assert again["metadata"]["total_size"] * 2 == index["metadata"]["total_size"]


@pytest.mark.parametrize("run", RUNS)
def test_a_folder_saved_as_bf16_computes_in_fp32_and_every_reader_says_the_same(run: str, small: Change) -> None:
    """Plain transformers, its pipeline, the Predictor and the stage evaluate; and train has stated what it cost."""
    small(**{"train.learning_rate": 0.01, "train.save_precision": "bf16"}, **RUNS[run])
    run_stages("prepare", "base", "tokenize", "train", "evaluate")
    model = AutoModelForSequenceClassification.from_pretrained("models/finetuned")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    table = pd.read_parquet("data/predictions/test.parquet")
    texts, stated = table["text"].tolist(), table["probability_positive"].to_numpy()
    predicted = [p.probability_positive for p in Predictor.load("models/finetuned")(texts)]
    assert np.allclose(predicted, stated, atol=2e-6)
    answers = pipeline("text-classification", model="models/finetuned", device="cpu", top_k=None)(
        texts, truncation=True, max_length=48
    )
    scores = [next(a["score"] for a in answer if a["label"] == "positive") for answer in answers]
    assert np.allclose(scores, stated, atol=1e-5)
    train, evaluate = (json.loads(Path(f"metrics/{name}.json").read_text()) for name in ("train", "evaluate"))
    for key in ("accuracy", "log_loss"):
        assert train["rounding"]["bf16"][key] == pytest.approx(evaluate["validation"][key], abs=2e-6)
        assert train["rounding"]["fp32"][key] == pytest.approx(train["validation"][key], abs=2e-6)


@pytest.mark.parametrize("formulation", ["head", "label_words"])
def test_what_rounding_costs_is_measured_on_validation_against_weights_rounded_by_torch(
    formulation: str,
    small: Change,
    change: Change,
    tiny_models: Callable[[str], Path],
    trained: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = asked_of(tiny_models("gpt2"))
    words = {f"tokenize.{key}": asked[key] for key in ("prompt", "label_words")}
    small("gpt2", **words, **{"model.formulation": formulation, "train.learning_rate": 0.01})
    run_stages("prepare", "base", "tokenize", "train")
    assert "rounding" not in json.loads(Path("metrics/train.json").read_text())
    tokenizer = load_tokenizer(Path("models/finetuned"))
    manifest = Manifest.read(Path("models/finetuned"))
    rows = load_from_disk("data/tokenized/validation")
    losses = {}
    for name in ("fp32", "bf16"):
        model, asking = heads.load(Path("models/finetuned"), tokenizer, manifest, seed=0)
        if name == "bf16":
            model.bfloat16().float()
        ids = [{"input_ids": torch.tensor([row]), "attention_mask": torch.ones(1, len(row), dtype=torch.int64)}
               for row in rows["input_ids"]]  # fmt: skip
        with torch.no_grad():
            logits = torch.cat([asking.logits(model, row) for row in ids]).double()
        losses[name] = float(torch.nn.functional.cross_entropy(logits, torch.tensor(rows["label"][:])))
    assert abs(losses["fp32"] - losses["bf16"]) > 1e-5
    change("params.yaml", **{"train.save_precision": "bf16"})
    capsys.readouterr()
    run_stages("train")
    stated = json.loads(Path("metrics/train.json").read_text())["rounding"]
    assert {name: stated[name]["log_loss"] for name in stated} == pytest.approx(losses, abs=2e-6)
    printed = capsys.readouterr().err
    assert f"log loss {losses['fp32']:.4f} and {losses['bf16']:.4f}" in printed


def test_saved_as_bf16_twice_gives_the_same_bytes(small: Change) -> None:
    small(**{"train.save_precision": "bf16"})
    run_stages("prepare", "base", "tokenize")
    contents = []
    for _ in range(2):
        run_stages("train")
        files = [*Path("models/finetuned").iterdir(), Path("metrics/train.json")]
        contents.append({file.name: file.read_bytes() for file in files})
    assert contents[0] == contents[1]


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_compiler")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")  # torch's own
def test_compiled_code_learns_the_same(small: Change, change: Change, trained: None) -> None:
    small("gpt2", **{"train.learning_rate": 0.0004})
    change("catalog.yaml", **{"datasets.builtin.rows": {"train": 16, "validation": 8, "test": 8}})
    run_stages("prepare", "base", "tokenize", "train")
    plain = load_file("models/finetuned/model-transformer.h.0.safetensors")
    change("params.yaml", **{"train.compile": True})
    run_stages("train")
    compiled = load_file("models/finetuned/model-transformer.h.0.safetensors")
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    assert plain.keys() == compiled.keys()
    for name, tensor in plain.items():
        assert ((tensor - compiled[name]).abs() < 1e-4).float().mean() > 0.95, name


def test_compiling_without_a_compiler_is_refused(small: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    small("gpt2", **{"train.compile": True})
    run_stages("prepare", "base", "tokenize")
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(InputError, match=r"train\.compile: found true, .* no-such-compiler is not there"):
        run_stages("train")


def test_a_best_checkpoint_that_vanished_stops_the_stage(
    small: Change, trained: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Removed after it was written, as another stage once did; the Trainer would keep the last step's weights."""

    class Remover(TrainerCallback):
        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            shutil.rmtree(state.best_model_checkpoint)

    prepared = train.prepared_trainer

    @contextmanager
    def with_remover(*args: Any) -> Iterator[Trainer]:
        with prepared(*args) as trainer:
            trainer.add_callback(Remover())
            yield trainer

    small()
    run_stages("prepare", "base", "tokenize")
    monkeypatch.setattr(train, "prepared_trainer", with_remover)
    with pytest.raises(InputError, match=r"checkpoint-\d+: the checkpoint of the best step \d+ is gone"):
        train.main()
    assert not Path("models/finetuned").exists()
    assert not list(Path(".dvc/tmp/scratch").iterdir())


@pytest.mark.parametrize(("new_head", "loss", "warned"), [(True, 1.2, True), (True, 0.7, False), (False, 0.1, False)])
def test_a_start_far_from_ln_2_is_reported_of_a_new_head_alone(
    new_head: bool, loss: float, warned: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """A head that was trained already knows something, and starts far below."""
    metrics = {"eval_predicted_positive_rate": 0.4, "eval_log_loss": loss}
    CollapseGuard("warn", new_head).on_evaluate(None, SimpleNamespace(global_step=0), None, metrics=metrics)
    assert ("far from ln 2" in capsys.readouterr().err) == warned

"""The stage evaluate: what it writes; its numbers are those of transformers and scikit-learn on the same rows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from scipy.special import softmax
from sklearn import metrics as reference
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer, pipeline

from sentiment.backbones import loading
from sentiment.inference.predictor import Predictor
from sentiment.tokens.tokenizer import load_tokenizer
from stages import evaluate
from tests.conftest import FAMILIES, run_stages
from tests.engine.test_heads import asked_of

Change = Callable[..., None]
CHAIN = ("prepare", "base", "tokenize", "train", "evaluate")


@pytest.mark.parametrize("family", FAMILIES)
def test_predictions_are_the_pipelines_of_transformers(family: str, small: Change) -> None:
    """The reference is `transformers.pipeline` on the folder, one text at a time."""
    small(family, **{"train.epochs": 2})
    run_stages(*CHAIN)
    table = pd.read_parquet("data/predictions/test.parquet")
    classify = pipeline("text-classification", model="models/finetuned", device="cpu", top_k=None)
    for row in table.head(12).itertuples():
        [answers] = classify([row.text], truncation=True, max_length=48)
        scores = {answer["label"]: answer["score"] for answer in answers}
        assert row.probability_positive == pytest.approx(scores["positive"], abs=1e-4)
        assert row.predicted == max(scores, key=lambda label: scores[label])


def test_the_numbers_are_scikit_learns_on_the_written_predictions(small: Change) -> None:
    small(**{"train.epochs": 2})
    run_stages(*CHAIN)
    table = pd.read_parquet("data/predictions/test.parquet")
    measures = json.loads(Path("metrics/evaluate.json").read_text())
    truth = (table["label"] == "positive").to_numpy()
    for part, column in (("test", "probability_positive"), ("base", "base_probability_positive")):
        stated = table[column].to_numpy()
        assert measures[part]["n"] == len(table) == 30
        assert measures[part]["accuracy"] == pytest.approx(reference.accuracy_score(truth, stated > 0.5), abs=1e-6)
        assert measures[part]["roc_auc"] == pytest.approx(reference.roc_auc_score(truth, stated), abs=1e-6)
        assert measures[part]["log_loss"] == pytest.approx(reference.log_loss(truth, stated), abs=1e-5)
    before, after = measures["base"]["accuracy"], measures["test"]["accuracy"]
    assert measures["gain"]["accuracy"] == pytest.approx(after - before, abs=2e-6)
    carried = table["tags"].str.split().explode()
    assert set(measures["slices"]) == set(carried) - {"noise"}
    for tag, values in measures["slices"].items():
        rows = table[table["tags"].str.split().map(lambda words, tag=tag: tag in words)]
        assert values == {"n": len(rows), "accuracy": pytest.approx(rows["correct"].mean(), abs=1e-6)}


def test_decisions_obey_the_manifest_as_predict_does(small: Change) -> None:
    """At another temperature and threshold some rows are decided otherwise, by evaluate and predict alike."""
    small(**{"train.epochs": 2})
    run_stages(*CHAIN)
    plain = pd.read_parquet("data/predictions/test.parquet")
    file = Path("models/finetuned/sentiment.json")
    odds = plain["probability_positive"] / plain["probability_negative"]
    stated = {"temperature": 0.5, "threshold": float((odds**2 / (1 + odds**2)).quantile(0.3))}
    file.write_text(json.dumps({**json.loads(file.read_text()), **stated}))
    run_stages("evaluate")
    table = pd.read_parquet("data/predictions/test.parquet")
    answers = Predictor.load("models/finetuned")(table["text"].tolist())
    assert table["predicted"].tolist() == [answer.label for answer in answers]
    positive = [answer.probability_positive for answer in answers]
    assert np.allclose(table["probability_positive"], positive, atol=3e-6)
    assert np.allclose(table["probability_positive"], odds**2 / (1 + odds**2), atol=1e-5)
    assert table["predicted"].tolist() != plain["predicted"].tolist()
    pairs = pd.read_csv("plots/test/confusion_finetuned.csv")
    assert pairs["predicted"].tolist() == table["predicted"].tolist()
    measures = json.loads(Path("metrics/evaluate.json").read_text())
    right = float((table["predicted"] == table["label"]).mean())
    assert measures["test"]["accuracy"] == pytest.approx(right, abs=1e-6)
    assert measures["gain"]["accuracy"] == pytest.approx(right - measures["base"]["accuracy"], abs=2e-6)
    assert {key: measures["validation"][key] for key in stated} == pytest.approx(stated, abs=1e-6)


def test_every_test_row_stands_in_both_tables_with_its_text(small: Change) -> None:
    small()
    run_stages(*CHAIN)
    rows = pd.read_parquet("data/prepared/test.parquet")
    parquet = pd.read_parquet("data/predictions/test.parquet")
    csv = pd.read_csv("data/predictions/test.csv")
    columns = ["id", "text", "tags", "label", "predicted", "correct", "probability_positive", "probability_negative",
               "base_probability_positive", "source", "source_row"]  # fmt: skip
    assert list(parquet) == list(csv) == columns
    assert parquet["id"].tolist() == csv["id"].tolist() == rows["id"].tolist()
    assert parquet["text"].tolist() == csv["text"].tolist() == rows["text"].tolist()
    assert np.allclose(parquet["probability_positive"] + parquet["probability_negative"], 1, atol=1e-6)
    assert np.allclose(parquet["probability_positive"], csv["probability_positive"], atol=1e-6)
    assert (parquet["correct"] == (parquet["label"] == parquet["predicted"])).all()


def test_the_untrained_head_is_the_model_that_training_started_from_and_not_before(small: Change) -> None:
    """With a learning rate too small to move a weight, the untrained head is as good as the trained one."""
    small(**{"train.learning_rate": 1e-12})
    run_stages(*CHAIN)
    measures = json.loads(Path("metrics/evaluate.json").read_text())
    assert measures["before"] == "linear_probe"
    test = {key: measures["test"][key] for key in ("accuracy", "f1", "roc_auc")}
    assert measures["baselines"]["untrained_head"] == pytest.approx(test, abs=1e-6)


def test_a_head_that_the_base_model_brings_is_a_candidate_for_before(small: Change, change: Change) -> None:
    """The fine-tuned model as the base of the next run, on validation labels that are its own answers."""
    small(**{"train.epochs": 2})
    run_stages(*CHAIN)
    shutil.copytree("models/finetuned", "classifier", ignore=shutil.ignore_patterns("sentiment.json"))
    validation = pd.read_parquet("data/prepared/validation.parquet")
    answers = [answer.label for answer in Predictor.load("models/finetuned")(validation["text"].tolist())]
    own = validation.assign(label=[int(answer == "positive") for answer in answers])
    own.to_parquet("data/prepared/validation.parquet", index=False)
    change("catalog.yaml", **{"models.local.path": "classifier"})
    run_stages("base", "evaluate")
    measures = json.loads(Path("metrics/evaluate.json").read_text())
    assert measures["before"] == measures["best_baseline"] == "own_head"
    assert measures["base"]["accuracy"] == measures["test"]["accuracy"]
    assert "untrained_head" not in measures["baselines"]


def test_the_headline_is_the_gain_over_the_best_baseline_on_validation(
    small: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two made-up baselines, one perfect on validation and wrong on test, the other the reverse."""

    def made_up(texts: Any, labels: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
        wrong = {split: np.where(truth == 1, 0.1, 0.9) for split, truth in labels.items()}
        right = {split: 1 - positive for split, positive in wrong.items()}
        return {
            "nbsvm": {"validation": right["validation"], "test": wrong["test"]},
            "tfidf_lr": {"validation": wrong["validation"], "test": right["test"]},
        }

    monkeypatch.setattr(evaluate.untuned, "bag_of_words", made_up)
    small()
    run_stages(*CHAIN)
    measures = json.loads(Path("metrics/evaluate.json").read_text())
    assert measures["best_baseline"] == "nbsvm"
    assert measures["gain_over_baseline"]["accuracy"] == measures["test"]["accuracy"]
    assert measures["gain_over_baseline"]["accuracy_low"] > 0


@pytest.mark.parametrize(("family", "formulation"), [("gpt2", "label_words"), ("gpt2", "head"), ("bert", "head")])
def test_before_is_the_strongest_untuned_score_on_validation(
    family: str, formulation: str, small: Change, tiny_models: Callable[[str], Path]
) -> None:
    """The reference asks transformers' own language model, one row at a time, over its whole vocabulary."""
    asked = asked_of(tiny_models(family))
    words = {f"tokenize.{key}": asked[key] for key in ("prompt", "label_words")}
    small(family, **words, **{"model.formulation": formulation})
    run_stages(*CHAIN)
    tokenizer = AutoTokenizer.from_pretrained("models/base")
    kind = AutoModelForMaskedLM if tokenizer.mask_token else AutoModelForCausalLM
    model = kind.from_pretrained("models/base").eval()
    prompt = asked["prompt"].replace("{mask}", tokenizer.mask_token or "")
    ids = [
        [tokenizer(f" {word}", add_special_tokens=False)["input_ids"][0] for word in asked["label_words"][label]]
        for label in ("negative", "positive")
    ]

    def answer(text: str) -> np.ndarray:
        tail = tokenizer(prompt.format(review=""))["input_ids"]
        kept = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        around = 1 if tokenizer.mask_token else 0  # the special token in front
        row = [*tail[:around], *kept[: 48 - len(tail)], *tail[around:]]
        place = row.index(tokenizer.mask_token_id) if tokenizer.mask_token else -1
        with torch.no_grad():
            return torch.log_softmax(model(input_ids=torch.tensor([row])).logits[0, place].double(), -1).numpy()

    flat = [token for group in ids for token in group]
    premise = answer("")[flat]
    leaning = np.mean([softmax(answer(text)[flat]) for text in ("N/A", "[MASK]", "")], axis=0)
    found: dict[str, dict[str, np.ndarray]] = {"plain": {}, "contextual": {}, "pmi": {}}
    truth = {}
    for split in ("validation", "test"):
        rows = pd.read_parquet(f"data/prepared/{split}.parquet")
        truth[split] = rows["label"].to_numpy() == 1
        logs = np.stack([answer(text)[flat] for text in rows["text"]])
        found["plain"][split] = np.exp(logs[:, 1:]).sum(1) > np.exp(logs[:, 0])
        found["contextual"][split] = np.exp(logs[:, 1:]).sum(1) / leaning[1:].sum() > np.exp(logs[:, 0]) / leaning[0]
        found["pmi"][split] = np.exp(logs[:, 1:] - premise[1:]).sum(1) > np.exp(logs[:, 0] - premise[0])
    measures = json.loads(Path("metrics/evaluate.json").read_text())
    right = {method: {s: float((found[method][s] == truth[s]).mean()) for s in truth} for method in found}
    for method, accuracy in right.items():
        assert measures["baselines"][f"zero_shot_{method}"]["accuracy"] == pytest.approx(accuracy["test"], abs=1e-6)
    best = max(right.values(), key=lambda accuracy: accuracy["validation"])
    assert ("untrained_head" in measures["baselines"]) == (formulation == "head")
    if measures["before"] != "linear_probe":
        assert right[measures["before"].removeprefix("zero_shot_")]["validation"] == best["validation"]
        assert measures["base"]["accuracy"] == measures["baselines"][measures["before"]]["accuracy"]


def test_a_headed_model_without_words_to_answer_says_so(small: Change, capsys: pytest.CaptureFixture[str]) -> None:
    small("gpt2")
    run_stages(*CHAIN)
    assert "no zero-shot score: params.yaml: tokenize.label_words" in capsys.readouterr().err
    measures = json.loads(Path("metrics/evaluate.json").read_text())
    assert measures["before"] == "linear_probe"
    names = {"majority", "tfidf_lr", "tfidf_negation_lr", "nbsvm", "linear_probe", "untrained_head"}
    assert set(measures["baselines"]) == names


def test_the_curves_are_written_for_both_models(small: Change) -> None:
    small()
    run_stages(*CHAIN)
    names = {
        f"{curve}_{model}.json"
        for curve in ("roc", "precision_recall", "calibration")
        for model in ("base", "finetuned")
    }
    assert {file.name for file in Path("plots/test").iterdir()} == names | {
        "confusion_base.csv",
        "confusion_finetuned.csv",
        "layer_change.csv",
    }
    table = pd.read_parquet("data/predictions/test.parquet")
    pairs = pd.read_csv("plots/test/confusion_finetuned.csv")
    assert pairs["actual"].tolist() == table["label"].tolist()
    assert pairs["predicted"].tolist() == table["predicted"].tolist()


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("family", FAMILIES)
def test_the_change_of_each_layer_is_numpys_from_the_embeddings_upwards(family: str, small: Change) -> None:
    small(family)
    run_stages(*CHAIN)
    table = pd.read_csv("plots/test/layer_change.csv")
    assert list(table) == ["layer", "relative_change"]
    shared = {f.name for f in Path("models/base").glob("*.safetensors")} & {
        f.name for f in Path("models/finetuned").glob("*.safetensors")
    }
    assert {f"model-{layer}.safetensors" for layer in table["layer"]} == shared
    for layer, change in table.itertuples(index=False):
        before, after = (load_file(f"models/{m}/model-{layer}.safetensors") for m in ("base", "finetuned"))
        added = np.concatenate([(after[name] - before[name]).double().numpy().ravel() for name in before])
        norm = np.linalg.norm(np.concatenate([tensor.double().numpy().ravel() for tensor in before.values()]))
        assert change == pytest.approx(np.linalg.norm(added) / norm, abs=1e-6)
        assert change > 0
    numbers = [int(layer[-1]) for layer in table["layer"] if layer[-1].isdigit()]
    assert numbers == [0, 1]


@pytest.mark.usefixtures("trained")
def test_an_unmerged_adapter_moves_the_layers_as_the_merged_one(small: Change) -> None:
    """Both runs learn the same; only where it is kept differs."""
    tables = {}
    for save in ("merged", "adapter"):
        lora = {"rank": 2, "alpha": 8, "dropout": 0.0, "modules": "all", "save": save}
        small(**{"train.lora": lora, "train.learning_rate": 0.01})
        run_stages(*CHAIN)
        tables[save] = pd.read_csv("plots/test/layer_change.csv").set_index("layer")["relative_change"]
        shutil.rmtree("models")
    assert tables["merged"].index.tolist() == tables["adapter"].index.tolist()
    assert np.allclose(tables["merged"], tables["adapter"], atol=2e-6)
    moved = [layer for layer, change in tables["adapter"].items() if change > 1e-3]
    assert moved == ["transformer.h.0", "transformer.h.1"]


def test_twice_gives_the_same_bytes(small: Change) -> None:
    small()
    run_stages("prepare", "base", "tokenize", "train")
    contents = []
    for _ in range(2):
        run_stages("evaluate")
        files = [f for folder in ("metrics", "plots/test", "data/predictions") for f in sorted(Path(folder).iterdir())]
        contents.append({file: file.read_bytes() for file in files})
    assert contents[0] == contents[1]


def test_scoring_holds_no_logits_over_the_vocabulary(small: Change) -> None:
    """No output of the scored model has the vocabulary as its last dimension."""
    from sentiment.engine.heads import Head
    from sentiment.engine.scoring import score

    small()
    run_stages("prepare", "base")
    tokenizer = load_tokenizer(Path("models/base"))
    model = loading.load_classifier(Path("models/base"), tokenizer, seed=0)
    widths: set[int] = set()

    def note(module: torch.nn.Module, inputs: object, output: object) -> None:
        if isinstance(output, torch.Tensor):
            widths.add(output.shape[-1])

    for module in model.modules():
        module.register_forward_hook(note)
    score(model, Head(), [[5, 6, 7], [8]], 2, "cpu")
    assert widths
    assert model.config.vocab_size not in widths

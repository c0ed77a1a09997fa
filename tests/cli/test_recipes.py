"""Recipes: every one names choices that exist, is written and read back whole, and starts under DVC."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from dvc.utils.serialize import modify_yaml

from sentiment.builtin.grammar import generate
from sentiment.cli import recipes
from sentiment.cli.options import Options
from sentiment.pipeline.catalog import read_yaml
from sentiment.pipeline.errors import InputError
from sentiment.pipeline.params import flatten, load_params, params_problems
from tests.conftest import EVERY_MEANS, ROOT, run_stages
from tests.engine.test_heads import asked_of

NAMES = list(read_yaml(ROOT / "recipes.yaml"))
FOUNDING = {"imdb-gpt2", "reviews-gpt2", "imdb-distilbert", "imdb-bert", "imdb-roberta", "rotten-tomatoes-roberta"}


def test_the_known_recipes_are_there() -> None:
    assert FOUNDING | {"default", "sst2-distilbert", "gpt2-lora", "gpt2-frozen"} <= set(NAMES)
    assert all(len(recipe["about"]) > 10 for recipe in read_yaml(ROOT / "recipes.yaml").values())


def test_the_default_is_the_committed_params_file() -> None:
    committed = dict(flatten(read_yaml(ROOT / "params.yaml")))
    assert read_yaml(ROOT / "recipes.yaml")["default"]["params"] == committed


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_used_is_the_recipe_read_back(name: str, workspace: Path) -> None:
    before = (workspace / "params.yaml").read_bytes()
    recipes.run_use(Options(name=name))
    assert dict(flatten(load_params().model_dump())) == recipes.resolve(name)
    assert recipes.changes(name) == {}
    assert recipes.flags(name) == []
    written = (workspace / "params.yaml").read_bytes()
    with modify_yaml(workspace / "params.yaml"):
        pass
    assert (workspace / "params.yaml").read_bytes() == written
    recipes.run_use(Options(name="default"))
    assert (workspace / "params.yaml").read_bytes() == before


@pytest.mark.parametrize("name", NAMES)
def test_flags_say_what_the_recipe_does_otherwise(name: str, workspace: Path) -> None:
    """DVC's own override code applied to params.yaml gives the recipe."""
    from dvc.utils.hydra import apply_overrides

    overrides = recipes.flags(name)[1::2]
    assert set(recipes.flags(name)[::2]) <= {"-S"}
    assert bool(overrides) == (name != "default")
    if overrides:
        apply_overrides(workspace / "params.yaml", overrides)
    assert dict(flatten(load_params().model_dump())) == recipes.resolve(name)


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "model.name: found gpt-2, allowed": lambda text: text.replace(b"name: gpt2-mini", b"name: gpt-2"),
    "train.epoch: no such key, allowed: epochs": lambda text: text.replace(b"  epochs:", b"  epoch:"),
    "train: found 5, must be a mapping": lambda text: text[: text.index(b"\ntrain:")] + b"\ntrain: 5\n",
    "not readable as YAML": lambda text: text + b"train: [1\n",
    "found duplicate key": lambda text: text + b"seed: 1\n",
    "not readable as YAML: unacceptable": lambda text: text + b"\x00\n",
    "invalid start byte": lambda text: text + b"# \xff\n",
    "holds NoneType": lambda text: text[: text.index(b"seed")],
    "not readable as YAML: mapping values": lambda text: text.replace(b"seed: 0", b"<<<<<<< HEAD\nseed: 0"),
}


@pytest.mark.parametrize("said", BROKEN)
def test_a_recipe_repairs_a_file_that_cannot_be_used_and_says_why(
    said: str, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = workspace / "params.yaml"
    before = file.read_bytes()
    file.write_bytes(BROKEN[said](before))
    recipes.run_use(Options(name="default"))
    assert file.read_bytes() == before
    shown = capsys.readouterr().err
    assert "written anew as default" in shown
    assert said in shown


def test_a_params_file_that_is_gone_is_written_anew(workspace: Path) -> None:
    (workspace / "params.yaml").unlink()
    recipes.run_use(Options(name="imdb-gpt2"))
    assert dict(flatten(load_params().model_dump())) == recipes.resolve("imdb-gpt2")


def test_imdb_gpt2_is_the_recipe_of_the_founding_document() -> None:
    choices = recipes.resolve("imdb-gpt2")
    given = {"learning_rate": 2e-5, "batch_size": 8, "epochs": 3, "weight_decay": 0.01}
    assert {key: choices[f"train.{key}"] for key in given} == given
    assert (choices["data.name"], choices["model.name"], choices["tokenize.max_length"]) == ("imdb", "gpt2", 512)


def test_unknown_recipes_and_choices_are_refused(workspace: Path) -> None:
    with pytest.raises(InputError, match=r"no recipe imdb-gpt, allowed: default, .*did you mean imdb-gpt2"):
        recipes.resolve("imdb-gpt")
    text = (workspace / "recipes.yaml").read_text()
    (workspace / "recipes.yaml").write_text(text + "\nmine:\n  about: x\n  params:\n    train.lr: 1\n")
    with pytest.raises(InputError, match=r"mine\.params\.train\.lr: no such choice, allowed: seed"):
        recipes.resolve("mine")


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_passes_the_check(name: str, workspace: Path, change: Callable[..., None]) -> None:
    change("params.yaml", **recipes.resolve(name))
    assert params_problems(read_yaml(Path("params.yaml")), read_yaml(ROOT / "catalog.yaml")) == []


FAMILY = {
    "gpt2-mini": "gpt2",
    "gpt2": "gpt2",
    "distilbert": "distilbert",
    "bert": "bert",
    "roberta": "roberta",
    "minilm": "bert",
}
LOCAL = {"imdb-modernbert": "modernbert", "imdb-electra": "electra"}  # what these recipes have put into models/local


def write_few_reviews(path: Path, entry: dict[str, object]) -> None:
    """Write a csv with the columns and labels of a catalog entry."""
    rows = [r for r, _ in zip(generate("recipe", EVERY_MEANS), range(90), strict=False)]
    words = [entry["labels"][label][0] for label in ("negative", "positive")]  # type: ignore[index]
    pd.DataFrame({entry["text"]: [r.text for r in rows], entry["label"]: [words[r.label] for r in rows]}).to_csv(
        path, index=False
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_runs_for_real_on_a_few_rows_and_a_tiny_model_of_its_family(
    name: str, workspace: Path, change: Callable[..., None], tiny_models: Callable[[str], Path]
) -> None:
    """Only sizes, places and the device differ from the recipe; and label words, which tiny tokenizers do not have."""
    choices = recipes.resolve(name)
    entry = read_yaml(Path("catalog.yaml"))["datasets"][choices["data.name"]]
    family = LOCAL[name] if choices["model.name"] == "local" else FAMILY[choices["model.name"]]
    if entry["source"] == "builtin":
        change("catalog.yaml", **{"datasets.builtin.rows": {"train": 60, "validation": 20, "test": 20}})
    else:
        write_few_reviews(workspace / "few.csv", entry)
        local = {key: entry[key] for key in ("text", "label", "labels", "licence")}
        change("catalog.yaml", **{f"datasets.{choices['data.name']}": {"source": "local", "path": "few.csv", **local}})
    tiny = {"source": "local", "path": str(tiny_models(family)), "licence": "ours"}
    change("catalog.yaml", **{f"models.{choices['model.name']}": tiny})
    frozen = choices["train.frozen_blocks"]
    smaller = {
        "device": "cpu", "tokenize.max_length": 40, "train.epochs": 1,
        "train.frozen_blocks": 1 if frozen else 0, "train.batch_size": 8,
    }  # fmt: skip
    words = asked_of(tiny_models(family))["label_words"]
    change("params.yaml", **{**choices, **smaller, "tokenize.label_words": words})
    run_stages("prepare", "base", "tokenize", "train", "evaluate", "plot")
    measures = json.loads(Path("metrics.json").read_text())
    assert measures["test"]["n"] >= 18
    assert measures["train"]["steps"] > 0
    assert (Path("models/finetuned") / "adapter_config.json").is_file() == (name == "gpt2-lora")
    assert ("zero_shot_pmi" in measures["baselines"]) == (family != "electra")  # whose discriminator names no words

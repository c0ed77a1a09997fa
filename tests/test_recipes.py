"""Recipes: every one names choices that exist, is written and read back whole, and starts under DVC."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from dvc.utils.serialize import modify_yaml

from sentiment import recipes
from sentiment.errors import InputError
from sentiment.params import check, flatten, load_params, read_yaml
from tests.conftest import ROOT

NAMES = list(read_yaml(ROOT / "recipes.yaml"))
FOUNDING = {"imdb-gpt2", "reviews-gpt2", "imdb-distilbert", "imdb-bert", "imdb-roberta", "rotten-tomatoes-roberta"}


def test_the_known_recipes_are_there() -> None:
    assert FOUNDING | {"default", "sst2-distilbert"} <= set(NAMES)
    assert all(len(recipe["about"]) > 10 for recipe in read_yaml(ROOT / "recipes.yaml").values())


def test_the_default_is_the_committed_params_file() -> None:
    committed = dict(flatten(read_yaml(ROOT / "params.yaml")))
    assert read_yaml(ROOT / "recipes.yaml")["default"]["params"] == committed


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_used_is_the_recipe_read_back(name: str, workspace: Path) -> None:
    before = (workspace / "params.yaml").read_bytes()
    recipes.use(name)
    assert dict(flatten(load_params())) == recipes.resolve(name)
    assert recipes.changes(name) == {}
    assert recipes.flags(name) == []
    written = (workspace / "params.yaml").read_bytes()
    with modify_yaml(workspace / "params.yaml"):
        pass
    assert (workspace / "params.yaml").read_bytes() == written
    recipes.use("default")
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
    assert dict(flatten(load_params())) == recipes.resolve(name)


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
    import json

    change("params.yaml", **recipes.resolve(name))
    schema = json.loads((ROOT / "params.schema.json").read_text())
    assert check(read_yaml(Path("params.yaml")), schema, read_yaml(ROOT / "catalog.yaml")) == []

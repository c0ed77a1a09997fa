"""Named sets of choices, from recipes.yaml: list them, write one into params.yaml, or print it as flags of DVC."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from sentiment.pipeline.catalog import read_yaml
from sentiment.pipeline.errors import InputError, allowed
from sentiment.pipeline.params import flatten, load_params
from sentiment.pipeline.paths import PARAMS, RECIPES

DEFAULT = "default"


def read_recipes() -> dict[str, dict[str, Any]]:
    """Read recipes.yaml: name to about and params."""
    return read_yaml(RECIPES)


def resolve(name: str) -> dict[str, Any]:
    """Give every choice of a recipe: the default's, and what the recipe does otherwise.

    Args:
        name: a recipe of recipes.yaml.

    Returns:
        Dotted key of params.yaml to value.

    Raises:
        InputError: there is no such recipe, or it names a choice that the default does not have.
    """
    recipes = read_recipes()
    if name not in recipes:
        raise InputError(f"{RECIPES}: no recipe {name}, {allowed(name, recipes)}")
    default = recipes[DEFAULT]["params"]
    unknown = [key for key in recipes[name]["params"] if key not in default]
    if unknown:
        raise InputError(f"{RECIPES}: {name}.params.{unknown[0]}: no such choice, {allowed(unknown[0], default)}")
    return {**default, **recipes[name]["params"]}


def changes(name: str) -> dict[str, Any]:
    """Give the choices of a recipe that params.yaml makes otherwise today."""
    today = dict(flatten(load_params().model_dump()))
    return {key: value for key, value in resolve(name).items() if key not in today or today[key] != value}


def flags(name: str) -> list[str]:
    """Write a recipe as flags of `dvc exp run`, `-S key=value` for every choice that params.yaml makes otherwise."""
    return [part for key, value in changes(name).items() for part in ("-S", f"{key}={_word(value)}")]


def _word(value: Any) -> str:
    """Write a value as DVC's override grammar reads it."""
    plain = isinstance(value, str) and re.fullmatch(r"[\w.-]+", value)
    return str(value) if plain else json.dumps(value)


def use(name: str, path: Path = PARAMS) -> None:
    """Write a recipe into params.yaml."""
    write(resolve(name), path)


def write(choices: Mapping[str, Any], path: Path) -> None:
    """Write choices, by their dotted keys, into a params file; comments, order and the form that DVC writes stay."""
    yaml = YAML()
    content = yaml.load(path)
    for key, value in choices.items():
        place: Any = content
        *parents, last = key.split(".")
        for parent in parents:
            place = place[parent]
        if place[last] != value:
            place[last] = value
    yaml.dump(content, path)


def describe(name: str) -> Mapping[str, Any]:
    """Give what `show` prints: the recipe's choices, those that differ from the default's marked."""
    default = read_recipes()[DEFAULT]["params"]
    return {key: (value, name != DEFAULT and default[key] != value) for key, value in resolve(name).items()}

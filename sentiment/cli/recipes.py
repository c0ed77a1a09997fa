"""The command `recipe`: named sets of choices of recipes.yaml, listed, written into params.yaml, or as flags of DVC."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from sentiment.cli.choices import commented
from sentiment.cli.options import Commands, Options, add_command
from sentiment.pipeline.catalog import read_yaml
from sentiment.pipeline.errors import InputError, allowed
from sentiment.pipeline.params import flatten, load_params
from sentiment.pipeline.paths import PARAMS, RECIPES
from sentiment.pipeline.progress import say
from sentiment.report.tables import print_table

DEFAULT = "default"


def read_recipes() -> dict[str, dict[str, Any]]:
    """Read recipes.yaml: name to about and params."""
    return read_yaml(RECIPES)


def resolve(name: str) -> dict[str, Any]:
    """Return every choice of a recipe: the default's, and what the recipe does otherwise.

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
    """Return the choices of a recipe that params.yaml makes otherwise today."""
    today = dict(flatten(read_yaml(PARAMS)))
    return {key: value for key, value in resolve(name).items() if key not in today or today[key] != value}


def flags(name: str) -> list[str]:
    """Write a recipe as flags of `dvc exp run`, `-S key=value` for every choice that params.yaml makes otherwise."""
    return [part for key, value in changes(name).items() for part in ("-S", f"{key}={_override_word(value)}")]


def _override_word(value: Any) -> str:
    """Write a value as DVC's override grammar reads it."""
    plain = isinstance(value, str) and re.fullmatch(r"[\w.-]+", value)
    return str(value) if plain else json.dumps(value)


def write_choices(choices: Mapping[str, Any], path: Path) -> None:
    """Write choices, by their dotted keys, into a params file; comments, order and the form that DVC writes stay."""
    yaml = YAML()
    content = yaml.load(path)
    for key, value in choices.items():
        section: Any = content
        *parents, last = key.split(".")
        for parent in parents:
            section = section.setdefault(parent, {})
        if last not in section or section[last] != value:
            section[last] = value
    yaml.dump(content, path)


def write_anew(choices: Mapping[str, Any]) -> None:
    """Write params.yaml from choices alone; of what it held, the comment at its beginning stays."""
    old = PARAMS.read_text(encoding="utf-8", errors="replace").splitlines() if PARAMS.is_file() else []
    head = list(takewhile(lambda line: not line or line.startswith("#"), old))
    PARAMS.write_text("{}\n", encoding="utf-8", newline="\n")
    write_choices(choices, PARAMS)
    text = "\n".join([*head, PARAMS.read_text(encoding="utf-8")])
    PARAMS.write_text(commented(text), encoding="utf-8", newline="\n")


def add_parser(commands: Commands) -> None:
    """Declare the command, with an action for each thing to do with a recipe."""
    recipe = commands.add_parser("recipe", help="List, show or use a recipe of recipes.yaml.")
    actions = recipe.add_subparsers(required=True, metavar="ACTION")
    add_command(actions, "list", run_list, "List the recipes.")
    about = "Print the choices of a recipe; a star marks what it does otherwise than the default."
    named = [add_command(actions, "show", run_show, about)]
    named.append(add_command(actions, "use", run_use, "Write a recipe into params.yaml."))
    named.append(add_command(actions, "flags", run_flags, "Print a recipe as flags of `dvc exp run`."))
    for parser in named:
        parser.add_argument("name", help="the recipe")


def run_list(_options: Options) -> None:
    """List the recipes."""
    rows = [(name, recipe["about"], recipe["needs"]) for name, recipe in read_recipes().items()]
    print_table(("recipe", "what it is", "what it needs"), rows, 3)


def run_show(options: Options) -> None:
    """Print the choices of a recipe."""
    default = read_recipes()[DEFAULT]["params"]
    rows = [(key, f"{value}{' *' * (value != default[key])}") for key, value in resolve(options.name).items()]
    print_table(("choice", "value"), rows, 2, title=options.name)


def run_use(options: Options) -> None:
    """Write a recipe into params.yaml, and say what changed; a file that cannot be used is written anew."""
    choices = resolve(options.name)
    try:
        load_params()
    except InputError as error:
        write_anew(choices)
        load_params()  # what is wrong in catalog.yaml stays so
        say(f"{PARAMS}: written anew as {options.name}, since it could not be used: {error}")
        return
    changed = changes(options.name)
    write_choices(choices, PARAMS)
    say(f"{PARAMS}: {', '.join(changed) or 'nothing'} changed; `dvc repro` runs it")


def run_flags(options: Options) -> None:
    """Print a recipe as flags."""
    print(shlex.join(flags(options.name)))  # noqa: T201

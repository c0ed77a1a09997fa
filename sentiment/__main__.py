"""The command line: `python -m sentiment COMMAND`, run from the repository root."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sentiment.cli import choices, export, predict, serve
from sentiment.pipeline.errors import InputError, exit_on_input_error
from sentiment.pipeline.params import load_params
from sentiment.pipeline.paths import METRICS, PARAMS, REPORTS
from sentiment.pipeline.progress import say


def check() -> None:
    """Say everything that is wrong with params.yaml, before any long work."""
    params = load_params()
    say(f"{PARAMS}: all well; {params.model.name} on {params.data.name}")


def show() -> None:
    """Print the before/after table of the last run."""
    from sentiment.pipeline.artifacts import read_json
    from sentiment.report.pages import print_comparison

    if not METRICS.is_file():
        raise InputError(f"{METRICS}: no such file; run `dvc repro` first")
    print_comparison(read_json(METRICS), REPORTS / "report.html")


def list_recipes() -> None:
    """List the recipes."""
    from rich.console import Console
    from rich.table import Table

    from sentiment.cli.recipes import read_recipes

    table = Table("recipe", "what it is")
    for name, recipe in read_recipes().items():
        table.add_row(name, recipe["about"])
    Console().print(table)


def show_recipe(name: str) -> None:
    """Print the choices of a recipe; a star marks what it does otherwise than the default."""
    from rich.console import Console
    from rich.table import Table

    from sentiment.cli.recipes import describe

    table = Table("choice", "value", title=name)
    for key, (value, differs) in describe(name).items():
        table.add_row(key, f"{value}{' *' if differs else ''}")
    Console().print(table)


def use_recipe(name: str) -> None:
    """Write a recipe into params.yaml."""
    from sentiment.cli.recipes import changes, use

    changed = changes(name)
    use(name)
    say(f"{PARAMS}: {', '.join(changed) or 'nothing'} changed; `dvc repro` runs it")


def print_flags(name: str) -> None:
    """Print a recipe as flags of `dvc exp run`."""
    from sentiment.cli.recipes import flags

    print(shlex.join(flags(name)))  # noqa: T201


def diff(first: str, second: str, repo: str, remote: str | None, how: str, form: str, picture: Path | None) -> None:
    """Compare two models: git revisions, experiments or folders."""
    from sentiment.comparison.models import compare
    from sentiment.comparison.views import draw, show

    difference = compare(first, second, repo, remote, how)
    show(difference, form)
    if picture is not None:
        draw(difference, picture)
        say(f"{picture}: the change of each layer")


def release(version: str, stage: str | None, remote: str | None) -> None:
    """Tag the commit as a version of the model, once others can pull it; or bring a version to a stage."""
    from sentiment.registry.releases import release

    tags = release(version, stage, remote)
    say(f"tagged {', '.join(tags)}; to publish: git push origin {shlex.join(tags)}")


def add_release(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command `release`."""
    parser = commands.add_parser("release", help=release.__doc__, description=release.__doc__)
    parser.add_argument("version", metavar="VERSION", help="v and a semantic version, such as v1.2.0")
    parser.add_argument("--stage", help="bring it to this stage too, such as prod; or a version that there is")
    parser.add_argument("--remote", help="name of the DVC remote that must hold the model; the default one otherwise")
    parser.set_defaults(command=release)


def add_diff(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command `diff`."""
    parser = commands.add_parser("diff", help=diff.__doc__, description=f"{diff.__doc__} Weights are not downloaded.")
    side = "revision or experiment, with :FOLDER for another model than models/finetuned; or a folder with a model"
    parser.add_argument("first", metavar="A", help=side)
    parser.add_argument("second", metavar="B", help="likewise")
    parser.add_argument("--repo", default=".", help="path or address of the repository of the revisions")
    parser.add_argument("--remote", help="name of the DVC remote; the default one where none is given")
    ways = parser.add_mutually_exclusive_group()
    flags = {
        "hashes": "say which files changed, and read none",
        "exact": "measure the changed weights, read from cache or remote; estimated from sketches where not given",
    }
    for how, text in flags.items():
        ways.add_argument(f"--{how}", dest="how", action="store_const", const=how, help=text)
    forms = parser.add_mutually_exclusive_group()
    for form, text in {"json": "print JSON, with every tensor", "md": "print Markdown, with every tensor"}.items():
        forms.add_argument(f"--{form}", dest="form", action="store_const", const=form, help=text)
    parser.add_argument("--picture", type=Path, metavar="FILE.png", help="draw the relative change of each layer")
    parser.set_defaults(command=diff, how="sketches", form="table")


def add_command(commands: Any, name: str, command: Callable[..., None], module: Any) -> None:
    """Declare a command that has a module of its own, with options and a text about it."""
    parser = commands.add_parser(name, help=command.__doc__, description=module.__doc__)
    module.add_options(parser)
    parser.set_defaults(command=command)


def parse() -> argparse.Namespace:
    """Read the command line; `command` becomes the function to call, `name` its argument where it has one."""
    parser = argparse.ArgumentParser(prog="python -m sentiment", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in {"check": check, "show": show}.items():
        commands.add_parser(name, help=command.__doc__).set_defaults(command=command)
    choices.add_parser(commands)
    add_diff(commands)
    add_command(commands, "predict", predict.predict, predict)
    add_command(commands, "serve", serve.serve, serve)
    add_command(commands, "export", export.export, export)
    add_release(commands)
    recipe = commands.add_parser("recipe", help="List, show or use a recipe of recipes.yaml.")
    actions = recipe.add_subparsers(required=True, metavar="ACTION")
    actions.add_parser("list", help=list_recipes.__doc__).set_defaults(command=list_recipes)
    for name, action in {"show": show_recipe, "use": use_recipe, "flags": print_flags}.items():
        named = actions.add_parser(name, help=action.__doc__)
        named.add_argument("name", help="the recipe")
        named.set_defaults(command=action)
    return parser.parse_args()


def main() -> None:
    """Run the command that was asked for."""
    arguments = vars(parse())
    arguments.pop("command")(**arguments)


if __name__ == "__main__":
    exit_on_input_error(main)

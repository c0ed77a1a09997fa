"""The command `diff`: two models compared. Weights are not downloaded."""

from __future__ import annotations

from pathlib import Path

from sentiment.cli.options import Commands, Options, add_command
from sentiment.pipeline.progress import say


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = add_command(commands, "diff", run, "Compare two models: git revisions, experiments or folders.", __doc__)
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
    parser.set_defaults(how="sketches", form="table")


def run(options: Options) -> None:
    """Compare and show."""
    from sentiment.comparison.models import compare_models
    from sentiment.comparison.views import draw, show_difference

    difference = compare_models(options.first, options.second, options.repo, options.remote, options.how)
    show_difference(difference, options.form)
    if options.picture is not None:
        draw(difference, options.picture)
        say(f"{options.picture}: the change of each layer")

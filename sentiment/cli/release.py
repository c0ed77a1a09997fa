"""The command `release`: tag the commit as a version of the model, once others can pull it; or bring one to a stage."""

from __future__ import annotations

import shlex

from sentiment.cli.options import Commands, Options, add_command
from sentiment.pipeline.progress import say


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    about = "Tag the commit as a version of the model, once others can pull it; or bring a version to a stage."
    parser = add_command(commands, "release", run, about)
    parser.add_argument("version", metavar="VERSION", help="v and a semantic version, such as v1.2.0")
    parser.add_argument("--stage", help="bring it to this stage too, such as prod; or a version that there is")
    parser.add_argument("--remote", help="name of the DVC remote that must hold the model; the default one otherwise")


def run(options: Options) -> None:
    """Release, and say what publishes it."""
    from sentiment.registry.releases import release

    tags = release(options.version, options.stage, options.remote)
    say(f"tagged {', '.join(tags)}; to publish: git push origin {shlex.join(tags)}")

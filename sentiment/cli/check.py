"""The command `check`: everything that is wrong with params.yaml, before any long work."""

from __future__ import annotations

from sentiment.cli.options import Commands, Options, add_command
from sentiment.pipeline.params import load_params
from sentiment.pipeline.paths import PARAMS
from sentiment.pipeline.progress import say


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    add_command(commands, "check", run, "Say everything that is wrong with params.yaml, before any long work.")


def run(_options: Options) -> None:
    """Check params.yaml."""
    params = load_params()
    say(f"{PARAMS}: all well; {params.model.name} on {params.data.name}")

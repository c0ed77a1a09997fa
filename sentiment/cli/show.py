"""The command `show`: the before/after table of the last run."""

from __future__ import annotations

from sentiment.cli.options import Commands, Options, add_command
from sentiment.pipeline.errors import InputError
from sentiment.pipeline.paths import METRICS, REPORTS


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    add_command(commands, "show", run, "Print the before/after table of the last run.")


def run(_options: Options) -> None:
    """Print the table."""
    from sentiment.pipeline.artifacts import read_json
    from sentiment.report.pages import print_comparison

    if not METRICS.is_file():
        raise InputError(f"{METRICS}: no such file; run `dvc repro` first")
    print_comparison(read_json(METRICS), REPORTS / "report.html")

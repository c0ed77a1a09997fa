"""The command line: `python -m sentiment COMMAND`, run from the repository root."""

from __future__ import annotations

import argparse
import os

from sentiment.cli import check, choices, diff, export, predict, recipes, release, serve, show
from sentiment.pipeline.errors import exit_on_input_error

COMMANDS = (check, choices, recipes, show, predict, serve, export, diff, release)  # each adds its parser


def parse() -> argparse.Namespace:
    """Read the command line; `run` is the function to call with it."""
    parser = argparse.ArgumentParser(prog="python -m sentiment", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(commands)
    return parser.parse_args()


def main() -> None:
    """Run the command that was given."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch is loaded; stages/__init__.py says why
    options = parse()
    options.run(options)


if __name__ == "__main__":
    exit_on_input_error(main)

"""The command line: `python -m sentiment COMMAND`, run from the repository root.

Commands:
    check   say everything that is wrong with params.yaml, before any long work
    show    print the before/after table of the last run
"""

from __future__ import annotations

import argparse

from sentiment.errors import InputError, exit_on_input_error
from sentiment.params import load_params
from sentiment.paths import METRICS, PARAMS, REPORTS
from sentiment.progress import say


def check() -> None:
    """Check params.yaml against its schema and the catalog."""
    params = load_params()
    say(f"{PARAMS}: all well; {params['model']['name']} on {params['data']['name']}")


def show() -> None:
    """Print the table of metrics.json."""
    from sentiment.report import print_comparison
    from sentiment.tables import read_json

    if not METRICS.is_file():
        raise InputError(f"{METRICS}: no such file; run `dvc repro` first")
    print_comparison(read_json(METRICS), REPORTS / "report.html")


COMMANDS = {"check": check, "show": show}


def main() -> None:
    """Run the command that was asked for."""
    parser = argparse.ArgumentParser(prog="python -m sentiment", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        commands.add_parser(name, help=command.__doc__)
    COMMANDS[parser.parse_args().command]()


if __name__ == "__main__":
    exit_on_input_error(main)

"""The command line: `python -m sentiment COMMAND`, run from the repository's root."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

try:
    from sentiment.pipeline.errors import InputError, exit_on_input_error, require
except ModuleNotFoundError:  # run by its path, as in `python sentiment`
    sys.exit("error: run it from the repository's root, as python -m sentiment")

exit_on_input_error(require)  # before the imports that need them

from sentiment.cli import check, choices, diff, export, predict, recipes, release, run, serve, show

COMMANDS = (check, choices, recipes, run, show, predict, serve, export, diff, release)  # each adds its parser
SIGPIPE_STATUS = 141  # what a shell shows for a program whose reader has gone: 128 + 13


def parse() -> argparse.Namespace:
    """Read the command line; `run` is the function to call with it."""
    parser = argparse.ArgumentParser(prog="python -m sentiment", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(commands)
    return parser.parse_args()


@contextmanager
def standard_output() -> Iterator[None]:
    """Make sure that what is printed arrives; end as programs in a pipe do where its reader has gone.

    Raises:
        InputError: standard output is closed, or has no space left.
    """
    if sys.stdout is None:
        raise InputError("standard output is closed; there is nowhere to print to")
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.ENOSPC):
            raise
        if error.filename is None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it ends
        if error.errno == errno.EPIPE:  # the reader, such as head, has seen enough
            sys.exit(SIGPIPE_STATUS)
        raise InputError(f"{error.filename or 'standard output'}: no space left") from error


def main() -> None:
    """Run the command that was given."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch is loaded; stages/__init__.py says why
    with standard_output():
        options = parse()
        options.run(options)


if __name__ == "__main__":
    exit_on_input_error(main)

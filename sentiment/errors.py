"""The one kind of error that a user's input can cause, and how it is shown."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Iterable


class InputError(Exception):
    """Something given to the project cannot be used.

    The message names the file, row or key, what was found, what is allowed, and where to change it.
    """


def exit_on_input_error(main: Callable[[], None]) -> None:
    """Run a command; show an input error as one message instead of a traceback, and exit with status 1."""
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")


def allowed(found: object, options: Iterable[object]) -> str:
    """Say what is allowed, and which option was probably meant.

    Args:
        found: the value that is not among the options.
        options: every allowed value.

    Returns:
        For example `allowed: imdb, sst2 (did you mean imdb?)`.
    """
    names = [str(option) for option in options]
    close = difflib.get_close_matches(str(found), names, n=1, cutoff=0.5)
    return f"allowed: {', '.join(names)}" + (f" (did you mean {close[0]}?)" if close else "")

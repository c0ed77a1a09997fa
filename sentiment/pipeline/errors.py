"""The one kind of error that a user's input can cause, and how it is shown."""

from __future__ import annotations

import difflib
import importlib.util
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


PACKAGES = ("datasets", "dvc", "numpy", "pandas", "pydantic", "ruamel", "torch", "transformers")  # of requirements.txt


def require(packages: Iterable[str] = PACKAGES, requirements: str = "requirements.txt") -> None:
    """Raise if packages are not installed; nothing is imported to find out.

    Args:
        packages: names to import.
        requirements: the file that lists them.

    Raises:
        InputError: says how to install them.
    """
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"not installed for {sys.executable}: {', '.join(missing)}; activate the environment that has them "
            f"(`. .venv/bin/activate`), or run `pip install -r {requirements}`"
        )


def allowed(found: object, options: Iterable[object]) -> str:
    """List what is allowed, and the option that was probably meant.

    Args:
        found: the value that is not among the options.
        options: every allowed value.

    Returns:
        For example `allowed: imdb, sst2 (did you mean imdb?)`.
    """
    names = [str(option) for option in options]
    return f"allowed: {', '.join(names)}{did_you_mean(str(found), names)}"


def did_you_mean(found: str, names: Iterable[str]) -> str:
    """Return ` (did you mean NAME?)` for the name that is most like the one found, or nothing where none is."""
    close = difflib.get_close_matches(found, sorted(names), n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""


def _is_plain(name: str) -> bool:
    """Return whether a name can only be that of a file in the folder at hand."""
    # a colon names a drive or a stream on Windows; what cannot be printed could hide the rest from who reads the name
    return name not in ("", ".", "..") and not set(name) & set("/\\:") and name.isprintable()


def plain_name(name: object, where: str) -> str:
    """Raise if a file name that was read from a file could lead out of its folder.

    Args:
        name: the name.
        where: the file and key that hold it.

    Returns:
        The name.

    Raises:
        InputError: it is no plain name.
    """
    if not isinstance(name, str) or not _is_plain(name):
        raise InputError(
            f"{where}: found the file name {str(name)[:100]!r}; allowed: a plain name inside the folder, without "
            "/ \\ : or control characters"
        )
    return name


def plain_pattern(pattern: object, where: str) -> str:
    """Raise if a file pattern that was read from a file could lead out of its folder.

    Args:
        pattern: plain names with / between them.
        where: the file and key that hold it.

    Returns:
        The pattern.

    Raises:
        InputError: a part of it is no plain name.
    """
    if not isinstance(pattern, str):
        raise InputError(f"{where}: found {pattern!r}; allowed: a file pattern such as *train*.parquet")
    if not all(map(_is_plain, pattern.split("/"))):
        raise InputError(
            f"{where}: found the file pattern {pattern[:100]!r}; allowed: plain names inside the folder with / "
            "between them, such as data/*train*.parquet, and no .."
        )
    return pattern


NAMES_SHOWN = 3  # in a message; a file can hold thousands of tensors


def in_one_line(error: Exception) -> str:
    """Return an error's type and message in one line; a KeyError's message is only the key."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def first_few(names: Iterable[str], shown: int = NAMES_SHOWN) -> str:
    """List the first few names, and how many more there are."""
    names = sorted(names)
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest} more" if rest > 0 else "")

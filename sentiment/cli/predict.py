"""The command `predict`: texts from the command line, standard input or a file in, the same rows with predictions out.

Rows go through in chunks; those of a chunk are sorted by length for the model and come out in their own order. A file
is read once before the model is loaded, so that every row that cannot be used is reported before any long work.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from sentiment.cli.options import Commands, Options, add_command, add_model_options, count, load_predictor, say_caution
from sentiment.pipeline.artifacts import DIGITS
from sentiment.pipeline.errors import InputError, allowed
from sentiment.pipeline.progress import say
from sentiment.reviews.files import CHUNK_ROWS, READERS, Chunk, Column, Problems, Source, file_source, text_chunks

if TYPE_CHECKING:
    from sentiment.inference.predictor import Predictor
    from sentiment.inference.writers import Added, Writer

STDIN, ARGUMENTS = "-", "the command line"
SECONDS_BETWEEN_LINES = 10.0  # of progress
COLUMNS: dict[str, type] = {"predicted": str, "probability_positive": float, "model_revision": str}
_FILE_NAME = re.compile(r"\S*\.(csv|tsv|jsonl|parquet|json|txt|xlsx?|gz|zip)", re.IGNORECASE)


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = add_command(commands, "predict", run, "Say of texts whether they are negative or positive.", __doc__)
    add = parser.add_argument
    add("inputs", nargs="+", metavar="TEXT", help="texts; or one file (.csv, .tsv, .jsonl, .parquet); or - for stdin")
    add("--column", default="text", help="the column that holds the texts (default: text)")
    add("--format", choices=("text", "csv", "tsv", "jsonl"), help="what stdin is (default: text, one a line)")
    add("--output", type=Path, metavar="FILE", help="where to; standard output otherwise")
    add("--json", action="store_true", help="write one JSON object a line")
    add("--prefix", default="", help="what the names of the new columns begin with")
    add("--on-bad-rows", default="error", choices=("error", "drop"), help="rows without a text: stop, or leave out")
    add_model_options(parser)
    add("--chunk-rows", type=count, help="rows read, sorted by length and written at once")


def find_source(options: Options) -> Source:
    """Decide whether the words of the command line are texts, a file, or ask for standard input.

    Raises:
        InputError: a file is not there or of no known format, or stands among other words; or a format is stated for
            what is not standard input, which is closed perhaps.
    """
    if options.format and options.inputs != [STDIN]:
        raise InputError("--format: is for standard input (-) alone; a file's ending says what it holds")
    files = [word for word in options.inputs if word == STDIN or _FILE_NAME.fullmatch(word) or _is_file(word)]
    if not files:
        return Source(ARGUMENTS, "text", lambda size: text_chunks(options.inputs, ARGUMENTS, size), again=True)
    if len(options.inputs) > 1:
        raise InputError(f"{files[0]}: found beside other words; give texts alone, or one file, or - alone")
    wanted = [Column(options.column)]
    if files != [STDIN]:
        return file_source(Path(files[0]), wanted)
    if sys.stdin is None:
        raise InputError("standard input is closed; give texts, a file, or a pipe into -")
    form = options.format or "text"
    reader, stream, name = READERS[form], sys.stdin.buffer, "standard input"
    return Source(name, form, lambda size: reader(stream, name, wanted, size), again=False)


def _is_file(word: str) -> bool:
    """Return whether a word names a file, or a folder by its path; a text can be too long for a name."""
    try:
        return Path(word).is_file() or ("/" in word and Path(word).is_dir())
    except OSError:
        return False


def find_format(source: Source, options: Options) -> str:
    """Choose the format to write: that of the input; for texts the one that the output's ending names, or tsv.

    Raises:
        InputError: the output's ending names another, or bytes would go to a terminal.
    """
    output = options.output
    ending = output.suffix.lower().removeprefix(".") if output else ""
    if options.json and source.form == "parquet":
        raise InputError("--json: not for parquet, whose types JSON does not have; leave it out")
    if source.form == "parquet" and not output and sys.stdout.isatty():
        raise InputError(f"{source.name}: parquet is not for a terminal; give --output FILE.parquet")
    fitting = ["jsonl"] if options.json else ["tsv", "csv", "jsonl"] if source.form == "text" else [source.form]
    if output and ending not in fitting:
        endings = allowed(output.suffix, [f".{form}" for form in fitting])
        raise InputError(f"{output}: found the ending {output.suffix or 'none'}, {endings} for what goes in")
    return ending or fitting[0]


def usable_chunks(source: Source, options: Options, problems: Problems) -> Iterator[Chunk]:
    """Read the rows that can be used.

    Raises:
        InputError: there are columns of the new names; or rows that come but once, cannot be used and are not to be
            dropped.
    """
    for chunk in source.chunks(options.chunk_rows or CHUNK_ROWS):
        chunk.check_free(new_columns(options), source.name)
        problems.add(chunk)
        if not source.again:
            refuse(problems, options)
        yield chunk.usable()


def examine(source: Source, options: Options) -> int:
    """Read a source to its end, before any long work.

    Returns:
        The number of rows that can be used.

    Raises:
        InputError: there are rows that cannot be used and are not to be dropped, or columns of the new names.
    """
    problems = Problems()
    rows = sum(len(chunk.numbers) for chunk in usable_chunks(source, options, problems))
    refuse(problems, options)
    return rows


def refuse(problems: Problems, options: Options) -> None:
    """Raise if there are rows that cannot be used and are not to be dropped."""
    if problems.total and options.on_bad_rows == "error":
        raise InputError(
            f"{problems.total} row(s) cannot be used (rows count from 1, a header not counted):\n"
            f"  {problems.describe()}\ncorrect the rows, or leave them out with --on-bad-rows drop"
        )


def with_progress(chunks: Iterable[Chunk], total: int | None) -> Iterator[Chunk]:
    """Say now and then how many rows are done and how fast, and at the end; a short run says nothing.

    Args:
        chunks: the rows.
        total: how many there are; None where that is not known.
    """
    of = "" if total is None else f" of {total:,}"
    start = last = time.monotonic()
    done = said = 0

    def report() -> None:
        say(f"  {done:,}{of} rows, {done / (time.monotonic() - start):,.0f} rows/s")

    for chunk in chunks:
        yield chunk
        done += len(chunk.numbers)
        if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            report()
            last, said = time.monotonic(), done
    if 0 < said < done:
        report()


@contextmanager
def opened_writer(source: Source, options: Options) -> Iterator[Writer]:
    """Open what the rows are written to: a table for texts on the command line, else standard output or a file."""
    from sentiment.inference.writers import WRITERS, TableWriter, replacing

    form = find_format(source, options)
    with replacing(options.output) if options.output else nullcontext(sys.stdout.buffer) as stream:
        shown = source.name == ARGUMENTS and not options.output and not options.json
        kind = TableWriter if shown else WRITERS[form]
        writer = kind(stream, new_columns(options))
        yield writer
        writer.close()


def added_columns(predictor: Predictor, chunk: Chunk, names: Iterable[str]) -> Added:
    """Predict for the texts of a chunk.

    Returns:
        Column name to values: labels, probabilities as the stage evaluate rounds them, the model's revision.
    """
    answers = predictor(chunk.texts)
    values = (
        [answer.label for answer in answers],
        [round(answer.probability_positive, DIGITS) for answer in answers],
        [predictor.revision] * len(answers),
    )
    return dict(zip(names, values, strict=True))


def new_columns(options: Options) -> dict[str, type]:
    """Return the names of the columns that are added, each with its type."""
    return {options.prefix + name: kind for name, kind in COLUMNS.items()}


def run(options: Options) -> None:
    """Predict for every row.

    Raises:
        InputError: the rows, the model or a choice cannot be used.
    """
    source = find_source(options)
    find_format(source, options)  # tells a slip before the rows are read
    total = examine(source, options) if source.again else None
    problems = Problems()
    with opened_writer(source, options) as writer:
        predictor = load_predictor(options)
        say_caution(predictor.manifest)
        for chunk in with_progress(usable_chunks(source, options, problems), total):
            writer.write(chunk, added_columns(predictor, chunk, new_columns(options)))
    if problems.total:
        say(f"rows left out:\n  {problems.describe()}")

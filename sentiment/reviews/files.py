"""Read rows of reviews from files or standard input as a stream of chunks, and say which rows cannot be used.

However many rows there are, only a chunk of them is in memory; json alone, which is one value, is read whole. What a
format can hold is kept, for `inference.writers` to write again: all columns in their order, the fields of csv to the
letter, the types of parquet. Every reader takes a binary stream, its name for messages, the wanted columns (that of the
texts, then perhaps that of the labels), and the rows of a chunk.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, count, islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TypeVar

from sentiment.pipeline.errors import InputError, allowed
from sentiment.reviews.normalization import is_blank

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK_ROWS = 512  # sorted by length and scored at once: enough that little of a batch is padding, and little memory
READ_BUFFER = 1 << 16  # bytes read at once from a column of a parquet file, which is not held as a whole
SHOWN_ROWS = 10  # and lines, and labels, of those that cannot be used
SHOWN_COLUMNS = 100
SHOWN_CHARACTERS = 100
TEXT = "text"  # the column that plain texts become
UNKNOWN_LABEL = "unknown label"

Item = TypeVar("Item")


class Column(NamedTuple):
    """A column's name, and the option or key that names it."""

    name: str
    named_by: str = "--column"


Wanted = Sequence[Column]


@dataclass(frozen=True)
class Chunk:
    """Some rows, in their order.

    Attributes:
        sources: the file of each row.
        numbers: the rows' numbers, counted from 1 (a header or a blank line is no row).
        rows: the rows as their format has them: lists of fields, JSON objects, or a table of parquet.
        columns: the header of rows that are lists of fields.
        texts: what stands in the column of texts.
        labels: what stands in the column of labels; None where none is wanted.
        problems: what makes a row unusable, else empty; readers leave texts and labels unjudged.
    """

    sources: Sequence[str]
    numbers: Sequence[int]
    rows: Any
    columns: Sequence[str]
    texts: Sequence[Any]
    labels: Sequence[Any]
    problems: Sequence[str]

    def judged(self) -> Chunk:
        """Return the chunk with every text judged: where there is no problem, texts are strings."""
        return replace(self, problems=list(map(judge, self.texts, self.problems)))

    def usable(self) -> Chunk:
        """Select the rows without a problem."""
        if not any(self.problems):
            return self
        positions = [position for position, problem in enumerate(self.problems) if not problem]

        def select(values: Any) -> Any:
            return values.take(positions) if hasattr(values, "take") else [values[position] for position in positions]

        selected = ("sources", "numbers", "rows", "texts", "labels", "problems")
        return replace(self, **{name: select(getattr(self, name)) for name in selected})

    def check_free(self, names: Iterable[str], source: str) -> None:
        """Refuse new columns that the rows have already.

        Raises:
            InputError: names them.
        """
        if isinstance(self.rows, list):
            taken = set(self.columns).union(*(row for row in self.rows if isinstance(row, dict)))
        else:
            taken = set(self.rows.schema.names)
        clash = [name for name in names if name in taken]
        if clash:
            raise InputError(
                f"{source}: has the column(s) {', '.join(clash)} already; give the new ones other names, such as "
                "--prefix new_"
            )


def judge(text: object, problem: str = "") -> str:
    """Return what makes a text unusable, empty where nothing does.

    Args:
        text: what stands in the column of texts.
        problem: what is wrong with its row, which comes first.
    """
    if problem:
        return problem
    if isinstance(text, str):
        return "empty text" if is_blank(text) else ""
    missing = text is None or (isinstance(text, float) and text != text)
    return "empty text" if missing else "text that is no string"


def encoding_problem(*values: Any) -> str:
    """Return `not UTF-8` if a value held other bytes (kept as surrogates by the reader), else nothing."""
    for value in values:
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode("utf-8")
            except UnicodeEncodeError:
                return "not UTF-8"
    return ""


def shown(value: object) -> str:
    """Write what was found in a file for a message: control characters escaped, and not too long."""
    text = str(value)
    cut = text[:SHOWN_CHARACTERS] + ("..." if len(text) > SHOWN_CHARACTERS else "")
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in cut)


class Problems:
    """Counts the unusable rows of a stream by file and problem, and remembers the first ten of each."""

    def __init__(self, labels: Mapping[str, Sequence[Any]] | None = None) -> None:
        """Begin with none.

        Args:
            labels: the label words that are allowed, for messages.
        """
        self.labels = labels or {}
        self._counts: Counter[tuple[str, str]] = Counter()  # by file and problem
        self._first: defaultdict[tuple[str, str], tuple[list[int], list[Any]]] = defaultdict(lambda: ([], []))

    @property
    def total(self) -> int:
        """Number of unusable rows."""
        return self._counts.total()

    def add(self, chunk: Chunk) -> None:
        """Count those of a chunk."""
        for source, row, label, problem in zip(chunk.sources, chunk.numbers, chunk.labels, chunk.problems, strict=True):
            if problem:
                self._counts[source, problem] += 1
                rows, labels = self._first[source, problem]
                if len(rows) < SHOWN_ROWS:
                    rows.append(row)
                if len(labels) < SHOWN_ROWS and label not in labels:
                    labels.append(label)

    def describe(self) -> str:
        """List them, one line for each file and problem."""
        lines = [self._line(*group) for group in sorted(self._counts)]
        hidden = [f"and {len(lines) - SHOWN_ROWS} more such lines"] if len(lines) > SHOWN_ROWS else []
        return "\n  ".join([*lines[:SHOWN_ROWS], *hidden])

    def _line(self, source: str, problem: str) -> str:
        count, (rows, labels) = self._counts[source, problem], self._first[source, problem]
        more = f" and {count - SHOWN_ROWS} more" if count > SHOWN_ROWS else ""
        line = f"{source}: {problem} in row {', '.join(map(str, rows))}{more}"
        if problem != UNKNOWN_LABEL:
            return line
        words = "; ".join(f"{label}: {', '.join(map(str, words))}" for label, words in self.labels.items())
        return f"{line} (found {', '.join(shown(repr(label)) for label in labels)}; allowed {words})"


@dataclass(frozen=True)
class Source:
    """Where rows come from.

    Attributes:
        name: for messages.
        form: name of its format, as in READERS.
        read: begins to read, given the rows of a chunk.
        again: whether it can be read more than once.
    """

    name: str
    form: str
    read: Callable[[int], Iterator[Chunk]]
    again: bool

    def chunks(self, size: int) -> Iterator[Chunk]:
        """Read chunks of `size` rows, with every text judged."""
        return map(Chunk.judged, self.read(size))


def file_source(path: Path, wanted: Wanted) -> Source:
    """Read a file of rows, in the format that its name ends in.

    Raises:
        InputError: it is not there, or of no known format; while it is read, that it is broken or lacks a column.
    """
    form = path.suffix.lower().removeprefix(".")
    if form not in FORMATS:
        known = allowed(path.suffix, [f".{name}" for name in FORMATS])
        plain = form == "txt" and len(wanted) == 1
        hint = f"; one text a line: python -m sentiment predict - < {path}" if plain else ""
        raise InputError(f"{path}: found the ending {path.suffix or 'none'}, {known}{hint}")
    if not path.is_file():
        raise InputError(f"{path}: no such file")

    def read(size: int) -> Iterator[Chunk]:
        with readable(path), path.open("rb") as stream:
            yield from READERS[form](stream, str(path), wanted, size)

    return Source(str(path), form, read, again=True)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Raise an InputError where the system refuses to read a file."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Part a stream into lists of `size` items, the last of them perhaps shorter."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def numbered(items: Iterable[Item], size: int) -> Iterator[tuple[range, list[Item]]]:
    """Part a stream as `batched` does, with the numbers of the items, counted from 1."""
    for first, batch in zip(count(1, size), batched(items, size), strict=False):
        yield range(first, first + len(batch)), batch


def _chunk(
    source: str,
    numbers: Sequence[int],
    rows: Any,
    values: Sequence[list[Any]],
    problems: list[str],
    columns: Sequence[str] = (),
) -> Chunk:
    """Make a chunk of one source, from the values of the wanted columns."""
    texts, labels, *_ = [*values, [None] * len(problems)]
    return Chunk([source] * len(problems), numbers, rows, columns, texts, labels, problems)


def check_columns(source: str, found: Iterable[str], wanted: Wanted) -> None:
    """Refuse rows that lack a wanted column, or have it twice.

    Raises:
        InputError: names the columns found.
    """
    names = list(found)
    for name, named_by in wanted:
        if names.count(name) > 1:
            raise InputError(
                f"{source}: has the column {shown(name)} {names.count(name)} times; keep one, or rename the others"
            )
        if name not in names:
            few = [shown(other) for other in names[:SHOWN_COLUMNS]]
            more = f" and {len(names) - SHOWN_COLUMNS} more" if len(names) > SHOWN_COLUMNS else ""
            has = allowed(name, few).removeprefix("allowed: ")
            raise InputError(f"{source}: no column {name}, which {named_by} names; the file has: {has}{more}")


@contextmanager
def decoded(stream: IO[bytes], source: str, newline: str | None) -> Iterator[io.TextIOWrapper]:
    """Read bytes as UTF-8, with or without a byte order mark; other bytes become surrogates, which mark their row.

    The stream stays open.

    Raises:
        InputError: the bytes are UTF-16, or there are none.
    """
    buffered = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(stream)  # type: ignore[type-var]
    start = buffered.peek(2)[:2]
    if not start:
        raise InputError(f"{source}: empty; nothing to read")
    if start in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError(f"{source}: written in UTF-16, must be UTF-8; save it again as UTF-8")
    text = io.TextIOWrapper(buffered, encoding="utf-8-sig", errors="surrogateescape", newline=newline)
    try:
        yield text
    finally:
        text.detach()  # else the stream is closed with the wrapper


def line_chunks(stream: IO[bytes], source: str, wanted: Wanted, size: int) -> Iterator[Chunk]:
    """Read one text a line, whatever ends the lines. The texts become the column `text`, whatever is wanted.

    Raises:
        InputError: the input is empty, or its first line is the header of a table with the wanted column.
    """
    with decoded(stream, source, None) as file:
        lines = (line.rstrip("\n") for line in file)
        start = list(islice(lines, 1))  # empty where a byte order mark is all there is
        _check_no_header("".join(start), source, wanted[0].name)
        yield from text_chunks(chain(start, lines), source, size)


def _check_no_header(line: str, source: str, column: str) -> None:
    """Refuse a table where lines of text are expected: its header and fields would be read as texts."""
    for form, delimiter in (("csv", ","), ("tsv", "\t")):
        fields = [field.strip().strip('"') for field in line.split(delimiter)]
        if len(fields) > 1 and column in fields:
            raise InputError(
                f"{source}: the first line, {shown(line)}, looks like the header of a {form} file with the column "
                f"{column}; add --format {form}, or take that line out"
            )


def text_chunks(texts: Iterable[str], source: str, size: int) -> Iterator[Chunk]:
    """Make rows of nothing but texts."""
    for numbers, batch in numbered(texts, size):
        yield _chunk(
            source, numbers, [[text] for text in batch], [batch], [encoding_problem(text) for text in batch], (TEXT,)
        )


def csv_chunks(stream: IO[bytes], source: str, wanted: Wanted, size: int, delimiter: str = ",") -> Iterator[Chunk]:
    """Read a delimited file with a header, as the csv module and spreadsheets quote it.

    Yields:
        First a chunk without rows, for the header; then the rows.

    Raises:
        InputError: the file is empty or broken as a whole, or lacks a column.
    """
    csv.field_size_limit(sys.maxsize)
    with decoded(stream, source, "") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            header = next(reader, [])
            if encoding_problem(*header):
                raise InputError(f"{source}: the header is not UTF-8; save the file again as UTF-8")
            check_columns(source, header, wanted)
            yield _chunk(source, (), [], [[]], [], header)
            rows = (fields for fields in reader if fields)  # the csv module gives [] for a blank line
            for numbers, batch in numbered(rows, size):
                yield _fields_chunk(source, numbers, batch, wanted, header)
        except csv.Error as error:
            raise InputError(f"{source}: broken near line {reader.line_num}: {error}; is a quote left open?") from error


def _fields_chunk(source: str, numbers: range, rows: list[list[str]], wanted: Wanted, header: list[str]) -> Chunk:
    width = len(header)
    ragged = f"fields unlike the header's {width}"
    problems = [encoding_problem(*fields) if len(fields) == width else ragged for fields in rows]
    positions = [header.index(column.name) for column in wanted]
    values = [[fields[at] if len(fields) == width else "" for fields in rows] for at in positions]
    return _chunk(source, numbers, rows, values, problems, header)


def jsonl_chunks(stream: IO[bytes], source: str, wanted: Wanted, size: int) -> Iterator[Chunk]:
    """Read one JSON object a line; blank lines are no rows.

    Raises:
        InputError: the file is empty, or lacks a column.
    """
    with decoded(stream, source, None) as file:
        objects = (_json_object(line) for line in file if line.strip())
        yield from _object_chunks(objects, source, wanted, size)


def _json_object(line: str) -> tuple[dict[str, Any], str]:
    """Read a JSON object, and its problem."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return {}, "not JSON"
    if not isinstance(record, dict):
        return {}, "not a JSON object"
    plain = line.isascii() and "\\u" not in line  # most are, and writing an object takes as long as reading it
    return record, "" if plain else encoding_problem(json_line(record))


def json_chunks(stream: IO[bytes], source: str, wanted: Wanted, size: int) -> Iterator[Chunk]:
    """Read a JSON list of objects, as a whole.

    Raises:
        InputError: the file is empty, holds something else, or lacks a column.
    """
    with decoded(stream, source, None) as file:
        try:
            records = json.load(file)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{source}: not JSON: {error}") from error
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise InputError(f"{source}: must be a JSON list of objects; one object a line is a .jsonl file")
    objects = ((record, encoding_problem(json_line(record))) for record in records)
    yield from _object_chunks(objects, source, wanted, size)


def _object_chunks(
    objects: Iterable[tuple[dict[str, Any], str]], source: str, wanted: Wanted, size: int
) -> Iterator[Chunk]:
    """Take texts and labels out of JSON objects, each with its problem; what an object lacks is None.

    The first chunk must have texts, or the error would come only at the end; a label may first appear far down.
    """
    keys: dict[str, None] = {}
    for numbers, batch in numbered(objects, size):
        records, problems = [record for record, _ in batch], [problem for _, problem in batch]
        keys |= dict.fromkeys(chain.from_iterable(records))
        if keys:
            check_columns(source, keys, wanted[:1])
        values = [[record.get(column.name) for record in records] for column in wanted]
        yield _chunk(source, numbers, records, values, problems)
    if keys:
        check_columns(source, keys, wanted)


def json_line(record: Mapping[str, Any]) -> str:
    """Write an object as one line of JSON."""
    return json.dumps(record, ensure_ascii=False)


def parquet_chunks(stream: IO[bytes], source: str, wanted: Wanted, size: int) -> Iterator[Chunk]:
    """Read a parquet file, without ever holding a row group as a whole.

    Where labels are wanted, the other columns are left out: only predict writes rows again, and they may be large.

    Yields:
        First a chunk without rows, for the schema; then the rows.

    Raises:
        InputError: the file is no parquet or broken, or lacks a column, or that of the texts holds something else.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = list(dict.fromkeys(column.name for column in wanted))
    try:
        file = pq.ParquetFile(stream, buffer_size=READ_BUFFER, pre_buffer=False)
        schema = file.schema_arrow
        check_columns(source, schema.names, wanted)
        _check_is_text(source, wanted[0], schema.field(wanted[0].name).type)
        if len(wanted) > 1:
            schema = pa.schema([schema.field(name) for name in names])
        yield _chunk(source, (), schema.empty_table(), [[]], [])
        start = 1
        for batch in file.iter_batches(size, columns=names if len(wanted) > 1 else None):
            table = pa.Table.from_batches([batch], schema)
            table.validate(full=True)  # else a string that is no UTF-8 stops the program further on
            values = [table[column.name].to_pylist() for column in wanted]
            yield _chunk(source, range(start, start + len(table)), table, values, [""] * len(table))
            start += len(table)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{source}: not readable as parquet: {error}") from error


def _check_is_text(source: str, column: Column, kind: pa.DataType) -> None:
    """Refuse a parquet column that holds no strings."""
    import pyarrow as pa

    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null)
    if not any(check(inner) for check in texts):
        raise InputError(
            f"{source}: the column {column.name} holds {shown(kind)}, must hold strings; name another with "
            f"{column.named_by}"
        )


READERS: dict[str, Callable[[IO[bytes], str, Wanted, int], Iterator[Chunk]]] = {  # by format
    "text": line_chunks,  # for standard input alone
    "csv": csv_chunks,
    "tsv": partial(csv_chunks, delimiter="\t"),
    "json": json_chunks,
    "jsonl": jsonl_chunks,
    "parquet": parquet_chunks,
}
FORMATS = tuple(name for name in READERS if name != "text")  # a file of one ends in its name

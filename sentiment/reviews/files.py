"""Read rows of texts as a stream of chunks, from a file or standard input; `inference.writers` writes them again.

However many rows there are, only a chunk of them is in memory. What a format can hold is kept: all columns in their
order, the fields of csv to the letter, the types of parquet. Every reader takes a binary stream, its name for messages,
the column that holds the texts, and the rows of a chunk.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from sentiment.pipeline.errors import InputError, allowed
from sentiment.reviews.sources import READ_BUFFER, batches, encoding_problem, json_object

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK_ROWS = 512  # sorted by length and scored at once: enough that little of a batch is padding, and little memory
SHOWN_ROWS = 10
TEXT = "text"  # the column that plain texts become


@dataclass(frozen=True)
class Chunk:
    """Some rows, in their order.

    Attributes:
        numbers: the rows' numbers, counted from 1 (a header or a blank line is no row).
        rows: the rows as their format has them: lists of fields, JSON objects, or a table of parquet.
        columns: the header of rows that are lists of fields.
        texts: what stands in the column of texts; strings wherever there is no problem.
        problems: what makes a row unusable, else empty.
    """

    numbers: Sequence[int]
    rows: Any
    columns: Sequence[str]
    texts: list[Any]
    problems: list[str]

    def usable(self) -> Chunk:
        """Select the rows without a problem."""
        places = [place for place, problem in enumerate(self.problems) if not problem]
        if len(places) == len(self.problems):
            return self
        rows = self.rows.take(places) if hasattr(self.rows, "take") else [self.rows[place] for place in places]
        numbers, texts = ([values[place] for place in places] for values in (self.numbers, self.texts))
        return Chunk(numbers, rows, self.columns, texts, [""] * len(places))

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


@dataclass
class Problems:
    """Counts unusable rows by what is wrong with them, and remembers the first ten of each.

    Attributes:
        source: the file, for messages.
        counts: problem to number of rows.
    """

    source: str
    counts: dict[str, int] = field(default_factory=dict)
    _first: dict[str, list[int]] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Number of unusable rows."""
        return sum(self.counts.values())

    def add(self, chunk: Chunk) -> None:
        """Count those of a chunk."""
        for number, problem in zip(chunk.numbers, chunk.problems, strict=True):
            if problem:
                self.counts[problem] = self.counts.get(problem, 0) + 1
                first = self._first.setdefault(problem, [])
                if len(first) < SHOWN_ROWS:
                    first.append(number)

    def describe(self) -> str:
        """List them, one line for each problem."""
        lines = []
        for problem, count in sorted(self.counts.items()):
            more = f" and {count - SHOWN_ROWS} more" if count > SHOWN_ROWS else ""
            lines.append(f"{self.source}: {problem} in row {', '.join(map(str, self._first[problem]))}{more}")
        return "\n  ".join(lines)


def judge(text: object, problem: str = "") -> str:
    """Say what makes a text unusable, in the words of the stage prepare; empty where nothing does.

    Args:
        text: what stands in the column of texts.
        problem: what the reader found wrong with the row, which comes first.
    """
    if problem:
        return problem
    if text is not None and not isinstance(text, str):
        return "text that is no string"
    return "" if text and text.strip() else "empty text"


def check_column(source: str, column: str, found: Sequence[str]) -> None:
    """Refuse rows that lack the column of texts.

    Raises:
        InputError: names those they have.
    """
    if column not in found:
        has = allowed(column, dict.fromkeys(found)).removeprefix("allowed: ")
        raise InputError(f"{source}: no column {column}; it has: {has}; name one with --column")


@contextmanager
def decoded(stream: IO[bytes], source: str, newline: str | None) -> Iterator[io.TextIOWrapper]:
    """Read bytes as UTF-8, with or without a byte order mark; other bytes become surrogates, for each row to tell.

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


def read_lines(stream: IO[bytes], source: str, column: str, size: int) -> Iterator[Chunk]:
    """Read one text a line, whatever ends the lines. The texts become the column `text`; `column` is not asked for."""
    with decoded(stream, source, None) as file:
        yield from text_chunks((line.rstrip("\n") for line in file), size)


def text_chunks(texts: Iterable[str], size: int) -> Iterator[Chunk]:
    """Make rows of nothing but texts."""
    first = 1
    for batch in batches(texts, size):
        problems = [judge(text, encoding_problem(text)) for text in batch]
        yield Chunk(range(first, first + len(batch)), [[text] for text in batch], (TEXT,), batch, problems)
        first += len(batch)


def read_csv(stream: IO[bytes], source: str, column: str, size: int, delimiter: str = ",") -> Iterator[Chunk]:
    """Read a delimited file with a header, as the csv module and spreadsheets quote it.

    Yields:
        First a chunk without rows, for the header; then the rows.

    Raises:
        InputError: the file is empty or broken as a whole, or lacks the column.
    """
    csv.field_size_limit(sys.maxsize)
    with decoded(stream, source, "") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            header = next(reader, [])
            if encoding_problem(*header):
                raise InputError(f"{source}: the header is not UTF-8; save the file again as UTF-8")
            check_column(source, column, header)
            yield Chunk((), [], header, [], [])
            rows = enumerate((fields for fields in reader if fields), 1)  # the csv module gives [] for a blank line
            for batch in batches(rows, size):
                yield _delimited_chunk(batch, header, header.index(column))
        except csv.Error as error:
            raise InputError(f"{source}: broken near line {reader.line_num}: {error}; is a quote left open?") from error


def _delimited_chunk(batch: list[tuple[int, list[str]]], header: list[str], place: int) -> Chunk:
    """Judge numbered rows of fields, with the text at one place of each."""
    texts, problems = [], []
    for _, fields in batch:
        if len(fields) == len(header):
            texts.append(fields[place])
            problems.append(judge(fields[place], encoding_problem(*fields)))
        else:
            texts.append("")
            problems.append(f"fields unlike the header's {len(header)}")
    return Chunk([number for number, _ in batch], [fields for _, fields in batch], header, texts, problems)


def read_tsv(stream: IO[bytes], source: str, column: str, size: int) -> Iterator[Chunk]:
    """Read a tab-delimited file with a header."""
    return read_csv(stream, source, column, size, delimiter="\t")


def read_jsonl(stream: IO[bytes], source: str, column: str, size: int) -> Iterator[Chunk]:
    """Read one JSON object a line; blank lines are no rows.

    Raises:
        InputError: the file is empty, or no object of the first chunk has the column.
    """
    checked = False
    with decoded(stream, source, None) as file:
        for batch in batches(enumerate((line for line in file if line.strip()), 1), size):
            chunk = _json_chunk(batch, column)
            keys = list(dict.fromkeys(key for record in chunk.rows for key in record))
            if keys and not checked:
                check_column(source, column, keys)
                checked = True
            yield chunk


def _json_chunk(batch: list[tuple[int, str]], column: str) -> Chunk:
    """Judge numbered lines of JSON."""
    read = [json_object(line) for _, line in batch]
    records = [record for record, _ in read]
    texts = [record.get(column) for record in records]
    found = [problem or encoding_problem(json_line(record)) for record, problem in read]
    problems = [judge(text, problem) for text, problem in zip(texts, found, strict=True)]
    return Chunk([number for number, _ in batch], records, (), texts, problems)


def json_line(record: Mapping[str, Any]) -> str:
    """Write an object as one line of JSON."""
    return json.dumps(record, ensure_ascii=False)


def read_parquet(stream: IO[bytes], source: str, column: str, size: int) -> Iterator[Chunk]:
    """Read a parquet file, without ever holding a row group as a whole.

    Yields:
        First a chunk without rows, for the schema; then the rows.

    Raises:
        InputError: the file is no parquet or broken, or lacks the column, or that holds something else than text.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(stream, buffer_size=READ_BUFFER, pre_buffer=False)
        schema = file.schema_arrow
        check_column(source, column, schema.names)
        _check_is_text(source, column, schema.field(column).type)
        yield Chunk((), schema.empty_table(), (), [], [])
        start = 1
        for batch in file.iter_batches(size):
            table = pa.Table.from_batches([batch], schema)
            table.validate(full=True)  # else a string that is no UTF-8 stops the program further on
            texts = table[column].to_pylist()
            numbers = range(start, start + len(texts))
            yield Chunk(numbers, table, (), texts, [judge(text) for text in texts])
            start += len(texts)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{source}: not readable as parquet: {error}") from error


def _check_is_text(source: str, column: str, kind: pa.DataType) -> None:
    """Refuse a parquet column that holds no strings.

    Raises:
        InputError: says what it holds.
    """
    import pyarrow as pa

    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null)
    if not any(check(inner) for check in texts):
        raise InputError(f"{source}: the column {column} holds {kind}, must hold strings; name another with --column")


Reader = Callable[[IO[bytes], str, str, int], Iterator[Chunk]]

READERS: dict[str, Reader] = {  # by format; a file of it ends in its name, and `text` is for standard input alone
    "text": read_lines,
    "csv": read_csv,
    "tsv": read_tsv,
    "jsonl": read_jsonl,
    "parquet": read_parquet,
}

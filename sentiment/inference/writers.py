"""Write rows as they were read, with columns added: csv, tsv, JSON, JSON lines, parquet, or a table on the terminal."""

from __future__ import annotations

import csv
import io
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from uuid import uuid4

from sentiment.pipeline.artifacts import DIGITS
from sentiment.pipeline.errors import InputError
from sentiment.pipeline.labels import LABELS
from sentiment.report.tables import print_table
from sentiment.reviews.files import Chunk, json_line

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

Added = Mapping[str, Sequence[Any]]  # name of a new column to its values, one for each row of a chunk

ROW_GROUP = 16_384  # rows of a parquet file that are compressed together; small groups make large files
GROUP_BYTES = 1 << 23  # fewer rows where they are long, as they are held in memory until then


class Writer(ABC):
    """Writes rows with columns added to a binary stream, which it leaves open."""

    def __init__(self, stream: IO[bytes], columns: Mapping[str, type]) -> None:
        """Begin.

        Args:
            stream: where to.
            columns: the new columns, name to type.
        """
        self.stream, self.columns = stream, columns

    @abstractmethod
    def write(self, chunk: Chunk, added: Added) -> None:
        """Write the rows of a chunk, and the values of the new columns for them."""

    def close(self) -> None:  # noqa: B027 - most hold nothing back
        """Write what is still held back, if anything is."""


class CsvWriter(Writer):
    """Writes a header once, then rows of fields."""

    delimiter = ","
    begun = False

    def write(self, chunk: Chunk, added: Added) -> None:
        """Write rows; floats of the new columns get six digits, None stays empty."""
        lines = io.StringIO(newline="")
        plain = csv.writer(lines, delimiter=self.delimiter, lineterminator="\n")
        # Python's csv module leaves a lone carriage return unquoted, and every reader then breaks the row there
        quoted = csv.writer(lines, delimiter=self.delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL)
        new = [[_csv_field(value) for value in added[name]] for name in self.columns]
        rows: Iterable[list[str]] = ([*row, *more] for row, *more in zip(chunk.rows, *new, strict=True))
        if not self.begun:
            rows = chain([[*chunk.columns, *self.columns]], rows)
            self.begun = True
        for row in rows:
            (quoted if any("\r" in value for value in row) else plain).writerow(row)
        self.stream.write(lines.getvalue().encode())
        self.stream.flush()


def _csv_field(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.{DIGITS}f}" if isinstance(value, float) else str(value)


class TsvWriter(CsvWriter):
    """Writes rows of fields with tabs between them."""

    delimiter = "\t"


class JsonLinesWriter(Writer):
    """Writes one JSON object a line, whether the rows are objects or lists of fields."""

    def write(self, chunk: Chunk, added: Added) -> None:
        """Write rows."""
        for row, *new in zip(chunk.rows, *(added[name] for name in self.columns), strict=True):
            record = row if isinstance(row, dict) else dict(zip(chunk.columns, row, strict=True))
            self._write_object(json_line({**record, **dict(zip(self.columns, new, strict=True))}))
        self.stream.flush()

    def _write_object(self, line: str) -> None:
        self.stream.write(f"{line}\n".encode())


class JsonWriter(JsonLinesWriter):
    """Writes one JSON list of objects, each on a line of its own."""

    begun = False

    def _write_object(self, line: str) -> None:
        self.stream.write(f"{',' if self.begun else '['}\n{line}".encode())
        self.begun = True

    def close(self) -> None:
        """Write the end of the list, without which it is none."""
        self.stream.write(b"\n]\n" if self.begun else b"[]\n")
        self.stream.flush()


class ParquetWriter(Writer):
    """Writes tables, in groups of some thousand rows."""

    def __init__(self, stream: IO[bytes], columns: Mapping[str, type]) -> None:
        """Begin, as `Writer` does."""
        super().__init__(stream, columns)
        self.file: pq.ParquetWriter | None = None
        self.held: list[pa.Table] = []

    def write(self, chunk: Chunk, added: Added) -> None:
        """Add a table to those held back; write them once they are enough."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = chunk.rows
        for name, kind in self.columns.items():
            table = table.append_column(name, pa.array(added[name], pa.float64() if kind is float else pa.string()))
        if self.file is None:
            self.file = pq.ParquetWriter(self.stream, table.schema)
        self.held.append(table)
        if sum(map(len, self.held)) >= ROW_GROUP or sum(table.nbytes for table in self.held) >= GROUP_BYTES:
            self._write_group()

    def _write_group(self) -> None:
        """Write the tables held back as one group of rows."""
        import pyarrow as pa

        if self.file is not None and any(map(len, self.held)):
            self.file.write_table(pa.concat_tables(self.held))
        self.held = []

    def close(self) -> None:
        """Write the last rows, and the end of the file, without which it is none."""
        self._write_group()
        if self.file is not None:
            self.file.close()
        self.stream.flush()


class TableWriter(Writer):
    """Shows a few texts to a person: each with its label, and the probability of that label."""

    def __init__(self, stream: IO[bytes], columns: Mapping[str, type]) -> None:
        """Begin, as `Writer` does."""
        super().__init__(stream, columns)
        self.rows: list[tuple[str, str, str]] = []

    def write(self, chunk: Chunk, added: Added) -> None:
        """Add rows."""
        labels, probabilities, _revision = added.values()
        for text, label, positive in zip(chunk.texts, labels, probabilities, strict=True):
            own = {None: max(positive, 1 - positive), LABELS[0]: 1 - positive, LABELS[1]: positive}[label]
            self.rows.append((text, label or "", f"{own:.4f}"))

    def close(self) -> None:
        """Print the table."""
        print_table(("text", "label", "probability"), self.rows, 2)


WRITERS: dict[str, type[Writer]] = {  # by format
    "csv": CsvWriter,
    "tsv": TsvWriter,
    "json": JsonWriter,
    "jsonl": JsonLinesWriter,
    "parquet": ParquetWriter,
}


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that takes the place of `path` once it is whole; nothing is left of it where something fails.

    Raises:
        InputError: the folder is not there, or cannot be written to.
    """
    partial = path.with_name(f".{path.name}-{uuid4().hex}")
    try:
        stream = partial.open("xb")
    except OSError as error:
        raise InputError(f"{path}: cannot be written there: {error.strerror}") from error
    try:
        with stream:
            yield stream
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)

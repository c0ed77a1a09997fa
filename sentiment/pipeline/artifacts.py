"""Write tables and numbers so that equal content is equal bytes."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sentiment.pipeline.errors import InputError

if TYPE_CHECKING:
    import pandas as pd  # half of a light stage's start-up; who makes tables has it anyway

DIGITS = 6


def rounded(value: Any) -> Any:
    """Round every float inside a nested value to six digits after the point, so that noise shows in no diff.

    A p-value, under a key that ends in `_p`, is never zero, and keeps six digits of its own.

    Raises:
        ValueError: a float is not finite; JSON has no word for it.
    """
    if isinstance(value, Mapping):
        return {k: float(f"{item:.{DIGITS}g}") if k.endswith("_p") else rounded(item) for k, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(item) for item in value]
    if hasattr(value, "item"):  # a NumPy scalar
        value = value.item()
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise ValueError(f"a number to be written is not finite: {value}")
        return round(value, DIGITS) + 0.0  # + 0.0 turns -0.0 into 0.0
    return value


def write_json(path: Path, content: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
    """Write JSON: keys sorted, floats rounded, one trailing newline."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(rounded(content), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")


def read_json(path: Path) -> Any:
    """Read a JSON file written by `write_json`."""
    return json.loads(path.read_text(encoding="utf-8"))


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        InputError: it holds something else.
    """
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds {type(content).__name__}, must be a JSON object")
    return content


def write_parquet(path: Path, table: pd.DataFrame) -> None:
    """Write a table as parquet, without its index."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_parquet(path, index=False)


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as UTF-8 CSV, without its index, floats with six digits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = table.select_dtypes(include=["object", "string"])
    # Python's csv module leaves a lone carriage return unquoted, and every reader then breaks the row there
    lone = any(texts[column].astype(str).str.contains("\r", regex=False).any() for column in texts)
    quoting: Literal[0, 2] = csv.QUOTE_NONNUMERIC if lone else csv.QUOTE_MINIMAL
    digits = f"%.{DIGITS}f"
    table.to_csv(path, index=False, float_format=digits, lineterminator="\n", encoding="utf-8", quoting=quoting)


def read_csv(path: Path) -> dict[str, list[Any]]:
    """Read a table written by `write_csv`, as a list of values for each column."""
    from pyarrow import csv as arrow_csv

    options = arrow_csv.ParseOptions(newlines_in_values=True)
    columns: dict[str, list[Any]] = arrow_csv.read_csv(path, parse_options=options).to_pydict()
    return columns

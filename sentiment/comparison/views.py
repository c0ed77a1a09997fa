"""Show the difference of two models: on the terminal, as JSON, as Markdown, or as a picture."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sentiment.comparison.models import Difference, DifferenceRow
from sentiment.evaluation.deltas import WeightDelta
from sentiment.pipeline.errors import InputError
from sentiment.registry.revisions import Tracked
from sentiment.report.tables import print_table

DPI = 120
_MEASURES = {"sketches": ("norm", "relative", "cosine"), "exact": ("norm", "relative", "cosine", "largest", "share")}
_HEADS = {
    "norm": "change", "relative": "relative", "cosine": "cosine", "largest": "largest", "share": "differ",
}  # fmt: skip
_SECTIONS = {"params": "Params", "metrics": "Metrics", "data": "Data and models"}


def show_difference(difference: Difference, form: str) -> None:
    """Print a difference.

    Args:
        difference: from `sentiment.comparison.models.compare_models`.
        form: table, json or md.
    """
    if form == "json":
        print(json.dumps(as_json(difference), indent=2, ensure_ascii=False, allow_nan=False))  # noqa: T201
    elif form == "md":
        print(as_markdown(difference), end="")  # noqa: T201
    else:
        _print_tables(difference)


def as_json(difference: Difference) -> dict[str, Any]:
    """Turn a difference into what JSON can hold: every block with its tensors; null where nothing is known."""
    blocks = [
        {
            "name": block.name,
            "state": block.state,
            **_numbers(block.change),
            "tensors": {name: _numbers(change) for name, change in block.tensors.items()},
        }
        for block in difference.blocks
    ]
    page = asdict(difference)
    heads = ("name", "first", "second")
    rows = {section: [dict(zip(heads, row, strict=True)) for row in page[section]] for section in _SECTIONS}
    return {**page, "blocks": blocks, **rows}


def as_markdown(difference: Difference) -> str:
    """Write a difference as a page: a table of blocks, one of tensors, and one for each other section."""
    parts = [f"# {_escaped(_title(difference))}"]
    parts.extend(f"- {_escaped(note)}" for note in difference.notes)
    parts.append(_markdown_table(*block_table(difference)))
    tensors = [(name, "changed", change) for block in difference.blocks for name, change in block.tensors.items()]
    if tensors:
        parts.append(_markdown_table(*_change_table("tensor", tensors, difference.how)))
    for title, heads, rows in other_tables(difference):
        parts += [f"## {title}", _markdown_table(heads, rows)]
    return "\n\n".join(parts) + "\n"


def draw(difference: Difference, path: Path) -> None:
    """Draw the relative change of every block that has one, unchanged ones as zero.

    Raises:
        InputError: there is no number to draw.
    """
    from sentiment.report import figures

    relative = {block.name: _stated(block.state, block.change)["relative"] for block in difference.blocks}
    known = {name: change for name, change in relative.items() if change is not None}
    if not any(block.change for block in difference.blocks) and len(known) < len(difference.blocks):
        raise InputError("--picture: no block has a change in numbers; compare with --exact")
    figures.draw_one(lambda: figures.weight_deltas_chart([*known], [*known.values()], _title(difference)), path, DPI)


def _title(difference: Difference) -> str:
    return f"A: {difference.first} → B: {difference.second}"


def block_table(difference: Difference) -> tuple[list[str], list[list[str]]]:
    """Lay the blocks out as a table of words: heads and rows."""
    return _change_table("block", [(b.name, b.state, b.change) for b in difference.blocks], difference.how)


def other_tables(difference: Difference) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """Yield params, metrics and data where they differ: title, heads, and rows of words; metrics with their change."""
    for section, title in _SECTIONS.items():
        differing: list[DifferenceRow] = getattr(difference, section)
        heads = ["", difference.first, difference.second]
        rows = [[name, _word(first), _word(second)] for name, first, second in differing]
        if section == "metrics":
            heads.append("change")
            rows = [[*row, _gain(first, second)] for row, (_, first, second) in zip(rows, differing, strict=True)]
        if rows:
            yield title, heads, rows


def _gain(first: Any, second: Any) -> str:
    """Write the change of a metric, where both sides have a number; true and false are none."""
    return f"{second - first:+.4g}" if {type(first), type(second)} <= {int, float} else ""


def _change_table(
    what: str, rows: Sequence[tuple[str, str, WeightDelta | None]], how: str
) -> tuple[list[str], list[list[str]]]:
    """Lay names, states and changes out as a table of words."""
    measures = _MEASURES.get(how, ()) if any(change for _, _, change in rows) else ()
    heads = [what, "state", *(_HEADS[measure] for measure in measures)]
    return heads, [
        [name, state, *(_cell(measure, _stated(state, change)[measure], state) for measure in measures)]
        for name, state, change in rows
    ]


def _cell(measure: str, value: float | None, state: str) -> str:
    if measure == "cosine" and state == "unchanged":
        return "1"
    if value is None:
        return "-"
    return {"cosine": f"{value:.6f}", "share": f"{100 * value:.3g} %"}.get(measure, f"{value:.3g}")


def _numbers(change: WeightDelta | None) -> dict[str, float | None]:
    """Return the measures of a change by name; None where nothing is known."""
    return {name: getattr(change, name) if change else None for name in _HEADS}


def _stated(state: str, change: WeightDelta | None) -> dict[str, float | None]:
    """Return the measures as `_numbers` does; 0 for what is unchanged without having been measured."""
    return dict.fromkeys(_HEADS, 0.0) if change is None and state == "unchanged" else _numbers(change)


def _word(value: Any) -> str:
    """Write a value of a row; a tracked path by the beginning of its md5 and its size."""
    if isinstance(value, Tracked):
        files = "" if value.files is None else f", {value.files} files"
        return f"{value.md5[:7]}, {value.size or 0:,} bytes{files}"
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _escaped(text: str) -> str:
    """Keep a text from being read as Markdown of a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def _markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    from tabulate import tabulate

    cells = [[_escaped(cell) for cell in row] for row in rows]
    text: str = tabulate(cells, [*map(_escaped, heads)], tablefmt="github", disable_numparse=True)
    return text


def _print_tables(difference: Difference) -> None:
    from rich import box
    from rich.text import Text

    look: dict[str, Any] = {"box": box.SIMPLE, "collapse_padding": True, "pad_edge": False}
    print_table(*block_table(difference), words=2, title=Text(_title(difference)), **look)
    for title, heads, rows in other_tables(difference):
        print_table(heads, rows, title=Text(title), **look)
    for note in difference.notes:
        print(f"- {note}")  # noqa: T201

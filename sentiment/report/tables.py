"""Print a table on the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def print_table(heads: Iterable[str], rows: Iterable[Iterable[str]], words: int = 1, **look: Any) -> None:
    """Print a table on the terminal.

    Args:
        heads: of the columns.
        rows: of the table.
        words: how many of the columns hold words; the others hold numbers and stand on the right.
        look: further options of rich.table.Table, such as its title.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table, cells = Table(**look), [list(row) for row in rows]
    keys = not any(" " in first for first, *_ in cells)  # such as dotted keys, which must not be broken in two
    for number, head in enumerate(heads):
        side: Any = "left" if number < words else "right"
        table.add_column(Text(head), justify=side, overflow="fold", no_wrap=keys and number == 0)
    for row in cells:
        table.add_row(*map(Text, row))
    Console().print(table)

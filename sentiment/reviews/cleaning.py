"""Judge, clean and deduplicate rows of reviews; carve splits and subsample them by label."""

from __future__ import annotations

import hashlib
import re
import string
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from sentiment.pipeline.labels import LABELS

SHOWN_ROWS = 10


_BREAK = re.compile(r"(?:\s*<br\s*/?>)+\s*", re.IGNORECASE)


_WHOLE_FLOAT = re.compile(r"(-?\d+)\.0+")


class _Signs(dict[int, int | str]):
    """A translation table: punctuation, white space and invisible characters to a space, all else to itself."""

    def __missing__(self, point: int) -> int | str:
        """Decide about a character when it is first met; a table of all Unicode would take half a second to make."""
        sign = unicodedata.category(chr(point))[0] in "PZC" or chr(point) in string.punctuation
        self[point] = " " if sign else point
        return self[point]


_SIGNS = _Signs()


def label_numbers(labels: Mapping[str, Sequence[Any]]) -> dict[str, int]:
    """Turn a catalog entry's label words into numbers.

    Args:
        labels: `negative` and `positive`, each with the words that stand for it.

    Returns:
        Lower-case word to 0 (negative) or 1 (positive).
    """
    return {label_word(word): number for number, label in enumerate(LABELS) for word in labels[label]}


def label_word(value: Any) -> str:
    """Write a label as found in the way the catalog writes label words: lower case, 1.0 as 1, a missing one empty."""
    if value is None or value != value:
        return ""
    word = str(value).strip().casefold()
    whole = _WHOLE_FLOAT.fullmatch(word)
    return whole.group(1) if whole else word


def judge(rows: pd.DataFrame, numbers: Mapping[str, int]) -> pd.DataFrame:
    """Give every row its label number, and every unusable row its problem.

    Args:
        rows: as `sentiment.reviews.sources` gives them.
        numbers: from `label_numbers`.

    Returns:
        The rows with label a number (-1 where there is none) and `problem` filled in where the row is unusable.
    """
    words = rows["label"].map(label_word)
    label = words.map(numbers).fillna(-1).astype("int64")
    strings = rows["text"].map(lambda text: text is None or text != text or isinstance(text, str))
    texts = rows["text"].map(lambda text: isinstance(text, str) and bool(text.strip()))
    problem = rows["problem"].astype(object)
    problem = problem.mask((problem == "") & (words == ""), "missing label")
    problem = problem.mask((problem == "") & (label < 0), "unknown label")
    problem = problem.mask((problem == "") & ~strings, "text that is no string")
    problem = problem.mask((problem == "") & ~texts, "empty text")
    return rows.assign(label=label, problem=problem, found=rows["label"])


@dataclass
class _Alike:
    """The unusable rows of one file with one problem: how many, and the first ten rows and labels found there."""

    count: int = 0
    rows: list[int] = field(default_factory=list)
    found: list[Any] = field(default_factory=list)


class Problems:
    """Counts the unusable rows of a stream by file and problem, and remembers the first ten of each."""

    def __init__(self) -> None:
        """Begin with none."""
        self._groups: defaultdict[tuple[str, str], _Alike] = defaultdict(_Alike)

    @property
    def total(self) -> int:
        """Number of unusable rows."""
        return sum(group.count for group in self._groups.values())

    def add(self, judged: pd.DataFrame) -> None:
        """Count those among some judged rows."""
        bad = judged.loc[judged["problem"] != "", ["source", "problem", "source_row", "found"]]
        for source, problem, row, found in bad.itertuples(index=False, name=None):
            group = self._groups[source, problem]
            group.count += 1
            if len(group.rows) < SHOWN_ROWS:
                group.rows.append(row)
            if len(group.found) < SHOWN_ROWS and found not in group.found:
                group.found.append(found)

    def describe(self, labels: Mapping[str, Sequence[Any]]) -> str:
        """List them by file and problem.

        Args:
            labels: the label words that are allowed.
        """
        lines = []
        for (source, problem), group in sorted(self._groups.items()):
            more = f" and {group.count - SHOWN_ROWS} more" if group.count > SHOWN_ROWS else ""
            line = f"{source}: {problem} in row {', '.join(map(str, group.rows))}{more}"
            if problem == "unknown label":
                words = "; ".join(f"{label}: {', '.join(map(str, words))}" for label, words in labels.items())
                line += f" (found {', '.join(map(repr, group.found))}; allowed {words})"
            lines.append(line)
        hidden = [f"and {len(lines) - SHOWN_ROWS} more such lines"] if len(lines) > SHOWN_ROWS else []
        return "\n  ".join([*lines[:SHOWN_ROWS], *hidden])


def without_breaks(text: Any) -> Any:
    """Turn HTML breaks, with the white space around them, into one space; what is no text stays as it is."""
    return _BREAK.sub(" ", text).strip() if isinstance(text, str) else text


def fingerprint(text: str) -> int:
    """Digest a text so that case, punctuation and white space do not count.

    Returns:
        A signed number of 64 bits, equal for equal normalised texts; that any two unequal ones among a million share
        theirs has a chance of 3e-8.
    """
    words = " ".join(text.casefold().translate(_SIGNS).split()) or text
    return int.from_bytes(hashlib.blake2b(words.encode("utf-8"), digest_size=8).digest(), "little", signed=True)

"""Label words and texts as they are compared: cleaned, numbered, digested."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from sentiment.pipeline.labels import LABELS
from sentiment.reviews.files import UNKNOWN_LABEL
from sentiment.reviews.normalization import EVERYTHING, normalize

_WHOLE_FLOAT = re.compile(r"(-?\d+)\.0+")


class _Signs(dict[int, int | str]):
    """A translation table: punctuation, white space and invisible characters to a space, all else to itself.

    Symbols count, as the plus of "5+" does, but for those that stand in for quotes and dashes.
    """

    def __missing__(self, point: int) -> int | str:
        """Decide about a character when it is first met; a table of all Unicode would take half a second to make."""
        sign = unicodedata.category(chr(point))[0] in "PZC" or chr(point) in "^`|~"
        self[point] = " " if sign else point
        return self[point]


_SIGNS = _Signs()
_ASCII = bytes(ord(chr(point).lower().translate(_SIGNS)) for point in range(128)) + bytes(128)


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


def label_problem(label: Any, numbers: Mapping[str, int]) -> str:
    """Return what makes a label as found unusable, empty where nothing does; `numbers` is from `label_numbers`."""
    word = label_word(label)
    if not word:
        return "missing label"
    return "" if word in numbers else UNKNOWN_LABEL


def folded(text: str) -> str:
    """Write a text as it is compared: normalized, without case and punctuation.

    Returns:
        Words with a blank between; the normalized text where there is no word.
    """
    normal = normalize(text, EVERYTHING)
    plain = normal.isascii()  # as most are; bytes are translated in a fraction of the time
    words = normal.encode().translate(_ASCII).decode() if plain else normal.casefold().translate(_SIGNS)
    return " ".join(words.split()) or normal


def fingerprint(words: str) -> int:
    """Digest what `folded` has written.

    Returns:
        A signed number of 64 bits; the chance that any two unequal ones among a million collide is 3e-8.
    """
    return int.from_bytes(hashlib.blake2b(words.encode("utf-8"), digest_size=8).digest(), "little", signed=True)

"""Find rows that nearly repeat another one: MinHash finds candidates, and the words of each are then compared.

Two texts are nearly the same if the Jaccard similarity of their sets of word triples is at least SIMILAR. MinHash
(Broder 1997, https://doi.org/10.1109/SEQUEN.1997.666900) in bands (Leskovec et al., http://www.mmds.org, section 3.4)
finds a pair at 0.8 with a probability of 0.985 and one at 0.9 of 0.9998. All numbers are whole, so every processor
finds the same rows. In memory are a few numbers of each row and the texts of a few; the keys of all rows are on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from sentiment.reviews.cleaning import folded
from sentiment.reviews.splitting import Splits

SIMILAR = 0.8
LEAST_WORDS = 10  # of a shorter text, which may share most of its triples by chance, only repetitions count
BANDS, BAND_ROWS = 8, 4  # candidates have all minima of a band in common
MOST_CANDIDATES = 4  # that a row is compared with in a band, however often its text is there
COMPARED = (("train", "test"), ("validation", "test"), ("train", "validation"), ("train", "train"))

TEXTS_AT_ONCE = 512  # texts whose triples are in memory at once
REMEMBERED = 256  # rows whose triples are kept, as one row is a candidate for several others

Triples = frozenset[int]  # of one text, by their hash in this process

_BLANK, _END = 32, 10  # the bytes behind a word, and behind the last word of a text
_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2**64, in which all is computed


@lru_cache(2)
def _many_powers(base: int, bits: int) -> np.ndarray:
    factors = np.full(1 << bits, base, np.uint64)
    factors[0] = 1
    return np.cumprod(factors, dtype=np.uint64)


def _powers(base: int, count: int) -> np.ndarray:
    """Return base ** 0, base ** 1, ..., uint64 [count]."""
    return _many_powers(base, count.bit_length())[:count]


_FACTORS = _powers(_BASE, BANDS * BAND_ROWS + 1)[1:]  # one for each minimum


def band_keys(texts: Sequence[str]) -> np.ndarray:
    """Digest texts so that those that are nearly the same have a number in common, in the same column.

    Args:
        texts: as `sentiment.reviews.cleaning.folded` writes them.

    Returns:
        uint64 [texts, BANDS]; 0 for a text of fewer than LEAST_WORDS words.
    """
    keys = np.zeros((len(texts), BANDS), np.uint64)
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        triples, counts = _digest_triples(texts[start : start + TEXTS_AT_ONCE])
        rows = np.flatnonzero(counts)
        firsts = np.cumsum(counts[rows]) - counts[rows]
        if len(rows):
            minima = np.stack([np.minimum.reduceat(triples * factor, firsts) for factor in _FACTORS], axis=1)
            bands = minima.reshape(-1, BANDS, BAND_ROWS) * _FACTORS[:BAND_ROWS]
            keys[start + rows] = _mix(bands.sum(axis=2, dtype=np.uint64)) | np.uint64(1)
    return keys


def _digest_triples(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Digest the word triples of those texts that have enough words.

    With the sums of `byte * base ** position`, the digest of any run of words is one difference, times a power that
    takes its position out.

    Returns:
        The digests, uint64, text after text, and how many each text has, [texts].
    """
    signs = np.frombuffer("".join(f"{text}\n" for text in texts).encode(), np.uint8)
    sums = np.zeros(len(signs) + 1, np.uint64)
    np.cumsum(_powers(_BASE, len(signs)) * signs, out=sums[1:])
    ends = np.flatnonzero((signs == _BLANK) | (signs == _END))
    starts = np.concatenate([[0], ends[:-1] + 1])
    last = signs[ends] == _END
    text_of = np.cumsum(last) - last  # the number of each word's text
    enough = np.bincount(text_of, minlength=len(texts)) >= LEAST_WORDS
    firsts = np.flatnonzero((text_of[:-2] == text_of[2:]) & enough[text_of[:-2]])
    places = starts[firsts]
    digests = (sums[ends[firsts + 2]] - sums[places]) * _powers(pow(_BASE, -1, 2**64), len(signs))[places]
    return _mix(digests), np.bincount(text_of[firsts], minlength=len(texts))


def _mix(numbers: np.ndarray) -> np.ndarray:
    """Let every bit depend on all others."""
    for shift in (32, 29, 32):
        numbers = (numbers ^ (numbers >> np.uint64(shift))) * np.uint64(_BASE)
    return np.asarray(numbers)


def word_triples(text: str) -> Triples:
    """Return the set of the word triples of a text; case and punctuation do not count."""
    words = folded(text).split()
    return frozenset(map(hash, zip(words, words[1:], words[2:], strict=False)))


def nearly_the_same(one: Triples, other: Triples) -> bool:
    """Return whether the Jaccard similarity, the share of what is in either that is in both, is at least SIMILAR."""
    common = len(one & other)
    return common >= SIMILAR * (len(one) + len(other) - common)


def near_repeats(
    ids: np.ndarray, others: np.ndarray, keys: np.ndarray, triples: Callable[[int], Triples]
) -> np.ndarray:
    """Find the rows that nearly repeat one of the others; among themselves, one that stands before them.

    Args:
        ids: of the rows, ascending.
        others: of the rows that they are compared with, ascending; the same array compares them with each other.
        keys: `band_keys` of all rows, by id.
        triples: returns the word triples of a row, given its id.

    Returns:
        Whether each row does, [rows].
    """
    found = np.zeros(len(ids), bool)
    for band in range(BANDS):
        own, theirs = keys[ids, band], keys[others, band]
        order = np.argsort(theirs, kind="stable")
        first, end = (np.searchsorted(theirs, own, side, sorter=order) for side in ("left", "right"))
        for step in range(MOST_CANDIDATES):
            rows = np.flatnonzero((first + step < end) & (own != 0) & ~found)
            candidates = order[first[rows] + step]
            for place in np.argsort(candidates, kind="stable"):  # rows with one candidate follow each other
                row, other = rows[place], candidates[place]
                if ids is not others or other < row:
                    found[row] = nearly_the_same(triples(int(ids[row])), triples(int(others[other])))
    return found


def find_near_duplicates(splits: Splits, texts: Path, keys: Path) -> dict[tuple[str, str], np.ndarray]:
    """Find the rows of one split that nearly repeat a row of another, and the rows of train that repeat each other.

    Args:
        splits: the rows that are left, with their ids.
        texts: the scratch file of `sentiment.reviews.spool.spool`.
        keys: its file of keys.

    Returns:
        For each two splits of COMPARED, whether each row of the first does, [rows].
    """
    ids = {split: rows["id"].to_numpy() for split, rows in splits.items()}
    all_keys = np.memmap(keys, np.uint64, "r").reshape(-1, BANDS)
    with pa.memory_map(str(texts)) as stream:
        column = pa.ipc.open_stream(stream).read_all()["text"]  # stays on disk until a text is looked up
        triples = lru_cache(REMEMBERED)(lambda row: word_triples(column[row].as_py()))
        return {(split, other): near_repeats(ids[split], ids[other], all_keys, triples) for split, other in COMPARED}

"""Guards the search for near duplicates against all pairs compared one by one."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from sentiment.reviews import near_duplicates, spool
from sentiment.reviews.cleaning import folded
from sentiment.reviews.near_duplicates import band_keys, find_near_duplicates, word_triples

WORDS = [f"w{number}" for number in range(3000)]


def near(one: set[str], other: set[str]) -> bool:
    """By the definition: at least ten words, so eight triples that are all unlike here, and a Jaccard of 0.8."""
    return min(len(one), len(other)) >= 8 and len(one & other) / len(one | other) >= 0.8


def edited(text: str, edits: int, draw: random.Random) -> str:
    """Exchange words at random."""
    words = text.split()
    for _ in range(edits):
        words[draw.randrange(len(words))] = draw.choice(WORDS)
    return " ".join(words)


def found_in(texts: dict[str, list[str]], folder: Path) -> dict[tuple[str, str], np.ndarray]:
    """Search splits of texts as the stage prepare does."""
    columns = {
        split: [
            {"text": part, "label": [0] * len(part), "tags": [""] * len(part), "source": ["s"] * len(part),
             "source_row": range(len(part))}
            for part in (rows[:3], rows[3:])
        ]
        for split, rows in texts.items()
    }  # fmt: skip
    splits = spool.spool(columns, folder / "texts", folder / "keys")
    return find_near_duplicates(splits, folder / "texts", folder / "keys")


def test_what_is_found_is_what_comparing_all_pairs_finds(tmp_path: Path) -> None:
    draw = random.Random(0)
    texts: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for number in range(150):
        text = " ".join(draw.sample(WORDS, k=draw.randint(8, 120)))
        for split in draw.choices(list(texts), k=2):
            texts[split].append(edited(text, number % 4, draw))
    triples = {
        split: [{" ".join(words[at : at + 3]) for at in range(len(words) - 2)} for words in map(str.split, rows)]
        for split, rows in texts.items()
    }
    outcomes: Counter[tuple[bool, bool]] = Counter()
    for (split, other), rows in found_in(texts, tmp_path).items():
        for row, own in enumerate(triples[split]):
            others = triples[other][:row] if split == other else triples[other]
            outcomes[any(near(own, one) for one in others), bool(rows[row])] += 1
    assert outcomes[True, True] > 40
    assert outcomes[False, True] == 0  # the words are compared
    assert outcomes[True, False] <= 2  # 0.985 of the pairs at 0.8 are found, nearly all above


@pytest.mark.parametrize("similarity", [0.5, 0.8, 0.9])
def test_candidates_are_as_frequent_as_minhash_promises(similarity: float) -> None:
    """1 - (1 - s ** rows) ** bands, Leskovec et al., section 3.4.2; 1,000 pairs with exactly that share in common."""
    draw, size = random.Random(1), 90
    common = round(2 * size * similarity / (1 + similarity))
    pairs = []
    for _ in range(1000):
        first = draw.sample(WORDS, size + 2)  # no word twice, so that there are 90 triples
        other = [*first[: common + 2], *draw.sample(WORDS, size - common)]
        pairs.append((" ".join(first), " ".join(other)))
    keys = band_keys([text for pair in pairs for text in pair]).reshape(1000, 2, -1)
    share = (keys[:, 0] == keys[:, 1]).any(axis=1).mean()
    actual = common / (2 * size - common)
    bands, rows = near_duplicates.BANDS, near_duplicates.BAND_ROWS
    assert share == pytest.approx(1 - (1 - actual**rows) ** bands, abs=0.05)


def keys_in_whole_numbers(text: str) -> list[int]:
    """The keys of a text by Python's own whole numbers, one triple at a time."""
    whole, base = 2**64, 0x9E3779B97F4A7C15

    def mixed(number: int) -> int:
        for shift in (32, 29, 32):
            number = (number ^ (number >> shift)) * base % whole
        return number

    words = text.split()
    triples = [" ".join(words[at : at + 3]).encode() for at in range(len(words) - 2)]
    digests = [mixed(sum(byte * base**place for place, byte in enumerate(triple)) % whole) for triple in triples]
    minima = [min(digest * base**power % whole for digest in digests) for power in range(1, 33)]
    sums = [sum(minima[band + place] * base ** (place + 1) for place in range(4)) for band in range(0, 32, 4)]
    return [mixed(number % whole) | 1 for number in sums]


def test_keys_do_not_depend_on_what_stands_beside_a_text_and_are_the_same_on_every_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    draw = random.Random(2)
    texts = [" ".join(draw.choices(WORDS, k=k)) for k in (9, 10, 300, 1, 12, 40)] + ["", "!!!", "café " * 12]
    together = band_keys(texts)
    assert [bool(keys.all()) for keys in together] == [False, True, True, False, True, True, False, False, True]
    assert not together[[0, 3, 6, 7]].any()
    monkeypatch.setattr(near_duplicates, "TEXTS_AT_ONCE", 2)
    assert (band_keys(texts) == together).all()
    assert (np.concatenate([band_keys([text]) for text in texts]) == together).all()
    assert [int(key) for key in together[2]] == keys_in_whole_numbers(texts[2])


def test_case_punctuation_and_markup_do_not_count(tmp_path: Path) -> None:
    long = "the plot is dull but the acting of all the keepers of the lighthouse is superb and the light too"
    texts = {
        "train": [f"{long.upper()}!<br />", "short and good"],
        "validation": ["none"],
        "test": [long, "short, good"],
    }
    assert folded(texts["train"][0]) == long
    found = found_in(texts, tmp_path)
    assert {pair: rows.tolist() for pair, rows in found.items()} == {
        ("train", "test"): [True, False],
        ("validation", "test"): [False],
        ("train", "validation"): [False, False],
        ("train", "train"): [False, False],
    }
    assert len(word_triples("A b, c! D")) == 2


def test_of_many_that_are_alike_all_but_the_first_repeat_one(tmp_path: Path) -> None:
    start = " ".join(WORDS[:60])
    texts = {"train": [f"{start} {number}" for number in range(50)], "validation": ["x"], "test": ["y"]}
    found = found_in(texts, tmp_path)[("train", "train")]
    assert found.tolist() == [False] + [True] * 49

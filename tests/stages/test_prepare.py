"""Guards the prepare stage: what it writes, whose splits it keeps, what it drops and counts, what it refuses."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from benchmarks.growth import write_reviews as write_many
from sentiment.pipeline.errors import InputError
from sentiment.pipeline.paths import SCRATCH
from sentiment.reviews import sources, spool
from sentiment.reviews.files import Chunk
from sentiment.reviews.normalization import EVERYTHING
from stages import prepare
from tests.conftest import ROOT, SETTINGS, peak_memory_of

Change = Callable[..., None]
Pairs = Sequence[tuple[str, Any]]

PREPARED = [f"data/prepared/{split}.parquet" for split in ("test", "train", "validation")]
DROPS = ("bad_rows_dropped", "contradictions", "duplicates_dropped", "leaks_dropped", "validation_leaks_dropped")
NO_DROPS = dict.fromkeys(DROPS, 0)
NEAR = ("train_test", "validation_test", "train_validation", "train_train")


def pairs(count: int, prefix: str = "review", positive: int | None = None) -> list[tuple[str, Any]]:
    """Make rows of text and label: `positive` of them (half if not said) positive, the others negative."""
    ones = count // 2 if positive is None else positive
    return [(f"{prefix} {number}", int(number < ones)) for number in range(count)]


def write_csv(path: str, rows: Pairs, header: tuple[str, str] = ("text", "label")) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with Path(path).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def write_reviews(rows: Pairs) -> None:
    write_csv("data/raw/reviews.csv", rows, header=("Review", "Label"))


def run() -> dict[str, pd.DataFrame]:
    """Run the stage in the working directory and read what it wrote."""
    prepare.main()
    return {Path(path).stem: pd.read_parquet(path) for path in PREPARED}


def metrics(*keys: str) -> dict[str, Any]:
    """Read the stage's metrics, or some of them."""
    found: dict[str, Any] = json.loads(Path("metrics/prepare.json").read_text(encoding="utf-8"))
    return {key: found[key] for key in keys or found}


@pytest.fixture
def local(workspace: Path, change: Change) -> Change:
    """Choose a local entry of the catalog, with other params if given."""
    return lambda name, **params: change("params.yaml", **{"data.name": name, **params})


@pytest.fixture
def builtin(workspace: Path, change: Change) -> Change:
    change("catalog.yaml", **{"datasets.builtin.rows": {"train": 60, "validation": 20, "test": 30}})
    return change


def test_the_built_in_reviews_keep_the_contract(builtin: Change, workspace: Path) -> None:
    tables = run()
    written = {path.relative_to(workspace).as_posix() for path in workspace.rglob("*") if path.is_file()} - {*SETTINGS}
    assert written == {*PREPARED, "metrics/prepare.json"}
    assert {split: len(table) for split, table in tables.items()} == {"train": 60, "validation": 20, "test": 30}
    for path in PREPARED:
        schema = pq.read_schema(path)
        assert schema.names == ["id", "text", "label", "tags", "source", "source_row"]
        assert [str(kind).removeprefix("large_") for kind in schema.types] == [
            "int64", "string", "int64", "string", "string", "int64",
        ]  # fmt: skip
    rows = pd.concat(tables.values())
    assert rows["id"].is_unique
    assert not rows.isna().any(axis=None)
    assert set(rows["label"]) == {0, 1}
    assert set(rows["source"]) == {"builtin"}
    assert list(tables["test"]["source_row"]) == list(range(1, 31))
    shares = {split: round(table["label"].mean(), 6) for split, table in tables.items()}
    rows_of = {split: len(table) for split, table in tables.items()}
    near = {"near_duplicates": dict.fromkeys(NEAR, 0)}
    assert metrics() == {**NO_DROPS, **near, "rows": rows_of, "positive_rate": shares}


@pytest.mark.parametrize("source", ["builtin", "reviews"])
def test_the_seed_decides_every_byte(source: str, builtin: Change, local: Change) -> None:
    write_reviews(pairs(60))
    written = []
    for seed in (0, 0, 1):
        local(source, seed=seed)
        prepare.main()
        written.append([Path(path).read_bytes() for path in PREPARED])
    assert written[0] == written[1]
    assert all(one != other for one, other in zip(written[0], written[2], strict=True))


def test_a_single_file_is_parted_into_three_by_label(local: Change) -> None:
    """20 % of 200 rows go to test, 10 % of the other 160 to validation, each with 30 % positive."""
    local("reviews")
    rows = pairs(200, positive=60)
    write_reviews(rows)
    tables = run()
    assert {split: Counter(table["label"]) for split, table in tables.items()} == {
        "test": {0: 28, 1: 12},
        "validation": {0: 11, 1: 5},
        "train": {0: 101, 1: 43},
    }
    everything = pd.concat(tables.values()).sort_values("source_row")
    assert list(zip(everything["text"], everything["label"], strict=True)) == rows
    assert list(everything["source_row"]) == list(range(1, 201))
    assert set(everything["source"]) == {"data/raw/reviews.csv"}
    assert everything["id"].is_unique
    assert metrics(*DROPS) == NO_DROPS


def test_split_files_are_honoured_row_by_row(local: Change) -> None:
    local("reviews_splits")
    rows = {"train": pairs(40, "train"), "validation": pairs(10, "validation"), "test": pairs(20, "test")}
    for split, content in rows.items():
        write_csv(f"data/raw/reviews/{split}.csv", content)
    tables = run()
    assert {split: list(zip(t["text"], t["label"], strict=True)) for split, t in tables.items()} == rows
    assert pd.concat(tables.values())["id"].is_unique


@pytest.mark.parametrize(("given", "carved", "size"), [("test", "validation", 5), ("validation", "test", 10)])
def test_no_row_of_a_given_split_moves_when_another_is_carved(
    given: str, carved: str, size: int, local: Change
) -> None:
    """What is carved comes off train: 10 % of its 50 rows for validation, 20 % for test."""
    local("reviews_splits")
    write_csv("data/raw/reviews/train.csv", pairs(50, "train"))
    write_csv(f"data/raw/reviews/{given}.csv", pairs(30, given))
    tables = run()
    assert list(tables[given]["text"]) == [text for text, _ in pairs(30, given)]
    assert (len(tables[carved]), len(tables["train"])) == (size, 50 - size)
    assert {*tables["train"]["text"], *tables[carved]["text"]} == {text for text, _ in pairs(50, "train")}


def test_the_imdb_tree_is_labelled_by_its_folders(local: Change) -> None:
    local("imdb_folder")
    for split, count in (("train", 20), ("test", 6)):
        for label in ("pos", "neg", "unsup"):
            for number in range(count):
                path = Path(f"data/raw/aclImdb/{split}/{label}/{number}_5.txt")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"{split} {label} {number}<br /><br />end", encoding="utf-8")
    tables = run()
    assert {split: len(table) for split, table in tables.items()} == {"test": 12, "train": 36, "validation": 4}
    for split, table in tables.items():
        for row in table.itertuples():
            origin, folder, number = re.fullmatch(r"(\w+) (\w+) (\d+) +end", row.text).groups()
            assert origin == ("test" if split == "test" else "train")
            assert row.label == {"pos": 1, "neg": 0}[folder]
            assert row.source == f"data/raw/aclImdb/{origin}/{folder}/{number}_5.txt"


def test_breaks_stay_where_they_are_wanted_and_tags_name_the_cues(local: Change) -> None:
    local("reviews_splits", **{"text.strip_html": False})
    write_csv("data/raw/reviews/train.csv", pairs(40))
    write_csv("data/raw/reviews/test.csv", [("Not good,<br />but WHY?", 0), ("plain", 1), *pairs(4, "test")])
    test = run()["test"]
    assert test["text"][0] == "Not good,<br />but WHY?"
    assert list(test["tags"][:2]) == ["contrast negation question", ""]


def test_repetitions_and_leaks_are_dropped_from_the_split_that_may_lose_them(local: Change) -> None:
    """Counted by hand; what repeats differs in case, punctuation or spacing alone."""
    local("reviews_splits")
    train = [*pairs(20, "train"), ("Train 0!", 1), ("train  1", 0), ("TEST 0", 1), ("test 1.", 0), ("validation 0?", 1)]
    train.append(("test  2", 1))
    validation = [*pairs(8, "validation"), ("validation, 7", 0), ("test 2", 1)]
    test = [*pairs(10, "test"), ("test: 9", 0), ("Test 9", 1)]
    for split, rows in (("train", train), ("validation", validation), ("test", test)):
        write_csv(f"data/raw/reviews/{split}.csv", rows)
    tables = run()
    assert {split: list(table["text"]) for split, table in tables.items()} == {
        split: [text for text, _ in pairs(count, split)]
        for split, count in (("test", 10), ("train", 20), ("validation", 8))
    }
    assert metrics(*DROPS) == dict(zip(DROPS, (0, 2, 5, 4, 1), strict=True))


@pytest.mark.parametrize("choice", ["report", "drop", "off"])
def test_what_is_nearly_the_same_is_counted_and_left_out_where_that_is_chosen(choice: str, local: Change) -> None:
    """Counted by hand; one word in thirty is another, as where a shop prints one review under two products."""
    local("reviews_splits", **{"prepare.near_duplicates": choice})
    story = {name: " ".join(f"{name}{number}" for number in range(30)) for name in "abcde"}
    near = {name: text.replace(f"{name}29", "other") for name, text in story.items()}
    train = [*pairs(20, "train"), (story["a"], 1), (story["b"], 0), (story["c"], 1), (near["c"], 1), (story["d"], 0)]
    validation = [*pairs(8, "validation"), (near["b"], 0), (story["e"], 1)]
    test = [*pairs(10, "test"), (near["a"], 1), (near["e"], 1), ("train 1 2", 0)]  # the last is too short
    for split, rows in (("train", train), ("validation", validation), ("test", test)):
        write_csv(f"data/raw/reviews/{split}.csv", rows)
    tables = run()
    assert {split: set(table["text"]) for split, table in tables.items()} == {
        "train": {text for text, _ in train} - ({story["a"], story["b"]} if choice == "drop" else set()),
        "validation": {text for text, _ in validation} - ({story["e"]} if choice == "drop" else set()),
        "test": {text for text, _ in test},
    }
    found = metrics()
    assert found.get("near_duplicates") == (None if choice == "off" else dict.fromkeys(NEAR, 1))
    assert found["rows"] == {split: len(table) for split, table in tables.items()}
    assert not list(SCRATCH.iterdir())


def test_rows_find_their_texts_again_over_many_chunks_and_row_groups(
    local: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that are dropped, and whole chunks of them, must move none of the others."""
    monkeypatch.setattr(sources, "READ_ROWS", 4)
    monkeypatch.setattr(spool, "GROUP_ROWS", 10)
    local("reviews_splits", **{"prepare.on_bad_rows": "drop"})
    good = {split: pairs(count, split) for split, count in (("train", 60), ("validation", 8), ("test", 20))}
    for split, rows in good.items():
        write_csv(
            f"data/raw/reviews/{split}.csv", [*rows[:3], ("", 1), *rows[3:6], *[("?", "?")] * 9, *rows, *rows[6:]]
        )
    tables = run()
    assert {split: list(zip(t["text"], t["label"], strict=True)) for split, t in tables.items()} == good
    for split, table in tables.items():
        first_rows = [1, 2, 3, 5, 6, 7, *range(23, 17 + len(good[split]))]  # of each text
        assert list(table["source_row"]) == first_rows
    groups = pq.ParquetFile("data/prepared/train.parquet").metadata
    sizes = [groups.row_group(number).num_rows for number in range(groups.num_row_groups)]
    assert sum(sizes) == 60
    assert all(10 <= size < 14 for size in sizes[:-1])
    assert len(sizes) > 3


def test_subsamples_have_the_label_shares_of_their_split(local: Change) -> None:
    local("reviews_splits", **{"prepare.train_rows": 20, "prepare.validation_rows": 8, "prepare.test_rows": 500})
    for split, count, positive in (("train", 100, 25), ("validation", 40, 10), ("test", 30, 10)):
        write_csv(f"data/raw/reviews/{split}.csv", pairs(count, split, positive))
    assert {split: Counter(table["label"]) for split, table in run().items()} == {
        "train": {0: 15, 1: 5},
        "validation": {0: 6, 1: 2},
        "test": {0: 20, 1: 10},
    }


def test_every_row_has_a_number_or_its_problem() -> None:
    """A reader's problem comes first, then the label, then the text."""
    rows = [
        ("good", "1.0", ""), ("bad", " NEG ", ""), ("  \n\t", 1, ""), (None, 0, ""), (7, 1, ""), (b"good", 1, ""),
        ("fine", None, ""), ("fine", "", ""), ("", float("nan"), ""), ("fine", "maybe", ""), ("", 2, ""),
        ("caf\udce9", "1", "not UTF-8"), ("", "", "not JSON"), ("<br />", 1, ""),
        ("\u200b\x00&nbsp;", 1, ""), ("\u3164", 1, ""), (" \x00a ", 1, ""),
    ]  # fmt: skip
    texts, labels, problems = (list(column) for column in zip(*rows, strict=True))
    chunk = Chunk(["a.csv"] * len(rows), range(1, len(rows) + 1), [], (), texts, labels, problems)
    numbers = {"0": 0, "neg": 0, "1": 1}
    judged = prepare.judge_rows(chunk, numbers, EVERYTHING)
    assert judged.problems == [
        "", "", "empty text", "empty text", "text that is no string", "text that is no string",
        "missing label", "missing label", "missing label", "unknown label", "unknown label", "not UTF-8", "not JSON",
        "empty text", "empty text", "empty text", "",
    ]  # fmt: skip
    assert judged.texts[-1] == "a"
    assert judged.labels == labels


def test_no_rows_at_all_are_judged_without_complaint() -> None:
    assert prepare.judge_rows(Chunk([], [], [], (), [], [], []), {}, EVERYTHING).problems == []


def test_bad_rows_stop_the_stage_with_one_message_about_all_of_them(local: Change) -> None:
    local("reviews")
    write_reviews([("good", 1), ("fine", "maybe"), ("bad", 0), ("  ", 1), ("hm", 2), ("<br />", 0), ("ok", "")])
    with pytest.raises(InputError) as caught:
        prepare.main()
    assert str(caught.value).split("\n") == [
        "5 row(s) cannot be used (rows count from 1, a header not counted):",
        "  data/raw/reviews.csv: empty text in row 4, 6",
        "  data/raw/reviews.csv: missing label in row 7",
        "  data/raw/reviews.csv: unknown label in row 2, 5 (found 'maybe', '2'; "
        "allowed negative: 0, negative, neg; positive: 1, positive, pos)",
        "correct the rows, or leave them out with params.yaml: prepare.on_bad_rows: drop",
    ]
    assert not Path("data/prepared").exists()
    assert not list(SCRATCH.iterdir())


def test_bytes_that_are_no_utf_8_are_a_problem_of_their_row(local: Change) -> None:
    local("reviews")
    write_reviews(pairs(40))
    with Path("data/raw/reviews.csv").open("ab") as file:
        file.write("caf\xe9,1\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"reviews\.csv: not UTF-8 in row 41\n"):
        prepare.main()


def test_bad_rows_are_left_out_and_counted_where_that_is_chosen(local: Change) -> None:
    local("reviews", **{"prepare.on_bad_rows": "drop"})
    write_reviews([("fine", "maybe"), ("", 1), *pairs(40), ("ok", None)])
    everything = pd.concat(run().values())
    assert set(everything["text"]) == {text for text, _ in pairs(40)}
    assert sorted(everything["source_row"]) == list(range(3, 43))
    assert metrics(*DROPS) == {**NO_DROPS, "bad_rows_dropped": 3}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (pairs(40, positive=40), r"datasets\.reviews: the train split has 0 negative row\(s\) of 28; .*params\.yaml"),
        (pairs(40, positive=5), r"datasets\.reviews: the (test|validation) split has [01] positive row\(s\) of "),
        (pairs(3), r"too few rows to split 0\.2 of them off.*params\.yaml: prepare"),
        ([], r"datasets\.reviews.*too few rows|too few rows.*params\.yaml: prepare"),
    ],
)
def test_datasets_that_cannot_train_or_judge_are_refused(rows: Pairs, message: str, local: Change) -> None:
    local("reviews")
    write_reviews(rows)
    with pytest.raises(InputError, match=message):
        prepare.main()


@pytest.mark.parametrize("key", ["source", "path", "text", "label", "labels"])
def test_a_catalog_entry_without_a_needed_key_is_reported(key: str, local: Change, change: Change) -> None:
    entry = {"source": "local", "path": "data/raw/reviews.csv", "text": "Review", "label": "Label"}
    entry |= {"labels": {"negative": [0], "positive": [1]}}  # type: ignore[dict-item]
    del entry[key]
    change("catalog.yaml", **{"datasets.mine": entry})
    local("mine")
    write_reviews(pairs(40))
    with pytest.raises(InputError, match=rf"datasets\.mine.*{key}"):
        prepare.main()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_texts(local: Change) -> None:
    """As texts in memory, 200,000 reviews more would take 170 MB; of each, numbers of some tens of bytes stay."""
    local("reviews_splits")
    Path("data/raw/reviews").mkdir(parents=True)
    peaks = []
    for count in (40_000, 240_000):
        write_many(Path("data/raw/reviews/train.csv"), count)
        peaks.append(peak_memory_of("prepare"))
    assert sum(metrics("rows")["rows"].values()) == 240_000
    assert peaks[1] - peaks[0] < 0.07  # GB


@pytest.mark.parametrize("stage", ["prepare", "plot"])
def test_stages_without_a_model_load_neither_torch_nor_transformers(stage: str) -> None:
    code = f"import sys, stages.{stage}; print(sorted({{'torch', 'transformers'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""Guards the stage plot: from the numbers and tables of the other stages to the report, the card and metrics.json."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from sentiment.report.verdict import verdict
from stages import plot
from tests.conftest import ROOT

Change = Callable[..., None]

BASE = {
    "n": 8, "accuracy": 0.5, "accuracy_low": 0.215213, "accuracy_high": 0.784787, "precision": 0.5, "recall": 1.0,
    "f1": 0.666667, "f1_macro": 0.333333, "mcc": 0.0, "roc_auc": 0.4375, "pr_auc": 0.512345, "log_loss": 0.703125,
    "brier": 0.25, "ece": 0.03125,
}  # fmt: skip
TEST = {
    **BASE, "accuracy": 0.625, "accuracy_low": 0.305742, "accuracy_high": 0.863156, "precision": 0.6, "recall": 0.75,
    "f1_macro": 0.619048, "mcc": 0.258199, "roc_auc": 0.8125, "log_loss": 0.412346, "brier": 0.171875, "ece": 0.061728,
}  # fmt: skip
EVALUATE: dict[str, Any] = {
    "before": "zero_shot_pmi",
    "best_baseline": "tfidf_lr",
    "test": TEST,
    "base": BASE,
    "baselines": {
        "majority": {"accuracy": 0.5, "f1": 0.666667, "roc_auc": 0.5},
        "tfidf_lr": {"accuracy": 0.5625, "f1": 0.571429, "roc_auc": 0.59375},
        "zero_shot_pmi": {"accuracy": 0.5, "f1": 0.666667, "roc_auc": 0.4375},
    },
    "gain": {"accuracy": 0.125, "accuracy_low": -0.25, "accuracy_high": 0.5, "mcnemar_p": 0.6875},
    "gain_over_baseline": {"accuracy": 0.0625, "accuracy_low": 0.01, "accuracy_high": 0.1, "mcnemar_p": 1.23457e-09},
    "validation": {"accuracy": 0.875, "log_loss": 0.345679, "temperature": 1.0, "threshold": 0.5},
    "slices": {"film": {"n": 5, "accuracy": 0.8}, "negation": {"n": 2, "accuracy": 0.0}},
    "data": {"truncated_share": {"test": 0.125}, "label_noise_ceiling": 0.96875},
}
PREPARE = {
    "rows": {"train": 80, "validation": 24, "test": 8},
    "positive_rate": {"train": 0.5125, "validation": 0.541667, "test": 0.5},
    "duplicates_dropped": 11, "contradictions": 1, "leaks_dropped": 12, "validation_leaks_dropped": 13,
    "bad_rows_dropped": 14,
}  # fmt: skip
TOKENIZE = {
    split: {"tokens": 900, "mean_length": 11.25, "truncated_share": share}
    for split, share in (("train", 0.0375), ("validation", 0.0))
}
TRAIN = {
    "steps": 30, "epochs": 3.0, "tokens": 2700, "best_step": 20, "positive_rate": 0.5125,
    "validation": {"accuracy": 0.875, "log_loss": 0.345679},
}  # fmt: skip

# text, tags, label, probability of positive; the wrong ones are 1, 3, 4 and 6, in the order of confidence 4, 1, 6, 3
REVIEWS = [
    ("right positive", "film", 1, 0.97),
    ("wrong and sure, first of two", "film", 0, 0.9),
    ("right negative", "film", 0, 0.02),
    ("wrong by a hair", "negation", 1, 0.45),
    ("surest mistake <script>alert(1)</script>", "film negation", 1, 0.03),
    ("right negative again", "", 0, 0.2),
    ("wrong and as sure, second of two", "film", 1, 0.1),
    ("right positive again", "", 1, 0.7),
]
OUTPUTS = {"metrics.json", "reports/report.html", "reports/model_card.md"} | {
    f"reports/figures/{name}.png"
    for name in ("before_after", "confusion", "training", "roc_precision_recall", "calibration", "slices")
}


def put(path: str, content: Any) -> None:
    """Write one input as the stage before would: JSON, or a table as CSV or parquet."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, pd.DataFrame):
        if path.endswith(".csv"):
            content.to_csv(path, index=False)
        else:
            content.to_parquet(path, index=False)
    else:
        Path(path).write_text(json.dumps(content), encoding="utf-8")


def predictions() -> pd.DataFrame:
    rows = []
    for number, (text, tags, label, positive) in enumerate(REVIEWS):
        names = ("negative", "positive")[label], ("negative", "positive")[positive > 0.5]
        rows.append(
            {"id": 100 + number, "text": text, "tags": tags, "label": names[0], "predicted": names[1],
             "correct": names[0] == names[1], "probability_positive": positive, "probability_negative": 1 - positive,
             "base_probability_positive": 0.51, "source": "toy.csv", "source_row": number + 1}
        )  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture
def inputs(workspace: Path, change: Change) -> Path:
    """A workspace with everything that the stage reads."""
    table = predictions()
    put("data/predictions/test.parquet", table)
    for name, content in (("evaluate", EVALUATE), ("prepare", PREPARE), ("tokenize", TOKENIZE), ("train", TRAIN)):
        put(f"metrics/{name}.json", content)
    train = {"step": [10, 20, 30], "epoch": [1.0, 2.0, 3.0], "log_loss": [0.7, 0.5, 0.4], "learning_rate": [0.1] * 3}
    put("plots/training/train.csv", pd.DataFrame(train))
    curve = {"step": [0, 20], "epoch": [0.0, 2.0], "log_loss": [0.7, 0.35], "accuracy": [0.5, 0.875]}
    put("plots/training/validation.csv", pd.DataFrame(curve))
    for model in ("base", "finetuned"):
        predicted = table["predicted"] if model == "finetuned" else "positive"
        put(f"plots/test/confusion_{model}.csv", pd.DataFrame({"actual": table["label"], "predicted": predicted}))
        ends = [{"false_positive_rate": x, "true_positive_rate": x} for x in (0.0, 1.0)]
        put(f"plots/test/roc_{model}.json", ends)
        put(f"plots/test/precision_recall_{model}.json", [{"precision": 0.5, "recall": 1.0}])
        put(f"plots/test/calibration_{model}.json", [{"n": 8, "probability": 0.5, "positive_rate": 0.5}])
    change("params.yaml", **{"plot.dpi": 50})
    return workspace


def files(folder: Path) -> dict[str, bytes]:
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from leaves(item, f"{key}.{name}")
    else:
        yield key, value


def test_exactly_the_outputs_appear_and_the_inputs_stay(inputs: Path) -> None:
    before = files(inputs)
    plot.main()
    after = files(inputs)
    assert after.keys() - before.keys() == OUTPUTS
    assert {name: after[name] for name in before} == before


def test_twice_gives_the_same_bytes(inputs: Path) -> None:
    plot.main()
    first = files(inputs)
    plot.main()
    assert files(inputs) == first


def test_metrics_json_joins_the_numbers_of_all_stages(inputs: Path) -> None:
    plot.main()
    expected = {
        **EVALUATE,
        "builtin": {"data": True, "model": True},
        "data": {
            **PREPARE,
            "label_noise_ceiling": 0.96875,
            "truncated_share": {"train": 0.0375, "validation": 0.0, "test": 0.125},
        },
        "train": {key: TRAIN[key] for key in ("steps", "epochs", "tokens", "best_step", "positive_rate")},
    }
    assert json.loads(Path("metrics.json").read_text(encoding="utf-8")) == expected


def test_what_before_means_is_said(inputs: Path) -> None:
    plot.main()
    for name in ("report.html", "model_card.md"):
        assert "label words, PMI" in Path("reports", name).read_text(encoding="utf-8")


def test_metrics_json_holds_sorted_numbers_of_six_digits_and_two_names(inputs: Path) -> None:
    put("metrics/train.json", {**TRAIN, "epochs": 1 / 3})
    plot.main()
    text = Path("metrics.json").read_text(encoding="utf-8")
    content = json.loads(text)
    assert text == json.dumps(content, indent=2, sort_keys=True) + "\n"
    found = dict(leaves(content))
    assert len(found) > 50
    assert [key for key, value in found.items() if isinstance(value, str)] == [".before", ".best_baseline"]
    assert [key for key, value in found.items() if isinstance(value, float) and value != round(value, 6)] == [
        ".gain_over_baseline.mcnemar_p"
    ]
    assert found[".train.epochs"] == 0.333333


def test_the_report_needs_no_other_file(inputs: Path) -> None:
    plot.main()
    page = Path("reports/report.html").read_text(encoding="utf-8")
    addresses = re.findall(r"\b(?:src|href|action|data|poster|srcset)\s*=\s*[\"']?([^\"'\s>]+)", page)
    assert len(addresses) == 6
    assert all(re.fullmatch(r"data:image/png;base64,[A-Za-z0-9+/]+=*", address) for address in addresses)
    assert not re.search(r"url\(|@import|<script|<link|<iframe", page)
    assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", page)


def test_the_report_shows_before_and_after(inputs: Path) -> None:
    plot.main()
    page = Path("reports/report.html").read_text(encoding="utf-8")
    assert "<h1>gpt2-mini on builtin</h1>" in page
    for name, before, after, change in (
        ("accuracy", "0.5000", "0.6250", "+0.1250"),
        ("ROC AUC", "0.4375", "0.8125", "+0.3750"),
        ("log loss (lower is better)", "0.7031", "0.4123", "-0.2908"),
    ):
        row = page.split(f"<td>{name}</td>")[1].split("</tr>")[0]
        assert re.findall(r">([+-]?[\d.]+)<", row) == [before, after, change]
    for shown in ("30.6 % to 86.3 %", "56.2 %", "+6.2", "+1.0 to +10.0", "p = 0.69", "12 rows also in test", "96.9 %"):
        assert shown in page, shown
    card = Path("reports/model_card.md").read_text(encoding="utf-8")
    assert "| accuracy | 0.5000 | 0.6250 | +0.1250 |" in card
    assert "| negation | 2 | 0.0000 |" in card


def test_what_saving_in_bf16_costs_is_told_where_it_was_done(inputs: Path) -> None:
    plot.main()
    assert not any("bfloat16" in Path("reports", name).read_text() for name in ("report.html", "model_card.md"))
    cost = {"fp32": {"accuracy": 0.8756, "log_loss": 0.3457}, "bf16": {"accuracy": 0.8744, "log_loss": 0.3468}}
    put("metrics/train.json", {**TRAIN, "rounding": cost})
    plot.main()
    assert json.loads(Path("metrics.json").read_text())["train"]["rounding"] == cost
    page, card = (Path("reports", name).read_text() for name in ("report.html", "model_card.md"))
    assert "accuracy from 87.6 % to\n87.4 %, log loss from 0.3457 to 0.3468." in page
    assert "bfloat16: accuracy on validation 0.8744,\n0.8756 before rounding. Params:" in card


def test_the_most_confident_mistake_stands_first_and_right_ones_nowhere(inputs: Path) -> None:
    plot.main()
    page = Path("reports/report.html").read_text(encoding="utf-8")
    assert re.findall(r">(10\d): labelled", page) == ["104", "101", "106", "103"]
    assert "surest mistake &lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "right positive" not in page


def test_label_noise_is_no_mistake_and_what_was_predicted_is_said(inputs: Path) -> None:
    table = predictions()
    table.loc[4, "tags"] = "film noise"
    put("data/predictions/test.parquet", table)
    plot.main()
    page = Path("reports/report.html").read_text(encoding="utf-8")
    assert re.findall(r">(10\d): labelled (\w+), predicted (\w+), P\(positive\) ([\d.]+)", page) == [
        ("101", "negative", "positive", "0.9000"),
        ("106", "positive", "negative", "0.1000"),
        ("103", "positive", "negative", "0.4500"),
    ]


def test_equally_sure_mistakes_keep_their_order() -> None:
    confidences = [0.75, 0.125, 0.25] * 1000
    table = pa.table(
        {"id": range(3000), "correct": [False] * 3000, "tags": [""] * 3000, "probability_positive": confidences}
    )
    surest, others = [n for n in range(3000) if n % 3 == 1], [n for n in range(3000) if n % 3 != 1]
    assert [row["id"] for row in plot.worst_rows(table, 2500)] == [*surest, *others][:2500]


@pytest.mark.parametrize("rows", [0, 2, 100])
def test_the_number_of_mistakes_shown_changes_the_report_and_not_the_numbers(
    rows: int, inputs: Path, change: Change
) -> None:
    plot.main()
    before = files(inputs)
    change("params.yaml", **{"plot.worst_rows": rows})
    plot.main()
    after = files(inputs)
    page = after["reports/report.html"].decode("utf-8")
    assert re.findall(r">(10\d): labelled", page) == ["104", "101", "106", "103"][:rows]
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"params.yaml"} | ({"reports/report.html"} if rows < 4 else set())


def test_no_mistakes_and_no_slices_are_no_obstacle(inputs: Path) -> None:
    table = predictions()
    put("data/predictions/test.parquet", table[table["correct"]])
    put("metrics/evaluate.json", {**EVALUATE, "slices": {}})
    plot.main()
    assert "mistakes" not in Path("reports/report.html").read_text(encoding="utf-8")


def test_the_terminal_names_the_report_and_ends_with_the_verdict_of_report_and_card(
    inputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plot.main()
    shown = capsys.readouterr().out
    assert str(Path("reports/report.html")) in shown
    assert "+0.1250" in shown
    sentences = verdict(json.loads(Path("metrics.json").read_text(encoding="utf-8")))
    assert shown.splitlines()[-len(sentences) :] == sentences
    for name in ("report.html", "model_card.md"):
        content = html.unescape(Path("reports", name).read_text(encoding="utf-8")).replace("\u00a0", " ")
        assert all(sentence in content for sentence in sentences), name


def test_the_facts_of_a_hub_model_name_its_revision() -> None:
    entry = {"source": "hub", "id": "someone/model", "revision": "a" * 40, "licence": "MIT"}
    assert plot.source_of(entry, "mine") == f"mine (hub someone/model at revision {'a' * 40}; licence: MIT)"
    assert plot.source_of({"source": "local", "licence": "yours"}, "own") == "own (local; licence: yours)"


def test_the_whole_stage_imports_no_torch_transformers_scikit_learn_or_pandas(inputs: Path) -> None:
    heavy = ("torch", "transformers", "sklearn", "scipy", "pandas")
    code = f"import sys; from stages import plot; plot.main(); print(sorted({set(heavy)} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"

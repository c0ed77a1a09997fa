"""Guards the report's parts: the comparison, the list of choices, the templates and the embedded pictures."""

from __future__ import annotations

import base64
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from jinja2 import DictLoader, UndefinedError

from sentiment.builtin.grammar import generate
from sentiment.pipeline.labels import NOISE
from sentiment.pipeline.params import flatten
from sentiment.report import pages
from sentiment.report.pages import MEASURES, SLICES, TEMPLATES, comparison_rows, data_url, print_comparison, render
from sentiment.report.verdict import SCORERS
from sentiment.reviews.cues import cue_tags
from tests.conftest import EVERY_MEANS

BEFORE = {
    "accuracy": 0.5, "precision": 0.5, "recall": 0.75, "f1": 0.6, "mcc": 0.0, "roc_auc": 0.5, "pr_auc": 0.5,
    "log_loss": 0.7, "brier": 0.25, "ece": 0.01, "n": 8, "accuracy_low": 0.2, "accuracy_high": 0.8, "f1_macro": 0.5,
}  # fmt: skip
AFTER = {**BEFORE, "accuracy": 0.875, "recall": 0.5, "log_loss": 0.25, "ece": 0.05, "accuracy_high": 0.97}

CONTENT: dict[str, Any] = {
    "model": "tiny",
    "data": "toy",
    "model_source": "tiny (local; licence: yours)",
    "data_source": "toy (local; licence: yours)",
    "comparison": comparison_rows(BEFORE, AFTER),
    "scorers": SCORERS,
    "outcome": "not shown to be better than",
    "verdict": ["Better than the <best> baseline."],
    "slices": {"film": "about a film"},
    "params": {"tokenize": {"max_length": 64}, "model": {"formulation": "head"}},
    "choices": [("train.epochs", 3)],
    "splits": [("train", 80), ("validation", 24), ("test", 8)],
    "pictures": dict.fromkeys(
        ("before_after", "confusion", "training", "roc_precision_recall", "calibration", "slices"), "data:,"
    ),
    "worst": [
        {"id": 7, "text": "<script>alert(1)</script> & more", "label": "negative", "predicted": "positive",
         "probability_positive": 0.99, "tags": "<b>"}
    ],
    "m": {
        "test": AFTER,
        "base": BEFORE,
        "baselines": {
            "majority": {"accuracy": 0.5, "f1": 0.0, "roc_auc": 0.5},
            "tfidf_lr": {"accuracy": 0.75, "f1": 0.7, "roc_auc": 0.8},
            "linear_probe": {"accuracy": 0.5, "f1": 0.6, "roc_auc": 0.5},
        },
        "before": "linear_probe",
        "best_baseline": "tfidf_lr",
        "gain": {"accuracy": 0.375, "accuracy_low": 0.125, "accuracy_high": 0.625, "mcnemar_p": 0.25},
        "gain_over_baseline": {"accuracy": 0.125, "accuracy_low": -0.1, "accuracy_high": 0.3, "mcnemar_p": 0.4},
        "builtin": {"data": False, "model": False},
        "validation": {"accuracy": 0.9, "log_loss": 0.3},
        "slices": {"film": {"n": 5, "accuracy": 0.8}},
        "train": {"steps": 30, "epochs": 3.0, "tokens": 12345, "best_step": 20},
        "data": {
            "rows": {"train": 80, "validation": 24, "test": 8},
            "positive_rate": {"train": 0.5, "validation": 0.5, "test": 0.5},
            "truncated_share": {"train": 0.0, "validation": 0.0, "test": 0.125},
            "duplicates_dropped": 1, "leaks_dropped": 2, "validation_leaks_dropped": 3, "bad_rows_dropped": 4,
        },
    },
}  # fmt: skip


def test_near_duplicates_across_splits_are_counted_in_the_report() -> None:
    counts = {"train_train": 7, "train_test": 2, "validation_test": 1}
    params = {**CONTENT["params"], "prepare": {"near_duplicates": "report"}}
    m = {**CONTENT["m"], "data": {**CONTENT["m"]["data"], "near_duplicates": counts}}
    page = render(TEMPLATES / "report.html", **{**CONTENT, "m": m, "params": params})
    assert "Nearly repeated in another split, and kept: 2 train rows in test, 1 validation rows in test.</p>" in page


def test_the_baselines_are_listed_from_the_best_down(capsys: pytest.CaptureFixture[str]) -> None:
    print_comparison(CONTENT["m"], Path("report.html"))
    card = render(TEMPLATES / "model_card.md", **CONTENT)
    for shown in (capsys.readouterr().out.split("Accuracy of the baselines:")[1], card.split("| baseline |")[1]):
        places = [shown.index(SCORERS[name]) for name in ("tfidf_lr", "majority")]
        assert places == sorted(places)


def test_each_measure_is_compared_and_its_direction_said() -> None:
    rows = {row["measure"]: row for row in comparison_rows(BEFORE, AFTER)}
    assert len(rows) == len(MEASURES) == 10
    assert rows["accuracy"] == {"measure": "accuracy", "before": 0.5, "after": 0.875, "change": 0.375}
    assert rows["log loss (lower is better)"]["change"] == pytest.approx(-0.45)
    assert {name.split(" (")[0] for name in rows if "lower" in name} == {"log loss", "Brier score", "calibration error"}


def test_every_tag_of_a_review_is_explained() -> None:
    """Tags of generated reviews and of real ones; noise is no slice."""
    tags = {tag for review in islice(generate("tags", EVERY_MEANS), 500) for tag in review.tags}
    tags |= set(cue_tags("NEVER good, but why?").split())
    assert len(tags) > 8
    assert tags - {NOISE} <= set(SLICES)


def test_params_are_flattened_to_dotted_keys_in_their_order() -> None:
    nested = {"seed": 0, "train": {"lr": 0.1, "deep": {"x": None}}, "device": "cpu"}
    assert flatten(nested) == [("seed", 0), ("train.lr", 0.1), ("train.deep.x", None), ("device", "cpu")]


@pytest.mark.parametrize(
    ("template", "names"),
    [
        ("report.html", "model data m comparison scorers outcome verdict slices params choices splits worst pictures"),
        ("model_card.md", "model data m comparison scorers verdict choices model_source data_source"),
    ],
)
def test_a_template_that_misses_a_name_is_an_error(template: str, names: str) -> None:
    """Each name is left out in turn; those that the template asks for are missed, and no others."""
    assert render(TEMPLATES / template, **CONTENT)
    missed = set()
    for name in CONTENT:
        try:
            render(TEMPLATES / template, **{key: value for key, value in CONTENT.items() if key != name})
        except UndefinedError as error:
            missed.add(str(error).split("'")[1])
    assert missed == set(names.split())


def test_a_missing_measure_is_an_error_too() -> None:
    m = {**CONTENT["m"], "gain_over_baseline": {}}
    with pytest.raises(UndefinedError):
        render(TEMPLATES / "report.html", **{**CONTENT, "m": m})


def test_a_review_cannot_put_markup_into_the_report() -> None:
    page = render(TEMPLATES / "report.html", **CONTENT)
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in page
    assert "&lt;b&gt;" in page


def test_a_long_review_is_shortened_before_it_is_escaped() -> None:
    row = {**CONTENT["worst"][0], "text": "<" * 390 + " word" * 100}
    page = render(TEMPLATES / "report.html", **{**CONTENT, "worst": [row]})
    assert "&lt;" * 390 in page
    assert page.count(" word") < 5


def test_the_report_shows_the_numbers_before_and_after() -> None:
    page = render(TEMPLATES / "report.html", **CONTENT)
    assert "<td>accuracy</td>" in page
    for shown in ("87.5 %", "50.0 %", "75.0 %", "+12.5", "-10.0 to +30.0", "0.8750", "+0.3750", "-0.4500", "12,345"):
        assert shown in page, shown
    assert "points: not shown to be better than the best baseline<br>-10.0 to +30.0" in page
    assert "Better than the &lt;best&gt; baseline." in page


def test_a_choice_without_a_value_is_shown_as_in_params_yaml() -> None:
    for template in ("report.html", "model_card.md"):
        text = render(TEMPLATES / template, **{**CONTENT, "choices": [("prepare.train_rows", None), ("x.strip", True)]})
        assert "None" not in text
        assert "True" not in text


def test_without_errors_and_slices_their_parts_are_left_out() -> None:
    content = {**CONTENT, "worst": [], "m": {**CONTENT["m"], "slices": {}}}
    page = render(TEMPLATES / "report.html", **content)
    assert "Most confident errors" not in page
    assert "slice" not in page.split("</style>")[1]
    assert "| slice |" not in render(TEMPLATES / "model_card.md", **content)
    assert "| slice |" in render(TEMPLATES / "model_card.md", **CONTENT)


def test_the_model_card_begins_with_its_front_matter_and_has_whole_tables() -> None:
    lines = render(TEMPLATES / "model_card.md", **CONTENT).splitlines()
    assert lines[0] == "---"
    assert lines[lines.index("# tiny fine-tuned on toy") - 2] == "---"
    start = lines.index("| measure | before fine-tuning | after | change |")
    table = lines[start : start + 2 + len(MEASURES)]
    assert all(line.startswith("|") and line.count("|") == 5 for line in table)
    assert table[2] == "| accuracy | 0.5000 | 0.8750 | +0.3750 |"


def test_only_html_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "FileSystemLoader", lambda _: DictLoader({"a.html": "{{ x }}", "a.md": "{{ x }}"}))
    assert render(TEMPLATES / "a.html", x="a & b") == "a &amp; b"
    assert render(TEMPLATES / "a.md", x="a & b") == "a & b"


def test_an_embedded_picture_is_the_file_itself(tmp_path: Path) -> None:
    content = bytes(range(256))
    (tmp_path / "p.png").write_bytes(content)
    head, _, payload = data_url(tmp_path / "p.png").partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(payload, validate=True) == content


def test_the_terminal_shows_the_table_and_where_the_report_lies(capsys: pytest.CaptureFixture[str]) -> None:
    print_comparison({**CONTENT["m"], "base": BEFORE, "test": AFTER}, Path("some") / "folder" / "report.html")
    shown = capsys.readouterr().out
    row = next(line for line in shown.splitlines() if "accuracy" in line.split())
    assert [part for part in row.split() if part[0] in "+-0"] == ["0.5000", "0.8750", "+0.3750"]
    assert str(Path("some") / "folder" / "report.html") in shown

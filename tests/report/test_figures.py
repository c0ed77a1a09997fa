"""Guards the pictures: equal tables are equal bytes, and what is shown is what the tables say."""

from __future__ import annotations

import ast
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from sentiment.report import figures
from sentiment.report.figures import draw_all, save_figure
from tests.conftest import ROOT

NAMES = {"before_after", "confusion", "training", "roc_precision_recall", "calibration", "slices"}

MEASURES: dict[str, Any] = {
    "baselines": {
        "majority": {"accuracy": 0.501, "f1": 0.667, "roc_auc": 0.5},
        "tfidf_lr": {"accuracy": 0.8, "f1": 0.812, "roc_auc": 0.9},
        "linear_probe": {"accuracy": 0.111, "f1": 0.222, "roc_auc": 0.333},
    },
    "before": "linear_probe",
    "base": {"accuracy": 0.111, "f1": 0.222, "roc_auc": 0.333},  # no predictions could give these together
    "test": {"accuracy": 0.987, "f1": 0.123, "roc_auc": 0.456},
    "train": {"best_step": 20},
    "data": {"positive_rate": {"test": 0.4}},
    "slices": {"film": {"n": 5, "accuracy": 0.8}, "product": {"n": 3, "accuracy": 0.321}},
}
ROC = [{"false_positive_rate": x, "true_positive_rate": y} for x, y in ((0.0, 0.0), (0.25, 0.9), (1.0, 1.0))]
PRECISION_RECALL = [{"precision": p, "recall": r} for p, r in ((0.5, 1.0), (0.8, 0.6), (1.0, 0.0))]
BINS = [{"n": 4, "probability": 0.2, "positive_rate": 0.25}, {"n": 6, "probability": 0.9, "positive_rate": 0.7}]
PAIRS = {
    "actual": ["negative"] * 4 + ["positive"] * 4,
    "predicted": ["negative", "negative", "negative", "positive", "negative", "negative", "positive", "positive"],
}
ONE_CLASS = {**PAIRS, "predicted": ["positive"] * 8}
SCORERS = {"majority": "majority label", "tfidf_lr": "TF-IDF", "linear_probe": "linear probe"}
TABLES: dict[str, Any] = {
    "scorers": SCORERS,
    "measures": MEASURES,
    "confusion": {"base": ONE_CLASS, "finetuned": PAIRS},
    "roc": {"base": ROC, "finetuned": ROC},
    "precision_recall": {"base": PRECISION_RECALL, "finetuned": PRECISION_RECALL},
    "calibration": {"base": BINS[:1], "finetuned": BINS},
    "train": {"step": [10, 20, 30], "log_loss": [0.69, 0.4, 0.2]},
    "validation": {"step": [0, 20], "log_loss": [0.7, 0.3], "accuracy": [0.5, 0.9]},
}

MAKERS: dict[str, Callable[[], Figure]] = {
    "before_after": lambda: figures.before_after(MEASURES, SCORERS),
    "confusions": lambda: figures.confusions(TABLES["confusion"]),
    "training_curves": lambda: figures.training_curves(TABLES["train"], TABLES["validation"], 20),
    "roc_and_precision_recall": lambda: figures.roc_and_precision_recall(
        TABLES["roc"], TABLES["precision_recall"], 0.4
    ),
    "calibration": lambda: figures.calibration(TABLES["calibration"]),
    "slice_accuracies": lambda: figures.slice_accuracies(MEASURES["slices"], 0.9),
    "weight_deltas_chart": lambda: figures.weight_deltas_chart(["wte", "h.0", "h.1"], [0.1, 0.0, 2e-5], "Change"),
    "slice_accuracies of none": lambda: figures.slice_accuracies({}, 0.9),
}


def chunks(png: bytes) -> dict[bytes, bytes]:
    """Read the chunks of a PNG file by name (https://www.w3.org/TR/png-3/#5Chunk-layout)."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    found, place = {}, 8
    while place < len(png):
        length, name = struct.unpack(">I4s", png[place : place + 8])
        found[name] = png[place + 8 : place + 8 + length]
        place += length + 12
    return found


def words(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]


@pytest.mark.parametrize("name", MAKERS)
def test_a_figure_drawn_twice_is_the_same_bytes(name: str, tmp_path: Path) -> None:
    save_figure(MAKERS[name](), tmp_path / "1.png", 60)
    save_figure(MAKERS[name](), tmp_path / "2.png", 60)
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()
    assert b"IEND" in chunks((tmp_path / "1.png").read_bytes())


def test_a_picture_holds_no_date_and_no_software_version(tmp_path: Path) -> None:
    save_figure(MAKERS["calibration"](), tmp_path / "p.png", 60)
    assert set(chunks((tmp_path / "p.png").read_bytes())) == {b"IHDR", b"pHYs", b"IDAT", b"IEND"}


def test_every_figure_function_is_among_those_drawn_here() -> None:
    public = {
        name
        for name, kind in vars(figures).items()
        if callable(kind)
        and not name.startswith("_")
        and getattr(kind, "__annotations__", {}).get("return") == "Figure"
    }
    assert public == {name.split(" ")[0] for name in MAKERS}


def test_draw_all_writes_exactly_the_pictures_that_it_names(tmp_path: Path) -> None:
    files = draw_all(TABLES, tmp_path / "figures", 50)
    assert set(files) == NAMES
    assert {file.relative_to(tmp_path) for file in tmp_path.rglob("*") if file.is_file()} == {
        Path("figures") / f"{name}.png" for name in NAMES
    }
    assert all(files[name] == tmp_path / "figures" / f"{name}.png" for name in NAMES)


def test_draw_all_twice_is_the_same_bytes_and_leaves_no_style_behind(tmp_path: Path) -> None:
    first = draw_all(TABLES, tmp_path / "1", 50)
    with mpl.rc_context({"font.size": 17, "legend.frameon": True, "axes.grid": False}):
        style = dict(mpl.rcParams)
        second = draw_all(TABLES, tmp_path / "2", 50)
        assert dict(mpl.rcParams) == style
    for name in NAMES:
        assert first[name].read_bytes() == second[name].read_bytes(), name


def test_draw_all_works_without_slices(tmp_path: Path) -> None:
    files = draw_all({**TABLES, "measures": {**MEASURES, "slices": {}}}, tmp_path, 50)
    assert files["slices"].is_file()


def test_the_dots_per_inch_decide_the_size(tmp_path: Path) -> None:
    for dpi in (50, 100):
        save_figure(MAKERS["before_after"](), tmp_path / "p.png", dpi)
        width, height = struct.unpack(">II", chunks((tmp_path / "p.png").read_bytes())[b"IHDR"][:8])
        assert (width, height) == (round(5.2 * dpi), round(3.02 * dpi))


def test_no_measure_is_computed_here() -> None:
    """The module imports no library of measures, and shows numbers that contradict each other as they are."""
    tree = ast.parse((ROOT / "sentiment/report/figures.py").read_text(encoding="utf-8"))
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    modules |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {name.split(".")[0] for name in modules} & {"sklearn", "scipy", "torch", "sentiment", "stages"}
    figure = MAKERS["before_after"]()
    figure.draw_without_rendering()  # which is when the bars get their names
    shown = words(figure)
    for model in (*MEASURES["baselines"].values(), MEASURES["base"], MEASURES["test"]):
        assert f"{model['accuracy']:.3f}" in shown
    assert shown.index("linear probe") < shown.index("majority label") < shown.index("TF-IDF")


def test_a_line_stands_at_the_majority_label_and_each_score_is_shown_once() -> None:
    (axes,) = MAKERS["before_after"]().axes
    assert [line.get_xdata() for line in axes.lines] == [[0.501, 0.501]]
    assert [round(bar.get_width(), 3) for bar in axes.patches] == [0.111, 0.501, 0.8, 0.987]


def test_every_colour_and_line_is_named_and_the_ceiling_where_it_is_known() -> None:
    known = {**MEASURES, "data": {**MEASURES["data"], "label_noise_ceiling": 0.99}}
    plain, ceiling = (figures.before_after(measures, SCORERS) for measures in (MEASURES, known))
    named = [[text.get_text() for text in figure.legends[0].get_texts()] for figure in (plain, ceiling)]
    assert named[0] == ["after fine-tuning", "before fine-tuning", "other baseline", "majority label"]
    assert named[1] == [*named[0], "ceiling from label noise"]
    assert [line.get_xdata() for line in ceiling.axes[0].lines] == [[0.501, 0.501], [0.99, 0.99]]
    for maker, name in (("roc_and_precision_recall", "chance"), ("calibration", "perfect calibration")):
        assert all(name in words(panel.get_legend()) for panel in MAKERS[maker]().axes)


def test_the_confusion_matrix_counts_the_pairs() -> None:
    """Of 4 negative reviews 3 are called so, of 4 positive ones 2; the other model calls all positive."""
    before, after = MAKERS["confusions"]().axes
    assert [text.get_text() for text in after.texts] == ["3\n75.0%", "1\n25.0%", "2\n50.0%", "2\n50.0%"]
    assert [text.get_text() for text in before.texts] == ["0\n0.0%", "4\n100.0%", "0\n0.0%", "4\n100.0%"]
    assert [label.get_text() for label in after.get_yticklabels()] == ["negative", "positive"]


def test_the_curves_are_drawn_through_the_points_of_the_tables() -> None:
    loss, accuracy = MAKERS["training_curves"]().axes
    assert loss.lines[0].get_xydata().tolist() == [[10, 0.69], [20, 0.4], [30, 0.2]]
    assert loss.lines[1].get_xydata().tolist() == [[0, 0.7], [20, 0.3]]
    assert accuracy.lines[0].get_xydata().tolist() == [[0, 0.5], [20, 0.9]]
    roc, precision_recall = MAKERS["roc_and_precision_recall"]().axes
    assert roc.lines[1].get_xydata().tolist() == [[0, 0], [0.25, 0.9], [1, 1]]
    assert precision_recall.lines[1].get_xydata().tolist() == [[1, 0.5], [0.6, 0.8], [0, 1]]


def test_the_worst_slice_stands_first_with_its_number_of_reviews() -> None:
    (axes,) = MAKERS["slice_accuracies"]().axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["product (3)", "film (5)"]
    assert [text.get_text() for text in axes.texts] == ["0.321", "0.800"]
    assert axes.yaxis_inverted()


def test_calibration_shows_each_bin_of_each_model() -> None:
    (axes,) = MAKERS["calibration"]().axes
    shown = [point for dots in axes.collections for point in dots.get_offsets().tolist()]
    assert sorted(shown) == [[0.2, 0.25], [0.2, 0.25], [0.9, 0.7]]

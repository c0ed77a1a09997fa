"""Draw the figures of the report from tables alone: no measure is computed here, and torch is not needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

BEFORE, AFTER, FLOOR, INK = "#8b93a1", "#2a6fbb", "#d9a441", "#29313d"
NAMES = {"base": "before fine-tuning", "finetuned": "after fine-tuning"}
NARROW = 5.2  # inches; a telephone shows it whole, with letters that can be read
COLOURS = {"base": BEFORE, "finetuned": AFTER}

STYLE: Any = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.grid": True,
    "grid.color": "#e6e9ee",
    "axes.axisbelow": True,
    "legend.frameon": False,
}

Points = Mapping[str, Sequence[Mapping[str, float]]]
Columns = Mapping[str, Sequence[Any]]


def save_figure(figure: Figure, path: Path, dpi: int) -> None:
    """Write a figure whose bytes depend on its content alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=dpi, metadata={"Software": None})


def _panels(count: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """Make a figure of panels side by side, in inches; without pyplot, which keeps global state."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, [figure.add_subplot(1, count, number + 1) for number in range(count)]


def _bars(names: Sequence[str], values: Sequence[float], colours: Any, height: float, fmt: str) -> tuple[Figure, Axes]:
    """Draw horizontal bars, each with its value beside it; `height` is the figure's, in inches."""
    figure, [axes] = _panels(1, NARROW, height)
    bars = axes.barh([fill(name, 28) for name in names], values, color=colours)
    behind: Any = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # so that no line crosses a value
    axes.bar_label(bars, fmt=fmt, fontsize=8, padding=3, bbox=behind)
    axes.tick_params(axis="y", labelsize=9)
    axes.grid(visible=False, axis="y")
    return figure, axes


def before_after(measures: Mapping[str, Any], scorers: Mapping[str, str]) -> Figure:
    """Show the test accuracy of every baseline and of the fine-tuned model, the lowest first.

    Args:
        measures: the content of metrics.json.
        scorers: the baselines' names as shown.
    """
    rows = [
        (scorers[name], values["accuracy"], BEFORE if name == measures["before"] else FLOOR)
        for name, values in measures["baselines"].items()
    ]
    rows.append((NAMES["finetuned"], measures["test"]["accuracy"], AFTER))
    rows.sort(key=lambda row: row[1])  # stable: of equals the baselines first
    names, accuracies, colours = zip(*rows, strict=True)
    figure, axes = _bars(names, accuracies, colours, 1.5 + 0.38 * len(rows), "%.3f")
    kinds = {AFTER: NAMES["finetuned"], BEFORE: NAMES["base"], FLOOR: "other baseline"}
    keys: list[Any] = [Patch(color=colour, label=name) for colour, name in kinds.items()]
    levels = {"majority label": measures["baselines"]["majority"]["accuracy"]}
    if ceiling := measures["data"].get("label_noise_ceiling"):
        levels["ceiling from label noise"] = ceiling
    for (name, level), style in zip(levels.items(), (":", "--"), strict=False):
        keys.append(axes.axvline(level, color=INK, lw=0.8, ls=style, label=name))
    axes.set(xlim=(0, 1.14), title="Accuracy on the test split")
    figure.legend(handles=keys, loc="outside lower center", ncols=2)
    return figure


def confusions(tables: Mapping[str, Columns]) -> Figure:
    """Show the confusion matrix of each model, counts with the share of the row.

    Args:
        tables: model to the columns actual and predicted, label words.
    """
    figure, panels = _panels(len(tables), 7.4, 3.4)
    for axes, (model, table) in zip(panels, tables.items(), strict=True):
        words = sorted(set(table["actual"]))
        pairs, rows = Counter(zip(table["actual"], table["predicted"], strict=True)), Counter(table["actual"])
        shares = [[pairs[actual, predicted] / rows[actual] for predicted in words] for actual in words]
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=2)  # up to a blue on which ink can be read
        for y, actual in enumerate(words):
            for x, predicted in enumerate(words):
                text = f"{pairs[actual, predicted]}\n{shares[y][x]:.1%}"
                axes.text(x, y, text, ha="center", va="center")
        axes.set(xticks=range(len(words)), xticklabels=words, yticks=range(len(words)), title=NAMES[model])
        axes.set_yticklabels(words, rotation=90, va="center")
        axes.set(xlabel="predicted", ylabel="actual")
        axes.grid(visible=False)
    return figure


def training_curves(train: Columns, validation: Columns, best_step: int) -> Figure:
    """Show the loss on both splits and the validation accuracy over the steps.

    Args:
        train: columns step and log_loss.
        validation: columns step, log_loss and accuracy.
        best_step: the step whose checkpoint was kept.
    """
    figure, [left, right] = _panels(2, 7.4, 3.2)
    left.plot(train["step"], train["log_loss"], color=BEFORE, label="train")
    left.plot(validation["step"], validation["log_loss"], color=AFTER, marker="o", ms=4, label="validation")
    left.set(title="Log loss", xlabel="step", ylim=(0, None))
    right.plot(validation["step"], validation["accuracy"], color=AFTER, marker="o", ms=4, label="validation")
    right.set(title="Accuracy", xlabel="step", ylim=(None, 1.0))
    for axes in (left, right):
        axes.axvline(best_step, color=INK, lw=0.8, ls=":", label="kept")
        axes.legend()
    return figure


def _curve(axes: Axes, points: Points, x: str, y: str) -> None:
    for model, rows in points.items():
        axes.plot([row[x] for row in rows], [row[y] for row in rows], color=COLOURS[model], label=NAMES[model])
    axes.set(xlabel=x.replace("_", " "), ylabel=y.replace("_", " "), xlim=(0, 1), ylim=(0, 1.02))
    axes.legend()


def roc_and_precision_recall(roc: Points, precision_recall: Points, positive_rate: float) -> Figure:
    """Show both ranking curves of both models, with chance level."""
    figure, [left, right] = _panels(2, 7.4, 3.5)
    left.plot([0, 1], [0, 1], color=INK, lw=0.8, ls=":", label="chance")
    right.axhline(positive_rate, color=INK, lw=0.8, ls=":", label="chance")
    _curve(left, roc, "false_positive_rate", "true_positive_rate")
    _curve(right, precision_recall, "recall", "precision")
    left.set_title("ROC")
    right.set_title("Precision and recall")
    return figure


def calibration(bins: Points) -> Figure:
    """Show the share of positive reviews over the predicted probability; a dot's area is its share of reviews."""
    figure, [axes] = _panels(1, NARROW, 3.8)
    axes.plot([0, 1], [0, 1], color=INK, lw=0.8, ls=":", label="perfect calibration")
    for model, rows in bins.items():
        axes.scatter(
            [row["probability"] for row in rows],
            [row["positive_rate"] for row in rows],
            s=[6 + 300 * row["n"] / sum(other["n"] for other in rows) for row in rows],
            color=COLOURS[model],
            alpha=0.75,
        )
        axes.scatter([], [], color=COLOURS[model], label=NAMES[model])
    axes.set(title="Calibration", xlabel="predicted probability", ylabel="share positive")
    axes.set(xlim=(-0.05, 1.05), ylim=(-0.05, 1.05))
    axes.legend()
    return figure


def slice_accuracies(slices: Mapping[str, Mapping[str, float]], overall: float) -> Figure:
    """Show the fine-tuned model's accuracy on each slice, the worst first."""
    ordered = sorted(slices.items(), key=lambda item: item[1]["accuracy"])
    names, accuracies = [f"{name} ({values['n']})" for name, values in ordered], [v["accuracy"] for _, v in ordered]
    figure, axes = _bars(names, accuracies, AFTER, 0.6 + 0.32 * max(len(ordered), 1), "%.3f")
    axes.axvline(overall, color=INK, lw=0.8, ls=":")
    axes.set(xlim=(0, 1.14), title="Accuracy by slice (reviews), dotted: all")
    axes.invert_yaxis()
    return figure


def weight_deltas_chart(layers: Sequence[str], deltas: Sequence[float], title: str) -> Figure:
    """Show the relative weight delta of each layer, the lowest layer on top.

    Args:
        layers: names, from the embeddings upwards.
        deltas: norm of the delta over the norm before, one per layer.
        title: of the figure.
    """
    figure, axes = _bars(layers, deltas, AFTER, 0.9 + 0.3 * max(len(layers), 1), "%.2g")
    axes.set(title=title, xlabel="norm of the weight delta, relative to the norm before")
    axes.margins(x=0.12)
    axes.set_xlim(left=0)
    axes.invert_yaxis()
    return figure


def draw_one(figure: Callable[[], Figure], path: Path, dpi: int) -> None:
    """Draw one figure in the common style."""
    with mpl.rc_context(STYLE):
        save_figure(figure(), path, dpi)


def draw_all(tables: Mapping[str, Any], folder: Path, dpi: int) -> dict[str, Path]:
    """Draw every figure of the report.

    Args:
        tables: measures (metrics.json), scorers (the baselines' names as shown), confusion, roc, precision_recall and
            calibration by model, and the train and validation curves.
        folder: output folder.
        dpi: dots per inch.

    Returns:
        Figure name to file.
    """
    measures = tables["measures"]
    with mpl.rc_context(STYLE):
        figures = {
            "before_after": before_after(measures, tables["scorers"]),
            "confusion": confusions(tables["confusion"]),
            "training": training_curves(tables["train"], tables["validation"], measures["train"]["best_step"]),
            "roc_precision_recall": roc_and_precision_recall(
                tables["roc"], tables["precision_recall"], measures["data"]["positive_rate"]["test"]
            ),
            "calibration": calibration(tables["calibration"]),
            "slices": slice_accuracies(measures["slices"], measures["test"]["accuracy"]),
        }
        files = {name: folder / f"{name}.png" for name in figures}
        for name, figure in figures.items():
            save_figure(figure, files[name], dpi)
    return files

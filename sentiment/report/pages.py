"""Write the report and the model card from metrics, tables and figures."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from sentiment.report.tables import print_table
from sentiment.report.verdict import SCORERS, percent, verdict

TEMPLATES = Path(__file__).parent / "templates"

MEASURES = {  # key in metrics.json -> name; more is better where nothing else is said
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "mcc": "Matthews correlation",
    "roc_auc": "ROC AUC",
    "pr_auc": "average precision",
    "log_loss": "log loss (lower is better)",
    "brier": "Brier score (lower is better)",
    "ece": "calibration error (lower is better)",
}

SLICES = {  # tag -> what the reviews that carry it have in common
    "contrast": "one opinion yields to another, as with but or although",
    "distractor": "quotes an opinion about something else",
    "film": "about a film",
    "hedge": "softened, as by I suppose",
    "mixed": "two opinions, and a sentence that says which one counts",
    "negation": "a negation word, such as not or nobody",
    "place": "about a restaurant, a hotel or the like",
    "plain": "a line or a few, as people type them",
    "product": "about a product",
    "question": "a question mark",
    "shouting": "words in capitals, or !!",
    "story": "tells what happened, without an opinion word",
}


def comparison_rows(before: Mapping[str, float], after: Mapping[str, float]) -> list[dict[str, Any]]:
    """Compare the measures before and after fine-tuning.

    Returns:
        For each measure: measure (its name), before, after, and change (after minus before).
    """
    return [
        {"measure": name, "before": before[key], "after": after[key], "change": after[key] - before[key]}
        for key, name in MEASURES.items()
    ]


def print_comparison(measures: Mapping[str, Any], report: Path) -> None:
    """Print the before/after table, the path of the report and the verdict.

    Args:
        measures: the content of metrics.json.
        report: path of the report.
    """
    rows = [
        (row["measure"], f"{row['before']:.4f}", f"{row['after']:.4f}", f"{row['change']:+.4f}")
        for row in comparison_rows(measures["base"], measures["test"])
    ]
    title = f"Test split, before ({SCORERS[measures['before']]}) and after fine-tuning"
    print_table(("measure", "before", "after", "change"), rows, title=title)
    ladder = sorted(measures["baselines"].items(), key=lambda item: -item[1]["accuracy"])
    floor = "; ".join(f"{SCORERS[name]} {values['accuracy']:.4f}" for name, values in ladder)
    where = f"{report}" if report.is_file() else f"{report} is not here; `dvc pull` brings it, `dvc repro` makes it"
    lines = (f"Accuracy of the baselines: {floor}", f"Report: {where}", *verdict(measures))
    print("\n".join(lines))  # noqa: T201


def render(template: Path, **content: Any) -> str:
    """Fill a template; a name that it uses and that is not given is an error."""
    environment = Environment(
        loader=FileSystemLoader(template.parent),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["percent"] = percent
    environment.filters["fixed"] = lambda value: f"{value:.4f}"
    environment.filters["yaml"] = lambda value: value if isinstance(value, str) else json.dumps(value)
    environment.filters["signed"] = lambda value, digits: f"{value:+.{digits}f}"
    return environment.get_template(template.name).render(**content)


def data_url(figure: Path) -> str:
    """Return a PNG file as a data URL, so that a page needs no other file."""
    return "data:image/png;base64," + base64.b64encode(figure.read_bytes()).decode("ascii")

"""Write the report and the model card from metrics, tables and figures."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from sentiment.report.tables import print_table

TEMPLATES = Path(__file__).parent / "templates"

MEASURES = {  # key in metrics.json -> name, and whether more is better
    "accuracy": ("accuracy", True),
    "precision": ("precision", True),
    "recall": ("recall", True),
    "f1": ("F1", True),
    "mcc": ("Matthews correlation", True),
    "roc_auc": ("ROC AUC", True),
    "pr_auc": ("average precision", True),
    "log_loss": ("log loss", False),
    "brier": ("Brier score", False),
    "ece": ("calibration error", False),
}

SCORERS = {  # key in metrics.json: baselines -> name
    "majority": "majority label",
    "tfidf_lr": "TF-IDF, logistic regression",
    "nbsvm": "NB-SVM",
    "linear_probe": "linear probe on frozen features",
    "zero_shot_plain": "label words, zero-shot",
    "zero_shot_contextual": "label words, contextual calibration",
    "zero_shot_pmi": "label words, PMI",
    "untrained_head": "untrained head",
    "own_head": "the base model's own head, not fine-tuned",
}


def comparison_rows(before: Mapping[str, float], after: Mapping[str, float]) -> list[dict[str, Any]]:
    """Compare the measures before and after fine-tuning.

    Returns:
        For each measure: measure (its name), before, after, change (after minus before) and better.
    """
    changes = {key: after[key] - before[key] for key in MEASURES}
    return [
        {
            "measure": name,
            "before": before[key],
            "after": after[key],
            "change": changes[key],
            "better": changes[key] >= 0 if more_is_better else changes[key] <= 0,
        }
        for key, (name, more_is_better) in MEASURES.items()
    ]


def print_comparison(measures: Mapping[str, Any], report: Path) -> None:
    """Print the before/after table and the path of the report.

    Args:
        measures: the content of metrics.json.
        report: path of the report.
    """
    rows = [
        (row["measure"], f"{row['before']:.4f}", f"{row['after']:.4f}", f"{row['change']:+.4f}")
        for row in comparison_rows(measures["base"], measures["test"])
    ]
    title = "Test split, before and after fine-tuning"
    print_table(("measure", "before", "after", "change"), rows, title=title)
    floor = "; ".join(f"{SCORERS[name]} {values['accuracy']:.4f}" for name, values in measures["baselines"].items())
    where = f"{report}" if report.is_file() else f"{report} is not here; `dvc pull` brings it, `dvc repro` makes it"
    print(f"Accuracy of the baselines: {floor}\nReport: {where}")  # noqa: T201


def render(template: Path, **content: Any) -> str:
    """Fill a template; a name that it uses and that is not given is an error."""
    environment = Environment(
        loader=FileSystemLoader(template.parent),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["percent"] = lambda value: f"{100 * value:.1f} %"
    environment.filters["fixed"] = lambda value: f"{value:.4f}"
    environment.filters["p_value"] = lambda value: f"= {value:.2g}" if value else "< 0.000001"
    environment.filters["yaml"] = lambda value: value if isinstance(value, str) else json.dumps(value)
    environment.filters["signed"] = lambda value, digits: f"{value:+.{digits}f}"
    return environment.get_template(template.name).render(**content)


def data_url(figure: Path) -> str:
    """Return a PNG file as a data URL, so that a page needs no other file."""
    return "data:image/png;base64," + base64.b64encode(figure.read_bytes()).decode("ascii")

"""Tables -> figures, report, model card, metrics.json. Cheap, and free of torch.

In: the metrics and tables of the stages before. Out: metrics.json (in git: what `dvc metrics diff` compares),
reports/report.html (self-contained), reports/model_card.md and reports/figures/*.png.
"""

from __future__ import annotations

from typing import Any

from pyarrow import Table, compute, parquet

from sentiment.pipeline.artifacts import read_csv, read_json, write_json
from sentiment.pipeline.catalog import catalog_entry
from sentiment.pipeline.errors import exit_on_input_error
from sentiment.pipeline.labels import NOISE, SPLITS
from sentiment.pipeline.params import flatten, load_params
from sentiment.pipeline.paths import (
    EVALUATE_METRICS,
    METRICS,
    PREDICTIONS,
    PREPARE_METRICS,
    REPORTS,
    TEST_CURVES,
    TOKENIZE_METRICS,
    TRAIN_METRICS,
    TRAINING_CURVES,
)
from sentiment.report.figures import draw_all
from sentiment.report.pages import SLICES, TEMPLATES, comparison_rows, data_url, print_comparison, render
from sentiment.report.verdict import SCORERS, outcome, verdict

MODELS = ("base", "finetuned")


def gather_metrics(entries: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Join the stages' numbers, and whether data and model are built in, into what metrics.json holds."""
    measures: dict[str, Any] = read_json(EVALUATE_METRICS)
    measures["builtin"] = {part: entry["source"] == "builtin" for part, entry in entries.items()}
    truncated = {split: counts["truncated_share"] for split, counts in read_json(TOKENIZE_METRICS).items()}
    truncated.update(measures["data"]["truncated_share"])
    measures["data"] = {**read_json(PREPARE_METRICS), **measures["data"], "truncated_share": truncated}
    train = read_json(TRAIN_METRICS)
    measures["train"] = {key: value for key, value in train.items() if key != "validation"}
    return measures


def gather_tables(measures: dict[str, Any]) -> dict[str, Any]:
    """Read what the pictures show."""
    curves = {
        name: {model: read_json(TEST_CURVES / f"{name}_{model}.json") for model in MODELS}
        for name in ("roc", "precision_recall", "calibration")
    }
    return {
        **curves,
        "measures": measures,
        "scorers": SCORERS,
        "confusion": {model: read_csv(TEST_CURVES / f"confusion_{model}.csv") for model in MODELS},
        "train": read_csv(TRAINING_CURVES / "train.csv"),
        "validation": read_csv(TRAINING_CURVES / "validation.csv"),
    }


def worst_rows(predictions: Table, count: int) -> list[dict[str, Any]]:
    """Choose the wrong predictions that were stated with the most confidence; label noise is no mistake."""
    wrong = predictions.filter(compute.invert(predictions["correct"])).to_pylist()
    wrong = [row for row in wrong if NOISE not in row["tags"].split()]
    return sorted(wrong, key=lambda row: -abs(row["probability_positive"] - 0.5))[:count]


def source_of(entry: dict[str, Any], name: str) -> str:
    """Say where a model or data set comes from, in one phrase."""
    place = f" {entry['id']} at revision {entry['revision']}" if entry["source"] == "hub" else ""
    return f"{name} ({entry['source']}{place}; licence: {entry['licence']})"


def main() -> None:
    """Draw the figures and write the report, the model card and metrics.json."""
    all_params = load_params()
    params = all_params.plot
    names = {"data": all_params.data.name, "model": all_params.model.name}
    entries = {part: catalog_entry(kind, names[part]) for part, kind in (("data", "datasets"), ("model", "models"))}
    measures = gather_metrics(entries)
    write_json(METRICS, measures)
    pictures = draw_all(gather_tables(measures), REPORTS / "figures", params.dpi)
    comparison = comparison_rows(measures["base"], measures["test"])
    predictions = parquet.ParquetFile(PREDICTIONS / "test.parquet").read()  # parquet.read_table would import pandas
    content = {
        **names,
        "m": measures,
        "comparison": comparison,
        "scorers": SCORERS,
        "outcome": outcome(measures["gain_over_baseline"]),
        "verdict": verdict(measures),
        "slices": {tag: SLICES[tag] for tag in measures["slices"] if tag in SLICES},
        "params": all_params.model_dump(),
        "choices": flatten(all_params.model_dump(exclude={"plot"})),
        "splits": [(split, measures["data"]["rows"][split]) for split in SPLITS],
        "worst": worst_rows(predictions, params.worst_rows),
        "pictures": {name: data_url(file) for name, file in pictures.items()},
        **{f"{part}_source": source_of(entry, names[part]) for part, entry in entries.items()},
    }
    report = REPORTS / "report.html"
    report.write_text(render(TEMPLATES / "report.html", **content), encoding="utf-8", newline="\n")
    card = render(TEMPLATES / "model_card.md", **content)
    (REPORTS / "model_card.md").write_text(card, encoding="utf-8", newline="\n")
    print_comparison(measures, report)


if __name__ == "__main__":
    exit_on_input_error(main)

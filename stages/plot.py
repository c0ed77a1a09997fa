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
from sentiment.pipeline.labels import SPLITS
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
from sentiment.report.pages import SCORERS, TEMPLATES, comparison_rows, data_url, print_comparison, render

MODELS = ("base", "finetuned")


def gather_metrics() -> dict[str, Any]:
    """Join the stages' numbers into what metrics.json holds."""
    measures: dict[str, Any] = {key: value for key, value in read_json(EVALUATE_METRICS).items() if key != "before"}
    truncated = {split: counts["truncated_share"] for split, counts in read_json(TOKENIZE_METRICS).items()}
    truncated.update(measures["data"]["truncated_share"])
    measures["data"] = {**read_json(PREPARE_METRICS), "truncated_share": truncated}
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
    """Choose the wrong predictions that were stated with the most confidence."""
    wrong: list[dict[str, Any]] = predictions.filter(compute.invert(predictions["correct"])).to_pylist()
    return sorted(wrong, key=lambda row: -abs(row["probability_positive"] - 0.5))[:count]


def source_of(entry: dict[str, Any], name: str) -> str:
    """Say where a model or data set comes from, in one phrase."""
    place = f" {entry['id']} at revision {entry['revision']}" if entry["source"] == "hub" else ""
    return f"{name} ({entry['source']}{place}; licence: {entry['licence']})"


def main() -> None:
    """Draw the figures and write the report, the model card and metrics.json."""
    all_params = load_params()
    params = all_params.plot
    measures = gather_metrics()
    write_json(METRICS, measures)
    pictures = draw_all(gather_tables(measures), REPORTS / "figures", params.dpi)
    names = {"data": all_params.data.name, "model": all_params.model.name}
    comparison = comparison_rows(measures["base"], measures["test"])
    predictions = parquet.ParquetFile(PREDICTIONS / "test.parquet").read()  # parquet.read_table would import pandas
    content = {
        **names,
        "m": measures,
        "comparison": comparison,
        "before": SCORERS[read_json(EVALUATE_METRICS)["before"]],
        "scorers": SCORERS,
        "params": all_params.model_dump(),
        "choices": flatten(all_params.model_dump(exclude={"plot"})),
        "splits": [(split, measures["data"]["rows"][split]) for split in SPLITS],
        "worst": worst_rows(predictions, params.worst_rows),
        "pictures": {name: data_url(file) for name, file in pictures.items()},
        "model_source": source_of(catalog_entry("models", names["model"]), names["model"]),
        "data_source": source_of(catalog_entry("datasets", names["data"]), names["data"]),
    }
    report = REPORTS / "report.html"
    report.write_text(render(TEMPLATES / "report.html", **content), encoding="utf-8", newline="\n")
    card = render(TEMPLATES / "model_card.md", **content)
    (REPORTS / "model_card.md").write_text(card, encoding="utf-8", newline="\n")
    print_comparison(measures, report)


if __name__ == "__main__":
    exit_on_input_error(main)

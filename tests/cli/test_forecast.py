"""The forecast of `check`: which stages would run, and how the seconds follow from rows, tokens and weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sentiment.cli import forecast
from sentiment.pipeline.params import load_params
from tests.conftest import ROOT


def test_seconds_grow_with_rows_and_epochs_and_are_unknown_before_a_dataset_is_fetched(workspace: Path) -> None:
    params = load_params()
    size = forecast.size(params, None)
    assert size.weights == pytest.approx(434_688 + 1_300, rel=0.02)  # metrics/base.json counts them
    seconds = forecast.seconds(params, size, "cpu")
    twice = params.model_copy(update={"train": params.train.model_copy(update={"epochs": 2 * params.train.epochs})})
    slower = forecast.seconds(twice, size, "cpu")
    assert slower["train"] - forecast.STARTING == pytest.approx(2 * (seconds["train"] - forecast.STARTING))
    assert slower["evaluate"] == seconds["evaluate"]
    unknown = params.model_copy(update={"data": params.data.model_copy(update={"name": "imdb"})})
    assert forecast.seconds(unknown, forecast.size(unknown, None), "cpu")["train"] is None


def test_what_lies_downstream_of_a_change_runs_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    answer = forecast.stages_to_run({"base"})
    assert answer == {"prepare": False, **dict.fromkeys(("base", "tokenize", "train", "evaluate", "plot"), True)}


def test_a_local_file_is_measured_by_its_beginning(workspace: Path, change: Callable[..., None]) -> None:
    file = workspace / "data/raw/reviews.csv"
    file.parent.mkdir(parents=True)
    file.write_text("Review,Label\n" + "A fine film that I have seen twice.,pos\n" * 20_000, encoding="utf-8")
    change("params.yaml", **{"data.name": "reviews", "prepare.validation_rows": 100})
    size = forecast.size(load_params(), None)
    assert size.rows
    assert size.rows["train"] == pytest.approx(20_000 * 0.8 * 0.9, rel=0.2)
    assert size.rows["validation"] == 100
    assert size.tokens == pytest.approx(9, abs=1)

"""Run stages of the project in folders of their own, with other data, models and choices: what the benchmarks need."""

from __future__ import annotations

import importlib
import os
import shutil
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from benchmarks.harness import Result, meter, peak_memory

ROOT = Path(__file__).parent.parent
SETTINGS = ("params.yaml", "params.schema.json", "catalog.yaml", "recipes.yaml")


def lay_out(folder: Path, reviews: Path, model: Path) -> None:
    """Lay a folder out as the stages expect it; every name of the catalog stands for one data file and one model.

    Args:
        folder: the empty folder.
        reviews: a csv file with the columns text and label (0 or 1).
        model: a Hugging Face folder.
    """
    for name in SETTINGS:
        shutil.copy(ROOT / name, folder / name)
    yaml = YAML()
    catalog = yaml.load(folder / "catalog.yaml")
    columns = {"text": "text", "label": "label", "labels": {"negative": [0], "positive": [1]}}
    data = {"source": "local", "path": str(reviews.resolve()), **columns, "licence": "yours"}
    catalog["datasets"] = {name: dict(data) for name in catalog["datasets"]}
    local = {"source": "local", "path": str(model.resolve()), "licence": "yours"}
    catalog["models"] = {name: dict(local) for name in catalog["models"]}
    yaml.dump(catalog, folder / "catalog.yaml")


def stage(request: dict[str, Any]) -> Result:
    """Run a stage in a folder; to be called in a process of its own.

    Args:
        request: folder and stage.

    Returns:
        `meter`'s values, the stage's imports included, and memory_gb, the process's peak.
    """
    back = Path.cwd()
    os.chdir(request["folder"])
    try:
        with meter() as used:
            importlib.import_module(f"stages.{request['stage']}").main()
    finally:
        os.chdir(back)
    return {**used, "memory_gb": peak_memory()}

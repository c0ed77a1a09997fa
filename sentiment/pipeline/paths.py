"""All paths, relative to the repository's root; dvc.yaml declares the same ones."""

from __future__ import annotations

from pathlib import Path

PARAMS = Path("params.yaml")
PARAMS_SCHEMA = Path("params.schema.json")
CATALOG = Path("catalog.yaml")
RECIPES = Path("recipes.yaml")
CHOICES = Path("docs/choices.md")

PREPARED = Path("data/prepared")
TOKENIZED = Path("data/tokenized")
PREDICTIONS = Path("data/predictions")

BASE = Path("models/base")
FINETUNED = Path("models/finetuned")

PREPARE_METRICS = Path("metrics/prepare.json")
BASE_METRICS = Path("metrics/base.json")
TOKENIZE_METRICS = Path("metrics/tokenize.json")
TRAIN_METRICS = Path("metrics/train.json")
EVALUATE_METRICS = Path("metrics/evaluate.json")
METRICS = Path("metrics.json")

TRAINING_CURVES = Path("plots/training")
TEST_CURVES = Path("plots/test")

REPORTS = Path("reports")

SCRATCH = Path(".dvc/tmp/scratch")

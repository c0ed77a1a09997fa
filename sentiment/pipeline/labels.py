"""The names of labels, splits and the manifest, the same in code, tables and models."""

from __future__ import annotations

LABELS = ("negative", "positive")  # in the order of their numbers 0 and 1
SPLITS = ("train", "validation", "test")
MANIFEST = "sentiment.json"  # beside a model: how it reads texts and answers, and what its files must hash to

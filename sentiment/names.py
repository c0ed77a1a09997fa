"""The names of labels and splits, the same in code, tables and models."""

from __future__ import annotations

LABELS = ("negative", "positive")  # in the order of their numbers 0 and 1
SPLITS = ("train", "validation", "test")

"""The names of labels, splits and the manifest, the same in code, tables and models."""

from __future__ import annotations

from typing import Any

LABELS = ("negative", "positive")  # in the order of their numbers 0 and 1
SPLITS = ("train", "validation", "test")
MANIFEST = "sentiment.json"  # beside a model: how it reads texts and answers, and what its files must hash to
NOISE = "noise"  # tag of a generated review whose label is, by construction, the opposite of what it says
THRESHOLD = 0.5  # of a probability, where no manifest says otherwise


def decide(positive: Any, threshold: float = THRESHOLD) -> Any:
    """Return whether a text is positive: where its probability is greater than the threshold; of an array, for each."""
    return positive > threshold

"""Scores without fine-tuning: the base model by its label words and by its head, a probe of it, and bags of words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sentiment.checkpoints.manifest import Manifest
from sentiment.engine import heads
from sentiment.engine.heads import Features, Head, LabelWords
from sentiment.engine.probability import probabilities
from sentiment.evaluation import baselines
from sentiment.evaluation.baselines import JUDGED, BySplit
from sentiment.evaluation.zero_shot import CONTENT_FREE, METHODS, zero_shot_logits
from sentiment.pipeline.errors import InputError
from sentiment.pipeline.labels import LABELS, decide
from sentiment.pipeline.progress import say
from sentiment.tokens.encoding import Ids, encode
from sentiment.tokens.tokenizer import load_tokenizer

ScoreFunction = Callable[
    [Any, Any, Ids], np.ndarray
]  # `score` with batch size and device: model, formulation, ids -> logits


def zero_shot(
    folder: Path, manifest: Manifest, texts: Mapping[str, list[str]], scored: ScoreFunction, seed: int
) -> dict[str, BySplit]:
    """Score the base model by its label words, plainly and calibrated.

    Args:
        folder: the base model.
        manifest: of the fine-tuned model; one with a head is scored by label words as well, where it can be.
        texts: split to texts.
        scored: computes logits.
        seed: the seed of params.yaml.

    Returns:
        Method to split to probabilities; empty where a model with a head has no words to answer with.
    """
    by_words = manifest.model_copy(update={"formulation": "label_words"})
    tokenizer = load_tokenizer(folder)
    try:
        model, formulation = heads.load(folder, tokenizer, by_words, seed)
        encoded = {
            split: encode(tokenizer, rows, by_words).ids for split, rows in {**texts, "": [*CONTENT_FREE]}.items()
        }
    except InputError as error:
        if not manifest.has_head:
            raise
        say(f"  no zero-shot score: {error}")
        return {}
    assert isinstance(formulation, LabelWords)
    sizes = [len(manifest.label_words[label]) for label in LABELS]
    logits = {split: scored(model, formulation.apart(), ids) for split, ids in encoded.items()}
    answers = {split: zero_shot_logits(logits[split], logits[""], sizes) for split in texts}
    return {method: {split: probabilities(answers[split][method]) for split in texts} for method in METHODS}


def by_head(model: Any, ids: Mapping[str, Ids], scored: ScoreFunction) -> BySplit:
    """Score validation and test by the head that training started from."""
    return {split: probabilities(scored(model, Head(), ids[split])) for split in JUDGED}


def probe(model: Any, ids: Mapping[str, Ids], labels: Mapping[str, np.ndarray], scored: ScoreFunction) -> BySplit:
    """Fit a linear probe on the base model's features of train, and choose on validation."""
    features = {split: scored(model, Features(), rows) for split, rows in ids.items()}
    return baselines.linear_probe(features, labels)


def bag_of_words(texts: Mapping[str, list[str]], labels: Mapping[str, np.ndarray]) -> dict[str, BySplit]:
    """Fit the baselines that need no model on train, and choose on validation; by name."""
    return {
        "majority": baselines.majority(labels),
        "tfidf_lr": baselines.tfidf_lr(texts, labels),
        "tfidf_negation_lr": baselines.tfidf_negation_lr(texts, labels),
        "nbsvm": baselines.nbsvm(texts, labels),
    }


def strongest(candidates: Mapping[str, BySplit], labels: np.ndarray) -> str:
    """Choose the scores that are most often right on validation; the first of equals."""
    right = {name: (decide(scores["validation"]) == (labels == 1)).mean() for name, scores in candidates.items()}
    return max(right, key=lambda name: float(right[name]))

"""How far an exported model's answers are from the model's own, and how long both take.

`open_onnx` is all that it takes to ask an exported folder:

    tokenizer, manifest = load_tokenizer(folder), Manifest.read(folder)
    ids = encode(tokenizer, texts, manifest).ids
    logits = open_onnx(folder / "model.onnx", threads=1)(ids, 32)
    positive = probabilities(logits, manifest.temperature)
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from timeit import timeit

import numpy as np
import onnxruntime

from sentiment.checkpoints.manifest import Manifest
from sentiment.engine.batches import pad
from sentiment.engine.probability import probabilities
from sentiment.engine.scoring import batches_by_length
from sentiment.pipeline.labels import LABELS, decide
from sentiment.tokens.encoding import Ids

Scorer = Callable[[Ids, int], np.ndarray]  # ids and the most texts of a batch -> logits, float64 [texts, labels]

BATCH = 32  # texts; what is measured beside one text at a time
TIMED_ALONE, TIMED_TOGETHER = 32, 128  # texts whose time is taken; with GPT-2 on one core, a minute in all


def open_onnx(path: Path, threads: int) -> Scorer:
    """Open an exported graph.

    Args:
        path: from `sentiment.export.graph`.
        threads: CPU threads.

    Returns:
        What scores token ids, in padded batches of near-equal length.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def scores(ids: Ids, batch_size: int) -> np.ndarray:
        logits = np.empty((len(ids), len(LABELS)))
        for chosen in batches_by_length([len(row) for row in ids], batch_size):
            batch = pad([ids[i] for i in chosen], 0)  # any id pads: the graph goes by the mask
            [logits[chosen]] = session.run(None, {name: tensor.numpy() for name, tensor in batch.items()})
        return logits

    return scores


def measure_parity(
    scorers: Mapping[str, Scorer], ids: Ids, labels: Sequence[int] | None, manifest: Manifest
) -> dict[str, dict[str, float]]:
    """Compare the answers of several forms of a model, and take their times.

    Args:
        scorers: name to form; the first is the one that the others are compared with.
        ids: token ids of the texts.
        labels: their true labels' numbers; None where they are not known.
        manifest: the model's, with temperature and threshold.

    Returns:
        Name to measures: those of `agreement` and `speed`.
    """
    positive = {name: probabilities(ask(ids, BATCH), manifest.temperature) for name, ask in scorers.items()}
    own = next(iter(positive.values()))
    return {
        name: {**agreement(own, stated, manifest.threshold, labels), **speed(scorers[name], ids)}
        for name, stated in positive.items()
    }


def agreement(own: np.ndarray, other: np.ndarray, threshold: float, labels: Sequence[int] | None) -> dict[str, float]:
    """Compare probabilities of the positive label.

    Args:
        own: the model's own, [texts].
        other: the exported model's, [texts].
        threshold: what a probability must exceed for the label to be positive.
        labels: true labels' numbers; None where they are not known.

    Returns:
        max_difference and mean_difference of the probabilities, label_agreement (the share of texts that get the same
        label), and accuracy of the other where labels are known.
    """
    difference, answers = np.abs(own - other), decide(other, threshold)
    measures = {
        "max_difference": float(difference.max()),
        "mean_difference": float(difference.mean()),
        "label_agreement": float((answers == decide(own, threshold)).mean()),
    }
    if labels is not None:
        measures["accuracy"] = float((answers == (np.array(labels) == 1)).mean())
    return measures


def speed(scorer: Scorer, ids: Ids) -> dict[str, float]:
    """Take the time from token ids to logits, over texts picked evenly.

    Returns:
        milliseconds_alone, the median of one text at a time; texts_per_second in batches of BATCH.
    """
    together = [ids[i] for i in _evenly(len(ids), TIMED_TOGETHER)]
    scorer(together[:BATCH], BATCH)  # the first call brings memory and threads into being
    alone = [timeit(partial(scorer, [ids[i]], 1), number=1) for i in _evenly(len(ids), TIMED_ALONE)]
    return {
        "milliseconds_alone": 1000 * statistics.median(alone),
        "texts_per_second": len(together) / timeit(partial(scorer, together, BATCH), number=1),
    }


def _evenly(count: int, most: int) -> list[int]:
    """Pick at most so many numbers below a count, at even distances."""
    picked = min(count, most)
    return [i * count // picked for i in range(picked)]

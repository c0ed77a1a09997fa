"""What a fine-tuned transformer has to clear: words and pairs of words, and its own features before fine-tuning."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from sentiment.pipeline.labels import SPLITS, THRESHOLD

# Inverse regularisation strengths, ascending, chosen among on validation; of equals the first.
PENALTIES = (1.0, 4.0, 16.0)  # TF-IDF
NBSVM_PENALTIES = (0.01, 0.1, 1.0)  # Wang and Manning give 0.1 for the plain SVM and 1 for NB-SVM
PROBE_PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)

LONG_WORDS = r"\b\w\w+\b"  # scikit-learn's default: no single letters, no punctuation
# Single letters too. Of seven ways to cut, one of the best two on validation of Rotten Tomatoes and in folds of IMDb.
WORDS = r"\w+"

SMOOTHING = 1.0  # alpha of Wang and Manning: added to every feature's count
INTERPOLATION = 0.25  # their beta: the SVM's share of the weights, the rest is their mean magnitude


def majority(train_labels: np.ndarray, rows: int) -> np.ndarray:
    """Give every review the train split's share of positive labels as its probability, [rows]."""
    return np.full(rows, float(np.mean(train_labels)))


class PairCounter:
    """Counts words and pairs of neighbours, in the columns of scikit-learn's CountVectorizer(ngram_range=(1, 2)).

    A pair is a number made of two word numbers instead of a string, which takes a fraction of the time. Numbers follow
    the alphabet, and a blank stands before every letter, so ascending codes are the alphabetical order of the pairs.
    """

    def __init__(self, texts: Sequence[str], token: str) -> None:
        """Learn the words and pairs of the train texts.

        Args:
            texts: the train texts.
            token: regular expression of one word, met in lower case.
        """
        self.token = re.compile(token)
        words = sorted({word for text in texts for word in self.token.findall(text.lower())})
        self.numbers = {word: number for number, word in enumerate(words)}
        codes = np.concatenate([self._codes(text) for text in texts])
        self.features = pd.Index(np.sort(pd.unique(codes)))  # by hash: millions of codes, most of them repeated

    def _codes(self, text: str) -> np.ndarray:
        """Give every word and every pair of a text its code, int64 [words + pairs].

        The first word counts in steps that leave room for none, every known and an unknown second word.
        """
        unknown = len(self.numbers)
        step = unknown + 2
        found = [self.numbers.get(word, unknown) for word in self.token.findall(text.lower())]
        words = np.array(found, dtype=np.int64)
        return np.concatenate([words * step, words[:-1] * step + words[1:] + 1])

    def count(self, texts: Sequence[str]) -> csr_matrix:
        """Count the train split's words and pairs in texts.

        Returns:
            float32 [reviews, words and pairs], column numbers ascending in each row.
        """
        codes = [self._codes(text) for text in texts]
        rows = np.repeat(np.arange(len(texts)), [len(row) for row in codes])
        columns = self.features.get_indexer(np.concatenate(codes))
        known = columns >= 0
        ones = np.ones(int(known.sum()), dtype=np.float32)
        return csr_matrix((ones, (rows[known], columns[known])), shape=(len(texts), len(self.features)))


def tfidf_lr(texts: Mapping[str, Sequence[str]], labels: Mapping[str, np.ndarray]) -> np.ndarray:
    """Fit logistic regression on TF-IDF weights of words and word pairs.

    The strength of the penalty is the one with the lowest validation log loss.

    Args:
        texts: by split.
        labels: 0 or 1, [reviews], of train and validation.

    Returns:
        Probability of label 1 for each test text, [reviews].
    """
    counter, weighting = PairCounter(texts["train"], LONG_WORDS), TfidfTransformer(sublinear_tf=True)
    rows = {"train": weighting.fit_transform(counter.count(texts["train"]))}
    rows |= {split: weighting.transform(counter.count(texts[split])) for split in ("validation", "test")}
    models = [
        LogisticRegression(C=penalty, solver="liblinear", random_state=0).fit(rows["train"], labels["train"])
        for penalty in PENALTIES
    ]
    return _best_on_validation(models, rows, labels)


def _best_on_validation(
    models: Sequence[LogisticRegression], rows: Mapping[str, Any], labels: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Score test with the model of the lowest validation log loss, [reviews]."""
    validation = [model.predict_proba(rows["validation"])[:, 1] for model in models]
    losses = [log_loss(labels["validation"], positive, labels=[0, 1]) for positive in validation]
    return np.asarray(models[int(np.argmin(losses))].predict_proba(rows["test"])[:, 1])


def log_count_ratio(counts: csr_matrix, labels: np.ndarray) -> np.ndarray:
    """Compare how often each feature is present under the two labels, smoothed.

    Args:
        counts: [reviews, features]; what is stored is present, whatever its value.
        labels: 0 or 1, [reviews].

    Returns:
        log of the feature's share of all presences in positive reviews over its share in negative ones, [features].
    """
    logs = []
    for label in (0, 1):
        present = SMOOTHING + np.bincount(counts[labels == label].indices, minlength=counts.shape[1])
        logs.append(np.log(present / present.sum()))
    return np.asarray(logs[1] - logs[0])


def interpolate(weights: np.ndarray, bias: float, prior: float) -> tuple[np.ndarray, float]:
    """Draw an SVM towards naive Bayes, which weighs every log-count ratio alike: by the SVM's mean magnitude.

    Wang and Manning write this for the weights. The bias has to go with them: kept whole beside weights of a quarter of
    their size, it costs 5 points of accuracy in folds of 2,000 IMDb reviews, and changes nothing on Rotten Tomatoes.

    Args:
        weights: the SVM's, [features].
        bias: the SVM's.
        prior: naive Bayes' bias, log of positive over negative train reviews.

    Returns:
        The weights, [features], and the bias between both.
    """
    size = float(np.abs(weights).mean())
    between = INTERPOLATION * weights + (1 - INTERPOLATION) * size
    return between, INTERPOLATION * bias + (1 - INTERPOLATION) * size * prior


def squash(margins: np.ndarray) -> np.ndarray:
    """Map margins into (0, 1), in order, above 0.5 exactly where they are above 0; a score, no probability."""
    scores = (1 + margins / (1 + np.abs(margins))) / 2  # reaches 0 and 1 far later than a logistic curve
    return np.asarray(np.where(margins > 0, np.maximum(scores, np.nextafter(THRESHOLD, 1)), scores))


def nbsvm(texts: Mapping[str, Sequence[str]], labels: Mapping[str, np.ndarray]) -> np.ndarray:
    """Fit a linear SVM on the log-count ratios of the words and word pairs that are present.

    The strength of the penalty is the one with the highest validation accuracy. Wang and Manning 2012,
    https://aclanthology.org/P12-2018/, report a test accuracy of 0.912 on IMDb and 0.794 on Rotten Tomatoes.

    Args:
        texts: by split.
        labels: 0 or 1, [reviews], of train and validation.

    Returns:
        Score of each test text, in (0, 1), [reviews]; it ranks, and is no probability.
    """
    counter = PairCounter(texts["train"], WORDS)
    counts = {split: counter.count(texts[split]) for split in SPLITS}
    ratio = log_count_ratio(counts["train"], labels["train"])
    prior = float(np.log(np.sum(labels["train"] == 1) / np.sum(labels["train"] == 0)))
    rows = {split: csr_matrix((ratio[c.indices], c.indices, c.indptr), c.shape) for split, c in counts.items()}
    best, margins = -1.0, np.zeros(len(texts["test"]))
    for penalty in NBSVM_PENALTIES:
        # The dual solver: 2 seconds on 25,000 reviews of IMDb's length where the primal one takes up to 108.
        svm = LinearSVC(C=penalty, loss="squared_hinge", dual=True, random_state=0, max_iter=10_000)
        svm.fit(rows["train"], labels["train"])
        weights, bias = interpolate(svm.coef_[0], float(svm.intercept_[0]), prior)
        accuracy = accuracy_score(labels["validation"], rows["validation"] @ weights + bias > 0)
        if accuracy > best:
            best, margins = accuracy, rows["test"] @ weights + bias
    return squash(margins)


def linear_probe(features: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray]) -> np.ndarray:
    """Fit logistic regression on frozen features, each standardised by the train split.

    The strength of the penalty is the one with the lowest validation log loss.

    Args:
        features: float32 or float64 [reviews, width], by split.
        labels: 0 or 1, [reviews], of train and validation.

    Returns:
        Probability of label 1 for each test row, [reviews].
    """
    scaler = StandardScaler().fit(features["train"].astype(np.float64))
    rows = {split: scaler.transform(part.astype(np.float64)) for split, part in features.items()}
    # Newton steps, each strength from the last one's solution: half the time of lbfgs at width 768 and 25,000 rows,
    # and float64, as in float32 they break down at the weakest penalty.
    model = LogisticRegression(solver="newton-cholesky", warm_start=True)
    models = [deepcopy(model.set_params(C=penalty).fit(rows["train"], labels["train"])) for penalty in PROBE_PENALTIES]
    return _best_on_validation(models, rows, labels)

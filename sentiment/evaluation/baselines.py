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
from sentiment.reviews.cues import NEGATION

BySplit = dict[str, np.ndarray]  # validation and test to probabilities of the positive label, [reviews]
JUDGED = SPLITS[1:]

# Inverse regularisation strengths, ascending, chosen among on validation; of equals the first.
PENALTIES = (1.0, 4.0, 16.0)  # TF-IDF
NBSVM_PENALTIES = (0.01, 0.1, 1.0)  # Wang and Manning give 0.1 for the plain SVM and 1 for NB-SVM
PROBE_PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)

LONG_WORDS = r"\b\w\w+\b"  # scikit-learn's default: no single letters, no punctuation
# Single letters too. Of seven ways to cut, one of the best two on validation of Rotten Tomatoes and in folds of IMDb.
WORDS = r"\w+"

SMOOTHING = 1.0  # alpha of Wang and Manning: added to every feature's count
INTERPOLATION = 0.25  # their beta: the SVM's share of the weights, the rest is their mean magnitude

_NEGATION_SCOPE = re.compile(rf"(?P<negation>{NEGATION.pattern})(?P<scope>[^.,:;!?()\"\n]*)", re.IGNORECASE)
_MARKED = re.compile(r"[\w'\u2019]+")


def majority(labels: Mapping[str, np.ndarray]) -> BySplit:
    """Give every review the train split's share of positive labels as its probability."""
    share = float(np.mean(labels["train"]))
    return {split: np.full(len(labels[split]), share) for split in JUDGED}


def mark_negation(text: str) -> str:
    """Put NOT_ before every word between a negation word and the next punctuation mark.

    Source:
        Das and Chen 2001, Yahoo! for Amazon (https://ssrn.com/abstract=276189), as in Pang, Lee and Vaithyanathan 2002,
        https://aclanthology.org/W02-1011/, section 6.
    """
    return _NEGATION_SCOPE.sub(lambda found: found["negation"] + _MARKED.sub(r"NOT_\g<0>", found["scope"]), text)


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


def tfidf_lr(texts: Mapping[str, Sequence[str]], labels: Mapping[str, np.ndarray]) -> BySplit:
    """Fit logistic regression on TF-IDF weights of words and word pairs.

    The strength of the penalty is the one with the lowest validation log loss.

    Args:
        texts: by split.
        labels: 0 or 1, [reviews], of train and validation.
    """
    counter, weighting = PairCounter(texts["train"], LONG_WORDS), TfidfTransformer(sublinear_tf=True)
    rows = {"train": weighting.fit_transform(counter.count(texts["train"]))}
    rows |= {split: weighting.transform(counter.count(texts[split])) for split in JUDGED}
    models = [
        LogisticRegression(C=penalty, solver="liblinear", random_state=0).fit(rows["train"], labels["train"])
        for penalty in PENALTIES
    ]
    return _best_on_validation(models, rows, labels)


def tfidf_negation_lr(texts: Mapping[str, Sequence[str]], labels: Mapping[str, np.ndarray]) -> BySplit:
    """Fit the same on texts with negation marking, so that "not good" and "good" share no word."""
    return tfidf_lr({split: [mark_negation(text) for text in texts[split]] for split in SPLITS}, labels)


def _best_on_validation(
    models: Sequence[LogisticRegression], rows: Mapping[str, Any], labels: Mapping[str, np.ndarray]
) -> BySplit:
    """Score with the model of the lowest validation log loss."""
    positive = [{split: model.predict_proba(rows[split])[:, 1] for split in JUDGED} for model in models]
    losses = [log_loss(labels["validation"], scores["validation"], labels=[0, 1]) for scores in positive]
    return positive[int(np.argmin(losses))]


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


def nbsvm(texts: Mapping[str, Sequence[str]], labels: Mapping[str, np.ndarray]) -> BySplit:
    """Fit a linear SVM on the log-count ratios of the words and word pairs that are present.

    The strength of the penalty is the one with the highest validation accuracy. Wang and Manning 2012,
    https://aclanthology.org/P12-2018/, report a test accuracy of 0.912 on IMDb and 0.794 on Rotten Tomatoes.

    Args:
        texts: by split.
        labels: 0 or 1, [reviews], of train and validation.

    Returns:
        Scores in (0, 1); they rank, and are no probabilities.
    """
    counter = PairCounter(texts["train"], WORDS)
    counts = {split: counter.count(texts[split]) for split in SPLITS}
    ratio = log_count_ratio(counts["train"], labels["train"])
    prior = float(np.log(np.sum(labels["train"] == 1) / np.sum(labels["train"] == 0)))
    rows = {split: csr_matrix((ratio[c.indices], c.indices, c.indptr), c.shape) for split, c in counts.items()}
    best, margins = -1.0, dict[str, np.ndarray]()
    for penalty in NBSVM_PENALTIES:
        # The dual solver: 2 seconds on 25,000 reviews of IMDb's length where the primal one takes up to 108.
        svm = LinearSVC(C=penalty, loss="squared_hinge", dual=True, random_state=0, max_iter=10_000)
        svm.fit(rows["train"], labels["train"])
        weights, bias = interpolate(svm.coef_[0], float(svm.intercept_[0]), prior)
        found = {split: rows[split] @ weights + bias for split in JUDGED}
        accuracy = accuracy_score(labels["validation"], found["validation"] > 0)
        if accuracy > best:
            best, margins = accuracy, found
    return {split: squash(values) for split, values in margins.items()}


def linear_probe(features: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray]) -> BySplit:
    """Fit logistic regression on frozen features, each standardised by the train split.

    The strength of the penalty is the one with the lowest validation log loss.

    Args:
        features: float32 or float64 [reviews, width], by split.
        labels: 0 or 1, [reviews], of train and validation.
    """
    scaler = StandardScaler().fit(features["train"].astype(np.float64))
    rows = {split: scaler.transform(part.astype(np.float64)) for split, part in features.items()}
    # Newton steps, each strength from the last one's solution: half the time of lbfgs at width 768 and 25,000 rows,
    # and float64, as in float32 they break down at the weakest penalty.
    model = LogisticRegression(solver="newton-cholesky", warm_start=True)
    models = [deepcopy(model.set_params(C=penalty).fit(rows["train"], labels["train"])) for penalty in PROBE_PENALTIES]
    return _best_on_validation(models, rows, labels)

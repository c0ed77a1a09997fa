"""Classifiers that read no word order beyond pairs: the floor that a fine-tuned transformer has to clear."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score

PENALTIES = (1.0, 4.0, 16.0)  # inverse regularisation strengths, chosen among on validation


def majority(train_labels: np.ndarray, rows: int) -> np.ndarray:
    """Give every review the train split's share of positive labels as its probability, [rows]."""
    return np.full(rows, float(np.mean(train_labels)))


def tfidf_lr(
    train_texts: Sequence[str],
    train_labels: np.ndarray,
    validation_texts: Sequence[str],
    validation_labels: np.ndarray,
    test_texts: Sequence[str],
) -> np.ndarray:
    """Fit logistic regression on TF-IDF weights of words and word pairs.

    The strength of the penalty is the one with the lowest validation log loss.

    Returns:
        Probability of label 1 for each test text, [reviews].
    """
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, dtype=np.float32)
    train, validation = vectorizer.fit_transform(train_texts), vectorizer.transform(validation_texts)
    models = [
        LogisticRegression(C=penalty, solver="liblinear", random_state=0).fit(train, train_labels)
        for penalty in PENALTIES
    ]
    losses = [log_loss(validation_labels, model.predict_proba(validation)[:, 1], labels=[0, 1]) for model in models]
    positive: np.ndarray = models[int(np.argmin(losses))].predict_proba(vectorizer.transform(test_texts))[:, 1]
    return positive


def measure_baseline(labels: np.ndarray, positive: np.ndarray) -> dict[str, float]:
    """Measure a baseline: accuracy, f1 and roc_auc, each in [0, 1]."""
    predicted = positive > 0.5
    return {
        "accuracy": float(accuracy_score(labels, predicted)),
        "f1": float(f1_score(labels, predicted)),
        "roc_auc": float(roc_auc_score(labels, positive)),
    }

"""Guards the baselines: what they learn, what they depend on, and how they are measured."""

from __future__ import annotations

import re
from itertools import islice, pairwise
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from sentiment.builtin.grammar import generate
from sentiment.evaluation import metrics
from sentiment.evaluation.baselines import (
    LONG_WORDS,
    NBSVM_PENALTIES,
    PENALTIES,
    PROBE_PENALTIES,
    WORDS,
    PairCounter,
    interpolate,
    linear_probe,
    log_count_ratio,
    majority,
    mark_negation,
    nbsvm,
    squash,
    tfidf_lr,
    tfidf_negation_lr,
)
from sentiment.pipeline.labels import SPLITS
from tests.conftest import EVERY_MEANS

GOOD, BAD = ("superb", "lovely", "great"), ("awful", "dull", "broken")
THINGS = ("film", "lamp", "book", "plot", "cable")

TEXTS = [f"a {word} {thing}" for word in GOOD + BAD for thing in THINGS]
LABELS = np.array([1] * (len(GOOD) * len(THINGS)) + [0] * (len(BAD) * len(THINGS)))
VALIDATION = ["superb lamp indeed", "lovely cable", "awful plot", "broken film indeed"]
VALIDATION_LABELS = np.array([1, 1, 0, 0])
TEST = ["the superb film", "a great, lovely book", "a dull cable", "awful and broken", "nothing known"]


def by_split(*parts: Any) -> dict[str, Any]:
    """Name the parts in the order of the splits; labels of test are not needed."""
    return dict(zip(SPLITS, parts, strict=False))


def predict(test: list[str], validation_labels: np.ndarray = VALIDATION_LABELS) -> np.ndarray:
    return tfidf_lr(by_split(TEXTS, VALIDATION, test), by_split(LABELS, validation_labels))["test"]


def test_majority_gives_every_review_the_share_of_positive_labels_in_train() -> None:
    scores = majority(by_split(np.array([1, 1, 1, 0]), np.array([0]), np.array([0, 1])))
    assert {split: values.tolist() for split, values in scores.items()} == {"validation": [0.75], "test": [0.75, 0.75]}


def test_tfidf_learns_a_separable_set() -> None:
    positive = predict(TEST)
    assert positive.shape == (5,)
    assert ((positive > 0) & (positive < 1)).all()
    assert (positive[:4] > 0.5).tolist() == [True, True, False, False]
    assert abs(positive[4] - 0.5) < 0.1


def test_word_pairs_tell_what_single_words_cannot() -> None:
    """Both labels use the same words equally often; only the pairs differ."""
    texts = ["not good but fine", "good not but fine"] * 10
    labels = np.array([0, 1] * 10)
    positive = tfidf_lr(
        by_split(texts, texts[:2], ["not good but fine", "good not but fine"]), by_split(labels, labels[:2])
    )["test"]
    assert positive[0] < 0.3
    assert positive[1] > 0.7


def test_a_test_text_has_the_same_probability_in_any_company() -> None:
    together = predict(TEST)
    order = [3, 0, 4, 1, 2]
    assert predict([TEST[i] for i in order]) == pytest.approx(together[order], abs=1e-12)
    alone = [predict([text])[0] for text in TEST]
    assert alone == pytest.approx(together, abs=1e-12)


def test_the_same_texts_give_the_same_bits() -> None:
    assert np.array_equal(predict(TEST), predict(TEST))


def test_validation_chooses_the_strength_of_the_penalty() -> None:
    """Where validation agrees with train, the surest model is the best one; where it contradicts, the least sure."""
    sure = np.abs(predict(TEST[:4]) - 0.5)
    unsure = np.abs(predict(TEST[:4], 1 - VALIDATION_LABELS) - 0.5)
    assert (sure > unsure + 0.05).all()


def test_a_validation_split_of_one_label_is_no_obstacle() -> None:
    positive = tfidf_lr(by_split(TEXTS, VALIDATION[:2], TEST), by_split(LABELS, np.array([1, 1])))["test"]
    assert (positive[:4] > 0.5).tolist() == [True, True, False, False]


ODD = [
    "",
    "!",
    "It isn't \u00e9t\u00e9; a 3rd-rate film--but FUN",
    "new words new words",
    "a a a A",
    "\u6f22\u5b57 \U0001f642 _x_",
]


@pytest.mark.parametrize("token", [LONG_WORDS, WORDS])
def test_words_and_pairs_are_counted_as_scikit_learn_counts_them(token: str) -> None:
    """Column for column: what is learned from them comes out the same to the bit."""
    reference = CountVectorizer(ngram_range=(1, 2), token_pattern=token, dtype=np.float32)
    expected = [reference.fit_transform(TEXTS + ODD[2:]), reference.transform(ODD + TEST)]
    counter = PairCounter(TEXTS + ODD[2:], token)
    for counts, sure in zip([counter.count(TEXTS + ODD[2:]), counter.count(ODD + TEST)], expected, strict=True):
        assert counts.dtype == np.float32
        assert counts.sum() > 0
        assert np.array_equal(counts.toarray(), sure.toarray())


@pytest.mark.parametrize("validation_labels", [VALIDATION_LABELS, 1 - VALIDATION_LABELS])
def test_tfidf_is_scikit_learns_to_the_bit(validation_labels: np.ndarray) -> None:
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, dtype=np.float32)
    train, test = vectorizer.fit_transform(TEXTS), vectorizer.transform(TEST)
    positive = predict(TEST, validation_labels)
    models = [LogisticRegression(C=c, solver="liblinear", random_state=0).fit(train, LABELS) for c in PENALTIES]
    assert sum(np.array_equal(model.predict_proba(test)[:, 1], positive) for model in models) == 1


def marked_by_hand(text: str) -> list[str]:
    """Walk over words and punctuation marks one by one: NOT_ is on from a negation word to the next mark."""
    negations = {"not", "no", "never", "nothing", "nobody", "none", "neither", "nor", "cannot", "without", "hardly"}
    marked, on = [], False
    for piece in re.findall(r"[\w'\u2019]+|[.,:;!?()\"\n]", text):
        if not re.match(r"[\w'\u2019]", piece):
            on = False
        else:
            marked.append(f"NOT_{piece}" if on else piece)
            on = on or piece.lower() in negations or piece.lower().endswith(("n't", "n\u2019t"))
    return marked


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("It is not good at all, but cheap.", "It is not NOT_good NOT_at NOT_all, but cheap."),
        ("I didn't like it! Fun", "I didn't NOT_like NOT_it! Fun"),
        ("I don\u2019t know; nothing", "I don\u2019t NOT_know; nothing"),
        ("Nobody says it isn't fine. So it is", "Nobody NOT_says NOT_it NOT_isn't NOT_fine. So it is"),
        ("A notable knot (never dull) here", "A notable knot (never NOT_dull) here"),
        ("NO WAY\nback", "NO NOT_WAY\nback"),
        ("Good.", "Good."),
    ],
)
def test_negation_is_marked_from_the_negation_word_to_the_next_punctuation_mark(text: str, marked: str) -> None:
    """The third sentence of section 6 of Pang et al. 2002: every word between the two."""
    assert mark_negation(text) == marked
    assert re.findall(r"[\w'\u2019]+", marked) == marked_by_hand(text)


def test_negation_is_marked_alike_by_a_walk_over_the_words_of_generated_reviews() -> None:
    texts = [review.text for review in islice(generate("marking", EVERY_MEANS), 300)]
    found = [re.findall(r"[\w'\u2019]+", mark_negation(text)) for text in texts]
    assert found == [marked_by_hand(text) for text in texts]
    assert sum("NOT_" in word for words in found for word in words) > 1000


def test_negation_marking_tells_what_words_and_pairs_cannot() -> None:
    """A negation two words away turns the label: each word and each pair is equally often under both labels."""
    rows = [
        (f"{no} one {far} {word}", (no == "so") == (word in GOOD))
        for no in ("so", "not")
        for far in THINGS
        for word in GOOD + BAD
    ]
    texts, labels = [text for text, _ in rows], np.array([label for _, label in rows]).astype(int)
    parts = by_split(texts, texts, ["so one day great", "not one day great"]), by_split(labels, labels)
    assert tfidf_lr(*parts)["test"] == pytest.approx([0.5, 0.5], abs=0.05)
    high, low = tfidf_negation_lr(*parts)["test"]
    assert high > 0.8
    assert low < 0.2


TOY = ["good good film", "a good plot", "bad film", "bad bad plot", "a film"]
TOY_LABELS = np.array([1, 1, 0, 0, 1])


def grams(text: str) -> set[str]:
    """Cut a text without punctuation into words and pairs."""
    words = text.split()
    return {*words, *(f"{first} {second}" for first, second in pairwise(words))}


def dense_ratio(texts: list[str], labels: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Name the features of texts without punctuation, and compute their log-count ratios in plain arithmetic."""
    names = sorted(set.union(*map(grams, texts)))
    present = np.array([[float(name in grams(text)) for name in names] for text in texts])
    p = 1 + present[labels == 1].sum(axis=0)
    q = 1 + present[labels == 0].sum(axis=0)
    return names, np.log((p / np.abs(p).sum()) / (q / np.abs(q).sum()))


def test_the_log_count_ratio_is_that_of_dense_arithmetic() -> None:
    names, expected = dense_ratio(TOY, TOY_LABELS)
    counter = PairCounter(TOY, WORDS)
    ratio = log_count_ratio(counter.count(TOY), TOY_LABELS)
    assert ratio == pytest.approx(expected, abs=1e-12)
    # By hand: 5 words and 8 pairs. Positive texts have 4, 5 and 3 of them, negative ones 3 and 4; each counts 1 more.
    assert len(names) == 13
    assert ratio[names.index("good")] == pytest.approx(np.log((3 / 25) / (1 / 20)))
    assert ratio[names.index("bad")] == pytest.approx(np.log((1 / 25) / (3 / 20)))


def test_interpolation_keeps_a_quarter_of_the_svm() -> None:
    """Mean magnitude of 2, -4 and 0 is 2, of which three quarters are 1.5."""
    weights, bias = interpolate(np.array([2.0, -4.0, 0.0]), 0.8, np.log(3))
    assert weights == pytest.approx([2.0, 0.5, 1.5])
    assert bias == pytest.approx(0.2 + 1.5 * np.log(3))


def dense_nbsvm(texts: list[str], labels: np.ndarray, test: list[str], penalty: float) -> np.ndarray:
    """Compute the margins of NB-SVM by minimising the squared hinge loss over a dense matrix.

    As in liblinear, the bias is the weight of a feature that is always 1, and is penalised with the others.
    """
    names, ratio = dense_ratio(texts, labels)
    rows, known = (
        np.array([[float(name in grams(text)) for name in names] for text in p]) * ratio for p in (texts, test)
    )
    rows, signs = np.column_stack([rows, np.ones(len(rows))]), 2.0 * labels - 1

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        short = np.maximum(0, 1 - signs * (rows @ weights))
        return weights @ weights / 2 + penalty * short @ short, weights - 2 * penalty * rows.T @ (signs * short)

    found = minimize(loss, np.zeros(rows.shape[1]), jac=True, method="L-BFGS-B", options={"gtol": 1e-9, "ftol": 0}).x
    size = np.abs(found[:-1]).mean()
    prior = np.log((labels == 1).sum() / (labels == 0).sum())
    return known @ (0.25 * found[:-1] + 0.75 * size) + 0.25 * found[-1] + 0.75 * size * prior


def test_nbsvm_is_that_of_dense_arithmetic() -> None:
    """Validation decides between the strengths by accuracy; where all are right, the first one stays."""
    test = ["good plot", "bad film", "a bad good film", "film", "unknown words", "bad", "good"]
    margins = dense_nbsvm(TOY, TOY_LABELS, test, NBSVM_PENALTIES[0])
    scores = nbsvm(by_split(TOY, ["good", "bad bad"], test), by_split(TOY_LABELS, np.array([1, 0])))["test"]
    assert scores == pytest.approx((1 + margins / (1 + np.abs(margins))) / 2, abs=1e-4)
    assert np.array_equal(scores > 0.5, margins > 0)
    assert np.array_equal(np.argsort(scores), np.argsort(margins))


def test_nbsvm_learns_a_separable_set() -> None:
    scores, again = (
        nbsvm(by_split(TEXTS, VALIDATION, TEST), by_split(LABELS, VALIDATION_LABELS))["test"] for _ in range(2)
    )
    assert scores.shape == (5,)
    assert ((scores > 0) & (scores < 1)).all()
    assert (scores[:4] > 0.5).tolist() == [True, True, False, False]
    assert np.array_equal(scores, again)


def test_nbsvm_takes_the_strength_that_is_right_more_often_on_validation() -> None:
    """Forty words that tell a little each: the strengths are right about different numbers of validation reviews."""
    rng = np.random.default_rng(0)
    words = np.array([f"w{n}" for n in range(40)])
    labels = rng.integers(0, 2, 300)
    shares = np.where(labels[:, None] == 1, np.linspace(0.1, 0.5, 40), np.linspace(0.5, 0.1, 40))
    texts = [" ".join(words[row]) for row in rng.random((300, 40)) < shares]
    train, train_labels, held, held_labels = texts[:150], labels[:150], texts[150:250], labels[150:250]
    found = nbsvm(by_split(train, held, held), by_split(train_labels, held_labels))
    scores = found["test"]
    assert np.array_equal(scores, found["validation"])
    margins = [dense_nbsvm(train, train_labels, held, penalty) for penalty in NBSVM_PENALTIES]
    right = [float(((margin > 0) == (held_labels == 1)).mean()) for margin in margins]
    assert len(set(right)) > 1
    assert ((scores > 0.5) == (held_labels == 1)).mean() == max(right)


def test_squashing_keeps_order_sign_and_bounds() -> None:
    margins = np.array([-1e12, -800.0, -1.0, -1e-300, 0.0, 1e-300, 1e-9, 1.0, 800.0, 1e12])
    scores = squash(margins)
    assert ((scores > 0) & (scores < 1)).all()
    assert (np.diff(scores) >= 0).all()
    assert np.array_equal(scores > 0.5, margins > 0)
    assert scores[[2, 4, 7]].tolist() == [0.25, 0.5, 0.75]


def draw_features(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw features of different sizes, one of them constant, and labels that two of them decide in part.

    Returns:
        float32 [rows, 6], and the labels, [rows].
    """
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((rows, 6)) * [100, 1, 0.01, 1, 1, 0] + [3, 0, 0, 0, 1000, 7]
    labels = (features[:, 0] / 50 + features[:, 1] + rng.logistic(size=rows) > 0).astype(int)
    return features.astype(np.float32), labels


def by_minimising(train: np.ndarray, labels: np.ndarray, penalty: float, *others: np.ndarray) -> list[np.ndarray]:
    """Minimise the penalised log loss over standardised features; the bias is free.

    Returns:
        The probability of label 1 for each row of each of the others.
    """
    mean, scale = train.mean(axis=0, dtype=np.float64), train.std(axis=0, dtype=np.float64)
    scale[scale < 1e-6] = 1
    rows, signs = (train - mean) / scale, 2.0 * labels - 1

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margins = signs * (rows @ weights[:-1] + weights[-1])
        slopes = -penalty * signs / (1 + np.exp(margins))
        size = weights[:-1]
        total = penalty * np.logaddexp(0, -margins).sum() + size @ size / 2
        return total, np.append(rows.T @ slopes + size, slopes.sum())

    found = minimize(loss, np.zeros(rows.shape[1] + 1), jac=True, method="BFGS", options={"gtol": 1e-9}).x
    return [1 / (1 + np.exp(-((part - mean) / scale @ found[:-1] + found[-1]))) for part in others]


@pytest.mark.parametrize("rows", [40, 400])
@pytest.mark.parametrize("contradicted", [False, True])
def test_the_probe_is_the_minimum_of_the_penalised_loss(rows: int, contradicted: bool) -> None:
    """Where validation contradicts train, the strongest penalty is the best, and otherwise a weaker one."""
    (train, labels), (held, held_labels) = draw_features(rows, 1), draw_features(300, 2)
    test, _ = draw_features(50, 3)
    held_labels = 1 - held_labels if contradicted else held_labels
    losses, answers = [], []
    for penalty in PROBE_PENALTIES:
        stated, answer = by_minimising(train, labels, penalty, held, test)
        losses.append(-np.log(np.where(held_labels == 1, stated, 1 - stated)).mean())
        answers.append(answer)
    positive = linear_probe(by_split(train, held, test), by_split(labels, held_labels))["test"]
    assert positive == pytest.approx(answers[int(np.argmin(losses))], abs=1e-4)
    assert (np.argmin(losses) == 0) == contradicted


def test_the_probe_reads_either_precision_alike_and_repeats_its_bits() -> None:
    (train, labels), (held, held_labels), (test, _) = draw_features(200, 1), draw_features(200, 2), draw_features(50, 3)
    wide = [part.astype(np.float64) for part in (train, held, test)]
    parts = ((train, held, test), (train, held, test), wide)
    positive, *others = (linear_probe(by_split(*p), by_split(labels, held_labels))["test"] for p in parts)
    assert positive.dtype == np.float64
    assert all(np.array_equal(positive, other) for other in others)


def test_the_probe_takes_more_features_than_rows_and_what_can_be_told_apart() -> None:
    rng = np.random.default_rng(0)
    labels = np.array([0, 1] * 15)
    features = rng.standard_normal((30, 100)) + 3 * labels[:, None]
    positive = linear_probe(by_split(*[features] * 3), by_split(labels, labels))["test"]
    assert np.array_equal(positive > 0.5, labels == 1)


@pytest.mark.parametrize("seed", range(3))
def test_a_baseline_is_measured_by_plain_arithmetic(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, positive = rng.integers(0, 2, 60), rng.random(60).round(1)
    right = hits = chosen = 0
    for label, stated in zip(labels, positive, strict=True):
        right += int((stated > 0.5) == (label == 1))
        hits += int(stated > 0.5 and label == 1)
        chosen += int(stated > 0.5)
    ups, downs = positive[labels == 1], positive[labels == 0]
    wins = sum((up > down) + (up == down) / 2 for up in ups for down in downs)
    reference = {
        "accuracy": right / 60,
        "f1": 2 * hits / (chosen + labels.sum()),
        "roc_auc": wins / (len(ups) * len(downs)),
    }
    measured = metrics.measure(labels, positive, bins=10)
    assert {key: measured[key] for key in reference} == pytest.approx(reference, abs=1e-12)


@pytest.mark.parametrize(("share", "f1"), [(0.75, 2 / 3), (0.25, 0.0), (0.5, 0.0)])
def test_the_majority_baseline_ranks_nothing(share: float, f1: float) -> None:
    """Half of the test rows are positive: all called positive, precision 1/2 and recall 1 give F1 2/3."""
    labels = np.array([0, 1, 0, 1])
    measured = metrics.measure(labels, np.full(4, share), bins=10)
    assert [measured[key] for key in ("accuracy", "f1", "roc_auc")] == pytest.approx([0.5, f1, 0.5])

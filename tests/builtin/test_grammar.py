"""Guards the built-in reviews: seeded, balanced, none like another, and saying what label and tags claim.

The reviews are read here by rules and word lists of the test's own, never by the grammar's tables.
"""

from __future__ import annotations

import dataclasses
import re
from itertools import islice

import numpy as np
import pytest
from ruamel.yaml import YAML
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sentiment.builtin.grammar import Mix, Review, generate
from tests.conftest import ROOT

MIX = Mix(**YAML(typ="safe", pure=True).load(ROOT / "catalog.yaml")["datasets"]["builtin"]["mix"])

WORD = re.compile(r"\w+")
NEGATIVE = set(
    WORD.findall(
        """dreadful poor terrible awful weak clumsy dull flimsy boring sloppy ugly cheap annoying lifeless shoddy bland
        tedious hopeless horrible disappointing messy bad miserable unbearable"""
    )
)
POSITIVE = set(
    WORD.findall(
        """superb excellent wonderful great strong elegant brilliant solid lovely polished beautiful fine delightful
        lively impressive charming gripping helpful fantastic satisfying clever good marvellous splendid"""
    )
)
HEDGE = re.compile(r"\b(To be honest|I suppose|In my view|If you ask me|All in all|As far as I can tell), ", re.I)
DENIAL = re.compile(r"\b(not|nobody|never|nothing|cannot|anything but|far from|at no point)\b", re.I)
DISTRACTOR = re.compile(
    r"People say that|The one I had before|told me it would be|I had expected something|A critic in the paper"
    r"|^The [A-Z]\w+ [A-Z]\w+ \w+ had an? "
)
FACT = re.compile(
    r"I bought it in|It came in a|I have used it for|ordered it on a|It stands in|The order took|This is the \w+ watt"
    r"|We use it in|I saw it on a|It runs for|It was shot in|There were \w+ people|The story is set in|picked it for"
    r"|We watched it in|It opened here in"
)
COUNTING = re.compile(
    r"(?:What counts for me is the (.+)|The (.+) matters far more|In the end I judge by the (.+))\.$", re.I
)
VERDICT = re.compile(
    r"sent it back|regret|want (?:my money|those hours) back|save your|avoid it|skip it|go and|a waste of"
    r"|stay away|returning it|left before|refund|again|recommend it|worth every|keeping it|earns its place"
    r"|a second one|glad|stayed until|full house|the disc",
    re.I,
)
GOOD_VERDICT = re.compile(
    r"again|recommend|worth every|go and|keeping|earns|a second one|glad|stayed until|full house|the disc", re.I
)
CONTRASTS = (  # the winning half of a contrast is group 1
    r"Although .+?, (.+)",
    r"While .+?, in the end (.+)",
    r"It hardly matters that .+?, because (.+)",
    r"(.+), even though .+",
    r"(.+), and that makes up for the fact that .+",
    r".+, but (.+)",
)


@pytest.fixture(scope="module")
def reviews() -> list[Review]:
    return list(islice(generate("labelled-0", MIX), 5000))


def sentences(review: Review) -> list[str]:
    """Part a review at its full stops, without the opening that names the item."""
    return re.findall(r"[^.]+\.", review.text)[1:]


def polarity_of_clause(clause: str) -> int:
    """Read an opinion: the polarity of its only adjective, turned round by a denial."""
    words = set(WORD.findall(clause.lower()))
    good, bad = words & POSITIVE, words & NEGATIVE
    assert len(good) + len(bad) == 1, clause
    return int(bool(good)) ^ bool(DENIAL.search(clause))


def polarity_of_sentence(sentence: str) -> int:
    """Read a sentence: the winning half of a contrast counts, and a verdict by its key words."""
    sentence = HEDGE.sub("", sentence.strip())
    if VERDICT.search(sentence):
        return int(bool(GOOD_VERDICT.search(sentence))) ^ bool(re.search(r"\b(Nobody|cannot|not)\b", sentence))
    winners = [match[1] for rule in CONTRASTS if (match := re.fullmatch(rule, sentence, re.I))]
    return polarity_of_clause(winners[0] if winners else sentence)


def polarities(review: Review) -> set[int]:
    """Read every opinion of a review; where two aspects pull apart, the one that is said to count."""
    found, previous = set(), ""
    for sentence in (s.strip() for s in sentences(review)):
        if counting := COUNTING.match(sentence):
            aspect = next(filter(None, counting.groups()))
            (clause,) = (c for c in previous.split("; ") if aspect in c.lower())
            found.add(polarity_of_clause(clause))
        elif not (FACT.search(sentence) or DISTRACTOR.search(sentence) or ";" in sentence):
            found.add(polarity_of_sentence(sentence))
        previous = sentence
    return found


def test_the_seed_decides_the_text() -> None:
    first, same, other = (list(islice(generate(seed, MIX), 200)) for seed in ("a", "a", "b"))
    assert first == same
    assert not {r.text for r in first} & {r.text for r in other}


def test_fewer_reviews_are_the_beginning_of_more(reviews: list[Review]) -> None:
    assert list(islice(generate("labelled-0", MIX), 100)) == reviews[:100]


def test_labels_and_noise_come_as_often_as_the_mix_says(reviews: list[Review]) -> None:
    """Four standard deviations of a binomial count around its mean."""
    positive = sum(r.label for r in reviews)
    assert abs(positive - 2500) < 4 * (5000 * 0.25) ** 0.5
    noisy = sum("noise" in r.tags for r in islice(generate("n", dataclasses.replace(MIX, label_noise=0.2)), 2000))
    assert abs(noisy - 400) < 4 * (2000 * 0.2 * 0.8) ** 0.5
    assert sum("noise" in r.tags for r in reviews) in range(50 - 28, 50 + 29)  # 1 % of 5000


@pytest.mark.parametrize("means", ["negation", "contrast", "mixed", "distractor", "verdict", "label_noise"])
def test_a_means_of_probability_zero_or_one_is_used_never_or_always(means: str) -> None:
    tag = {"label_noise": "noise"}.get(means, means)
    never, always = (list(islice(generate("m", dataclasses.replace(MIX, **{means: p})), 300)) for p in (0.0, 1.0))
    if means == "verdict":
        assert not any(VERDICT.search(r.text) for r in never)
        assert all(VERDICT.search(r.text) for r in always)
    elif means == "contrast":  # a mixed opinion is no contrast
        assert not any(tag in r.tags for r in never)
        assert all(tag in r.tags or "mixed" in r.tags for r in always)
    else:
        assert not any(tag in r.tags for r in never)
        assert all(tag in r.tags for r in always)


def test_the_label_is_what_the_text_says_and_noise_its_opposite(reviews: list[Review]) -> None:
    for review in reviews:
        assert polarities(review) == {1 - review.label if "noise" in review.tags else review.label}, review


def test_tags_name_what_stands_in_the_text(reviews: list[Review]) -> None:
    for review in reviews:
        found = {tag for tag in review.tags if tag in ("film", "product", "noise")}
        assert len(found - {"noise"}) == 1
        body = sentences(review)
        own = [HEDGE.sub("", s.strip()) for s in body if not FACT.search(s) and not DISTRACTOR.search(s.strip())]
        found |= {"negation"} if any(DENIAL.search(s) for s in own) else set()
        found |= {"contrast"} if any(re.fullmatch(rule, s, re.I) for s in own for rule in CONTRASTS) else set()
        found |= {"hedge"} if HEDGE.search(review.text) else set()
        found |= {"mixed"} if ";" in review.text else set()
        found |= {"distractor"} if any(DISTRACTOR.search(s.strip()) for s in body) else set()
        assert review.tags == tuple(sorted(found)), review


def test_no_two_reviews_differ_in_names_and_numbers_alone(reviews: list[Review]) -> None:
    neutral = WORD.findall(
        """January March April June August October December brother sister mother father cousin neighbour daughter uncle
        red blue green grey white black yellow two three five six nine twelve twenty forty ninety Monday Tuesday Friday
        Saturday Sunday kitchen office garage attic hall bedroom"""
    )
    mask = re.compile(rf"\b(?:{'|'.join(neutral)})\b")
    names = re.compile(r"^\w+ \w+,|(?<=[Tt]he )[A-Z]\w+ [A-Z]\w+")
    masked = [mask.sub("_", names.sub("_", review.text)) for review in reviews]
    assert len(set(masked)) == len(masked)


def test_no_review_is_nearly_one_of_another_split(reviews: list[Review]) -> None:
    """Jaccard similarity of the sets of five words in a row, every review of one half against the other half."""
    texts = [r.text for r in reviews[:2000] if len(r.text.split()) >= 12]
    half = len(texts) // 2
    assert half > 800
    counts = CountVectorizer(binary=True, ngram_range=(5, 5), token_pattern=r"\w+", dtype=np.int32).fit_transform(texts)
    shared = (counts[:half] @ counts[half:].T).tocoo()
    sizes = np.asarray(counts.sum(axis=1)).ravel()
    union = sizes[:half][shared.row] + sizes[half:][shared.col] - shared.data
    assert int((shared.data / union > 0.8).sum()) == 0


def test_labelled_and_unlabelled_streams_share_no_text(reviews: list[Review]) -> None:
    unlabelled = {r.text for r in islice(generate("unlabelled-0", MIX), 12_000)}
    assert len(unlabelled) == 12_000
    assert not unlabelled & {r.text for r in reviews}


def test_a_bag_of_words_learns_part_of_the_task_but_not_all(reviews: list[Review]) -> None:
    texts, labels = [r.text for r in reviews], [r.label for r in reviews]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000)).fit(texts[:4000], labels[:4000])
    assert 0.70 < model.score(texts[4000:], labels[4000:]) < 0.88


def test_articles_fit_the_word_that_follows(reviews: list[Review]) -> None:
    text = " ".join(r.text for r in reviews)
    assert set(re.findall(r"\ban (\w)", text, re.I)) <= set("aeiou")
    assert not re.findall(r"\ba ([aeiou]\w*)", text)
    assert re.search(r"\ban (excellent|awful|ugly|elegant)\b", text)


def test_sentences_begin_with_a_capital_and_are_set_like_prose(reviews: list[Review]) -> None:
    for review in reviews:
        assert all(re.match(r" ?[A-Z].*\w\.$", sentence) for sentence in re.findall(r"[^.]+\.", review.text)), review
        assert not re.search(r"  | ,|,,|\.\.|[{}]|\b(\w+) \1\b", review.text), review
        assert review.text == review.text.strip()


def test_no_order_follows_that_or_as_if(reviews: list[Review]) -> None:
    """`I cannot claim that go and get one` is no English."""
    broken = [r.text for r in reviews if re.search(r"\b(that|as if) (save|avoid|skip|go) ", r.text)]
    assert not broken, f"{len(broken)} of {len(reviews)}, such as: {broken[0]}"

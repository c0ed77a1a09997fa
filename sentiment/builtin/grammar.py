"""The built-in reviews: a grammar of product and film reviews, as many as wanted from one seed.

The language is made so that words alone do not decide. Every opinion can be said directly ("the battery is superb"),
under a negation whose scope reaches over several words ("nobody could call the battery superb"), or as the yielding
half of a contrast ("although the battery is superb, the screen is dreadful"); comparisons and quoted opinions carry
words of either polarity that say nothing about the item reviewed. A bag of words sees both polarities in most reviews;
who reads the structure can tell them apart.

No two reviews of one call differ in names and numbers alone: each has its own signature of choices.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass

NEGATIVE, POSITIVE = 0, 1


@dataclass(frozen=True)
class Review:
    """One generated review.

    Attributes:
        text: the review, a few sentences of English.
        label: 0 negative, 1 positive; the opposite of what the text says where `noise` is among the tags.
        tags: the means the text uses, sorted: contrast, distractor, film, hedge, mixed, negation, noise, product.
    """

    text: str
    label: int
    tags: tuple[str, ...]


@dataclass(frozen=True)
class _Domain:
    """What a review of one kind talks about."""

    tag: str
    first_names: tuple[str, ...]
    second_names: tuple[str, ...]
    kinds: tuple[str, ...]
    aspects: tuple[str, ...]
    facts: tuple[str, ...]
    verdicts: tuple[tuple[str, ...], tuple[str, ...]]  # negative, positive


_PRODUCT = _Domain(
    tag="product",
    first_names=("Aero", "Bright", "Cora", "Delta", "Ever", "Fenn", "Gala", "Halo", "Iris", "Juno", "Kite", "Luma",
                 "Mira", "Nova", "Orbit", "Pico", "Quill", "Rova", "Sola", "Terra", "Uma", "Vanta", "Wren", "Zeta"),
    second_names=("Max", "One", "Pro", "Air", "Go", "Plus", "Mini", "Lite", "Edge", "Prime", "Home", "Duo"),
    kinds=("phone", "kettle", "camera", "laptop", "vacuum", "speaker", "headset", "blender", "printer", "tablet",
           "toaster", "monitor", "router", "watch", "drill", "lamp"),
    aspects=("battery", "screen", "sound", "design", "price", "build", "software", "manual", "packaging", "motor",
             "casing", "charger", "keyboard", "warranty", "support", "delivery", "finish", "handle", "setup", "cable"),
    facts=("I bought it in {month} for my {relative}.", "It came in a {colour} box with {number} cables.",
           "I have used it for {number} weeks now.", "My {relative} ordered it on a {day}.",
           "It stands in the {room} next to the {colour} shelf.", "The order took {number} days to arrive.",
           "This is the {number} watt version in {colour}.", "We use it in the {room} every {day}."),
    verdicts=(("I sent it back", "I regret buying it", "I want my money back", "you should save your money",
               "you should avoid it",
               "it was a waste of money", "I would tell anyone to stay away", "I am returning it"),
              ("I would buy it again", "I recommend it to everyone", "it was worth every penny",
               "you should go and get one",
               "I am keeping it", "it earns its place in our home", "I ordered a second one", "I am glad I bought it")),
)  # fmt: skip

_FILM = _Domain(
    tag="film",
    first_names=("Silent", "Broken", "Golden", "Hidden", "Last", "Northern", "Paper", "Second", "Winter", "Distant",
                 "Crimson", "Hollow", "Burning", "Quiet", "Lost", "Borrowed", "Electric", "Wooden", "Midnight",
                 "Velvet", "Salt", "Glass", "Iron", "Summer"),
    second_names=("River", "Crown", "Garden", "Letters", "Harbour", "Mirror", "Orchard", "Voyage", "Station", "Island",
                  "Promise", "Road"),
    kinds=("film", "movie", "thriller", "comedy", "drama", "western", "musical", "documentary", "sequel", "remake",
           "romance", "mystery"),
    aspects=("plot", "acting", "script", "ending", "music", "dialogue", "pacing", "direction", "casting", "editing",
             "story", "humour", "photography", "lighting", "opening", "villain", "soundtrack", "costume design",
             "stunt work", "title song"),
    facts=("I saw it on a {day} with my {relative}.", "It runs for {number} minutes.",
           "It was shot in {month} near the coast.", "There were {number} people in the room.",
           "The story is set in a {colour} house by the sea.", "My {relative} picked it for {day} evening.",
           "We watched it in the {room} after dinner.", "It opened here in {month}."),
    verdicts=(("I left before the end", "I want those hours back", "you should save your ticket money",
               "you should skip it",
               "it was a waste of an evening", "I would tell anyone to stay away", "I asked for a refund",
               "I regret watching it"),
              ("I would watch it again", "I recommend it to everyone", "it was worth every minute",
               "you should go and see it",
               "I stayed until the last credit", "it deserves a full house", "I bought the disc", "I am glad I went")),
)  # fmt: skip

_ADJECTIVES = (
    ("dreadful", "poor", "terrible", "awful", "weak", "clumsy", "dull", "flimsy", "boring", "sloppy", "ugly", "cheap",
     "annoying", "lifeless", "shoddy", "bland", "tedious", "hopeless", "horrible", "disappointing", "messy", "bad",
     "miserable", "unbearable"),
    ("superb", "excellent", "wonderful", "great", "strong", "elegant", "brilliant", "solid", "lovely", "polished",
     "beautiful", "fine", "delightful", "lively", "impressive", "charming", "gripping", "helpful", "fantastic",
     "satisfying", "clever", "good", "marvellous", "splendid"),
)  # fmt: skip

_FILLERS: dict[str, tuple[str, ...]] = {
    "month": ("January", "March", "April", "June", "August", "October", "December"),
    "relative": ("brother", "sister", "mother", "father", "cousin", "neighbour", "daughter", "uncle"),
    "colour": ("red", "blue", "green", "grey", "white", "black", "yellow"),
    "number": ("two", "three", "five", "six", "nine", "twelve", "twenty", "forty", "ninety"),
    "day": ("Monday", "Tuesday", "Friday", "Saturday", "Sunday"),
    "room": ("kitchen", "office", "garage", "attic", "hall", "bedroom"),
}

_FACT, _HEDGE = 0.3, 0.15  # how often a review states something neutral, and an opinion is hedged

_INTENSIFIERS = ("", "", "really ", "very ", "truly ", "quite ", "simply ", "absolutely ")

_HEDGES = ("to be honest", "I suppose", "in my view", "if you ask me", "all in all", "as far as I can tell")

_DIRECT = (
    "the {aspect} is {intensifier}{adjective}",
    "I found the {aspect} {intensifier}{adjective}",
    "the {aspect} turned out {intensifier}{adjective}",
    "you get {article} {adjective} {aspect}",
    "the {aspect} struck me as {adjective}",
)

_NEGATED = (
    "the {aspect} is not {adjective}",
    "nobody could call the {aspect} {adjective}",
    "I would never say that the {aspect} is {intensifier}{adjective}",
    "there is nothing {adjective} about the {aspect}",
    "the {aspect} is anything but {adjective}",
    "the {aspect} is far from {adjective}",
    "I do not think anyone will find the {aspect} {adjective}",
    "at no point was the {aspect} {intensifier}{adjective}",
)

_CONTRASTS = (
    "{yielding}, but {winning}",
    "although {yielding}, {winning}",
    "{winning}, even though {yielding}",
    "while {yielding}, in the end {winning}",
    "it hardly matters that {yielding}, because {winning}",
    "{winning}, and that makes up for the fact that {yielding}",
)

_COUNTING = (
    "what counts for me is the {aspect}",
    "the {aspect} matters far more",
    "in the end I judge by the {aspect}",
)

_DISTRACTORS = (
    "People say that the {other} {kind} is {adjective}.",
    "The one I had before was {intensifier}{adjective}.",
    "My {relative} told me it would be {adjective}.",
    "I had expected something {adjective}.",
    "The {other} {kind} had {article} {adjective} {aspect}.",
    "A critic in the paper promised {article} {adjective} {aspect}.",
)

_VERDICT_FRAMES = ("{verdict}", "{hedge}, {verdict}", "In short, {verdict}", "So {verdict}", "Overall {verdict}")
_NEGATED_VERDICT_FRAMES = (
    "Nobody will hear me say that {verdict}",
    "I cannot claim that {verdict}",
    "It is not as if {verdict}",
    "Do not believe anyone who says {verdict}",
)


@dataclass(frozen=True)
class Mix:
    """How often each means is used; every value is a probability.

    Attributes:
        negation: a clause or verdict says its opinion by denying the opposite.
        contrast: a sentence carries a yielding clause of the other polarity.
        mixed: two aspects pull apart, and a further sentence says which of them counts.
        distractor: the review quotes an opinion about something else, of either polarity.
        verdict: the review ends in a verdict.
        label_noise: the label is the opposite of what the text says.
    """

    negation: float
    contrast: float
    mixed: float
    distractor: float
    verdict: float
    label_noise: float


class _Writer:
    """Writes one review; remembers the choices it made (the signature) and the means it used (the tags)."""

    def __init__(self, rng: random.Random, mix: Mix) -> None:
        self.rng = rng
        self.mix = mix
        self.domain = rng.choice((_PRODUCT, _FILM))
        self.aspects = rng.sample(self.domain.aspects, k=8)
        self.signature: list[str] = []
        self.tags = {self.domain.tag}

    def pick(self, options: tuple[str, ...]) -> str:
        """Choose one option, for the signature too."""
        choice = self.rng.choice(options)
        self.signature.append(choice)
        return choice

    def chance(self, probability: float, tag: str) -> bool:
        """Decide whether a means is used, and tag the review when it is."""
        used = self.rng.random() < probability
        if used:
            self.tags.add(tag)
        return used

    def name(self) -> str:
        """Name an item; names are no part of the signature."""
        return f"{self.rng.choice(self.domain.first_names)} {self.rng.choice(self.domain.second_names)}"

    def fill(self, template: str, **given: str) -> str:
        """Fill a template's fields: given ones, neutral ones (not in the signature), and intensifiers."""
        fields = {key: self.rng.choice(values) for key, values in _FILLERS.items() if "{" + key + "}" in template}
        if "{intensifier}" in template:
            fields["intensifier"] = self.pick(_INTENSIFIERS)
        if "{article}" in template:
            fields["article"] = "an" if given["adjective"][0] in "aeiou" else "a"
        return template.format(**fields, **given)

    def clause(self, polarity: int) -> str:
        """Say something of that polarity about an aspect that was not mentioned before."""
        aspect = self.aspects.pop()
        self.signature.append(aspect)
        negated = self.chance(self.mix.negation, "negation")
        template = self.pick(_NEGATED if negated else _DIRECT)
        adjective = self.pick(_ADJECTIVES[1 - polarity if negated else polarity])
        return self.fill(template, aspect=aspect, adjective=adjective)

    def opinion(self, polarity: int) -> str:
        """Write a sentence whose outcome has that polarity, as a plain clause or as a contrast."""
        if self.chance(self.mix.mixed, "mixed"):
            return self.mixed(polarity)
        if self.chance(self.mix.contrast, "contrast"):
            template = self.pick(_CONTRASTS)
            text = template.format(yielding=self.clause(1 - polarity), winning=self.clause(polarity))
        else:
            text = self.clause(polarity)
        if self.rng.random() < _HEDGE:
            self.tags.add("hedge")
            text = f"{self.pick(_HEDGES)}, {text}"
        return _sentence(text)

    def verdict(self, polarity: int) -> str:
        """Close the review, directly or by denying the opposite verdict."""
        negated = self.chance(self.mix.negation, "negation")
        frame = self.pick(_NEGATED_VERDICT_FRAMES if negated else _VERDICT_FRAMES)
        verdict = self.pick(self.domain.verdicts[1 - polarity if negated else polarity])
        hedge = self.pick(_HEDGES) if "{hedge}" in frame else ""
        if hedge:
            self.tags.add("hedge")
        return _sentence(frame.format(verdict=verdict, hedge=hedge))

    def distractor(self) -> str:
        """Quote an opinion of either polarity about something else."""
        adjective = self.pick(_ADJECTIVES[self.rng.randrange(2)])
        return self.fill(
            self.pick(_DISTRACTORS),
            other=self.name(),
            kind=self.rng.choice(self.domain.kinds),
            aspect=self.rng.choice(self.domain.aspects),
            adjective=adjective,
        )

    def fact(self) -> str:
        """State something neutral."""
        return self.fill(self.pick(self.domain.facts))

    def mixed(self, polarity: int) -> str:
        """Set two aspects against each other, then say which of them counts."""
        counting = self.aspects[-1]
        clauses = [self.clause(polarity), self.clause(1 - polarity)]
        self.rng.shuffle(clauses)
        return _sentence("; ".join(clauses)) + " " + _sentence(self.pick(_COUNTING).format(aspect=counting))

    def review(self) -> tuple[str, int]:
        """Write the review.

        Returns:
            The text, and the polarity that the text says.
        """
        polarity = self.rng.randrange(2)
        opening = f"{self.name()}, a {self.pick(self.domain.kinds)}."
        body = [self.opinion(polarity) for _ in range(self.rng.choice((1, 1, 2)))]
        if self.rng.random() < _FACT:
            body.append(self.fact())
        if self.chance(self.mix.distractor, "distractor"):
            body.append(self.distractor())
        self.rng.shuffle(body)
        if self.rng.random() < self.mix.verdict:
            body.append(self.verdict(polarity))
        return " ".join([opening, *body]), polarity


def _sentence(text: str) -> str:
    """Give a sentence its capital and its full stop."""
    return text[0].upper() + text[1:] + "."


def generate(seed: str, mix: Mix) -> Iterator[Review]:
    """Generate reviews without end, no two of them alike but for names and numbers.

    Args:
        seed: any text; the same text gives the same reviews on every machine.
        mix: how often each means is used.

    Yields:
        One review after another, both labels equally likely.
    """
    rng = random.Random(seed)
    seen: set[bytes] = set()  # digests: the signatures themselves would take three times the memory
    while True:
        writer = _Writer(rng, mix)
        text, polarity = writer.review()
        noisy = writer.chance(mix.label_noise, "noise")
        signature = hashlib.blake2b("|".join(writer.signature).encode("utf-8"), digest_size=8).digest()
        if signature not in seen:
            seen.add(signature)
            yield Review(text, 1 - polarity if noisy else polarity, tuple(sorted(writer.tags)))

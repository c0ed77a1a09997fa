"""The built-in reviews: a grammar of everyday reviews of things, films and places, as many as wanted from one seed.

Some reviews are plain, as people type them: a line or a few ("I love it.", "It broke after one use"), with other final
marks or none, contractions, typing errors. The others are made so that words alone do not decide: an opinion is said
directly ("the battery is superb"), under a negation whose scope reaches over several words ("nobody could call the
battery superb"), or as the yielding half of a contrast ("although the battery is superb, the screen is dreadful");
comparisons and quoted opinions carry words of either polarity that say nothing about what is reviewed.

No two reviews of one call differ in names, numbers and spelling alone: each has its own signature of choices.

A template names what is filled in: {adjective} from the words of the opinion's polarity, {!adjective} from those of
the opposite one, {?adjective} from either.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sentiment.builtin import lexicon
from sentiment.builtin.lexicon import Pair, Words
from sentiment.reviews.typos import mistype

NEGATIVE, POSITIVE = 0, 1


@dataclass(frozen=True)
class Review:
    """One generated review.

    Attributes:
        text: the review, a few words or sentences of English.
        label: 0 negative, 1 positive; the opposite of what the text says where `noise` is among the tags.
        tags: the means the text uses, sorted: contrast, distractor, film, hedge, mixed, negation, noise, place, plain,
            product, story.
    """

    text: str
    label: int
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Mix:
    """How often each means is used; every value is a probability.

    Attributes:
        plain: a review is a line or a few, as people type them.
        negation: a clause or verdict says its opinion by denying the opposite.
        contrast: a sentence carries a yielding clause of the other polarity.
        mixed: two parts pull apart, and a further sentence says which of them counts.
        distractor: the review quotes an opinion about something else, of either polarity.
        verdict: the review ends in a verdict.
        typo: a word of a plain review has a typing error.
        label_noise: the label is the opposite of what the text says.
    """

    plain: float
    negation: float
    contrast: float
    mixed: float
    distractor: float
    verdict: float
    typo: float
    label_noise: float


def _single(pair: Pair) -> Pair:
    """Keep the single words, which can stand before a noun."""
    negative, positive = (tuple(word for word in words if " " not in word) for words in pair)
    return negative, positive


def _join(*pairs: Pair) -> Pair:
    """Join pairs of words."""
    negative, positive = (tuple(word for pair in pairs for word in pair[polarity]) for polarity in (NEGATIVE, POSITIVE))
    return negative, positive


# Names, numbers and the like, which belong to no review's signature.
_NEUTRAL: dict[str, Words] = {
    "first_name": (
        "Aero", "Bright", "Cora", "Delta", "Ever", "Fenn", "Gala", "Halo", "Iris", "Juno", "Kite", "Luma", "Silent",
        "Broken", "Golden", "Hidden", "Last", "Northern", "Paper", "Second", "Winter", "Distant", "Crimson", "Hollow",
    ),
    "second_name": (
        "Max", "One", "Pro", "Air", "Go", "Plus", "Mini", "Lite", "River", "Crown", "Garden", "Letters", "Harbour",
        "Mirror", "Orchard", "Voyage", "Station", "Island", "Promise", "Road",
    ),
    "month": ("January", "March", "April", "June", "August", "October", "December"),
    "colour": ("red", "blue", "green", "grey", "white", "black", "yellow"),
    "number": ("two", "three", "five", "six", "nine", "twelve", "twenty", "forty", "ninety"),
    "day": ("Monday", "Tuesday", "Friday", "Saturday", "Sunday"),
    "room": ("kitchen", "office", "garage", "attic", "hall", "bedroom"),
    "relative": lexicon.RELATIVES,
    "period": ("a day", "two days", "a week", "two weeks", "a month", "three months", "half a year", "a year"),
}  # fmt: skip

_WORDS: dict[str, Words | Pair] = {
    "very": ("", "", "", "really ", "very ", "truly ", "quite ", "simply ", "absolutely ", "so ", "just ", "pretty ",
             "extremely ", "totally ", "incredibly "),
    "hedge": ("to be honest", "I suppose", "in my view", "if you ask me", "all in all", "as far as I can tell",
              "honestly", "for me", "in my opinion"),
    "feeling": lexicon.FEELINGS,
    "felt": _single(lexicon.FEELINGS),
    "verb": lexicon.VERBS,
    "verbs": lexicon.VERBS_OF_OTHERS,
    "others": ("my {relative}", "my {relative}", "everyone here", "everybody", "my whole family", "she", "he"),
    "many": ("we", "we", "they", "the kids", "my kids", "my parents", "our guests", "my friends", "people", "you will"),
    "noun": lexicon.NOUNS,
    "quality": lexicon.QUALITIES,
    "manner": lexicon.MANNERS,
    "event": lexicon.EVENTS,
    "tale": lexicon.STORIES,
    "exclamation": lexicon.INTERJECTIONS,
    "comparative": lexicon.COMPARATIVES,
    "person": lexicon.PEOPLE,
    "actor": lexicon.ACTORS,
    "manners": _single(lexicon.PERSON_ADJECTIVES),
    "best": (("worst", "most boring", "most annoying", "most useless", "ugliest", "poorest", "least reliable",
              "dullest", "most disappointing", "silliest"),
             ("best", "finest", "funniest", "nicest", "most beautiful", "most useful", "greatest", "loveliest",
              "most exciting", "most reliable")),
    "range": ("I have ever had", "I have ever seen", "ever", "I know", "of the year", "in town", "on the market",
              "of all time", "in years", "I have tried", "I have used", "around", "there is", "money can buy"),
    "expected": ("I expected", "I thought", "the last one", "my old one", "the others", "before", "ever", "last year"),
    "it": ("it", "it", "it", "this", "it so much", "this {item}", "the {item}", "my {item}", "my new {item}", "them"),
    "the_item": ("it", "it", "it", "this {item}", "the {item}", "this", "the whole thing", "my {item}", "this one"),
    "ordinal": ("first", "second", "third"),
    "soon": ("after {period}", "after only {period}", "within {period}", "in less than {period}",
             "on the {ordinal} day", "the {ordinal} time I used it", "after the {ordinal} use", "right out of the box",
             "after {number} uses"),
    "long": ("after {period}", "after {number} years", "since day one", "every time", "to this day", "day after day",
             "even after {number} months"),
    "scene": (("{part} {event} {soon}", "{part} {event}", "{part} {event}, and they will not help"),
              ("{part} {event}", "{part} {event} {long}", "{part} still {manner_verb}")),
    "manner_verb": (("fails", "breaks"), ("works {manner}", "looks {adjective}", "feels {adjective}")),
}  # fmt: skip

_DOMAINS: dict[str, dict[str, Words | Pair]] = {
    "product": {
        "item": lexicon.ITEMS,
        "part": lexicon.PARTS,
        "adjective": _join(lexicon.ADJECTIVES, lexicon.THING_ADJECTIVES),
        "fact": (
            "I bought it in {month} for my {relative}", "It came in a {colour} box with {number} cables",
            "I have used it for {number} weeks now", "My {relative} ordered it on a {day}",
            "It stands in the {room} next to the {colour} shelf", "The order took {number} days to arrive",
            "This is the {number} watt version in {colour}", "We use it in the {room} every {day}",
        ),
        "verdict": (
            ("I sent it back", "I regret buying it", "I want my money back", "you should save your money",
             "you should avoid it", "it was a waste of money", "I would tell anyone to stay away", "I am returning it"),
            ("I would buy it again", "I recommend it to everyone", "it was worth every penny",
             "you should go and get one", "I am keeping it", "it earns its place in our home", "I ordered a second one",
             "I am glad I bought it"),
        ),
    },
    "film": {
        "item": lexicon.SHOWS,
        "part": lexicon.STORY_PARTS,
        "adjective": _join(lexicon.ADJECTIVES, lexicon.STORY_ADJECTIVES),
        "fact": (
            "I saw it on a {day} with my {relative}", "It runs for {number} minutes",
            "It was shot in {month} near the coast", "There were {number} people in the room",
            "The story is set in a {colour} house by the sea", "My {relative} picked it for {day} evening",
            "We watched it in the {room} after dinner", "It opened here in {month}",
        ),
        "verdict": (
            ("I left before the end", "I want those hours back", "you should save your ticket money",
             "you should skip it", "it was a waste of an evening", "I would tell anyone to stay away",
             "I asked for a refund", "I regret watching it"),
            ("I would watch it again", "I recommend it to everyone", "it was worth every minute",
             "you should go and see it", "I stayed until the last credit", "it deserves a full house",
             "I bought the disc",
             "I am glad I went"),
        ),
    },
    "place": {
        "item": lexicon.PLACES,
        "part": lexicon.PLACE_PARTS,
        "adjective": _join(lexicon.ADJECTIVES, lexicon.THING_ADJECTIVES),
        "fact": (
            "We went there in {month} with my {relative}", "It is next to the {colour} house",
            "There were {number} of us", "My {relative} booked it for a {day}", "It opens at {number} on a {day}",
            "The bill was {number} pounds", "We sat by the {colour} door", "It has {number} rooms",
        ),
        "verdict": (
            ("we will not be coming back", "I regret going", "I want my money back", "you should save your money",
             "you should avoid it", "it was a waste of an evening", "I would tell anyone to stay away",
             "I asked for a refund"),
            ("we will be back", "I recommend it to everyone", "it was worth every penny", "you should go and see it",
             "I would go again", "it deserves a full house", "we booked a second night", "I am glad we went"),
        ),
    },
}  # fmt: skip
for _domain in _DOMAINS.values():
    _domain["attribute"] = _single(_domain["adjective"])  # type: ignore[arg-type]

_DIRECT = (
    "the {part} is {very}{adjective}", "the {part} was {very}{adjective}", "I found the {part} {very}{adjective}",
    "the {part} turned out {very}{adjective}", "you get a(n) {attribute} {part}", "the {part} struck me as {attribute}",
    "the {part} is {noun}", "the {part} seems {adjective}",
)  # fmt: skip
_NEGATED = (
    "the {part} is not {!adjective}", "nobody could call the {part} {!adjective}",
    "I would never say that the {part} is {very}{!adjective}", "there is nothing {!attribute} about the {part}",
    "the {part} is anything but {!adjective}", "the {part} is far from {!adjective}",
    "I do not think anyone will find the {part} {!adjective}", "at no point was the {part} {very}{!adjective}",
    "the {part} was not {!adjective} at all", "I did not find the {part} {!adjective}", "the {part} is hardly {!noun}",
)  # fmt: skip
_CONTRASTS = (
    "{yielding}, but {winning}", "although {yielding}, {winning}", "{winning}, even though {yielding}",
    "while {yielding}, in the end {winning}", "it hardly matters that {yielding}, because {winning}",
    "{winning}, and that makes up for the fact that {yielding}", "{yielding}. However, {winning}",
    "despite what they say, {winning}, though {yielding}", "{winning}, although {yielding}", "{yielding} but {winning}",
)  # fmt: skip
_COUNTING = (
    "what counts for me is the {counting}", "the {counting} matters far more", "in the end I judge by the {counting}",
)  # fmt: skip
_DISTRACTORS = (
    "People say that the {first_name} {second_name} {item} is {?adjective}",
    "The one I had before was {very}{?adjective}", "My {relative} told me it would be {?adjective}",
    "I had expected something {?attribute}", "The {first_name} {second_name} {item} had a(n) {?attribute} {part}",
    "A critic in the paper promised a(n) {?attribute} {part}",
    "My {relative} thinks that I am {?felt}, which is not the point",
)  # fmt: skip
_VERDICTS = ("{verdict}", "{hedge}, {verdict}", "in short, {verdict}", "so {verdict}", "overall {verdict}")
_NEGATED_VERDICTS = (
    "nobody will hear me say that {!verdict}", "I cannot claim that {!verdict}", "it is not as if {!verdict}",
    "do not believe anyone who says {!verdict}",
)  # fmt: skip

# Statements of plain reviews: direct, denied, with a contrast of their own, and stories without an opinion word.
_PLAIN = (
    "{the_item} is {very}{adjective}", "{the_item} was {very}{adjective}", "this is a(n) {attribute} {item}",
    "{very}{attribute} {item}", "{very}{adjective}", "a(n) {attribute} {item}", "I {verb} {it}", "I {verb} {it}",
    "{verb} {it}", "I am {very}{felt}", "I am {feeling}", "I was {very}{felt}", "{very}{felt} with {it}",
    "{the_item} is {noun}", "{noun}", "what a(n) {attribute} {item}", "what a(n) {attribute} {part}",
    "such a(n) {attribute} {item}", "{exclamation}", "{the_item} works {manner}", "works {manner}",
    "{the_item} {event}", "the {part} {event}", "the {part} is {very}{adjective}", "the {part} was {very}{adjective}",
    "{attribute} {part}", "{very}{attribute} {part}", "the {person} was {very}{manners}", "{manners} {person}",
    "the {actor} is {very}{attribute}", "the {best} {item} {range}", "{best} {item} {range}",
    "one of the {best} things {range}", "{the_item} is {comparative} than {expected}", "{comparative} than {expected}",
    "{the_item} is full of {quality}", "{attribute} and {attribute}", "{the_item} is {adjective} and {adjective}",
    "the {part} is {adjective} and the {part} is {adjective}", "{attribute}, {attribute} and {attribute}",
    "I find {it} {very}{attribute}", "{the_item} looks {very}{attribute}", "it feels {very}{attribute}",
    "my {relative} finds it {very}{attribute}", "we found the {part} {attribute}",
    "the {part} could not be {comparative}", "I {verb} the {part}", "{others} {verbs} {it}", "{others} {verbs} {it}",
    "{many} {present} {it}", "{others} {verbs} the {part}", "{attribute} {part}, {attribute} {part}",
    "everything about it is {attribute}", "{the_item} turned out to be {noun}", "{noun}, {hedge}",
    "{hedge}, {the_item} is {adjective}", "{the_item} has a(n) {attribute} {part}",
    "with its {attribute} {part} it is {noun}", "{exclamation}, {the_item} is {attribute}",
)  # fmt: skip
_PLAIN_NEGATED = (
    "{the_item} is not {!adjective}", "{the_item} was not {!adjective} at all", "not {!adjective}",
    "not {!adjective} at all", "not at all {!adjective}", "{the_item} is not {!noun}", "never {!attribute}",
    "there is nothing {!attribute} about it", "nothing {!attribute} here", "no {!quality}", "there are no {!quality}",
    "{the_item} is hardly {!adjective}", "{the_item} has no {!quality} at all", "without any {!quality}",
    "not a(n) {!attribute} {item}", "I would not call it {!adjective}", "I do not find {it} {!adjective}",
    "nobody could call it {!attribute}", "the {part} is not {!adjective}", "the {part} was not {!adjective}",
    "the {person} was not {!manners}", "I am not {very}{!felt}", "I have never been {!felt} with it",
    "it is anything but {!adjective}", "{the_item} is far from {!adjective}", "not one {!attribute} {part}",
    "I cannot say that it is {!adjective}", "it does not have any {!quality}", "not {!comparative} than {expected}",
    "no {!attribute} {part} here", "it is neither {!attribute} nor {!attribute}",
)  # fmt: skip
_PLAIN_CONTRASTS = (
    "{!adjective} but {adjective}", "not only {attribute}, but also {attribute}",
    "I used to {!present} this brand, but {clause}", "{!clause}, but {clause}", "{!clause} but {clause}",
    "although {!clause}, {clause}", "even though {!clause}, {clause}", "{clause}, even though {!clause}",
    "{clause}, although {!clause}", "the {part} looks {!attribute}, but {clause}",
    "my old one was {!attribute}, this one is {attribute}", "unlike the old one, this one is {attribute}",
    "{!attribute} {part}, but {attribute} {part}", "they said it was {!attribute}, but {clause}",
    "{!clause}. But {clause}", "I expected something {!attribute}, but {clause}",
    "I thought it would be {!attribute}, but {clause}", "{hopes}, but {clause}",
    "the {part} may be {!attribute}, but the {part} is {attribute}", "{!clause}. Still, {clause}",
)  # fmt: skip
_WORDS |= {
    "clause": ("it is {adjective}", "the {part} is {adjective}", "I {verb} it", "the {part} {event}", "{tale}",
               "it is {noun}", "the {part} is {very}{adjective}", "it works {manner}", "it is not {!adjective}"),
    "present": (("hate", "dislike", "avoid", "distrust"), ("love", "like", "trust", "enjoy")),
    "hopes": (("I wanted to like it", "I had high hopes", "it looked good in the photos", "I really tried to like it",
               "it started well", "the idea is great", "the price is good", "it looks nice", "I love the brand",
               "the trailer was great", "everyone said it was great"),
              ("I had my doubts", "I was sceptical at first", "I did not expect much", "it took a while to arrive",
               "it is not cheap", "it started slowly", "I expected the worst", "it is a bit pricey", "it looks plain",
               "I am hard to please", "the box was damaged", "the reviews were mixed")),
    "story": ("{tale}", "{tale}", "{tale}", "the {scene}", "my {scene}", "{tale}, {tale}", "{tale} and {tale}",
              "{hopes} but {tale}"),
}  # fmt: skip

_FIELD = re.compile(r"\{([!?]?)(\w+)\}")
_VOWELS = re.compile(r"\ba\(n\) (?=(?P<vowel>hon|(?!uni|use|one)[aeiou]))?", re.I)
_FACT, _HEDGE = 0.3, 0.15  # how often a review states something neutral, and an opinion is hedged
_STATEMENTS = (1, 1, 1, 2, 2, 3)  # how many a plain review has
_MARKS = (".", ".", ".", ".", "!", "!", "!!", "", "", "...")  # at the end of a plain review

_CONTRACTIONS = {
    **{f"{verb} not": f"{verb}n't" for verb in ("is", "was", "are", "were", "do", "does", "did", "could", "would",
                                                "should", "has", "have", "had")},
    "cannot": "can't", "will not": "won't", "I am": "I'm", "it is": "it's", "I have": "I've", "I would": "I'd",
    "I will": "I'll", "you will": "you'll", "we will": "we'll", "there is": "there's", "that is": "that's",
}  # fmt: skip
_CONTRACTIBLE = re.compile(r"\b(" + "|".join(_CONTRACTIONS) + r")\b")
_CONTRACTS, _CONTRACTED = 0.7, 0.8  # shares of the plain reviews that contract, and of what can be contracted there
_LOWER_CASE, _UPPER_CASE = 0.2, 0.03  # shares of the plain reviews


class _Writer:
    """Writes one review; remembers the choices it made (the signature) and the means it used (the tags)."""

    def __init__(self, rng: random.Random, mix: Mix) -> None:
        self.rng = rng
        self.mix = mix
        domain = rng.choice(tuple(_DOMAINS))
        self.words: Mapping[str, Words | Pair] = _WORDS | _DOMAINS[domain]
        self.tags = {domain}
        self.signature: list[str] = []
        self.parts: list[str] = []  # of the item, in the order they were mentioned

    def pick(self, options: Words) -> str:
        """Choose one option, for the signature too."""
        choice = self.rng.choice(options)
        self.signature.append(choice)
        return choice

    def pick_common(self, words: Words) -> str:
        """Choose a word, an early one more often: the lists begin with what people write most."""
        choice = words[int(len(words) * self.rng.random() ** 2)]
        self.signature.append(choice)
        return choice

    def chance(self, probability: float, tag: str) -> bool:
        """Decide whether a means is used, and tag the review when it is."""
        used = self.rng.random() < probability
        if used:
            self.tags.add(tag)
        return used

    def fill(self, template: str, polarity: int) -> str:
        """Fill a template's fields, and theirs, with words of an opinion of that polarity."""

        def field(match: re.Match[str]) -> str:
            turn, name = match.groups()
            own = {"": polarity, "!": 1 - polarity}.get(turn)
            return self.word(name, self.rng.randrange(2) if own is None else own)

        text = _FIELD.sub(field, template)
        return _VOWELS.sub(lambda match: "an " if match["vowel"] else "a ", text)

    def word(self, name: str, polarity: int) -> str:
        """Choose what stands for a field."""
        if name in _NEUTRAL:
            return self.rng.choice(_NEUTRAL[name])
        options = self.words[name]
        words: Words = options[polarity] if isinstance(options[0], tuple) else options
        choice = self.pick_common(words)
        if name == "part":
            while choice in self.parts:  # said twice, one opinion would stand against the other
                choice = self.pick(words)
            self.parts.append(choice)
        return self.fill(choice, polarity)

    def clause(self, polarity: int) -> str:
        """Say something of that polarity about a part that was not mentioned before."""
        negated = self.chance(self.mix.negation, "negation")
        return self.fill(self.pick(_NEGATED if negated else _DIRECT), polarity)

    def opinion(self, polarity: int) -> str:
        """Write a sentence whose outcome has that polarity, as a plain clause or as a contrast."""
        if self.chance(self.mix.mixed, "mixed"):
            return self.mixed(polarity)
        if self.chance(self.mix.contrast, "contrast"):
            yielding, winning = self.clause(1 - polarity), self.clause(polarity)
            text = self.pick(_CONTRASTS).format(yielding=yielding, winning=winning)
        else:
            text = self.clause(polarity)
        if self.rng.random() < _HEDGE:
            self.tags.add("hedge")
            text = f"{self.pick(self.words['hedge'])}, {text}"  # type: ignore[arg-type]
        return text

    def verdict(self, polarity: int) -> str:
        """Close the review, directly or by denying the opposite verdict."""
        negated = self.chance(self.mix.negation, "negation")
        frame = self.pick(_NEGATED_VERDICTS if negated else _VERDICTS)
        if "{hedge}" in frame:
            self.tags.add("hedge")
        return self.fill(frame, polarity)

    def mixed(self, polarity: int) -> str:
        """Set two parts against each other, then say which of them counts."""
        clauses = [self.clause(polarity)]
        counting = self.parts[-1]
        clauses.append(self.clause(1 - polarity))
        self.rng.shuffle(clauses)
        return "; ".join(clauses) + ". " + _capital(self.pick(_COUNTING).format(counting=counting))

    def structured(self, polarity: int) -> str:
        """Write a review in which words alone do not decide."""
        opening = self.fill("{first_name} {second_name}, a(n) {item}", polarity)
        body = [self.opinion(polarity) for _ in range(self.rng.choice((1, 1, 2)))]
        if self.rng.random() < _FACT:
            body.append(self.fill("{fact}", polarity))
        if self.chance(self.mix.distractor, "distractor"):
            body.append(self.fill(self.pick(_DISTRACTORS), polarity))
        self.rng.shuffle(body)
        if self.rng.random() < self.mix.verdict:
            body.append(self.verdict(polarity))
        return "".join(_capital(sentence) + ". " for sentence in [opening, *body]).rstrip()

    def statement(self, polarity: int) -> str:
        """Say something in one line."""
        if self.chance(self.mix.negation, "negation"):
            return self.fill(self.pick(_PLAIN_NEGATED), polarity)
        if self.chance(self.mix.contrast, "contrast"):
            return self.fill(self.pick(_PLAIN_CONTRASTS), polarity)
        if self.chance(0.3, "story"):
            return self.fill("{story}", polarity)
        return self.fill(self.pick(_PLAIN), polarity)

    def plain(self, polarity: int) -> str:
        """Write a line or a few."""
        self.tags.add("plain")
        statements = [self.statement(polarity) for _ in range(self.rng.choice(_STATEMENTS))]
        if self.rng.random() < _FACT / 2:
            statements.insert(0, self.fill("{fact}", polarity))
        between = self.rng.choice((". ", ". ", ". ", ". ", "! ", ", "))
        text = between.join(statement if between == ", " else _capital(statement) for statement in statements)
        return self.typed(_capital(text) + self.rng.choice(_MARKS))

    def typed(self, text: str) -> str:
        """Write a text as it is typed: contracted, with a typing error, in lower or upper case."""
        draw = self.rng.random
        if draw() < _CONTRACTS:
            text = _CONTRACTIBLE.sub(lambda match: _CONTRACTIONS[match[0]] if draw() < _CONTRACTED else match[0], text)
        text = mistype(text, self.mix.typo, draw)
        case = draw()
        return text.lower() if case < _LOWER_CASE else text.upper() if case >= 1 - _UPPER_CASE else text


def _capital(text: str) -> str:
    """Begin with a capital."""
    return text[0].upper() + text[1:]


def generate(seed: str, mix: Mix) -> Iterator[Review]:
    """Generate reviews without end, no two of them alike but for names, numbers and spelling.

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
        polarity = rng.randrange(2)
        text = writer.plain(polarity) if rng.random() < mix.plain else writer.structured(polarity)
        noisy = writer.chance(mix.label_noise, "noise")
        signature = hashlib.blake2b("|".join(writer.signature).encode("utf-8"), digest_size=8).digest()
        if signature not in seen:
            seen.add(signature)
            yield Review(text, 1 - polarity if noisy else polarity, tuple(sorted(writer.tags)))

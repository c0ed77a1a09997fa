"""Words and signs on the surface of a review: they name slices, and say what an edit must leave alone."""

from __future__ import annotations

import re

NEGATION = re.compile(
    r"\b(not|no|never|nothing|nobody|none|neither|nor|cannot|without|hardly)\b|n['\u2019]t\b", re.IGNORECASE
)
_CUES = {
    "contrast": re.compile(r"\b(but|although|though|however|despite|yet|while|whereas)\b", re.IGNORECASE),
    "negation": NEGATION,
    "question": re.compile(r"\?"),
    "shouting": re.compile(r"\b[A-Z]{4,}\b|!!"),
}


def cue_tags(text: str) -> str:
    """Name the surface cues of a text, for slices of real reviews: contrast, negation, question, shouting."""
    return " ".join(name for name, cue in _CUES.items() if cue.search(text))


def turns_meaning(word: str) -> bool:
    """Return whether a word turns the meaning of those beside it, as not and but do."""
    return any(_CUES[cue].search(word) for cue in ("negation", "contrast"))

"""What a request may hold: read from its body as it comes, checked, and refused with the reason."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import islice
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from starlette.exceptions import HTTPException
from starlette.requests import Request

from sentiment.inference.predictor import check_text
from sentiment.pipeline.errors import InputError
from sentiment.pipeline.params import TextParams, explained
from sentiment.reviews.normalization import normalize
from sentiment.serving.attribution import Piece, find_pieces

BYTES_PER_CHARACTER = 12  # the longest that JSON writes one: two escapes of a surrogate pair
BYTES_BESIDE_TEXTS = 4096  # of a body: keys, blanks
SHOWN_PROBLEMS = 3


@dataclass(frozen=True)
class Limits:
    """What one request may ask for, and how long it waits for others.

    Attributes:
        max_texts: the most texts of a request.
        max_characters: the most characters of a text.
        max_waiting: the most texts that may wait to be scored, all requests and all texts without a word counted.
        wait_ms: how long a text waits for others to be scored with, in milliseconds.
    """

    max_texts: int
    max_characters: int
    max_waiting: int
    wait_ms: float

    @property
    def max_bytes(self) -> int:
        """The most bytes of a body: those of the longest request that the other limits allow."""
        return self.max_texts * (self.max_characters * BYTES_PER_CHARACTER + len('"", ')) + BYTES_BESIDE_TEXTS


class Question(BaseModel):
    """The body of POST /predict, for openapi.json too; `question_model` adds the limits."""

    model_config = ConfigDict(extra="forbid", strict=True)

    texts: list[str]
    attribution: bool = Field(False, description="whether each word's weight is wanted")

    @cached_property
    def pieces(self) -> list[list[Piece]]:
        """The words of each text whose weights are wanted; none where they are not."""
        return [find_pieces(text) if self.attribution else [] for text in self.texts]


@cache
def question_model(limits: Limits) -> type[Question]:
    """Make the model of the body under the limits."""
    text = Annotated[str, Field(min_length=1, max_length=limits.max_characters)]
    about = Field(min_length=1, max_length=limits.max_texts, description='such as ["A fine film."]')
    return create_model("Question", __base__=Question, texts=(Annotated[list[text], about], ...))


async def read_body(request: Request, max_bytes: int) -> bytes:
    """Read a body, and no more of it than is allowed.

    Raises:
        HTTPException: 415 it is not said to be JSON; 413 it is too large.
    """
    kind = request.headers.get("content-type", "none")
    if kind.partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, f"Content-Type: found {kind}, must be application/json")
    too_large = HTTPException(413, f"the body is too large, must be at most {max_bytes:,} bytes")
    if int(request.headers.get("content-length", 0)) > max_bytes:
        raise too_large
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > max_bytes:
            raise too_large
    return bytes(body)


def read_question(body: bytes, limits: Limits, reading: TextParams) -> Question:
    """Read and check a request.

    Args:
        body: of the request.
        limits: what it may ask for.
        reading: how the model's texts are normalized.

    Returns:
        The question with its texts normalized, so that their words are those that the model reads.

    Raises:
        HTTPException: 400 it is no JSON.
        InputError: it is something else than texts that can be answered.
    """
    content, model = parse_json(body), question_model(limits)
    if isinstance(content, dict):
        content = dict(islice(content.items(), SHOWN_PROBLEMS))  # a million unknown keys would take seconds to explain
    try:
        question = model.model_validate(content)
    except ValidationError as error:
        raise InputError("; ".join(explained(model, content, error.errors()[:SHOWN_PROBLEMS]))) from error
    for number, text in enumerate(question.texts, 1):
        check_text(number, text)
    question = question.model_copy(update={"texts": [normalize(text, reading) for text in question.texts]})
    scorings = len(question.texts) + sum(map(len, question.pieces))
    if scorings > limits.max_waiting:  # more than the queue has room for even if nothing else waits
        raise InputError(
            f"texts: found {scorings:,} to score, the texts without each word counted, must be at most "
            f"{limits.max_waiting:,}; send fewer at once, or leave out attribution"
        )
    return question


def parse_json(body: bytes) -> Any:
    """Parse JSON.

    Raises:
        HTTPException: 400 it is none.
    """

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no number of JSON")

    try:
        return json.loads(body, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"not JSON: {error}") from error

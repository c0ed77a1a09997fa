"""What a request may hold: read from its body as it comes, checked, and refused with the reason."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

from sentiment.inference.predictor import check_text
from sentiment.pipeline.errors import InputError, allowed
from sentiment.serving.attribution import Piece, find_pieces

BYTES_PER_CHARACTER = 12  # the longest that JSON writes one: two escapes of a surrogate pair
BYTES_BESIDE_TEXTS = 4096  # of a body: keys, blanks


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


@dataclass(frozen=True)
class Question:
    """A request that can be answered.

    Attributes:
        texts: at least one.
        pieces: the words of each text whose weights are wanted; none where they are not.
    """

    texts: list[str]
    pieces: list[list[Piece]]


def describe_body(limits: Limits) -> dict[str, Any]:
    """Describe the body of POST /predict for openapi.json; `read_question` checks it."""
    text = {"type": "string", "minLength": 1, "maxLength": limits.max_characters}
    texts = {"type": "array", "minItems": 1, "maxItems": limits.max_texts, "items": text}
    properties = {"texts": texts, "attribution": {"type": "boolean", "default": False}}
    body = {"type": "object", "required": ["texts"], "additionalProperties": False, "properties": properties}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": body}}}}


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


def read_question(body: bytes, limits: Limits) -> Question:
    """Read and check a request.

    Raises:
        HTTPException: 400 it is no JSON.
        InputError: it is something else than texts that can be answered.
    """
    content = parse_json(body)
    if not isinstance(content, dict):
        raise InputError(f'found {_kind(content)}, must be an object such as {{"texts": ["A fine film."]}}')
    unknown = next((key for key in content if key not in ("texts", "attribution")), None)
    if unknown is not None:
        raise InputError(f"{unknown[:40]!r}: no such key, {allowed(unknown[:40], ('texts', 'attribution'))}")
    attribution = content.get("attribution", False)
    if not isinstance(attribution, bool):
        raise InputError(f"attribution: found {_kind(attribution)}, must be true or false")
    texts = check_texts(content.get("texts"), limits)
    question = Question(texts, [find_pieces(text) if attribution else [] for text in texts])
    check_scorings(question, limits)
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
    except RecursionError:
        raise HTTPException(400, "not JSON that can be read: nested too deeply") from None
    except ValueError as error:
        raise HTTPException(400, f"not JSON: {error}") from error


def _kind(value: object) -> str:
    """Name a JSON value's type, which is short where the value may not be."""
    return {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "nothing"}.get(
        type(value), "a number"
    )


def check_texts(texts: object, limits: Limits) -> list[str]:
    """Raise if texts cannot be answered.

    Raises:
        InputError: names the first of them, counted from 1.
    """
    if not isinstance(texts, list):
        raise InputError(f"texts: found {_kind(texts)}, must be a list of strings")
    if not 1 <= len(texts) <= limits.max_texts:
        raise InputError(f"texts: found {len(texts):,} texts, must be 1 to {limits.max_texts:,}")
    for number, text in enumerate(texts, 1):
        check_text(number, text)
        if len(text) > limits.max_characters:
            raise InputError(
                f"text {number}: found {len(text):,} characters, must be at most {limits.max_characters:,}"
            )
    return texts


def check_scorings(question: Question, limits: Limits) -> None:
    """Raise if a question needs more scorings than the queue has room for even if nothing else waits.

    Raises:
        InputError: says how much it asks for.
    """
    scorings = len(question.texts) + sum(map(len, question.pieces))
    if scorings > limits.max_waiting:
        raise InputError(
            f"texts: found {scorings:,} to score, the texts without each word counted, must be at most "
            f"{limits.max_waiting:,}; send fewer at once, or leave out attribution"
        )

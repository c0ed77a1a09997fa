"""What a request may hold: the longest allowed one fits, and a body is read no further than its limit."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from sentiment.pipeline.errors import InputError
from sentiment.reviews.normalization import AS_IT_STANDS
from sentiment.serving.schema import Limits, question_model, read_body, read_question
from tests.conftest import TEXTS

LIMITS = Limits(max_texts=3, max_characters=50, max_waiting=40, wait_ms=0)


def test_the_longest_texts_fit_however_json_writes_them() -> None:
    for letter in ("a", '"', "é", "😀", "\x01"):
        body = json.dumps({"texts": ["a" + letter * 49] * 3}, indent=1).encode()
        assert len(body) <= LIMITS.max_bytes
        assert read_question(body, LIMITS, AS_IT_STANDS).texts == ["a" + letter * 49] * 3
    assert LIMITS.max_bytes < 3 * 50 * 12 + 5000


def test_a_body_is_read_no_further_than_its_limit() -> None:
    """The body has no end: a reader that wants all of it never comes back."""
    read = 0

    async def receive() -> dict[str, Any]:
        nonlocal read
        read += 1
        return {"type": "http.request", "body": b"x" * 1000, "more_body": True}

    request = Request({"type": "http", "headers": [(b"content-type", b"application/json")]}, receive)
    with pytest.raises(HTTPException, match="at most 4,500 bytes") as caught:
        asyncio.run(read_body(request, 4500))
    assert (caught.value.status_code, read) == (413, 5)


def test_of_a_body_that_says_it_is_too_large_nothing_is_read() -> None:
    async def receive() -> dict[str, Any]:
        raise AssertionError("read")

    headers = [(b"content-type", b"application/json"), (b"content-length", b"4501")]
    with pytest.raises(HTTPException) as caught:
        asyncio.run(read_body(Request({"type": "http", "headers": headers}, receive), 4500))
    assert caught.value.status_code == 413


def test_words_are_found_where_they_are_asked_for() -> None:
    body = json.dumps({"texts": ["A fine film.", "Dull"], "attribution": True}).encode()
    pieces = [[piece.text for piece in found] for found in read_question(body, LIMITS, AS_IT_STANDS).pieces]
    assert pieces == [["A", "fine", "film", "."], ["Dull"]]
    assert read_question(json.dumps({"texts": ["Dull"]}).encode(), LIMITS, AS_IT_STANDS).pieces == [[]]


def test_words_count_towards_what_may_wait() -> None:
    words = " ".join("a" * 19)
    assert (
        len(
            read_question(
                json.dumps({"texts": [words] * 2, "attribution": True}).encode(), LIMITS, AS_IT_STANDS
            ).pieces[0]
        )
        == 19
    )
    with pytest.raises(InputError, match=r"found 41 to score.* at most 40"):
        read_question(json.dumps({"texts": [words, words + " a"], "attribution": True}).encode(), LIMITS, AS_IT_STANDS)


def test_openapi_says_the_limits_that_hold() -> None:
    from jsonschema import Draft202012Validator

    schema = question_model(LIMITS).model_json_schema()
    validator = Draft202012Validator(schema)
    good = [{"texts": ["a"]}, {"texts": ["a" * 50] * 3, "attribution": False}]
    bad: list[Any] = [
        {}, [], {"texts": []}, {"texts": ["a"] * 4}, {"texts": ["a" * 51]}, {"texts": [1]}, {"texts": ["a"], "x": 1},
        {"texts": "a"}, {"texts": ["a"], "attribution": 1}, {"texts": [""]},
    ]  # fmt: skip
    for content in good:
        assert validator.is_valid(content)
        read_question(json.dumps(content).encode(), LIMITS, AS_IT_STANDS)
    for content in bad:
        assert not validator.is_valid(content)
        with pytest.raises(InputError):
            read_question(json.dumps(content).encode(), LIMITS, AS_IT_STANDS)
    assert read_question(json.dumps({"texts": TEXTS[4:5]}).encode(), LIMITS, AS_IT_STANDS).texts == ["Fine."]

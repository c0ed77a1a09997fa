"""The HTTP service: POST /predict answers JSON with JSON, GET / is a page for people, GET /health for machines.

Whatever is wrong with a request is refused with a status of 4xx and a body {"error": "..."} that names what was found
and what is allowed; nothing that cannot be answered reaches the model.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from sentiment.inference.predictor import Prediction, Predictor
from sentiment.pipeline.artifacts import rounded
from sentiment.pipeline.errors import InputError, allowed
from sentiment.report.pages import render
from sentiment.serving.attribution import MAX_PIECES, Piece, leave_out, weigh
from sentiment.serving.microbatch import BusyError, MicroBatcher
from sentiment.serving.schema import Limits, Question, question_model, read_body, read_question

PAGE = Path(__file__).parent / "page.html"
RETRY_SECONDS = 1  # how long a client should wait when too much waits here

PredictionBatcher = MicroBatcher[Prediction]
Outcome = Prediction | Exception | None


def make_app(predictor: Predictor, limits: Limits, hosts: Collection[str] | None = None) -> FastAPI:
    """Make the service.

    Args:
        predictor: the model; called in one thread alone.
        limits: what a request may ask for.
        hosts: the names under which it answers; None answers under any. A page elsewhere whose name leads to this
            machine is refused so (DNS rebinding).
    """

    def refuse_other_hosts(request: Request) -> None:
        if hosts is not None and request.url.hostname not in hosts:
            raise HTTPException(421, f"Host: found {request.url.hostname}, {allowed(request.url.hostname, hosts)}")

    batcher = PredictionBatcher(predictor, predictor.batch_size, limits.wait_ms / 1000, limits.max_waiting)
    manifest = predictor.manifest
    reads = {"max_pieces": MAX_PIECES, "max_length": manifest.max_length, "caution": manifest.caution}
    page = render(PAGE, revision=predictor.revision, limits=limits, **reads)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with batcher:
            yield

    app = FastAPI(
        title="Sentiment", docs_url=None, redoc_url=None, lifespan=lifespan,  # the docs need a CDN
        redirect_slashes=False, dependencies=[Depends(refuse_other_hosts)],
    )  # fmt: skip
    tell_errors_alike(app)

    @app.get("/", response_class=HTMLResponse, summary="A page to try the model on")
    async def show_page() -> HTMLResponse:
        return HTMLResponse(page, headers={"Content-Security-Policy": policy(page)})

    @app.get("/health", summary="What runs here, and what it allows")
    async def health() -> dict[str, Any]:
        return {
            "status": "ok",
            "model_revision": predictor.revision,
            "formulation": manifest.formulation,
            "device": predictor.device,
            "max_texts": limits.max_texts,
            "max_characters": limits.max_characters,
            "max_waiting": limits.max_waiting,
            "waiting": batcher.waiting,
        }

    body = {"required": True, "content": {"application/json": {"schema": question_model(limits).model_json_schema()}}}

    @app.post("/predict", summary="Predictions for texts", openapi_extra={"requestBody": body})
    async def predict(request: Request) -> dict[str, Any]:
        question = read_question(await read_body(request, limits.max_bytes), limits, predictor.manifest.text)
        return {"model_revision": predictor.revision, "predictions": await answer(question, batcher)}

    return app


def policy(page: str) -> str:
    """Allow the page its own style, script and icon, and this server, and nothing else.

    Source: https://www.w3.org/TR/CSP3/.
    """
    sources = []
    for kind in ("style", "script"):
        [inline] = re.findall(rf"<{kind}>(.*?)</{kind}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        sources.append(f"{kind}-src 'sha256-{digest}'")
    own = "; ".join([*sources, "img-src data:", "connect-src 'self'"])
    return f"default-src 'none'; {own}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def tell_errors_alike(app: FastAPI) -> None:
    """Give every error the same shape: {"error": "..."}."""

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        words = {404: "no such path; there are GET /, GET /health, GET /openapi.json and POST /predict"}
        if error.status_code == 405:
            words[405] = f"found {request.method}, {allowed(request.method, [(error.headers or {}).get('Allow')])}"
        return error_response(error.status_code, words.get(error.status_code, str(error.detail)), error.headers)

    @app.exception_handler(InputError)
    async def unusable(_: Request, error: InputError) -> Response:
        return error_response(422, str(error))

    @app.exception_handler(BusyError)
    async def busy(_: Request, __: BusyError) -> Response:
        return error_response(503, "too many texts wait already; try again", {"Retry-After": str(RETRY_SECONDS)})

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, __: ClientDisconnect) -> Response:
        return error_response(400, "the connection ended before the body did")

    @app.exception_handler(Exception)
    async def failed(_: Request, __: Exception) -> Response:
        return error_response(500, "this server failed; its log says why")  # and starlette raises it again, for the log


def error_response(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """Make the response of an error; ASCII, since what was found may be no Unicode."""
    return Response(json.dumps({"error": message}), status, headers, "application/json")


async def answer(question: Question, batcher: PredictionBatcher) -> list[dict[str, Any]]:
    """Predict, and where it is wanted say what each word did.

    Returns:
        For each text what `describe_answer` makes of it.

    Raises:
        InputError: a text has nothing that the model can read.
        BusyError: too much waits already.
    """
    wanted = [
        [text, *(leave_out(text, piece) for piece in pieces)]
        for text, pieces in zip(question.texts, question.pieces, strict=True)
    ]
    outcomes = iter(await batcher.ask([text for texts in wanted for text in texts if text]))
    found = [[next(outcomes) if text else None for text in texts] for texts in wanted]
    return [describe_answer(*one) for one in zip(question.texts, question.pieces, found, strict=True)]


def describe_answer(text: str, pieces: Sequence[Piece], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Write the answer to one text as JSON has it.

    Args:
        text: the text, normalized.
        pieces: its pieces, none where they are not wanted.
        outcomes: the prediction for the text, then for the text without each piece; None where nothing was left.

    Returns:
        predicted and probability_positive, as `sentiment.cli.predict` writes them; for pieces, the text and
        attribution: for each piece its text, start, end and weight.
    """
    whole, *rests = outcomes
    prediction = given(whole)
    positive = prediction.probability_positive
    answer: dict[str, Any] = {"predicted": prediction.label, "probability_positive": positive}
    if pieces:
        weights = weigh(positive, [probability_of_rest(rest) for rest in rests])
        entries = [{**asdict(piece), "weight": weight} for piece, weight in zip(pieces, weights, strict=True)]
        answer |= {"text": text, "attribution": entries}
    written: dict[str, Any] = rounded(answer)
    return written


def given(outcome: Outcome) -> Prediction:
    """Return the prediction, or raise the error that came in its place."""
    if not isinstance(outcome, Prediction):
        raise outcome or ValueError("a text that was not scored has no prediction")
    return outcome


def probability_of_rest(outcome: Outcome) -> float | None:
    """Return the probability for what was left of a text; None where the model can read nothing in it."""
    return None if outcome is None or isinstance(outcome, InputError) else given(outcome).probability_positive

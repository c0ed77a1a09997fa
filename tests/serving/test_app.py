"""The service: answers are the Predictor's, weights are transformers', and a bad request is told what is wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from scipy.special import log_softmax, logit
from tokenizers import normalizers
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from sentiment.inference.predictor import Prediction, Predictor
from sentiment.reviews.normalization import EVERYTHING
from sentiment.serving.app import make_app
from sentiment.serving.schema import Limits
from tests.conftest import TEXTS
from tests.inference.test_predictor import finetuned

Tiny = Callable[[str], Path]

LIMITS = Limits(max_texts=8, max_characters=2000, max_waiting=200, wait_ms=0)
AN_HOUR = 3_600_000.0  # milliseconds; so that a batch ends because it is full
NEAR = 1e-6  # half of the sixth digit, and what another batch does to the sums


class Watched:
    """A Predictor whose calls are counted, and which can be told to wait."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor, self.calls = predictor, list[int]()
        self.go_on = threading.Event()
        self.go_on.set()

    def __getattr__(self, name: str) -> Any:
        """Be like the Predictor in everything else."""
        return getattr(self.predictor, name)

    def __call__(self, texts: list[str]) -> list[Prediction]:
        self.calls.append(len(texts))
        self.go_on.wait()
        return self.predictor(texts)


@pytest.fixture(scope="module")
def folder(tiny_models: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fine-tuned folder that no test changes."""
    return finetuned(tiny_models("gpt2"), tmp_path_factory.mktemp("finetuned") / "gpt2", temperature=1.5)


@pytest.fixture(scope="module")
def predictor(folder: Path) -> Predictor:
    return Predictor.load(folder)


@pytest.fixture(scope="module")
def client(predictor: Predictor) -> Iterator[TestClient]:
    with TestClient(make_app(predictor, LIMITS)) as client:
        yield client


def ask(client: TestClient, *texts: str, **more: Any) -> Any:
    response = client.post("/predict", json={"texts": texts, **more})
    assert response.status_code == 200, response.text
    return response.json()


def test_answers_are_the_predictors(client: TestClient, predictor: Predictor) -> None:
    answer = ask(client, *TEXTS)
    assert list(answer) == ["model_revision", "predictions"]
    assert answer["model_revision"] == predictor.revision
    assert [list(prediction) for prediction in answer["predictions"]] == [["predicted", "probability_positive"]] * 6
    expected = predictor(TEXTS)
    assert [prediction["predicted"] for prediction in answer["predictions"]] == [one.label for one in expected]
    found = np.array([prediction["probability_positive"] for prediction in answer["predictions"]])
    assert np.abs(found - [one.probability_positive for one in expected]).max() < NEAR
    assert np.ptp(found) > 0.1
    assert (found == found.round(6)).all()


def test_an_abstention_is_null(predictor: Predictor) -> None:
    silent = replace(predictor, manifest=predictor.manifest.model_copy(update={"abstain_below": 1.0}))
    with TestClient(make_app(silent, LIMITS)) as client:
        assert [one["predicted"] for one in ask(client, *TEXTS)["predictions"]] == [None] * len(TEXTS)


def test_the_page_says_so_where_the_model_knows_generated_texts_only(client: TestClient, predictor: Predictor) -> None:
    manifest = predictor.manifest.model_copy(update={"generated_texts": True})
    with TestClient(make_app(replace(predictor, manifest=manifest), LIMITS)) as cautious:
        page = cautious.get("/").text
    assert page.count("This model was trained on generated texts only: expect errors on other texts.") == 1
    assert "generated" not in client.get("/").text


def test_health_says_what_runs_and_what_it_allows(client: TestClient, predictor: Predictor) -> None:
    assert client.get("/health").json() == {
        "status": "ok",
        "model_revision": predictor.revision,
        "formulation": "head",
        "device": "cpu",
        "max_texts": 8,
        "max_characters": 2000,
        "max_waiting": 200,
        "waiting": 0,
    }


DELETIONS = {  # written by hand, not by what is tested
    "The plot is dull, but the acting is superb.": [
        "plot is dull, but the acting is superb.",
        "The is dull, but the acting is superb.",
        "The plot dull, but the acting is superb.",
        "The plot is, but the acting is superb.",
        "The plot is dull but the acting is superb.",
        "The plot is dull, the acting is superb.",
        "The plot is dull, but acting is superb.",
        "The plot is dull, but the is superb.",
        "The plot is dull, but the acting superb.",
        "The plot is dull, but the acting is.",
        "The plot is dull, but the acting is superb",
    ],
    "Nobody could call the battery good.": [
        "could call the battery good.",
        "Nobody call the battery good.",
        "Nobody could the battery good.",
        "Nobody could call battery good.",
        "Nobody could call the good.",
        "Nobody could call the battery.",
        "Nobody could call the battery good",
    ],
}


def stock_log_odds(folder: Path, texts: list[str], temperature: float) -> np.ndarray:
    """Ask transformers' own classifier about padded texts."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForSequenceClassification.from_pretrained(folder)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    model.config.pad_token_id = tokenizer.pad_token_id
    with torch.no_grad():
        logits = model.eval()(**tokenizer(texts, return_tensors="pt", padding=True)).logits.double().numpy()
    log_shares = log_softmax(logits / temperature, axis=1)
    return np.asarray(log_shares[:, 1] - log_shares[:, 0])


@pytest.mark.parametrize("family", ["gpt2", "bert", "llama"])
def test_weights_are_what_transformers_says_about_the_text_without_the_word(
    family: str, tiny_models: Tiny, tmp_path: Path
) -> None:
    folder = finetuned(tiny_models(family), tmp_path / family, temperature=1.5)
    with TestClient(make_app(Predictor.load(folder, batch_size=5), LIMITS)) as client:
        predictions = ask(client, *DELETIONS, attribution=True)["predictions"]
    for (text, rests), prediction in zip(DELETIONS.items(), predictions, strict=True):
        whole, *without = stock_log_odds(folder, [text, *rests], 1.5)
        assert logit(prediction["probability_positive"]) == pytest.approx(whole, abs=1e-4)
        found = prediction["attribution"]
        assert [entry["weight"] for entry in found] == pytest.approx(whole - np.array(without), abs=2e-5)
        assert np.ptp(without) > 0.01
        assert all(text[entry["start"] : entry["end"]] == entry["text"] for entry in found)


def test_the_only_word_has_the_whole_of_the_log_odds(client: TestClient, predictor: Predictor) -> None:
    [prediction] = ask(client, " Fine ", attribution=True)["predictions"]
    [entry] = prediction["attribution"]
    positive = predictor([" Fine "])[0].probability_positive
    assert entry == {"text": "Fine", "start": 1, "end": 5, "weight": pytest.approx(logit(positive), abs=1e-5)}
    assert abs(entry["weight"]) > 1e-3


def test_words_are_those_of_the_text_as_the_model_reads_it(tiny_models: Tiny, tmp_path: Path) -> None:
    folder = finetuned(tiny_models("gpt2"), tmp_path / "folder", text=EVERYTHING.model_dump())
    raw = " The plot is <b>dull</b>,<br />but&nbsp;the acting is\u200b superb.<br />"
    with TestClient(make_app(Predictor.load(folder), LIMITS)) as client:
        found, expected = ask(client, raw, TEXTS[2], attribution=True)["predictions"]
    assert found == expected
    assert found["text"] == TEXTS[2]


def test_what_the_model_cannot_read_is_told_alone_and_counts_as_undecided_where_it_is_a_rest(folder: Path) -> None:
    """A tokenizer that drops snowmen."""
    predictor = Predictor.load(folder, batch_size=2)
    predictor.tokenizer.backend_tokenizer.normalizer = normalizers.Replace("☃", "")
    with TestClient(make_app(predictor, replace(LIMITS, wait_ms=AN_HOUR))) as client, ThreadPoolExecutor(2) as threads:
        requests = [{"texts": [text]} for text in ("☃", "Fine.")]
        answers = list(threads.map(lambda request: client.post("/predict", json=request), requests))
    assert [answer.status_code for answer in answers] == [422, 200]
    assert "no token" in answers[0].json()["error"]
    with TestClient(make_app(predictor, LIMITS)) as client:
        [prediction] = ask(client, "Fine ☃", attribution=True)["predictions"]
    weights = [entry["weight"] for entry in prediction["attribution"]]
    positive = predictor(["Fine ☃"])[0].probability_positive
    assert weights[0] == pytest.approx(logit(positive), abs=1e-5)
    assert len(weights) == 2


def test_concurrent_requests_share_calls_and_each_gets_its_own(predictor: Predictor) -> None:
    watched = Watched(replace(predictor, batch_size=12))
    texts = [f"{text} So {word}." for word in ("good", "bad", "dull") for text in TEXTS[:4]]
    with (
        TestClient(make_app(watched, replace(LIMITS, wait_ms=AN_HOUR))) as client,  # type: ignore[arg-type]
        ThreadPoolExecutor(6) as threads,
    ):
        pairs = [texts[place : place + 2] for place in range(0, 12, 2)]
        answers = list(threads.map(lambda pair: ask(client, *pair)["predictions"], pairs))
    assert watched.calls == [12]
    found = [one["probability_positive"] for answer in answers for one in answer]
    expected = [predictor([text])[0].probability_positive for text in texts]
    assert np.abs(np.array(found) - expected).max() < NEAR
    assert np.diff(sorted(expected)).min() > NEAR


def test_too_much_waiting_is_told_with_503_and_all_that_was_taken_is_answered(predictor: Predictor) -> None:
    watched = Watched(replace(predictor, batch_size=1))
    watched.go_on.clear()
    with (
        TestClient(make_app(watched, replace(LIMITS, max_waiting=2))) as client,  # type: ignore[arg-type]
        ThreadPoolExecutor(2) as threads,
    ):
        first = threads.submit(ask, client, "Fine.")
        while not watched.calls:
            pass
        second = threads.submit(ask, client, "Dull.", "Good.")
        while client.get("/health").json()["waiting"] < 2:
            pass
        refused = client.post("/predict", json={"texts": ["Bad."]})
        watched.go_on.set()
        assert [len(asked.result()["predictions"]) for asked in (first, second)] == [1, 2]
        assert len(ask(client, "Bad.")["predictions"]) == 1
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert refused.json() == {"error": "too many texts wait already; try again"}


JSON = {"content-type": "application/json"}
GOOD = '{"texts": ["Fine."]}'


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "told"),
    [
        ("GET", "/predicted", "", {}, 404, "no such path; there are GET /, GET /health, GET /openapi.json"),
        ("GET", "/docs", "", {}, 404, "no such path"),
        ("GET", "/predict", "", {}, 405, "found GET, allowed: POST"),
        ("POST", "/", GOOD, JSON, 405, "found POST, allowed: GET"),
        ("POST", "/predict", GOOD, {}, 415, "found none, must be application/json"),
        ("POST", "/predict", GOOD, {"content-type": "text/plain"}, 415, "found text/plain, must be"),
        ("POST", "/predict", " " * 300_000, JSON, 413, "too large, must be at most 196,128 bytes"),
        ("POST", "/predict", "", JSON, 400, "not JSON: Expecting value"),
        ("POST", "/predict", '{"texts": ["Fine."', JSON, 400, "not JSON: Expecting ',' delimiter"),
        ("POST", "/predict", b'{"texts": ["\xff"]}', JSON, 400, "not JSON: 'utf-8' codec"),
        ("POST", "/predict", '{"texts": [NaN]}', JSON, 400, "NaN is no number of JSON"),
        ("POST", "/predict", "[" * 100_000, JSON, 400, "not JSON: maximum recursion depth"),
        ("POST", "/predict", '"Fine."', JSON, 422, 'as a whole: found "Fine.", must be a mapping'),
        ("POST", "/predict", "{}", JSON, 422, 'texts: missing, must be given (such as ["A fine film."])'),
        ("POST", "/predict", '{"text": ["Fine."]}', JSON, 422, "text: no such key, allowed: texts, attribution (did"),
        ("POST", "/predict", '{"texts": ["a"], "\\ud800": 1}', JSON, 422, "must be text in UTF-8"),
        ("POST", "/predict", '{"texts": "Fine."}', JSON, 422, 'texts: found "Fine.", must be a list'),
        ("POST", "/predict", '{"texts": []}', JSON, 422, "texts: found [], must have a length of at least 1"),
        ("POST", "/predict", f'{{"texts": {["a"] * 9}}}'.replace("'", '"'), JSON, 422, "length of at most 8"),
        ("POST", "/predict", '{"texts": ["Fine.", " \\n"]}', JSON, 422, "text 2: empty text"),
        ("POST", "/predict", '{"texts": ["Fine.", null]}', JSON, 422, "texts.1: found null, must be text"),
        ("POST", "/predict", '{"texts": ["Fine.", 3]}', JSON, 422, "texts.1: found 3, must be text"),
        ("POST", "/predict", '{"texts": ["\\ud800"]}', JSON, 422, 'texts.0: found "\ud800", must be text in UTF-8'),
        ("POST", "/predict", f'{{"texts": ["{"a" * 2001}"]}}', JSON, 422, "2,001, must have at most 2,000 char"),
        ("POST", "/predict", '{"texts": ["a"], "attribution": "yes"}', JSON, 422, 'attribution: found "yes", must be'),
    ],
)  # fmt: skip
def test_a_bad_request_is_told_what_was_found_and_what_is_allowed(
    method: str, path: str, body: Any, headers: dict[str, str], status: int, told: str, client: TestClient
) -> None:
    response = client.request(method, path, content=body, headers=headers)
    assert (response.status_code, response.headers["content-type"]) == (status, "application/json")
    assert list(response.json()) == ["error"]
    assert told in response.json()["error"]
    assert len(response.json()["error"]) < 200
    assert "allow" in response.headers or status != 405


def test_json_with_a_charset_is_json(client: TestClient) -> None:
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    assert client.post("/predict", content=GOOD, headers=headers).status_code == 200


def test_a_failure_of_the_server_shows_no_inside(predictor: Predictor) -> None:
    watched = Watched(predictor)
    watched.go_on = None  # type: ignore[assignment]
    with TestClient(make_app(watched, LIMITS), raise_server_exceptions=False) as client:  # type: ignore[arg-type]
        response = client.post("/predict", json={"texts": ["Fine."]})
    assert (response.status_code, response.json()) == (500, {"error": "this server failed; its log says why"})


def test_the_page_needs_nothing_from_elsewhere(client: TestClient, predictor: Predictor) -> None:
    response = client.get("/")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "unsafe" not in response.headers["content-security-policy"]
    assert predictor.revision in response.text
    assert "innerHTML" not in response.text
    addresses = [part.split('"')[0] for part in response.text.replace("href=", "src=").split('src="')[1:]]
    assert len(addresses) == 3
    assert all(address.startswith(("data:", "#", "openapi.json")) for address in addresses)


def test_openapi_describes_the_requests(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert set(paths) == {"/", "/health", "/predict"}
    schema = paths["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert schema["properties"]["texts"]["maxItems"] == LIMITS.max_texts


@pytest.mark.parametrize(("host", "status"), [("localhost:8000", 200), ("[::1]:8000", 200), ("evil.example", 421)])
def test_on_this_machine_it_answers_under_its_own_names_alone(host: str, status: int, predictor: Predictor) -> None:
    with TestClient(make_app(predictor, LIMITS, ("localhost", "127.0.0.1", "::1"))) as client:
        for response in (client.get("/health", headers={"Host": host}), client.get("/", headers={"Host": host})):
            assert response.status_code == status
        refused = client.post("/predict", json={"texts": ["Fine."]}, headers={"Host": host})
    assert refused.status_code == status
    if status == 421:
        assert refused.json()["error"].startswith("Host: found evil.example, allowed: localhost, 127.0.0.1, ::1")


def test_a_path_with_a_slash_behind_it_is_another_path(client: TestClient) -> None:
    assert client.post("/predict/", json={"texts": ["Fine."]}).status_code == 404

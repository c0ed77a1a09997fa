"""The command serve: the process as it is started, asked by programs and by a person with a browser, and ended."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from sentiment.cli import serve
from sentiment.cli.options import Options
from sentiment.cli.serve import listen
from sentiment.inference.predictor import Predictor
from sentiment.pipeline.errors import InputError
from tests.chromium import Chromium, needs_chromium
from tests.conftest import ROOT, TEXTS, help_of, parsed_by
from tests.inference.test_predictor import ROUNDING, finetuned

COMMAND = [sys.executable, "-m", "sentiment", "serve"]
HOSTILE = '<img src=x onerror="window.hacked=1"> <script>window.hacked=1</script> it\'s "fine" 😀 & good.'
JSON = {"Content-Type": "application/json"}
CTRL, TAB, ENTER = 2, 9, 13


@contextmanager
def serving(folder: Path, *words: object) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Start the command on a free port; give its address and its process, and end it."""
    command = [*COMMAND, "--model", folder, "--port", 0, "--threads", 1, *words]
    with subprocess.Popen([*map(str, command)], cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        line = process.stderr.readline()
        assert " answers with sha256:" in line, line + process.stderr.read()
        try:
            yield line.split()[0], process
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def folder(tiny_models: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fine-tuned folder that no test changes."""
    return finetuned(tiny_models("gpt2"), tmp_path_factory.mktemp("finetuned") / "gpt2")


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with serving(folder, "--max-characters", 500) as (address, _):
        yield address


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("profile")) as chromium:
        yield chromium


def connect(address: str) -> closing[http.client.HTTPConnection]:
    return closing(http.client.HTTPConnection(urlsplit(address).netloc))


def exchange(address: str, method: str, path: str, content: Any = None, **headers: str) -> tuple[int, Any]:
    """Ask as a program does; give the status and what the JSON holds."""
    with connect(address) as connection:
        connection.request(method, path, json.dumps(content), {**JSON, **headers})
        response = connection.getresponse()
        return response.status, json.load(response)


def post(address: str, content: Any) -> Any:
    """Give the answer to a good request."""
    status, answer = exchange(address, "POST", "/predict", content)
    assert status == 200, answer
    return answer


@pytest.mark.slow
def test_a_program_gets_the_predictors_answers(address: str, folder: Path) -> None:
    predictor = Predictor.load(folder)
    _, health = exchange(address, "GET", "/health")
    assert (health["status"], health["model_revision"]) == ("ok", predictor.revision)
    assert (health["max_texts"], health["max_characters"]) == (64, 500)
    answer = post(address, {"texts": TEXTS, "attribution": True})
    for found, expected in zip(answer["predictions"], predictor(TEXTS), strict=True):
        assert found["predicted"] == expected.label
        assert found["probability_positive"] == pytest.approx(expected.probability_positive, abs=ROUNDING)
        assert found["attribution"]


@pytest.mark.slow
def test_a_body_too_large_is_refused_before_it_is_sent(address: str) -> None:
    status, answer = exchange(address, "POST", "/predict", **{"Content-Length": "1000000000"})
    assert status == 413
    assert "at most" in answer["error"]
    assert post(address, {"texts": ["Fine."]})["predictions"]


@pytest.mark.slow
def test_who_hangs_up_harms_nobody(folder: Path) -> None:
    """Before the body has come, and before the answer has."""
    with serving(folder, "--wait-ms", 200) as (address, process):
        for length in ("1000", "20"):
            with connect(address) as connection:
                connection.request("POST", "/predict", b'{"texts": ["Fine."]}', {**JSON, "Content-Length": length})
        assert post(address, {"texts": ["Fine."]})["predictions"]
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0
        assert process.stderr
        assert process.stderr.read() == ""


@pytest.mark.slow
def test_a_port_in_use_is_told_before_the_model_is_loaded(address: str) -> None:
    port = urlsplit(address).port
    command = [*COMMAND, "--model", "no/such/folder", "--port", str(port)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"error: port {port} is in use; choose another with --port, or 0 for a free one\n"


@pytest.mark.slow
def test_what_was_asked_before_the_end_is_answered_and_the_end_is_quiet(folder: Path) -> None:
    with serving(folder, "--wait-ms", 2000) as (address, process), connect(address) as connection:
        connection.request("POST", "/predict", '{"texts": ["Fine."]}', JSON)
        exchange(address, "GET", "/health")  # asked later: when it is answered, the request before has been taken
        process.send_signal(signal.SIGINT)
        assert json.load(connection.getresponse())["predictions"][0]["predicted"] in ("negative", "positive")
        assert process.wait() == 0
        assert process.stderr
        assert process.stderr.read() == ""


@pytest.mark.slow
@needs_chromium
def test_a_person_types_a_text_and_sees_the_coloured_words(address: str, chromium: Chromium, folder: Path) -> None:
    chromium.open(address)
    assert chromium.run("document.querySelector('#result').hidden")
    write(chromium, TEXTS[2])
    chromium.click("button")
    wait_for_answer(chromium)
    assert chromium.run("document.querySelector('#words').textContent") == TEXTS[2]
    [expected] = post(address, {"texts": [TEXTS[2]], "attribution": True})["predictions"]
    assert chromium.run("document.querySelector('#label').textContent") == str(expected["predicted"]).capitalize()
    percent = f"{100 * expected['probability_positive']:.1f} %"
    assert percent in chromium.run("document.querySelector('#probability').textContent")
    words = chromium.run("[...document.querySelectorAll('#words span')].map(word => word.textContent)")
    assert words == [entry["text"] for entry in expected["attribution"]]
    numbers = chromium.run("[...document.querySelectorAll('tbody td:last-child')].map(cell => cell.textContent)")
    weights = sorted((entry["weight"] for entry in expected["attribution"]), key=abs, reverse=True)
    assert numbers == [f"{weight:+.2f}".replace("-", "\N{MINUS SIGN}") for weight in weights]
    assert chromium.said == []


@pytest.mark.slow
@needs_chromium
def test_words_are_coloured_by_sign_and_size_and_not_by_colour_alone(address: str, chromium: Chromium) -> None:
    weights = {"good": 2.0, "fine": 1.0, "dull": -2.0, "is": 0.001, "the": 0.0}
    entries, text = [], ""
    for word, weight in weights.items():
        entries.append({"text": word, "start": len(text) + 1, "end": len(text) + 1 + len(word), "weight": weight})
        text += f"😀{word}"  # one letter to Python, two to JavaScript
    answer = [{"predicted": "positive", "probability_positive": 0.9, "text": text, "attribution": entries}]
    chromium.open(address)
    answer_with(chromium, {"predictions": answer})
    write(chromium, text)
    chromium.click("button")
    wait_for_answer(chromium)
    assert chromium.run("document.querySelector('#words').textContent") == text
    look = (
        "word => { const style = getComputedStyle(word); return {name: word.textContent, title: word.title,"
        " line: `${style.textDecorationLine} ${style.textDecorationStyle}`, colour: style.backgroundColor} }"
    )
    found = chromium.run(f"[...document.querySelectorAll('#words span')].map({look})")
    seen = {word.pop("name"): word for word in found}
    assert list(seen) == list(weights)
    assert [word["line"] for word in seen.values()] == [
        "underline solid", "underline solid", "underline dashed", "none solid", "none solid"
    ]  # fmt: skip
    assert [word["title"] for word in seen.values()] == [
        "+2.00 speaks for positive", "+1.00 speaks for positive", "\N{MINUS SIGN}2.00 speaks for negative",
        "+0.00 hardly matters", "+0.00 hardly matters",
    ]  # fmt: skip
    good, fine, dull, plain, other = (colour(word["colour"]) for word in seen.values())
    assert plain == other == [0, 0, 0, 0]
    assert good[:3] == pytest.approx(fine[:3], abs=0.01)
    assert good[3] == pytest.approx(2 * fine[3], abs=0.01)
    assert good[2] > good[0]  # blue
    assert dull[0] > dull[2]  # orange


def write(chromium: Chromium, text: str) -> None:
    """Type into the page as it is opened: the field for the text has the focus."""
    chromium.type(text)
    assert chromium.run("document.querySelector('#text').value") == text


def wait_for_answer(chromium: Chromium) -> None:
    chromium.wait_for("!document.querySelector('#result').hidden || document.querySelector('#status.error')")
    assert not chromium.run("document.querySelector('#result').hidden")


def colour(written: str) -> list[float]:
    """Read red, green, blue and alpha, as a browser writes them."""
    numbers = [float(number) for number in re.findall(r"[\d.]+", written)]
    return [*numbers, *[1.0] * (4 - len(numbers))]


def answer_with(chromium: Chromium, content: Any) -> None:
    """Let the page take the server's next answers from here."""
    chromium.run(f"void (fetch = async () => new Response({json.dumps(json.dumps(content))}))")


@pytest.mark.slow
@needs_chromium
def test_the_keyboard_is_enough(address: str, chromium: Chromium) -> None:
    chromium.open(address)
    write(chromium, "Fine.")
    chromium.press("Enter", ENTER, CTRL)
    wait_for_answer(chromium)
    chromium.open(address)
    write(chromium, "Fine.")
    chromium.press("Tab", TAB)
    assert chromium.run("document.activeElement.tagName") == "BUTTON"
    chromium.press("Enter", ENTER)
    wait_for_answer(chromium)


@pytest.mark.slow
@needs_chromium
def test_markup_in_a_text_is_shown_as_text(address: str, chromium: Chromium) -> None:
    """Typed, and in an address that someone was sent."""
    chromium.said.clear()
    for by_address in (False, True):
        chromium.open(address + ("#" + urlencode({"text": HOSTILE}) if by_address else ""))
        if not by_address:
            write(chromium, HOSTILE)
            chromium.click("button")
        wait_for_answer(chromium)
        assert chromium.run("document.querySelector('#words').textContent") == HOSTILE
        assert chromium.run("document.querySelector('#text').value") == HOSTILE
        assert chromium.run("document.querySelectorAll('#result img, #result script, form img').length") == 0
        assert chromium.run("window.hacked ?? null") is None
    assert chromium.said == []


@pytest.mark.slow
@needs_chromium
def test_an_answer_has_an_address_that_gives_it_again(address: str, chromium: Chromium) -> None:
    chromium.open(address)
    write(chromium, TEXTS[3])
    chromium.click("button")
    wait_for_answer(chromium)
    link = chromium.run("location.href")
    seen = chromium.run("document.querySelector('#result').innerText")
    chromium.open(link)
    wait_for_answer(chromium)
    assert chromium.run("document.querySelector('#result').innerText") == seen
    chromium.run("location.hash = 'text=Fine.'")
    chromium.wait_for("document.querySelector('#words').textContent == 'Fine.'")


@pytest.mark.slow
@needs_chromium
def test_the_page_tells_what_the_server_refuses_and_that_a_model_abstains(address: str, chromium: Chromium) -> None:
    chromium.open(address)
    write(chromium, "a " * 300)
    chromium.click("button")
    chromium.wait_for("document.querySelector('#status').classList.contains('error')")
    told = chromium.run("document.querySelector('#status').textContent")
    assert told == "texts.0: found a length of 600, must have at most 500 characters"
    assert chromium.run("document.querySelector('#result').hidden")
    silent = {"predicted": None, "probability_positive": 0.5, "text": "", "attribution": []}
    answer_with(chromium, {"predictions": [silent]})
    chromium.click("button")
    wait_for_answer(chromium)
    assert chromium.run("document.querySelector('#label').textContent") == "Not sure enough to say"
    chromium.run("void (fetch = async () => { throw new TypeError('offline') })")
    chromium.click("button")
    chromium.wait_for("document.querySelector('#result').hidden")
    assert chromium.run("document.querySelector('#status').textContent") == "The server does not answer."


@pytest.mark.slow
@needs_chromium
def test_the_page_fits_a_phone_and_the_dark(address: str, chromium: Chromium) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        chromium.show_as(360, 800, scheme)
        chromium.open(f"{address}#{urlencode({'text': 'x' * 200 + ' ' + TEXTS[5]})}")
        wait_for_answer(chromium)
        assert chromium.run("document.documentElement.scrollWidth <= innerWidth")
        grounds.append(chromium.run("getComputedStyle(document.body).backgroundColor"))
    assert grounds == ["rgb(245, 247, 250)", "rgb(20, 24, 31)"]


def test_help_brings_nothing_heavy() -> None:
    heavy = ("torch", "transformers", "fastapi", "uvicorn", "jinja2", "numpy")
    shown, loaded = help_of("serve", heavy)
    assert loaded == []
    assert "--wait-ms" in shown


def options(*words: str) -> Options:
    return parsed_by(serve, "serve", *words)


def test_the_options_have_defaults_and_bounds(capsys: pytest.CaptureFixture[str]) -> None:
    given = options("--model", "m", "--port", "0")
    assert (given.model, given.host, given.port, given.max_texts) == ("m", "127.0.0.1", 0, 64)
    assert (given.max_characters, given.max_waiting, given.wait_ms, given.batch_size) == (20_000, 1024, 5.0, None)
    for words, told in {
        ("--port", "65536"): "found 65536, must be 0 to 65535",
        ("--wait-ms", "-1"): "must be 0 to 60000",
        ("--wait-ms", "nan"): "must be 0 to 60000",
        ("--max-texts", "0"): "must be at least 1",
    }.items():
        with pytest.raises(SystemExit):
            options(*words)
        assert told in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["fastapi", "uvicorn"])
def test_what_is_not_installed_is_named_with_the_command(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(InputError, match=rf"not installed .*: {missing}; .*`pip install -r requirements-serve\.txt`"):
        serve.run(options())
    assert (ROOT / serve.REQUIREMENTS).is_file()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_a_free_port_is_taken_and_a_taken_one_is_told(host: str) -> None:
    with listen(host, 0) as listener:
        number = listener.getsockname()[1]
        assert number > 0
        with pytest.raises(InputError, match=f"^port {number} is in use; choose another"):
            listen(host, number)


def test_a_host_that_is_not_here_is_told() -> None:
    with pytest.raises(InputError, match=r"--host 192\.0\.2\.1 --port 8000: "):
        listen("192.0.2.1", 8000)

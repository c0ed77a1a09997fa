"""The command `serve`: a page and a JSON endpoint for one model, on this machine.

GET / is the page, also with a text in its address (/#text=A+fine+film.); POST /predict takes {"texts": ["..."]}, with
"attribution": true also for what each word did; GET /health says what runs. There is no password: who can reach
the port can ask.
"""

from __future__ import annotations

import argparse
import errno
import socket
from contextlib import suppress

from sentiment.cli.options import Commands, Options, add_command, add_model_options, count, load_predictor, say_caution
from sentiment.pipeline.errors import InputError, require
from sentiment.pipeline.progress import say

LOOPBACK = ("localhost", "127.0.0.1", "::1")  # names of this machine, and under which the service there answers
PACKAGES, REQUIREMENTS = ("fastapi", "uvicorn"), "requirements-serve.txt"


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    about = "Answer on a page and a JSON endpoint, with what each word did."
    parser = add_command(commands, "serve", run, about, __doc__)
    add = parser.add_argument
    add_model_options(parser)
    add("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine alone)")
    add("--port", type=port, default=8000, help="port to listen on; 0 for any free one (default: 8000)")
    add("--max-texts", type=count, default=64, help="the most texts of a request (default: 64)")
    add("--max-characters", type=count, default=20_000, help="the most characters of a text (default: 20000)")
    add("--max-waiting", type=count, default=1024, help="the most texts that may wait in all (default: 1024)")
    add("--wait-ms", type=milliseconds, default=5.0, help="how long a text waits for others to be scored with (5)")


def port(word: str) -> int:
    """Read a port's number."""
    number = int(word)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"found {number}, must be 0 to 65535")
    return number


def milliseconds(word: str) -> float:
    """Read a time of at most a minute."""
    number = float(word)
    if not 0 <= number <= 60_000:
        raise argparse.ArgumentTypeError(f"found {word}, must be 0 to 60000")
    return number


def listen(host: str, port: int) -> socket.socket:
    """Take the port, before the model is loaded; who connects meanwhile waits.

    Raises:
        InputError: it is in use, not allowed, or the host is not this machine.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        busy = error.errno == errno.EADDRINUSE
        problem = f"port {port} is in use" if busy else f"--host {host} --port {port}: {error.strerror}"
        raise InputError(f"{problem}; choose another with --port, or 0 for a free one") from error


def run(options: Options) -> None:
    """Serve until the process has to end; what came before that is answered.

    Raises:
        InputError: the model or a choice cannot be used.
    """
    require(PACKAGES, REQUIREMENTS)
    import uvicorn

    # Ctrl+C, which uvicorn raises again when all is answered
    with suppress(KeyboardInterrupt), listen(options.host, options.port) as listener:
        predictor = load_predictor(options)
        say_caution(predictor.manifest)

        from sentiment.serving.app import make_app
        from sentiment.serving.schema import Limits

        limits = Limits(options.max_texts, options.max_characters, options.max_waiting, options.wait_ms)
        app = make_app(predictor, limits, LOOPBACK if options.host in LOOPBACK else None)
        host = f"[{options.host}]" if ":" in options.host else options.host
        say(f"http://{host}:{listener.getsockname()[1]}/ answers with {predictor.revision}; Ctrl+C ends it")
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
        server.run(sockets=[listener])

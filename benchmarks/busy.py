"""What is left of a training step's speed when another job takes one core.

`python -m benchmarks.busy --texts rt=train.csv --model folder`. Each setting is measured alone and beside a process
that never waits. A scheduler that treats all alike leaves two threads on two cores two thirds of their time then, and
one thread all of it. `active` is what OpenMP's threads do by default while they wait: they keep their core.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks import material, training
from benchmarks.harness import interleave, medians, parser, publish, run_child, run_here
from sentiment.pipeline.errors import exit_on_input_error

COLUMNS = ("texts", "threads", "waiting", "tokens_per_second_alone", "tokens_per_second_busy", "left", "fair_share")
VARIANT = "head, ours"


def fair_share(threads: int, cores: int) -> float:
    """Give the share of their time that threads keep beside one more, when a scheduler treats all alike."""
    return min(1.0, cores / (threads + 1))


def _spin() -> None:
    """Keep a core busy."""
    while True:
        pass


@contextmanager
def other_job(running: bool) -> Iterator[None]:
    """Let a process that never waits run beside what happens in the context."""
    job = multiprocessing.get_context("spawn").Process(target=_spin, daemon=True)
    if running:
        job.start()
    try:
        yield
    finally:
        if running:
            job.terminate()
            job.join()


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Measure training steps once, alone or beside another job; the round is run in a process of its own.

    Args:
        request: the request of `training.measure`, and busy, waiting (OMP_WAIT_POLICY) and small.
    """
    setting = {key: value for key, value in request.items() if key not in ("busy", "waiting", "small")}
    before = os.environ.get("OMP_WAIT_POLICY")
    os.environ["OMP_WAIT_POLICY"] = request["waiting"]
    try:
        with other_job(request["busy"]):
            return (run_here if request["small"] else run_child)(training.measure, setting)
    finally:
        os.environ.pop("OMP_WAIT_POLICY")
        os.environ.update({} if before is None else {"OMP_WAIT_POLICY": before})


def main() -> None:
    """Measure one thread, and as many threads as requested, under both wait policies."""
    commands = parser(__doc__ or "", rounds=3)
    commands.add_argument("--steps", type=int, default=5, help="steps measured in each round")
    commands.add_argument("--batch-size", type=int, default=8, help="reviews per step")
    arguments = commands.parse_args()
    if arguments.small:
        arguments.rounds = arguments.steps = arguments.threads = 1
    ways = [(1, "passive"), *((arguments.threads, way) for way in ("passive", "active") if arguments.threads > 1)]
    rows, rounds = [], {}
    with tempfile.TemporaryDirectory() as work:
        made = material.made(arguments, work, classifier=False)
        for texts in made["sets"]:
            shared = {
                **training.shared_setting(made, texts, work, arguments),
                "variant": VARIANT,
                "small": arguments.small,
            }
            requests = {
                f"{threads} {waiting} {'busy' if busy else 'alone'}": {
                    **shared, "threads": threads, "waiting": waiting, "busy": busy,
                }
                for threads, waiting in ways for busy in (False, True)
            }  # fmt: skip
            rounds[texts] = interleave(measure, requests, arguments.rounds, small=True)  # it starts its own children
            speed = {name: medians(some)["tokens_per_second"] for name, some in rounds[texts].items()}
            rows += [row(texts, threads, waiting, speed) for threads, waiting in ways]
    publish("busy", arguments, rows, COLUMNS, texts=made["sets"], rounds=rounds)


def row(texts: str, threads: int, waiting: str, speed: dict[str, float]) -> dict[str, Any]:
    """Set a way's speeds side by side, in tokens per second."""
    alone, busy = (speed[f"{threads} {waiting} {state}"] for state in ("alone", "busy"))
    return {
        "texts": texts,
        "threads": threads,
        "waiting": waiting,
        "tokens_per_second_alone": alone,
        "tokens_per_second_busy": busy,
        "left": busy / alone,
        "fair_share": fair_share(threads, os.cpu_count() or 1),
    }


if __name__ == "__main__":
    exit_on_input_error(main)

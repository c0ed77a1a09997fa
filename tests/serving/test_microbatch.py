"""Many askers, few calls: who gets which answer, what fails alone, and when no more is taken."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence

import pytest

from sentiment.serving.microbatch import BusyError, MicroBatcher

AN_HOUR = 3600.0  # so that a batch ends because it is full


class Upper:
    """Answers with the text in capitals, and remembers its calls."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.threads: set[int] = set()
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self, texts: list[str]) -> Sequence[str]:
        self.calls.append(texts)
        self.threads.add(threading.get_ident())
        self.go_on.wait()
        if "bad" in texts:
            raise ValueError("a bad text")
        return [text.upper() for text in texts]


def started(
    score: Upper, test: Callable[[MicroBatcher[str]], Awaitable[None]], batch_size: int = 4, **choices: float
) -> None:
    """Run a test within a batcher."""

    async def run() -> None:
        settings = {"wait_seconds": AN_HOUR, "capacity": 100, **choices}
        async with MicroBatcher(score, batch_size, settings["wait_seconds"], int(settings["capacity"])) as batcher:
            await test(batcher)

    asyncio.run(run())


async def begin(*asking: Awaitable[list[str | Exception]]) -> list[asyncio.Task[list[str | Exception]]]:
    """Let askers ask, without waiting for their answers."""
    tasks = [asyncio.ensure_future(ask) for ask in asking]
    await asyncio.sleep(0)
    return tasks  # type: ignore[return-value]


def test_what_several_ask_is_scored_at_once_and_each_gets_its_own_in_order() -> None:
    score = Upper()

    async def test(batcher: MicroBatcher[str]) -> None:
        answers = await asyncio.gather(batcher.ask(["b", "a"]), batcher.ask(["d"]), batcher.ask(["c"]))
        assert answers == [["B", "A"], ["D"], ["C"]]

    started(score, test, batch_size=4)
    assert score.calls == [["b", "a", "d", "c"]]


def test_a_batch_that_is_not_full_is_scored_when_the_wait_is_over() -> None:
    for wait_seconds in (0.0, 0.001):
        score = Upper()

        async def test(batcher: MicroBatcher[str]) -> None:
            assert await batcher.ask(["a", "b"]) == ["A", "B"]

        started(score, test, wait_seconds=wait_seconds)
        assert score.calls == [["a", "b"]]


def test_many_texts_are_scored_in_batches_by_one_thread_that_is_not_the_loops() -> None:
    score = Upper()

    async def test(batcher: MicroBatcher[str]) -> None:
        texts = [f"t{number}" for number in range(9)]
        assert await batcher.ask(texts) == [text.upper() for text in texts]

    started(score, test, batch_size=4, wait_seconds=0.001)
    assert [len(call) for call in score.calls] == [4, 4, 1]
    assert len(score.threads) == 1
    assert threading.get_ident() not in score.threads


def test_the_error_of_one_text_is_no_others() -> None:
    score = Upper()

    async def test(batcher: MicroBatcher[str]) -> None:
        [good], [bad, other] = await asyncio.gather(batcher.ask(["a"]), batcher.ask(["bad", "b"]))
        assert (good, other) == ("A", "B")
        assert isinstance(bad, ValueError)

    started(score, test, batch_size=3)
    assert score.calls == [["a", "bad", "b"], ["a"], ["bad"], ["b"]]


def test_while_a_batch_is_scored_others_wait_up_to_the_capacity() -> None:
    score = Upper()
    score.go_on.clear()

    async def test(batcher: MicroBatcher[str]) -> None:
        tasks = await begin(batcher.ask(["scored"]))
        while not score.calls:
            await asyncio.sleep(0)
        tasks += await begin(batcher.ask(["a", "b"]))
        assert batcher.waiting == 2
        with pytest.raises(BusyError):
            await batcher.ask(["c", "d"])
        tasks += await begin(batcher.ask(["c"]))
        with pytest.raises(BusyError):
            await batcher.ask(["d"])
        score.go_on.set()
        assert await asyncio.gather(*tasks) == [["SCORED"], ["A", "B"], ["C"]]
        assert await batcher.ask(["d"]) == ["D"]

    started(score, test, batch_size=1, capacity=3)


def test_who_leaves_before_the_answer_harms_nobody() -> None:
    score = Upper()
    score.go_on.clear()

    async def test(batcher: MicroBatcher[str]) -> None:
        first, second = await begin(batcher.ask(["a"]), batcher.ask(["b"]))
        while not score.calls:
            await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        score.go_on.set()
        assert await second == ["B"]
        assert await batcher.ask(["c"]) == ["C"]

    started(score, test, batch_size=2, wait_seconds=0.0)


def test_what_still_waits_at_the_end_is_answered() -> None:
    score, tasks = Upper(), []

    async def test(batcher: MicroBatcher[str]) -> None:
        tasks.extend(await begin(batcher.ask(["a", "b", "c"])))

    started(score, test, batch_size=2, wait_seconds=0.001)
    assert tasks[0].result() == ["A", "B", "C"]

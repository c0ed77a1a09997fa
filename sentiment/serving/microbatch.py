"""Answer many askers at once: what they ask within a few milliseconds of each other is scored in one call.

All scoring is done in one thread of its own, so that the event loop stays free and the model is never run twice at the
same time. Same idea as dynamic batching in NVIDIA's Triton and in Clipper, Crankshaw et al. 2017,
https://arxiv.org/abs/1612.03079, section 4.3.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class BusyError(Exception):
    """So much waits already that no more is taken."""


class MicroBatcher(Generic[Answer]):
    """Gathers texts and hands out answers; `async with` starts it, and answers what still waits before it ends."""

    def __init__(
        self, score: Callable[[list[str]], Sequence[Answer]], batch_size: int, wait_seconds: float, capacity: int
    ) -> None:
        """Prepare; nothing runs yet.

        Args:
            score: gives one answer for each text, in their order; called in one thread, never twice at a time.
            batch_size: the most texts of one call.
            wait_seconds: how long the first text of a batch waits for others.
            capacity: the most texts that may wait; those being scored do not count.
        """
        self.score, self.batch_size, self.wait_seconds, self.capacity = score, batch_size, wait_seconds, capacity
        self._queue: asyncio.Queue[tuple[str, asyncio.Future[Answer | Exception]]] = asyncio.Queue()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="score")

    @property
    def waiting(self) -> int:
        """Number of texts that wait."""
        return self._queue.qsize()

    async def ask(self, texts: Sequence[str]) -> list[Answer | Exception]:
        """Wait for the answers to some texts.

        Returns:
            For each text its answer, or the error that scoring it alone raised: one text's error is no other's.

        Raises:
            BusyError: there is no room for so many texts now; none of them is taken.
        """
        if self.waiting + len(texts) > self.capacity:
            raise BusyError
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[Answer | Exception]] = [loop.create_future() for _ in texts]
        for entry in zip(texts, futures, strict=True):
            self._queue.put_nowait(entry)
        return await asyncio.gather(*futures)

    async def __aenter__(self) -> MicroBatcher[Answer]:
        """Start."""
        self._work = asyncio.create_task(self._answer_all())
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Answer what still waits, then stop."""
        await self._queue.join()
        self._work.cancel()
        await asyncio.wait([self._work])
        self._thread.shutdown()

    async def _answer_all(self) -> None:
        """Score batch after batch."""
        loop = asyncio.get_running_loop()
        while True:
            texts, futures = zip(*await self._gather(), strict=True)
            outcomes = await loop.run_in_executor(self._thread, self._outcomes, list(texts))
            for future, outcome in zip(futures, outcomes, strict=True):
                if not future.done():  # done: the client has gone
                    future.set_result(outcome)
                self._queue.task_done()

    async def _gather(self) -> list[tuple[str, asyncio.Future[Answer | Exception]]]:
        """Wait for a text, and then a little for others."""
        batch = [await self._queue.get()]
        with suppress(TimeoutError):  # then it is time to score those that came
            async with asyncio.timeout(self.wait_seconds):
                while len(batch) < self.batch_size:
                    batch.append(await self._queue.get())
        return batch

    def _outcomes(self, texts: list[str]) -> list[Answer | Exception]:
        """Score texts together; each alone where that fails, so that the others have their answers."""
        try:
            return list(self.score(texts))
        except Exception as error:
            if len(texts) == 1:
                return [error]
            return [outcome for text in texts for outcome in self._outcomes([text])]

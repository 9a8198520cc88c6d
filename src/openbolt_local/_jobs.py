"""Work that goes to threads, and what becomes of it back on the event loop.

Law: threads are woken once for all that a turn of the loop gave them, and a loop once for all that
a thread has done together. Waking costs more than most works here. A job is told of once, whatever
becomes of who waits.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

__all__ = ["Job", "JobQueue", "Workers", "deliver"]

T = TypeVar("T")


class Job(Generic[T]):
    """A function to be called in a thread, made on the event loop that waits for it."""

    __slots__ = ("_error", "_result", "_settled", "_work", "future", "loop")

    def __init__(self, work: Callable[..., T], /) -> None:
        self._work = work
        self._result: Any = None
        self._error: BaseException | None = None
        self._settled = False
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[T] = self.loop.create_future()

    async def outcome(self) -> T:
        """What the work returns or raises; when cancelled, wait until it is over all the same."""
        try:
            return await self.future
        except asyncio.CancelledError:
            while not self._settled:
                self.future = self.loop.create_future()
                with suppress(asyncio.CancelledError, Exception):
                    await self.future
            raise

    def attempt(self, *arguments: Any) -> None:
        """In the thread: do the work, and let what it raises through."""
        self._result = self._work(*arguments)

    def fail(self, exc: BaseException) -> None:
        """In the thread: let it end with an error."""
        self._error = exc

    def settle(self) -> None:
        """On the loop again: tell whoever waits."""
        self._settled = True
        # They aren't held any longer: a result may be large, an error's traceback hold this job.
        result, self._result = self._result, None
        error, self._error = self._error, None
        if self.future.done():  # cancelled
            return
        if error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(error)


class JobQueue:
    """Jobs on their way from event loops to threads."""

    def __init__(self) -> None:
        self._given: dict[asyncio.AbstractEventLoop, list[Job[Any]]] = {}
        self._jobs: SimpleQueue[Job[Any] | None] = SimpleQueue()

    def submit(self, work: Callable[..., T], /) -> Job[T]:
        """Have ``work`` done after what was submitted before."""
        job = Job(work)
        given = self._given.setdefault(job.loop, [])
        if not given:
            # At the end of this turn: while Python runs here, a thread could do nothing yet.
            job.loop.call_soon(self._hand_over, job.loop)
        given.append(job)
        return job

    def get(self) -> Job[Any] | None:
        """In a thread: the next job, once there is one; None at the end."""
        return self._jobs.get()

    @property
    def is_empty(self) -> bool:
        """In the only thread: whether `get` would wait."""
        return self._jobs.empty()

    def end(self, threads: int, /) -> None:
        """Let so many threads come to their end after what was submitted."""
        for loop in list(self._given):
            self._hand_over(loop)
        for _ in range(threads):
            self._jobs.put(None)

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        for job in self._given.pop(loop, ()):
            self._jobs.put(job)


class Workers:
    """Threads for works that block; they end with this object.

    Args:
        most: Threads at once; they are started as works come.
    """

    def __init__(self, name: str, most: int) -> None:
        self._name = name
        self._most = most
        self._queue = JobQueue()
        self._threads: list[threading.Thread] = []
        weakref.finalize(self, _end, self._queue, self._threads)

    def submit(self, work: Callable[[], T], /) -> Job[T]:
        """Have ``work`` done by one of the threads."""
        if len(self._threads) < self._most:
            thread = threading.Thread(
                target=_serve, args=(self._queue,), name=self._name, daemon=True
            )
            self._threads.append(thread)
            thread.start()
        return self._queue.submit(work)


def deliver(jobs: Iterable[Job[Any]], /) -> None:
    """Tell of jobs that are over, from their thread: one call for each loop, usually one."""
    loops: dict[asyncio.AbstractEventLoop, list[Job[Any]]] = {}
    for job in jobs:
        loops.setdefault(job.loop, []).append(job)
    for loop, its in loops.items():
        with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits
            loop.call_soon_threadsafe(_settle, its)


def _settle(jobs: list[Job[Any]]) -> None:
    for job in jobs:
        job.settle()


def _serve(queue: JobQueue) -> None:
    while (job := queue.get()) is not None:
        try:
            job.attempt()
        except BaseException as exc:
            job.fail(exc)
        deliver([job])
        del job


def _end(queue: JobQueue, threads: list[threading.Thread]) -> None:
    queue.end(len(threads))

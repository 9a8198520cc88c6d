"""A handler's lifetime in an event loop: opened once, used by many, closed when its work is done.

Laws: opening and closing happen in one task that belongs to no request; and what a request spawns
is held, its failures are logged, and it ends before what it works with is closed.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any

from openbolt.http import Handler

__all__ = ["Lifetime", "Work", "current_task"]

_log = logging.getLogger("openbolt")

# How long work that was cancelled at shutdown may take to end, in seconds.
_CANCEL_LIMIT = 5.0


def current_task() -> asyncio.Task[Any]:
    """The task that runs this; there is one."""
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("This has to run in an asyncio task.")
    return task


class Lifetime:
    """From opening a handler to having closed it; begins when it is made.

    In a task of its own, since task groups and cancel scopes must be left by the task that entered
    them, and since the request that happens to come first may be cancelled.

    Args:
        open_handler: Entered once.
        grace: Seconds that work may take at the end before it is cancelled.
    """

    def __init__(
        self,
        open_handler: Callable[[], AbstractAsyncContextManager[Handler]],
        /,
        *,
        grace: float,
    ) -> None:
        self.work = Work()
        self.is_closing = False
        self._handler: Handler | None = None
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._opened: asyncio.Future[Handler] = self._loop.create_future()
        # An empty context: the first request's (a trace, for instance) isn't the application's.
        self._owner = self._loop.create_task(
            self._own(open_handler, grace), context=contextvars.Context()
        )

    @property
    def is_over(self) -> bool:
        """Closed, or failed to open."""
        return self._owner.done()

    @property
    def open_handler(self) -> Handler | None:
        """The handler, to be called right now; None in another event loop, or if it isn't open."""
        return self._handler if self._loop is asyncio.get_running_loop() else None

    def check_loop(self) -> None:
        """Raise `RuntimeError` in any event loop but its own."""
        if self._loop is not asyncio.get_running_loop():
            raise RuntimeError(
                "This openbolt app was opened in another event loop and not closed there. Use one "
                "app for each loop, or await its aclose() in the loop that opened it."
            )

    async def handler(self) -> Handler:
        """The handler, once it is open; whatever kept it from opening is raised."""
        if self._opened.done():
            return self._opened.result()
        return await asyncio.shield(self._opened)

    async def over(self) -> None:
        """Wait until it is over, however it ended."""
        await asyncio.wait([self._owner])

    async def end(self) -> None:
        """Drain the work and close the handler; what closing raises is raised."""
        self._stop.set()
        await asyncio.shield(self._owner)

    async def _own(
        self, open_handler: Callable[[], AbstractAsyncContextManager[Handler]], grace: float
    ) -> None:
        try:
            async with open_handler() as handler:
                self._handler = handler
                self._opened.set_result(handler)
                await self._stop.wait()
                await self.work.drain(grace)
                self._close()
        except asyncio.CancelledError:
            self._opened.cancel()
            raise
        except Exception as error:
            if self._opened.done():
                raise
            self._opened.set_exception(error)
        finally:
            self._close()

    def _close(self) -> None:
        self.is_closing = True
        self._handler = None


class Work:
    """The tasks that are waited for at the end: requests, and what they spawned."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def begin(self, task: asyncio.Task[Any], /) -> None:
        """Count a request's task as work, until it is ended."""
        self._tasks.add(task)

    def end(self, task: asyncio.Task[Any], /) -> None:
        """Count it no more."""
        self._tasks.discard(task)

    def spawn(self, coroutine: Coroutine[Any, Any, None], /) -> None:
        """Run a coroutine beside the request."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _log.error("Work beside a request failed: %s", error, exc_info=error)

    async def drain(self, grace: float, /) -> None:
        """Wait for all work, also what it spawns; cancel what is left after ``grace`` seconds."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + grace
        while self._tasks and (left := deadline - clock()) > 0:
            await asyncio.wait(self._tasks, timeout=left)
        late = set(self._tasks)
        if not late:
            return
        _log.warning("%d tasks went on for over %g s and are cancelled.", len(late), grace)
        for task in late:
            task.cancel()
        _, stuck = await asyncio.wait(late, timeout=_CANCEL_LIMIT)
        for task in stuck:
            _log.error("A cancelled task goes on: %r", task)

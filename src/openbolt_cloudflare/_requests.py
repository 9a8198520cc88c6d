"""Every step of a task runs in the request that the task belongs to.

The runtime ties streams, calls and timers to the request that opened them and lets no other touch
them (https://developers.cloudflare.com/workers/observability/errors/#cannot-perform-io-on-behalf-of-a-different-request).
asyncio knows nothing of requests: a future that one request resolves, or a task that it cancels,
would go on right there. Law: what one request does to a task of another waits until the other looks
for it, within `LOOK` seconds; so events, locks and cancelling work among the requests of an isolate
as they do on a server, a little later.

Only inside a Worker: its event loop is one that the runtime turns.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar
from functools import partial
from typing import Any, cast

__all__ = ["LOOK", "WorkerRequest", "keep_requests_apart"]

LOOK = 0.05
"""Seconds after which a request looks for what others have left."""

_running: ContextVar[WorkerRequest | None] = ContextVar("openbolt_worker_request", default=None)


class WorkerRequest:
    """One request; made in the task that answers it."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._left: deque[Callable[[], object]] = deque()
        _running.set(self)

    def begin(self, coroutine: Coroutine[Any, Any, None], /) -> asyncio.Task[None]:
        """Run a coroutine as a task of this request."""
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def leave(self, schedule: Callable[[], object], /) -> None:
        """Have this request itself schedule something."""
        self._left.append(schedule)

    async def attend(self) -> None:
        """Schedule what others have left, until every task has ended."""
        while self._tasks:
            await asyncio.wait(self._tasks, timeout=LOOK)
            while self._left:
                self._left.popleft()()


def keep_requests_apart(loop: asyncio.AbstractEventLoop, /) -> None:
    """Make a loop mind whose step it is that it schedules; harmless a second time."""
    at_once = loop.call_soon
    if getattr(at_once, "func", None) is not _call_soon:
        # Every step of a task passes here, with the task's context.
        cast("Any", loop).call_soon = partial(_call_soon, loop, at_once)


def _call_soon(
    loop: asyncio.AbstractEventLoop,
    at_once: Callable[..., asyncio.Handle],
    callback: Callable[..., object],
    /,
    *args: Any,
    context: Context | None = None,
) -> asyncio.Handle:
    here = _running.get()
    home = here if context is None else context.get(_running)
    # Where no request is running, the runtime has called by itself, and does so in the right one.
    if here is None or home is None or home is here:
        return at_once(callback, *args, context=context)
    handle = asyncio.Handle(callback, args, loop, context)

    def unless_cancelled() -> None:
        if not handle.cancelled():
            callback(*args)

    home.leave(partial(at_once, unless_cancelled, context=context))
    return handle

"""A handler that has not answered yet can learn that its client has hung up."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Coroutine
from typing import Any

import pytest

from openbolt.asgi import serve_handler
from openbolt.http import Handler, Request, Response
from tests.asgi.driving import Body, Opening, Peer, app_of, exchange, scope_of


def gone_of(request: Request) -> asyncio.Future[None]:
    assert request.context.gone is not None
    return asyncio.ensure_future(request.context.gone())


async def test_gone_returns_when_the_client_hangs_up_and_not_before() -> None:
    hung_up, told = asyncio.Event(), asyncio.Event()

    async def handler(request: Request, /) -> Response:
        await request.read(100)
        assert request.context.gone is not None
        waiting = asyncio.ensure_future(request.context.gone())
        done, _ = await asyncio.wait([waiting], timeout=0.05)
        assert not done
        hung_up.set()
        await waiting
        told.set()
        return Response(204)

    messages: list[Any] = [{"type": "http.request", "body": b"x", "more_body": False}]

    async def receive() -> Any:
        if messages:
            return messages.pop(0)
        await hung_up.wait()
        return {"type": "http.disconnect"}

    async def send(_: Any) -> None: ...

    app = serve_handler(Opening(handler))
    async with asyncio.timeout(5):
        await app(scope_of("POST", "/"), receive, send)
        await app.aclose()
    assert told.is_set()


async def test_whoever_asks_has_a_future_of_their_own() -> None:
    peer = Peer()

    async def handler(request: Request, /) -> Response:
        await request.read(100)
        first, second = gone_of(request), gone_of(request)
        first.cancel()
        peer.disconnect()
        await second
        await gone_of(request)  # it is known by now
        return Response(204)

    async with asyncio.timeout(5):
        await exchange(handler, peer)
    assert peer.status == 204


async def test_a_stream_whose_client_left_before_it_began_is_never_asked_for_anything() -> None:
    peer, body = Peer(), Body(b"1")

    async def handler(request: Request, /) -> Response:
        await request.read(100)
        peer.disconnect()
        await gone_of(request)
        return Response(body=body)

    await exchange(handler, peer)
    assert (body.log, peer.chunks) == (["closed"], [])
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)  # no cancellation is left over for what comes next


async def test_when_the_exchange_is_over_nobody_waits_for_the_clients_going_any_more() -> None:
    asked: list[asyncio.Future[None]] = []

    async def handler(request: Request, /) -> Response:
        await request.read(100)
        asked.append(gone_of(request))
        return Response(204)

    await exchange(handler)
    assert asked[0].done()


async def test_a_request_that_was_watched_leaves_nothing_to_the_garbage_collector() -> None:
    bodies: list[weakref.ref[object]] = []

    async def handler(request: Request, /) -> Response:
        bodies.append(weakref.ref(request.body))
        gone_of(request).cancel()
        return Response(body=Body(b"1"))

    gc.disable()
    try:
        await asyncio.create_task(exchange(handler))
        await asyncio.sleep(0)
        assert bodies[0]() is None
    finally:
        gc.enable()


class Tasks:
    """Counts the tasks that a loop makes."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def __call__(
        self,
        loop: asyncio.AbstractEventLoop,
        coroutine: Coroutine[Any, Any, Any],
        **options: Any,
    ) -> asyncio.Task[Any]:
        self.made.append(coroutine.__qualname__)
        return asyncio.Task(coroutine, loop=loop, **options)


@pytest.mark.parametrize(
    ("asks", "body", "tasks"), [(0, b"x", 0), (2, b"x", 1), (0, None, 1), (2, None, 1)]
)
async def test_one_task_at_most_watches_for_the_clients_going(
    asks: int, body: bytes | None, tasks: int
) -> None:
    async def handler(request: Request, /) -> Response:
        await request.read(100)
        for _ in range(asks):
            gone_of(request)
        return Response(body=Body(b"1", b"2") if body is None else body)

    made = await tasks_made(handler)
    assert len(made) == tasks, made


async def tasks_made(handler: Handler) -> list[str]:
    """What is made for one request to an app that is open."""
    app, loop, tasks = app_of(handler), asyncio.get_running_loop(), Tasks()
    await app(scope_of(), Peer().receive, Peer().send)
    loop.set_task_factory(tasks)  # type: ignore[arg-type]
    try:
        peer = Peer()
        await app(scope_of(), peer.receive, peer.send)
    finally:
        loop.set_task_factory(None)
    await app.aclose()
    assert peer.is_whole
    return tasks.made

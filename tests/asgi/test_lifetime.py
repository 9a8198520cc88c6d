"""A handler is opened once, by whatever comes first, and closed once, after its work."""

import asyncio
import contextvars
import gc
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from openbolt.asgi import HandlerApp, serve_handler
from openbolt.errors import ConfigurationError
from openbolt.http import Handler, Request, Response
from tests.asgi.driving import Body, Opening, Peer, answering, scope_of

LIFESPAN = {"type": "lifespan", "asgi": {"version": "3.0"}}


class Server:
    """The lifespan side of a server."""

    def __init__(self, app: HandlerApp) -> None:
        self.sent: list[dict[str, Any]] = []
        self._to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.task = asyncio.create_task(app(LIFESPAN, self._to_app.get, self._from_app.put))

    async def say(self, what: str) -> dict[str, Any]:
        self._to_app.put_nowait({"type": f"lifespan.{what}"})
        return await self._from_app.get()


async def request(app: HandlerApp, **scope: Any) -> Peer:
    peer = Peer()
    await app(scope_of(**scope), peer.receive, peer.send)
    return peer


async def test_lifespan_opens_at_startup_and_closes_at_shutdown() -> None:
    opening = Opening(answering(Response(204)))
    app = serve_handler(opening)
    server = Server(app)
    assert await server.say("startup") == {"type": "lifespan.startup.complete"}
    assert opening.log == ["opening", "opened"]
    assert (await request(app)).status == 204
    assert await server.say("shutdown") == {"type": "lifespan.shutdown.complete"}
    await server.task
    assert opening.log == ["opening", "opened", "closing", "closed"]


async def test_a_configuration_error_stops_the_startup_with_its_own_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @asynccontextmanager
    async def opening() -> AsyncGenerator[Handler]:
        raise ConfigurationError("data is not a folder; set OPENBOLT_DATA.", setting="data")
        yield

    server = Server(serve_handler(opening))
    assert await server.say("startup") == {
        "type": "lifespan.startup.failed",
        "message": "data is not a folder; set OPENBOLT_DATA.",
    }
    await server.task
    assert caplog.records == []


async def test_any_other_error_stops_the_startup_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @asynccontextmanager
    async def opening() -> AsyncGenerator[Handler]:
        raise OSError("no disk")
        yield

    server = Server(serve_handler(opening))
    assert await server.say("startup") == {
        "type": "lifespan.startup.failed",
        "message": "OSError: no disk",
    }
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_an_error_at_closing_is_said_at_shutdown(caplog: pytest.LogCaptureFixture) -> None:
    @asynccontextmanager
    async def opening() -> AsyncGenerator[Handler]:
        yield answering(Response())
        raise OSError("no disk")

    server = Server(serve_handler(opening))
    await server.say("startup")
    assert await server.say("shutdown") == {
        "type": "lifespan.shutdown.failed",
        "message": "OSError: no disk",
    }


async def test_a_server_that_cancels_the_lifespan_closes_the_handler() -> None:
    opening = Opening(answering(Response()))
    server = Server(serve_handler(opening))
    await server.say("startup")
    server.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await server.task
    assert opening.log == ["opening", "opened", "closing", "closed"]


async def test_without_lifespan_any_number_of_first_requests_open_it_once() -> None:
    opening = Opening(answering(Response(204)))
    app = serve_handler(opening)
    peers = await asyncio.gather(*(request(app) for _ in range(50)))
    assert [peer.status for peer in peers] == [204] * 50
    assert opening.log == ["opening", "opened"]
    await app.aclose()
    await app.aclose()
    assert opening.log == ["opening", "opened", "closing", "closed"]


async def test_closing_what_never_opened_does_nothing() -> None:
    opening = Opening(answering(Response()))
    await serve_handler(opening).aclose()
    assert opening.log == []


async def test_a_failed_opening_is_answered_and_tried_again_by_the_next_request(
    caplog: pytest.LogCaptureFixture,
) -> None:
    attempts: list[int] = []

    @asynccontextmanager
    async def opening() -> AsyncGenerator[Handler]:
        attempts.append(1)
        if len(attempts) == 1:
            raise OSError("/secret/path")
        yield answering(Response(204))

    app = serve_handler(opening)
    first, second = await request(app), await request(app)
    assert (first.status, second.status) == (500, 204)
    assert b"secret" not in first.body
    assert len(attempts) == 2
    await app.aclose()


async def test_after_closing_a_request_opens_it_again() -> None:
    opening = Opening(answering(Response()))
    app = serve_handler(opening)
    for _ in range(2):
        await request(app)
        await app.aclose()
    assert opening.log == ["opening", "opened", "closing", "closed"] * 2


async def test_a_request_that_comes_while_it_closes_waits_and_opens_it_again() -> None:
    opening = Opening(answering(Response(204)))
    app = serve_handler(opening)
    await request(app)
    closing = asyncio.create_task(app.aclose())
    while "closing" not in opening.log:
        await asyncio.sleep(0)
    assert (await request(app)).status == 204
    assert opening.log == ["opening", "opened", "closing", "closed", "opening", "opened"]
    await closing
    await app.aclose()


async def test_a_first_request_that_is_cancelled_does_not_stop_the_opening() -> None:
    go_on = asyncio.Event()
    opened: list[str] = []

    @asynccontextmanager
    async def opening() -> AsyncGenerator[Handler]:
        await go_on.wait()
        opened.append("opened")
        yield answering(Response(204))

    app = serve_handler(opening)
    first = asyncio.create_task(request(app))
    second = asyncio.create_task(request(app))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    go_on.set()
    assert (await second).status == 204
    assert opened == ["opened"]
    await app.aclose()


async def test_what_is_opened_may_hold_a_task_group_and_knows_no_request() -> None:
    trace: contextvars.ContextVar[str] = contextvars.ContextVar("trace", default="none")
    seen: list[str] = []

    @asynccontextmanager
    async def opening() -> AsyncGenerator[Handler]:
        seen.append(trace.get())
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0))
            yield answering(Response(204))

    app = serve_handler(opening)
    trace.set("of the first request")
    await asyncio.create_task(request(app))
    await asyncio.create_task(app.aclose())
    assert seen == ["none"]


def test_another_event_loop_is_refused_clearly() -> None:
    app = serve_handler(Opening(answering(Response())))
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(request(app))
        with pytest.raises(RuntimeError, match="opened in another event loop"):
            asyncio.run(request(app))
        with pytest.raises(RuntimeError, match="opened in another event loop"):
            asyncio.run(app.aclose())
        loop.run_until_complete(app.aclose())
    finally:
        loop.close()
    asyncio.run(request(app))


def test_a_loop_that_ends_without_closing_it_still_leaves_what_was_opened() -> None:
    opening = Opening(answering(Response()))
    asyncio.run(request(serve_handler(opening)))
    assert opening.log[:3] == ["opening", "opened", "closing"]


async def test_what_a_request_spawns_outlives_it_and_ends_before_the_closing() -> None:
    log: list[str] = []
    go_on = asyncio.Event()

    async def later() -> None:
        await go_on.wait()
        log.append("spawned work done")

    async def handler(request: Request, /) -> Response:
        request.context.spawn(later())
        return Response(204)

    app = serve_handler(Opening(handler, log))
    assert (await request(app)).is_whole
    gc.collect()
    closing = asyncio.create_task(app.aclose())
    for _ in range(5):
        await asyncio.sleep(0)
    assert log == ["opening", "opened"]
    go_on.set()
    await closing
    assert log == ["opening", "opened", "spawned work done", "closing", "closed"]


async def test_what_spawned_work_spawns_is_waited_for_too() -> None:
    log: list[str] = []

    async def handler(request: Request, /) -> Response:
        async def second() -> None:
            await asyncio.sleep(0)
            log.append("second")

        async def first() -> None:
            await asyncio.sleep(0)
            request.context.spawn(second())

        request.context.spawn(first())
        return Response(204)

    app = serve_handler(Opening(handler, log))
    await request(app)
    await app.aclose()
    assert log == ["opening", "opened", "second", "closing", "closed"]


async def test_work_over_its_grace_is_cancelled_and_awaited(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log: list[str] = []

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            log.append("cleaned up")

    async def handler(request: Request, /) -> Response:
        request.context.spawn(endless())
        return Response(204)

    app = serve_handler(Opening(handler, log), shutdown_grace=0.01)
    await request(app)
    await app.aclose()
    assert log == ["opening", "opened", "cleaned up", "closing", "closed"]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


async def test_spawned_work_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def failing() -> None:
        raise ValueError("no")

    async def handler(request: Request, /) -> Response:
        request.context.spawn(failing())
        return Response(204)

    app = serve_handler(Opening(handler))
    await request(app)
    await app.aclose()
    assert [record.getMessage() for record in caplog.records] == [
        "Work beside a request failed: no"
    ]


async def test_a_stream_that_runs_at_closing_is_given_the_grace_and_then_cut_off() -> None:
    body = Body(b"1", asyncio.Event())
    app = serve_handler(Opening(answering(Response(body=body))), shutdown_grace=0)
    peer = Peer()
    streaming = asyncio.create_task(app(scope_of(), peer.receive, peer.send))
    await body.until("waiting")
    await app.aclose()
    with pytest.raises(asyncio.CancelledError):
        await streaming
    assert (body.closed, peer.is_whole) == (1, False)


async def test_a_websocket_is_turned_away_politely() -> None:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    await serve_handler(Opening(answering(Response())))({"type": "websocket"}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1000, "reason": ""}]


async def test_an_unknown_kind_of_scope_is_a_clear_error() -> None:
    peer = Peer()
    app = serve_handler(Opening(answering(Response())))
    with pytest.raises(ValueError, match="not 'telepathy'"):
        await app({"type": "telepathy"}, peer.receive, peer.send)

"""A client that takes nothing of its response is cut off, and what it was reading goes on."""

from __future__ import annotations

import asyncio
import logging

import pytest

from openbolt.asgi import HandlerApp
from openbolt.edge import EdgeLimits
from openbolt.http import Handler, Headers, Request, Response
from tests.asgi.driving import Body, Opening, Peer, answering, scope_of

QUICK = EdgeLimits(write_timeout=0.15)


async def asked(handler: Handler, peer: Peer, limits: EdgeLimits = QUICK) -> None:
    app = HandlerApp(Opening(handler), shutdown_grace=0, limits=limits)
    async with asyncio.timeout(5):
        await app(scope_of(), peer.receive, peer.send)
        await app.aclose()


async def test_a_stream_that_nobody_takes_is_closed_and_not_whole(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "openbolt")
    body, peer = Body(b"one", b"two", b"three"), Peer(gated=True)
    peer.let(2)  # the head and the first chunk
    await asked(answering(Response(body=body)), peer)
    assert ([message["type"] for message in peer.sent], peer.body) == (
        ["http.response.start", "http.response.body"],
        b"one",
    )
    assert (body.closed, peer.is_whole) == (1, False)
    assert "took nothing for 0.15 s" in caplog.text


async def test_a_head_that_nobody_takes_closes_the_body() -> None:
    body, peer = Body(b"one"), Peer(gated=True)
    await asked(answering(Response(body=body)), peer)
    assert (peer.sent, body.closed) == ([], 1)


@pytest.mark.parametrize("taken", [0, 1, 2])
async def test_a_body_in_memory_that_nobody_takes_is_given_up(taken: int) -> None:
    peer = Peer(gated=True)
    peer.let(taken)
    await asked(answering(Response(body=b"x" * 200_000)), peer)
    assert len(peer.sent) == taken


async def test_the_end_that_nobody_takes_is_given_up() -> None:
    body, peer = Body(b"one"), Peer(gated=True)
    peer.let(2)
    await asked(answering(Response(body=body)), peer)
    assert (len(peer.sent), body.closed) == (2, 1)


async def test_a_reader_that_takes_a_little_in_time_gets_all() -> None:
    body, peer = Body(*[b"x"] * 5), Peer(gated=True)

    async def take() -> None:
        for _ in range(7):
            await asyncio.sleep(0.2)
            peer.let()

    taking = asyncio.create_task(take())
    await asked(answering(Response(body=body)), peer, EdgeLimits(write_timeout=1.0))
    await taking
    assert (peer.body, peer.is_whole) == (b"xxxxx", True)


async def test_a_silent_body_is_not_a_slow_reader() -> None:
    later = asyncio.Event()
    asyncio.get_running_loop().call_later(0.5, later.set)
    peer = Peer()
    await asked(answering(Response(body=Body(b"one", later, b"two"))), peer)
    assert (peer.body, peer.is_whole) == (b"onetwo", True)


async def test_large_chunks_are_handed_over_in_pieces() -> None:
    data = bytes(range(256)) * 1000
    for body in (data, Body(data)):
        peer = Peer()
        await asked(answering(Response(body=body)), peer)
        assert (peer.body, peer.is_whole) == (data, True)
        assert max(map(len, peer.chunks)) == 65_536
    # In memory the length is known, whatever the pieces.
    peer = Peer()
    await asked(answering(Response(200, Headers(), data)), peer)
    assert peer.headers["content-length"] == str(len(data))


async def test_a_request_cancelled_from_outside_stays_cancelled() -> None:
    peer = Peer(gated=True)
    peer.let()
    app = HandlerApp(Opening(answering(Response(body=Body(b"one")))), limits=QUICK)
    task = asyncio.create_task(app(scope_of(), peer.receive, peer.send))
    await peer.until(lambda: peer.waiting == 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await app.aclose()


async def test_a_body_that_swallows_its_end_is_left_all_the_same() -> None:
    class Stubborn(Body):
        async def __aiter__(self):  # type: ignore[override,no-untyped-def]
            for _ in range(3):
                yield b"x"

    body, peer = Stubborn(), Peer(gated=True)
    peer.let(1)

    async def handler(request: Request, /) -> Response:
        return Response(body=body)

    await asked(handler, peer)
    assert (len(peer.sent), body.closed) == (1, 1)

"""A client that sends its body too slowly is a 408, and only its own slowness counts."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbolt.asgi import HandlerApp
from openbolt.bodies import json_response
from openbolt.edge import BodyPace, EdgeLimits
from openbolt.http import Handler, Request, Response, StreamBody
from tests.asgi.driving import Opening, Peer, body_messages, exchange, scope_of

QUICK = EdgeLimits(body_timeout=0.15, min_body_rate=1000)


def app_with(handler: Handler, limits: EdgeLimits) -> HandlerApp:
    return HandlerApp(Opening(handler), shutdown_grace=0, limits=limits)


async def reading(request: Request, /) -> Response:
    return json_response({"size": len(await request.read(1_000_000))})


def uploading(*chunks: bytes) -> Peer:
    """A client that sends these and then keeps still."""
    return Peer(*({"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks))


async def test_a_body_that_pauses_for_too_long_is_a_408_and_ends_its_connection() -> None:
    peer = uploading(b"begun")
    app = app_with(reading, QUICK)
    await app(scope_of(method="POST"), peer.receive, peer.send)
    await app.aclose()
    assert (peer.status, peer.headers["connection"]) == (408, "close")
    assert b'"code": "request_timeout"' in peer.body


async def test_over_http_2_no_field_speaks_of_the_connection() -> None:
    peer = uploading(b"begun")
    app = app_with(reading, QUICK)
    await app(scope_of(method="POST", http_version="2"), peer.receive, peer.send)
    await app.aclose()
    assert (peer.status, "connection" in peer.headers) == (408, False)


async def test_a_body_that_drips_is_a_408_though_it_never_pauses() -> None:
    peer = uploading(b"x")
    app = app_with(reading, QUICK)

    async def drip() -> None:
        while True:
            await asyncio.sleep(0.05)
            peer.upload(b"x")

    dripping = asyncio.create_task(drip())
    async with asyncio.timeout(5):
        await app(scope_of(method="POST"), peer.receive, peer.send)
    dripping.cancel()
    await app.aclose()
    assert peer.status == 408


async def test_where_no_rate_is_asked_for_only_the_pauses_count() -> None:
    limits = EdgeLimits(body_timeout=0.8, min_body_rate=0)
    peer = uploading(b"x")
    app = app_with(reading, limits)

    async def drip() -> None:
        for _ in range(8):
            await asyncio.sleep(0.15)
            peer.upload(b"x")
        peer.upload(b"", more=False)

    dripping = asyncio.create_task(drip())
    await app(scope_of(method="POST"), peer.receive, peer.send)
    await dripping
    await app.aclose()
    assert (peer.status, peer.body) == (200, b'{"size":9}')


async def test_the_time_that_a_handler_takes_is_not_the_clients() -> None:
    async def slow_reader(request: Request, /) -> Response:
        async for _ in request.body:
            await asyncio.sleep(0.1)
        return Response(204)

    peer = Peer(*body_messages(b"a", b"b", b"c", b"d"))
    app = app_with(slow_reader, QUICK)
    await app(scope_of(method="POST"), peer.receive, peer.send)
    await app.aclose()
    assert peer.status == 204


async def test_a_body_that_nobody_reads_is_nobodys_wait() -> None:
    async def answering(request: Request, /) -> Response:
        await asyncio.sleep(0.3)
        return Response(204)

    peer = uploading(b"begun")
    app = app_with(answering, QUICK)
    await app(scope_of(method="POST"), peer.receive, peer.send)
    await app.aclose()
    assert (peer.status, "connection" in peer.headers) == (204, False)


async def test_a_response_that_reads_its_request_breaks_off_with_it() -> None:
    async def echoing(request: Request, /) -> Response:
        return Response(body=StreamBody(request.body))

    peer = uploading(b"first")
    app = app_with(echoing, QUICK)
    async with asyncio.timeout(5):
        with pytest.raises(Exception, match="too slowly"):
            await app(scope_of(method="POST"), peer.receive, peer.send)
    await app.aclose()
    assert (peer.body, peer.is_whole) == (b"first", False)


async def test_by_default_half_a_minute_is_waited() -> None:
    peer = await exchange(reading, Peer(*body_messages(b"abc")), method="POST")
    assert (peer.status, EdgeLimits().body_timeout) == (200, 30.0)


@given(
    st.lists(st.tuples(st.floats(0, 20), st.integers(0, 100_000)), max_size=40),
    st.integers(1, 10_000),
)
def test_no_pause_is_longer_than_the_limit_nor_all_together_than_the_rate_allows(
    chunks: list[tuple[float, int]], rate: int
) -> None:
    limits = EdgeLimits(body_timeout=10.0, min_body_rate=rate)
    pace, waited, size = BodyPace(limits), 0.0, 0
    for pause, arrived in chunks:
        patience = pace.patience()
        assert 0 <= patience <= 10.0
        if pause > patience:
            assert pause > 10.0 or waited + pause > 10.0 + size / rate - 1e-6
            return
        pace.waited(pause)
        pace.came(arrived)
        waited, size = waited + pause, size + arrived
    assert waited <= 10.0 + size / rate + 1e-6

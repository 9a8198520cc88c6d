"""Addresses and header fields are bounded before any handler sees them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from openbolt.asgi import HandlerApp
from openbolt.edge import EdgeLimits
from openbolt.http import Request, Response
from tests.asgi.driving import Opening, Peer, scope_of

LIMITS = EdgeLimits(max_url_bytes=100, max_header_bytes=200, max_header_fields=5)


async def status_of(**scope: Any) -> int:
    seen: list[Request] = []

    async def handler(request: Request, /) -> Response:
        seen.append(request)
        return Response(204)

    peer = Peer()
    app = HandlerApp(Opening(handler), shutdown_grace=0, limits=LIMITS)
    await app(scope_of(**scope), peer.receive, peer.send)
    await app.aclose()
    assert len(seen) == (1 if peer.status == 204 else 0)
    if peer.status != 204:
        assert json.loads(peer.body)["error"]["code"] in {"url_too_long", "headers_too_large"}
    return peer.status


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/" + "a" * 99, b"", 204),
        ("/" + "a" * 100, b"", 414),
        ("/" + "a" * 49, b"b" * 50, 204),
        ("/" + "a" * 49, b"b" * 51, 414),
        ("/", b"b" * 100, 414),
    ],
)
async def test_an_address_is_as_long_as_it_may_be_and_no_longer(
    path: str, query: bytes, status: int
) -> None:
    assert await status_of(path=path, query_string=query) == status


async def test_an_address_counts_as_it_was_sent() -> None:
    assert await status_of(path="/" + "ä" * 40, raw_path=b"/" + b"%C3%A4" * 40) == 414
    assert await status_of(path="/" + "ä" * 60, raw_path=b"") == 414
    assert await status_of(path="/" + "ä" * 40, raw_path=b"") == 204


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([(b"host", b"localhost"), *[(b"x", b"y")] * 4], 204),
        ([(b"host", b"localhost"), *[(b"x", b"y")] * 5], 431),
        ([(b"x-a", b"b" * 197)], 204),
        ([(b"x-a", b"b" * 198)], 431),
        ([(b"x" * 201, b"")], 431),
        ([(b"x" * 51, b"y" * 50), (b"x" * 50, b"y" * 50)], 431),
    ],
)
async def test_header_fields_are_as_many_and_as_long_as_they_may_be(
    fields: list[tuple[bytes, bytes]], status: int
) -> None:
    assert await status_of(headers=fields) == status

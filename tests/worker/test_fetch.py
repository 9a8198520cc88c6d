"""`FetchSender` in a real workerd, held to what every `HttpSender` owes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from attrs import asdict, frozen

from openbolt import errors
from openbolt.errors import UpstreamError
from openbolt.http import Headers
from openbolt.protocols import HttpSender, OutboundRequest, OutboundResponse, Timeouts
from openbolt.testing.scripted import Exchange, ScriptedServer
from openbolt.testing.senders import HttpSenderSuite, fetched

PATIENCE = 20.0
"""Seconds after which something that has to happen counts as not happening."""


@frozen
class SenderInWorker:
    """Hands each call to a worker, which makes it with a `FetchSender` of its own."""

    worker: httpx.AsyncClient

    @asynccontextmanager
    async def send(self, request: OutboundRequest, /) -> AsyncGenerator[OutboundResponse]:
        fields = _fields(request)
        async with self.worker.stream(
            "POST", "/call", headers=fields, content=request.body
        ) as answer:
            events = _events(answer)
            head = await anext(events)
            yield OutboundResponse(head["status"], Headers(head["headers"]), _data(events))


def _fields(request: OutboundRequest, leave_after: int | None = None) -> dict[str, str]:
    call = {
        "method": request.method,
        "url": request.url,
        "headers": request.headers.items,
        "timeouts": asdict(request.timeouts),
        "connect_to": request.connect_to,
        "streams": not isinstance(request.body, bytes),
        "leave_after": leave_after,
    }
    return {"x-call": json.dumps(call)}


async def _events(answer: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    async for line in answer.aiter_lines():
        if line:
            event = json.loads(line)
            if "error" in event:
                raise _error(event) from (event["cause"] and RuntimeError(event["cause"]))
            yield event


def _error(event: dict[str, Any]) -> Exception:
    kind: type[Exception] = getattr(errors, event["error"])
    if issubclass(kind, UpstreamError):
        return kind(event["message"], retryable=event["retryable"])
    return kind(event["message"])


async def _data(events: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    async for event in events:
        yield event["data"].encode("latin-1")


class TestFetchSender(HttpSenderSuite):
    honors_connect_to = False

    @pytest.fixture
    def sender(self, handlers: httpx.AsyncClient) -> HttpSender:
        return SenderInWorker(handlers)

    @pytest.mark.skip(reason="the runtime of 2024 knows no `encodeResponseBody` and decodes")
    async def test_a_content_coding_passes_through(
        self, sender: HttpSender, server: ScriptedServer, *_: object
    ) -> None: ...

    async def test_a_refused_connection_can_be_tried_again(
        self, sender: HttpSender, unused_tcp_port: int
    ) -> None:
        """It can't here: the runtime says the same of a connection that broke after sending."""
        url = f"http://127.0.0.1:{unused_tcp_port}/path?token=secret"
        with pytest.raises(UpstreamError) as caught:
            await fetched(sender, OutboundRequest("GET", url))
        assert (type(caught.value), caught.value.retryable) == (UpstreamError, False)
        assert "secret" not in str(caught.value)
        assert caught.value.__cause__ is not None

    @pytest.mark.parametrize("reads", [0, 1])
    async def test_leaving_ends_the_call_though_its_request_goes_on(
        self, handlers: httpx.AsyncClient, server: ScriptedServer, reads: int
    ) -> None:
        gone = asyncio.Event()

        async def script(exchange: Exchange) -> None:
            if reads:
                await exchange.start(200, {"transfer-encoding": "chunked"})
                await exchange.chunk(b"one")
            await exchange.gone()
            gone.set()

        server.script = script
        timeouts = Timeouts(first_byte=5.0 if reads else 0.1)
        fields = _fields(OutboundRequest("GET", server.url("/"), timeouts=timeouts), reads)
        async with handlers.stream("POST", "/call", headers=fields) as answer:
            lines = answer.aiter_lines()
            while "left" not in await anext(lines):
                pass
            await asyncio.wait_for(gone.wait(), PATIENCE)

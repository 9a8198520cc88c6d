"""`FetchSender` in a real workerd, against a server outside of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.worker.upstream import Upstream

PATIENCE = 20.0
"""Seconds after which something that has to happen counts as not happening."""

LEFT = {"left": True}


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[Upstream]:
    server = Upstream()
    async with server.serving():
        yield server


async def events(client: httpx.AsyncClient, **wish: Any) -> list[dict[str, Any]]:
    answer = await client.post("/exchange", json=wish)
    return [json.loads(line) for line in answer.text.splitlines()]


def data(happened: list[dict[str, Any]]) -> str:
    return "".join(event.get("data", "") for event in happened)


async def test_request_and_response_arrive_whole(
    handlers: httpx.AsyncClient, upstream: Upstream
) -> None:
    happened = await events(
        handlers,
        method="PUT",
        url=f"{upstream.url}/echo",
        headers=[["x-field", "value"]],
        body="text ü",
    )
    assert happened[0]["status"] == 418
    seen = {"method": "PUT", "length": "7", "field": "value", "body": "text ü"}
    assert json.loads(data(happened)) == seen


@pytest.mark.parametrize("length", [None, "6"])
async def test_a_streamed_body_is_sent_with_the_length_that_is_declared(
    handlers: httpx.AsyncClient, upstream: Upstream, length: str | None
) -> None:
    fields = [["content-length", length]] if length else []
    happened = await events(
        handlers,
        method="POST",
        url=f"{upstream.url}/echo",
        headers=fields,
        parts=["one", "two"],
    )
    seen = {"method": "POST", "length": length, "field": None, "body": "onetwo"}
    assert json.loads(data(happened)) == seen


async def test_a_redirect_is_not_followed(handlers: httpx.AsyncClient, upstream: Upstream) -> None:
    happened = await events(handlers, url=f"{upstream.url}/redirect")
    assert happened[0]["status"] == 302
    assert dict(happened[0]["headers"])["location"] == f"{upstream.url}/echo"


async def test_a_field_may_stand_twice(handlers: httpx.AsyncClient, upstream: Upstream) -> None:
    happened = await events(handlers, url=f"{upstream.url}/cookies")
    cookies = [value for name, value in happened[0]["headers"] if name == "set-cookie"]
    assert cookies == ["a=1", "b=2"]


async def test_no_content_coding_comes_that_was_not_asked_for(
    handlers: httpx.AsyncClient, upstream: Upstream
) -> None:
    assert data(await events(handlers, url=f"{upstream.url}/coded")) == "plain"


async def test_data_comes_as_it_is_sent(handlers: httpx.AsyncClient, upstream: Upstream) -> None:
    wish = {"url": f"{upstream.url}/gated"}
    async with handlers.stream("POST", "/exchange", json=wish) as answer:
        lines = answer.aiter_lines()
        assert json.loads(await anext(lines))["status"] == 200
        assert json.loads(await anext(lines)) == {"data": "first"}
        upstream.go.set()
        assert [json.loads(line) async for line in lines] == [{"data": "second"}, LEFT]


async def test_leaving_early_ends_the_call(handlers: httpx.AsyncClient, upstream: Upstream) -> None:
    happened = await events(handlers, url=f"{upstream.url}/gated", leave_after=1)
    assert happened[1:] == [{"data": "first"}, LEFT]
    await asyncio.wait_for(upstream.left.wait(), PATIENCE)


@pytest.mark.parametrize(
    ("kind", "timeouts"),
    [("silent", {"connect": 0.1, "first_byte": 0.2}), ("gated", {"idle": 0.2})],
)
async def test_silence_is_a_timeout_and_ends_the_call(
    handlers: httpx.AsyncClient, upstream: Upstream, kind: str, timeouts: dict[str, float]
) -> None:
    happened = await events(handlers, url=f"{upstream.url}/{kind}", timeouts=timeouts)
    message = "127.0.0.1 took too long."
    assert happened[-2:] == [{"error": "UpstreamTimeoutError", "message": message}, LEFT]
    await asyncio.wait_for(upstream.left.wait(), PATIENCE)


async def test_a_server_that_can_not_be_reached_is_an_upstream_error(
    handlers: httpx.AsyncClient, unused_tcp_port: int
) -> None:
    happened = await events(handlers, url=f"http://127.0.0.1:{unused_tcp_port}/")
    message = "127.0.0.1 broke off the exchange."
    assert happened == [{"error": "UpstreamError", "message": message}, LEFT]


async def test_a_response_that_is_cut_off_is_an_upstream_error(
    handlers: httpx.AsyncClient, upstream: Upstream
) -> None:
    happened = await events(handlers, url=f"{upstream.url}/cut")
    message = "127.0.0.1 broke off the exchange."
    assert happened[1:] == [
        {"data": "first"},
        {"error": "UpstreamError", "message": message},
        LEFT,
    ]


async def test_an_address_to_connect_to_is_not_supported(
    handlers: httpx.AsyncClient, upstream: Upstream
) -> None:
    happened = await events(handlers, url=f"{upstream.url}/echo", connect_to="127.0.0.1")
    assert [event.get("error") for event in happened] == ["NotSupportedError", None]

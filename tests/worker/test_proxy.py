"""The proxy in a real workerd: streamed both ways, secrets put in, nothing left open."""

from __future__ import annotations

import asyncio

import httpx

from openbolt.testing.scripted import Exchange, ScriptedServer

PATIENCE = 20.0
"""Seconds after which something that has to happen counts as not happening."""


async def test_a_call_goes_through_with_the_secret_and_comes_back_without(
    handlers: httpx.AsyncClient, upstream: ScriptedServer
) -> None:
    bodies: list[bytes] = []

    async def script(exchange: Exchange) -> None:
        bodies.append(await exchange.read_all())
        fields = {"content-type": "text/html", "set-cookie": "theirs=1", "etag": '"1"'}
        await exchange.answer(201, fields, f"<p>{exchange.headers.get('x-api-key')}".encode())

    upstream.script = script
    fields = {"x-upstream": upstream.url("/base"), "cookie": "ours=1", "x-api-key": "mine"}
    answer = await handlers.post("/proxy/a?b=%20", headers=fields, content=b"sent on")
    seen = upstream.exchanges[0]
    assert (seen.target, bodies) == ("/base/a?b=%20", [b"sent on"])
    assert seen.headers.get_all("x-api-key") == ("sk-operators-own",)
    assert "cookie" not in seen.headers
    assert answer.status_code == 201
    assert answer.content == b"<p>" + b"*" * len("sk-operators-own")
    assert "set-cookie" not in answer.headers
    assert answer.headers["content-disposition"] == "attachment"
    assert answer.headers["content-security-policy"].startswith("sandbox;")
    assert answer.headers["via"] == "1.1 openbolt"


async def test_chunks_go_on_as_they_come_and_a_client_that_goes_ends_the_call(
    handlers: httpx.AsyncClient, upstream: ScriptedServer
) -> None:
    gone, proceed = asyncio.Event(), asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.start(200, {"transfer-encoding": "chunked", "content-type": "text/plain"})
        await exchange.chunk(b"first")
        await proceed.wait()
        try:
            while True:  # the runtime notices that nobody listens when it has to send
                await exchange.chunk(b"tick")
                await asyncio.sleep(0.02)
        except ConnectionError:
            gone.set()

    upstream.script = script
    fields = {"x-upstream": upstream.url()}
    async with handlers.stream("GET", "/proxy/a", headers=fields) as answer:
        chunks = answer.aiter_raw()
        assert await anext(chunks) == b"first"
        proceed.set()
    await asyncio.wait_for(gone.wait(), PATIENCE)


async def test_what_climbs_is_refused(
    handlers: httpx.AsyncClient, upstream: ScriptedServer
) -> None:
    fields = {"x-upstream": upstream.url("/base")}
    answer = await handlers.get("/proxy/a/%252e%252e/b", headers=fields)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "path_refused")
    assert upstream.exchanges == []

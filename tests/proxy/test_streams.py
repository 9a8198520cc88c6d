"""Bodies through the proxy: flat memory, limits, time, and who ends what."""

from __future__ import annotations

import asyncio
import tracemalloc
from base64 import b32encode
from collections.abc import AsyncIterator
from typing import Any

import pytest

from openbolt.proxy.handler import Proxy
from openbolt.senders.aiohttp import AiohttpSender
from openbolt.testing import ManualClock
from openbolt.testing.scripted import Exchange, ScriptedServer
from tests.proxy.serving import Served, guarded, served, settings_with

MIB = 1024 * 1024
PATIENCE = 5.0
"""Seconds after which something that has to happen within a moment counts as not happening."""


@pytest.fixture
def config() -> dict[str, Any]:
    return {}


class NotingClock(ManualClock):
    """Sleeps in no time, and knows for how long."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    async def sleep(self, seconds: float, /) -> None:
        self.slept.append(seconds)


class Halves:
    """An `openbolt.protocols.TokenSource` whose every draw is the middle."""

    def token(self, size: int = 16, /) -> str:
        return b32encode(b"\x80" + bytes(size - 1)).decode().lower().rstrip("=")


@pytest.fixture
def clock() -> NotingClock:
    return NotingClock()


@pytest.fixture
async def app(
    upstream: ScriptedServer, sender: AiohttpSender, config: dict[str, Any], clock: NotingClock
) -> AsyncIterator[Served]:
    fields = {"url": upstream.url(), "methods": ["GET", "POST", "PUT"], "retries": 0, **config}
    proxy = Proxy.of(settings_with({"up": fields}), sender, clock=clock, tokens=Halves())
    async with served(guarded(proxy), http="httptools") as app:
        yield app


async def opened(app: Served, head: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", app.port)
    writer.write(f"{head}\r\nhost: localhost\r\nx-test-user: ann\r\n\r\n".encode())
    return reader, writer


@pytest.mark.parametrize("config", [{"maxResponseBytes": 64 * MIB, "idle": 30}])
async def test_64_mib_come_through_without_being_held(
    app: Served, upstream: ScriptedServer
) -> None:
    block = bytes(MIB)

    async def script(exchange: Exchange) -> None:
        await exchange.start(200, {"content-length": str(64 * MIB)})
        for _ in range(64):
            await exchange.send(block)

    upstream.script = script
    reader, writer = await opened(app, "GET /api/proxy/up/large HTTP/1.1")
    await reader.readuntil(b"\r\n\r\n")
    tracemalloc.start()
    size = 0
    while size < 64 * MIB:
        size += len(await reader.read(MIB))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    writer.close()
    assert size == 64 * MIB
    assert peak < 8 * MIB


@pytest.mark.parametrize("config", [{"maxRequestBytes": 64 * MIB}])
async def test_64_mib_are_sent_on_without_being_held(app: Served, upstream: ScriptedServer) -> None:
    received = 0

    async def script(exchange: Exchange) -> None:
        nonlocal received
        while data := await exchange.read():
            received += len(data)
        await exchange.answer(200)

    upstream.script = script
    length = f"content-length: {64 * MIB}"
    reader, writer = await opened(app, f"POST /api/proxy/up/large HTTP/1.1\r\n{length}")
    tracemalloc.start()
    for _ in range(64):
        writer.write(bytes(MIB))
        await writer.drain()
    head = await reader.readuntil(b"\r\n\r\n")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    writer.close()
    assert head.startswith(b"HTTP/1.1 200")
    assert received == 64 * MIB
    assert peak < 8 * MIB


@pytest.mark.parametrize("config", [{"maxResponseBytes": 1024 * MIB, "idle": 30}])
async def test_a_slow_reader_holds_the_upstream_back(app: Served, upstream: ScriptedServer) -> None:
    sent = 0

    async def script(exchange: Exchange) -> None:
        nonlocal sent
        await exchange.start(200, {"content-length": str(1024 * MIB)})
        while True:
            await exchange.send(bytes(MIB))
            sent += 1

    upstream.script = script
    reader, writer = await opened(app, "GET /api/proxy/up/large HTTP/1.1")
    await reader.readuntil(b"\r\n\r\n")
    before = -1
    while sent != before:  # until nobody takes any more
        before = sent
        await asyncio.sleep(0.3)
    assert sent < 64
    writer.close()


@pytest.mark.parametrize("when", ["before the head", "in the middle"])
async def test_the_client_going_ends_the_upstream_call(
    app: Served, upstream: ScriptedServer, when: str
) -> None:
    gone, asked = asyncio.Event(), asyncio.Event()

    async def script(exchange: Exchange) -> None:
        if when == "in the middle":
            await exchange.start(200, {"transfer-encoding": "chunked"})
            await exchange.chunk(b"first")
        asked.set()
        await exchange.gone()
        gone.set()

    upstream.script = script
    reader, writer = await opened(app, "GET /api/proxy/up/slow HTTP/1.1")
    if when == "in the middle":
        await reader.readuntil(b"first")
    await asked.wait()
    writer.close()
    await asyncio.wait_for(gone.wait(), PATIENCE)


async def test_the_client_going_while_it_sends_ends_the_upstream_call(
    app: Served, upstream: ScriptedServer
) -> None:
    gone, asked = asyncio.Event(), asyncio.Event()

    async def script(exchange: Exchange) -> None:
        assert await exchange.read() == b"half"
        asked.set()
        await exchange.gone()
        gone.set()

    upstream.script = script
    _, writer = await opened(app, "POST /api/proxy/up/slow HTTP/1.1\r\ncontent-length: 8")
    writer.write(b"half")
    await asked.wait()
    writer.close()
    await asyncio.wait_for(gone.wait(), PATIENCE)


async def test_the_client_going_after_its_body_ends_the_upstream_call(
    app: Served, upstream: ScriptedServer
) -> None:
    gone, asked = asyncio.Event(), asyncio.Event()

    async def script(exchange: Exchange) -> None:
        assert await exchange.read_all() == b"whole"
        asked.set()
        await exchange.gone()
        gone.set()

    upstream.script = script
    _, writer = await opened(app, "POST /api/proxy/up/slow HTTP/1.1\r\ncontent-length: 5")
    writer.write(b"whole")
    await asked.wait()
    writer.close()
    await asyncio.wait_for(gone.wait(), PATIENCE)


async def test_chunks_go_on_as_they_come(app: Served, upstream: ScriptedServer) -> None:
    proceed = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.start(200, {"transfer-encoding": "chunked"})
        await exchange.chunk(b"first")
        await proceed.wait()
        await exchange.chunk(b"second")
        await exchange.chunk(b"")

    upstream.script = script
    reader, writer = await opened(app, "GET /api/proxy/up/slow HTTP/1.1")
    await asyncio.wait_for(reader.readuntil(b"first"), PATIENCE)
    proceed.set()
    await asyncio.wait_for(reader.readuntil(b"second"), PATIENCE)
    writer.close()


@pytest.mark.parametrize("config", [{"maxRequestBytes": 10}])
@pytest.mark.parametrize("sized", [True, False])
async def test_a_body_over_the_limit_is_refused(
    app: Served, upstream: ScriptedServer, sized: bool
) -> None:
    upstream.script = lambda exchange: exchange.answer(200)
    if sized:
        answer = await app.ask("POST /api/proxy/up/a", "Content-Length: 11", body=b"x" * 11)
        assert upstream.exchanges == []
    else:
        body = b"b\r\n" + b"x" * 11 + b"\r\n0\r\n\r\n"
        answer = await app.ask("POST /api/proxy/up/a", "Transfer-Encoding: chunked", body=body)
    assert answer.error == (413, "payload_too_large")


@pytest.mark.parametrize("config", [{"maxResponseBytes": 10}])
async def test_an_answer_over_the_limit_is_refused_or_cut_off(
    app: Served, upstream: ScriptedServer
) -> None:
    async def script(exchange: Exchange) -> None:
        if exchange.target == "/sized":
            await exchange.answer(200, {}, b"x" * 11)
            return
        await exchange.start(200, {"transfer-encoding": "chunked"})
        for _ in range(11):
            await exchange.chunk(b"x")
        await exchange.chunk(b"")

    upstream.script = script
    assert (await app.ask("GET /api/proxy/up/sized")).error == (502, "upstream_too_large")
    cut = await app.ask("GET /api/proxy/up/chunked")
    assert cut.status == 200
    assert not cut.raw.endswith(b"0\r\n\r\n"), "it must not seem whole"


@pytest.mark.parametrize("config", [{"firstByte": 0.05}, {"total": 0.05}])
async def test_an_upstream_that_does_not_answer_is_a_504(
    app: Served, upstream: ScriptedServer
) -> None:
    upstream.script = Exchange.gone
    assert (await app.ask("GET /api/proxy/up/a")).error == (504, "upstream_timeout")


@pytest.mark.parametrize("config", [{"idle": 0.05}, {"total": 0.2}])
async def test_an_answer_that_takes_too_long_is_cut_off(
    app: Served, upstream: ScriptedServer, config: dict[str, Any]
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start(200, {"content-length": "100000"})
        await exchange.send(b"x")
        while "total" in config:
            await exchange.send(b"x")
            await asyncio.sleep(0.01)
        await exchange.gone()

    upstream.script = script
    answer = await asyncio.wait_for(app.ask("GET /api/proxy/up/a"), PATIENCE)
    assert answer.status == 200
    assert 1 <= len(answer.body) < 100_000


async def test_an_upstream_that_is_not_there_is_a_502(
    sender: AiohttpSender, unused_tcp_port: int
) -> None:
    gone = {"up": {"url": f"http://127.0.0.1:{unused_tcp_port}", "retries": 0}}
    async with served(guarded(Proxy.of(settings_with(gone), sender))) as app:
        assert (await app.ask("GET /api/proxy/up/a")).error == (502, "upstream_error")


RETRIED = {"retries": 2}


@pytest.mark.parametrize("config", [RETRIED])
async def test_what_can_be_repeated_is_with_full_jitter(
    app: Served, upstream: ScriptedServer, clock: NotingClock
) -> None:
    async def script(exchange: Exchange) -> None:
        if len(upstream.exchanges) == 1:
            await exchange.answer(503, {"retry-after": "3", "connection": "close"})
            exchange.hang_up()  # or the HTTP library itself would try the old connection again
        elif len(upstream.exchanges) == 2:
            exchange.reset()
        else:
            await exchange.answer(200, {"content-type": "text/plain"}, b"at last")

    upstream.script = script
    answer = await app.ask("GET /api/proxy/up/a")
    assert answer.body == b"at last"
    assert clock.slept == [3.0, 0.5], "what the upstream asks for is waited; else half of a second"


@pytest.mark.parametrize("config", [RETRIED])
@pytest.mark.parametrize(
    ("line", "length", "status", "tries"),
    [
        ("POST /api/proxy/up/a", 0, 503, 1),
        ("PUT /api/proxy/up/a", 3, 503, 1),
        ("GET /api/proxy/up/a", 0, 500, 1),
        ("GET /api/proxy/up/a", 0, 429, 1),
    ],
)
async def test_what_may_have_been_done_or_is_said_for_good_is_not_repeated(
    app: Served, upstream: ScriptedServer, line: str, length: int, status: int, tries: int
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.read_all()
        await exchange.answer(status)

    upstream.script = script
    answer = await app.ask(line, f"Content-Length: {length}", body=b"x" * length)
    assert (answer.status, len(upstream.exchanges)) == (status, tries)


@pytest.mark.parametrize("config", [RETRIED])
async def test_nothing_is_repeated_after_the_first_byte(
    app: Served, upstream: ScriptedServer
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start(200, {"content-length": "10"})
        await exchange.send(b"x")
        exchange.hang_up()

    upstream.script = script
    answer = await app.ask("GET /api/proxy/up/a")
    assert (answer.status, answer.body, len(upstream.exchanges)) == (200, b"x", 1)


async def test_connections_are_used_again_after_a_whole_answer(
    app: Served, upstream: ScriptedServer
) -> None:
    for _ in range(3):
        assert (await app.ask("GET /api/proxy/up/a")).status == 200
    assert (len(upstream.exchanges), upstream.connections) == (3, 1)

"""Both senders of a server against the suite, and what only they have: TLS and handed-in pools."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable

import aiohttp
import httpx
import pytest
import trustme
from aiohttp.client_proto import ResponseHandler

from openbolt.errors import NotSupportedError, UpstreamError, UpstreamTimeoutError
from openbolt.protocols import OutboundRequest, Timeouts
from openbolt.senders.aiohttp import AiohttpSender, _Handler
from openbolt.senders.httpx import HttpxSender
from openbolt.testing.scripted import Exchange, scripted_server
from openbolt.testing.senders import LOCATIONS, HttpSenderSuite, fetched

Sender = AiohttpSender | HttpxSender


class TestAiohttpSender(HttpSenderSuite):
    @pytest.fixture
    async def sender(self) -> AsyncIterator[AiohttpSender]:
        sender = AiohttpSender()
        yield sender
        await sender.aclose()


class TestHttpxSender(HttpSenderSuite):
    @pytest.fixture
    async def sender(self) -> AsyncIterator[HttpxSender]:
        sender = HttpxSender()
        yield sender
        await sender.aclose()


class TestAiohttpSenderWithASession(HttpSenderSuite):
    honors_connect_to = False
    sends_once = False

    @pytest.fixture
    async def sender(self) -> AsyncIterator[AiohttpSender]:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            yield AiohttpSender(session)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("named.invalid").configure_cert(context)
    return context


@pytest.fixture
def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.mark.parametrize("make", [AiohttpSender, HttpxSender])
async def test_a_given_address_must_prove_the_urls_name(
    make: Callable[..., Sender], server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    names: list[str | None] = []
    server_tls.sni_callback = lambda _socket, name, _context: names.append(name)
    sender = make(tls=client_tls)
    async with scripted_server(server_tls) as server:
        url = server.url("/", host="named.invalid")
        status, _, _ = await fetched(sender, OutboundRequest("GET", url, connect_to="127.0.0.1"))
        wrong = server.url("/", host="other.invalid")
        with pytest.raises(UpstreamError) as caught:
            await fetched(sender, OutboundRequest("GET", wrong, connect_to="127.0.0.1"))
        await sender.aclose()
    assert (status, names) == (200, ["named.invalid", "other.invalid"])
    assert (caught.value.retryable, len(server.exchanges)) == (True, 1)


async def test_a_client_that_was_handed_in_is_used_and_left_open() -> None:
    async with scripted_server() as server, httpx.AsyncClient() as client:
        sender = HttpxSender(client)
        await fetched(sender, OutboundRequest("GET", server.url("/")))
        await sender.aclose()
        assert (len(server.exchanges), client.is_closed) == (1, False)
        with pytest.raises(NotSupportedError):
            await fetched(sender, OutboundRequest("GET", server.url("/"), connect_to="127.0.0.1"))


@pytest.mark.parametrize("make", [AiohttpSender, HttpxSender])
async def test_a_body_that_takes_its_time_to_be_made_is_not_limited(
    make: Callable[[], Sender],
) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(4):
            await asyncio.sleep(0.2)
            yield b"x"

    timeouts = Timeouts(connect=0.2, first_byte=0.3)
    async with scripted_server() as server:
        sender = make()
        request = OutboundRequest("PUT", server.url("/"), body=body(), timeouts=timeouts)
        assert (await fetched(sender, request))[0] == 200
        await sender.aclose()


@pytest.mark.parametrize("make", [AiohttpSender, HttpxSender])
async def test_bytes_that_keep_coming_are_no_silence(make: Callable[[], Sender]) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start(200, {"transfer-encoding": "chunked"})
        for _ in range(8):
            await asyncio.sleep(0.1)
            await exchange.chunk(b"x")
        await exchange.chunk(b"")

    async with scripted_server() as server:
        server.script = script
        sender = make()
        request = OutboundRequest("GET", server.url("/"), timeouts=Timeouts(idle=0.4))
        assert (await fetched(sender, request))[2] == b"x" * 8
        await sender.aclose()


@pytest.mark.parametrize("make", [AiohttpSender, HttpxSender])
async def test_a_reader_that_takes_its_time_is_no_silence(make: Callable[[], Sender]) -> None:
    read = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.start(200, {"transfer-encoding": "chunked"})
        await exchange.chunk(b"one")
        await read.wait()
        await exchange.chunk(b"two")
        await exchange.gone()

    async with scripted_server() as server:
        server.script = script
        sender, now = make(), asyncio.get_running_loop().time
        request = OutboundRequest("GET", server.url("/"), timeouts=Timeouts(idle=0.3))
        async with sender.send(request) as response:
            body = aiter(response.body)
            await asyncio.sleep(0.7)
            assert await anext(body) == b"one"
            await asyncio.sleep(0.7)
            read.set()
            assert await anext(body) == b"two"
            began = now()
            with pytest.raises(UpstreamTimeoutError):
                await anext(body)
            assert 0.29 < now() - began < 2
        await sender.aclose()


@pytest.mark.parametrize("make", [AiohttpSender, HttpxSender])
async def test_a_whole_body_waits_for_its_reader(make: Callable[[], Sender]) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start(200, {"transfer-encoding": "chunked"})
        await asyncio.sleep(0.05)
        await exchange.chunk(b"one")
        await exchange.chunk(b"")

    async with scripted_server() as server:
        server.script = script
        sender = make()
        request = OutboundRequest("GET", server.url("/"), timeouts=Timeouts(idle=0.2))
        async with sender.send(request) as response:
            await asyncio.sleep(0.5)
            assert [data async for data in response.body] == [b"one"]
        await sender.aclose()


SMALL, LARGE = (20_000, b"a delta."), (40, b"x" * 262_144)


@pytest.mark.parametrize("make", [AiohttpSender, HttpxSender])
@pytest.mark.parametrize(("count", "piece"), [SMALL, LARGE], ids=["small", "large"])
async def test_a_body_that_comes_too_fast_is_held_back_and_then_goes_on(
    make: Callable[[], Sender], count: int, piece: bytes
) -> None:
    sent = 0

    async def script(exchange: Exchange) -> None:
        nonlocal sent
        await exchange.start(200, {"transfer-encoding": "chunked"})
        for _ in range(count):
            await exchange.chunk(piece)
            sent += 1
        await exchange.chunk(b"")

    async with scripted_server() as server:
        server.script = script
        sender = make()
        got, seen = 0, -1
        async with sender.send(OutboundRequest("GET", server.url("/"))) as response:
            while sent != seen:  # until nothing more goes out
                seen = sent
                await asyncio.sleep(0.1)
            assert piece is SMALL[1] or seen < count
            async for data in response.body:
                got += len(data)
        assert got == count * len(piece)
        await sender.aclose()


class Pausable(asyncio.Transport):
    """A connection's transport, as far as reading goes."""

    def __init__(self) -> None:
        super().__init__()
        self.is_paused = False

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        """Nothing is open."""


async def test_what_comes_after_a_pause_is_not_kept_back() -> None:
    """aiohttp's parser goes on to say that it is paused where a pause fell on the end of a read."""
    handler, transport = _Handler(loop=asyncio.get_running_loop()), Pausable()
    handler.connection_made(transport)
    handler.set_response_params(auto_decompress=False, read_until_eof=True)
    handler.data_received(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    _, payload = await handler.read()
    sent = 0
    while not transport.is_paused:
        handler.data_received(b"1\r\nx\r\n")
        sent += 1
    assert await payload.readany() == b"x" * sent
    assert not transport.is_paused
    handler.data_received(b"5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n")
    async with asyncio.timeout(2):
        assert await payload.read() == b"helloworld"
    handler.close()


async def test_a_connection_that_is_read_from_is_not_resumed_for_every_delta(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resumed = 0
    resume = ResponseHandler.resume_reading

    def counted(self: ResponseHandler, *arguments: bool) -> None:
        nonlocal resumed
        resumed += 1
        resume(self, *arguments)

    async def script(exchange: Exchange) -> None:
        await exchange.start(200, {"transfer-encoding": "chunked"})
        for _ in range(100):
            await exchange.chunk(b"a delta.")
        await exchange.chunk(b"")

    monkeypatch.setattr(ResponseHandler, "resume_reading", counted)
    async with scripted_server() as server:
        server.script = script
        sender = AiohttpSender()
        assert len((await fetched(sender, OutboundRequest("GET", server.url("/"))))[2]) == 800
        await sender.aclose()
    assert resumed == 0


def stall() -> None:
    """Keep the event loop from turning for longer than a server may be silent."""
    time.sleep(0.5)


async def test_bytes_that_came_while_the_loop_stood_still_are_no_silence() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start(200, {"transfer-encoding": "chunked"})
        await asyncio.sleep(0.05)
        await exchange.chunk(b"one")
        stall()
        await asyncio.sleep(0.05)
        await exchange.chunk(b"two")
        await exchange.chunk(b"")

    async with scripted_server() as server:
        server.script = script
        sender = AiohttpSender()
        request = OutboundRequest("GET", server.url("/"), timeouts=Timeouts(idle=0.3))
        assert (await fetched(sender, request))[2] == b"onetwo"
        await sender.aclose()


async def test_an_answer_before_the_end_of_a_body_arrives_and_leaving_stops_the_body() -> None:
    gone = asyncio.Event()
    before = asyncio.all_tasks()

    async def script(exchange: Exchange) -> None:
        await exchange.start(401, {"content-length": "0"})
        await exchange.gone()
        gone.set()

    async def body() -> AsyncIterator[bytes]:
        while not gone.is_set():
            yield b"x" * 1024
            await asyncio.sleep(0.01)

    async with scripted_server() as server:
        server.script = script
        sender = AiohttpSender()
        request = OutboundRequest("PUT", server.url("/"), body=body())
        async with asyncio.timeout(10), sender.send(request) as response:
            assert response.status == 401
        await asyncio.wait_for(gone.wait(), 10)
        await sender.aclose()
    assert asyncio.all_tasks() - before == {asyncio.current_task()} - before


@pytest.mark.parametrize("location", LOCATIONS, ids=ascii)
async def test_a_client_that_was_handed_in_may_stumble_over_a_redirect(location: str) -> None:
    async with scripted_server() as server, httpx.AsyncClient() as client:
        server.script = lambda exchange: exchange.answer(302, {"location": location})
        try:
            status, _, _ = await fetched(
                HttpxSender(client), OutboundRequest("GET", server.url("/"))
            )
        except UpstreamError:
            status = 302
        assert (status, len(server.exchanges)) == (302, 1)


@pytest.mark.parametrize("make", [AiohttpSender, HttpxSender])
async def test_a_closed_sender_opens_again(make: Callable[[], Sender]) -> None:
    async with scripted_server() as server:
        sender = make()
        for _ in range(2):
            await fetched(sender, OutboundRequest("GET", server.url("/")))
            await sender.aclose()
        assert server.connections == 2


@pytest.mark.parametrize("make", [AiohttpSender, HttpxSender])
async def test_a_call_over_the_pools_limit_waits_as_long_as_for_a_connection(
    make: Callable[..., Sender],
) -> None:
    async with scripted_server() as server:
        sender = make(max_connections=1)
        first = OutboundRequest("GET", server.url("/"))
        second = OutboundRequest("GET", server.url("/"), timeouts=Timeouts(connect=0.1))
        server.script = lambda exchange: exchange.start(200, {"content-length": "1"})
        async with sender.send(first):
            with pytest.raises(UpstreamTimeoutError) as caught:
                await fetched(sender, second)
        await sender.aclose()
    assert (caught.value.retryable, server.connections) == (True, 1)

"""What every `HttpSender` owes, as a suite to subclass.

Law: each test talks to a scripted server over a real socket. Give the fixture ``sender``::

    class TestMySender(HttpSenderSuite):
        @pytest.fixture
        async def sender(self) -> AsyncIterator[HttpSender]:
            sender = MySender()
            yield sender
            await sender.aclose()
"""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import pytest_asyncio

from openbolt.errors import (
    InvalidRequestError,
    NotSupportedError,
    UpstreamError,
    UpstreamTimeoutError,
)
from openbolt.http import Headers
from openbolt.protocols import HttpSender, OutboundRequest, Timeouts
from openbolt.testing.scripted import Exchange, ScriptedServer, scripted_server

__all__ = ["HttpSenderSuite"]

CHUNKED = {"transfer-encoding": "chunked"}
LOCATIONS = [
    "javascript:alert(1)",
    "data:text/plain,x",
    "http:x",
    "http://[::1",
    "http://0177.0.0.2/",
    "//",
]
"""Where a library stumbles that follows, or only reads, what it isn't to follow."""

SOON = 5.0
"""Seconds within which a thing that must happen happens, on a busy machine."""


async def fetched(sender: HttpSender, request: OutboundRequest) -> tuple[int, Headers, bytes]:
    """A whole response."""
    async with sender.send(request) as response:
        body = b"".join([data async for data in response.body])
        return response.status, response.headers, body


class HttpSenderSuite:
    """Subclass it and give ``sender``.

    Attributes:
        honors_connect_to: False where the sender can't choose its peer, as its
            `NotSupportedError` says.
        sends_once: False where a library sends again by itself and can't be kept from it.
    """

    honors_connect_to: bool = True
    sends_once: bool = True

    @pytest.fixture
    def sender(self) -> HttpSender:
        """The sender under test."""
        raise NotImplementedError

    @pytest_asyncio.fixture
    async def server(self) -> AsyncIterator[ScriptedServer]:
        """The other end of the wire."""
        async with scripted_server() as server:
            yield server

    @pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
    async def test_method_target_and_body_arrive_as_given(
        self, sender: HttpSender, server: ScriptedServer, method: str
    ) -> None:
        bodies: list[bytes] = []

        async def script(exchange: Exchange) -> None:
            bodies.append(await exchange.read_all())
            await exchange.answer(201, {"x-a": "1"}, b"made")

        server.script = script
        sent = b"" if method == "GET" else b"\x00body"
        url = server.url("/a?q=1")
        status, headers, body = await fetched(sender, OutboundRequest(method, url, body=sent))
        got = server.exchanges[0]
        assert (got.method, got.target, bodies) == (method, "/a?q=1", [sent])
        assert (status, headers.get("x-a"), body) == (201, "1", b"made")

    async def test_an_escaped_path_and_query_arrive_as_written(
        self, sender: HttpSender, server: ScriptedServer
    ) -> None:
        await fetched(sender, OutboundRequest("GET", server.url("/a%2Fb/c%20d?q=%26x&r=1+2")))
        assert server.exchanges[0].target == "/a%2Fb/c%20d?q=%26x&r=1+2"

    async def test_a_head_request_has_no_body(
        self, sender: HttpSender, server: ScriptedServer
    ) -> None:
        async def script(exchange: Exchange) -> None:
            await exchange.start(200, {"content-length": "10"})

        server.script = script
        status, headers, body = await fetched(sender, OutboundRequest("HEAD", server.url("/")))
        assert (status, headers.get("content-length"), body) == (200, "10", b"")

    async def test_repeated_fields_go_both_ways_in_order(
        self, sender: HttpSender, server: ScriptedServer
    ) -> None:
        async def script(exchange: Exchange) -> None:
            await exchange.send(
                b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nX-Mixed-Case: v\r\n"
                b"set-cookie: b=2\r\ncontent-length: 0\r\n\r\n"
            )

        server.script = script
        request = OutboundRequest("GET", server.url("/"), Headers([("X-Two", "1"), ("x-two", "2")]))
        _, headers, _ = await fetched(sender, request)
        assert server.exchanges[0].headers.get_all("x-two") == ("1", "2")
        assert headers.get_all("set-cookie") == ("a=1", "b=2")
        assert headers.get("x-mixed-case") == "v"

    async def test_nothing_is_added_that_says_who_asks(
        self, sender: HttpSender, server: ScriptedServer
    ) -> None:
        await fetched(sender, OutboundRequest("POST", server.url("/"), body=b"x"))
        names = {name for name, _ in server.exchanges[0].headers.items}
        assert names <= {"host", "accept-encoding", "connection", "content-length"}
        assert server.exchanges[0].headers.get("accept-encoding") == "identity"

    async def test_a_given_field_goes_before_a_default(
        self, sender: HttpSender, server: ScriptedServer
    ) -> None:
        fields = Headers.of({"Accept-Encoding": "gzip", "User-Agent": "me"})
        await fetched(sender, OutboundRequest("GET", server.url("/"), fields))
        got = server.exchanges[0].headers
        assert (got.get_all("accept-encoding"), got.get_all("user-agent")) == (("gzip",), ("me",))

    async def test_a_content_coding_passes_through(
        self, sender: HttpSender, server: ScriptedServer
    ) -> None:
        packed = gzip.compress(b"hello")

        async def script(exchange: Exchange) -> None:
            await exchange.answer(200, {"content-encoding": "gzip"}, packed)

        server.script = script
        _, headers, body = await fetched(sender, OutboundRequest("GET", server.url("/")))
        assert (headers.get("content-encoding"), body) == ("gzip", packed)

    async def test_a_redirect_is_an_answer(
        self, sender: HttpSender, server: ScriptedServer
    ) -> None:
        async def script(exchange: Exchange) -> None:
            await exchange.answer(302, {"location": "/elsewhere"})

        server.script = script
        status, headers, _ = await fetched(sender, OutboundRequest("GET", server.url("/")))
        assert (status, headers.get("location"), len(server.exchanges)) == (302, "/elsewhere", 1)

    @pytest.mark.parametrize("location", LOCATIONS, ids=ascii)
    async def test_where_a_redirect_leads_is_not_looked_at(
        self, sender: HttpSender, server: ScriptedServer, location: str
    ) -> None:
        async def script(exchange: Exchange) -> None:
            await exchange.answer(302, {"location": location})

        server.script = script
        status, headers, _ = await fetched(sender, OutboundRequest("GET", server.url("/")))
        assert (status, headers.get("location"), len(server.exchanges)) == (302, location, 1)

    async def test_cookies_are_not_kept(self, sender: HttpSender, server: ScriptedServer) -> None:
        async def script(exchange: Exchange) -> None:
            await exchange.answer(200, {"set-cookie": "a=1; Path=/"})

        server.script = script
        for _ in range(2):
            await fetched(sender, OutboundRequest("GET", server.url("/")))
        assert "cookie" not in server.exchanges[1].headers

    async def test_proxies_of_the_environment_are_ignored(
        self, sender: HttpSender, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        status, _, _ = await fetched(sender, OutboundRequest("GET", server.url("/")))
        assert status == 200

    async def test_a_body_is_sent_while_it_is_made(
        self, sender: HttpSender, server: ScriptedServer
    ) -> None:
        arrived = asyncio.Event()
        parts: list[bytes] = []

        async def script(exchange: Exchange) -> None:
            parts.append(await exchange.read())
            arrived.set()
            parts.append(await exchange.read_all())
            await exchange.answer()

        async def body() -> AsyncIterator[bytes]:
            yield b"first"
            await asyncio.wait_for(arrived.wait(), SOON)
            yield b"second"

        server.script = script
        await fetched(sender, OutboundRequest("PUT", server.url("/"), body=body()))
        assert parts == [b"first", b"second"]

    async def test_a_body_of_declared_length_is_not_chunked(
        self, sender: HttpSender, server: ScriptedServer
    ) -> None:
        async def body() -> AsyncIterator[bytes]:
            yield b"four"

        fields = Headers.of({"content-length": "4"})
        await fetched(sender, OutboundRequest("PUT", server.url("/"), fields, body()))
        got = server.exchanges[0].headers
        assert (got.get("content-length"), got.get("transfer-encoding")) == ("4", None)

    async def test_each_read_is_handed_on_at_once(
        self, sender: HttpSender, server: ScriptedServer
    ) -> None:
        turns: asyncio.Queue[None] = asyncio.Queue()

        async def script(exchange: Exchange) -> None:
            await exchange.start(200, CHUNKED)
            for part in (b"one", b"two", b"three"):
                await exchange.chunk(part)
                await turns.get()
            await exchange.chunk(b"")

        server.script = script
        reads: list[bytes] = []
        async with sender.send(OutboundRequest("GET", server.url("/"))) as response:
            async for data in response.body:
                reads.append(data)
                turns.put_nowait(None)
        assert reads == [b"one", b"two", b"three"]

    async def test_silence_before_the_head_runs_into_first_byte(
        self, sender: HttpSender, server: ScriptedServer
    ) -> None:
        server.script = Exchange.gone
        request = OutboundRequest("GET", server.url("/"), timeouts=Timeouts(first_byte=0.1))
        with pytest.raises(UpstreamTimeoutError) as caught:
            await fetched(sender, request)
        assert caught.value.retryable is False

    async def test_a_head_in_drips_ends_after_connect_and_first_byte(
        self, sender: HttpSender, server: ScriptedServer
    ) -> None:
        async def script(exchange: Exchange) -> None:
            await exchange.send(b"HTTP/1.1 200 OK\r\nx-a: ")
            with suppress(ConnectionError):
                for _ in range(round(SOON / 0.05)):
                    await exchange.send(b"x")
                    await asyncio.sleep(0.05)

        server.script = script
        timeouts = Timeouts(connect=0.3, first_byte=0.3)
        request = OutboundRequest("GET", server.url("/"), timeouts=timeouts)
        began = asyncio.get_running_loop().time()
        with pytest.raises(UpstreamTimeoutError) as caught:
            await fetched(sender, request)
        assert caught.value.retryable is False
        assert asyncio.get_running_loop().time() - began < SOON / 2

    async def test_silence_in_the_body_runs_into_idle(
        self, sender: HttpSender, server: ScriptedServer
    ) -> None:
        async def script(exchange: Exchange) -> None:
            await exchange.start(200, CHUNKED)
            await exchange.chunk(b"one")
            await exchange.gone()

        server.script = script
        request = OutboundRequest("GET", server.url("/"), timeouts=Timeouts(idle=0.1))
        async with sender.send(request) as response:
            body = aiter(response.body)
            assert await anext(body) == b"one"
            with pytest.raises(UpstreamTimeoutError):
                await anext(body)

    async def test_first_byte_does_not_limit_the_body(
        self, sender: HttpSender, server: ScriptedServer
    ) -> None:
        async def script(exchange: Exchange) -> None:
            await exchange.start(200, CHUNKED)
            await asyncio.sleep(1.2)
            await exchange.chunk(b"late")
            await exchange.chunk(b"")

        server.script = script
        request = OutboundRequest("GET", server.url("/"), timeouts=Timeouts(first_byte=0.6))
        assert (await fetched(sender, request))[2] == b"late"

    async def test_no_limits_are_no_limits(
        self, sender: HttpSender, server: ScriptedServer
    ) -> None:
        timeouts = Timeouts(connect=None, first_byte=None, idle=None)
        request = OutboundRequest("GET", server.url("/"), timeouts=timeouts)
        assert (await fetched(sender, request))[0] == 200

    async def test_a_refused_connection_can_be_tried_again(self, sender: HttpSender) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}/path?token=secret"
            with pytest.raises(UpstreamError) as caught:
                await fetched(sender, OutboundRequest("GET", url))
        assert (type(caught.value), caught.value.retryable) == (UpstreamError, True)
        assert "secret" not in str(caught.value)
        assert caught.value.__cause__ is not None

    @pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
    async def test_a_reset_before_the_head_is_not_tried_again(
        self, sender: HttpSender, server: ScriptedServer, method: str
    ) -> None:
        async def script(exchange: Exchange) -> None:
            exchange.reset()

        server.script = script
        sent = b"" if method == "GET" else b"x"
        with pytest.raises(UpstreamError) as caught:
            await fetched(sender, OutboundRequest(method, server.url("/"), body=sent))
        assert (type(caught.value), caught.value.retryable) == (UpstreamError, False)
        assert len(server.exchanges) == 1 or not self.sends_once

    async def test_a_connection_that_dies_while_it_is_kept_is_not_tried_again(
        self, sender: HttpSender, server: ScriptedServer
    ) -> None:
        async def script(exchange: Exchange) -> None:
            if len(server.exchanges) == 1:
                await exchange.answer()
            else:
                exchange.reset()

        server.script = script
        await fetched(sender, OutboundRequest("GET", server.url("/")))
        with pytest.raises(UpstreamError):
            await fetched(sender, OutboundRequest("GET", server.url("/")))
        assert (len(server.exchanges), server.connections) == (2, 1) or not self.sends_once

    async def test_a_large_body_arrives_whole(
        self, sender: HttpSender, server: ScriptedServer
    ) -> None:
        bodies: list[bytes] = []

        async def script(exchange: Exchange) -> None:
            bodies.append(await exchange.read_all())
            await exchange.answer()

        server.script = script
        sent = bytes(range(256)) * 8192
        await fetched(sender, OutboundRequest("PUT", server.url("/"), body=sent))
        got = server.exchanges[0].headers
        assert (got.get("content-length"), bodies == [sent]) == (str(len(sent)), True)

    async def test_what_is_no_http_is_an_upstream_error(
        self, sender: HttpSender, server: ScriptedServer
    ) -> None:
        async def script(exchange: Exchange) -> None:
            await exchange.send(b"hello, this is a mail server\r\n\r\n")
            exchange.hang_up()

        server.script = script
        with pytest.raises(UpstreamError):
            await fetched(sender, OutboundRequest("GET", server.url("/")))

    @pytest.mark.parametrize("headers", [CHUNKED, {"content-length": "100"}])
    async def test_a_body_that_is_cut_is_an_error_and_not_an_end(
        self, sender: HttpSender, server: ScriptedServer, headers: dict[str, str]
    ) -> None:
        async def script(exchange: Exchange) -> None:
            await exchange.start(200, headers)
            await exchange.send(b"3\r\none\r\n")
            exchange.hang_up()

        server.script = script
        with pytest.raises(UpstreamError):
            await fetched(sender, OutboundRequest("GET", server.url("/")))

    async def test_leaving_early_closes_the_connection(
        self, sender: HttpSender, server: ScriptedServer
    ) -> None:
        gone = asyncio.Event()

        async def script(exchange: Exchange) -> None:
            await exchange.start(200, CHUNKED)
            await exchange.chunk(b"one")
            await exchange.gone()
            gone.set()

        server.script = script
        async with sender.send(OutboundRequest("GET", server.url("/"))) as response:
            assert await anext(aiter(response.body)) == b"one"
        await asyncio.wait_for(gone.wait(), SOON)

    async def test_leaving_without_reading_closes_the_connection(
        self, sender: HttpSender, server: ScriptedServer
    ) -> None:
        gone = asyncio.Event()

        async def script(exchange: Exchange) -> None:
            await exchange.start(200, CHUNKED)
            await exchange.gone()
            gone.set()

        server.script = script
        async with sender.send(OutboundRequest("GET", server.url("/"))):
            pass
        await asyncio.wait_for(gone.wait(), SOON)

    async def test_a_whole_response_leaves_its_connection_for_the_next(
        self, sender: HttpSender, server: ScriptedServer
    ) -> None:
        for _ in range(3):
            await fetched(sender, OutboundRequest("GET", server.url("/")))
        assert (len(server.exchanges), server.connections) == (3, 1)

    async def test_connect_to_reaches_the_address_under_the_urls_name(
        self, sender: HttpSender, server: ScriptedServer
    ) -> None:
        url = server.url("/x", host="somewhere.invalid")
        request = OutboundRequest("GET", url, connect_to="127.0.0.1")
        if not self.honors_connect_to:
            with pytest.raises(NotSupportedError):
                await fetched(sender, request)
            return
        await fetched(sender, request)
        got = server.exchanges[0]
        assert (got.target, got.headers.get_all("host")) == (
            "/x",
            (f"somewhere.invalid:{server.port}",),
        )

    async def test_a_connection_to_a_given_address_is_not_used_again(
        self, sender: HttpSender, server: ScriptedServer
    ) -> None:
        if not self.honors_connect_to:
            pytest.skip("no connect_to")
        for host in ("one.invalid", "two.invalid", "two.invalid"):
            request = OutboundRequest("GET", server.url("/", host=host), connect_to="127.0.0.1")
            await fetched(sender, request)
        await fetched(sender, OutboundRequest("GET", server.url("/")))
        assert server.connections == 4

    @pytest.mark.parametrize("url", ["", "/path", "ftp://127.0.0.1/", "http://", "http://[::1"])
    async def test_what_is_no_http_url_is_an_invalid_request(
        self, sender: HttpSender, url: str
    ) -> None:
        with pytest.raises(InvalidRequestError):
            await fetched(sender, OutboundRequest("GET", url))

    async def test_a_field_that_breaks_the_head_is_an_invalid_request(
        self, sender: HttpSender, server: ScriptedServer
    ) -> None:
        fields = Headers.of({"x-a": "1\r\nx-evil: 2"})
        with pytest.raises(InvalidRequestError):
            await fetched(sender, OutboundRequest("GET", server.url("/"), fields))
        assert server.exchanges == []

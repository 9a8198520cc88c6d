"""A fetch from its outside: bodies, limits, and the guard for where names can't be pinned."""

from __future__ import annotations

import asyncio
import gzip
import socket
import zlib
from ipaddress import ip_address

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbolt.errors import (
    ConfigurationError,
    NotSupportedError,
    UpstreamError,
    UpstreamTimeoutError,
)
from openbolt.http import Headers
from openbolt.protocols import OutboundRequest
from openbolt.proxy.guard import (
    FetchPolicy,
    GuardedSender,
    LiteralOnlyGuard,
    ResponseTooLargeError,
    TargetRefusedError,
)
from openbolt.senders.aiohttp import AiohttpSender
from openbolt.testing.scripted import Exchange, ScriptedServer
from openbolt_local.resolver import SystemResolver
from tests.security.ssrf_network import RecordingSender, StandInResolver

NAME = "good.example"


def guard_for(sender: AiohttpSender, upstream: ScriptedServer, **limits: int) -> GuardedSender:
    policy = FetchPolicy(allow_hosts=(f"{NAME}:{upstream.port}",), **limits)  # type: ignore[arg-type]
    return GuardedSender(sender, StandInResolver(default=("127.0.0.1",)), policy)


def answering(body: bytes, **headers: str) -> object:
    async def script(exchange: Exchange) -> None:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        await exchange.answer(200, fields, body)

    return script


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", gzip.compress(b"hello", mtime=0)),
        ("deflate", zlib.compress(b"hello")),
        ("identity", b"hello"),
    ],
)
async def test_a_body_is_unpacked(
    sender: AiohttpSender, upstream: ScriptedServer, coding: str, packed: bytes
) -> None:
    upstream.script = answering(packed, content_encoding=coding, x_a="1")  # type: ignore[assignment]
    request = OutboundRequest("GET", upstream.url("/", host=NAME))
    async with guard_for(sender, upstream).fetch(request) as answer:
        assert await answer.read() == b"hello"
        assert answer.headers.get("x-a") == "1"
        assert ("content-length" in answer.headers) is (coding == "identity")
        assert (answer.url, answer.redirects) == (request.url, ())
    assert upstream.exchanges[0].headers.get("accept-encoding") == "gzip, deflate"


async def test_nothing_else_is_asked_for_or_unpacked(
    sender: AiohttpSender, upstream: ScriptedServer
) -> None:
    upstream.script = answering(b"?", content_encoding="br")  # type: ignore[assignment]
    headers = Headers.of({"Accept-Encoding": "br"})
    request = OutboundRequest("GET", upstream.url("/", host=NAME), headers)
    with pytest.raises(UpstreamError, match="wasn't asked for"):
        async with guard_for(sender, upstream).fetch(request):
            pass
    assert upstream.exchanges[0].headers.get_all("accept-encoding") == ("gzip, deflate",)


async def test_a_head_of_something_large_is_no_large_answer(
    sender: AiohttpSender, upstream: ScriptedServer
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start(200, {"content-length": "9" * 12, "content-encoding": "gzip"})

    upstream.script = script
    request = OutboundRequest("HEAD", upstream.url("/", host=NAME))
    async with guard_for(sender, upstream).fetch(request) as answer:
        assert await answer.read() == b""


@pytest.mark.parametrize("length", ["1001", "9" * 5000])
async def test_a_declared_length_over_the_limit_is_not_waited_for(
    sender: AiohttpSender, upstream: ScriptedServer, length: str
) -> None:
    upstream.script = lambda exchange: exchange.start(200, {"content-length": length})
    request = OutboundRequest("GET", upstream.url("/", host=NAME))
    with pytest.raises(UpstreamError):
        async with guard_for(sender, upstream, max_response_bytes=1000).fetch(request):
            pass


async def test_an_endless_body_ends_at_the_limit(
    sender: AiohttpSender, upstream: ScriptedServer
) -> None:
    hung_up = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.start(200, {"transfer-encoding": "chunked"})
        try:
            while True:
                await exchange.chunk(bytes(65536))
        except ConnectionError:
            hung_up.set()
            raise

    upstream.script = script
    request = OutboundRequest("GET", upstream.url("/", host=NAME))
    sizes: list[int] = []

    async def fetch() -> None:
        async with guard_for(sender, upstream, max_response_bytes=1_000_000).fetch(
            request
        ) as answer:
            async for piece in answer.body:
                sizes.append(len(piece))

    with pytest.raises(ResponseTooLargeError):
        await fetch()
    assert sum(sizes) <= 1_000_000
    await asyncio.wait_for(hung_up.wait(), 5)


async def test_header_fields_have_a_limit(sender: AiohttpSender, upstream: ScriptedServer) -> None:
    upstream.script = answering(b"", x_a="a" * 2000)  # type: ignore[assignment]
    request = OutboundRequest("GET", upstream.url("/", host=NAME))
    with pytest.raises(ResponseTooLargeError) as caught:
        async with guard_for(sender, upstream, max_header_bytes=2000).send(request):
            pass
    assert (caught.value.code, caught.value.status_hint) == ("response_too_large", 502)


async def test_unpacking_lets_others_have_their_turn(
    sender: AiohttpSender, upstream: ScriptedServer
) -> None:
    upstream.script = answering(gzip.compress(bytes(32 << 20)), content_encoding="gzip")  # type: ignore[assignment]
    request = OutboundRequest("GET", upstream.url("/", host=NAME))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    guard = guard_for(sender, upstream, max_ratio=2000)
    async with guard.fetch(request) as answer:
        task = asyncio.create_task(others())
        before = turns
        async for _ in answer.body:
            pass
        task.cancel()
    assert turns - before >= 16


async def test_an_error_of_the_reader_passes_and_closes(
    sender: AiohttpSender, upstream: ScriptedServer
) -> None:
    gone = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.start(200, {"content-length": "100"})
        await exchange.gone()
        gone.set()

    upstream.script = script
    with pytest.raises(LookupError):
        async with guard_for(sender, upstream).fetch(
            OutboundRequest("GET", upstream.url(host=NAME))
        ):
            raise LookupError
    await asyncio.wait_for(gone.wait(), 5)


async def test_a_body_can_be_read_and_closed_in_another_task(
    sender: AiohttpSender, upstream: ScriptedServer
) -> None:
    upstream.script = answering(b"hello")  # type: ignore[assignment]
    context = guard_for(sender, upstream).fetch(OutboundRequest("GET", upstream.url(host=NAME)))
    answer = await context.__aenter__()
    assert await asyncio.create_task(answer.read()) == b"hello"
    await asyncio.create_task(context.__aexit__(None, None, None))  # type: ignore[arg-type]


async def test_a_look_up_that_never_ends_ends_with_the_fetch() -> None:
    guard = GuardedSender(RecordingSender(), StandInResolver(default=None), FetchPolicy(total=0.05))
    with pytest.raises(UpstreamTimeoutError):
        async with guard.fetch(OutboundRequest("GET", "http://slow.example/")):
            pass


async def test_a_sender_that_cannot_be_told_the_address_is_not_used() -> None:
    async with aiohttp.ClientSession() as session:
        guard = GuardedSender(AiohttpSender(session), StandInResolver(default=("8.8.8.8",)))
        with pytest.raises(NotSupportedError):
            async with guard.send(OutboundRequest("GET", "http://public.example/")):
                pass


@given(st.lists(st.ip_addresses().filter(lambda a: a.is_global), min_size=1, max_size=9))
async def test_what_is_connected_to_is_what_was_found_in_two_families_in_turn(
    found: list[object],
) -> None:
    addresses = [str(address) for address in found]
    sender = RecordingSender(dead=frozenset(addresses))
    guard = GuardedSender(
        sender,
        StandInResolver(default=addresses),
        FetchPolicy(allow_networks=("0.0.0.0/0", "::/0")),
    )
    with pytest.raises(UpstreamError):
        async with guard.send(OutboundRequest("GET", "http://many.example/")):
            pass
    tried = [str(request.connect_to) for request in sender.sent]
    distinct = dict.fromkeys(addresses)
    assert tried[0] == addresses[0]
    assert len(tried) == len(set(tried)) == min(4, len(distinct))
    assert set(tried) <= set(distinct)
    both = len({ip_address(address).version for address in distinct}) == 2
    assert (
        len(tried) < 2 or (len({ip_address(address).version for address in tried[:2]}) == 2) is both
    )


# In a Worker


def test_without_pinning_the_hosts_have_to_be_listed() -> None:
    with pytest.raises(ConfigurationError) as caught:
        LiteralOnlyGuard(RecordingSender(), FetchPolicy())
    assert caught.value.setting == "only_hosts"


async def test_without_pinning_listed_names_are_left_to_the_sender() -> None:
    sender = RecordingSender()
    guard = LiteralOnlyGuard(sender, FetchPolicy(only_hosts=("github.com", "127.0.0.1")))
    headers = Headers.of({"host": "evil.example", "x-a": "1"})
    url = "https://GitHub.com./a/../b#c"
    async with guard.send(OutboundRequest("GET", url, headers, connect_to="10.0.0.1")):
        pass
    async with guard.fetch(OutboundRequest("GET", url)) as answer:
        assert answer.status == 204
    assert [(sent.url, sent.connect_to) for sent in sender.sent] == [
        ("https://github.com/b", None)
    ] * 2
    assert sender.sent[0].headers.items == (("x-a", "1"),)
    for refused in (
        "https://gitlab.com/",
        "http://127.0.0.1/",
        "http://2130706433/",
        "ftp://github.com/",
    ):
        with pytest.raises(TargetRefusedError):
            async with guard.send(OutboundRequest("GET", refused)):
                pass
    assert len(sender.sent) == 2


# The operating system's resolver


async def test_the_system_knows_its_own_names() -> None:
    resolver = SystemResolver(threads=1)
    for _ in range(2):
        found = await resolver.resolve("localhost", 80)
        await resolver.aclose()
        assert set(found) <= {ip_address("127.0.0.1"), ip_address("::1")}
        assert len(set(found)) == len(found) >= 1


@pytest.mark.parametrize(
    ("error", "is_unknown"),
    [
        (socket.gaierror(socket.EAI_NONAME, "no such name"), True),
        (socket.gaierror(socket.EAI_AGAIN, "try again"), False),
        (OSError(5, "broken"), False),
        (UnicodeError("label too long"), False),
    ],
)
async def test_what_the_system_says_of_a_name(
    monkeypatch: pytest.MonkeyPatch, error: Exception, is_unknown: bool
) -> None:
    def failing(*_: object, **__: object) -> object:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", failing)
    resolver = SystemResolver()
    if is_unknown:
        assert await resolver.resolve("unknown.example", 80) == ()
    else:
        with pytest.raises(UpstreamError) as caught:
            await resolver.resolve("unknown.example", 80)
        assert caught.value.__cause__ is error
    await resolver.aclose()


async def test_the_systems_answers_keep_their_order_and_zones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kind = socket.SOCK_STREAM
    answers = [
        (socket.AF_INET6, kind, 6, "", ("2606:4700::1111", 80, 0, 0)),
        (socket.AF_INET, kind, 6, "", ("8.8.8.8", 80)),
        (socket.AF_INET6, kind, 6, "", ("fe80::1%eth0", 80, 0, 2)),
        (socket.AF_INET, kind, 6, "", ("8.8.8.8", 80)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
    resolver = SystemResolver()
    found = await resolver.resolve("many.example", 80)
    await resolver.aclose()
    assert [str(address) for address in found] == ["2606:4700::1111", "8.8.8.8", "fe80::1%eth0"]

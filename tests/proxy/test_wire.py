"""The proxy between a raw client and a raw upstream: what crosses, in bytes, either way."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable

import pytest

from openbolt.proxy.handler import Proxy
from openbolt.senders.aiohttp import AiohttpSender
from openbolt.senders.httpx import HttpxSender
from openbolt.testing.scripted import Exchange, ScriptedServer
from tests.proxy.serving import Served, guarded, served, settings_with

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # or the system's authorities are read each time
KEY = "sk-operators-own-0123456789"


@pytest.fixture(params=["aiohttp", "httpx"])
async def app(request: pytest.FixtureRequest, upstream: ScriptedServer) -> AsyncIterator[Served]:
    every = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"]
    base = upstream.url("/base")
    asked = ["accept", "content-type", "range", "x-asked", "x-dropped", "accept-encoding"]
    told = ["content-type", "etag", "location", "x-told", "cache-control", "vary", "content-range"]
    settings = settings_with(
        {
            "open": {
                "url": base,
                "methods": every,
                "requestHeaders": asked,
                "responseHeaders": told,
                "retries": 0,
            },
            "keyed": {
                "url": base,
                "methods": every,
                "retries": 0,
                "requestHeaders": [*asked, "x-api-key"],
                "secrets": [
                    {"secret": "operator:k", "header": "X-Api-Key"},
                    {"secret": "operator:k", "query": "key"},
                    {
                        "secret": "operator:k",
                        "header": "authorization",
                        "template": "Bearer {secret}",
                    },
                ],
            },
        },
        {"k": KEY},
    )
    sender = AiohttpSender() if request.param == "aiohttp" else HttpxSender(tls=NO_TLS)
    async with served(guarded(Proxy.of(settings, sender))) as app:
        yield app
    await sender.aclose()


CLIENT_FIELDS = [
    "Cookie: session=ours",
    "Authorization: Bearer obk_ours",
    "Proxy-Authorization: Basic b3Vycw==",
    "Proxy-Connection: keep-alive",
    "Keep-Alive: timeout=5",
    "TE: trailers, deflate",
    "Trailer: x-end",
    "Expect: 100-continue",
    "X-Forwarded-For: 203.0.113.9",
    "X-Forwarded-Host: evil.example",
    "X-Forwarded-Proto: https",
    "Forwarded: for=203.0.113.9",
    "X-Real-IP: 203.0.113.9",
    "Via: 1.1 spoofed",
    "X-HTTP-Method-Override: DELETE",
    "X-Original-URL: /admin",
    "Origin: https://pages.example",
    "Referer: http://localhost/preview/token/",
    "Sec-Fetch-Mode: cors",
    "HTTP2-Settings: AAMAAABkAAQ",
    "Upgrade: h2c",
    "X-Unlisted: 1",
]


@pytest.mark.parametrize("field", CLIENT_FIELDS)
async def test_a_field_that_stays_with_the_client_never_reaches_the_upstream(
    app: Served, upstream: ScriptedServer, field: str
) -> None:
    name, _, value = field.partition(": ")
    answer = await app.ask("GET /api/proxy/open/a", field, "X-Asked: yes")
    assert answer.status == (100 if name == "Expect" else 200)
    seen = upstream.exchanges[0].headers
    assert seen.get("x-asked") == "yes"
    if name == "Via":
        assert seen.get_all("via") == ("1.1 openbolt",)
    else:
        assert name.lower() not in seen
        assert f": {value}\r\n".encode() not in upstream.exchanges[0].raw_head


async def test_fields_that_the_client_names_in_connection_stay_behind(
    app: Served, upstream: ScriptedServer
) -> None:
    await app.ask("GET /api/proxy/open/a", "Connection: close, X-Dropped", "X-Dropped: 1")
    await app.ask(
        "GET /api/proxy/open/a", "Connection: close", "Connection: x-DROPPED", "X-Dropped: 1"
    )
    for exchange in upstream.exchanges:
        assert "x-dropped" not in exchange.headers
        assert "X-Dropped" not in (exchange.headers.get("connection") or "")


async def test_an_upstream_is_told_who_forwards_and_nothing_else_by_itself(
    app: Served, upstream: ScriptedServer
) -> None:
    await app.ask("GET /api/proxy/open/a?q=1", "Accept: text/plain")
    seen = upstream.exchanges[0]
    assert (seen.method, seen.target) == ("GET", "/base/a?q=1")
    fields = {name for name, _ in seen.headers.items} - {"connection"}
    assert fields == {"host", "accept", "accept-encoding", "user-agent", "via"}
    assert seen.headers.get("host") == f"127.0.0.1:{upstream.port}"
    assert seen.headers.get("user-agent") == "openbolt"


UPSTREAM_FIELDS = [
    "Set-Cookie: theirs=1",
    "Set-Cookie2: theirs=1",
    "Access-Control-Allow-Origin: *",
    "Access-Control-Allow-Credentials: true",
    "Strict-Transport-Security: max-age=1",
    "Clear-Site-Data: cookies",
    "Service-Worker-Allowed: /",
    "Refresh: 0; url=https://evil.example",
    "WWW-Authenticate: Basic realm=x",
    "Proxy-Authenticate: Basic realm=x",
    "Alt-Svc: h3=x",
    "Server: theirs",
    "X-Powered-By: theirs",
    "X-Accel-Redirect: /etc/passwd",
    "Keep-Alive: timeout=9",
    "Upgrade: h2c",
    "X-Request-Id: theirs",
    "Cross-Origin-Resource-Policy: cross-origin",
    "Content-Security-Policy: default-src *",
    "Content-Location: http://inside.example/",
    "Link: </x.js>; rel=preload",
    "Via: 1.1 theirs",
]


@pytest.mark.parametrize("field", UPSTREAM_FIELDS)
async def test_a_field_that_is_the_upstreams_own_never_reaches_the_client(
    app: Served, upstream: ScriptedServer, field: str
) -> None:
    name, _, value = field.partition(": ")

    async def script(exchange: Exchange) -> None:
        fields = {"x-told": "yes", "content-type": "application/json", name: value}
        await exchange.answer(200, fields, b"{}")

    upstream.script = script
    answer = await app.ask("GET /api/proxy/open/a")
    assert (answer.status, answer.body) == (200, b"{}")
    assert answer.headers.get("x-told") == "yes"
    assert value not in answer.headers.get_all(name)
    assert answer.headers.get_all("via") == ("1.1 openbolt",)
    for kept, expected in {
        "content-security-policy": "sandbox",
        "x-content-type-options": "nosniff",
        "cross-origin-resource-policy": "same-origin",
        "cache-control": "private, no-cache",
        "vary": "Authorization, Cookie",
    }.items():
        assert (answer.headers.get(kept) or "").startswith(expected), kept


async def test_fields_that_the_upstream_names_in_connection_stay_behind(
    app: Served, upstream: ScriptedServer
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.answer(200, {"connection": "close, x-told", "x-told": "1"})
        exchange.hang_up()

    upstream.script = script
    assert "x-told" not in (await app.ask("GET /api/proxy/open/a")).headers


MALFORMED = {
    "two lengths": ["Content-Length: 3", "Content-Length: 4"],
    "two equal lengths": ["Content-Length: 3", "Content-Length: 3"],
    "a list of lengths": ["Content-Length: 3, 3"],
    "a length and chunks": ["Content-Length: 3", "Transfer-Encoding: chunked"],
    "a signed length": ["Content-Length: +3"],
    "a length in hexadecimal": ["Content-Length: 0x3"],
    "an unknown coding": ["Transfer-Encoding: gzip, chunked"],
    "a coding that only ends so": ["Transfer-Encoding: xchunked"],
    "a blank before the colon": ["Transfer-Encoding : chunked"],
    "a bare return": ["X-Asked: a\rX-Smuggled: b"],
    "a NUL": ["X-Asked: a\0b"],
    "a folded line": ["X-Asked: a", " Content-Length: 3"],
}


@pytest.mark.parametrize("shape", MALFORMED)
async def test_what_servers_could_read_differently_reaches_no_upstream(
    app: Served, upstream: ScriptedServer, shape: str
) -> None:
    smuggled = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n"
    answer = await app.ask("POST /api/proxy/open/a", *MALFORMED[shape], body=smuggled)
    heads = b"".join(exchange.raw_head for exchange in upstream.exchanges)
    assert b"smuggled" not in heads.lower()
    if upstream.exchanges:  # the server took it for something harmless, and wrote it anew
        assert shape in {"a folded line", "two equal lengths", "a list of lengths"}
        assert len(upstream.exchanges) == 1
    else:
        assert answer.status == 400


async def test_another_protocol_is_refused(app: Served, upstream: ScriptedServer) -> None:
    answer = await app.ask(
        "GET /api/proxy/open/a", "Connection: close, Upgrade", "Upgrade: websocket"
    )
    assert answer.status in {400, 501}
    assert upstream.exchanges == []


@pytest.mark.parametrize("via", ["1.1 openbolt", "1.0 fred, 1.1 OpenBolt (x)", "HTTP/2 openbolt"])
async def test_a_request_that_comes_back_is_refused(
    app: Served, upstream: ScriptedServer, via: str
) -> None:
    answer = await app.ask("GET /api/proxy/open/a", f"Via: {via}")
    assert answer.error == (508, "proxy_loop")
    assert upstream.exchanges == []


async def test_a_proxy_that_forwards_to_itself_stops_at_the_second_round(
    sender: AiohttpSender,
) -> None:
    settings = settings_with({"self": {"url": "http://127.0.0.1:1/api/proxy/self"}})
    proxy = Proxy.of(settings, sender)
    asked = 0

    async def counted(request):
        nonlocal asked
        asked += 1
        return await handler(request)

    handler = guarded(proxy)
    async with served(counted) as app:
        # Made of itself, with the port that it got.
        looping = {"self": {"url": f"{app.url}/api/proxy/self", "setHeaders": {"x-test-user": "x"}}}
        handler = guarded(Proxy.of(settings_with(looping), sender))
        answer = await app.ask("GET /api/proxy/self/a")
    assert (answer.status, asked) == (508, 2)


async def test_a_secret_takes_the_place_of_whatever_the_client_sent_there(
    app: Served, upstream: ScriptedServer
) -> None:
    await app.ask(
        "GET /api/proxy/keyed/a?key=mine&KEY=mine&k%65y=mine&key[]=mine&k.e.y=mine&a=1&b;key=mine",
        "X-Api-Key: mine",
        "Authorization: Bearer mine",
    )
    seen = upstream.exchanges[0]
    assert seen.headers.get_all("x-api-key") == (KEY,)
    assert seen.headers.get_all("authorization") == (f"Bearer {KEY}",)
    assert seen.target == f"/base/a?a=1&b%3Bkey=mine&key={KEY}"


async def test_a_secret_that_is_echoed_comes_back_covered(
    app: Served, upstream: ScriptedServer
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start(200, {"transfer-encoding": "chunked", "etag": f'"{KEY}"'})
        echo = f"you said {KEY}, and {KEY}".encode()
        for at in range(0, len(echo), 7):
            await exchange.chunk(echo[at : at + 7])
            await asyncio.sleep(0.001)
        await exchange.chunk(b"")

    upstream.script = script
    answer = await app.ask("GET /api/proxy/keyed/a")
    assert answer.status == 200
    assert KEY.encode() not in answer.raw
    assert answer.raw.count(b"*") == 2 * len(KEY)


async def test_what_could_not_be_searched_for_a_secret_is_not_passed(
    app: Served, upstream: ScriptedServer
) -> None:
    async def script(exchange: Exchange) -> None:
        assert exchange.headers.get("accept-encoding") == "identity"
        await exchange.answer(200, {"content-encoding": "gzip"}, b"packed")

    upstream.script = script
    answer = await app.ask("GET /api/proxy/keyed/a", "Accept-Encoding: gzip")
    assert answer.error == (502, "upstream_error")


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_secret_of_the_servers_is_a_502_and_others_are_passed_back(
    app: Served, upstream: ScriptedServer, status: int
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.answer(status, {"www-authenticate": "Basic"}, b"no")

    upstream.script = script
    assert (await app.ask("GET /api/proxy/keyed/a")).error == (502, "upstream_error")
    passed = await app.ask("GET /api/proxy/open/a")
    assert (passed.status, passed.body) == (status, b"no")
    assert "www-authenticate" not in passed.headers


REDIRECTS: list[tuple[str, str | int]] = [
    ("b", "/api/proxy/open/b"),
    ("/base/b/c?x=1#f", "/api/proxy/open/b/c?x=1#f"),
    ("{base}/b", "/api/proxy/open/b"),
    ("/other", 502),
    ("/base/../other", 502),
    ("/base/%2e%2e/other", 502),
    ("/base/..%2fother", 502),
    ("/baseless", 502),
    ("https://evil.example/", 502),
    ("//evil.example/base/", 502),
    ("\\\\evil.example/base/", 502),
    ("http://127.0.0.1@evil.example/base/", 502),
    ("javascript:alert(1)", 502),
    ("data:text/html,x", 502),
    ("http://[::1", 502),
]


@pytest.mark.parametrize(("location", "expected"), REDIRECTS)
async def test_a_redirect_stays_within_the_upstream(
    app: Served, upstream: ScriptedServer, location: str, expected: str | int
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.answer(302, {"location": location.format(base=upstream.url("/base"))})

    upstream.script = script
    answer = await app.ask("GET /api/proxy/open/a")
    if isinstance(expected, int):
        assert answer.error == (expected, "redirect_refused")
        assert "location" not in answer.headers
    else:
        assert (answer.status, answer.headers.get("location")) == (302, expected)
    assert len(upstream.exchanges) == 1


async def test_a_secret_parameter_is_cut_out_of_a_redirect(
    app: Served, upstream: ScriptedServer
) -> None:
    async def script(exchange: Exchange) -> None:
        where = exchange.target.replace("/a", "/b") if "?a=" in exchange.target else f"/base/{KEY}"
        await exchange.answer(302, {"location": where})

    upstream.script = script
    answer = await app.ask("GET /api/proxy/keyed/a?a=1")
    assert (answer.status, answer.headers.get("location")) == (302, "/api/proxy/keyed/b?a=1")
    refused = await app.ask("GET /api/proxy/keyed/a?z=1")
    assert refused.error == (502, "redirect_refused")
    assert KEY.encode() not in refused.raw


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_length_is_told_and_a_head_has_no_body(
    app: Served, upstream: ScriptedServer, method: str
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start(200, {"content-length": "5", "content-type": "text/plain"})
        if exchange.method == "GET":
            await exchange.send(b"12345")

    upstream.script = script
    answer = await app.ask(f"{method} /api/proxy/open/a")
    assert upstream.exchanges[0].method == method
    assert answer.headers.get("content-length") == "5"
    assert answer.body == (b"12345" if method == "GET" else b"")


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_without_a_body_has_no_length(
    app: Served, upstream: ScriptedServer, status: int
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start(status, {"etag": '"1"', "x-told": "1"})

    upstream.script = script
    answer = await app.ask("GET /api/proxy/open/a")
    assert (answer.status, answer.headers.get("etag"), answer.body) == (status, '"1"', b"")
    assert "transfer-encoding" not in answer.headers


async def test_a_range_is_passed_and_answered(app: Served, upstream: ScriptedServer) -> None:
    async def script(exchange: Exchange) -> None:
        assert exchange.headers.get("range") == "bytes=1-3"
        fields = {"content-range": "bytes 1-3/10", "content-type": "image/png"}
        await exchange.answer(206, fields, b"123")

    upstream.script = script
    answer = await app.ask("GET /api/proxy/open/a", "Range: bytes=1-3")
    assert (answer.status, answer.body) == (206, b"123")
    assert answer.headers.get("content-range") == "bytes 1-3/10"


@pytest.mark.parametrize("sized", [True, False])
async def test_a_body_is_sent_on_in_the_form_that_it_came_in(
    app: Served, upstream: ScriptedServer, sized: bool
) -> None:
    bodies: list[bytes] = []

    async def script(exchange: Exchange) -> None:
        bodies.append(await exchange.read_all())
        await exchange.answer(201)

    upstream.script = script
    if sized:
        answer = await app.ask("POST /api/proxy/open/a", "Content-Length: 5", body=b"12345")
    else:
        chunked = b"2\r\n12\r\n3;ext=1\r\n345\r\n0\r\nX-Trailer: dropped\r\n\r\n"
        answer = await app.ask("POST /api/proxy/open/a", "Transfer-Encoding: chunked", body=chunked)
    seen = upstream.exchanges[0].headers
    assert (answer.status, bodies) == (201, [b"12345"])
    assert (seen.get("content-length"), seen.get("transfer-encoding")) == (
        ("5", None) if sized else (None, "chunked")
    )
    assert "x-trailer" not in seen


async def test_an_expectation_is_met_here(app: Served, upstream: ScriptedServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", app.port)
    writer.write(
        b"POST /api/proxy/open/a HTTP/1.1\r\nhost: localhost\r\nx-test-user: ann\r\n"
        b"content-length: 2\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n"
    )
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
    writer.write(b"ab")
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert "expect" not in upstream.exchanges[0].headers


BREAKS: dict[str, Callable[[Exchange], object]] = {
    "a reset": Exchange.reset,
    "a close before its length": Exchange.hang_up,
}


@pytest.mark.parametrize("how", BREAKS)
async def test_an_answer_that_breaks_off_is_never_whole_to_the_client(
    app: Served, upstream: ScriptedServer, how: str
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start(200, {"content-length": "10"})
        await exchange.send(b"12345")
        await asyncio.sleep(0.05)
        BREAKS[how](exchange)

    upstream.script = script
    answer = await app.ask("GET /api/proxy/open/a")
    assert answer.headers.get("content-length") == "10"
    assert len(answer.body) < 10


ANSWERS = {
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
    "a length and chunks": (
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "no number": b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\nab",
    "no HTTP": b"hello\r\n\r\n",
    "another protocol": b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
}


@pytest.mark.parametrize("shape", ANSWERS)
async def test_an_answer_that_servers_could_read_differently_is_a_502(
    app: Served, upstream: ScriptedServer, shape: str
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(ANSWERS[shape])
        exchange.hang_up()

    upstream.script = script
    answer = await app.ask("GET /api/proxy/open/a")
    assert answer.status == 502
    assert json.loads(answer.body)["error"]["code"] == "upstream_error"

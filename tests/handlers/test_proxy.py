"""The proxy as a handler: who may ask, with which secrets, how often, and what a page gets."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from openbolt.errors import ConfigurationError
from openbolt.limiting import RateLimits
from openbolt.protocols import RatePolicy
from openbolt.proxy.handler import Proxy
from openbolt.secrets import SecretStore
from openbolt.senders.aiohttp import AiohttpSender
from openbolt.settings import Settings
from openbolt.testing import ManualClock, PlainCipher
from openbolt.testing.scripted import Exchange, ScriptedServer
from openbolt_local.memory import MemoryKeyValueStore
from openbolt_local.memory_limits import MemoryRateLimiter
from tests.handlers.building import Caller
from tests.proxy.serving import ORIGIN, guarded, settings_with

KEY = "sk-anns-own-0123456789"


@pytest.fixture
def secrets(kv: MemoryKeyValueStore, clock: ManualClock) -> SecretStore:
    return SecretStore(kv, PlainCipher(), clock, Settings())


@pytest.fixture
def config() -> dict[str, Any]:
    return {}


@pytest.fixture
def call(
    upstream: ScriptedServer,
    sender: AiohttpSender,
    secrets: SecretStore,
    clock: ManualClock,
    config: dict[str, Any],
) -> Caller:
    up = {"url": upstream.url(), "retries": 0, **config}
    limiter = MemoryRateLimiter(clock)
    limits = RateLimits(limiter, clock, {"reads": RatePolicy("reads", 1, 1.0)}, limiter)
    proxy = Proxy.of(settings_with({"up": up}), sender, secrets=secrets, limits=limits)
    return Caller(guarded(proxy))


OWN = {"secrets": [{"secret": "user:mine", "header": "x-api-key"}]}


@pytest.mark.parametrize("config", [OWN])
async def test_each_user_goes_with_their_own_secret(
    call: Caller, upstream: ScriptedServer, secrets: SecretStore
) -> None:
    await secrets.put("ann", "mine", KEY)
    assert (await call("GET", "/api/proxy/up/a")).status == 200
    assert upstream.exchanges[0].headers.get("x-api-key") == KEY
    missing = await call("GET", "/api/proxy/up/a", user="bob")
    assert missing.error == (400, "secret_missing", None)
    assert "'mine'" in missing.json["error"]["message"]
    assert len(upstream.exchanges) == 1


@pytest.mark.parametrize("config", [OWN])
async def test_a_users_own_secret_that_is_refused_is_theirs_to_mend(
    call: Caller, upstream: ScriptedServer, secrets: SecretStore
) -> None:
    await secrets.put("ann", "mine", KEY)
    upstream.script = lambda exchange: exchange.answer(401, {}, KEY.encode())
    answer = await call("GET", "/api/proxy/up/a")
    assert answer.error == (400, "own_key_refused", None)
    assert KEY not in answer.text


@pytest.mark.parametrize("config", [OWN])
@pytest.mark.parametrize("value", ["a\r\nx-other: b", "ключ", " padded "])
async def test_a_secret_that_cannot_stand_in_a_field_is_not_sent(
    call: Caller, upstream: ScriptedServer, secrets: SecretStore, value: str
) -> None:
    await secrets.put("ann", "mine", value)
    answer = await call("GET", "/api/proxy/up/a")
    assert answer.error == (400, "secret_unusable", None)
    assert value.strip() not in answer.text
    assert upstream.exchanges == []


@pytest.mark.parametrize(
    "config", [{"secrets": [{"secret": "user:mine", "query": "key"}], "firstByte": 0.05}]
)
async def test_no_log_line_holds_a_secret(
    call: Caller,
    upstream: ScriptedServer,
    secrets: SecretStore,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    await secrets.put("ann", "mine", KEY)

    async def script(exchange: Exchange) -> None:
        await exchange.send(f"HTTP/1.1 {exchange.target} is no answer\r\n\r\n".encode())
        exchange.hang_up()

    scripts = [script, Exchange.gone, lambda exchange: exchange.answer(403, {}, KEY.encode())]
    for each in scripts:
        upstream.script = each
        answer = await call("GET", "/api/proxy/up/a")
        assert answer.status in {400, 502, 504}
        assert KEY not in answer.text
    assert len(caplog.records) >= len(scripts)
    logging.Formatter()
    text = "".join(logging.Formatter().format(record) for record in caplog.records)
    assert KEY not in text


def test_a_users_own_secret_needs_a_store_of_them() -> None:
    up = {"url": "https://api.example", **OWN}
    with pytest.raises(ConfigurationError, match="OPENBOLT_SECRET_KEYS"):
        Proxy.of(settings_with({"up": up}), AiohttpSender())


@pytest.mark.parametrize("config", [{"rate": {"limit": 2, "period": 60}}])
async def test_an_upstream_has_a_rate_of_its_own_for_each_user(
    call: Caller, upstream: ScriptedServer, clock: ManualClock
) -> None:
    statuses = [(await call("GET", "/api/proxy/up/a")).status for _ in range(3)]
    assert statuses == [200, 200, 429]
    refused = await call("GET", "/api/proxy/up/a")
    assert refused.error == (429, "rate_limited", None)
    assert refused.headers.get("retry-after") == "30"
    assert (await call("GET", "/api/proxy/up/a", user="bob")).status == 200
    assert len(upstream.exchanges) == 3
    await clock.advance(30)
    assert (await call("GET", "/api/proxy/up/a")).status == 200


async def test_nobody_else_is_forwarded(call: Caller, upstream: ScriptedServer) -> None:
    assert (await call("GET", "/api/proxy/up/a", user=None)).status == 401
    assert upstream.exchanges == []


@pytest.mark.parametrize(
    ("method", "target", "error"),
    [
        ("GET", "/api/proxy/down/a", (404, "not_found")),
        ("GET", "/api/proxy/up/other/a", (404, "not_found")),
        ("POST", "/api/proxy/up/a", (405, "method_not_allowed")),
        ("TRACE", "/api/proxy/up/a", (405, "method_not_allowed")),
        ("GET", "/api/proxy/up/a/%2e%2e/b", (400, "path_refused")),
        ("GET", "/api/proxy/up/a/%252e%252e/b", (400, "path_refused")),
    ],
)
@pytest.mark.parametrize("config", [{"paths": ["a", "a/**"]}])
async def test_what_is_not_configured_is_not_asked(
    call: Caller, upstream: ScriptedServer, method: str, target: str, error: tuple[int, str]
) -> None:
    answer = await call(method, target)
    assert answer.error[:2] == error
    assert upstream.exchanges == []


RUNNING = ["text/html", "TEXT/HTML; charset=utf-8", "image/svg+xml", "text/xml", "application/xml",
           "application/xhtml+xml", "text/javascript", "application/javascript", "application/pdf",
           "text/css", "multipart/x-mixed-replace; boundary=x", "application/rss+xml", "unknown",
           "text/plain, text/html", "application/json;,text/html", "application/x-shockwave-flash",
           "message/rfc822", "text/cache-manifest", "application/wasm", ""]  # fmt: skip
INERT = ["application/json", "application/problem+json", "text/plain; charset=utf-8", "text/csv",
         "image/png", "audio/mpeg", "video/mp4", "font/woff2", "application/octet-stream",
         "text/event-stream", "application/x-ndjson"]  # fmt: skip


@pytest.mark.parametrize("kind", [*RUNNING, *INERT])
async def test_what_a_browser_could_run_is_only_offered_for_download(
    call: Caller, upstream: ScriptedServer, kind: str
) -> None:
    fields = {"content-type": kind, "content-disposition": "inline"} if kind else {}
    upstream.script = lambda exchange: exchange.answer(200, fields, b"<script>")
    answer = await call("GET", "/api/proxy/up/a")
    disposition = answer.headers.get_all("content-disposition")
    if kind in INERT or not kind:
        assert disposition == ()
    else:
        assert disposition == ("attachment",)
    assert answer.headers.get("content-type") == (kind or "application/octet-stream")
    policy = answer.headers.get("content-security-policy") or ""
    assert policy.split(";")[0] == "sandbox"
    assert "default-src 'none'" in policy
    assert answer.headers.get("x-content-type-options") == "nosniff"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 200),
        ({"sec-fetch-site": "same-origin", "sec-fetch-dest": "empty"}, 200),
        ({"sec-fetch-site": "same-origin", "sec-fetch-dest": "image"}, 200),
        ({"sec-fetch-site": "none", "sec-fetch-dest": "document"}, 200),
        ({"sec-fetch-site": "cross-site", "origin": ORIGIN}, 200),
        ({"sec-fetch-site": "cross-site", "sec-fetch-dest": "image"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-dest": "document"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "same-origin", "sec-fetch-dest": "script"}, 403),
        ({"sec-fetch-site": "same-origin", "sec-fetch-dest": "style"}, 403),
        ({"sec-fetch-site": "same-origin", "sec-fetch-dest": "iframe"}, 403),
        ({"sec-fetch-site": "same-origin", "sec-fetch-dest": "serviceworker"}, 403),
        ({"sec-fetch-site": "same-origin", "sec-fetch-dest": "object"}, 403),
    ],
)
async def test_only_our_own_pages_ask_and_only_to_read(
    call: Caller, upstream: ScriptedServer, fields: dict[str, str], status: int
) -> None:
    answer = await call("GET", "/api/proxy/up/a", headers=fields)
    assert answer.status == status
    assert len(upstream.exchanges) == (status == 200)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (None, "private, no-cache"),
        ("public, max-age=60", "private, max-age=60"),
        ("max-age=60, s-maxage=90, proxy-revalidate", "private, max-age=60"),
        ("no-store", "private, no-store"),
        ('private="x, y", max-age=1', "private, max-age=1"),
    ],
)
async def test_nobody_else_is_given_what_a_cache_has_kept(
    call: Caller, upstream: ScriptedServer, given: str | None, kept: str
) -> None:
    fields = {"vary": "Accept, Cookie"} | ({"cache-control": given} if given else {})
    upstream.script = lambda exchange: exchange.answer(200, fields)
    answer = await call("GET", "/api/proxy/up/a")
    assert answer.headers.get_all("cache-control") == (kept,)
    assert answer.headers.get_all("vary") == ("Accept, Authorization, Cookie",)


async def test_a_redirect_leads_below_the_mount_point(
    call: Caller, upstream: ScriptedServer
) -> None:
    upstream.script = lambda exchange: exchange.answer(
        307, {"location": "/b c?d=1".replace(" ", "%20")}
    )
    answer = await call("GET", "/api/proxy/up/a", root_path="/mounted")
    assert answer.headers.get("location") == "/mounted/api/proxy/up/b%20c?d=1"


@pytest.mark.parametrize("config", [{"redirectTo": ["https://files.example"]}])
@pytest.mark.parametrize(
    ("location", "status"),
    [
        ("https://files.example/a?b=1", 302),
        ("https://files.example:444/a", 502),
        ("http://files.example/a", 502),
        ("https://files.example.evil.example/", 502),
        ("https://files.example@evil.example/", 502),
    ],
)
async def test_a_redirect_leads_to_listed_origins(
    call: Caller, upstream: ScriptedServer, location: str, status: int
) -> None:
    upstream.script = lambda exchange: exchange.answer(302, {"location": location})
    answer = await call("GET", "/api/proxy/up/a")
    assert answer.status == status
    assert answer.headers.get("location") == (location if status == 302 else None)

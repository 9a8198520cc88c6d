"""Attacks through the proxy of the whole application; the rest of its tests are in tests/proxy."""

from __future__ import annotations

import json

import pytest
from attrs import evolve

from openbolt.testing.scripted import Exchange, ScriptedServer
from tests.security.attacks_browser import EVIL, PUBLIC, Browser
from tests.security.attacks_site import SETTINGS, Site

SECRET = "operators-upstream-key-000001"
URL = f"{PUBLIC}/api/proxy/up/a"


@pytest.fixture
async def ann(site: Site, upstream: ScriptedServer) -> Browser:
    """Signed in, where a server is configured behind the proxy."""
    up = {
        "url": upstream.url(),
        "methods": ["GET", "POST"],
        "secrets": [{"secret": "operator:k", "header": "x-api-key"}],
    }
    forwarding = site.with_settings(
        evolve(
            SETTINGS,
            upstreams=json.dumps({"up": up}),
            upstream_secrets=json.dumps({"k": SECRET}),
        )
    )
    return await forwarding.signed_in("ann")


async def test_a_second_request_is_smuggled_in_a_body(
    ann: Browser, upstream: ScriptedServer
) -> None:
    """Past a server in front that takes one length, and lets the other through."""
    heads = (
        {"content-length": "4", "transfer-encoding": "chunked"},
        {"content-length": "4, 4"},
        {"content-length": "+4"},
        {"transfer-encoding": "gzip, chunked"},
        {"accept": "a\r\nx-smuggled: b"},
        {"accept": "a\x00b"},
    )
    for head in heads:
        answer = await ann.fetch(URL, method="POST", content=b"0\r\n\r\nGET /", **head)
        assert answer.error[:2] == (400, "malformed_request"), head
    assert upstream.exchanges == []


async def test_an_upstream_says_the_secret_again(ann: Browser, upstream: ScriptedServer) -> None:
    async def script(exchange: Exchange) -> None:
        key = exchange.headers.get("x-api-key") or ""
        await exchange.answer(200, {"x-debug": key, "etag": f'"{key}"'}, f"key={key}".encode())

    upstream.script = script
    answer = await ann.fetch(URL)
    assert upstream.exchanges[0].headers.get("x-api-key") == SECRET
    assert answer.status == 200
    assert SECRET not in answer.text + str(answer.headers.items)


async def test_another_site_asks_with_a_visitors_cookie(
    ann: Browser, upstream: ScriptedServer
) -> None:
    """It can't read the answer; but asking costs, and some servers do things when asked."""
    old = evolve(ann, knows_same_site=False)
    for browser in (old, evolve(old, says_where_from=False)):
        answer = await browser.fetch(URL, by=EVIL, origin=EVIL)
        assert answer.error[:2] == (403, "cross_origin")
    assert upstream.exchanges == []


async def test_somebody_without_the_right_is_forwarded(
    site: Site, ann: Browser, upstream: ScriptedServer
) -> None:
    key = await site.key(ann, "chat", "projects", "admin")
    program = ann.another()
    answer = await program.fetch(URL, by=None, authorization=f"Bearer {key}")
    assert answer.error == (403, "scope_missing", None)
    assert (await program.fetch(URL)).error == (401, "unauthenticated", None)
    assert upstream.exchanges == []

"""Attacks by pages of other origins, in the browser of somebody who is signed in."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import pytest
from attrs import evolve

from openbolt.http import Headers
from tests.security.attacks_browser import EVIL, FORM, PUBLIC, SIBLING, Browser
from tests.security.attacks_site import SETTINGS, TRUSTED, Site, who

PROJECT = f"{PUBLIC}/api/projects/p1"
PREVIEW = f"{PROJECT}/preview"

LOOK_ALIKES = [
    EVIL,
    "null",
    "http://app.example",
    "https://app.example.evil.example",
    "https://evil.example/app.example",
    "https://app.example@evil.example",
    "https://app-example.test",
    "https://app.example:8443",
    "https://app.example.",
    "https://pages.example.evil.example",
    "https://evilpages.example",
    "http://pages.example",
    "https://pages.example:444",
    "https://sub.pages.example",
    "file://",
    "chrome-extension://abcdefghijklmnop",
    "https://pages.example, https://app.example",
    "https://\u0440ages.example",  # a Cyrillic letter
    "",
]
BROWSERS = {
    "current": {},
    "without SameSite": {"knows_same_site": False},
    "without Fetch Metadata": {"knows_same_site": False, "says_where_from": False},
}


@pytest.fixture(params=list(BROWSERS))
async def ann(request: pytest.FixtureRequest, site: Site) -> Browser:
    """Signed in, with a project; in browsers that defend her, and in some that don't."""
    await site.give_ann()
    browser = await site.signed_in("ann")
    return evolve(browser, **BROWSERS[request.param])


async def unharmed(site: Site) -> None:
    """Nothing of Ann's has changed, and nothing was made in her name."""
    ann = await site.signed_in("ann")
    assert (await ann.fetch(PROJECT)).json["title"] == "Her plan"
    assert (await ann.fetch("/api/auth/keys")).json == {"keys": []}
    assert (await ann.fetch(f"{PROJECT}/shares")).json == {"shares": []}
    assert (await ann.fetch("/api/secrets")).json == {"secrets": []}
    assert "preview:" not in site.stored()


WRITES: list[tuple[str, str, Any]] = [
    ("POST", "/api/auth/keys", {"name": "Eve's", "scopes": ["admin"]}),
    ("POST", "/api/projects/p1/shares", {}),
    ("POST", "/api/projects/p1/preview", {}),
    ("PATCH", "/api/projects/p1", {"title": "Eve's"}),
    ("DELETE", "/api/projects/p1", {}),
    ("PUT", "/api/secrets/anthropic", {"value": "sk-eves-own-key-000"}),
    ("POST", "/api/chat", {"messages": [{"role": "user", "content": "Spend her money"}]}),
    ("DELETE", "/api/account", {"confirm": "{her_id}"}),
]


async def test_another_sites_script_writes(site: Site, ann: Browser) -> None:
    """By JSON, as if a preflight had been answered; a current browser sends no cookie at all."""
    for by, (method, path, body) in product(LOOK_ALIKES, WRITES):
        filled = json.loads(json.dumps(body).replace("{her_id}", site.her_id))
        answer = await ann.fetch(f"{PUBLIC}{path}", by=by, method=method, json=filled)
        assert answer.error == (403, "cross_origin", None), (by, method, path)
    await unharmed(site)


async def test_another_site_submits_a_form(site: Site, ann: Browser) -> None:
    body = b'{"name": "x", "scopes": ["admin"], "x": "="}'
    kinds = (FORM, "multipart/form-data; boundary=x", "text/plain")
    paths = ("/api/auth/keys", "/api/projects/p1/shares", "/api/projects/p1/preview")
    for by, kind, path in product((EVIL, "null", SIBLING), kinds, paths):
        answer = await ann.submit(f"{PUBLIC}{path}", by=by, body=body, kind=kind)
        assert answer.error == (403, "cross_origin", None), (by, kind, path)
    await unharmed(site)


async def test_a_write_comes_without_an_origin(site: Site, ann: Browser) -> None:
    """Cut off by an extension or a proxy: what is left of where it came from still counts."""
    writes = (("POST", PREVIEW), ("DELETE", PROJECT), ("POST", f"{PROJECT}/shares"))
    for said, (method, path) in product(("cross-site", "same-site", "nonsense", ""), writes):
        answer = await ann.fetch(path, by=None, method=method, sec_fetch_site=said)
        assert answer.error == (403, "cross_origin", None), (said, method, path)
    await unharmed(site)


async def test_a_page_below_the_same_domain_writes(site: Site, ann: Browser) -> None:
    """``SameSite`` doesn't tell siblings apart; the origin does."""
    for method, path, body in WRITES[:5]:
        answer = await ann.fetch(f"{PUBLIC}{path}", by=SIBLING, method=method, json=body)
        assert answer.error == (403, "cross_origin", None), path
    await unharmed(site)


NO_PREFLIGHT = [
    "text/plain",
    "text/plain; charset=application/json",
    "TEXT/PLAIN",
    FORM,
    "multipart/form-data; boundary=application/json",
    "application/json, text/plain",
]


async def test_json_is_sent_as_something_that_needs_no_preflight(site: Site, ann: Browser) -> None:
    """From our own origin, as if the guard before were missing: the content type is another one."""
    for kind, (method, path, body) in product(NO_PREFLIGHT, WRITES):
        if method != "DELETE":
            content = json.dumps(body).encode()
            answer = await ann.fetch(path, method=method, content=content, kind=kind)
            assert answer.error == (415, "unsupported_media_type", None), (kind, method, path)
    await unharmed(site)


async def test_json_is_sent_without_a_content_type(site: Site, ann: Browser) -> None:
    """As fetch() sends a `Blob` of no type: no preflight either."""
    for method, path, body in WRITES:
        if path != "/api/projects/p1/preview" and method != "DELETE" and body:
            content = json.dumps(body).encode()
            answer = await ann.fetch(path, method=method, content=content)
            assert answer.error == (415, "unsupported_media_type", None), (method, path)
    await unharmed(site)


# Reading


def told(headers: Headers) -> dict[str, str]:
    """All that lets another origin read."""
    return {n: v for n, v in headers.items if n.startswith("access-control-")}


async def test_another_sites_script_reads(site: Site, ann: Browser) -> None:
    paths = ("/api/auth/session", "/api/projects/p1", "/api/secrets", "/nothing", "/healthz")
    for by, path in product(LOOK_ALIKES, paths):
        answer = await ann.fetch(f"{PUBLIC}{path}", by=by, origin=by)
        assert told(answer.headers) == {}, (by, path)
        assert "origin" in (answer.headers.get("vary") or "").lower(), (by, path)
        assert answer.headers.get("cross-origin-resource-policy") == "same-origin"


async def test_another_sites_script_asks_first(site: Site) -> None:
    for by, wanted in product(LOOK_ALIKES, ("POST", "DELETE", "GET")):
        answer = await site.browser().fetch(
            PROJECT,
            by=by,
            method="OPTIONS",
            access_control_request_method=wanted,
            access_control_request_headers="authorization, content-type",
        )
        assert told(answer.headers) == {}, (by, wanted)


async def test_only_the_trusted_page_is_told_and_by_its_own_name(site: Site) -> None:
    """Or the tests above would show nothing."""
    answer = await site.browser().fetch(f"{PUBLIC}/api/auth/session", by=TRUSTED, origin=TRUSTED)
    assert told(answer.headers)["access-control-allow-origin"] == TRUSTED
    assert told(answer.headers)["access-control-allow-credentials"] == "true"


async def test_an_answer_is_loaded_as_something_else(site: Site, ann: Browser) -> None:
    """As a script, a style sheet or a frame of the attacker's page."""
    for path in ("/api/auth/session", "/api/projects/p1/files/index.html", "/api/projects"):
        headers = (await ann.visit(f"{PUBLIC}{path}", by=EVIL)).headers
        policy = headers.get("content-security-policy") or ""
        assert "default-src 'none'" in policy or "sandbox" in policy, path
        assert "frame-ancestors 'none'" in policy, path
        assert headers.get("x-frame-options") == "DENY"
        assert headers.get("x-content-type-options") == "nosniff"
        assert "html" not in (headers.get("content-type") or "")


async def test_a_name_of_the_attackers_points_at_the_server(site: Site, ann: Browser) -> None:
    """DNS rebinding: to the browser, the attacker's page and the server are one origin."""
    local = site.with_settings(evolve(SETTINGS, public_url=None))
    browser = evolve(ann, handler=local.app)
    rebound = "http://rebound.evil.example:8787"
    answer = await browser.fetch(f"{rebound}/api/projects", by=rebound)
    assert answer.error == (403, "host_not_allowed", None)
    answer = await browser.fetch(f"{rebound}/api/chat", by=rebound, method="POST", json={})
    assert answer.error == (403, "host_not_allowed", None)


async def test_a_cookie_rides_along_with_another_sites_request(site: Site) -> None:
    """The browser's own part: it is sent with a link that somebody follows, and nothing else."""
    ann = await site.signed_in("ann")
    assert (await ann.fetch(f"{PUBLIC}/api/auth/session", by=EVIL)).json["user"] is None
    assert (await ann.submit(f"{PUBLIC}/api/auth/logout", by=EVIL)).status == 403
    followed = await ann.visit(f"{PUBLIC}/api/auth/session", by=EVIL)
    assert followed.json["user"]["id"] == site.her_id


async def test_a_link_does_something(site: Site, ann: Browser) -> None:
    """A GET, which ``SameSite=Lax`` lets through with the cookie, changes nothing."""
    before = site.stored()
    for path in ("/api/projects/p1", "/api/account/export", "/api/auth/sessions", "/api/secrets"):
        assert (await ann.visit(f"{PUBLIC}{path}", by=EVIL)).status == 200
    for path in ("/api/projects/p1/preview", "/api/account", "/api/auth/logout"):
        assert (await ann.visit(f"{PUBLIC}{path}", by=EVIL)).status == 405
    assert site.stored() == before
    assert await who(ann) == site.her_id

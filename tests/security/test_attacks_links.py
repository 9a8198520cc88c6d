"""Attacks with links: to shared things and to previews, by whoever holds or guesses one."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from openbolt.clock import SystemTokens
from tests.security.attacks_browser import EVIL, PUBLIC, Browser
from tests.security.attacks_site import HER_PAGE, SESSION, Site, who, who_by


async def shared(site: Site, thing: str = "projects/p1", **body: object) -> tuple[Browser, Any]:
    """Ann's browser, and the link that she made."""
    await site.give_ann()
    ann = await site.signed_in("ann")
    answer = await ann.fetch(f"/api/{thing}/shares", method="POST", json=body)
    assert answer.status == 201, answer.text
    return ann, answer.json


async def test_every_link_opens_whatever_its_token(site: Site) -> None:
    """Or the tests below would show nothing: real tokens are random in all their characters."""
    ann, link = await shared(site)
    for _ in range(20):
        answer = await ann.fetch("/api/projects/p1/shares", method="POST", json={})
        assert (await site.browser().fetch(PUBLIC + answer.json["url"])).status == 200
    assert (await site.browser().fetch(PUBLIC + link["url"])).status == 200


async def test_tokens_of_links_are_guessed(site: Site) -> None:
    await shared(site)
    few = evolve(site.settings, rate_limits=("public=20/60s",))
    eve = site.with_settings(few).browser()
    statuses = []
    for _ in range(30):
        token = SystemTokens().token(32)
        statuses.append((await eve.fetch(f"{PUBLIC}/api/shared/{token}")).status)
    assert (statuses[0], statuses[-1], set(statuses)) == (404, 429, {404, 429})


async def test_what_is_shown_of_a_link_is_used_as_one(site: Site) -> None:
    _, link = await shared(site)
    eve = site.browser()
    assert link["token"] not in site.stored()
    for text in (link["id"], link["token"][:-1], link["token"].upper(), link["token"] + "a"):
        assert (await eve.fetch(f"{PUBLIC}/api/shared/{text}")).status == 404


async def test_a_link_is_used_after_it_was_revoked(site: Site) -> None:
    ann, link = await shared(site)
    eve = site.browser()
    assert (await eve.fetch(PUBLIC + link["url"])).status == 200
    assert (await ann.fetch(f"/api/shares/{link['id']}", method="DELETE")).status == 204
    for rest in ("", "/files/index.html", "/export"):
        assert (await eve.fetch(PUBLIC + link["url"] + rest)).error[:2] == (404, "not_found")


async def test_a_link_is_used_after_its_end(site: Site) -> None:
    _, link = await shared(site, expiresIn=60)
    eve = site.browser()
    site.clock.advance(59)
    assert (await eve.fetch(PUBLIC + link["url"])).status == 200
    site.clock.advance(1)
    assert (await eve.fetch(PUBLIC + link["url"])).status == 404


async def test_something_is_written_through_a_link(site: Site) -> None:
    _, link = await shared(site)
    eve = await site.signed_in("eve")
    for rest in ("", "/files/index.html", "/export"):
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            answer = await eve.fetch(link["url"] + rest, method=method, json={"title": "Eve's"})
            assert answer.status == 405, (method, rest)
    read = await eve.fetch(PUBLIC + link["url"])
    assert (read.json["title"], "Eve" in site.stored()) == ("Her plan", False)


async def test_more_is_read_through_a_link(site: Site) -> None:
    """Other things of the owner's, through the token or beside it."""
    _, link = await shared(site, "chats/c1")
    eve = await site.signed_in("eve")
    url = link["url"]
    for rest in ("/files/index.html", "/export", "/../../projects/p1", "/files/..%2f..%2fp1"):
        answer = await eve.fetch(PUBLIC + url + rest)
        assert answer.status == 404, rest
        assert HER_PAGE not in answer.text
    assert "p1" not in (await eve.fetch(PUBLIC + url)).text, "not even which project it is about"
    assert (await eve.fetch("/api/chats/c1")).status == 404


async def test_a_link_or_a_preview_is_used_to_sign_in(site: Site) -> None:
    """The token as a session, as a key, and each in the other's place."""
    ann, link = await shared(site)
    preview = (await ann.fetch("/api/projects/p1/preview", method="POST")).json
    token = preview["sandboxUrl"].split("/")[2]
    eve = site.browser()
    for text in (link["token"], token):
        assert await who_by(eve, text) is None
        assert eve.plant(f"{SESSION}={text}; Secure; Path=/; HttpOnly")
        assert await who(eve) is None
    assert (await eve.fetch(f"{PUBLIC}/api/shared/{token}")).status == 404
    assert (await eve.fetch(f"{PUBLIC}/preview/{link['token']}/")).status == 404
    session = ann.cookie(SESSION)
    assert (await eve.fetch(f"{PUBLIC}/api/shared/{session}")).status == 404


async def test_a_preview_is_used_after_its_end(site: Site) -> None:
    await site.give_ann()
    ann = await site.signed_in("ann")
    preview = (await ann.fetch("/api/projects/p1/preview", method="POST")).json
    eve = site.browser()
    assert HER_PAGE in (await eve.visit(PUBLIC + preview["sandboxUrl"])).text
    site.clock.advance(site.settings.preview_ttl)
    assert (await eve.visit(PUBLIC + preview["sandboxUrl"])).status == 404


async def test_a_previewed_page_reaches_for_the_visitors_session(site: Site) -> None:
    """It runs what a model wrote: in a sandbox, as nobody's origin."""
    await site.give_ann()
    ann = await site.signed_in("ann")
    preview = (await ann.fetch("/api/projects/p1/preview", method="POST")).json
    page = await ann.visit(PUBLIC + preview["sandboxUrl"])
    policy = page.headers.get("content-security-policy") or ""
    assert policy.startswith("sandbox "), "so its origin is null, and no cookie is its own"
    assert "allow-same-origin" not in policy
    read = await ann.fetch(f"{PUBLIC}/api/secrets", by="null", origin="null")
    assert read.headers.get("access-control-allow-origin") is None
    written = await ann.fetch(f"{PUBLIC}/api/projects/p1", by="null", method="DELETE")
    assert written.error == (403, "cross_origin", None)


async def test_a_link_is_told_to_other_sites(site: Site) -> None:
    """By the referrer, a cache or a search engine; the token is in the path."""
    _, link = await shared(site)
    headers = (await site.browser().visit(PUBLIC + link["url"], by=EVIL)).headers
    assert headers.get("referrer-policy") == "no-referrer"
    assert headers.get("cache-control") == "no-store"
    assert headers.get("x-robots-tag") == "noindex"


async def test_somebody_else_shares_lists_or_revokes(site: Site) -> None:
    ann, link = await shared(site)
    eve = await site.signed_in("eve")
    for method, path in (
        ("POST", "/api/projects/p1/shares"),
        ("GET", "/api/projects/p1/shares"),
        ("DELETE", f"/api/shares/{link['id']}"),
        ("POST", "/api/projects/p1/preview"),
    ):
        assert (await eve.fetch(path, method=method)).error[:2] == (404, "not_found"), path
    assert (await ann.fetch(PUBLIC + link["url"])).status == 200

"""Attacks on sessions: cookies that are changed, planted, read, kept for later."""

from __future__ import annotations

import pytest
from attrs import evolve

from openbolt.auth.tokens import new_session_token
from openbolt.clock import SystemTokens
from tests.security.attacks_browser import EVIL, PUBLIC, SIBLING, Browser, KeptCookie
from tests.security.attacks_site import SESSION, SETTINGS, SIGN_IN, Site, who, who_by

TOGETHER = f"{PUBLIC}/api/auth/session"


def put(browser: Browser, name: str, value: str) -> None:
    """Write a cookie past all that a browser checks, as whoever has a program does."""
    browser.jar = [cookie for cookie in browser.jar if cookie.name != name]
    browser.jar.append(KeptCookie(name, value, "app.example", None, True, True, "lax"))


def unlimited(site: Site) -> Site:
    """As if the attacker had many addresses."""
    return site.with_settings(evolve(SETTINGS, rate_limits=("public=off", "sign-in=off")))


# Changed


async def test_each_character_of_a_session_cookie_is_changed(site: Site) -> None:
    site = unlimited(site)
    ann = await site.signed_in("ann")
    token = ann.cookie(SESSION)
    assert token is not None
    thief = site.browser()
    for place, character in enumerate(token):
        for other in {"a", "7", character.upper(), "%61", " ", ""} - {character}:
            put(thief, SESSION, token[:place] + other + token[place + 1 :])
            assert await who(thief) is None, (place, other)
    assert await who(ann) == site.her_id


async def test_something_is_added_to_a_session_cookie(site: Site) -> None:
    token = (await site.signed_in("ann")).cookie(SESSION)
    thief = site.browser()
    for value in (f"{token}a", f"a{token}", f'"{token}"', f"{token}=", f"{token}%00", f"{token},x"):
        put(thief, SESSION, value)
        assert await who(thief) is None, value


async def test_each_byte_of_the_cookie_of_a_sign_in_is_changed(site: Site) -> None:
    """It holds where the person returns to, and which state is right."""
    site = unlimited(site)
    ann = site.browser()
    back = await site.to_github(ann, "ann")
    cookie = ann.cookie(SIGN_IN)
    assert cookie is not None
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for place, character in enumerate(cookie):
        # Far enough off that the last character's spare bits change what it stands for, too.
        other = alphabet[(alphabet.index(character) + 32) % 64]
        put(ann, SIGN_IN, cookie[:place] + other + cookie[place + 1 :])
        answer = await ann.visit(back, accept="application/json")
        assert answer.error == (403, "state_mismatch", None), place
    assert site.calls("/login/oauth/access_token") == 0
    put(ann, SIGN_IN, cookie)
    assert (await ann.visit(back)).headers.get("location") == "/", "as it was, it is taken"


async def test_ids_of_sessions_are_made_up(site: Site) -> None:
    await site.signed_in("ann")
    thief = site.browser()
    for _ in range(50):
        put(thief, SESSION, new_session_token(SystemTokens()))
        assert await who(thief) is None


async def test_what_is_shown_or_stored_of_a_session_is_used_as_one(site: Site) -> None:
    """The id in the list of sessions, the hash in the store: worth nothing as a cookie."""
    ann = await site.signed_in("ann")
    listed = (await ann.fetch("/api/auth/sessions")).json["sessions"][0]["id"]
    parts = [part for part in site.kv._partitions if part.startswith("session:")]
    assert parts
    thief = site.browser()
    for value in (listed, *parts, *(part.removeprefix("session:") for part in parts)):
        put(thief, SESSION, value)
        assert await who(thief) is None


# Planted


@pytest.mark.parametrize(
    "rest", ["; Secure; Path=/; Domain=app.example", "; Secure; Path=/; Domain=.app.example"]
)
async def test_a_page_of_the_same_site_tosses_its_own_session_in(site: Site, rest: str) -> None:
    """Ann would work in Eve's account. The name's prefix keeps browsers from taking it."""
    (eves,) = (await site.signed_in("eve")).jar
    ann = site.browser()
    taken = ann.plant(f"{eves.name}={eves.value}{rest}", at=SIBLING)
    assert (taken, await who(ann)) == (False, None)


@pytest.mark.parametrize("name", ["openbolt-session", "__host-openbolt-session", "session"])
async def test_a_session_is_tossed_in_under_a_name_without_the_prefix(
    site: Site, name: str
) -> None:
    (eves,) = (await site.signed_in("eve")).jar
    for ann, expected in ((site.browser(), None), (await site.signed_in("ann"), site.her_id)):
        assert ann.plant(f"{name}={eves.value}; Path=/; Domain=app.example", at=SIBLING)
        assert await who(ann) == expected


async def test_a_second_session_cookie_is_tossed_in(site: Site) -> None:
    """Where a browser takes it all the same: nobody can tell which is whose, so neither counts."""
    eve = await site.signed_in("eve")
    ann = await site.signed_in("ann")
    for pair in ((ann, eve), (eve, ann)):
        both = "; ".join(f"{SESSION}={browser.cookie(SESSION)}" for browser in pair)
        answer = await ann.fetch(TOGETHER, cookie=both)
        assert answer.json["user"] is None


# Read


async def test_a_script_in_the_page_reads_the_cookies(site: Site) -> None:
    ann = await site.signed_in("ann")
    await site.to_github(ann, "ann")
    assert {cookie.name for cookie in ann.jar} == {SESSION, SIGN_IN}
    assert ann.scripts_see() == ""


async def test_the_network_reads_the_cookies(site: Site) -> None:
    """A link to http:// makes a browser send what isn't marked as for TLS alone."""
    ann = await site.signed_in("ann")
    await site.to_github(ann, "ann")
    assert ann.jar
    insecure = [cookie.name for cookie in ann.jar if not cookie.secure]
    assert insecure == []
    answer = await ann.visit("http://app.example/api/auth/session")
    assert b"ann@corp.example" not in answer.body


async def test_a_page_of_the_same_site_gets_the_cookies(site: Site) -> None:
    """Whoever serves a subdomain reads all that browsers send there."""
    ann = await site.signed_in("ann")
    await site.to_github(ann, "ann")
    assert ann.jar
    assert [cookie.name for cookie in ann.jar if cookie.domain is not None] == []


async def test_a_session_is_named_where_no_cookie_is(site: Site) -> None:
    """In a URL it would be in logs; in a header any page's script could send it."""
    token = (await site.signed_in("ann")).cookie(SESSION) or ""
    eve = site.browser()
    for url in (f"{TOGETHER}?{SESSION}={token}", f"{TOGETHER}?session={token}"):
        assert (await eve.fetch(url)).json["user"] is None
    assert (await eve.fetch(TOGETHER, x_session=token)).json["user"] is None
    assert await who_by(eve, token) is None


# Kept for later


async def test_a_copied_cookie_is_used_after_sign_out(site: Site) -> None:
    ann = await site.signed_in("ann")
    thief = ann.copy()
    assert await who(thief) == site.her_id, "until then it is as good as hers"
    assert (await ann.fetch("/api/auth/logout", method="POST")).status == 204
    assert ann.jar == []
    assert await who(thief) is None
    await site.work.drain(30)
    assert site.github.tokens("ann") == (), "nor is the provider's token worth anything"


async def test_a_copied_cookie_is_used_after_its_session_was_revoked(site: Site) -> None:
    ann = await site.signed_in("ann")
    thief = await site.signed_in("ann")
    rows = (await ann.fetch("/api/auth/sessions")).json["sessions"]
    (other,) = [row["id"] for row in rows if not row["current"]]
    assert (await ann.fetch(f"/api/auth/sessions/{other}", method="DELETE")).status == 204
    assert (await who(thief), await who(ann)) == (None, site.her_id)


async def test_a_copied_cookie_is_used_after_all_others_were_signed_out(site: Site) -> None:
    thief = await site.signed_in("ann")
    ann = await site.signed_in("ann")
    assert (await ann.fetch("/api/auth/sessions", method="DELETE")).status == 204
    assert (await who(thief), await who(ann)) == (None, site.her_id)


async def test_a_cookie_and_a_key_are_used_after_the_account_was_deleted(site: Site) -> None:
    ann = await site.signed_in("ann")
    thief, key = ann.copy(), await site.key(ann, "chat", "admin")
    body = {"confirm": site.her_id}
    assert (await ann.fetch("/api/account", method="DELETE", json=body)).status == 200
    assert (await who(ann), await who(thief), await who_by(thief, key)) == (None, None, None)
    assert site.her_id not in site.stored().replace("deleted:", "")


async def test_a_browser_that_nobody_uses_any_more_is_found(site: Site) -> None:
    ann = await site.signed_in("ann")
    site.clock.advance(SETTINGS.session_idle_ttl - 1)
    assert await who(ann.copy()) == site.her_id
    site.clock.advance(SETTINGS.session_idle_ttl)
    assert await who(ann) is None


async def test_a_stolen_session_is_kept_alive_by_using_it(site: Site) -> None:
    thief = await site.signed_in("ann")
    step = SETTINGS.session_idle_ttl / 2
    whole = int(SETTINGS.session_ttl // step)
    for _ in range(whole):
        site.clock.advance(step)
        assert await who(thief) == site.her_id
    site.clock.advance(SETTINGS.session_ttl - whole * step)
    assert await who(thief) is None


async def test_a_session_of_somebody_else_is_ended(site: Site) -> None:
    ann, eve = await site.signed_in("ann"), await site.signed_in("eve")
    (row,) = (await ann.fetch("/api/auth/sessions")).json["sessions"]
    answer = await eve.fetch(f"/api/auth/sessions/{row['id']}", method="DELETE")
    assert answer.error == (404, "not_found", None)
    assert await who(ann) == site.her_id


async def test_another_site_signs_a_visitor_out(site: Site) -> None:
    ann = await site.signed_in("ann", knows_same_site=False)
    assert (await ann.submit(f"{PUBLIC}/api/auth/logout", by=EVIL)).status == 403
    assert (await ann.visit(f"{PUBLIC}/api/auth/logout", by=EVIL)).status == 405
    assert await who(ann) == site.her_id

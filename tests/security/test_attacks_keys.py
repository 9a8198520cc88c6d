"""Attacks with API keys and passwords, and with whatever else is tried in their place."""

from __future__ import annotations

import base64

import pytest
from attrs import evolve

from openbolt import OpenBolt, Settings
from openbolt.access import LocalUser, SharedPassword
from openbolt.auth.tokens import new_api_key
from openbolt.clock import SystemTokens
from openbolt.errors import ConfigurationError
from tests.handlers.building import Answer
from tests.security.attacks_browser import PUBLIC, Browser
from tests.security.attacks_site import SESSION, Site, who, who_by

KEYS = "/api/auth/keys"


async def with_key(browser: Browser, key: str, path: str, **more: object) -> Answer:
    """What a program is answered that has a key and nothing else."""
    bearer = f"Bearer {key}"
    return await browser.another().fetch(path, by=None, authorization=bearer, **more)  # type: ignore[arg-type]


# Two credentials at once


async def test_a_key_and_a_cookie_come_together(site: Site) -> None:
    """Of two people, the one that the key is of is asking, and nobody else."""
    ann, eve = await site.signed_in("ann"), await site.signed_in("eve")
    key = await site.key(eve, "chat")
    answer = await ann.fetch("/api/auth/session", authorization=f"Bearer {key}")
    assert (answer.json["user"]["id"], answer.json["method"]) == (site.eves_id, "key")
    assert answer.json["session"] is None
    refused = await ann.fetch("/api/secrets", authorization=f"Bearer {key}")
    assert refused.error == (403, "scope_missing", None), "the cookie's rights aren't added"


@pytest.mark.parametrize("bearer", ["", "x", "obk_x", "null", "obk_" + "a" * 52 + "_aaaaaa"])
async def test_a_bad_key_falls_back_to_the_cookie(site: Site, bearer: str) -> None:
    ann = await site.signed_in("ann")
    for scheme in ("Bearer", "bearer", "BEARER "):
        answer = await ann.fetch("/api/secrets", authorization=f"{scheme} {bearer}")
        assert answer.error == (401, "unauthenticated", None)
    assert (await ann.fetch("/api/secrets")).status == 200


async def test_a_key_is_sent_in_another_place(site: Site) -> None:
    ann = await site.signed_in("ann")
    key = await site.key(ann, "chat", "projects", "admin")
    eve = site.browser()
    for url in (f"/api/chats?access_token={key}", f"/api/chats?key={key}"):
        assert (await eve.fetch(url)).status == 401
    for field in ("x-api-key", "cookie", "proxy-authorization"):
        assert (await eve.fetch("/api/chats", **{field: f"{SESSION}={key}"})).status == 401
    for scheme in ("Basic", "Token", "Digest", ""):
        assert (await eve.fetch("/api/chats", authorization=f"{scheme} {key}")).status == 401
    assert (await with_key(eve, key, "/api/chats")).status == 200


# What isn't a key, or not any more


async def test_a_key_has_any_character_changed(site: Site) -> None:
    ann = await site.signed_in("ann")
    key = await site.key(ann, "chat")
    reads = site.kv.get
    looked_up: list[str] = []

    async def get(name: str, /) -> bytes | None:
        looked_up.append(name)
        return await reads(name)

    site.kv.get = get  # type: ignore[method-assign]
    program = evolve(ann, handler=OpenBolt(evolve(site.dependencies, limiter=None), site.settings))
    for place, character in enumerate(key):
        other = "b" if character != "b" else "c"
        changed = key[:place] + other + key[place + 1 :]
        assert await who_by(program, changed) is None, place
    assert looked_up == [], "its checksum says so, without asking the store"
    assert await who_by(program, key) == site.her_id
    assert looked_up


async def test_keys_are_made_up(site: Site) -> None:
    """With a right checksum, which anybody can make."""
    ann = await site.signed_in("ann")
    await site.key(ann, "chat")
    eve = site.with_settings(evolve(site.settings, rate_limits=("guesses=20/60s",))).browser()
    statuses = [
        (await with_key(eve, new_api_key(SystemTokens()), "/api/chats")).status for _ in range(30)
    ]
    assert statuses[0] == 401
    assert statuses[-1] == 429, "and whoever goes on guessing isn't listened to any more"
    assert set(statuses) == {401, 429}


async def test_a_key_is_used_after_it_was_revoked(site: Site) -> None:
    ann = await site.signed_in("ann")
    key = await site.key(ann, "chat")
    (row,) = (await ann.fetch(KEYS)).json["keys"]
    assert await who_by(ann, key) == site.her_id
    assert (await ann.fetch(f"{KEYS}/{row['id']}", method="DELETE")).status == 204
    assert await who_by(ann, key) is None


async def test_a_key_is_used_after_its_end(site: Site) -> None:
    ann = await site.signed_in("ann")
    key = await site.key(ann, "chat", expiresIn=60)
    site.clock.advance(59)
    assert await who_by(ann, key) == site.her_id
    site.clock.advance(1)
    assert await who_by(ann, key) is None


async def test_what_is_shown_or_stored_of_a_key_is_used_as_one(site: Site) -> None:
    ann = await site.signed_in("ann")
    key = await site.key(ann, "chat")
    (row,) = (await ann.fetch(KEYS)).json["keys"]
    stored = site.stored()
    assert key not in stored
    assert key not in str(row)
    for shown in (row["id"], row["prefix"], key.removeprefix("obk_"), key[:-7], key.upper()):
        assert await who_by(ann, shown) is None


# More than the key may


async def test_a_key_is_used_for_what_it_has_no_scope_for(site: Site) -> None:
    await site.give_ann()
    ann = await site.signed_in("ann")
    key = await site.key(ann, "chat")
    for method, path in (
        ("GET", "/api/projects/p1"),
        ("DELETE", "/api/projects/p1"),
        ("GET", "/api/secrets"),
        ("GET", "/api/account/export"),
        ("GET", KEYS),
        ("POST", "/api/chats/c1/shares"),
    ):
        answer = await with_key(ann, key, path, method=method)
        assert answer.error == (403, "scope_missing", None), path
    assert (await with_key(ann, key, "/api/chats/c1")).status == 200


async def test_a_key_makes_one_that_may_more(site: Site) -> None:
    ann = await site.signed_in("ann")
    key = await site.key(ann, "admin")
    for scopes in (["chat"], ["admin", "projects"], ["proxy"]):
        body = {"name": "Wider", "scopes": scopes}
        answer = await with_key(ann, key, KEYS, method="POST", json=body)
        assert answer.error == (403, "scope_missing", None), scopes


async def test_a_key_makes_one_that_outlives_it(site: Site) -> None:
    ann = await site.signed_in("ann")
    key = await site.key(ann, "admin", expiresIn=3600)
    for life in ({}, {"expiresIn": 7200}):
        body = {"name": "Longer", "scopes": ["admin"], **life}
        answer = await with_key(ann, key, KEYS, method="POST", json=body)
        assert answer.error == (403, "expiry_missing", None), life


async def test_a_key_lists_or_revokes_keys_of_somebody_else(site: Site) -> None:
    ann, eve = await site.signed_in("ann"), await site.signed_in("eve")
    hers, eves = await site.key(ann, "chat"), await site.key(eve, "admin")
    (row,) = (await ann.fetch(KEYS)).json["keys"]
    listed = (await with_key(eve, eves, KEYS)).json["keys"]
    assert [key["prefix"][:8] for key in listed] == [eves[:8]]
    answer = await with_key(eve, eves, f"{KEYS}/{row['id']}", method="DELETE")
    assert answer.error == (404, "not_found", None)
    assert await who_by(ann, hers) == site.her_id


# Passwords


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"x:{password}".encode()).decode()


async def test_a_password_is_tried_out(site: Site) -> None:
    password = "correct horse battery"  # a test's own
    behind = SharedPassword(password)
    whole = evolve(site.dependencies, identity_providers=(), authenticator=behind)
    settings = Settings(public_url=PUBLIC, rate_limits=("guesses=20/60s",))
    eve = evolve(site.browser(), handler=OpenBolt(whole, settings))

    async def tried(text: str, browser: Browser) -> int:
        answer = await browser.fetch("/api/chats", by=None, authorization=basic(text))
        return answer.status

    statuses = [await tried(f"guess {number}", eve) for number in range(30)]
    assert (statuses[0], statuses[-1]) == (401, 429)
    assert await tried(password, eve) == 429, "a right one tells nothing either"
    assert await tried(password, eve.another(address="198.51.100.8")) == 200
    site.clock.advance(60)
    assert await tried(password, eve) == 200


async def test_the_local_users_things_are_reached_from_outside(site: Site) -> None:
    """A server without sign-in that answers for a public name isn't started at all."""
    whole = evolve(site.dependencies, identity_providers=(), authenticator=LocalUser())
    for settings in (Settings(public_url=PUBLIC), Settings(allowed_hosts=("*",))):
        with pytest.raises(ConfigurationError, match="nobody has to sign in"):
            OpenBolt(whole, settings)
    assert await who(site.browser()) is None

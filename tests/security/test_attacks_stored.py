"""Attacks by whoever reads or writes the stores, and on what is kept encrypted there."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode, urlsafe_b64encode
from typing import Any

import pytest

from openbolt.errors import BackendError
from openbolt.secrets import SecretStore
from openbolt_local.mocks import AnthropicMock
from tests.handlers.building import Answer
from tests.security.attacks_browser import Browser
from tests.security.attacks_site import CALLBACK, SECRETS, SESSION, SIGN_IN, Site, sign_in_error

HER_KEY, EVES_KEY = "sk-ann-0123456789-0123456789", "sk-eve-0123456789-0123456789"
SAID = {"messages": [{"role": "user", "content": "Hi"}]}


async def put(browser: Browser, value: str, name: str = "anthropic") -> None:
    answer = await browser.fetch(f"/api/secrets/{name}", method="PUT", json={"value": value})
    assert answer.status == 200, answer.text


async def say(site: Site, browser: Browser) -> Answer:
    answer = await browser.fetch("/api/chat", method="POST", json=SAID)
    await site.work.drain(30)
    return answer


def place(user_id: str, name: str = "anthropic") -> str:
    return f"user:{user_id}/secrets/{name}"


def keys_sent(mock: AnthropicMock) -> set[str | None]:
    """What the model's provider was shown."""
    return {request.headers.get("x-api-key") for request in mock.requests}


async def test_the_stores_are_read_for_something_to_sign_in_with(site: Site) -> None:
    """A leaked backup: there is nothing in it that opens anything."""
    await site.give_ann()
    ann = await site.signed_in("ann")
    key = await site.key(ann, "admin")
    link = (await ann.fetch("/api/projects/p1/shares", method="POST", json={})).json
    await put(ann, HER_KEY)
    (token,) = site.github.tokens("ann")
    stored = site.stored()
    assert "Her plan" in stored
    for secret in (ann.cookie(SESSION), key, link["token"], HER_KEY, token.access, *SECRETS):
        assert secret is not None
        assert secret not in stored


async def test_a_secret_is_moved_to_another_user(site: Site, mock: AnthropicMock) -> None:
    """Eve would talk to the model with Ann's key."""
    ann, eve = await site.signed_in("ann"), await site.signed_in("eve")
    await put(ann, HER_KEY)
    await put(eve, EVES_KEY)
    assert (await say(site, eve)).status == 200
    assert keys_sent(mock) == {EVES_KEY}
    stolen = await site.kv.get(place(site.her_id))
    assert stolen is not None
    await site.kv.set(place(site.eves_id), stolen)
    assert (await say(site, eve)).error == (503, "secret_unreadable", None)
    assert keys_sent(mock) == {EVES_KEY}


async def test_a_secret_is_moved_to_another_name(site: Site, mock: AnthropicMock) -> None:
    """What was kept for one purpose would be sent to somebody for another."""
    ann = await site.signed_in("ann")
    await put(ann, "ghp-token-0123456789", "github")
    stolen = await site.kv.get(place(site.her_id, "github"))
    assert stolen is not None
    await site.kv.set(place(site.her_id), stolen)
    assert (await say(site, ann)).error == (503, "secret_unreadable", None)
    assert keys_sent(mock) == set()


async def test_a_secret_has_any_byte_changed(site: Site) -> None:
    ann = await site.signed_in("ann")
    await put(ann, HER_KEY)
    raw = await site.kv.get(place(site.her_id))
    assert raw is not None
    whole: dict[str, Any] = json.loads(raw)
    cipher = site.dependencies.cipher
    assert cipher is not None
    store = SecretStore(site.kv, cipher, site.clock, site.settings)
    assert await store.read(site.her_id, "anthropic") == HER_KEY
    sealed = b64decode(whole["sealed"])
    for index in range(len(sealed)):
        changed = bytearray(sealed)
        changed[index] ^= 1
        fields = {**whole, "sealed": b64encode(bytes(changed)).decode()}
        await site.kv.set(place(site.her_id), json.dumps(fields).encode())
        with pytest.raises(BackendError, match="can't be decrypted"):
            await store.read(site.her_id, "anthropic")


async def test_what_was_encrypted_for_something_else_is_a_sign_in_on_its_way(site: Site) -> None:
    """Eve lets the application encrypt an attempt of her own making, as a secret of hers."""
    eve = await site.signed_in("eve")
    forged = {
        "provider": "github",
        "state": "known",
        "verifier": "v" * 52,
        "nonce": "n",
        "redirect_uri": CALLBACK,
        "return_to": "https://evil.example",
        "expires_at": site.clock.now() + 600,
    }
    await put(eve, json.dumps(forged), "forged")
    raw = await site.kv.get(place(site.eves_id, "forged"))
    assert raw is not None
    sealed = b64decode(json.loads(raw)["sealed"])
    value = urlsafe_b64encode(sealed).rstrip(b"=").decode()
    ann = site.browser()
    assert ann.plant(f"{SIGN_IN}={value}; Secure; Path=/; HttpOnly")
    answer = await ann.visit(f"{CALLBACK}?code=x&state=known")
    assert sign_in_error(answer) == "state_mismatch"
    assert site.calls("/login/oauth/access_token") == 1, "Eve's own sign-in"


async def test_whoever_writes_the_store_puts_an_older_secret_back(
    site: Site, mock: AnthropicMock
) -> None:
    """NOT DEFENDED, and said so: a record of before, put back whole, is taken for the present."""
    ann = await site.signed_in("ann")
    await put(ann, HER_KEY)
    before = await site.kv.get(place(site.her_id))
    assert before is not None
    await put(ann, EVES_KEY)
    await site.kv.set(place(site.her_id), before)
    assert (await say(site, ann)).status == 200
    assert keys_sent(mock) == {HER_KEY}


async def test_a_secret_is_read_back(site: Site) -> None:
    """By whoever sits at Ann's computer for a minute, or has a key of hers."""
    ann = await site.signed_in("ann")
    await put(ann, HER_KEY)
    for path in ("/api/secrets", "/api/secrets/anthropic", "/api/account/export"):
        for method in ("GET", "HEAD", "POST"):
            answer = await ann.fetch(path, method=method)
            assert HER_KEY.encode() not in answer.body, (method, path)
            assert HER_KEY[:-4].encode() not in answer.body, (method, path)

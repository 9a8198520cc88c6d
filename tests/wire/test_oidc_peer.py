"""Signing in with an OpenID Connect issuer that isn't ours: npm's `oauth2-mock-server`.

Discovery, keys, PKCE, nonce and signatures are its own (by `jose`); what its tokens say is told.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import evolve

from openbolt import Settings
from openbolt.auth.identity import Grant, perform
from openbolt.auth.oidc import OpenIdConnect
from openbolt.senders.httpx import HttpxSender
from openbolt.testing import ManualClock
from openbolt_local.memory import MemoryKeyValueStore
from tests.auth.browsing import SESSION, Browser, SignInHouse, location
from tests.auth.exchanges import query_of
from tests.node import NodeProgram

PEER = Path(__file__).parents[1] / "auth/oidc_peer"
LOGIN = "/api/auth/oidc/login"
ANN = {"email": "ann@corp.example", "email_verified": True, "name": "Ann Example"}


class Issuer(NodeProgram):
    """`serve.mjs` in a process of its own."""

    def __init__(self, algorithm: str) -> None:
        super().__init__(PEER, "serve.mjs", algorithm)
        self.url: str = self.result()


@pytest.fixture(params=["RS256"])
def issuer(request: pytest.FixtureRequest) -> Iterator[Issuer]:
    with Issuer(request.param) as issuer:
        yield issuer


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(time.time())  # the issuer's tokens are made by its own clock


@pytest.fixture
def house(
    issuer: Issuer,
    kv: MemoryKeyValueStore,
    clock: ManualClock,
    sender: HttpxSender,
    settings: Settings,
) -> SignInHouse:
    provider = OpenIdConnect(issuer.url, "client-1", "", name="Example")
    return SignInHouse(kv, kv, clock, sender, [provider], settings)


async def go(browser: Browser) -> str:
    """To the issuer, which asks nobody anything; where it sends the person back to."""
    url = location(await browser.get(f"{LOGIN}?return_to=/chat"))
    async with httpx.AsyncClient() as person:
        answer = await person.get(url)
    assert answer.status_code == 302
    return str(answer.headers["location"])


async def session(browser: Browser) -> Any:
    return (await browser.send("GET", "/api/auth/session")).json


async def refused(browser: Browser, back: str) -> str:
    """What the page is told."""
    code = query_of(location(await browser.get(back)))["sign_in_error"]
    assert SESSION not in browser.cookies
    return code


@pytest.mark.parametrize("issuer", ["RS256", "ES256", "EdDSA"], indirect=True)
async def test_a_person_signs_in_and_out(browser: Browser, issuer: Issuer) -> None:
    issuer.tell(say=ANN)
    assert location(await browser.get(await go(browser))) == "/chat"
    said = await session(browser)
    assert (said["user"]["name"], said["user"]["email"]) == ("Ann Example", "ann@corp.example")
    assert said["user"]["id"].startswith("oidc.")
    assert said["user"]["login"] is None
    assert (await browser.send("POST", "/api/auth/logout")).status == 204
    await browser.work.drain(30)
    assert issuer.tell(revoked=0) == 2  # the refresh token and the access token
    assert (await session(browser))["user"] is None


async def test_the_same_person_is_the_same_user(browser: Browser) -> None:
    ids = set()
    for _ in range(2):
        await browser.get(await go(browser))
        ids.add((await session(browser))["user"]["id"])
    assert len(ids) == 1


async def test_an_issuer_may_change_its_keys_at_any_time(browser: Browser, issuer: Issuer) -> None:
    for alg in ("ES256", "EdDSA", "RS256"):
        issuer.tell(add=alg)
        assert location(await browser.get(await go(browser))) == "/chat"


async def test_an_address_that_the_id_token_lacks_is_asked_for(
    browser: Browser, issuer: Issuer, house: SignInHouse
) -> None:
    strict = Settings(allowed_email_domains=("corp.example",))
    browser.handler = evolve(house, settings=strict).handler()
    issuer.tell(tell={**ANN, "email_verified": False})
    assert await refused(browser, await go(browser)) == "sign_in_not_allowed"
    issuer.tell(tell=ANN)
    assert location(await browser.get(await go(browser))) == "/chat"


@pytest.mark.parametrize(
    ("say", "code"),
    [
        ({"aud": "client-2"}, "upstream_error"),
        ({"iss": "https://evil.example"}, "upstream_error"),
        ({"exp": 1_700_000_000}, "upstream_error"),
        ({"azp": "client-2"}, "upstream_error"),
        ({"nonce": "another"}, "state_mismatch"),
    ],
    ids=str,
)
async def test_an_id_token_that_says_something_else_signs_nobody_in(
    browser: Browser, issuer: Issuer, say: dict[str, Any], code: str
) -> None:
    issuer.tell(say=say)
    assert await refused(browser, await go(browser)) == code


@pytest.mark.parametrize("how", ["unsigned", "forged"])
async def test_an_id_token_that_isn_t_the_issuer_s_signs_nobody_in(
    browser: Browser, issuer: Issuer, how: str
) -> None:
    issuer.tell(sign=how)
    assert await refused(browser, await go(browser)) == "upstream_error"
    issuer.tell(sign="rightly")
    assert location(await browser.get(await go(browser))) == "/chat"


async def test_a_code_of_somebody_else_signs_nobody_in(browser: Browser) -> None:
    hers = query_of(await go(browser.another()))
    mine = await go(browser)
    injected = mine.replace(query_of(mine)["code"], hers["code"])
    assert await refused(browser, injected) == "upstream_error"  # refused for its challenge


async def test_a_refresh_is_understood(house: SignInHouse) -> None:
    (provider,) = house.providers
    now = house.clock.now()
    exchange = provider.refresh(Grant("old", now, "refresh"), now=now)
    grant = await perform(exchange, house.sender)
    assert grant.access_token != "old"
    assert grant.refresh_token != "refresh"
    assert grant.expires_at == now + 3600

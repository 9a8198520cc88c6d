"""Attempts to get more than a limit gives: by other addresses, other keys, other spellings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from attrs import evolve

from tests.security.attacks_browser import PUBLIC, Browser
from tests.security.attacks_site import SETTINGS, Site

FEW = evolve(SETTINGS, rate_limits=("guesses=5/60s", "public=5/60s", "reads=5/60s"))


async def guessed(browser: Browser, **headers: str) -> int:
    """One guess at a key."""
    headers["authorization"] = "Bearer obk_x"
    return (await browser.fetch("/api/chats", by=None, **headers)).status


async def last_of(ask: Callable[[int], Awaitable[int]], times: int = 10) -> set[int]:
    """The statuses of the last tries, when the limit is used up."""
    statuses = [await ask(number) for number in range(times)]
    assert statuses[0] != 429
    return set(statuses[-3:])


FORWARDED = [
    "x-forwarded-for",
    "forwarded",
    "x-real-ip",
    "cf-connecting-ip",
    "true-client-ip",
    "client-ip",
]


@pytest.mark.parametrize("name", FORWARDED)
async def test_every_guess_says_it_comes_from_somewhere_else(site: Site, name: str) -> None:
    eve = site.with_settings(FEW).browser()

    def ask(number: int) -> Awaitable[int]:
        said = f"203.0.113.{number}"
        return guessed(eve, **{name: f"for={said}" if name == "forwarded" else said})

    assert await last_of(ask) == {429}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("x-forwarded-for", "203.0.113.{n}, 198.51.100.7"),
        ("x-forwarded-for", "203.0.113.{n}, unknown, 198.51.100.7"),
        ("x-forwarded-for", "10.0.0.{n}, 10.0.0.9, 198.51.100.7"),
        ("forwarded", "for=203.0.113.{n}, for=198.51.100.7"),
        ("forwarded", 'for="203.0.113.{n}, for=198.51.100.7'),
        ("forwarded", 'by=x;for="[2001:db8:{n}::1]", for="198.51.100.7:{n}"'),
    ],
)
async def test_a_guess_comes_with_a_forged_past_through_a_proxy(
    site: Site, name: str, said: str
) -> None:
    """The proxy adds, at the right end, whom it saw; what stands before, Eve wrote."""
    behind = site.with_settings(evolve(FEW, trusted_proxies=("10.0.0.0/8",)))
    eve = behind.browser(address="10.0.0.1")

    def ask(number: int) -> Awaitable[int]:
        return guessed(eve, **{name: said.replace("{n}", str(number + 1))})

    assert await last_of(ask) == {429}
    other = {"x-forwarded-for": "203.0.113.200"}
    assert await guessed(eve, **other) == 401, "whom the proxy names otherwise is somebody else"


async def test_every_guess_comes_from_another_address_of_one_subscriber(site: Site) -> None:
    few = site.with_settings(FEW)

    def ask(number: int) -> Awaitable[int]:
        return guessed(few.browser(address=f"2001:db8:1:2:{number:x}::{number:x}"))

    assert await last_of(ask) == {429}
    assert await guessed(few.browser(address="2001:db8:1:3::1")) == 401


async def test_one_address_is_spelled_in_many_ways(site: Site) -> None:
    few = site.with_settings(FEW)
    spellings = ["198.51.100.7", "::ffff:198.51.100.7", "::ffff:c633:6407", "64:ff9b::c633:6407"]

    def ask(number: int) -> Awaitable[int]:
        return guessed(few.browser(address=spellings[number % len(spellings)]))

    assert await last_of(ask) == {429}


async def test_more_keys_and_sessions_are_made_to_ask_more_often(site: Site) -> None:
    eve = await site.signed_in("eve")
    keys = [await site.key(eve, "chat") for _ in range(5)]
    others = [await site.signed_in("eve", address=f"198.51.100.{n}") for n in range(20, 25)]
    few = site.with_settings(FEW)

    async def ask(number: int) -> int:
        if number % 2:
            browser = evolve(others[number % 5], handler=few.app)
            return (await browser.fetch("/api/chats")).status
        program = few.browser(address=f"198.51.100.{number + 50}")
        bearer = {"authorization": f"Bearer {keys[number % 5]}"}
        return (await program.fetch("/api/chats", by=None, **bearer)).status

    assert await last_of(ask) == {429}


async def test_a_route_is_asked_in_other_spellings(site: Site) -> None:
    """Each method and query counts as the same route, and no other path leads to it."""
    eve = await site.signed_in("eve")
    browser = evolve(eve, handler=site.with_settings(FEW).app)
    spellings = ["/api/chats", "/api/chats?x={n}", "/api/%63hats", "/api/chats?limit=1"]

    async def ask(number: int) -> int:
        url = PUBLIC + spellings[number % 4].replace("{n}", str(number))
        return (await browser.fetch(url, method="HEAD" if number % 3 else "GET")).status

    assert await last_of(ask) == {429}
    for path in ("/API/chats", "/api//chats", "/api/chats/", "/api/./chats"):
        assert (await browser.fetch(PUBLIC + path)).status in {404, 405}, path


async def test_somebody_uses_up_the_limit_of_somebody_else(site: Site) -> None:
    """Eve's guesses and requests, from her address, keep nobody else out."""
    ann = await site.signed_in("ann", address="198.51.100.99")
    few = site.with_settings(FEW)
    eve = few.browser()
    for _ in range(30):
        await guessed(eve)
        await eve.fetch("/api/auth/session")
    browser = evolve(ann, handler=few.app)
    assert (await browser.fetch("/api/chats")).status == 200
    assert (await browser.fetch("/api/auth/session")).status == 200

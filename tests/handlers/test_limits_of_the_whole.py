"""Limits that hold outside of the route table: on a person who signs in, and on preview hosts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio
from attrs import evolve

from openbolt import Dependencies, OpenBolt, Settings
from openbolt.auth.github import GitHub
from openbolt.lifetime import Work
from openbolt.senders.aiohttp import AiohttpSender
from openbolt.testing import ManualClock, PlainCipher
from openbolt_local.memory import MemoryRateLimiter
from openbolt_local.mocks import GitHubAccount, GitHubApp, GitHubEmail, GitHubMock
from tests.auth.browsing import ORIGIN, Browser, location
from tests.handlers.building import Caller

CALLBACK = f"{ORIGIN}/api/auth/github/callback"
APP = GitHubApp("id", "secret", (CALLBACK,))
ACCOUNTS = [
    GitHubAccount(n, login, emails=(GitHubEmail(f"{login}@example.com", primary=True),))
    for n, login in enumerate(("ann", "ben"), 1)
]


@pytest_asyncio.fixture
async def github() -> AsyncIterator[GitHubMock]:
    async with GitHubMock([APP], ACCOUNTS) as mock:
        yield mock


@pytest.fixture
def app(
    github: GitHubMock, dependencies: Dependencies, sender: AiohttpSender, clock: ManualClock
) -> OpenBolt:
    limiter = MemoryRateLimiter(clock)
    signing_in = evolve(
        dependencies,
        cipher=PlainCipher(),
        sender=sender,
        identity_providers=(GitHub("id", "secret", github.url),),
        limiter=limiter,
        accounting=limiter,
    )
    return OpenBolt(signing_in, Settings(rate_limits=("sign-in-account=2/10m",)))


async def sign_in(app: OpenBolt, github: GitHubMock, login: str) -> str:
    browser = Browser(app, Work())
    begun = await browser.get("/api/auth/github/login")
    back = await github.authorize(location(begun), login=login)
    parts = urlsplit(back)
    answer = await browser.get(f"{parts.path}?{parts.query}")
    await browser.work.drain(30)
    return parse_qs(urlsplit(location(answer)).query).get("sign_in_error", ["in"])[0]


async def test_one_person_signs_in_so_often_and_another_still_may(
    app: OpenBolt, github: GitHubMock, clock: ManualClock
) -> None:
    assert [await sign_in(app, github, "ann") for _ in range(3)] == ["in", "in", "rate_limited"]
    assert await sign_in(app, github, "ben") == "in"
    clock.advance(301)
    assert await sign_in(app, github, "ann") == "in"


@pytest.mark.parametrize("limit", [1, 3])
async def test_preview_hosts_have_a_limit_by_address(
    dependencies: Dependencies, clock: ManualClock, limit: int
) -> None:
    limiter = MemoryRateLimiter(clock)
    limited = evolve(dependencies, limiter=limiter, accounting=limiter)
    app = OpenBolt(limited, Settings(rate_limits=(f"previews={limit}/1m",)))
    host = f"{'a' * 26}.localhost:8787"
    seen = [(await Caller(app)("GET", "/", headers={"host": host})).status for _ in range(limit)]
    assert seen == [404] * limit
    assert (await Caller(app)("GET", "/", headers={"host": host})).status == 429

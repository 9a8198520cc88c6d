"""The whole application as it stands on the internet, with people who sign in by a strict GitHub.

Behind TLS, over stores in memory, with encryption, rate limits and one trusted page of another
origin. Ann has a project with a file and a chat; Eve is the attacker, with an account of her own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from hashlib import sha256
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest_asyncio
from attrs import evolve, frozen

from openbolt import Dependencies, OpenBolt, Settings
from openbolt.auth.github import GitHub
from openbolt.clock import SystemTokens
from openbolt.heads import KeyValueHeads
from openbolt.history import Chat, ChatStore, Message
from openbolt.lifetime import Work
from openbolt.projects.store import Manifest, ProjectStore
from openbolt.senders.httpx import HttpxSender
from openbolt.testing import ManualClock
from openbolt_local.crypto import AesGcmCipher, generate_key
from openbolt_local.memory import MemoryKeyValueStore, MemoryObjectStore
from openbolt_local.memory_limits import MemoryRateLimiter
from openbolt_local.mocks import GitHubAccount, GitHubApp, GitHubEmail, GitHubMock
from tests.handlers.building import Answer
from tests.security.attacks_browser import PUBLIC, Browser

LOGIN = f"{PUBLIC}/api/auth/github/login"
CALLBACK = f"{PUBLIC}/api/auth/github/callback"
SESSION = "__Host-openbolt-session"
SIGN_IN = "__Host-openbolt-sign-in"
TRUSTED = "https://pages.example"
HER_PAGE = "<p>her secret page</p>"
ANN = GitHubAccount(
    1, "ann", name="Ann Example", emails=(GitHubEmail("ann@corp.example", primary=True),)
)
EVE = GitHubAccount(2, "eve", emails=(GitHubEmail("eve@evil.example", primary=True),))
SETTINGS = Settings(public_url=PUBLIC, trusted_origins=(TRUSTED,))
SECRETS = ("github-secret-000001", "github-secret-000002")


@frozen
class Site:
    """What is attacked, and all that stands around it."""

    app: OpenBolt
    dependencies: Dependencies
    settings: Settings
    clock: ManualClock
    kv: MemoryKeyValueStore
    objects: MemoryObjectStore
    github: GitHubMock
    work: Work

    @property
    def her_id(self) -> str:
        """Ann's user id: that of the first account at this GitHub."""
        return f"{self._provider}.1"

    @property
    def eves_id(self) -> str:
        """Eve's."""
        return f"{self._provider}.2"

    @property
    def _provider(self) -> str:
        host = urlsplit(self.github.url).netloc
        return f"github.{sha256(host.encode()).hexdigest()[:8]}"

    def with_settings(self, settings: Settings) -> Site:
        """The same over the same stores, configured otherwise."""
        app = OpenBolt(self.dependencies, settings)
        return evolve(self, app=app, settings=settings)

    def browser(self, **changes: object) -> Browser:
        """Somebody who hasn't signed in."""
        return Browser(self.app, self.work, **changes)  # type: ignore[arg-type]

    async def to_github(self, browser: Browser, login: str, *, return_to: str = "") -> str:
        """Begin to sign in; the URL that GitHub sends the browser back to."""
        query = f"?{urlencode({'return_to': return_to})}" if return_to else ""
        begun = await browser.visit(LOGIN + query)
        return await self.github.authorize(location(begun), login=login)

    async def signed_in(self, login: str = "ann", **changes: object) -> Browser:
        """Somebody's browser after sign-in."""
        browser = self.browser(**changes)
        await browser.visit(await self.to_github(browser, login))
        assert await who(browser) is not None
        return browser

    async def key(self, browser: Browser, *scopes: str, **more: object) -> str:
        """A new API key of whoever is signed in."""
        body = {"name": "A key", "scopes": list(scopes), **more}
        answer = await browser.fetch("/api/auth/keys", method="POST", json=body)
        assert answer.status == 201, answer.text
        key: str = answer.json["key"]
        return key

    async def give_ann(self) -> None:
        """A project ``p1`` of hers with a file, and a chat ``c1`` in it."""
        user_id = self.her_id
        projects = ProjectStore(self.objects, self.kv, self.clock)
        await projects.create("p1", user_id, "Her plan")
        entry = await projects.put_blob("index.html", HER_PAGE.encode())
        await projects.commit("p1", {"index.html": entry}, base=Manifest.empty())
        now = self.clock.now()
        asked = Message("q1", "user", now, ({"type": "text", "text": "Her question"},))
        chats = ChatStore(self.kv, KeyValueHeads(self.kv), self.clock)
        await chats.begin(Chat("c1", user_id, "p1", "Her talk", now, now, ("q1",)), asked)

    def stored(self) -> str:
        """All that the stores hold, keys and values, as text."""
        return f"{self.kv._partitions} {self.objects._objects}"

    def calls(self, path: str) -> int:
        """How often GitHub was asked for something."""
        return sum(request.path == path for request in self.github.received)


def location(answer: Answer) -> str:
    """Where a redirect leads."""
    assert answer.status == 302, answer.text
    return answer.headers.get("location") or ""


def query_of(url: str) -> dict[str, str]:
    """A URL's parameters."""
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))


def sign_in_error(answer: Answer) -> str:
    """What the page is told that went wrong with a sign-in."""
    where = location(answer)
    assert where.startswith("/?"), where
    return query_of(where)["sign_in_error"]


async def who(browser: Browser) -> str | None:
    """Whom the application takes a browser for."""
    user = (await browser.fetch("/api/auth/session")).json["user"]
    return None if user is None else user["id"]


async def who_by(browser: Browser, credential: str) -> str | None:
    """Whom the application takes a program for, that has this key and nothing else."""
    answer = await browser.another().fetch(
        "/api/auth/session", by=None, authorization=f"Bearer {credential}"
    )
    if answer.status == 401:
        return None
    user = answer.json["user"]
    return None if user is None else user["id"]


@pytest_asyncio.fixture
async def github(clock: ManualClock) -> AsyncIterator[GitHubMock]:
    first, second = SECRETS
    apps = [
        GitHubApp("id-1", first, [CALLBACK]),
        GitHubApp("id-2", second, [CALLBACK.replace("github", "other")]),
    ]
    async with GitHubMock(apps, [ANN, EVE], clock=clock, verified_email_needed=False) as mock:
        yield mock


@pytest_asyncio.fixture
async def site(
    dependencies: Dependencies,
    clock: ManualClock,
    kv: MemoryKeyValueStore,
    objects: MemoryObjectStore,
    github: GitHubMock,
) -> AsyncIterator[Site]:
    sender, limiter, work = HttpxSender(), MemoryRateLimiter(clock), Work()
    whole = evolve(
        dependencies,
        tokens=SystemTokens(),
        cipher=AesGcmCipher([generate_key()]),
        sender=sender,
        identity_providers=(
            GitHub("id-1", SECRETS[0], github.url, want_orgs=True),
            GitHub("id-2", SECRETS[1], github.url, id="other"),
        ),
        limiter=limiter,
        accounting=limiter,
    )
    app = OpenBolt(whole, SETTINGS)
    yield Site(app, whole, SETTINGS, clock, kv, objects, github, work)
    await work.drain(30)
    await sender.aclose()

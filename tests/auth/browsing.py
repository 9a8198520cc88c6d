"""Sign-in as a browser meets it: the application, a cookie jar, redirects."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from urllib.parse import unquote, urlsplit

import pytest_asyncio
from attrs import define, evolve, field, frozen

from openbolt import Dependencies, Handler, OpenBolt, Settings
from openbolt.auth.identity import IdentityProvider
from openbolt.graph import Graph
from openbolt.http import EMPTY_BODY, Headers, Request, RequestContext
from openbolt.lifetime import Work
from openbolt.protocols import AtomicKeyValueStore, Cipher, HttpSender, KeyValueStore
from openbolt.routing import Route
from openbolt.senders.httpx import HttpxSender
from openbolt.testing import ManualClock
from openbolt_local.crypto import AesGcmCipher, generate_key
from tests.auth.asking import who_am_i
from tests.handlers.building import Answer
from tests.stores import in_memory

ORIGIN = "http://localhost:8787"


@frozen
class SignInHouse:
    """One set of stores, and the application on top of it."""

    kv: KeyValueStore
    atomic: AtomicKeyValueStore | None
    clock: ManualClock
    sender: HttpSender
    providers: Sequence[IdentityProvider]
    settings: Settings
    cipher: Cipher = field(factory=lambda: AesGcmCipher([generate_key()]))

    @property
    def dependencies(self) -> Dependencies:
        return in_memory(
            self.clock,
            kv=self.kv,
            atomic=self.atomic,
            cipher=self.cipher,
            sender=self.sender,
            identity_providers=self.providers,
        )

    @property
    def graph(self) -> Graph:
        """The application's stores and services, by hand."""
        return Graph.of(self.dependencies, self.settings)

    def handler(self) -> Handler:
        """The application, which also says who somebody is."""
        me = Route("GET", "/me", who_am_i)
        return OpenBolt(self.dependencies, self.settings, routes=[me])


@define
class Browser:
    """Keeps cookies by the rules of their prefixes; follows nothing by itself."""

    handler: Handler
    work: Work
    origin: str = ORIGIN
    root_path: str = ""
    cookies: dict[str, str] = field(factory=dict)

    def another(self) -> Browser:
        """A browser of somebody else."""
        return evolve(self, cookies={})

    async def get(self, target: str, **headers: str) -> Answer:
        """What a person gets who opens a page."""
        return await self.send("GET", target, {"accept": "text/html,*/*;q=0.8", **headers})

    async def send(
        self, method: str, target: str, headers: Mapping[str, str] | None = None
    ) -> Answer:
        parts = urlsplit(target)
        if parts.netloc:
            assert f"{parts.scheme}://{parts.netloc}" == self.origin, f"{target} is not ours"
        fields = {"host": urlsplit(self.origin).netloc, "user-agent": FIREFOX, **(headers or {})}
        if self.cookies:
            fields["cookie"] = "; ".join(f"{name}={text}" for name, text in self.cookies.items())
        request = Request(
            method,
            unquote(parts.path).removeprefix(self.root_path),
            Headers.of({name.replace("_", "-"): value for name, value in fields.items()}),
            EMPTY_BODY,
            RequestContext(spawn=self.work.spawn),
            query=parts.query,
            scheme=urlsplit(self.origin).scheme,
            root_path=self.root_path,
        )
        response = await self.handler(request)
        assert isinstance(response.body, bytes)
        for line in response.headers.get_all("set-cookie"):
            self._keep(line)
        return Answer(response.status, response.headers, response.body)

    def _keep(self, line: str) -> None:
        pair, *rest = (part.strip() for part in line.split(";"))
        name, _, value = pair.partition("=")
        attributes = {part.partition("=")[0].lower(): part.partition("=")[2] for part in rest}
        assert {"httponly", "samesite", "path"} <= attributes.keys()
        assert (attributes["samesite"], attributes["path"]) == ("Lax", "/")
        assert "domain" not in attributes
        secure = self.origin.startswith("https:")
        assert name.startswith("__Host-") == ("secure" in attributes) == secure
        if int(attributes["max-age"]) <= 0:
            self.cookies.pop(name, None)
        else:
            self.cookies[name] = value


FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"
SESSION = "openbolt-session"
SIGN_IN = "openbolt-sign-in"


@pytest_asyncio.fixture
async def sender() -> AsyncIterator[HttpxSender]:
    sender = HttpxSender()
    yield sender
    await sender.aclose()


@pytest_asyncio.fixture
async def browser(house: SignInHouse) -> AsyncIterator[Browser]:
    work = Work()
    yield Browser(house.handler(), work)
    await work.drain(30)


def location(answer: Answer) -> str:
    """Where a redirect leads."""
    assert answer.status == 302
    assert answer.headers.get("cache-control") == "no-store"
    assert answer.headers.get("referrer-policy") == "no-referrer"
    found = answer.headers.get("location")
    assert found is not None
    return found

"""Sign-in as a browser meets it: the routes behind the real guards, a cookie jar, redirects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import unquote, urlsplit

from attrs import define, evolve, field, frozen

from openbolt import Handler, Settings
from openbolt.access import with_optional_principal, with_principal
from openbolt.auth.admission import Admission
from openbolt.auth.api_keys import ApiKeys
from openbolt.auth.authenticator import SignedInUsers
from openbolt.auth.grants import Grants
from openbolt.auth.identity import IdentityProvider
from openbolt.auth.session_store import KeyValueSessionStore
from openbolt.auth.sessions import Sessions
from openbolt.auth.sign_in import BeginSignIn, FinishSignIn, ReadSession, SignOut
from openbolt.auth.sign_in_state import SignInAttempts
from openbolt.auth.users import UserStore
from openbolt.clock import SystemTokens
from openbolt.guards import (
    answer_errors,
    refuse_cross_site_writes,
    with_request_id,
    with_security_headers,
)
from openbolt.http import EMPTY_BODY, Headers, Request, RequestContext
from openbolt.lifetime import Work
from openbolt.protocols import AtomicKeyValueStore, Cipher, HttpSender, KeyValueStore
from openbolt.routing import Route, Router
from openbolt.testing import ManualClock, SequenceTokens
from openbolt_local.memory import MemoryLeaseStore
from tests.auth.asking import who_am_i
from tests.handlers.building import Answer

ORIGIN = "http://localhost:8787"


@frozen
class SignInHouse:
    """One set of stores, and the routes of sign-in on top of it."""

    kv: KeyValueStore
    atomic: AtomicKeyValueStore | None
    clock: ManualClock
    cipher: Cipher
    sender: HttpSender
    providers: Sequence[IdentityProvider]
    settings: Settings

    @property
    def sessions(self) -> Sessions:
        store = KeyValueSessionStore(self.kv, self.clock)
        return Sessions(store, self.clock, SystemTokens(), self.settings)

    @property
    def users(self) -> UserStore:
        return UserStore(self.kv)

    def handler(self) -> Handler:
        """Everything, wired as an application wires it."""
        sessions, users = self.sessions, self.users
        api_keys = ApiKeys(self.kv, self.clock, SystemTokens(), self.settings)
        leases = MemoryLeaseStore(self.clock, SequenceTokens())
        grants = Grants(self.providers, sessions, self.cipher, self.sender, leases, self.clock)
        attempts = SignInAttempts(
            self.cipher, self.clock, SystemTokens(), self.settings, self.atomic
        )
        who = SignedInUsers(sessions, api_keys)
        public = Router(
            [
                Route(
                    "GET",
                    "/api/auth/{provider}/login",
                    BeginSignIn(self.providers, attempts, self.sender, self.settings),
                ),
                Route(
                    "GET",
                    "/api/auth/{provider}/callback",
                    FinishSignIn(
                        self.providers,
                        attempts,
                        self.sender,
                        Admission.of(self.settings),
                        users,
                        sessions,
                        grants,
                        self.clock,
                        self.settings,
                    ),
                ),
                Route(
                    "GET",
                    "/api/auth/session",
                    ReadSession(self.providers, users, sessions, self.settings),
                ),
                Route("POST", "/api/auth/logout", SignOut(sessions, grants, self.settings)),
            ]
        )
        handler: Handler = Router(
            [
                Route("GET", "/me", with_principal(who_am_i, who)),
                Route("ANY", "/{path:path}", with_optional_principal(public, who)),
            ]
        )
        handler = refuse_cross_site_writes(handler, self.settings.trusted_origins)
        return with_request_id(with_security_headers(answer_errors(handler)), SystemTokens())


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


def location(answer: Answer) -> str:
    """Where a redirect leads."""
    assert answer.status == 302
    assert answer.headers.get("cache-control") == "no-store"
    assert answer.headers.get("referrer-policy") == "no-referrer"
    found = answer.headers.get("location")
    assert found is not None
    return found

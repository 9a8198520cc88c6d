"""The stand-in as a server: which part answers what, what it remembers, what goes wrong.

The law: a test can look at everything that was asked, and nothing secret is in what it prints.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import Collection, Generator, Iterable
from typing import Self, TypedDict, Unpack
from urllib.parse import urlsplit

from openbolt.clock import SystemClock
from openbolt.protocols import Clock
from openbolt_local.mocks.connection import (
    BodyTooLargeError,
    Connection,
    NotHttpError,
    ReceivedRequest,
)
from openbolt_local.mocks.github.answers import Answer
from openbolt_local.mocks.github.api import ROOT, Api
from openbolt_local.mocks.github.faults import FaultName, GitHubFault, faulty
from openbolt_local.mocks.github.grants import Grants, Token
from openbolt_local.mocks.github.limits import RateLimits
from openbolt_local.mocks.github.pages import message_page
from openbolt_local.mocks.github.profiles import AVATAR, AVATARS
from openbolt_local.mocks.github.registry import Directory, GitHubAccount, GitHubApp
from openbolt_local.mocks.github.web import ACCESS_TOKEN, AUTHORIZE, Decision, Web
from openbolt_local.mocks.listening import Listener, Listening, running_in_thread, unless_gone


class GitHubOptions(TypedDict, total=False):
    """The arguments of GitHubMock beside apps and accounts, for `in_thread`."""

    host: str
    port: int
    clock: Clock | None
    rate_limit: int
    rate_limit_status: int
    verified_email_needed: bool
    closed_orgs: Collection[str]
    record_limit: int


class GitHubMock(Listening):
    """GitHub's web flow and its API, both below `url` as on GitHub Enterprise Server.

    Args:
        apps: the registered applications.
        accounts: the people; more can come later (`put_account`).
        host: the address to listen on.
        port: 0 picks a free one; see `url`.
        clock: tells when codes and tokens expire and when a rate limit ends.
        rate_limit: requests in an hour, of one person; 60 for requests without a token.
        rate_limit_status: 403 or 429, of a request above that.
        verified_email_needed: as on github.com, an application gets no token for somebody
            without a verified primary address; a GitHub Enterprise Server may allow it.
        closed_orgs: organizations that keep applications out.
        record_limit: how many requests `received` keeps, newest last.
    """

    def __init__(
        self,
        apps: Iterable[GitHubApp],
        accounts: Iterable[GitHubAccount],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Clock | None = None,
        rate_limit: int = 5000,
        rate_limit_status: int = 403,
        verified_email_needed: bool = True,
        closed_orgs: Collection[str] = (),
        record_limit: int = 1000,
    ) -> None:
        clock = clock or SystemClock()
        self.received: deque[ReceivedRequest] = deque(maxlen=record_limit)
        self._directory = Directory({app.client_id: app for app in apps}, {})
        self._grants = Grants(clock)
        self._web = Web(
            self._directory, self._grants, clock, verified_email_needed=verified_email_needed
        )
        self._api = Api(
            self._directory,
            self._grants,
            RateLimits(clock, rate_limit),
            limit_status=rate_limit_status,
            closed_orgs=closed_orgs,
        )
        self._faults: list[GitHubFault] = []
        self._numbers = itertools.count(1)
        self._listener = Listener(host, port, self._converse)
        for account in accounts:
            self.put_account(account)

    # Running

    @classmethod
    @contextlib.contextmanager
    def in_thread(
        cls,
        apps: Iterable[GitHubApp],
        accounts: Iterable[GitHubAccount],
        **options: Unpack[GitHubOptions],
    ) -> Generator[Self]:
        """Run one in an event loop of its own thread, for synchronous tests."""
        with running_in_thread(cls(apps, accounts, **options), "github-mock") as mock:
            yield mock

    # What people do at GitHub

    def put_account(self, account: GitHubAccount) -> None:
        """Open an account, or change the one with this id: rename it, verify an address.

        Raises:
            ValueError: Somebody else has this login.
        """
        other = self._directory.named(account.login)
        if other is not None and other.id != account.id:
            raise ValueError(f"login: {account.login!r} belongs to account {other.id}")
        self._directory.accounts[account.id] = account

    async def authorize(
        self,
        url: str,
        *,
        login: str,
        decision: Decision = "authorize",
        scopes: Iterable[str] | None = None,
    ) -> str:
        """Go through the page in one call, as a person in a browser would.

        Args:
            url: where the application sends the person to.
            login: who the person is.
            decision: ``cancel`` sends them back with ``access_denied``.
            scopes: let the application have these only, of those that it asks for.

        Returns:
            The URL that the person is sent back to, with a code or with an error in it.

        Raises:
            RefusedPageError: GitHub would show a page that says no, and send nobody anywhere.
            ValueError: `url` is not the page's, or `scopes` has one that was not asked for.
        """
        parts = urlsplit(url)
        if f"{parts.scheme}://{parts.netloc}{parts.path}" != self.url + AUTHORIZE:
            raise ValueError(f"url: {self.url}{AUTHORIZE} was expected")
        return self._web.decide_at_once(parts.query, login, decision, scopes)

    def revoke(self, login: str, client_id: str) -> None:
        """Take back all that somebody granted to an application, as they can in their settings."""
        account = self._directory.named(login)
        if account is not None:
            self._grants.revoke_grant(client_id, account.id)

    def tokens(self, login: str) -> tuple[Token, ...]:
        """The access tokens of somebody that work now, oldest first."""
        account = self._directory.named(login)
        return () if account is None else self._grants.of(account.id)

    # What goes wrong

    def fail(
        self,
        kind: FaultName | int,
        *,
        path: str = "/",
        times: int | None = 1,
        delay: float = 0.2,
        size: int = 2 * 1024 * 1024,
    ) -> None:
        """Let requests to `path` go wrong, before what was asked for later; see `GitHubFault`."""
        self._faults.append(GitHubFault(kind, path, times, delay, size))

    def recover(self) -> None:
        """Forget all faults."""
        self._faults.clear()

    # Serving

    async def _converse(self, connection: Connection) -> None:
        while True:
            try:
                request = await connection.receive()
            except BodyTooLargeError:
                await connection.respond(413, {}, b"")
                return
            except NotHttpError:
                await connection.respond(400, {}, b"")
                return
            if request is None:
                return
            self.received.append(request)
            await self._respond(connection, request)
            if not connection.reusable:
                return

    async def _respond(self, connection: Connection, request: ReceivedRequest) -> None:
        fault = next((fault for fault in self._faults if fault.meets(request.path)), None)
        if fault is None:
            await self._send(connection, self._answer(request))
            return
        fault.use()
        answer = self._answer(request) if fault.lets_it_happen else None
        match fault.kind:
            case "reset" | "lost":
                connection.reset()
            case "stall":
                await connection.client_gone()
            case "slow" if answer is not None:
                if not await unless_gone(connection, asyncio.sleep(fault.delay)):
                    await self._send(connection, answer)
            case "malformed" if answer is not None:
                half = answer.body[: len(answer.body) // 2]
                await self._send(connection, Answer(answer.status, answer.headers, half))
            case _:
                await self._send(connection, faulty(fault))

    async def _send(self, connection: Connection, answer: Answer) -> None:
        request_id = f"MOCK:{next(self._numbers):06d}"
        headers = {"server": "github.com", "x-github-request-id": request_id, **answer.headers}
        if answer.status == 204:
            await connection.start(answer.status, headers)
            await connection.finish()
            return
        await connection.respond(answer.status, headers, answer.body)

    def _answer(self, request: ReceivedRequest) -> Answer:
        path = request.path
        if path == ROOT or path.startswith(f"{ROOT}/"):
            return self._api.answer(request, self.url)
        match request.method, path:
            case "GET", _ if path == AUTHORIZE:
                return self._web.show(request)
            case "POST", _ if path == AUTHORIZE:
                return self._web.decide(request)
            case "POST", _ if path == ACCESS_TOKEN:
                return self._web.exchange(request)
            case "GET", _ if path.startswith(AVATARS):
                return Answer(200, {"content-type": "image/png"}, AVATAR)
            case _:
                return message_page(404, "Not Found", "This is not the page you are looking for.")

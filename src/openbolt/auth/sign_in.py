"""Signing in and out over HTTP: off to a provider, back from it, and who is there.

Laws: the way back leads to a session only in the browser that went, and never off our own origin; a
sign-in ends whatever session the browser had and begins one under a new id; the cookie of the
attempt is gone after the callback, however it ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import parse_qsl

from attrs import frozen

from openbolt.auth.admission import Admission
from openbolt.auth.cookies import session_cookie, sign_in_cookie, with_cookies
from openbolt.auth.devices import device_of
from openbolt.auth.grants import Grants
from openbolt.auth.identity import IdentityProvider, SignedIn, perform
from openbolt.auth.redirects import callback_url, mount_path, redirect, safe_return_to, sign_in_path
from openbolt.auth.sessions import Sessions, public_id
from openbolt.auth.sign_in_state import SignInAttempts
from openbolt.auth.users import User, UserStore, user_id_of
from openbolt.bodies import iso_time, json_response
from openbolt.errors import InvalidRequestError, NotFoundError
from openbolt.guards import answer_errors
from openbolt.http import Handler, Principal, Request, Response
from openbolt.jsons import parse_json
from openbolt.limiting import RateLimits
from openbolt.protocols import Clock, HttpSender, SessionRecord
from openbolt.settings import Settings

__all__ = ["BeginSignIn", "FinishSignIn", "ReadSession", "SignOut"]

_MAX_PARAMETERS = 20


@frozen
class BeginSignIn:
    """``GET /api/auth/{provider}/login``."""

    providers: Sequence[IdentityProvider]
    attempts: SignInAttempts
    sender: HttpSender
    settings: Settings

    async def __call__(self, request: Request, /) -> Response:
        """To the provider's page; ``?return_to=`` is a path to come back to in the end."""
        return await _for_people(request, self.settings, answer_errors(self._begin))

    async def _begin(self, request: Request, /) -> Response:
        provider = _named(self.providers, request)
        attempt, kept = await self.attempts.begin(
            provider.id,
            redirect_uri=callback_url(request, self.settings, provider.id),
            return_to=safe_return_to(
                request.query_param("return_to"), default=_front_page(request, self.settings)
            ),
        )
        url = await perform(provider.begin(attempt), self.sender)
        cookie = sign_in_cookie(request, self.settings)
        return with_cookies(redirect(url), cookie.set(kept, max_age=self.settings.sign_in_ttl))


@frozen
class FinishSignIn:
    """``GET /api/auth/{provider}/callback``."""

    providers: Sequence[IdentityProvider]
    attempts: SignInAttempts
    sender: HttpSender
    admission: Admission
    users: UserStore
    sessions: Sessions
    grants: Grants
    clock: Clock
    settings: Settings
    limits: RateLimits | None = None

    async def __call__(self, request: Request, /) -> Response:
        """Signed in, and back to where the person was.

        What went wrong is said to a person as ``/?sign_in_error=<code>``, and to a program (one
        that takes ``application/json`` and no ``text/html``) as any other error.
        """
        response = await _for_people(request, self.settings, answer_errors(self._finish))
        return with_cookies(response, sign_in_cookie(request, self.settings).delete())

    async def _finish(self, request: Request, /) -> Response:
        provider = _named(self.providers, request)
        callback = _parameters(request)
        pending = await self.attempts.resume(
            sign_in_cookie(request, self.settings).read(request),
            provider=provider.id,
            state=callback.get("state", ""),
        )
        exchange = provider.finish(pending.attempt, callback, now=self.clock.now())
        signed_in = await perform(exchange, self.sender)
        try:
            if self.limits is not None:
                await self.limits.acquire("sign-in-account", user_id_of(signed_in.identity))
            self.admission.check(signed_in.identity)
            cookie = await self._start_session(request, provider, signed_in)
        except BaseException:
            # Nobody is signed in by them, so nobody is to hold them.
            request.context.spawn(self.grants.revoke_grant(provider, signed_in.grant))
            raise
        return with_cookies(redirect(pending.return_to), cookie)

    async def _start_session(
        self, request: Request, provider: IdentityProvider, signed_in: SignedIn
    ) -> str:
        user = await self.users.signed_in(signed_in.identity, now=self.clock.now())
        cookie = session_cookie(request, self.settings)
        await _end_session(request, cookie.read(request), self.sessions, self.grants)
        token, record = await self.sessions.start(user.id, device=device_of(request))
        try:
            await self.grants.keep(record, provider.id, signed_in.grant)
        except BaseException:
            await self.sessions.end(token)  # which nobody will ever be told of
            raise
        return cookie.set(token, max_age=self.settings.session_ttl)


Method = Literal["local", "password", "other"]


@frozen
class ReadSession:
    """``GET /api/auth/session``, behind `openbolt.access.with_optional_principal`.

    Attributes:
        otherwise: How those come who bring neither a session nor a key.
    """

    providers: Sequence[IdentityProvider]
    users: UserStore
    sessions: Sessions
    settings: Settings
    otherwise: Method = "local"

    async def __call__(self, request: Request, /) -> Response:
        """Who is asking and how, and whom they could sign in with; nobody is no error."""
        principal = request.context.principal
        user = record = None
        if principal is not None:
            user = await self.users.load(principal.user_id)
            if principal.session is not None:
                token = session_cookie(request, self.settings).read(request)
                record = await self.sessions.resume(token)
        return json_response(
            {
                "user": None if principal is None else _user(principal, user),
                "session": None if record is None else _session(record),
                "providers": [self._provider(request, each) for each in self.providers],
                "method": self._method(principal),
            }
        )

    def _provider(self, request: Request, provider: IdentityProvider) -> dict[str, str]:
        url = sign_in_path(request, self.settings, provider.id)
        return {"id": provider.id, "name": provider.name, "signInUrl": url}

    def _method(self, principal: Principal | None) -> str | None:
        if principal is None:
            return None
        if principal.api_key is not None:
            return "key"
        return "session" if principal.session is not None else self.otherwise


@frozen
class SignOut:
    """``POST /api/auth/logout``, behind `openbolt.access.with_optional_principal`."""

    sessions: Sessions
    grants: Grants
    settings: Settings

    async def __call__(self, request: Request, /) -> Response:
        """End the browser's session; no error where there is none.

        The provider's tokens are revoked after the answer. ``Clear-Site-Data`` is ``"cache"``:
        project files lie in the browser's cache to be revalidated. Not ``"storage"``, since
        preferences and drafts that aren't synced yet are in there; not ``"cookies"``, since it
        takes those of every other application below the same domain.
        """
        principal = request.context.principal
        if principal is not None and principal.api_key is not None:
            return Response(204)  # a program has no session, and no cookie of its browser's counts
        cookie = session_cookie(request, self.settings)
        await _end_session(request, cookie.read(request), self.sessions, self.grants)
        response = Response(204).with_headers(
            {"cache-control": "no-store", "clear-site-data": '"cache"'}
        )
        return with_cookies(response, cookie.delete())


async def _end_session(
    request: Request, token: str | None, sessions: Sessions, grants: Grants
) -> None:
    ended = None if token is None else await sessions.end(token)
    if ended is not None and ended.data:
        request.context.spawn(grants.revoke(ended))


async def _for_people(request: Request, settings: Settings, handler: Handler) -> Response:
    """An error as something to look at, where a person's browser asks for a page."""
    response = await handler(request)
    if response.status < 400 or _is_program(request):
        return response
    assert isinstance(response.body, bytes)
    code: str = parse_json(response.body)["error"]["code"]
    return redirect(f"{_front_page(request, settings)}?sign_in_error={code}")


def _is_program(request: Request) -> bool:
    accepted = ",".join(request.headers.get_all("accept")).lower()
    return "application/json" in accepted and "text/html" not in accepted


def _front_page(request: Request, settings: Settings) -> str:
    return f"{mount_path(request, settings)}/"


def _user(principal: Principal, user: User | None) -> dict[str, Any]:
    return {
        "id": principal.user_id,
        "name": (user.name if user else principal.name) or principal.user_id,
        "login": (user and user.login) or None,
        "email": (user and user.email) or None,
        "avatarUrl": (user and user.avatar_url) or None,
    }


def _session(record: SessionRecord) -> dict[str, str]:
    return {
        "id": public_id(record),
        "createdAt": iso_time(record.created_at),
        "expiresAt": iso_time(record.expires_at),
    }


def _named(providers: Sequence[IdentityProvider], request: Request) -> IdentityProvider:
    wanted = request.path_params["provider"]
    found = next((provider for provider in providers if provider.id == wanted), None)
    if found is None:
        raise NotFoundError("There is no such identity provider.")
    return found


def _parameters(request: Request) -> Mapping[str, str]:
    """A callback's parameters.

    Raises:
        InvalidRequestError: One comes twice (RFC 6749, 3.1), or there are too many.
    """
    try:
        pairs = parse_qsl(request.query, keep_blank_values=True, max_num_fields=_MAX_PARAMETERS)
    except ValueError:
        pairs = [("", ""), ("", "")]
    found = dict(pairs)
    if len(found) != len(pairs):
        raise InvalidRequestError("The callback has a parameter twice, or too many of them.")
    return found

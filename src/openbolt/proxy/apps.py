"""Calls from apps under construction: a token instead of a cookie, from any origin.

Law: such a call is known by its token alone. No cookie counts, so no page can make a visitor's
browser call in the visitor's name, and any origin may read the answer: there is nothing in it that
whoever holds the token couldn't have without a browser. Nothing but the gateway is open to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from attrs import evolve, frozen

from openbolt.access import with_principal
from openbolt.errors import UnauthenticatedError
from openbolt.guards import answer_errors
from openbolt.http import Answering, Handler, Headers, Principal, Request, Response
from openbolt.protocols import Authenticator
from openbolt.proxy.app_tokens import APP_TOKEN_PREFIX, AppTokens
from openbolt.routing import Route, Router

__all__ = ["AppCallers", "serve_apps"]

_BELOW = "/api/proxy/anthropic/"
_BEARER = re.compile(r"[ \t]*bearer[ \t]+(.*?)[ \t]*", re.IGNORECASE | re.DOTALL)
_KEYS = ("obt_", "obk_")
_ANY_ORIGIN = {
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "request-id, retry-after, x-request-id",
}
# By name: a wildcard doesn't cover ``authorization``, and older browsers take it for a name.
_PREFLIGHT = {
    **_ANY_ORIGIN,
    "access-control-allow-methods": "GET, POST",
    "access-control-max-age": "7200",
}
_ASKED = re.compile(r"[A-Za-z0-9, \t_-]{1,2000}")


@frozen
class AppCallers:
    """An `openbolt.protocols.Authenticator` for ``Authorization: Bearer obt_...``."""

    app_tokens: AppTokens

    async def authenticate(self, request: Request, /) -> Principal | None:
        """The app.

        Raises:
            UnauthenticatedError: The token isn't one, or not any more; which, it doesn't say.
        """
        given = request.headers.get_all("authorization")
        bearers = [found[1] for found in map(_BEARER.fullmatch, given) if found]
        bearer = (
            await self.app_tokens.bearer(bearers[0]) if len(given) == 1 == len(bearers) else None
        )
        if bearer is None:
            raise UnauthenticatedError(
                "This app token is not valid.", challenge='Bearer error="invalid_token"'
            )
        return bearer


def serve_apps(
    handler: Handler, /, authenticator: Authenticator, routes: Iterable[Route]
) -> Handler:
    """Let whoever has an app token call these routes, and take keys in ``x-api-key`` for all.

    It goes outside of what looks at origins: pages of apps have others, or none.

    Args:
        handler: For all else.
        authenticator: An `AppCallers`, perhaps with limited attempts.
        routes: The gateway's, each under its rate limits.
    """
    apps = answer_errors(with_principal(Router(tuple(routes)), authenticator))

    async def gateway(request: Request, /) -> Response:
        if request.method == "OPTIONS" and (preflight := _preflight(request)) is not None:
            return preflight
        request = _with_bearer(request)
        if not _is_an_apps(request.headers):
            return await handler(request)
        response = await apps(request)
        return response.with_headers(_ANY_ORIGIN)

    def served(request: Request, /) -> Answering:
        return (gateway if request.path.startswith(_BELOW) else handler)(request)

    return served


def _preflight(request: Request) -> Response | None:
    """The answer to a page that wants to send a token; None for other questions."""
    asked = request.headers.get("access-control-request-headers") or ""
    names = {name.strip().lower() for name in asked.split(",")}
    if not names & {"authorization", "x-api-key"} or not _ASKED.fullmatch(asked):
        return None
    if "access-control-request-method" not in request.headers:
        return None
    return Response(204, Headers.of({**_PREFLIGHT, "access-control-allow-headers": asked}))


def _with_bearer(request: Request) -> Request:
    """The same with a key that came as ``x-api-key``, as the SDK sends it, where others do.

    With both fields a token in either stands beside the other: that is refused as two.
    """
    keys = request.headers.get_all("x-api-key")
    if not any(key.strip().startswith(_KEYS) for key in keys):
        return request
    kept = [pair for pair in request.headers.items if pair[0] != "x-api-key"]
    return evolve(
        request,
        headers=Headers([*kept, *(("authorization", f"Bearer {key.strip()}") for key in keys)]),
    )


def _is_an_apps(headers: Headers) -> bool:
    found = map(_BEARER.fullmatch, headers.get_all("authorization"))
    return any(each is not None and each[1].startswith(APP_TOKEN_PREFIX) for each in found)

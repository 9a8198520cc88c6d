"""A user's sessions over HTTP: listed, and ended one by one or all at once.

Law: what is shown of a session is what its owner may recognise it by, never what it is worth; the
browser whose own session ends here is told to forget its cookie.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from attrs import frozen

from openbolt.access import Resource, owner_of, principal_of, require
from openbolt.auth.cookies import session_cookie, with_cookies
from openbolt.auth.sessions import Sessions, public_id
from openbolt.bodies import iso_time, json_response
from openbolt.errors import InvalidRequestError, NotFoundError
from openbolt.http import Request, Response
from openbolt.protocols import SessionRecord

__all__ = ["EndSession", "EndSessions", "ListSessions", "SessionEnded"]

SessionEnded = Callable[[SessionRecord], Coroutine[Any, Any, None]]
"""Is told of a session that was revoked, after the answer: to let go of what it held
(`openbolt.auth.grants.Grants.revoke`)."""


async def _nothing(_: SessionRecord, /) -> None: ...


@frozen
class ListSessions:
    """``GET /api/auth/sessions``."""

    sessions: Sessions

    async def __call__(self, request: Request, /) -> Response:
        """The caller's sessions, the one used last first; ``current`` is the one that asks."""
        principal, owner = principal_of(request), owner_of(request)
        require(principal, "read", Resource("session", owner))
        return json_response(
            {
                "sessions": [
                    _row(record, current=public_id(record) == principal.session)
                    for record in await self.sessions.list(owner)
                ]
            }
        )


@frozen
class EndSession:
    """``DELETE /api/auth/sessions/{id}``."""

    sessions: Sessions
    ended: SessionEnded = _nothing

    async def __call__(self, request: Request, /) -> Response:
        """End it; 404 for anybody else's."""
        principal, owner = principal_of(request), owner_of(request)
        wanted = request.path_params["id"]
        require(principal, "delete", Resource("session", owner, wanted))
        record = await self.sessions.revoke(owner, wanted)
        if record is None:
            raise NotFoundError("There is no such session.")
        request.context.spawn(self.ended(record))
        return _gone(request, self.sessions, own=wanted == principal.session)


@frozen
class EndSessions:
    """``DELETE /api/auth/sessions``."""

    sessions: Sessions
    ended: SessionEnded = _nothing

    async def __call__(self, request: Request, /) -> Response:
        """End all but the one that asks; that one, too, with ``?all=true``."""
        principal, owner = principal_of(request), owner_of(request)
        require(principal, "delete", Resource("session", owner))
        every = _flag(request, "all")
        keep = None if every else principal.session
        for record in await self.sessions.revoke_all(owner, keep=keep):
            request.context.spawn(self.ended(record))
        return _gone(request, self.sessions, own=every and principal.session is not None)


def _gone(request: Request, sessions: Sessions, *, own: bool) -> Response:
    response = Response(204)
    if not own:
        return response
    return with_cookies(response, session_cookie(request, sessions.settings).delete())


def _row(record: SessionRecord, *, current: bool) -> dict[str, Any]:
    return {
        "id": public_id(record),
        "device": record.device,
        "createdAt": iso_time(record.created_at),
        "lastUsedAt": iso_time(record.last_used_at),
        "expiresAt": iso_time(record.expires_at),
        "current": current,
    }


def _flag(request: Request, name: str) -> bool:
    text = request.query_param(name)
    if text not in {None, "true", "false"}:
        raise InvalidRequestError(f"{name}: must be true or false", field=name)
    return text == "true"

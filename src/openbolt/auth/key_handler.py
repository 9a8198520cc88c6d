"""API keys over HTTP: list, make, revoke.

Law: the answer that makes a key is the only one that holds it; a wrong field is named.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from attrs import frozen

from openbolt.access import Resource, Scope, owner_of, principal_of, require
from openbolt.auth.api_keys import ApiKey, ApiKeys
from openbolt.bodies import iso_time, json_response, read_json
from openbolt.errors import InvalidRequestError, NotFoundError
from openbolt.http import Request, Response

__all__ = ["CreateKey", "ListKeys", "NewKey", "RevokeKey"]

_MAX_BODY_BYTES = 16 * 1024
_MAX_NAME_CHARS = 100
_MIN_LIFE = 60.0
_MAX_LIFE = 3650 * 86_400.0


@frozen
class NewKey:
    """What a key is wanted for. Of the two ways to say when it ends, at most one; never by default.

    Attributes:
        name: For its owner to tell it by.
        expires_in: Seconds.
        expires_at: ISO 8601 with a zone.
    """

    name: str
    scopes: tuple[Scope, ...]
    expires_in: float | None = None
    expires_at: str | None = None

    def checked_name(self) -> str:
        """The name, trimmed; 1 to 100 characters."""
        text = " ".join(self.name.split())
        if not 1 <= len(text) <= _MAX_NAME_CHARS:
            raise _wrong("name", f"must be 1 to {_MAX_NAME_CHARS} characters")
        return text

    def checked_scopes(self) -> tuple[Scope, ...]:
        """One scope or more."""
        if not self.scopes:
            raise _wrong("scopes", "must name at least one scope")
        return self.scopes

    def end(self, now: float) -> float | None:
        """When it ends, in seconds since the epoch; a minute to ten years from now."""
        if self.expires_in is not None and self.expires_at is not None:
            raise _wrong("expiresAt", "can't be given together with expiresIn")
        name, life = "expiresIn", self.expires_in
        if self.expires_at is not None:
            name, life = "expiresAt", _moment(self.expires_at) - now
        if life is None:
            return None
        if not (math.isfinite(life) and _MIN_LIFE <= life <= _MAX_LIFE):
            raise _wrong(name, "must be a minute to ten years from now")
        return now + life


@frozen
class ListKeys:
    """``GET /api/auth/keys``."""

    keys: ApiKeys

    async def __call__(self, request: Request, /) -> Response:
        """The caller's keys, the newest first."""
        owner = owner_of(request)
        require(principal_of(request), "read", Resource("key", owner))
        return json_response({"keys": [_row(key) for key in await self.keys.list(owner)]})


@frozen
class CreateKey:
    """``POST /api/auth/keys``."""

    keys: ApiKeys

    async def __call__(self, request: Request, /) -> Response:
        """Make one; ``key`` is in this answer and in no other."""
        principal = principal_of(request)
        require(principal, "write", Resource("key", principal.user_id))
        body = await read_json(request, NewKey, limit=_MAX_BODY_BYTES)
        secret, key = await self.keys.create(
            principal,
            name=body.checked_name(),
            scopes=body.checked_scopes(),
            expires_at=body.end(self.keys.clock.now()),
        )
        return json_response({**_row(key), "key": secret}, status=201)


@frozen
class RevokeKey:
    """``DELETE /api/auth/keys/{id}``."""

    keys: ApiKeys

    async def __call__(self, request: Request, /) -> Response:
        """Make it worthless, at once; 404 for anybody else's."""
        owner, key_id = owner_of(request), request.path_params["id"]
        require(principal_of(request), "delete", Resource("key", owner, key_id))
        if not await self.keys.revoke(owner, key_id):
            raise NotFoundError("There is no such key.")
        return Response(204)


def _row(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": list(key.scopes),
        "prefix": f"{key.prefix}…",
        "createdAt": iso_time(key.created_at),
        "expiresAt": None if key.expires_at is None else iso_time(key.expires_at),
        "lastUsedAt": None if key.last_used_at is None else iso_time(key.last_used_at),
    }


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.timestamp()
    except ValueError:
        pass
    raise _wrong("expiresAt", "must be a time like 2030-01-31T12:00:00Z, with its zone")


def _wrong(field: str, said: str) -> InvalidRequestError:
    return InvalidRequestError(f"{field}: {said}", field=field)

"""Who is asking, by what they bring: a key of a program, or the cookie of a browser.

Law: one credential decides. Where a bearer key came along no cookie is looked at, so a bad key
never falls back to whoever is signed in, and a program's request never acts in a visitor's name.
"""

from __future__ import annotations

import re

from attrs import frozen

from openbolt.auth.api_keys import ApiKeys
from openbolt.auth.cookies import session_cookie
from openbolt.auth.sessions import Sessions, public_id
from openbolt.auth.tokens import API_KEY_PREFIX
from openbolt.errors import UnauthenticatedError
from openbolt.http import Principal, Request
from openbolt.protocols import Authenticator

__all__ = ["KeysOr", "SignedInUsers"]

_BEARER = re.compile(r"[ \t]*bearer(?:[ \t]+(.*))?", re.IGNORECASE | re.DOTALL)


@frozen
class SignedInUsers:
    """Whoever signed in, and programs with a key of theirs.

    Any ``Authorization: Bearer`` has to be a key of ours. Another scheme says nothing here: it may
    be meant for a proxy in front.
    """

    sessions: Sessions
    api_keys: ApiKeys

    async def authenticate(self, request: Request, /) -> Principal | None:
        """The user of the key or of the session; None where there is neither.

        Raises:
            UnauthenticatedError: A bearer came along that isn't a key, or not any more.
        """
        bearers = _bearers(request)
        if bearers:
            return await _of_key(self.api_keys, request, bearers)
        cookie = session_cookie(request, self.sessions.settings)
        record = await self.sessions.resume(cookie.read(request))
        return None if record is None else Principal(record.user_id, session=public_id(record))


@frozen
class KeysOr:
    """Programs with a key (``Authorization: Bearer obk_...``), and for all else another
    authenticator, which may take bearers of its own."""

    authenticator: Authenticator
    api_keys: ApiKeys

    async def authenticate(self, request: Request, /) -> Principal | None:
        """The user of the key, or whoever the other authenticator says.

        Raises:
            UnauthenticatedError: What looks like a key isn't one, or not any more.
        """
        bearers = _bearers(request)
        if any(bearer.startswith(API_KEY_PREFIX) for bearer in bearers):
            return await _of_key(self.api_keys, request, bearers)
        return await self.authenticator.authenticate(request)


def _bearers(request: Request) -> list[str]:
    given = map(_BEARER.fullmatch, request.headers.get_all("authorization"))
    return [(found[1] or "").strip(" \t") for found in given if found]


async def _of_key(api_keys: ApiKeys, request: Request, bearers: list[str]) -> Principal:
    # Of two fields, which one counts is not ours to guess.
    alone = len(request.headers.get_all("authorization")) == 1
    key = await api_keys.authenticate(bearers[0]) if alone else None
    if key is None:
        # One answer for all, so that nobody learns which keys there once were.
        raise UnauthenticatedError(
            "This API key is not valid.", challenge='Bearer error="invalid_token"'
        )
    return key.principal

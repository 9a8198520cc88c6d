"""Who is asking, and whose things they see.

Law: everything that is stored belongs to a user; a handler asks here for the caller's id and
nowhere else, and another user's thing is answered as if it did not exist.
"""

from __future__ import annotations

import base64
import binascii
import hmac

from attrs import field, frozen

from openbolt.errors import ConfigurationError, UnauthenticatedError
from openbolt.http import Handler, Principal, Request, Response
from openbolt.protocols import Authenticator

__all__ = ["LocalUser", "SharedPassword", "owner_of", "with_principal"]


def owner_of(request: Request, /) -> str:
    """The caller's user id.

    Raises:
        UnauthenticatedError: Nobody is signed in.
    """
    if request.context.principal is None:
        raise UnauthenticatedError("Sign in first.")
    return request.context.principal.user_id


_LOCAL = Principal("local", "Local user")


@frozen
class LocalUser:
    """One user, no sign-in: for a server that only its own machine can reach."""

    principal: Principal = _LOCAL

    async def authenticate(self, request: Request, /) -> Principal | None:  # noqa: ARG002
        """Always the local user."""
        return self.principal


@frozen
class SharedPassword:
    """One user behind a password, asked for by the browser itself (HTTP Basic, RFC 7617).

    Behind TLS only: the password travels with every request. Any user name will do.
    """

    password: str = field(repr=False)
    principal: Principal = _LOCAL

    def __attrs_post_init__(self) -> None:
        if not self.password:
            raise ConfigurationError(
                "password must not be empty; set OPENBOLT_PASSWORD.", setting="password"
            )

    async def authenticate(self, request: Request, /) -> Principal | None:
        """The local user, if the password is right."""
        scheme, _, value = (request.headers.get("authorization") or "").partition(" ")
        if scheme.lower() == "basic":
            try:
                given = base64.b64decode(value.strip(), validate=True).partition(b":")[2]
            except (binascii.Error, ValueError):
                given = b""
            if hmac.compare_digest(given, self.password.encode()):
                return self.principal
        raise UnauthenticatedError(
            "This server asks for a password.",
            challenge='Basic realm="openbolt", charset="UTF-8"',
        )


def with_principal(handler: Handler, /, authenticator: Authenticator) -> Handler:
    """Find out who is asking; 401 if nobody is."""

    async def known(request: Request, /) -> Response:
        principal = await authenticator.authenticate(request)
        if principal is None:
            raise UnauthenticatedError("Sign in first.")
        return await handler(request.with_context(principal=principal))

    return known

"""Who is asking, and what they may do: the one place that decides.

Law: everything that is stored belongs to a user, and `can` says who may do what with it. Nobody
reaches beyond their own things; a scope or a link only ever narrows; and whoever may change, delete
or share a thing may read it. Another user's thing is answered as if it did not exist.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Iterable
from typing import Literal, get_args

from attrs import evolve, field, frozen

from openbolt.errors import (
    ConfigurationError,
    ForbiddenError,
    NotFoundError,
    UnauthenticatedError,
)
from openbolt.http import Answering, Handler, Principal, Request, Response
from openbolt.protocols import Authenticator
from openbolt.routing import Route

__all__ = [
    "SCOPES",
    "Action",
    "Asker",
    "Kind",
    "LinkBearer",
    "LocalUser",
    "Resource",
    "Scope",
    "Scoped",
    "SharedPassword",
    "acting_as",
    "can",
    "no_such",
    "owner_of",
    "principal_of",
    "require",
    "scoped",
    "scoped_routes",
    "with_optional_principal",
    "with_principal",
]

Action = Literal["read", "write", "delete", "share"]
Kind = Literal[
    "project", "chat", "preview", "share", "session", "key", "secret", "preferences", "account"
]
Scope = Literal["chat", "projects", "proxy", "admin"]

SCOPES: tuple[Scope, ...] = get_args(Scope)

_SCOPE_OF: dict[Kind, Scope] = {"project": "projects", "preview": "projects", "chat": "chat"}
_USER_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


@frozen
class Resource:
    """Something that is stored and belongs to a user.

    Attributes:
        owner: The user's id.
        id: Empty for what a user has one of (preferences), or for any of the kind.
    """

    kind: Kind
    owner: str
    id: str = ""


@frozen(kw_only=True)
class LinkBearer(Principal):
    """Whoever holds a link to one thing. They read it as its owner would, and it alone.

    Attributes:
        user_id: The owner's, so that the thing is found where the owner's things are.
        only: What the link is to.
    """

    only: Resource

    @classmethod
    def of(cls, resource: Resource, /) -> LinkBearer:
        """The bearer of a link to this."""
        return cls(user_id=resource.owner, scopes=frozenset(), only=resource)


Asker = Principal | str
"""A request's principal; or the id of a user for whom the application itself acts."""


def acting_as(asker: Asker, /) -> Principal:
    """The principal of an `Asker`."""
    return Principal(asker) if isinstance(asker, str) else asker


def can(principal: Principal | None, action: Action, resource: Resource, /) -> bool:
    """Whether they may do this with that."""
    if isinstance(principal, LinkBearer):
        return action == "read" and resource == principal.only
    return _owns(principal, resource) and _missing(principal, action, resource) is None


def _owns(principal: Principal | None, resource: Resource) -> bool:
    return principal is not None and principal.user_id == resource.owner


def _missing(principal: Principal | None, action: Action, resource: Resource) -> Scope | None:
    """The first scope that is wanting, where the credential has only some."""
    held = principal.scopes if principal else frozenset[str]()
    if held is None:
        return None
    # A link gives to anybody: that takes the say over the account besides.
    needed: list[Scope] = [_SCOPE_OF.get(resource.kind, "admin")]
    if action == "share":
        needed.append("admin")
    return next((scope for scope in needed if scope not in held), None)


def require(asker: Asker, action: Action, resource: Resource, /) -> None:
    """Go on only if they may.

    Raises:
        NotFoundError: It is another user's, or not what their link is to.
        ForbiddenError: It is their own, and their key lacks a scope; code ``scope_missing``.
    """
    principal = acting_as(asker)
    if can(principal, action, resource):
        return
    missing = _missing(principal, action, resource)
    if missing is None or not _owns(principal, resource) or isinstance(principal, LinkBearer):
        raise no_such(resource.kind)
    raise _scope_missing(missing)


def no_such(kind: Kind, /) -> NotFoundError:
    """What is said of a thing that isn't there, and of another user's."""
    return NotFoundError(f"There is no such {kind}.")


def _scope_missing(scope: Scope | None) -> ForbiddenError:
    said = f"This API key lacks the scope {scope!r}." if scope else "No API key is taken here."
    return ForbiddenError(said, code="scope_missing")


def principal_of(request: Request, /) -> Principal:
    """The caller.

    Raises:
        UnauthenticatedError: Nobody is signed in.
    """
    if request.context.principal is None:
        raise UnauthenticatedError("Sign in first.")
    return request.context.principal


def owner_of(request: Request, /) -> str:
    """The caller's user id.

    Raises:
        UnauthenticatedError: Nobody is signed in.
    """
    return principal_of(request).user_id


@frozen
class Scoped:
    """A handler that takes an API key only if the key has a scope.

    Attributes:
        scope: None: it takes no API key at all.
    """

    handler: Handler
    scope: Scope | None

    def __attrs_post_init__(self) -> None:
        if self.scope is not None and self.scope not in SCOPES:
            raise ValueError(f"There is no scope {self.scope!r}.")

    def __call__(self, request: Request, /) -> Answering:
        """Answer, or 403 ``scope_missing``, which names the scope."""
        held = principal_of(request).scopes
        if held is not None and self.scope not in held:
            raise _scope_missing(self.scope)
        return self.handler(request)


def scoped(handler: Handler, scope: Scope | None, /) -> Scoped:
    """Say which scope a route asks of an API key; None: it takes none."""
    return Scoped(handler, scope)


def scoped_routes(routes: Iterable[Route], /) -> list[Route]:
    """The same routes, where one that names no scope takes no API key."""
    return [
        route
        if isinstance(route.handler, Scoped)
        else evolve(route, handler=scoped(route.handler, None))
        for route in routes
    ]


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
        return await handler(request.with_context(principal=_checked(principal)))

    return known


def with_optional_principal(handler: Handler, /, authenticator: Authenticator) -> Handler:
    """Find out who is asking, if anybody is; what the authenticator refuses stays refused."""

    async def perhaps_known(request: Request, /) -> Response:
        principal = await authenticator.authenticate(request)
        checked = None if principal is None else _checked(principal)
        return await handler(request.with_context(principal=checked))

    return perhaps_known


def _checked(principal: Principal) -> Principal:
    """Ids are parts of keys: one with a slash in it could name another user's."""
    if not _USER_ID.fullmatch(principal.user_id):
        raise ConfigurationError(
            "An Authenticator gave a user id that isn't 1 to 128 of A-Z a-z 0-9 . _ -; "
            "hash or encode what your users are known by.",
            setting="authenticator",
        )
    return principal

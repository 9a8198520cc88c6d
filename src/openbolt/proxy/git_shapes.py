"""The few requests that git's smart HTTP is made of, and whose credential goes along; pure.

Laws: a request is one of four shapes, to a host that the operator listed, or it is refused. It is
written anew from what was read of it. A credential goes to a git host only where it is surely meant
for one: never a key or a password of this server's.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal
from urllib.parse import quote

from attrs import field, frozen

from openbolt.auth.tokens import API_KEY_PREFIX
from openbolt.errors import (
    ConfigurationError,
    InvalidRequestError,
    MethodNotAllowedError,
    NotFoundError,
    UnsupportedMediaTypeError,
)
from openbolt.http import Headers, Request
from openbolt.proxy.paths import checked_path
from openbolt.proxy.policy import FetchPolicy
from openbolt.proxy.refusals import TargetRefusedError
from openbolt.proxy.targets import Target

__all__ = ["GIT_AUTHORIZATION", "GitHosts", "GitRequest", "Service", "git_authorization"]

Service = Literal["git-upload-pack", "git-receive-pack"]
SERVICES: tuple[Service, ...] = ("git-upload-pack", "git-receive-pack")

GIT_AUTHORIZATION = "x-git-authorization"
"""The git host's ``Authorization``, where this server's own may stand in that field."""

USER_AGENT = "git/openbolt"
"""GitHub answers some addresses otherwise to what isn't called ``git/...``."""

_SAFE = "/-._~!$&'()*+,;=:@"
_CREDENTIAL = re.compile(r"(?:basic|bearer) [A-Za-z0-9._~+/=-]{1,4096}", re.IGNORECASE)
_PROTOCOL = re.compile(r"[a-z0-9=:]{1,64}")


@frozen
class GitHosts:
    """The hosts that the proxy leads to, by how a client names them.

    Attributes:
        origins: ``github.com`` to ``https://github.com``, ``git.internal:3000`` to its own.
        own: Those whose entry was a URL: they may be in the server's own network.
    """

    origins: Mapping[str, str]
    own: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, entries: Iterable[str], /) -> GitHosts:
        """From ``host``, ``host:port``, or an origin ``https://host:port``, ``http://host:port``.

        Raises:
            ConfigurationError: An entry is none of these.
        """
        origins: dict[str, str] = {}
        own: set[str] = set()
        for entry in entries:
            is_url = "://" in entry
            try:
                target = Target.parse(entry if is_url else f"https://{entry}")
            except TargetRefusedError as exc:
                raise _no_host(entry) from exc
            if target.path != "/":
                raise _no_host(entry)
            origins[target.authority] = target.origin
            if is_url:
                own.add(target.authority)
        return cls(MappingProxyType(origins), frozenset(own))

    def policy(self) -> FetchPolicy:
        """What the guard before these hosts admits: them, and no others."""
        schemes = {origin.partition(":")[0] for origin in self.origins.values()}
        return FetchPolicy(
            schemes=schemes or {"https"},
            only_hosts=tuple(self.origins),
            allow_hosts=tuple(self.own),
        )

    def origin(self, named: str, /) -> str:
        """The origin of a host as a client names it.

        Raises:
            TargetRefusedError: It isn't listed.
        """
        origin = self.origins.get(named.lower())
        if origin is None:
            raise TargetRefusedError(
                "This host isn't one of those that git may be used with.",
                reason="not_listed",
                field="host",
                detail=f"not_listed: {named[:200]}",
            )
        return origin


def _no_host(entry: str) -> ConfigurationError:
    return ConfigurationError(
        f"git_hosts holds {entry!r}, which is not host, host:port or an origin; set "
        "OPENBOLT_GIT_HOSTS.",
        setting="git_hosts",
    )


@frozen
class GitRequest:
    """One of the four requests: either service's references, or its exchange.

    Attributes:
        url: Where it goes.
        tail: What the URL ends in, after the repository's address.
        asks: It reads references (GET); else it is the exchange itself (POST).
    """

    service: Service
    url: str
    tail: str
    asks: bool
    headers: Headers = field(repr=False)

    @classmethod
    def of(cls, request: Request, hosts: GitHosts, authorization: str | None, /) -> GitRequest:
        """Read a request to ``/{host}/{path}``.

        Args:
            authorization: For the git host.

        Raises:
            TargetRefusedError: The host isn't listed.
            NotFoundError: The path isn't one of smart HTTP's.
            MethodNotAllowedError: The path is, the method isn't its own.
            UnsupportedMediaTypeError: The body isn't what git sends there.
            InvalidRequestError: The path could be read as another one.
        """
        origin = hosts.origin(request.path_params["host"])
        repository, service, asks = _shape(request)
        method = "GET" if asks else "POST"
        if request.method != method:
            raise MethodNotAllowedError(
                f"This address takes {method}.", allowed=(method, "OPTIONS")
            )
        tail = f"/info/refs?service={service}" if asks else f"/{service}"
        checked_path(request.path_params["path"])  # whole: a slash could end the repository's part
        url = f"{origin}/{quote(checked_path(repository), safe=_SAFE)}{tail}"
        fields = _exchange_fields(request, service) if not asks else {"accept": "*/*"}
        protocol = request.headers.get("git-protocol") or ""
        if _PROTOCOL.fullmatch(protocol):
            fields["git-protocol"] = protocol
        if authorization is not None:
            fields["authorization"] = authorization
        return cls(service, url, tail, asks, Headers.of({"user-agent": USER_AGENT, **fields}))

    @property
    def result_type(self) -> str:
        """The content type of the answer."""
        return f"application/x-{self.service}-{'advertisement' if self.asks else 'result'}"


def _shape(request: Request) -> tuple[str, Service, bool]:
    path, query = request.path_params["path"], request.query
    for service in SERVICES:
        for tail, wanted in ((f"/{service}", ""), ("/info/refs", f"service={service}")):
            if path.endswith(tail) and query == wanted and path != tail:
                return path.removesuffix(tail), service, bool(wanted)
    raise NotFoundError("Only git's smart HTTP protocol goes through here.")


def _exchange_fields(request: Request, service: Service) -> dict[str, str]:
    kinds = request.headers.get_all("content-type")
    wanted = f"application/x-{service}-request"
    if len(kinds) != 1 or kinds[0].strip().lower() != wanted:
        raise UnsupportedMediaTypeError(f"Send the body as {wanted}.")
    fields = {"content-type": wanted, "accept": f"application/x-{service}-result"}
    coding = request.headers.get("content-encoding", "identity")
    if coding == "gzip":
        fields["content-encoding"] = coding
    elif coding != "identity":
        raise UnsupportedMediaTypeError("The body may be packed with gzip only.")
    return fields


def git_authorization(headers: Headers, /, *, basic_is_gits: bool) -> str | None:
    """The credential for the git host; None where there is none.

    Args:
        basic_is_gits: Nobody shows by ``Authorization: Basic`` who they are to this server, so that
            what stands there is git's. ``Bearer`` there never is.

    Raises:
        InvalidRequestError: It can't be read, or is a key of this server's.
    """
    given = list(headers.get_all(GIT_AUTHORIZATION))
    if not given and basic_is_gits:
        own = headers.get_all("authorization")
        given = [value for value in own if value.lower().startswith("basic ")]
    if not any(given):
        return None
    if len(given) > 1 or not _CREDENTIAL.fullmatch(given[0]):
        raise InvalidRequestError(
            "The credential for the git host can't be read; send Basic or Bearer.",
            field=GIT_AUTHORIZATION,
        )
    if API_KEY_PREFIX in _shown(given[0]):
        raise InvalidRequestError(
            "This is an API key of this server's, and none for a git host.",
            field=GIT_AUTHORIZATION,
        )
    return given[0]


def _shown(credential: str) -> str:
    """A credential with what Basic wraps."""
    value = credential.partition(" ")[2]
    try:
        return value + base64.b64decode(value).decode("latin-1")
    except (binascii.Error, ValueError):
        return value

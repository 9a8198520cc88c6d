"""Which hosts and origins a server answers, and what other sites' pages may do with it.

Laws: a name is read in one way only, and what can't be read so is refused. No site but this one and
the trusted ones can make a visitor's browser write here, and none but the trusted can read: they
are named one by one in the answer, never by a wildcard, and never by repeating what was sent.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Literal

from attrs import evolve, frozen

from openbolt.errors import ConfigurationError, CrossOriginError, UnsupportedMediaTypeError
from openbolt.http import Answering, Handler, Headers, Request, Response
from openbolt.routing import Route
from openbolt.settings import LOOPBACK_HOSTS

__all__ = [
    "CORS_HEADERS",
    "CORS_METHODS",
    "only_hosts",
    "refuse_cross_site_writes",
    "refuse_forms",
    "with_cors",
    "without_forms",
]

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})

CORS_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
CORS_HEADERS = (
    "authorization",
    "content-type",
    "git-protocol",
    "if-match",
    "if-none-match",
    "last-event-id",
    "user-agent",  # set by clients of the AI SDK, where the browser lets them
    "x-challenge-response",
    "x-git-authorization",
    "x-request-id",
)
_EXPOSED_HEADERS = (
    "content-disposition",
    "etag",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "x-openbolt-chat",
    "x-openbolt-project",
    "x-request-id",
    "x-vercel-ai-ui-message-stream",
)
# Seconds for which a browser keeps what a preflight said; no browser keeps it for longer.
_MAX_AGE = 7200
# All that a form can send, and a script without asking first.
_FORM_TYPES = frozenset({"application/x-www-form-urlencoded", "multipart/form-data", "text/plain"})


@frozen
class _Authority:
    """A host and perhaps a port; IPv6 literals in brackets and in their shortest form."""

    host: str
    port: int | None

    # No user info, no percent-encoding, no trailing dot, no empty port: a browser sends none of
    # them, and where two programs read a name differently is where one of them is deceived.
    _FORM = re.compile(
        r"(?P<host>\[[0-9a-f:.]{2,45}\]|[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_])?)"
        r"(?::(?P<port>[0-9]{1,5}))?"
    )

    @classmethod
    def parse(cls, text: str) -> _Authority | None:
        found = cls._FORM.fullmatch(text.lower()) if text.isascii() else None
        if found is None:
            return None
        host, port = found["host"], found["port"]
        if host.startswith("["):
            try:
                host = f"[{ipaddress.IPv6Address(host[1:-1]).compressed}]"
            except ValueError:
                return None
        if port is not None and not 0 < int(port) < 65536:
            return None
        return cls(host, None if port is None else int(port))


_DEFAULT_PORTS = {"http": 80, "https": 443}
# Characters of what can be read as one; nothing longer is looked at, or kept in a cache.
_LONGEST_AUTHORITY = 259
_LONGEST_ORIGIN = len("https://") + _LONGEST_AUTHORITY

_Writer = Literal["own", "trusted", "other"]


def only_hosts(handler: Handler, /, allowed: Iterable[str] = LOOPBACK_HOSTS) -> Handler:
    """Answer only requests for known hosts, so that no other name can be pointed at this server.

    Args:
        handler: What to guard.
        allowed: ``name`` (any port), ``name:port``, ``*.name`` (every name below it, not itself),
            or ``*`` (every host: where something in front of the server checks it).

    Raises:
        ConfigurationError: When made: an entry is none of these.
        CrossOriginError: When called: the host is not listed, missing, malformed or given twice.
    """
    entries = tuple(allowed)
    if "*" in entries:
        return handler
    exact = {_entry(entry) for entry in entries if not entry.startswith("*.")}
    below = {_entry(entry[2:], entry) for entry in entries if entry.startswith("*.")}

    @lru_cache(maxsize=64)  # nearly all requests name the same host
    def is_known(named: str, scheme: str) -> bool:
        authority = _Authority.parse(named)
        if authority is None:
            return False
        port = authority.port or _DEFAULT_PORTS.get(scheme)
        for known in (_Authority(authority.host, None), _Authority(authority.host, port)):
            if known in exact:
                return True
        return any(
            authority.host.endswith("." + known.host) and known.port in {None, port}
            for known in below
        )

    def guarded(request: Request, /) -> Answering:
        named = request.headers.get_all("host")
        host = named[0] if len(named) == 1 else ""
        if len(host) > _LONGEST_AUTHORITY or not is_known(host, request.scheme):
            raise CrossOriginError(
                "This server doesn't answer for this host; its setting allowed_hosts lists those "
                "it does.",
                code="host_not_allowed",
            )
        return handler(request)

    return guarded


def _entry(text: str, written: str | None = None) -> _Authority:
    authority = _Authority.parse(text)
    if authority is None:
        raise ConfigurationError(
            f"allowed_hosts holds {written or text!r}: not a host, host:port, *.host or *.",
            setting="allowed_hosts",
        )
    return authority


@frozen
class _Origin:
    """Where a page comes from; its text is the one form that a browser compares it with."""

    scheme: str
    host: str
    port: int | None

    def __str__(self) -> str:
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}"

    @classmethod
    def of(cls, scheme: str, authority: str) -> _Origin | None:
        parsed = _Authority.parse(authority)
        if parsed is None:
            return None
        return cls(scheme, parsed.host, parsed.port or _DEFAULT_PORTS.get(scheme))

    @classmethod
    def parse(cls, text: str) -> _Origin | None:
        scheme, separator, authority = text.partition("://")
        scheme = scheme.lower()
        if not separator or scheme not in _DEFAULT_PORTS:
            return None
        return cls.of(scheme, authority)


def refuse_cross_site_writes(handler: Handler, /, trusted_origins: Iterable[str] = ()) -> Handler:
    """Let no other site's page write in a visitor's name, on loopback neither.

    Every method but GET, HEAD and OPTIONS is a write. One that a browser sends has
    ``Sec-Fetch-Site`` ``same-origin`` or ``none`` and an ``Origin`` equal to the request's own
    scheme and host, or an ``Origin`` that is trusted. One with neither header comes from a
    program, which no site can make send anything, and passes.

    Args:
        handler: What to guard.
        trusted_origins: ``scheme://host`` or ``scheme://host:port``. Behind a proxy that ends TLS
            without saying so, the public origin has to be among them.

    Raises:
        ConfigurationError: When made: an entry is not an origin.
        CrossOriginError: When called: the request is a cross-site write.
    """
    trusted = frozenset(_trusted(text) for text in trusted_origins)

    @lru_cache(maxsize=64)  # nearly all writes come from the same page
    def writer(origin: str, scheme: str, host: str) -> _Writer:
        parsed = _Origin.parse(origin)
        if parsed is None:
            return "other"
        if parsed in trusted:
            return "trusted"
        return "own" if parsed == _Origin.of(scheme, host) else "other"

    def guarded(request: Request, /) -> Answering:
        if request.method not in _SAFE_METHODS and not _is_own_write(request, writer):
            raise CrossOriginError(
                "Another site may not write here; the setting trusted_origins lists those that may."
            )
        return handler(request)

    return guarded


def _is_own_write(request: Request, writer: Callable[[str, str, str], _Writer]) -> bool:
    origins = request.headers.get_all("origin")
    sites = request.headers.get_all("sec-fetch-site")
    if len(origins) > 1 or len(sites) > 1:
        return False
    if origins:
        origin, host = origins[0], request.headers.get("host") or ""
        if len(origin) > _LONGEST_ORIGIN:
            return False
        match writer(origin, request.scheme, host if len(host) <= _LONGEST_AUTHORITY else ""):
            case "trusted":
                return True
            case "other":
                return False
            case "own":
                pass
    return not sites or sites[0].lower() in {"same-origin", "none"}


def _trusted(text: str) -> _Origin:
    origin = _Origin.parse(text)
    if origin is None:
        raise ConfigurationError(
            f"trusted_origins holds {text!r}, which is not an origin like https://app.example.",
            setting="trusted_origins",
        )
    return origin


def with_cors(
    handler: Handler,
    /,
    trusted_origins: Iterable[str] = (),
    *,
    methods: Iterable[str] = CORS_METHODS,
    headers: Iterable[str] = CORS_HEADERS,
) -> Handler:
    """Let pages of trusted origins read what they are answered, with cookies, and nobody else's.

    A preflight of theirs is answered here, so that it needs no sign-in. Responses that speak of
    CORS themselves (previews, which have no cookies) are left as they are.

    Args:
        handler: It answers its own errors (`answer_errors`), or a page couldn't read them.
        trusted_origins: As for `refuse_cross_site_writes`; without any, nothing changes.
        methods: What a page may send.
        headers: Fields that a page may set.

    Raises:
        ConfigurationError: When made: an entry is not an origin.
    """
    trusted = frozenset(_trusted(text) for text in trusted_origins)
    if not trusted:
        return handler
    preflight = {
        "access-control-allow-methods": ", ".join(methods),
        "access-control-allow-headers": ", ".join(headers),
        "access-control-max-age": str(_MAX_AGE),
    }
    exposed = {"access-control-expose-headers": ", ".join(_EXPOSED_HEADERS)}

    async def shared(request: Request, /) -> Response:
        origin = _origin_of(request)
        if origin not in trusted:
            return _varying(await handler(request))
        allowed = {
            "access-control-allow-origin": str(origin),
            "access-control-allow-credentials": "true",
        }
        if request.method == "OPTIONS" and "access-control-request-method" in request.headers:
            return _varying(Response(204, Headers.of({**allowed, **preflight})))
        response = _varying(await handler(request))
        if "access-control-allow-origin" in response.headers:
            return response
        return response.with_headers({**allowed, **exposed})

    return shared


def _origin_of(request: Request) -> _Origin | None:
    given = request.headers.get_all("origin")
    return _Origin.parse(given[0]) if len(given) == 1 else None


def _varying(response: Response) -> Response:
    """Let no cache answer one origin with what another was answered."""
    names = [*response.headers.get_all("vary"), "Origin"]
    return response.with_headers({"vary": ", ".join(names)})


def refuse_forms(handler: Handler, /) -> Handler:
    """Refuse what a form, or a script of any site without asking first, can send: such a content
    type is a 415, whether the route reads a body or not.
    """

    def typed(request: Request, /) -> Answering:
        for line in request.headers.get_all("content-type"):
            if line != "application/json" and _may_be_a_form(line):
                raise UnsupportedMediaTypeError("Send the body as application/json.")
        return handler(request)

    return typed


def _may_be_a_form(content_type: str) -> bool:
    types = [part.partition(";")[0].strip().lower() for part in content_type.split(",")]
    return not _FORM_TYPES.isdisjoint(types)


def without_forms(routes: Iterable[Route], /) -> list[Route]:
    """The same routes, where those for POST, PUT and PATCH refuse forms (`refuse_forms`)."""
    return [
        evolve(route, handler=refuse_forms(route.handler))
        if route.method in _BODY_METHODS
        else route
        for route in routes
    ]

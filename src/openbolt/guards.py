"""Guards: functions that wrap a handler in a handler, and hold for every route behind them.

Laws: a request that a guard refuses never reaches the handler; and every response has a request id
and security headers, errors included, so these two go outermost.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import math
import re
from collections.abc import Iterable

from attrs import frozen

from openbolt.errors import (
    ConfigurationError,
    CrossOriginError,
    MethodNotAllowedError,
    OpenBoltError,
    UnauthenticatedError,
)
from openbolt.http import Handler, Headers, Request, Response
from openbolt.protocols import TokenSource
from openbolt.settings import LOOPBACK_HOSTS

__all__ = [
    "LOOPBACK_HOSTS",
    "answer_errors",
    "error_response",
    "only_hosts",
    "refuse_cross_site_writes",
    "with_request_id",
    "with_security_headers",
]

_log = logging.getLogger("openbolt")

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_INTERNAL = "Something went wrong on the server."

_SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "strict-origin-when-cross-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": (
        "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), "
        "magnetometer=(), microphone=(), midi=(), payment=(), serial=(), usb=()"
    ),
}
# For whatever isn't a page of ours: data that a browser is made to open can load and run nothing.
_NO_PAGE_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-frame-options": "DENY",
}


def error_response(error: Exception, /, *, request_id: str = "") -> Response:
    """The response that an error becomes: a status and ``{"error": {...}}``.

    What isn't an `OpenBoltError`, and what is meant for whoever runs the server (a
    `ConfigurationError`), is a 500 that says nothing about itself.
    """
    if not isinstance(error, OpenBoltError) or isinstance(error, ConfigurationError):
        error = OpenBoltError(_INTERNAL)
    said = {"code": error.code, "message": error.public_message}
    where = getattr(error, "field", None)
    if where is not None:
        said["field"] = str(where)
    said["requestId"] = request_id
    headers = Headers.of(
        {
            "content-type": "application/json",
            "cache-control": "no-store",
            **_headers_of(error),
        }
    )
    return Response(error.status_hint, headers, json.dumps({"error": said}).encode())


def _headers_of(error: OpenBoltError) -> dict[str, str]:
    headers: dict[str, str] = {}
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None and math.isfinite(retry_after):
        headers["retry-after"] = str(max(0, math.ceil(retry_after)))
    if isinstance(error, MethodNotAllowedError):
        headers["allow"] = ", ".join(error.allowed)
    if isinstance(error, UnauthenticatedError) and error.challenge is not None:
        headers["www-authenticate"] = error.challenge
    return headers


def answer_errors(handler: Handler, /) -> Handler:
    """Turn every error of a handler into a response (`error_response`).

    What nobody foresaw is logged to ``openbolt`` with its traceback, a foreseen failure of our own
    (5xx) with its cause. Cancellation passes through. Paths are not logged: some are capabilities.
    """

    async def answered(request: Request, /) -> Response:
        try:
            return await handler(request)
        except Exception as error:
            _log_error(error, request)
            return error_response(error, request_id=request.context.request_id)

    return answered


def _log_error(error: Exception, request: Request) -> None:
    request_id = request.context.request_id
    if not isinstance(error, OpenBoltError) or isinstance(error, ConfigurationError):
        _log.error("%s request %s failed", request.method, request_id, exc_info=error)
    elif error.status_hint >= 500:
        cause = error if error.__cause__ is not None else None
        _log.warning(
            "%s request %s: %s: %s", request.method, request_id, error.code, error, exc_info=cause
        )
    elif error.detail:
        _log.info("%s request %s: %s: %s", request.method, request_id, error.code, error)


def with_request_id(handler: Handler, /, tokens: TokenSource) -> Handler:
    """Give every request an id, in its context and on its response as ``x-request-id``.

    An id that comes in is kept if it is 1 to 64 of ``A-Z a-z 0-9 . _ -``.
    """

    async def identified(request: Request, /) -> Response:
        given = request.headers.get("x-request-id") or ""
        request_id = given if _REQUEST_ID.fullmatch(given) else tokens.token()
        response = await handler(request.with_context(request_id=request_id))
        return response.with_headers({"x-request-id": request_id})

    return identified


def with_security_headers(handler: Handler, /) -> Handler:
    """Add security headers to every response, where the handler has not set them itself.

    A response without a Content-Security-Policy of its own gets one under which nothing loads,
    runs or is framed: a page has to say what it needs, and then decides about frames, too.
    """

    async def secured(request: Request, /) -> Response:
        response = await handler(request)
        headers = response.headers.with_defaults(_SECURITY_HEADERS)
        if "content-security-policy" not in headers:
            headers = headers.with_defaults(_NO_PAGE_HEADERS)
        return Response(response.status, headers, response.body)

    return secured


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

    def is_known(authority: _Authority, scheme: str) -> bool:
        port = authority.port or _DEFAULT_PORTS.get(scheme)
        for known in (_Authority(authority.host, None), _Authority(authority.host, port)):
            if known in exact:
                return True
        return any(
            authority.host.endswith("." + known.host) and known.port in {None, port}
            for known in below
        )

    async def guarded(request: Request, /) -> Response:
        named = request.headers.get_all("host")
        authority = _Authority.parse(named[0]) if len(named) == 1 else None
        if authority is None or not is_known(authority, request.scheme):
            raise CrossOriginError(
                "This server doesn't answer for this host; its setting allowed_hosts lists those "
                "it does.",
                code="host_not_allowed",
            )
        return await handler(request)

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
    scheme: str
    host: str
    port: int | None

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

    async def guarded(request: Request, /) -> Response:
        if request.method not in _SAFE_METHODS and not _is_own_write(request, trusted):
            raise CrossOriginError(
                "Another site may not write here; the setting trusted_origins lists those that may."
            )
        return await handler(request)

    return guarded


def _is_own_write(request: Request, trusted: frozenset[_Origin]) -> bool:
    origins = request.headers.get_all("origin")
    sites = request.headers.get_all("sec-fetch-site")
    if len(origins) > 1 or len(sites) > 1:
        return False
    if origins:
        origin = _Origin.parse(origins[0])
        if origin is None:
            return False
        if origin in trusted:
            return True
        if origin != _Origin.of(request.scheme, request.headers.get("host") or ""):
            return False
    return not sites or sites[0].lower() in {"same-origin", "none"}


def _trusted(text: str) -> _Origin:
    origin = _Origin.parse(text)
    if origin is None:
        raise ConfigurationError(
            f"trusted_origins holds {text!r}, which is not an origin like https://app.example.",
            setting="trusted_origins",
        )
    return origin

"""Guards: functions that wrap a handler in a handler, and hold for every route behind them.

Laws: a request that a guard refuses never reaches the handler; and every response has a request id
and security headers, errors included, so these two go outermost. (Those that look at hosts and
origins are made in `openbolt.origins`.)

A guard that only looks at the request is no coroutine: it refuses when it is called, or gives the
handler's own coroutine back. All that a request waits for is waited for through every coroutine
around it, so these are few.
"""

from __future__ import annotations

import json
import logging
import math
import re

from openbolt.errors import (
    ConfigurationError,
    MethodNotAllowedError,
    OpenBoltError,
    UnauthenticatedError,
)
from openbolt.http import Handler, Headers, Request, Response
from openbolt.origins import only_hosts, refuse_cross_site_writes, with_cors, without_forms
from openbolt.protocols import TokenSource
from openbolt.settings import LOOPBACK_HOSTS

__all__ = [
    "LOOPBACK_HOSTS",
    "answer_errors",
    "answer_to",
    "error_response",
    "only_hosts",
    "outermost",
    "refuse_cross_site_writes",
    "with_cors",
    "with_request_id",
    "with_security_headers",
    "without_forms",
]

_log = logging.getLogger("openbolt")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_INTERNAL = "Something went wrong on the server."

_SECURITY = {
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
_NO_PAGE = {
    "content-security-policy": (
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-frame-options": "DENY",
}
_PAGE_HEADERS = Headers.of(_SECURITY)
_DATA_HEADERS = Headers.of({**_SECURITY, **_NO_PAGE})


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
            return answer_to(error, request)

    return answered


def answer_to(error: Exception, request: Request, /) -> Response:
    """What `answer_errors` does with an error: it is logged, and becomes a response."""
    request_id = request.context.request_id
    _log_error(error, request, request_id)
    return error_response(error, request_id=request_id)


def _log_error(error: Exception, request: Request, request_id: str) -> None:
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
        request_id = _id_of(request, tokens)
        response = await handler(request.with_context(request_id=request_id))
        return response.with_headers({"x-request-id": request_id})

    return identified


def _id_of(request: Request, tokens: TokenSource) -> str:
    given = request.headers.get("x-request-id")
    return given if given and _REQUEST_ID.fullmatch(given) else tokens.token()


def with_security_headers(handler: Handler, /) -> Handler:
    """Add security headers to every response, where the handler has not set them itself.

    A response without a Content-Security-Policy of its own gets one under which nothing loads,
    runs or is framed: a page has to say what it needs, and then decides about frames, too.
    """

    async def secured(request: Request, /) -> Response:
        response = await handler(request)
        return Response(response.status, _secured(response.headers), response.body)

    return secured


def _secured(headers: Headers) -> Headers:
    is_page = "content-security-policy" in headers
    return headers.with_defaults(_PAGE_HEADERS if is_page else _DATA_HEADERS)


def outermost(handler: Handler, /, tokens: TokenSource) -> Handler:
    """`with_request_id` around `with_security_headers` around `answer_errors`, in one step."""

    async def answered(request: Request, /) -> Response:
        request_id = _id_of(request, tokens)
        request = request.with_context(request_id=request_id)
        try:
            response = await handler(request)
        except Exception as error:
            response = answer_to(error, request)
        headers = _secured(response.headers.with_({"x-request-id": request_id}))
        return Response(response.status, headers, response.body)

    return answered

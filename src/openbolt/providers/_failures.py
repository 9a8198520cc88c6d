"""What a Messages API says when it refuses, as errors of openbolt's own tree.

Law: pure, and one mapping for every transport. What the upstream said travels in ``detail``, cut
to 500 characters and without the key; the public message is ours. Source: the API's "Errors" page.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from math import isfinite
from typing import cast

from openbolt.errors import (
    OwnKeyRefusedError,
    UpstreamError,
    UpstreamOverloadedError,
    UpstreamRateLimitedError,
    UpstreamTimeoutError,
)
from openbolt.http import Headers
from openbolt.jsons import parse_json

__all__ = [
    "MAX_DETAIL",
    "broken_off",
    "event_failure",
    "redacted",
    "refused_connection",
    "retry_after_of",
    "status_failure",
    "timed_out",
    "unreadable",
]

MAX_DETAIL = 500

_STATUS_OF_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_MESSAGES = {
    402: "The model provider's account is out of credit.",
    404: "The model provider doesn't know the model or the address.",
    413: "The conversation is too large for the model provider.",
}
_OWN_KEY_REFUSED = (
    "The model provider refused your own API key; replace it or remove it in the settings."
)
_OWN_CREDIT = "Your own account with the model provider is out of credit."


def status_failure(
    status: int,
    headers: Headers,
    body: bytes,
    /,
    *,
    secret: str | None = None,
    own_key: bool = False,
) -> UpstreamError:
    """The error for a response that is not 200.

    Args:
        status: The response's status.
        headers: The response's headers.
        body: The response's body, or its beginning.
        secret: The key that was sent; it is cut out of what the upstream said.
        own_key: The key is the user's, not the operator's.
    """
    kind, said = _error_of(body)
    if kind in {"overloaded_error", "rate_limit_error"}:
        status = _STATUS_OF_TYPE[kind]
    detail = redacted(f"status {status}: {said}" if said else f"status {status}", secret)
    return _failure(status, detail, retry_after=retry_after_of(headers), own_key=own_key)


def event_failure(kind: str, said: str, /, *, own_key: bool = False) -> UpstreamError:
    """The error for an ``error`` event in mid-stream; ``status`` is the one its type stands for."""
    return _failure(_STATUS_OF_TYPE.get(kind), f"{kind}: {said}", own_key=own_key)


def _failure(
    status: int | None, detail: str, *, retry_after: float | None = None, own_key: bool = False
) -> UpstreamError:
    if status in {401, 403}:
        if own_key:
            return OwnKeyRefusedError(_OWN_KEY_REFUSED, status=status, detail=detail)
        refused = "The model provider refused the server's credentials."
        return UpstreamError(refused, status=status, detail=detail)
    if status == 402 and own_key:
        return UpstreamError(_OWN_CREDIT, status=status, detail=detail)
    if status == 429:
        return UpstreamRateLimitedError(
            "The model provider's rate limit is reached.", retry_after=retry_after, detail=detail
        )
    if status in {503, 529}:
        return UpstreamOverloadedError(
            "The model provider is overloaded.", status=status, retryable=True, detail=detail
        )
    if status in {408, 504}:
        return UpstreamTimeoutError(
            "The model provider took too long.", status=status, retryable=True, detail=detail
        )
    if status is None or status >= 500 or status == 409:
        return UpstreamError(
            "The model provider failed.",
            status=status,
            retryable=status is not None,
            detail=detail,
        )
    message = _MESSAGES.get(status, "The model provider refused the request.")
    return UpstreamError(message, status=status, detail=detail)


def timed_out(detail: str, /) -> UpstreamTimeoutError:
    """The provider was silent for longer than it may be."""
    return UpstreamTimeoutError("The model provider took too long.", retryable=True, detail=detail)


def refused_connection(detail: str, /) -> UpstreamError:
    """No answer came at all."""
    return UpstreamError("The model provider can't be reached.", retryable=True, detail=detail)


def broken_off(detail: str, /) -> UpstreamError:
    """The reply ended before it was whole."""
    return UpstreamError("The model provider's reply broke off.", retryable=True, detail=detail)


def unreadable(detail: str, /) -> UpstreamError:
    """The reply is not what the API promises."""
    return UpstreamError("The model provider's reply can't be read.", detail=detail)


def redacted(text: str, secret: str | None, /) -> str:
    """``text`` without the secret, cut to `MAX_DETAIL` characters."""
    return (text.replace(secret, "[redacted]") if secret else text)[:MAX_DETAIL]


def retry_after_of(headers: Headers, /) -> float | None:
    """Seconds to wait: ``retry-after-ms``, or ``retry-after`` as seconds or as a date.

    A date is measured from the response's own ``date``, so no clock is needed.
    """
    milliseconds = _seconds(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _seconds(value)
    if seconds is not None or value is None:
        return seconds
    try:
        until = parsedate_to_datetime(value)
        return max((until - parsedate_to_datetime(headers.get("date") or "")).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None


def _seconds(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if isfinite(number) and number >= 0 else None


def _error_of(body: bytes) -> tuple[str, str]:
    text = body.decode("utf-8", "replace").strip()
    try:
        parsed: object = parse_json(text)
    except (ValueError, RecursionError):
        return "", text
    error = cast("dict[str, object]", parsed).get("error") if isinstance(parsed, dict) else None
    if not isinstance(error, dict):
        return "", text
    fields = cast("dict[str, object]", error)
    kind, said = fields.get("type"), fields.get("message")
    if not isinstance(kind, str) or not isinstance(said, str):
        return "", text
    return kind, f"{kind}: {said}"

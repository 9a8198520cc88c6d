"""What GitHub's OAuth and OpenID Connect share: requests, and what answers are taken for.

Law: an answer is believed field by field. What is missing, of another kind, or too long to store is
an `UpstreamError` or left out, never passed on; and no error repeats a body, since bodies hold
tokens.
"""

from __future__ import annotations

import math
import re
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

from openbolt.auth.identity import Answer, Grant
from openbolt.errors import ConfigurationError, UpstreamError, UpstreamRateLimitedError
from openbolt.http import Headers
from openbolt.protocols import OutboundRequest, Timeouts
from openbolt.settings import LOOPBACK_HOSTS

__all__ = [
    "basic",
    "check_id",
    "checked_base_url",
    "failure",
    "form_post",
    "get",
    "grant_of",
    "is_loopback_url",
    "line",
    "object_of",
    "person_picture",
]

# Somebody is looking at an empty page meanwhile.
_TIMEOUTS = Timeouts(connect=5.0, first_byte=15.0, idle=15.0)
_AGENT = {"user-agent": "openbolt"}
_ID = re.compile(r"[a-z0-9]{1,32}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_MAX_TOKEN_CHARS = 16_384
_MAX_LIFETIME = 10 * 366 * 86_400.0  # seconds; what is said beyond is no lifetime


def get(url: str, /, *, token: str | None = None, **headers: str) -> OutboundRequest:
    """A ``GET`` of JSON, with a bearer token where one is given."""
    named = {"accept": "application/json", **_AGENT}
    if token is not None:
        named["authorization"] = f"Bearer {token}"
    return OutboundRequest(
        "GET", url, Headers.of(named).with_(_dashed(headers)), timeouts=_TIMEOUTS
    )


def form_post(url: str, fields: Mapping[str, str], /, **headers: str) -> OutboundRequest:
    """A ``POST`` of a form, for JSON."""
    named = {
        "accept": "application/json",
        "content-type": "application/x-www-form-urlencoded",
        **_AGENT,
    }
    return OutboundRequest(
        "POST",
        url,
        Headers.of(named).with_(_dashed(headers)),
        urlencode(fields).encode("ascii"),
        timeouts=_TIMEOUTS,
    )


def _dashed(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def basic(user: str, password: str, /) -> str:
    """An ``Authorization`` value (RFC 7617)."""
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode("ascii")


def failure(answer: Answer, what: str, /) -> UpstreamError:
    """What an answer that isn't the one hoped for means.

    Args:
        what: For the log, as "GitHub's user".
    """
    retry_after = _seconds(answer.headers.get("retry-after"))
    spent = answer.headers.get("x-ratelimit-remaining") == "0"
    detail = f"{what}: HTTP {answer.status}"
    if answer.status == 429 or (answer.status == 403 and (spent or retry_after is not None)):
        return UpstreamRateLimitedError(
            "The identity provider takes no more sign-ins for a while. Try again later.",
            retry_after=retry_after,
            status=answer.status,
            detail=detail,
        )
    return UpstreamError(
        "The identity provider couldn't complete the sign-in. Try again later.",
        status=answer.status,
        retryable=answer.status >= 500,
        detail=detail,
    )


def object_of(answer: Answer, what: str, /) -> dict[str, Any]:
    """The JSON object of a successful answer.

    Raises:
        UpstreamError: Its status isn't 200, or its body is something else.
    """
    if answer.status != 200:
        raise failure(answer, what)
    data = answer.json()
    if not isinstance(data, dict):
        raise UpstreamError(
            "The identity provider answered with something unexpected.", detail=what
        )
    return cast("dict[str, Any]", data)


def line(value: object, limit: int = 200, /) -> str:
    """Text of one line; empty where the value isn't that, or is over the limit."""
    if not isinstance(value, str) or len(value) > limit or _CONTROL.search(value):
        return ""
    return value.strip()


def person_picture(value: object, /) -> str:
    """The address of a picture that a page may load: an https URL, else empty."""
    url = line(value, 2000)
    return url if url.startswith("https://") and url.isascii() and " " not in url else ""


def grant_of(data: Mapping[str, Any], /, *, now: float, before: Grant | None = None) -> Grant:
    """The tokens of a token endpoint's answer (RFC 6749, 5.1).

    Args:
        before: What was refreshed: its refresh token and scopes stay where no others came.

    Raises:
        UpstreamError: There is no bearer token in it.
    """
    token = _token(data.get("access_token"))
    if token is None or str(data.get("token_type", "")).lower() != "bearer":
        raise UpstreamError(
            "The identity provider gave no token.", detail="no access_token of type bearer"
        )
    refresh_token = _token(data.get("refresh_token"))
    refresh_expires_at = _at(data.get("refresh_token_expires_in"), now)
    scopes = tuple(re.split(r"[ ,]+", line(data.get("scope"), 2000)))
    if before is not None:
        if refresh_token is None:
            refresh_token, refresh_expires_at = before.refresh_token, before.refresh_expires_at
        if scopes == ("",):
            scopes = before.scopes
    return Grant(
        token,
        _at(data.get("expires_in"), now),
        refresh_token,
        refresh_expires_at,
        tuple(scope for scope in scopes if scope),
    )


def _token(value: object) -> str | None:
    # Printable ASCII: it goes into a header.
    if isinstance(value, str) and 0 < len(value) <= _MAX_TOKEN_CHARS and value.isascii():
        return value if value.isprintable() and " " not in value else None
    return None


def _at(lifetime: object, now: float) -> float | None:
    seconds = _seconds(str(lifetime)) if isinstance(lifetime, (int, str)) else lifetime
    if not isinstance(seconds, float) or not math.isfinite(seconds):
        return None
    return now + seconds if 0 <= seconds <= _MAX_LIFETIME else None


def _seconds(text: str | None) -> float | None:
    if text is not None and text.isascii() and text.isdigit() and len(text) <= 12:
        return float(text)
    return None


def is_loopback_url(url: str, /) -> bool:
    """Whether only this machine answers there."""
    host = urlsplit(url).hostname or ""
    return (f"[{host}]" if ":" in host else host) in LOOPBACK_HOSTS


def checked_base_url(url: str, /, *, setting: str) -> str:
    """An identity provider's address, which has to be https, or http on loopback.

    Raises:
        ConfigurationError: It isn't, or has more than a scheme, a host and a path.
    """
    try:
        parts = urlsplit(url)
        secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback_url(url))
        fine = secure and parts.hostname and parts.port != 0
    except ValueError:
        fine = False
    if not fine or not re.fullmatch(r"[!-~]+", url) or re.search(r"[@?#\\]", url):
        raise ConfigurationError(
            f"{setting} must be an https URL without user, query or fragment (http on loopback "
            f"only); set OPENBOLT_{setting.upper()}.",
            setting=setting,
        )
    return url


def check_id(_: object, __: object, text: str) -> None:
    """An identity provider's id, as a validator of attrs.

    Raises:
        ConfigurationError: It isn't 1 to 32 lower-case letters and digits.
    """
    if not _ID.fullmatch(text):
        raise ConfigurationError(
            f"An identity provider's id is 1 to 32 lower-case letters and digits, not {text!r}."
        )

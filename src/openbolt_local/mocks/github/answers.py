"""Answers as values, so that faults can be made of them before they go out.

The law: an error has the body that GitHub gives it, in the form that was asked for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from urllib.parse import parse_qsl, urlencode

from attrs import field, frozen

from openbolt_local.mocks.connection import ReceivedRequest
from openbolt_local.mocks.github.grants import TokenRefusedError

JSON = "application/json; charset=utf-8"
HTML = "text/html; charset=utf-8"
_FORM = "application/x-www-form-urlencoded; charset=utf-8"
_XML = "application/xml; charset=utf-8"
_NOT_KEPT = {"cache-control": "no-store", "pragma": "no-cache"}


@frozen
class Answer:
    """One response."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)

    def with_headers(self, headers: Mapping[str, str]) -> Answer:
        """The same with these headers, where it has none of the name."""
        return Answer(self.status, {**headers, **self.headers}, self.body)


class ApiRefusedError(Exception):
    """The API says no."""

    def __init__(
        self,
        status: int,
        message: str,
        documentation: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.answer = json_answer(
            status,
            {
                "message": message,
                "documentation_url": f"https://docs.github.com/rest{documentation}",
                "status": str(status),
            },
            headers,
        )


def json_answer(status: int, value: object, headers: Mapping[str, str] | None = None, /) -> Answer:
    """A JSON body."""
    body = json.dumps(value, separators=(",", ":")).encode()
    return Answer(status, {"content-type": JSON, **(headers or {})}, body)


def token_answer(fields: Mapping[str, str | int], accept: str, *, status: int = 200) -> Answer:
    """What the token endpoint says: form-encoded, or JSON or XML where ``Accept`` asks for it.

    https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps#2-users-are-redirected-back-to-your-site-by-github
    """
    if "application/json" in accept:
        return json_answer(status, dict(fields), _NOT_KEPT)
    if "application/xml" in accept:
        inner = "".join(f"<{name}>{escape(str(fields[name]))}</{name}>" for name in fields)
        return Answer(
            status, {"content-type": _XML, **_NOT_KEPT}, f"<OAuth>{inner}</OAuth>".encode()
        )
    return Answer(status, {"content-type": _FORM, **_NOT_KEPT}, urlencode(fields).encode())


def token_error(error: TokenRefusedError, accept: str) -> Answer:
    """The token endpoint's way to say no."""
    fields = {
        "error": error.error,
        "error_description": error.description,
        "error_uri": error.uri,
    }
    return token_answer(fields, accept, status=error.status)


def single_fields(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Parameters by name; empty ones count as absent (RFC 6749, 3.1 and 3.2).

    Raises:
        ValueError: One comes twice.
    """
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a parameter comes more than once")
    return {name: value for name, value in fields.items() if value}


def body_fields(request: ReceivedRequest) -> dict[str, str]:
    """The parameters of a form or of a JSON object; those of anything else are none.

    Raises:
        ValueError: One comes twice, or the body is no such thing.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        return single_fields(
            [(name, value) for name, value in request.json.items() if isinstance(value, str)]
        )
    if kind == "application/x-www-form-urlencoded":
        text = request.body.decode("utf-8")
        return single_fields(parse_qsl(text, keep_blank_values=True))
    return {}

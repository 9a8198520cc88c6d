"""Where a redirect leads, and what goes along (RFC 9110, section 15.4; the Fetch standard).

Law: credentials never leave the origin that they were meant for, nor come back to it on a detour.
Pure: a request and an answer in, the next request out. Whether it may be sent is decided where
every request is decided on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from attrs import evolve

from openbolt.errors import UpstreamError
from openbolt.http import Headers
from openbolt.protocols import OutboundRequest, OutboundResponse
from openbolt.proxy.refusals import refusal
from openbolt.proxy.targets import Target

__all__ = ["redirected"]

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OF_THE_BODY = frozenset(
    {
        "content-encoding",
        "content-language",
        "content-length",
        "content-location",
        "content-type",
        "digest",
        "content-digest",
        "expect",
        "trailer",
        "transfer-encoding",
    }
)
_OF_THE_ORIGIN = frozenset({"authorization", "cookie", "origin", "proxy-authorization", "referer"})
# Names that programs give to what only one server may see: X-Api-Key, Private-Token, ...
_SECRET = re.compile(r"auth|cookie|credential|key|passw|secret|session|signature|token")


def redirected(
    request: OutboundRequest, response: OutboundResponse, /, *, secret: Iterable[str] = ()
) -> OutboundRequest | None:
    """The request that a redirect asks for; None if the answer is none.

    Args:
        secret: Header fields that stay with their origin, beside those whose name says it.

    Raises:
        TargetRefusedError: Its ``Location`` can't be read, or leads from https to http.
        UpstreamError: It has more than one, or asks for a body again that was a stream.
    """
    locations = response.headers.get_all("location")
    if response.status not in _REDIRECTS or not locations:
        return None
    here = Target.parse(request.url)
    location, *others = locations
    if others:
        raise UpstreamError(f"{here.host} redirects to more than one place.")
    there = here.join(_decoded(location))
    if (here.scheme, there.scheme) == ("https", "http"):
        raise refusal("downgrade", f"{here.authority} to {there.authority}")
    following = _without_body(request) if _becomes_get(request, response) else request
    if not isinstance(following.body, bytes):
        raise UpstreamError(f"{here.host} asks for the body again, which is gone.")
    headers = following.headers
    if here.origin != there.origin:
        marked = {name.lower() for name in secret} | _OF_THE_ORIGIN
        headers = Headers(
            (name, value)
            for name, value in headers.items
            if name not in marked and not _SECRET.search(name)
        )
    return evolve(following, url=there.url, headers=headers)


def _becomes_get(request: OutboundRequest, response: OutboundResponse) -> bool:
    if response.status == 303:
        return request.method not in {"GET", "HEAD"}
    return response.status in {301, 302} and request.method == "POST"


def _without_body(request: OutboundRequest) -> OutboundRequest:
    kept = Headers(
        (name, value) for name, value in request.headers.items if name not in _OF_THE_BODY
    )
    return evolve(request, method="GET", headers=kept, body=b"")


def _decoded(location: str) -> str:
    """Header fields come as Latin-1; what a server means by other bytes is UTF-8."""
    try:
        return location.encode("latin-1").decode("utf-8")
    except UnicodeError:
        raise refusal("malformed", "it holds bytes that are no text") from None

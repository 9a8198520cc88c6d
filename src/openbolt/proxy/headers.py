"""What of a message's head crosses the proxy, either way; pure.

Laws: a field crosses because a list names it, and never one that belongs to a connection, that a
``Connection`` field names, or that tells of proxies (RFC 9110, section 7.6). A head that two
servers could read differently is refused. Nothing that comes back can run as our origin or be kept
for another user.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from openbolt.errors import InvalidRequestError, NotSupportedError, UpstreamError
from openbolt.http import Headers
from openbolt.protocols import OutboundResponse
from openbolt.proxy.fields import HOP_BY_HOP
from openbolt.proxy.upstreams import Upstream, is_never

__all__ = [
    "VIA",
    "LoopError",
    "check_answer",
    "check_framing",
    "content_length",
    "is_inert",
    "passed_back",
    "passed_on",
]

VIA = "1.1 openbolt"

_OURS = re.compile(
    r"(?:^|,)[ \t]*[^ \t,]+[ \t]+openbolt[ \t]*(?:\([^)]*\)[ \t]*)?(?=,|$)", re.IGNORECASE
)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_LENGTH = re.compile(r"[0-9]{1,18}")
_DIRECTIVE = re.compile(r'[^",]*(?:"(?:[^"\\]|\\.)*"[^",]*)*')
_FOR_ALL = frozenset({"public", "private", "s-maxage", "proxy-revalidate", ""})

# Nothing of these runs when a browser opens it: what isn't listed is only offered for download.
_INERT = re.compile(
    r"application/(?:[a-z0-9.+-]+\+json|json|json-seq|jsonl|x-ndjson|octet-stream|zip|gzip|protobuf"
    r"|msgpack|cbor)"
    r"|text/(?:plain|csv|event-stream|tab-separated-values)"
    r"|image/(?:png|jpeg|gif|webp|avif|bmp|x-icon|vnd\.microsoft\.icon|tiff)"
    r"|(?:audio|video)/[a-z0-9.+-]+"
    r"|font/[a-z0-9.+-]+"
)
_SANDBOX = (
    "sandbox; default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class LoopError(UpstreamError):
    """A request came back to a proxy that had forwarded it (508, RFC 5842)."""

    code = "proxy_loop"
    status_hint = 508


def check_framing(headers: Headers, /) -> None:
    """Refuse a request's head that servers could read differently, or that asks for a protocol.

    Raises:
        InvalidRequestError: Two lengths, a length beside a transfer coding, an unknown coding, a
            control character in a value.
        NotSupportedError: An ``Upgrade`` (``h2c`` is ignored, as RFC 9110 allows).
        LoopError: It has been through here.
    """
    lengths, codings = headers.get_all("content-length"), headers.get_all("transfer-encoding")
    if len(lengths) > 1 or (lengths and not _LENGTH.fullmatch(lengths[0])):
        raise _malformed("content-length")
    if codings and (lengths or [c.strip().lower() for c in codings] != ["chunked"]):
        raise _malformed("transfer-encoding")
    for name, value in headers.items:
        if _CONTROL.search(value):
            raise _malformed(name[:64])
    wanted = ", ".join(headers.get_all("upgrade")).strip().lower()
    if wanted not in {"", "h2c"}:
        raise NotSupportedError("Other protocols (WebSocket) can't be proxied.")
    if any(_OURS.search(value) for value in headers.get_all("via")):
        raise LoopError("The request came back to the proxy that had forwarded it.")


def _malformed(name: str) -> InvalidRequestError:
    return InvalidRequestError(f"The header field {name} is malformed.", code="malformed_request")


def content_length(headers: Headers, /) -> int | None:
    """The declared length of a body whose head passed `check_framing`."""
    declared = headers.get("content-length")
    return None if declared is None else int(declared)


def passed_on(headers: Headers, upstream: Upstream, secrets: Mapping[str, str], /) -> Headers:
    """A request's fields as the upstream gets them.

    Args:
        secrets: Whole values, by field; what the client sent in these is dropped.
    """
    own = {"user-agent": "openbolt", **_lowered(upstream.set_headers), **secrets}
    # To a CGI program `x-api-key` and `x_api_key` are one field.
    taken = {name.replace("_", "-") for name in own}
    allowed = set(upstream.request_headers) - _named_by_connection(headers)
    kept = [
        (name, value)
        for name, value in headers.items
        if name in allowed and name.replace("_", "-") not in taken
    ]
    if any(injection.header or injection.query for injection in upstream.secrets):
        # What is packed can't be searched for the secret.
        kept = [pair for pair in kept if pair[0] != "accept-encoding"]
    return Headers([*kept, *own.items(), ("via", VIA)])


def _lowered(mapping: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in mapping.items()}


def _named_by_connection(headers: Headers) -> set[str]:
    lines = ",".join(headers.get_all("connection"))
    return {name.strip().lower() for name in lines.split(",")}


def check_answer(answer: OutboundResponse, /) -> None:
    """Refuse an answer's head whose body servers could end in different places.

    Raises:
        UpstreamError: Two lengths, a length beside a transfer coding, or a control character.
    """
    headers = answer.headers
    lengths = headers.get_all("content-length")
    if (
        len(set(lengths)) > 1
        or (lengths and not _LENGTH.fullmatch(lengths[0]))
        or (lengths and "transfer-encoding" in headers)
        or any(_CONTROL.search(name + value) for name, value in headers.items)
    ):
        raise UpstreamError("The upstream's answer is malformed.", detail="its framing")


def passed_back(
    headers: Headers,
    upstream: Upstream,
    /,
    *,
    length: int | None,
    secrets: Iterable[str] = (),
) -> Headers:
    """An answer's fields as the client gets them.

    Args:
        length: Of the body as it is sent on; None: not known, or there is none to tell of.
        secrets: A field that holds one of these is dropped.
    """
    hidden = tuple(secret for secret in secrets if secret)
    allowed = set(upstream.response_headers) - _named_by_connection(headers)
    kept = [
        (name, value)
        for name, value in headers.items
        if name in allowed
        and name not in {"cache-control", "vary", "content-type"}
        and not is_never(name, HOP_BY_HOP)
        and not any(secret in value for secret in hidden)
    ]
    kind = headers.get("content-type") or "application/octet-stream"
    if any(secret in kind for secret in hidden):
        kind = "application/octet-stream"
    fields = [
        *kept,
        ("content-type", kind),
        ("cache-control", _for_one_user(headers, allowed=allowed)),
        ("vary", ", ".join([*_varies(headers, allowed=allowed), "Authorization", "Cookie"])),
        ("content-security-policy", _SANDBOX),
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("via", VIA),
    ]
    if not is_inert(kind):
        fields.append(("content-disposition", "attachment"))
    if length is not None:
        fields.append(("content-length", str(length)))
    return Headers(fields)


def is_inert(content_type: str, /) -> bool:
    """Whether a browser that opens such a body runs nothing of it."""
    kind, _, parameters = content_type.partition(";")
    # A second type behind a comma is the one that a browser takes.
    return "," not in parameters and _INERT.fullmatch(kind.strip().lower()) is not None


def _for_one_user(headers: Headers, *, allowed: set[str]) -> str:
    lines = ", ".join(headers.get_all("cache-control")) if "cache-control" in allowed else ""
    directives = [part.strip() for part in _DIRECTIVE.findall(lines)]
    kept = [each for each in directives if each.partition("=")[0].strip().lower() not in _FOR_ALL]
    if not kept and "expires" not in headers:
        kept = ["no-cache"]
    return ", ".join(["private", *kept])


def _varies(headers: Headers, *, allowed: set[str]) -> list[str]:
    lines = ",".join(headers.get_all("vary")) if "vary" in allowed else ""
    names = [name.strip() for name in lines.split(",")]
    return [name for name in names if name and name.lower() not in {"authorization", "cookie"}]

"""A user's URL, read as a browser reads it (WHATWG URL), and written so that nobody reads it twice.

Law: text that a browser, httpx and aiohttp may read differently is refused rather than guessed:
user names, backslashes, white space, percent-encoded hosts, missing slashes. What is accepted goes
on in one canonical spelling (`Target.url`) that all of them read alike, so the host that was
checked is the host that is asked. Pure: no look-up happens here.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from attrs import evolve, frozen

from openbolt.proxy.addresses import Address
from openbolt.proxy.names import Host, parse_host
from openbolt.proxy.refusals import refusal

__all__ = ["MAX_URL_CHARS", "Target", "parse_authority"]

MAX_URL_CHARS = 8192
"""Longer ones are refused by servers, too (RFC 9110 asks for 8,000 at least)."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_SHAPE = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#]*)(?P<rest>[^#]*)", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?P<host>\[[^\[\]@]*\]|[^\[\]@:]+)(?::(?P<port>[0-9]*))?")
# Controls, every kind of space (a browser drops some of them in silence), lone surrogates.
_UNWRITTEN = re.compile(r"[\s\x00-\x20\x7f-\x9f\u180e\ud800-\udfff\ufeff]")
_DOT = re.compile(r"(?:\.|%2e)", re.IGNORECASE)
_DOTS = re.compile(r"(?:\.|%2e){2}", re.IGNORECASE)

# What a browser leaves as it is in a path and in a query; `quote` adds letters, digits and _.-~
_IN_PATH = "%!$&'()*+,/:;=@|[]"
_IN_QUERY = "%!$&()*+,/:;=@|[]?^`{}"


@frozen
class Target:
    """A URL that can be read without doubt.

    Attributes:
        scheme: ``http`` or ``https``.
        host: Lower-case ASCII without a trailing dot; an IPv6 address without brackets.
        path: Path and query, starting with ``/``.
        address: The host, where it is an address.
    """

    scheme: str
    host: str
    port: int
    path: str = "/"
    address: Address | None = None

    @classmethod
    def parse(cls, text: str, /) -> Target:
        """Read an absolute URL; a fragment is dropped.

        Raises:
            TargetRefusedError: It isn't one, or is one that is read differently elsewhere.
        """
        _check_text(text)
        found = _SHAPE.match(text)
        if found is None:
            named = _SCHEME.match(text)
            if named is not None and named[0].lower() not in {"http:", "https:"}:
                raise refusal("scheme", "another scheme than http and https")
            raise refusal("malformed", "it doesn't start with http:// or https://")
        scheme = found["scheme"].lower()
        host, port = parse_authority(found["authority"])
        return cls(
            scheme,
            host.text,
            port if port is not None else _DEFAULT_PORTS[scheme],
            _canonical(found["rest"]),
            host.address,
        )

    @property
    def authority(self) -> str:
        """Host and port as ``Host`` has them: no default port, IPv6 in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme and authority."""
        return f"{self.scheme}://{self.authority}"

    @property
    def url(self) -> str:
        """The canonical spelling."""
        return self.origin + self.path

    def join(self, reference: str, /) -> Target:
        """Read a redirect's ``Location`` as seen from here.

        Raises:
            TargetRefusedError: As `parse`.
        """
        _check_text(reference)
        if _SCHEME.match(reference):
            return Target.parse(reference)
        if reference.startswith("//"):
            return Target.parse(f"{self.scheme}:{reference}")
        reference = reference.partition("#")[0]
        path, mark, query = self.path.partition("?")
        given, given_mark, given_query = reference.partition("?")
        if given_mark:
            mark, query = given_mark, given_query
        elif given:
            mark = query = ""
        if given.startswith("/"):
            path = given
        elif given:
            path = path[: path.rindex("/") + 1] + given
        return evolve(self, path=_canonical(f"{path}{mark}{query}"))


def parse_authority(text: str, /) -> tuple[Host, int | None]:
    """Read ``host`` or ``host:port``.

    Raises:
        TargetRefusedError: It is neither.
    """
    if "@" in text:
        raise refusal("credentials", "a user name before its host")
    found = _AUTHORITY.fullmatch(text)
    if found is None:
        raise refusal("malformed", "its host is missing or not one" if text else "it has no host")
    digits = found["port"] or ""  # an empty one is the scheme's
    port = int(digits) if 0 < len(digits) <= 8 else None
    if len(digits) > 8 or port == 0 or (port or 0) > 65535:
        raise refusal("malformed", "its port is not one")
    return parse_host(found["host"]), port


def _check_text(text: str) -> None:
    if len(text) > MAX_URL_CHARS:
        raise refusal("malformed", f"it is over {MAX_URL_CHARS} characters")
    if "\\" in text:
        raise refusal("malformed", "it holds a backslash")
    if _UNWRITTEN.search(text):
        raise refusal("malformed", "it holds white space or control characters")


def _canonical(rest: str) -> str:
    """Path and query without dot segments, and with what has to be percent-encoded so."""
    path, _, query = rest.partition("?")
    segments: list[str] = []
    parts = path.removeprefix("/").split("/")
    for index, part in enumerate(parts):
        is_last = index == len(parts) - 1
        if _DOTS.fullmatch(part):
            del segments[-1:]
            if is_last:
                segments.append("")
        elif _DOT.fullmatch(part):
            if is_last:
                segments.append("")
        else:
            segments.append(part)
    canonical = quote("/" + "/".join(segments), safe=_IN_PATH)
    # An empty query goes: half of the readers drop it.
    return f"{canonical}?{quote(query, safe=_IN_QUERY)}" if query else canonical

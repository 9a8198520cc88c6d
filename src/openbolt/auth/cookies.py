"""Cookies, read and written: the session's, and that of a sign-in on its way.

Law: a cookie that comes twice is none. A browser can't send two ``__Host-`` cookies of one name, so
a second one was tossed in by somebody, and nobody can tell which. What is written carries every
attribute that keeps it to this host and out of scripts, and no value can add one.
"""

from __future__ import annotations

import math
import re
from urllib.parse import urlsplit

from attrs import frozen

from openbolt.http import Headers, Request, Response
from openbolt.settings import LOOPBACK_HOSTS, Settings

__all__ = [
    "MAX_COOKIE_BYTES",
    "Cookie",
    "parse_cookies",
    "session_cookie",
    "sign_in_cookie",
    "with_cookies",
]

MAX_COOKIE_BYTES = 4096
"""Name and value; browsers ignore a longer cookie (RFC 6265bis, 5.6)."""

_BLANK = " \t"  # and nothing else: str.strip() would make other names into ours (U+2000, NBSP)
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[!#-+\--:<-\[\]-~]*")


def parse_cookies(headers: Headers, /) -> list[tuple[str, str]]:
    """Every cookie of a request in order, as RFC 6265bis has browsers write them.

    Several ``Cookie`` fields are read as one (HTTP/2 may split it). Names are case-sensitive,
    quotes belong to the value, nothing is decoded. A pair without ``=`` is a cookie without a name.
    Nothing is an error.
    """
    cookies: list[tuple[str, str]] = []
    for line in headers.get_all("cookie"):
        for pair in line.split(";"):
            name, equals, value = pair.partition("=")
            if not equals:
                name, value = "", name
            name, value = name.strip(_BLANK), value.strip(_BLANK)
            if name or value:
                cookies.append((name, value))
    return cookies


@frozen
class Cookie:
    """A cookie of ours, under the name that it has on this scheme and host.

    Attributes:
        name: With the prefix ``__Host-`` where it is secure.
        secure: Sent over TLS only; false on loopback without TLS, and nowhere else.
    """

    name: str
    secure: bool

    def __attrs_post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} can't be the name of a cookie.")

    def read(self, request: Request, /) -> str | None:
        """Its value; None where it is missing, empty, or comes more than once."""
        found = [value for name, value in parse_cookies(request.headers) if name == self.name]
        return found[0] or None if len(found) == 1 else None

    def set(self, value: str, /, *, max_age: float) -> str:
        """A ``Set-Cookie`` field.

        Args:
            max_age: Seconds, rounded up.

        Raises:
            ValueError: The value isn't made of cookie octets (RFC 6265, 4.1.1), or name and value
                are over `MAX_COOKIE_BYTES`.
        """
        if not _VALUE.fullmatch(value):
            raise ValueError(f"The value of {self.name} has characters that no cookie can hold.")
        if len(self.name) + len(value) > MAX_COOKIE_BYTES:
            raise ValueError(f"{self.name} would be over {MAX_COOKIE_BYTES} bytes.")
        return f"{self.name}={value}; Max-Age={max(0, math.ceil(max_age))}{self._attributes}"

    def delete(self) -> str:
        """A ``Set-Cookie`` field that makes the browser forget it."""
        return f"{self.name}=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT{self._attributes}"

    @property
    def _attributes(self) -> str:
        return f"; Path=/{'; Secure' if self.secure else ''}; HttpOnly; SameSite=Lax"


def session_cookie(request: Request, settings: Settings, /) -> Cookie:
    """``__Host-openbolt-session``, or ``openbolt-session`` on loopback without TLS."""
    return _cookie("openbolt-session", request, settings)


def sign_in_cookie(request: Request, settings: Settings, /) -> Cookie:
    """``__Host-openbolt-sign-in``, or ``openbolt-sign-in`` on loopback without TLS."""
    return _cookie("openbolt-sign-in", request, settings)


def with_cookies(response: Response, /, *fields: str) -> Response:
    """A copy of a response with further ``Set-Cookie`` fields."""
    more = (("set-cookie", field) for field in fields)
    return Response(response.status, Headers([*response.headers.items, *more]), response.body)


def _cookie(name: str, request: Request, settings: Settings) -> Cookie:
    scheme, host = request.scheme, request.host
    if settings.public_url:
        public = urlsplit(settings.public_url)
        scheme, host = public.scheme, public.netloc.lower()
    # Anything but loopback gets the secure one, whatever the scheme says: a proxy may have ended
    # TLS without telling, and where there is none the browser won't take it.
    if scheme == "http" and _without_port(host) in LOOPBACK_HOSTS:
        return Cookie(name, secure=False)
    return Cookie(f"__Host-{name}", secure=True)


def _without_port(host: str) -> str:
    return host if host.endswith("]") else host.rpartition(":")[0] or host

"""What an operator says of the servers that `openbolt.proxy.handler` forwards to.

Law: what isn't allowed by name is refused, and what can't be right is refused when it is made.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn
from urllib.parse import urlsplit

from attrs import field, frozen

from openbolt.bodies import camel_case
from openbolt.errors import ConfigurationError
from openbolt.protocols import RatePolicy, Timeouts
from openbolt.proxy.fields import NEVER_FROM_UPSTREAM, NEVER_TO_UPSTREAM

__all__ = [
    "CacheRules",
    "Injection",
    "QueryRules",
    "Rate",
    "Upstream",
    "is_never",
    "is_sendable",
    "refuse",
]

MIB = 1024 * 1024

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
_FIELD = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,64}")
_SECRET = re.compile(r"(operator|user):([a-z0-9][a-z0-9_.-]{0,63})")
_VALUE = re.compile(r"[\t !-~\x80-\xff]*")
_PARAMETER = re.compile(r"[!-~]{1,128}")
_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
_RESERVED = "anthropic"
_PLACE = "{secret}"

REQUEST_HEADERS = (
    "accept",
    "accept-encoding",
    "accept-language",
    "content-encoding",
    "content-language",
    "content-type",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "range",
)
RESPONSE_HEADERS = (
    "accept-ranges",
    "age",
    "allow",
    "cache-control",
    "content-encoding",
    "content-language",
    "content-range",
    "content-type",
    "etag",
    "expires",
    "last-modified",
    "location",
    "retry-after",
    "vary",
)


def refuse(name: str, why: str, /) -> NoReturn:
    """Say what is wrong with a field.

    Raises:
        ConfigurationError: Always.
    """
    raise ConfigurationError(f"upstreams: {name} {why}; set OPENBOLT_UPSTREAMS.", setting=name)


def _lower(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.lower() for name in names))


def _lower_case(name: str | None) -> str | None:
    return None if name is None else name.lower()


def _listing(
    kind: str, form: re.Pattern[str], never: frozenset[str]
) -> Callable[[Any, Any, Any], None]:
    def check(_: Any, attribute: Any, names: Any) -> None:
        for name in names:
            if not form.fullmatch(name):
                refuse(camel_case(attribute.name), f"holds {name!r}, which is no {kind}")
            if is_never(name, never):
                refuse(camel_case(attribute.name), f"holds {name!r}, which is never passed")

    return check


def is_never(name: str, never: frozenset[str], /) -> bool:
    """Whether a field stands in a list of names and of beginnings (``sec-*``)."""
    return name in never or any(
        name.startswith(entry[:-1]) for entry in never if entry.endswith("*")
    )


def _between(least: float, most: float) -> Callable[[Any, Any, Any], None]:
    def check(_: Any, attribute: Any, value: Any) -> None:
        if not (math.isfinite(value) and least <= value <= most):
            refuse(camel_case(attribute.name), f"must be {least:g} to {most:g}, not {value!r}")

    return check


_seconds = _between(0.01, 86_400)
_bytes = _between(0, 1024 * 1024 * MIB)


@frozen(kw_only=True)
class Injection:
    """A secret that is put into requests on the server; whatever the client sent there is dropped.

    Attributes:
        secret: ``operator:NAME`` of ``Settings.upstream_secrets``, or ``user:NAME`` of the caller's
            own secret store.
        header: The header field that it goes into; or
        query: the query parameter.
        template: The value, with ``{secret}`` in it: ``Bearer {secret}``.
    """

    secret: str
    header: str | None = field(default=None, converter=_lower_case)
    query: str | None = None
    template: str = _PLACE

    def __attrs_post_init__(self) -> None:
        if not _SECRET.fullmatch(self.secret):
            refuse("secret", f"must be operator:NAME or user:NAME, not {self.secret!r}")
        if (self.header is None) == (self.query is None):
            refuse("secrets", "need either a header or a query parameter each")
        if self.header is not None:
            is_framing = self.header in _FRAMING
            if not _FIELD.fullmatch(self.header) or is_framing:
                refuse("header", f"can't be {self.header!r}")
        elif not _PARAMETER.fullmatch(self.query or ""):
            refuse("query", f"can't be {self.query!r}")
        if self.template.count(_PLACE) != 1 or not _VALUE.fullmatch(self.template):
            refuse("template", "must hold {secret} once, and no control characters")

    @property
    def is_users(self) -> bool:
        """The secret is the caller's own, not the operator's."""
        return self.secret.startswith("user:")

    @property
    def name(self) -> str:
        """The secret's name where it is kept."""
        return self.secret.partition(":")[2]


_FRAMING = frozenset(
    {"connection", "content-length", "expect", "host", "te", "trailer", "transfer-encoding"}
    | {"upgrade", "via", "keep-alive", "proxy-connection"}
)


@frozen(kw_only=True)
class QueryRules:
    """What may stand in a query.

    Attributes:
        allowed: Names of parameters; None: any. Another one is a 400.
        fixed: Parameters that are always sent so; the client's own of these names are dropped.
    """

    allowed: tuple[str, ...] | None = None
    fixed: Mapping[str, str] = field(factory=dict[str, str])

    def __attrs_post_init__(self) -> None:
        for name in (*(self.allowed or ()), *self.fixed):
            if not _PARAMETER.fullmatch(name):
                refuse("query", f"holds {name!r}, which is no name of a parameter")


@frozen(kw_only=True)
class CacheRules:
    """Answers to GET are kept in memory and used again by the rules of RFC 9111.

    Attributes:
        shared: Users share what is kept. Not with secrets of users; and what the upstream calls
            ``private`` isn't kept then. Otherwise each user has their own.
        max_entry_bytes: A larger answer isn't kept.
    """

    shared: bool = False
    max_entry_bytes: int = field(default=MIB, validator=_between(1, 64 * MIB))


@frozen(kw_only=True)
class Rate:
    """``limit`` requests of one user in ``period`` seconds."""

    limit: int
    period: float

    def __attrs_post_init__(self) -> None:
        if not (1 <= self.limit <= 1_000_000 and 1 <= self.period <= 31 * 86_400):
            refuse("rate", "must be at least one request, in a second to 31 days")


@frozen(kw_only=True)
class Upstream:
    """One server that is forwarded to. Sizes in bytes, durations in seconds.

    Attributes:
        name: In the path, ``/api/proxy/NAME/...``: 1 to 64 of ``a-z 0-9 -``.
        url: What every path is put behind: no query, no user name.
        methods: What may be asked.
        paths: Patterns of paths below the URL: ``*`` is anything within a segment, and a last
            segment ``**`` whatever follows.
        request_headers: Fields of the client's that are passed on.
        response_headers: Fields of the upstream's that are passed back.
        set_headers: Fields that are always sent so.
        secrets: Put in on the server.
        query: Rules for the query.
        redirect_to: Origins that a redirect may lead the client to, beside the upstream itself.
        max_request_bytes: A longer body is a 413.
        max_response_bytes: A longer answer is a 502, or cut off where its length wasn't declared.
        connect: Until the connection stands.
        first_byte: Until the answer's head.
        idle: Between two parts of its body.
        total: All of it.
        cache: None: nothing is kept.
        retries: Further attempts, before the first byte, of a call that can be repeated.
        rate: Beside the policy ``proxy``, for this upstream alone.

    Raises:
        ConfigurationError: When made: names the field.
    """

    name: str
    url: str
    methods: tuple[str, ...] = ("GET", "HEAD")
    paths: tuple[str, ...] = ("**",)
    request_headers: tuple[str, ...] = field(
        default=REQUEST_HEADERS,
        converter=_lower,
        validator=_listing("header field", _FIELD, NEVER_TO_UPSTREAM),
    )
    response_headers: tuple[str, ...] = field(
        default=RESPONSE_HEADERS,
        converter=_lower,
        validator=_listing("header field", _FIELD, NEVER_FROM_UPSTREAM),
    )
    set_headers: Mapping[str, str] = field(factory=dict[str, str])
    secrets: tuple[Injection, ...] = ()
    query: QueryRules = field(factory=QueryRules)
    redirect_to: tuple[str, ...] = ()
    max_request_bytes: int = field(default=10 * MIB, validator=_bytes)
    max_response_bytes: int = field(default=64 * MIB, validator=_bytes)
    connect: float = field(default=10.0, validator=_seconds)
    first_byte: float = field(default=60.0, validator=_seconds)
    idle: float = field(default=60.0, validator=_seconds)
    total: float = field(default=300.0, validator=_seconds)
    cache: CacheRules | None = None
    retries: int = field(default=2, validator=_between(0, 10))
    rate: Rate | None = None
    _paths: tuple[re.Pattern[str], ...] = field(init=False, repr=False, eq=False)
    policy: RatePolicy | None = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name == _RESERVED:
            refuse("name", f"can't be {self.name!r}: 1 to 64 of a-z 0-9 -, and not {_RESERVED!r}")
        _check_url(self.url)
        if not self.methods or not _METHODS.issuperset(self.methods):
            refuse("methods", f"must be some of {', '.join(sorted(_METHODS))}")
        for name, value in self.set_headers.items():
            listed = is_never(name.lower(), NEVER_TO_UPSTREAM - {"authorization", "referer"})
            if listed or not _FIELD.fullmatch(name.lower()) or not _VALUE.fullmatch(value):
                refuse("setHeaders", f"can't hold {name!r}")
        for origin in self.redirect_to:
            if _origin(origin) != origin:
                refuse("redirectTo", f"holds {origin!r}, which is no origin")
        if self.cache is not None and self.cache.shared and any(i.is_users for i in self.secrets):
            refuse("cache", "can't be shared where a user's own secret goes along")
        object.__setattr__(self, "_paths", tuple(_pattern(path) for path in self.paths))
        object.__setattr__(self, "policy", self._policy())

    def _policy(self) -> RatePolicy | None:
        if self.rate is None:
            return None
        name = f"proxy-{self.name}"[:64]
        return RatePolicy(name, self.rate.limit, self.rate.period, fails="closed")

    @property
    def timeouts(self) -> Timeouts:
        """As a sender takes them."""
        return Timeouts(self.connect, self.first_byte, self.idle)

    def takes(self, path: str, /) -> bool:
        """Whether a path (decoded, without its leading slash) may be asked for."""
        return any(pattern.fullmatch(path) for pattern in self._paths)


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_good = (
            parts.scheme in {"http", "https"}
            and bool(parts.hostname)
            and parts.port != 0
            and "@" not in parts.netloc
            and not set(url) & set("?#\\ \t\r\n")
            and url.isascii()
            and not any(part in {".", ".."} for part in parts.path.split("/"))
        )
    except ValueError:
        is_good = False
    if not is_good:
        shown = url.rpartition("@")[2]
        refuse("url", f"must be an http(s) URL without query, user name or dots, not {shown!r}")


def _origin(text: str) -> str | None:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "")


def _pattern(path: str) -> re.Pattern[str]:
    segments = path.removeprefix("/").split("/")
    if not path or any("**" in segment and segment != "**" for segment in segments):
        refuse("paths", f"holds {path!r}: ** stands alone in a segment")
    if "**" in segments[:-1]:
        refuse("paths", f"holds {path!r}: ** can only stand at the end")
    rest = segments[-1] == "**"
    written = [
        "[^/]*".join(re.escape(part) for part in segment.split("*"))
        for segment in (segments[:-1] if rest else segments)
    ]
    if rest:
        return re.compile("/".join([*written, ".+"]) if written else ".+", re.DOTALL)
    return re.compile("/".join(written))


def is_sendable(value: str, /) -> bool:
    """Whether a secret can stand in a header field: visible ASCII, with blanks only inside."""
    return value.isascii() and value.isprintable() and value == value.strip() and value != ""

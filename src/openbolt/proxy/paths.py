"""From a path and query that a client asks for to a URL of an upstream, and back; pure.

Laws: no spelling of a path leads out of the upstream's base, also for a server that decodes twice,
folds Unicode or takes backslashes for slashes. What is checked is what is sent: the path is written
anew from what was checked. A parameter that the server sets itself is the only one of its name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import NoReturn
from urllib.parse import quote, unquote, unquote_plus, urljoin, urlsplit

from openbolt.errors import InvalidRequestError, NotFoundError
from openbolt.proxy.upstreams import Upstream

__all__ = ["checked_path", "located", "query_of", "url_of"]

MAX_PATH = 4096
MAX_QUERY = 16_384

_DECODINGS = 4
_BAD = re.compile("[\x00-\x1f\x7f-\x9f\\\\\N{REPLACEMENT CHARACTER}\ud800-\udfff]")
_IN_PATH = "-._~!$&'()*+,;=:@"
_IN_QUERY = re.compile(r"[^A-Za-z0-9\-._~!$'()*+,:@/?%=\[\]]")
_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_LETTERS = re.compile(r"[^a-z0-9]")
_UNSAFE_LOCATION = re.compile('[^!-~]|[\\\\"<>^`{|}]')


def checked_path(path: str, /) -> str:
    """A path below the upstream's URL, decoded once, without its leading slash.

    Raises:
        InvalidRequestError: It is too long, or could be read as another one.
    """
    if len(path) > MAX_PATH:
        _refuse("is too long")
    _check_spelling(path)
    # A server that decodes once more must find nothing that this one did not see.
    text = path
    for _ in range(_DECODINGS):
        decoded = unquote(text)
        if decoded == text:
            return path
        if decoded.count("/") != path.count("/"):
            _refuse("holds an encoded slash")
        _check_spelling(decoded)
        text = decoded
    raise _refusal("is encoded too often")


def _check_spelling(path: str) -> None:
    if _BAD.search(path):
        _refuse("holds a character that no path has")
    folded = path if path.isascii() else unicodedata.normalize("NFKC", path)
    if folded.count("/") != path.count("/") or _BAD.search(folded):
        _refuse("holds a character that no path has")
    *inner, last = folded.split("/")
    if "" in inner:
        _refuse("has an empty segment")
    for segment in (*inner, last):
        # ``..;x`` is ``..`` to some servers, and blanks and dots at the end are nothing to others.
        name = segment.partition(";")[0]
        if name.strip(" ") and not name.strip(". "):
            _refuse("holds a segment of dots")


def _refuse(why: str) -> NoReturn:
    raise _refusal(why)


def _refusal(why: str) -> InvalidRequestError:
    return InvalidRequestError(f"path: {why}", field="path", code="path_refused")


def url_of(upstream: Upstream, path: str, query: str, /) -> str:
    """The address of a path that `checked_path` gave and a query that `query_of` gave.

    Raises:
        NotFoundError: No pattern of the upstream's has this path.
    """
    if not upstream.takes(path):
        raise NotFoundError(f"{upstream.name} has nothing at this path.")
    return f"{upstream.url.rstrip('/')}/{quote(path, safe='/' + _IN_PATH)}" + (
        f"?{query}" if query else ""
    )


def query_of(raw: str, upstream: Upstream, injected: Mapping[str, str], /) -> str:
    """The query as it is sent: the client's parameters as it wrote them, then the server's own.

    Args:
        raw: As the client sent it, without ``?``.
        injected: Parameters that hold secrets.

    Raises:
        InvalidRequestError: It is too long, or holds a parameter that isn't allowed.
    """
    if len(raw) > MAX_QUERY:
        raise InvalidRequestError("query: is too long", field="query")
    own = {**upstream.query.fixed, **injected}
    kept = _without(raw.split("&") if raw else [], own)
    allowed = upstream.query.allowed
    if allowed is not None:
        for part in kept:
            name = _name(part)
            if part and name not in allowed:
                raise InvalidRequestError(
                    f"query: {upstream.name} takes no parameter {name[:40]!r}", field="query"
                )
    # A ``;`` parts parameters for some servers and not for others: encoded it parts none.
    written = [_PERCENT.sub("%25", _IN_QUERY.sub(_encoded, part)) for part in kept if part]
    return "&".join(
        [*written, *(f"{quote(n, safe='')}={quote(v, safe='')}" for n, v in own.items())]
    )


def _encoded(found: re.Match[str]) -> str:
    return quote(found[0], safe="", encoding="latin-1", errors="replace")


def _without(parts: Iterable[str], own: Iterable[str]) -> list[str]:
    """Parameters but for those that some server could take for one of our own."""
    names = {_letters(name) for name in own}
    return [part for part in parts if not names or _letters(_name(part)) not in names]


def _name(part: str) -> str:
    return unquote_plus(part.partition("=")[0])


def _letters(name: str) -> str:
    # Servers write `a.b`, `a b` and `A_b` as one name, and `a[]` as `a`.
    folded = unicodedata.normalize("NFKC", unquote(name)).casefold()
    return _LETTERS.sub("", folded) or folded


def located(
    location: str, /, *, of: str, upstream: Upstream, prefix: str, injected: Iterable[str]
) -> str | None:
    """Where a redirect leads the client; None where it may not.

    Args:
        of: The URL that was asked.
        prefix: What stands for the upstream's URL in our own paths.
        injected: Names of parameters that hold secrets; they are cut out.
    """
    if _UNSAFE_LOCATION.search(location) or len(location) > MAX_QUERY:
        return None
    try:
        target, base = urlsplit(urljoin(of, location)), urlsplit(upstream.url)
        same = (target.scheme, target.hostname, _port(target.scheme, target.port)) == (
            base.scheme,
            base.hostname,
            _port(base.scheme, base.port),
        )
    except ValueError:
        return None
    if "@" in target.netloc:
        return None
    fragment = f"#{target.fragment}" if target.fragment else ""
    below = base.path.rstrip("/") + "/"
    if same and target.path.startswith(below):
        try:
            path = checked_path(unquote(target.path.removeprefix(below)))
        except InvalidRequestError:
            return None
        query = "&".join(_without(target.query.split("&"), [*injected, *upstream.query.fixed]))
        return (
            f"{prefix}/{quote(path, safe='/' + _IN_PATH)}"
            + (f"?{query}" if query else "")
            + fragment
        )
    if f"{target.scheme}://{target.netloc}".lower() in upstream.redirect_to:
        return target.geturl()
    return None


def _port(scheme: str, port: int | None) -> int:
    return port or (443 if scheme == "https" else 80)

"""HTTP as plain values: what a handler is given and what it gives back, on any server.

Law: a response body owns what it holds open and closes it exactly once, also when nobody ever
iterates it. (``aclose()`` on an async generator that never started skips its ``finally``, hence
`StreamBody` rather than a bare generator.)
"""

from __future__ import annotations

import re
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Mapping,
)
from contextlib import AsyncExitStack
from types import MappingProxyType
from typing import Any, Protocol
from urllib.parse import parse_qsl

from attrs import field, frozen

from openbolt.errors import PayloadTooLargeError

__all__ = [
    "Answering",
    "ByteStream",
    "Handler",
    "Headers",
    "Principal",
    "Request",
    "RequestContext",
    "Response",
    "StreamBody",
]


# Names of fields that hold what only one reader may see: Cookie, X-Api-Key, Private-Token, ...
_SECRET = re.compile(r"auth|cookie|credential|key|passw|secret|session|signature|token")


def _pairs(items: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple([(name.lower(), value) for name, value in items])


def _shown(items: tuple[tuple[str, str], ...]) -> str:
    """What a repr shows: whoever reports errors with the values around them has it, too."""
    return repr(tuple((name, "***" if _SECRET.search(name) else value) for name, value in items))


def _length(body: bytes | ByteStream) -> str:
    return f"<{len(body)} bytes>" if isinstance(body, bytes) else repr(body)


@frozen
class Headers:
    """Header fields in order, names in lower case; a name may stand more than once.

    Its repr hides the values of fields that hold credentials.
    """

    items: tuple[tuple[str, str], ...] = field(default=(), converter=_pairs, repr=_shown)

    @classmethod
    def of(cls, mapping: Mapping[str, str] | None = None, /, **named: str) -> Headers:
        """Headers from a mapping; keyword names turn ``_`` into ``-``."""
        pairs = (mapping or {}).items()
        if not named:
            return cls(pairs)
        return cls([*pairs, *[(name.replace("_", "-"), value) for name, value in named.items()]])

    @classmethod
    def lowered(cls, items: tuple[tuple[str, str], ...], /) -> Headers:
        """Headers from pairs whose names are in lower case already, which isn't looked at."""
        made = object.__new__(cls)
        object.__setattr__(made, "items", items)  # a frozen value is made no other way
        return made

    def get(self, name: str, default: str | None = None, /) -> str | None:
        """The first value of a field."""
        wanted = name.lower()
        for key, value in self.items:
            if key == wanted:
                return value
        return default

    def get_all(self, name: str, /) -> tuple[str, ...]:
        """Every value of a field, in order."""
        wanted = name.lower()
        return tuple([value for key, value in self.items if key == wanted])

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def with_(self, mapping: Mapping[str, str], /) -> Headers:
        """A copy in which the named fields are replaced or added."""
        named = {name.lower(): value for name, value in mapping.items()}
        kept = [pair for pair in self.items if pair[0] not in named]
        return Headers.lowered((*kept, *named.items()))

    def with_defaults(self, defaults: Mapping[str, str] | Headers, /) -> Headers:
        """A copy to which the fields of others are added where they are absent."""
        others = defaults if isinstance(defaults, Headers) else Headers.of(defaults)
        present = {name for name, _ in self.items}
        added = [pair for pair in others.items if pair[0] not in present]
        return Headers.lowered((*self.items, *added))


class ByteStream(Protocol):
    """A body on its way: iterate it at most once, close it always (closing twice is harmless)."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def aclose(self) -> None: ...


class StreamBody:
    """A `ByteStream` made of an async iterable and of what has to be closed after it.

    Args:
        source: Yields chunks; its own ``aclose`` is called where it has one.
        stack: Whatever else is held open; closed after the source, exactly once.
    """

    def __init__(
        self, source: AsyncIterable[bytes], /, *, stack: AsyncExitStack | None = None
    ) -> None:
        self._iterator = aiter(source)
        self._stack = stack
        self._closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._iterator

    async def aclose(self) -> None:
        """Close the source, then the stack; only the first call does anything."""
        if self._closed:
            return
        self._closed = True
        try:
            close = getattr(self._iterator, "aclose", None)
            if close is not None:
                await close()
        finally:
            if self._stack is not None:
                await self._stack.aclose()


class _EmptyBody:
    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        raise StopAsyncIteration

    async def aclose(self) -> None: ...


@frozen
class Principal:
    """Who is asking: a user of the application that embeds openbolt.

    Attributes:
        user_id: Stable, opaque, 1 to 128 of ``A-Z a-z 0-9 . _ -``.
        name: For people to read.
        scopes: What the credential may be used for; None: for everything. A browser's session has
            None, an API key names some.
        session: Public id of the browser's session, where there is one.
        api_key: Public id of the API key, where there is one.
    """

    user_id: str
    name: str = ""
    scopes: frozenset[str] | None = None
    session: str | None = None
    api_key: str | None = None


@frozen
class RequestContext:
    """What surrounds a request rather than being said in it.

    Attributes:
        spawn: Hand over a coroutine that outlives the request: a task group of the app on ASGI
            (drained at shutdown), ``ctx.waitUntil`` in a Worker.
        request_id: Echoed as ``x-request-id`` and named in errors and logs.
        principal: Set by the authentication guard.
        client: The peer's address as the server saw it, without a port.
        gone: Gives something to await that is over when the client has hung up, on ASGI a future
            of one's own (`asyncio.ensure_future` makes no task of it). Call it once the body is
            read. None where a server can't tell.
    """

    spawn: Callable[[Coroutine[Any, Any, None]], None]
    request_id: str = ""
    principal: Principal | None = None
    client: str | None = None
    gone: Callable[[], Awaitable[None]] | None = None


_NO_PARAMS: Mapping[str, str] = MappingProxyType({})


@frozen
class Request:
    """One request.

    Attributes:
        method: Upper case.
        path: Percent-decoded, below the mount point, starting with ``/``.
        query: The raw query string without ``?``.
        body: Iterate it at most once; `read` does, under a limit.
        root_path: The mount point, without a trailing slash.
        path_params: Filled in by the router.
    """

    method: str
    path: str
    headers: Headers
    body: ByteStream
    context: RequestContext
    query: str = field(default="", repr=False)
    scheme: str = "http"
    root_path: str = ""
    path_params: Mapping[str, str] = _NO_PARAMS

    @property
    def host(self) -> str:
        """The ``Host`` field, lower case, with its port."""
        return (self.headers.get("host") or "").lower()

    def query_param(self, name: str, /) -> str | None:
        """The first value of a query parameter."""
        if not self.query:
            return None
        return next(
            (v for k, v in parse_qsl(self.query, keep_blank_values=True) if k == name), None
        )

    async def read(self, limit: int, /) -> bytes:
        """The whole body.

        Args:
            limit: Bytes; a longer body is refused, before it is read where its length is declared.

        Raises:
            PayloadTooLargeError: The body is over the limit.
        """
        declared = (self.headers.get("content-length") or "").lstrip("0")
        # By length first: int() refuses text of thousands of digits.
        if (declared.isascii() and declared.isdigit()) and (
            len(declared) > len(str(limit)) or int(declared) > limit
        ):
            raise PayloadTooLargeError(f"The body is over {limit} bytes.")
        parts: list[bytes] = []
        size = 0
        async for chunk in self.body:
            size += len(chunk)
            if size > limit:
                raise PayloadTooLargeError(f"The body is over {limit} bytes.")
            parts.append(chunk)
        return b"".join(parts)

    def with_context(self, **changes: Any) -> Request:
        """A copy with some fields of its context replaced."""
        # Not by attrs.evolve, which asks the class for its fields again at each copy.
        was = self.context
        known: dict[str, Any] = {
            "spawn": was.spawn,
            "request_id": was.request_id,
            "principal": was.principal,
            "client": was.client,
            "gone": was.gone,
        }
        return self._copy(RequestContext(**(known | changes)), self.path_params)

    def with_path_params(self, params: Mapping[str, str], /) -> Request:
        """A copy with these values of the route's parameters."""
        return self._copy(self.context, MappingProxyType(dict(params)))

    def _copy(self, context: RequestContext, path_params: Mapping[str, str]) -> Request:
        return Request(
            self.method,
            self.path,
            self.headers,
            self.body,
            context,
            self.query,
            self.scheme,
            self.root_path,
            path_params,
        )


EMPTY_BODY: ByteStream = _EmptyBody()


@frozen
class Response:
    """One response; ``body`` is bytes, or a `ByteStream` that whoever sends it closes."""

    status: int = 200
    headers: Headers = Headers()
    body: bytes | ByteStream = field(default=b"", repr=_length)

    def with_headers(self, mapping: Mapping[str, str], /) -> Response:
        """A copy in which the named fields are replaced or added."""
        return Response(self.status, self.headers.with_(mapping), self.body)


Answering = Coroutine[Any, Any, Response]
"""What calling a `Handler` gives: to be awaited, once."""


class Handler(Protocol):
    """Anything that answers a request: a route, a guard around one, the whole app.

    Written ``async def``; or ``def``, where it gives the coroutine of another handler back.
    """

    def __call__(self, request: Request, /) -> Answering: ...

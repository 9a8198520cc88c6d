"""What of a request's head is taken, and how long a slow client is waited for.

Laws: all of it holds in front of every handler and whatever the server before them does. A body
that two servers could end in different places is nobody's body. Only time in which the client keeps
this process waiting counts against it: never the time that a handler, a store or an upstream takes.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from itertools import chain
from math import inf
from time import monotonic
from typing import Any

from attrs import frozen

from openbolt.errors import InvalidRequestError
from openbolt.settings import Settings

__all__ = [
    "NEVER",
    "BodyPace",
    "EdgeLimits",
    "HeadTooLargeError",
    "RequestTimeoutError",
    "UrlTooLongError",
    "Wait",
    "Waits",
]

NEVER = inf

_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_LENGTH = re.compile(rb"[ \t]*[0-9]{1,18}[ \t]*")


class UrlTooLongError(InvalidRequestError):
    """A request's path and query are over their limit."""

    code = "url_too_long"
    status_hint = 414


class HeadTooLargeError(InvalidRequestError):
    """A request has too many header fields, or too long ones."""

    code = "headers_too_large"
    status_hint = 431


class RequestTimeoutError(InvalidRequestError):
    """A request's body comes too slowly."""

    code = "request_timeout"
    status_hint = 408


@frozen(kw_only=True)
class EdgeLimits:
    """What a client may cost before anybody knows who it is; see `Settings` for each.

    Attributes:
        min_body_rate: Bytes in a second; 0: only the pause between two chunks is limited.
    """

    body_timeout: float = 30.0
    min_body_rate: int = 512
    write_timeout: float = 60.0
    max_url_bytes: int = 20_480
    max_header_bytes: int = 65_536
    max_header_fields: int = 100

    @classmethod
    def of(cls, settings: Settings, /) -> EdgeLimits:
        """From the settings of the same names."""
        return cls(
            body_timeout=settings.body_timeout,
            min_body_rate=settings.min_body_rate,
            write_timeout=settings.write_timeout,
            max_url_bytes=settings.max_url_bytes,
            max_header_bytes=settings.max_header_bytes,
            max_header_fields=settings.max_header_fields,
        )

    def refusal(self, scope: Mapping[str, Any], /) -> InvalidRequestError | None:
        """Why an ASGI scope isn't handled, after which its connection must not go on; or None."""
        path = scope.get("raw_path") or scope["path"].encode("utf-8", "surrogatepass")
        if len(path) + len(scope.get("query_string", b"")) > self.max_url_bytes:
            return UrlTooLongError(f"The address is over {self.max_url_bytes} bytes.")
        fields: Sequence[tuple[bytes, bytes]] = scope["headers"]
        if len(fields) > self.max_header_fields:
            return HeadTooLargeError(f"There are over {self.max_header_fields} header fields.")
        if sum(map(len, chain.from_iterable(fields))) > self.max_header_bytes:
            return HeadTooLargeError(f"The header fields are over {self.max_header_bytes} bytes.")
        framing = [pair for pair in fields if pair[0] in _FRAMING]
        if framing and not _is_one_length(framing):
            return InvalidRequestError(
                "The body's length is said in more than one way.", code="malformed_request"
            )
        return None


def _is_one_length(framing: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether the fields say where a body ends, once and for all who read them."""
    (name, value), *others = framing
    if others:
        return False
    if name == b"transfer-encoding":
        return value.strip().lower() == b"chunked"
    return _LENGTH.fullmatch(value) is not None


class BodyPace:
    """How long the next chunk of a body is waited for.

    One pause is at most ``body_timeout``, and all pauses together leave the rate above its least
    once ``body_timeout`` has been spent: so a client that drips ends as surely as a silent one.
    """

    def __init__(self, limits: EdgeLimits) -> None:
        self._limits = limits
        self._waited = 0.0
        self._size = 0

    def patience(self) -> float:
        """Seconds for the next chunk."""
        limit, rate = self._limits.body_timeout, self._limits.min_body_rate
        if not rate:
            return limit
        return max(0.0, min(limit, limit + self._size / rate - self._waited))

    def waited(self, seconds: float, /) -> None:
        """Note how long a chunk was waited for."""
        self._waited += seconds

    def came(self, size: int, /) -> None:
        """Note the bytes of a chunk, whether it was waited for or not."""
        self._size += size


class Wait:
    """One task's waits for its client, each cut short when it is due: the task is cancelled.

    Made, and asked about a cancellation, by the task itself; `Waits` looks when it is due. As with
    `asyncio.timeout` its own cancellation is taken back, and others are left alone.

    Attributes:
        due: When the wait of now is too long, by `time.monotonic`; `NEVER` between two waits.
        is_late: It was cut short because it was due.
        is_cut: The task was cancelled by this, and hasn't asked `is_own` yet.
    """

    __slots__ = ("_cancelling", "_task", "due", "is_cut", "is_late")

    def __init__(self, task: asyncio.Task[Any], /) -> None:
        self._task = task
        self._cancelling = task.cancelling()
        self.due = NEVER
        self.is_late = False
        self.is_cut = False

    def look(self, now: float, /) -> None:
        """Cut it short if it is due."""
        if now >= self.due:
            self.due = NEVER
            self.is_late = True
            self.cut()

    def cut(self) -> None:
        """Cancel the task, once."""
        if not self.is_cut:
            self.is_cut = True
            self._task.cancel()

    def is_own(self) -> bool:
        """Whether the task was cancelled by this and by nobody else; this one's is taken back."""
        if not self.is_cut:
            return False
        self.is_cut = False
        return self._task.uncancel() <= self._cancelling


class Waits:
    """Looks after all waits of a server, by one timer instead of one for each of them.

    A wait is cut short when it is due, or up to an eighth of the shorter limit later.
    """

    def __init__(self, limits: EdgeLimits, /) -> None:
        self._interval = min(limits.body_timeout, limits.write_timeout) / 8
        self._waits: set[Wait] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def add(self, wait: Wait, /) -> None:
        """Look after it, until it is taken out again."""
        self._waits.add(wait)
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # another one than the timer's, or there is no timer
            self._loop = loop
            loop.call_later(self._interval, self._look, loop)

    def discard(self, wait: Wait, /) -> None:
        """Look after it no more."""
        self._waits.discard(wait)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not loop:
            return
        now = monotonic()
        for wait in tuple(self._waits):
            wait.look(now)
        if self._waits:
            loop.call_later(self._interval, self._look, loop)
        else:
            self._loop = None

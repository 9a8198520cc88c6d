"""Bodies on their way through the proxy, either way, chunk by chunk.

Laws: nothing is held but the chunk at hand (and a beginning of a secret at its end). A body that is
longer or shorter than it said, or than it may be, breaks off; it never ends as if it were whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager

from openbolt.errors import (
    InvalidRequestError,
    OpenBoltError,
    PayloadTooLargeError,
    UpstreamError,
    UpstreamTimeoutError,
)
from openbolt.http import Request
from openbolt.lifetime import current_task

__all__ = [
    "AnswerTooLargeError",
    "Deadline",
    "SecretMask",
    "Upload",
    "relayed",
    "while_wanted",
]

_SHORTEST_SECRET = 8


class AnswerTooLargeError(UpstreamError):
    """An upstream's answer is over its limit."""

    code = "upstream_too_large"


class Upload:
    """A request's body as it is read by a sender, once.

    Attributes:
        declared: Its length, where the request says it.
        begun: Something was read of it: it can't be sent again.
        failure: Why it broke off; what a sender makes of that says less.
        whole: Set at its end.
    """

    def __init__(
        self, chunks: AsyncIterator[bytes], *, first: bytes, declared: int | None, limit: int
    ) -> None:
        self.declared = declared
        self.begun = False
        self.failure: OpenBoltError | None = None
        self.whole = asyncio.Event()
        self._chunks = chunks
        self._first = first
        self._limit = limit
        self._size = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        self.begun = True
        try:
            chunk = await self._next()
            if chunk is not None:
                self._check(chunk)
                return chunk
            if self.declared is not None and self._size != self.declared:
                raise InvalidRequestError("The request's body broke off.", code="incomplete_body")
        except OpenBoltError as error:
            self.failure = error
            raise
        self.whole.set()
        raise StopAsyncIteration

    async def _next(self) -> bytes | None:
        if self._first:
            first, self._first = self._first, b""
            return first
        return await anext(self._chunks, None)

    def _check(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > self._limit:
            raise PayloadTooLargeError(f"The body is over {self._limit} bytes.")
        if self.declared is not None and self._size > self.declared:
            raise InvalidRequestError("The body is longer than it says.", code="malformed_request")


class SecretMask:
    """Writes asterisks over secrets in a body, wherever its chunks are cut.

    Secrets of fewer than 8 characters are left: they stand in much else.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = [s.encode() for s in secrets if len(s) >= _SHORTEST_SECRET]
        self._held = b""

    def __bool__(self) -> bool:
        return bool(self._secrets)

    def feed(self, chunk: bytes) -> bytes:
        """What is safe to pass on; what may become a secret is held back."""
        data = self._held + chunk if self._held else chunk
        for secret in self._secrets:
            if secret in data:
                data = data.replace(secret, b"*" * len(secret))
        held = max((_overlap(data, secret) for secret in self._secrets), default=0)
        self._held = data[len(data) - held :]
        return data[: len(data) - held] if held else data

    def finish(self) -> bytes:
        """What was held back."""
        held, self._held = self._held, b""
        return held


def _overlap(data: bytes, secret: bytes) -> int:
    """How many bytes at the end of the data are a beginning of the secret."""
    at = max(0, len(data) - len(secret) + 1)
    while (at := data.find(secret[:1], at)) >= 0:
        if secret.startswith(data[at:]):
            return len(data) - at
        at += 1
    return 0


class Deadline:
    """When a whole exchange has to be over. One timer, whatever the number of chunks."""

    def __init__(self, seconds: float, who: str) -> None:
        self._who = who
        self._reading: asyncio.Task[object] | None = None
        self._ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._at = loop.time() + seconds
        self._timer = loop.call_later(seconds, self._end)

    def _end(self) -> None:
        self._ended.set()
        if self._reading is not None:
            self._reading.cancel()

    def close(self) -> None:
        """Stop the timer."""
        self._timer.cancel()

    @asynccontextmanager
    async def held(self) -> AsyncGenerator[None]:
        """For what has to be over by then."""
        scope = asyncio.timeout_at(self._at)
        try:
            async with scope:
                yield
        except TimeoutError:
            if scope.expired():
                raise self._error() from None
            raise

    async def next(self, chunks: AsyncIterator[bytes]) -> bytes | None:
        """The next chunk; None at the end."""
        if self._ended.is_set():
            raise self._error()
        task = self._reading = current_task()
        cancelling = task.cancelling()
        try:
            return await anext(chunks, None)
        except asyncio.CancelledError:
            if self._ended.is_set() and task.uncancel() <= cancelling:
                raise self._error() from None
            raise
        finally:
            self._reading = None

    def _error(self) -> UpstreamTimeoutError:
        return UpstreamTimeoutError(f"{self._who} took too long.")


async def relayed(
    chunks: AsyncIterator[bytes],
    deadline: Deadline,
    mask: SecretMask,
    /,
    *,
    declared: int | None,
    limit: int,
) -> AsyncGenerator[bytes]:
    """An answer's body as it is sent on.

    Raises:
        UpstreamError: It broke off, took too long, is over its limit, or isn't as long as it said.
    """
    size = 0
    masked = bool(mask)
    while (chunk := await deadline.next(chunks)) is not None:
        size += len(chunk)
        if size > limit:
            raise AnswerTooLargeError(f"The upstream's answer is over {limit} bytes.")
        if masked:
            chunk = mask.feed(chunk)
        if chunk:
            yield chunk
    if declared is not None and size != declared:
        raise UpstreamError("The upstream's answer broke off.")
    if masked and (rest := mask.finish()):
        yield rest


@asynccontextmanager
async def while_wanted(request: Request, upload: Upload | None, /) -> AsyncGenerator[None]:
    """Go on only while the client is there.

    While its body is read the body itself tells; from its end on, the connection does.

    Raises:
        InvalidRequestError: The client has gone; code ``client_gone``.
    """
    gone = request.context.gone
    if gone is None:
        yield
        return
    async with _client_gone_as_error() as scope:

        async def watch() -> None:
            if upload is not None:
                await upload.whole.wait()
            await gone()
            scope.reschedule(0)

        watching = asyncio.ensure_future(watch())
        try:
            yield
        finally:
            watching.cancel()


@asynccontextmanager
async def _client_gone_as_error() -> AsyncGenerator[asyncio.Timeout]:
    scope = asyncio.timeout(None)
    try:
        async with scope:
            yield scope
    except TimeoutError:
        if scope.expired():
            raise InvalidRequestError("The client has gone.", code="client_gone") from None
        raise

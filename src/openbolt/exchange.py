"""One request and its response over ASGI, and what is known of the client at their other end.

Laws: those of `openbolt.asgi`, whose half this is. A request has at most one task that watches for
its client's going, made when somebody first wants to know; and a chunk of a stream costs nothing
but being asked for, a look at the clock, and being sent.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, MutableMapping
from time import monotonic
from typing import Any

from openbolt.edge import NEVER, BodyPace, EdgeLimits, RequestTimeoutError, Wait, Waits
from openbolt.errors import InvalidRequestError
from openbolt.guards import error_response
from openbolt.http import ByteStream, Response
from openbolt.lifetime import current_task

__all__ = ["Inbound", "Message", "Outbound", "Receive", "Scope", "Send"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_log = logging.getLogger("openbolt")

# Neither a body in memory nor a server whose client has gone ever waits; the event loop must turn.
_CHUNKS_IN_A_ROW = 32

# What a server is handed at once, so that a client that takes some of it shows: several servers
# return only when most of a message is with the client.
_PIECE = 65_536

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_BODILESS = frozenset({204, 304})


class Inbound:
    """The request's body, then the news that its client has gone.

    Both come through one ``receive``, which must not be called twice at a time. The watch reads on
    in case the client goes; it holds at most one chunk for a body that is being read (so that an
    upload waits for its reader) and drops a body that nobody reads.

    Attributes:
        is_gone: The client has gone, as far as anybody looked.
        is_late: The body came too slowly.
    """

    def __init__(self, receive: Receive, limits: EdgeLimits, waits: Waits) -> None:
        self.is_gone = False
        self.is_late = False
        self._receive = receive
        self._waits = waits
        self._pace = BodyPace(limits)
        self._turn = asyncio.Lock()
        self._held = b""
        self._taken: asyncio.Event | None = None
        self._is_read = False
        self._dropped = False
        self._whole = False
        self._watch: asyncio.Task[None] | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._to_cut: Wait | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        self._is_read = True
        return self

    async def __anext__(self) -> bytes:
        # No turn is waited for once the body is whole: the watch then keeps it to the end.
        if not self._has_news():
            await self._wait()
        if self._held:
            chunk, self._held = self._held, b""
            if self._taken is not None:
                self._taken.set()
            self._pace.came(len(chunk))
            return chunk
        if self._dropped:
            raise RuntimeError("This body was dropped: nobody read it before its response began.")
        if self._whole:
            raise StopAsyncIteration
        raise InvalidRequestError("The request's body broke off.", code="incomplete_body")

    async def _wait(self) -> None:
        began, wait = monotonic(), Wait(current_task())
        wait.due = began + self._pace.patience()
        self._waits.add(wait)
        try:
            await self._turn.acquire()
            try:
                while not self._has_news():
                    self._held = await self._next()
            finally:
                self._turn.release()
        except asyncio.CancelledError:
            if not wait.is_own():
                raise
            self.is_late = True
            raise RequestTimeoutError("The request's body comes too slowly.") from None
        finally:
            self._waits.discard(wait)
        self._pace.waited(monotonic() - began)

    def _has_news(self) -> bool:
        return bool(self._held) or self._dropped or self._whole or self.is_gone

    async def aclose(self) -> None:
        self._is_read = False
        self._held = b""
        if self._taken is not None:
            self._taken.set()

    async def _next(self) -> bytes:
        try:
            message = await self._receive()
        except Exception as error:
            _log.debug("The server has nothing more of a request: %s", error, exc_info=error)
            message = None
        if message is None or message["type"] == "http.disconnect":
            self.is_gone = True
            return b""
        self._whole = not message.get("more_body", False)
        return bytes(message.get("body", b""))

    def gone(self) -> asyncio.Future[None]:
        """A future of the caller's own, which is done when the client has gone."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.is_gone:
            future.set_result(None)
        else:
            self._waiters.append(future)
            self._look_out()
        return future

    def cut_when_gone(self, wait: Wait) -> bool:
        """Cut a wait of the caller's short when the client goes; False if it has gone already."""
        self._to_cut = wait
        self._look_out()
        return not self.is_gone

    def leave_alone(self) -> None:
        """Cut that wait no more."""
        self._to_cut = None

    def end(self) -> None:
        """The exchange is over: whoever still waits for the client's going need wait no more."""
        self.is_gone = True
        watch, self._watch = self._watch, None  # or each would keep the other from being freed
        if watch is not None:
            watch.cancel()
        if self._waiters:
            self._tell()

    def _look_out(self) -> None:
        if self._watch is None and not self.is_gone:
            self._watch = asyncio.get_running_loop().create_task(self._until_gone())

    async def _until_gone(self) -> None:
        while not self.is_gone:
            if self._held and self._is_read:
                self._taken = asyncio.Event()
                await self._taken.wait()
            await self._turn.acquire()
            try:
                if self._held or self.is_gone:
                    continue
                chunk = await self._next()
                if self._is_read:
                    self._held = chunk
                elif chunk:
                    self._dropped = True
            finally:
                self._turn.release()
        self._tell()

    def _tell(self) -> None:
        for future in self._waiters:
            if not future.done():
                future.set_result(None)
        if self._to_cut is not None:
            self._to_cut.cut()


class Outbound:
    """The way to the client, for one response.

    Attributes:
        task: The one that sends.
    """

    def __init__(
        self, send: Send, inbound: Inbound, limits: EdgeLimits, waits: Waits, *, is_head: bool
    ) -> None:
        self.task = current_task()
        self._wait = Wait(self.task)
        self._send = send
        self._inbound = inbound
        self._limit = limits.write_timeout
        self._waits = waits
        self._is_head = is_head

    def answer(self, response: Response) -> Coroutine[Any, Any, None]:
        """Send a response; its body is closed when this has returned or raised."""
        self._waits.add(self._wait)
        body = response.body
        has_no_body = self._is_head or response.status in _BODILESS
        try:
            start = _start(response)
        except ValueError as error:
            _log.error("A response header can't be sent: %s", error, exc_info=error)
            request_id = response.headers.get("x-request-id") or ""
            failed = error_response(error, request_id=request_id)
            return self._send_instead(failed, body)
        if isinstance(body, bytes):
            return self._send_bytes(start, b"" if has_no_body else body)
        if has_no_body:
            return self._send_head(start, body)
        return self._send_stream(start, body, response.headers.get("x-request-id") or "")

    def is_cut(self) -> bool:
        """Whether the task was cancelled because its client went, or took nothing for too long, and
        for nothing else; such a cancellation is taken back.
        """
        return self._wait.is_own()

    def end(self) -> None:
        """Nothing more is sent."""
        self._waits.discard(self._wait)
        if self._wait.is_late:
            _log.info("A client took nothing for %g s; its response is cut off.", self._limit)

    async def _send_instead(self, failed: Response, body: bytes | ByteStream) -> None:
        await _close(body)
        await self.answer(failed)

    async def _send_head(self, start: Message, body: ByteStream) -> None:
        await _close(body)
        await self._send_bytes(start, b"")

    async def _send_bytes(self, start: Message, body: bytes) -> None:
        if not await self._hand_over(start):
            return
        if len(body) > _PIECE:
            if not await self._hand_over_pieces(body):
                return
            body = b""
        await self._hand_over(_end(body))

    async def _send_stream(self, start: Message, body: ByteStream, request_id: str) -> None:
        wait, send, limit = self._wait, self._send, self._limit
        is_whole = False
        try:
            if not await self._hand_over(start) or not self._inbound.cut_when_gone(wait):
                return
            del start  # as large as all else that is kept here while a long stream runs
            count = 0
            async for chunk in body:
                count += 1
                if not count % _CHUNKS_IN_A_ROW:
                    await asyncio.sleep(0)
                if wait.is_cut:  # and the body swallowed the cancellation
                    break
                if len(chunk) > _PIECE:
                    if not await self._hand_over_pieces(chunk):
                        break
                elif chunk:
                    wait.due = monotonic() + limit
                    try:
                        await send({"type": "http.response.body", "body": chunk, "more_body": True})
                    except OSError as error:
                        _note_gone(error)
                        break
                    wait.due = NEVER
            else:
                is_whole = not self._is_over()
        except asyncio.CancelledError:
            if not wait.is_cut:
                raise
        except Exception as error:
            # What a body raises because its client went away is no news.
            if not self._is_over():
                _log.error("The response to request %s broke off", request_id, exc_info=error)
                raise
        finally:
            self._inbound.leave_alone()
            wait.due = NEVER
            is_cancelled = wait.is_cut and not wait.is_own()
            await _close(body)
            if is_cancelled:
                raise asyncio.CancelledError
        # Last, so that whatever the body held is free when the client sees its end.
        if is_whole:
            await self._hand_over(_end(b""))

    def _is_over(self) -> bool:
        return self._wait.is_cut or self._inbound.is_gone

    async def _hand_over(self, message: Message) -> bool:
        """Whether the server took a message; it does until it knows that the client has gone."""
        self._wait.due = monotonic() + self._limit
        try:
            await self._send(message)
        except OSError as error:
            _note_gone(error)
            return False
        finally:
            self._wait.due = NEVER
        return True

    async def _hand_over_pieces(self, body: bytes) -> bool:
        for piece in _pieces(body):
            part = {"type": "http.response.body", "body": piece, "more_body": True}
            if not await self._hand_over(part):
                return False
        return True


def _note_gone(error: OSError) -> None:
    _log.debug("The client went away: %s", error)


def _pieces(body: bytes) -> Iterator[bytes]:
    return (body[at : at + _PIECE] for at in range(0, len(body), _PIECE))


async def _close(body: bytes | ByteStream) -> None:
    if isinstance(body, bytes):
        return
    try:
        await body.aclose()
    except Exception as error:
        _log.error("Closing a response body failed: %s", error, exc_info=error)


def _start(response: Response) -> Message:
    names = [name for name, _ in response.headers.items]
    headers = _encoded(names, [value for _, value in response.headers.items]) if names else []
    body = response.body
    has_length = "content-length" in names or response.status in _BODILESS
    if isinstance(body, bytes) and not has_length:
        headers.append((b"content-length", b"%d" % len(body)))
    return {"type": "http.response.start", "status": response.status, "headers": headers}


def _encoded(names: list[str], values: list[str]) -> list[tuple[bytes, bytes]]:
    """Fields in bytes; all are looked at and encoded at once, for a response has some fifteen."""
    # Not every server checks, and a line break in a value would be a header of the client's.
    text = "".join([*names, *values])
    if not text.isprintable() and _CONTROL.search(text):
        raise ValueError(f"A header has a control character, one of {', '.join(names)}.")
    lines = "\n".join(names).encode("ascii"), "\n".join(values).encode("latin-1")
    return list(zip(lines[0].split(b"\n"), lines[1].split(b"\n"), strict=True))


def _end(body: bytes) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": False}

"""A handler as an ASGI app; the only module that knows ASGI (asyncio servers).

Laws: a response body is closed exactly once, whatever ends it. A client that goes away ends its
stream within a moment, and never a handler that has not answered yet: a write runs to its end. A
stream that breaks is cut off, so that no client takes a part for the whole. A client that sends or
takes nothing for too long counts as gone (`openbolt.edge`).
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterator,
    MutableMapping,
)
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

from openbolt.edge import BodyPace, EdgeLimits, RequestTimeoutError
from openbolt.errors import ConfigurationError, InvalidRequestError
from openbolt.guards import answer_errors, error_response
from openbolt.http import ByteStream, Handler, Headers, Request, RequestContext, Response
from openbolt.lifetime import Lifetime, Work, current_task

if TYPE_CHECKING:
    from openbolt.app import Dependencies
    from openbolt.settings import Settings

__all__ = ["HandlerApp", "asgi_app", "serve_handler"]

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


def asgi_app(
    open_dependencies: Callable[[Settings], AbstractAsyncContextManager[Dependencies]],
    settings: Settings,
    /,
) -> HandlerApp:
    """The application as an ASGI app, to serve alone or to mount in another one.

    Args:
        open_dependencies: A backend's, as ``openbolt_local.open_dependencies``.
        settings: Handed to it and to `openbolt.OpenBolt`; ``shutdown_grace`` and the limits of
            `openbolt.edge` are used here.
    """

    @asynccontextmanager
    async def open_handler() -> AsyncGenerator[Handler]:
        from openbolt.app import OpenBolt

        async with open_dependencies(settings) as dependencies:
            yield OpenBolt(dependencies, settings)

    limits = EdgeLimits.of(settings)
    return serve_handler(open_handler, shutdown_grace=settings.shutdown_grace, limits=limits)


def serve_handler(
    open_handler: Callable[[], AbstractAsyncContextManager[Handler]],
    /,
    *,
    shutdown_grace: float = 10.0,
    limits: EdgeLimits | None = None,
) -> HandlerApp:
    """Any handler as an ASGI app (`HandlerApp`)."""
    return HandlerApp(open_handler, shutdown_grace=shutdown_grace, limits=limits)


class HandlerApp:
    """An ASGI app around a handler that has to be opened.

    It opens at lifespan startup, or at its first request: a mounted app gets no lifespan from its
    parent. It is opened once however many requests wait for it; a failure is not kept, so the next
    request tries again. It belongs to the event loop that opened it until it is closed.

    Args:
        open_handler: Entered and left in one task of its own, which belongs to no request.
        shutdown_grace: Seconds that requests and spawned work may take at shutdown before they
            are cancelled.
        limits: What a client may cost; the defaults if None.
    """

    def __init__(
        self,
        open_handler: Callable[[], AbstractAsyncContextManager[Handler]],
        /,
        *,
        shutdown_grace: float = 10.0,
        limits: EdgeLimits | None = None,
    ) -> None:
        self._open_handler = open_handler
        self._shutdown_grace = shutdown_grace
        self._limits = limits or EdgeLimits()
        self._lifetime: Lifetime | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Speak ASGI 3."""
        kind = scope["type"]
        if kind == "http":
            await self._answer(scope, receive, send)
        elif kind == "lifespan":
            await self._live(receive, send)
        elif kind == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000, "reason": ""})
        else:
            raise ValueError(f"openbolt speaks http and lifespan, not {kind!r}.")

    @asynccontextmanager
    async def lifespan(self, _parent: object = None, /) -> AsyncGenerator[None]:
        """Open now and close at the end: a parent's ``lifespan``, which this app, mounted, has
        no other way to hear of.
        """
        await self._opened()
        try:
            yield
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Let work end, cancel what doesn't within the grace, and close the handler.

        For a parent that mounts this app; lifespan shutdown does the same. A later request opens
        the handler again.

        Raises:
            RuntimeError: It was opened in another event loop.
        """
        lifetime = self._lifetime
        if lifetime is None or lifetime.is_over:
            return
        lifetime.check_loop()
        await lifetime.end()

    async def _opened(self) -> tuple[Handler, Work]:
        while True:
            lifetime = self._lifetime
            if lifetime is None or lifetime.is_over:
                lifetime = self._lifetime = Lifetime(self._open_handler, grace=self._shutdown_grace)
            lifetime.check_loop()
            try:
                handler = await lifetime.handler()
            except Exception as error:
                raise _NotOpenedError from error
            if not lifetime.is_closing:
                return handler, lifetime.work
            await lifetime.over()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        inbound = _Inbound(receive, self._limits)
        is_head = scope["method"] == "HEAD"
        refusal = self._limits.refusal(scope)
        if refusal is not None:
            await _send(_parting(error_response(refusal), scope), is_head, inbound, send)
            return
        try:
            handler, work = await self._opened()
        except _NotOpenedError as error:
            _log.error("The application can't be opened", exc_info=error.__cause__)
            await _send(error_response(error), is_head, inbound, send)
            return
        with work.request():
            response = await answer_errors(handler)(_request(scope, inbound, work.spawn))
            if inbound.is_late:
                response = _parting(response, scope)
            await _send(response, is_head, inbound, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self._opened()
        except _NotOpenedError as failure:
            await send({"type": "lifespan.startup.failed", "message": _say(failure.__cause__)})
            return
        try:
            await send({"type": "lifespan.startup.complete"})
            await receive()
        except BaseException:
            await self.aclose()
            raise
        try:
            await self.aclose()
        except Exception as error:
            await send({"type": "lifespan.shutdown.failed", "message": _say(error)})
            return
        await send({"type": "lifespan.shutdown.complete"})


def _parting(response: Response, scope: Scope) -> Response:
    """A response after which nothing more is read from its connection."""
    if not scope.get("http_version", "1.1").startswith("1"):
        return response  # from HTTP/2 on it's the request's own stream that ends
    return response.with_headers({"connection": "close"})


class _NotOpenedError(Exception):
    """The handler can't be opened; the cause says why."""


def _say(error: BaseException | None) -> str:
    """An error as the server prints it; one that isn't plain text for operators is logged, too."""
    if isinstance(error, ConfigurationError):
        return str(error)
    _log.error("The application failed to start or to stop", exc_info=error)
    return f"{type(error).__name__}: {error}"


class _Inbound:
    """The request's body, then the news that its client has gone.

    Both come through one ``receive``, which must not be called twice at a time. While a response
    streams the watch reads on in case the client goes; it holds at most one chunk for a body that
    is being read (so that an upload waits for its reader) and drops a body that nobody reads.
    """

    def __init__(self, receive: Receive, limits: EdgeLimits) -> None:
        self.limits = limits
        self.is_late = False
        self._pace = BodyPace(limits)
        self._receive = receive
        self._turn = asyncio.Lock()
        self._held = b""
        self._taken = asyncio.Event()
        self._is_read = False
        self._dropped = False
        self._whole = False
        self.is_gone = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        self._is_read = True
        return self

    async def __anext__(self) -> bytes:
        # No turn is waited for once the body is whole: the watch then keeps it to the end.
        if not self._has_news():
            await self._wait()
        if self._held:
            chunk, self._held = self._held, b""
            self._taken.set()
            self._pace.came(len(chunk))
            return chunk
        if self._dropped:
            raise RuntimeError("This body was dropped: nobody read it before its response began.")
        if self._whole:
            raise StopAsyncIteration
        raise InvalidRequestError("The request's body broke off.", code="incomplete_body")

    async def _wait(self) -> None:
        clock = asyncio.get_running_loop().time
        began, patience = clock(), self._pace.patience()
        waiting = asyncio.timeout(patience)
        try:
            async with waiting, self._turn:
                while not self._has_news():
                    self._held = await self._next()
        except TimeoutError:
            if not waiting.expired():
                raise
            self.is_late = True
            raise RequestTimeoutError("The request's body comes too slowly.") from None
        self._pace.waited(clock() - began)

    def _has_news(self) -> bool:
        return bool(self._held) or self._dropped or self._whole or self.is_gone

    async def aclose(self) -> None:
        self._is_read = False
        self._held = b""
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

    async def until_gone(self) -> None:
        """Return once the client has gone."""
        while not self.is_gone:
            if self._held and self._is_read:
                self._taken.clear()
                await self._taken.wait()
            async with self._turn:
                if self._held or self.is_gone:
                    continue
                chunk = await self._next()
                if self._is_read:
                    self._held = chunk
                elif chunk:
                    self._dropped = True


class _DisconnectWatch:
    """Cancels the task that made it when the client goes, or takes nothing for too long.

    One task and one timer for a whole stream, so that a chunk costs nothing but being sent. Made
    and stopped as `asyncio.timeout` is: its own cancellation is taken back, others are left alone.

    Attributes:
        since: When the server was handed what it hasn't passed on yet.
    """

    def __init__(self, inbound: _Inbound) -> None:
        self.gone = False
        self.since: float | None = None
        self._sender = current_task()
        self._cancelling = self._sender.cancelling()
        self._armed = True
        self._limit = inbound.limits.write_timeout
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(self._limit, self._look)
        self._task = self._loop.create_task(self._watch(inbound))

    async def _watch(self, inbound: _Inbound) -> None:
        await inbound.until_gone()
        self._end()

    def _look(self) -> None:
        now = self._loop.time()
        if self.since is not None and now - self.since >= self._limit:
            _log.info("A client took nothing for %g s; its response is cut off.", self._limit)
            self._end()
        else:
            self._timer = self._loop.call_at((self.since or now) + self._limit, self._look)

    def _end(self) -> None:
        if self._armed and not self.gone:
            self.gone = True
            self._sender.cancel()

    async def stop(self) -> None:
        self._armed = False
        self._timer.cancel()
        if not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    def is_cancelled_from_outside(self) -> bool:
        """Whether somebody else cancelled the task; takes back the watch's own cancellation."""
        return self._sender.uncancel() > self._cancelling


class _ClientGoneError(Exception):
    """The server refused to send any more, or the client to take it."""


async def _deliver(send: Send, message: Message, limits: EdgeLimits) -> None:
    try:
        async with asyncio.timeout(limits.write_timeout):
            await send(message)
    except OSError as error:  # a TimeoutError is one, too
        raise _ClientGoneError from error


def _pieces(body: bytes) -> Iterator[bytes]:
    return (body[at : at + _PIECE] for at in range(0, len(body), _PIECE))


async def _send(response: Response, is_head: bool, inbound: _Inbound, send: Send) -> None:
    """Send a response; the body is closed when this returns or raises."""
    body, limits = response.body, inbound.limits
    has_no_body = is_head or response.status in {204, 304}
    try:
        start = _start(response)
    except ValueError as error:
        _log.error("A response header can't be sent: %s", error, exc_info=error)
        await _close(body)
        response = error_response(error, request_id=response.headers.get("x-request-id") or "")
        body, start = response.body, _start(response)
    try:
        if isinstance(body, bytes):
            await _deliver(send, start, limits)
            if len(body) > _PIECE and not has_no_body:
                for piece in _pieces(body):
                    await _deliver(send, _part(piece), limits)
                body = b""
            await _deliver(send, _end(b"" if has_no_body else body), limits)
        elif has_no_body:
            await _close(body)
            await _deliver(send, start, limits)
            await _deliver(send, _end(b""), limits)
        else:
            await _send_stream(body, start, inbound, send)
    except _ClientGoneError as error:
        _log.debug("The client went away: %s", error.__cause__)


async def _send_stream(body: ByteStream, start: Message, inbound: _Inbound, send: Send) -> None:
    try:
        await _deliver(send, start, inbound.limits)
        is_whole = await _pump(body, inbound, send)
    except Exception as error:
        if not isinstance(error, _ClientGoneError):
            request_id = dict(start["headers"]).get(b"x-request-id", b"").decode("latin-1")
            _log.error("The response to request %s broke off", request_id, exc_info=error)
        raise
    finally:
        await _close(body)
    # Last, so that whatever the body held is free when the client sees its end.
    if is_whole:
        await _deliver(send, _end(b""), inbound.limits)


async def _pump(body: ByteStream, inbound: _Inbound, send: Send) -> bool:
    """Send every chunk; False if the client went away before the end."""
    watch = _DisconnectWatch(inbound)
    clock = asyncio.get_running_loop().time
    try:
        try:
            count = 0
            async for chunk in body:
                count += 1
                if not count % _CHUNKS_IN_A_ROW:
                    await asyncio.sleep(0)
                if watch.gone:  # a body that swallowed the cancellation
                    break
                if chunk:
                    watch.since = clock()
                    try:
                        if len(chunk) <= _PIECE:
                            await send(_part(chunk))
                        else:
                            for piece in _pieces(chunk):
                                watch.since = clock()
                                await send(_part(piece))
                    except OSError as error:
                        raise _ClientGoneError from error
                    watch.since = None
        finally:
            await watch.stop()
    except Exception:
        # What a body raises because its client went away is no news.
        if not (inbound.is_gone or watch.gone):
            raise
    except asyncio.CancelledError:
        if not watch.gone:
            raise
    if watch.gone and watch.is_cancelled_from_outside():
        raise asyncio.CancelledError
    return not (inbound.is_gone or watch.gone)


async def _close(body: bytes | ByteStream) -> None:
    if isinstance(body, bytes):
        return
    try:
        await body.aclose()
    except Exception as error:
        _log.error("Closing a response body failed: %s", error, exc_info=error)


def _start(response: Response) -> Message:
    headers = [_encode(name, value) for name, value in response.headers.items]
    body = response.body
    has_length = "content-length" in response.headers or response.status in {204, 304}
    if isinstance(body, bytes) and not has_length:
        headers.append((b"content-length", b"%d" % len(body)))
    return {"type": "http.response.start", "status": response.status, "headers": headers}


def _encode(name: str, value: str) -> tuple[bytes, bytes]:
    # Not every server checks, and a line break in a value would be a header of the client's.
    if _CONTROL.search(name + value):
        raise ValueError(f"Header {name!r} has a control character.")
    return name.encode("ascii"), value.encode("latin-1")


def _part(body: bytes) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": True}


def _end(body: bytes) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": False}


def _request(
    scope: Scope, inbound: _Inbound, spawn: Callable[[Coroutine[Any, Any, None]], None]
) -> Request:
    root_path = str(scope.get("root_path") or "").rstrip("/")
    client = scope.get("client")
    return Request(
        method=scope["method"],
        path=_path_below(root_path, scope["path"], scope.get("raw_path") or b""),
        headers=Headers(
            [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        ),
        body=inbound,
        context=RequestContext(
            spawn=spawn, client=client[0] if client else None, gone=inbound.until_gone
        ),
        query=scope.get("query_string", b"").decode("latin-1"),
        scheme=scope.get("scheme", "http"),
        root_path=root_path,
    )


def _path_below(root_path: str, path: str, raw_path: bytes) -> str:
    """The path below the mount point.

    By the specification ``path`` begins with ``root_path``; older servers and frameworks have
    taken it off already. Litestar ends a mounted path in a slash, though nobody asked for one.
    """
    if root_path and (path == root_path or path.startswith(root_path + "/")):
        path = path[len(root_path) :]
    if path.endswith("/") and raw_path and not raw_path.lower().endswith((b"/", b"%2f")):
        path = path[:-1]
    return path or "/"

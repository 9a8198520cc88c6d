"""A handler as an ASGI app; with `openbolt.exchange` all that knows ASGI (asyncio servers).

Laws: a response body is closed exactly once, whatever ends it. A client that goes away ends its
stream within a moment, and never a handler that has not answered yet: a write runs to its end. A
stream that breaks is cut off, so that no client takes a part for the whole. A client that sends or
takes nothing for too long counts as gone (`openbolt.edge`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

from openbolt.edge import EdgeLimits, Waits
from openbolt.errors import ConfigurationError
from openbolt.exchange import Inbound, Outbound, Receive, Scope, Send
from openbolt.guards import answer_to, error_response
from openbolt.http import Handler, Headers, Request, RequestContext, Response
from openbolt.lifetime import Lifetime, Work

if TYPE_CHECKING:
    from openbolt.app import Dependencies
    from openbolt.settings import Settings

__all__ = ["HandlerApp", "asgi_app", "serve_handler"]

_log = logging.getLogger("openbolt")


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
        self._waits = Waits(self._limits)
        self._lifetime: Lifetime | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Speak ASGI 3."""
        if scope["type"] != "http":
            await self._speak(scope, receive, send)
            return
        inbound = Inbound(receive, self._limits, self._waits)
        is_head = scope["method"] == "HEAD"
        outbound = Outbound(send, inbound, self._limits, self._waits, is_head=is_head)
        work: Work | None = None
        try:
            refusal = self._limits.refusal(scope)
            if refusal is not None:
                await outbound.answer(_parting(error_response(refusal), scope))
                return
            try:
                handler, work = self._open() or await self._opened()
            except _NotOpenedError as error:
                _log.error("The application can't be opened", exc_info=error.__cause__)
                await outbound.answer(error_response(error))
                return
            work.begin(outbound.task)
            request = _request(scope, inbound, work.spawn)
            try:
                response = await handler(request)
            except Exception as error:
                response = answer_to(error, request)
            if inbound.is_late:
                response = _parting(response, scope)
            sending = outbound.answer(response)
            del request, response  # or a long stream would keep their headers for as long
            await sending
        except asyncio.CancelledError:
            if not outbound.is_cut():
                raise
        finally:
            outbound.end()
            inbound.end()
            if work is not None:
                work.end(outbound.task)

    async def _speak(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "lifespan":
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

    def _open(self) -> tuple[Handler, Work] | None:
        """What is open; None if it has to be waited for."""
        lifetime = self._lifetime
        handler = None if lifetime is None else lifetime.open_handler
        return None if lifetime is None or handler is None else (handler, lifetime.work)

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


def _request(
    scope: Scope, inbound: Inbound, spawn: Callable[[Coroutine[Any, Any, None]], None]
) -> Request:
    root_path = str(scope.get("root_path") or "").rstrip("/")
    client = scope.get("client")
    fields = [(n.decode("latin-1").lower(), v.decode("latin-1")) for n, v in scope["headers"]]
    return Request(
        method=scope["method"],
        path=_path_below(root_path, scope["path"], scope.get("raw_path") or b""),
        headers=Headers.lowered(tuple(fields)),
        body=inbound,
        context=RequestContext(
            spawn=spawn, client=client[0] if client else None, gone=inbound.gone
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

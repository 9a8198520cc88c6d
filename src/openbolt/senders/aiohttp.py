"""`HttpSender` on aiohttp: the cheapest per streamed token.

Law: nothing happens that the request didn't ask for (no redirect, cookie, decoding, proxy or
header of our own), and aiohttp's errors end here.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from types import TracebackType
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from multidict import CIMultiDict
from yarl import URL

from openbolt.errors import InvalidRequestError, NotSupportedError
from openbolt.http import Headers
from openbolt.protocols import OutboundRequest, OutboundResponse, Timeouts
from openbolt.senders._failures import cut_off, timed_out, unreachable

__all__ = ["AiohttpSender"]

_AT_ONCE = 65_536
_AUTOMATIC = ("accept", "accept-encoding", "content-type", "user-agent")


class AiohttpSender:
    """Sends with one lazily opened session, closed by `aclose`.

    A call with ``connect_to`` gets a connection of its own, which is never used again. A head that
    comes in drips ends ``connect`` and ``first_byte`` after the call's last byte was handed over.

    Args:
        session: Yours, with its pool, TLS and cookies, which you close; then ``connect_to`` is a
            `NotSupportedError`, because a shared pool can't promise the address, and aiohttp sends
            a GET, PUT or DELETE once more where the connection broke before its answer.
        tls: For the sessions opened here; None verifies against the system's authorities.
        max_connections: At once; further calls wait, up to ``timeouts.connect``.
        keepalive: Seconds that an idle connection is kept.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        max_connections: int = 1000,
        keepalive: float = 30.0,
    ) -> None:
        self._given = session
        self._tls = tls
        self._max_connections = max_connections
        self._keepalive = keepalive
        self._pooled: aiohttp.ClientSession | None = None
        self._pinned: aiohttp.ClientSession | None = None

    async def aclose(self) -> None:
        """Close the sessions opened here. A later call opens new ones."""
        sessions = (self._pooled, self._pinned)
        self._pooled = self._pinned = None
        for session in sessions:
            if session is not None:
                await session.close()

    def send(self, request: OutboundRequest, /) -> AbstractAsyncContextManager[OutboundResponse]:
        """Send; see `HttpSender.send`."""
        # A session opened here adds no field by itself; one that was handed in has to be told.
        skipped = None if self._given is None else _AUTOMATIC
        return _Exchange(request, self._session, skipped)

    def _session(self, *, pinned: bool) -> aiohttp.ClientSession:
        if self._given is not None:
            if pinned:
                raise NotSupportedError("A session that was handed in can't be told the address.")
            return self._given
        session = self._pinned if pinned else self._pooled
        if session is None:
            session = self._open(pinned=pinned)
            if pinned:
                self._pinned = session
            else:
                self._pooled = session
        return session

    def _open(self, *, pinned: bool) -> aiohttp.ClientSession:
        tls: ssl.SSLContext | bool = self._tls if self._tls is not None else True
        if pinned:
            connector = _Connector(limit=self._max_connections, ssl=tls, force_close=True)
        else:
            connector = _Connector(
                limit=self._max_connections, ssl=tls, keepalive_timeout=self._keepalive
            )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            response_class=_SentOnce,
            skip_auto_headers=_AUTOMATIC,
            trust_env=False,
        )


class _Exchange:
    """One call: answered once it is entered; left, its connection goes back whole or is closed."""

    def __init__(
        self,
        request: OutboundRequest,
        open_session: Callable[..., aiohttp.ClientSession],
        skipped: tuple[str, ...] | None,
    ) -> None:
        self._request = request
        self._open_session = open_session
        self._skipped = skipped
        self._body: _Body | None = None

    async def __aenter__(self) -> OutboundResponse:
        request = self._request
        try:
            response = await self._answer()
        except TimeoutError as error:
            sent = not isinstance(error, aiohttp.ConnectionTimeoutError)
            raise timed_out(request.url, error, sent=sent) from error
        except aiohttp.ClientConnectorError as error:
            raise unreachable(request.url, error) from error
        except (aiohttp.ClientError, OSError) as error:
            raise cut_off(request.url, error) from error
        except ValueError as error:
            raise InvalidRequestError("The request can't be written as HTTP.") from error
        del self._request  # its body can be large, and this lasts for as long as the answer
        self._body = _Body(response, request.url, request.timeouts.idle)
        return OutboundResponse(response.status, _headers(response), self._body)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        body, self._body = self._body, None
        if body is not None:
            body.close()

    async def _answer(self) -> aiohttp.ClientResponse:
        """Send; the answer's head has come."""
        request = self._request
        limits = request.timeouts
        url = _url(request.url)
        fields = CIMultiDict(request.headers.items)
        fields.setdefault("accept-encoding", "identity")
        server_name: str | None = None
        if request.connect_to is not None:
            fields.setdefault("host", url.raw_authority)
            server_name = url.raw_host if url.scheme == "https" else None
            url = url.with_host(request.connect_to)
        session = self._open_session(pinned=request.connect_to is not None)
        seconds = _head_limit(limits)
        body = request.body
        at_once = isinstance(body, bytes) and len(body) <= _AT_ONCE
        # aiohttp's own limit is for each read: a head in drips would never run into it.
        async with asyncio.timeout(seconds if at_once else None) as head:
            return await session.request(
                request.method,
                url,
                headers=fields,
                data=(body or None) if at_once else _upload(body, fields, head, seconds),
                skip_auto_headers=self._skipped,
                allow_redirects=False,
                auto_decompress=False,
                server_hostname=server_name,
                timeout=aiohttp.ClientTimeout(
                    total=None, connect=limits.connect, sock_read=limits.first_byte
                ),
            )


class _Body:
    """An answer's bytes as they come; a read that waits for longer than ``idle`` fails.

    There is one timer, which looks at its end for how long a read has waited. aiohttp's own limit
    makes a new one for each piece that comes.
    """

    def __init__(self, response: aiohttp.ClientResponse, url: str, idle: float | None) -> None:
        self._response = response
        self._content = response.content
        self._read = response.content.readany
        self._url = url
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        self._began: float | None = None  # the read that waits
        self._size = 0  # of what had come by then
        self._timer: asyncio.TimerHandle | None = None
        connection = response.connection
        if connection is not None and connection.protocol is not None:  # not whole yet
            connection.protocol.read_timeout = None
            connection.protocol.start_timeout()
            if idle is not None:
                self._timer = self._loop.call_later(idle, self._look, idle)

    def __aiter__(self) -> _Body:
        return self

    async def __anext__(self) -> bytes:
        self._began = self._now()
        self._size = self._content.total_bytes
        try:
            data = await self._read()
        except TimeoutError as error:
            raise timed_out(self._url, error, sent=True) from error
        except (aiohttp.ClientError, OSError) as error:
            raise cut_off(self._url, error) from error
        self._began = None
        if not data:
            raise StopAsyncIteration
        return data

    def close(self) -> None:
        """Let the connection go: back to its pool if all of the answer has come."""
        if self._timer is not None:
            self._timer.cancel()
        self._response.release()

    def _look(self, idle: float) -> None:
        if self._content.is_eof():
            return
        left = idle
        if self._began is not None and self._content.total_bytes == self._size:
            left += self._began - self._now()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look, idle)
        else:
            self._content.set_exception(TimeoutError(f"nothing came for {idle:g} s"))


def _url(text: str) -> URL:
    try:
        url = URL(text, encoded=True)
    except ValueError:
        url = URL()
    if url.scheme not in {"http", "https"} or not url.raw_host:
        raise InvalidRequestError("The address isn't an http or https URL.")
    return url


class _Handler(ResponseHandler):
    _was_paused = False

    def pause_reading(self) -> None:
        self._was_paused = True
        super().pause_reading()

    def resume_reading(self, *arguments: Any, **options: Any) -> None:
        # Also when it isn't paused now: the parser may keep bytes back from a pause before.
        if self._was_paused:
            super().resume_reading(*arguments, **options)


class _Connector(aiohttp.TCPConnector):
    """What was never paused isn't resumed.

    A model's server sends an HTTP chunk for each delta, and aiohttp (3.14) resumes a connection
    after each chunk that is taken, paused or not: its parser reads nothing, and the transport is
    told to do what it does. This rests on a name that aiohttp doesn't document, ``_factory``; were
    it another one, aiohttp would do all as it always does.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)  # pyright: ignore[reportUnknownMemberType]
        make = partial(_Handler, loop=asyncio.get_running_loop())
        self._factory: Callable[[], ResponseHandler] = make  # type: ignore[assignment]


class _BrokenError(aiohttp.ClientError):
    """A connection broke before the answer."""


class _SentOnce(aiohttp.ClientResponse):
    """Keeps aiohttp from sending again, which it does after errors of two kinds."""

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        try:
            return await super().start(connection)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            raise _BrokenError(f"{type(error).__name__}: {error}") from error


def _head_limit(limits: Timeouts) -> float | None:
    """Seconds from the moment when all of a request has been handed over."""
    if limits.connect is None or limits.first_byte is None:
        return None
    return limits.connect + limits.first_byte


def _upload(
    body: bytes | AsyncIterable[bytes],
    fields: CIMultiDict[str],
    head: asyncio.Timeout,
    seconds: float | None,
) -> AsyncIterable[bytes]:
    """A body that is handed over bit by bit; the head's limit begins at its end."""
    if isinstance(body, bytes):
        fields.setdefault("content-length", str(len(body)))
    return _handed_over(body, head, seconds)


async def _handed_over(
    body: bytes | AsyncIterable[bytes], head: asyncio.Timeout, seconds: float | None
) -> AsyncGenerator[bytes, None]:
    if isinstance(body, bytes):
        for start in range(0, len(body), _AT_ONCE):
            yield body[start : start + _AT_ONCE]
    else:
        async for chunk in body:
            yield chunk
    if seconds is not None:
        # Too late where the answer came before the end of the request.
        with suppress(RuntimeError):
            head.reschedule(asyncio.get_running_loop().time() + seconds)


def _headers(response: aiohttp.ClientResponse) -> Headers:
    pairs = [
        (name.decode("latin-1").lower(), value.decode("latin-1"))
        for name, value in response.raw_headers
    ]
    return Headers.lowered(tuple(pairs))

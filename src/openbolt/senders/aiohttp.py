"""`HttpSender` on aiohttp: the cheapest per streamed token.

Law: nothing happens that the request didn't ask for (no redirect, cookie, decoding, proxy or
header of our own), and aiohttp's errors end here.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, suppress

import aiohttp
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
        return self._send(request)

    @asynccontextmanager
    async def _send(self, request: OutboundRequest) -> AsyncGenerator[OutboundResponse, None]:
        url = _url(request.url)
        fields = CIMultiDict(request.headers.items)
        fields.setdefault("accept-encoding", "identity")
        server_name: str | None = None
        if request.connect_to is not None:
            fields.setdefault("host", url.raw_authority)
            server_name = url.raw_host if url.scheme == "https" else None
            url = url.with_host(request.connect_to)
        session = self._session(pinned=request.connect_to is not None)
        limits = request.timeouts
        try:
            async with asyncio.timeout(None) as head:
                response = await session.request(
                    request.method,
                    url,
                    headers=fields,
                    data=_upload(request, fields, _HeadLimit(head, limits)),
                    skip_auto_headers=_AUTOMATIC,
                    allow_redirects=False,
                    auto_decompress=False,
                    server_hostname=server_name,
                    timeout=aiohttp.ClientTimeout(
                        total=None, connect=limits.connect, sock_read=limits.first_byte
                    ),
                )
        except TimeoutError as error:
            sent = not isinstance(error, aiohttp.ConnectionTimeoutError)
            raise timed_out(request.url, error, sent=sent) from error
        except aiohttp.ClientConnectorError as error:
            raise unreachable(request.url, error) from error
        except (aiohttp.ClientError, OSError) as error:
            raise cut_off(request.url, error) from error
        except ValueError as error:
            raise InvalidRequestError("The request can't be written as HTTP.") from error
        try:
            if limits.idle != limits.first_byte:
                _limit_reads(response, limits.idle)
            async with aclosing(_reads(response, request.url)) as body:
                yield OutboundResponse(response.status, _headers(response), body)
        finally:
            response.release()

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
            connector = aiohttp.TCPConnector(limit=self._max_connections, ssl=tls, force_close=True)
        else:
            connector = aiohttp.TCPConnector(
                limit=self._max_connections, ssl=tls, keepalive_timeout=self._keepalive
            )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            response_class=_SentOnce,
            trust_env=False,
        )


def _url(text: str) -> URL:
    try:
        url = URL(text, encoded=True)
    except ValueError:
        url = URL()
    if url.scheme not in {"http", "https"} or not url.raw_host:
        raise InvalidRequestError("The address isn't an http or https URL.")
    return url


class _BrokenError(aiohttp.ClientError):
    """A connection broke before the answer."""


class _SentOnce(aiohttp.ClientResponse):
    """Keeps aiohttp from sending again, which it does after errors of two kinds."""

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        try:
            return await super().start(connection)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            raise _BrokenError(f"{type(error).__name__}: {error}") from error


class _HeadLimit:
    """Starts when all of a request has been handed over; aiohttp's own is for each read."""

    def __init__(self, head: asyncio.Timeout, limits: Timeouts) -> None:
        self._head = head
        self._seconds: float | None = None
        if limits.connect is not None and limits.first_byte is not None:
            self._seconds = limits.connect + limits.first_byte

    def start(self) -> None:
        if self._seconds is not None:
            # Too late where the answer came before the end of the request.
            with suppress(RuntimeError):
                self._head.reschedule(asyncio.get_running_loop().time() + self._seconds)


def _upload(
    request: OutboundRequest, fields: CIMultiDict[str], limit: _HeadLimit
) -> bytes | AsyncIterable[bytes] | None:
    body = request.body
    if isinstance(body, bytes) and len(body) <= _AT_ONCE:
        limit.start()
        return body or None
    if isinstance(body, bytes):
        fields.setdefault("content-length", str(len(body)))
    return _handed_over(body, limit)


async def _handed_over(
    body: bytes | AsyncIterable[bytes], limit: _HeadLimit
) -> AsyncGenerator[bytes, None]:
    if isinstance(body, bytes):
        for start in range(0, len(body), _AT_ONCE):
            yield body[start : start + _AT_ONCE]
    else:
        async for chunk in body:
            yield chunk
    limit.start()


def _limit_reads(response: aiohttp.ClientResponse, idle: float | None) -> None:
    """Aiohttp has one limit for head and body; from here on the body's counts."""
    connection = response.connection
    if connection is not None and connection.protocol is not None:
        connection.protocol.read_timeout = idle
        connection.protocol.start_timeout()


def _headers(response: aiohttp.ClientResponse) -> Headers:
    return Headers(
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in response.raw_headers
    )


async def _reads(response: aiohttp.ClientResponse, url: str) -> AsyncGenerator[bytes, None]:
    readany = response.content.readany
    try:
        while data := await readany():
            yield data
    except TimeoutError as error:
        raise timed_out(url, error, sent=True) from error
    except (aiohttp.ClientError, OSError) as error:
        raise cut_off(url, error) from error

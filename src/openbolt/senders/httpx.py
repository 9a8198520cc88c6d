"""`HttpSender` on httpx.

Law: nothing happens that the request didn't ask for (no redirect, cookie, decoding, proxy or
header of our own), and httpx's errors end here.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType

import httpx

from openbolt.errors import InvalidRequestError, NotSupportedError
from openbolt.http import Headers
from openbolt.protocols import OutboundRequest, OutboundResponse, Timeouts
from openbolt.senders._failures import cut_off, timed_out, unreachable

__all__ = ["HttpxSender"]


class HttpxSender:
    """Sends with one lazily opened connection pool, closed by `aclose`.

    A call with ``connect_to`` gets a connection of its own, which is never used again. A body is
    sent to its end before the answer is looked at.

    Args:
        client: Yours, with its pool, TLS and cookies, which you close; then ``connect_to`` is a
            `NotSupportedError`, because a shared pool can't promise the address, and a redirect
            whose ``Location`` httpx can't read is an `UpstreamError`: a client reads it, though
            it isn't to follow it.
        tls: For the pools opened here; None verifies against certifi's authorities.
        max_connections: At once; further calls wait, up to ``timeouts.connect``.
        keepalive: Seconds that an idle connection is kept.
    """

    def __init__(
        self,
        client: httpx.AsyncClient | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        max_connections: int = 1000,
        keepalive: float = 30.0,
    ) -> None:
        self._given = client
        self._tls = tls
        self._max_connections = max_connections
        self._keepalive = keepalive
        self._pooled: httpx.AsyncHTTPTransport | None = None
        self._pinned: httpx.AsyncHTTPTransport | None = None

    async def aclose(self) -> None:
        """Close the pools opened here. A later call opens new ones."""
        pools = (self._pooled, self._pinned)
        self._pooled = self._pinned = None
        for pool in pools:
            if pool is not None:
                await pool.aclose()

    def send(self, request: OutboundRequest, /) -> AbstractAsyncContextManager[OutboundResponse]:
        """Send; see `HttpSender.send`."""
        return _Exchange(request, self._answer)

    async def _answer(self, request: httpx.Request, *, pinned: bool) -> httpx.Response:
        if self._given is None:
            return await self._pool(pinned=pinned).handle_async_request(request)
        if pinned:
            raise NotSupportedError("A client that was handed in can't be told the address.")
        return await self._given.send(request, stream=True, follow_redirects=False, auth=None)

    def _pool(self, *, pinned: bool) -> httpx.AsyncHTTPTransport:
        pool = self._pinned if pinned else self._pooled
        if pool is None:
            pool = self._open(pinned=pinned)
            if pinned:
                self._pinned = pool
            else:
                self._pooled = pool
        return pool

    def _open(self, *, pinned: bool) -> httpx.AsyncHTTPTransport:
        return httpx.AsyncHTTPTransport(
            verify=True if self._tls is None else self._tls,
            limits=httpx.Limits(
                max_connections=self._max_connections,
                max_keepalive_connections=0 if pinned else None,
                keepalive_expiry=self._keepalive,
            ),
            trust_env=False,
        )


class _Exchange:
    """One call: answered once it is entered; left, its connection goes back whole or is closed."""

    def __init__(
        self, request: OutboundRequest, answer: Callable[..., Awaitable[httpx.Response]]
    ) -> None:
        self._request = request
        self._answer = answer
        self._response: httpx.Response | None = None
        self._body: AsyncGenerator[bytes, None] | None = None

    async def __aenter__(self) -> OutboundResponse:
        request = self._request
        limits = _limits(request.timeouts)
        try:
            async with asyncio.timeout(None) as head:
                outbound = _request(request, limits, head)
                response = await self._answer(outbound, pinned=request.connect_to is not None)
        except (httpx.TimeoutException, TimeoutError) as error:
            sent = not isinstance(error, (httpx.ConnectTimeout, httpx.PoolTimeout))
            raise timed_out(request.url, error, sent=sent) from error
        except httpx.ConnectError as error:
            raise unreachable(request.url, error) from error
        except httpx.LocalProtocolError as error:
            raise InvalidRequestError("The request can't be written as HTTP.") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise cut_off(request.url, error) from error
        # httpx has one limit for head and body, in a mapping that it looks up before each read.
        limits["read"] = request.timeouts.idle
        self._response = response
        self._body = _reads(response, request.url)
        return OutboundResponse(response.status_code, _headers(response), self._body)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._response is None or self._body is None:
            return
        try:
            await self._body.aclose()
        finally:
            await self._response.aclose()


def _limits(timeouts: Timeouts) -> dict[str, float | None]:
    return {
        "connect": timeouts.connect,
        "pool": timeouts.connect,
        "read": timeouts.first_byte,
        "write": timeouts.idle,
    }


def _request(
    request: OutboundRequest, limits: dict[str, float | None], head: asyncio.Timeout
) -> httpx.Request:
    try:
        url = httpx.URL(request.url)
    except httpx.InvalidURL as error:
        raise InvalidRequestError("The address isn't a URL.") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise InvalidRequestError("The address isn't an http or https URL.")
    headers = request.headers.with_defaults({"accept-encoding": "identity"})
    extensions: dict[str, object] = {"timeout": limits}
    first_byte = request.timeouts.first_byte
    if first_byte is not None:
        # httpx's own limit is for each read: a head that drips would never run into it.
        async def trace(event: str, _info: Mapping[str, object]) -> None:
            if event.endswith("receive_response_headers.started"):
                head.reschedule(asyncio.get_running_loop().time() + first_byte)

        extensions["trace"] = trace
    if request.connect_to is not None:
        headers = headers.with_defaults({"host": url.netloc.decode("ascii")})
        extensions["sni_hostname"] = url.raw_host.decode("ascii")
        url = url.copy_with(host=request.connect_to)
    return httpx.Request(
        request.method,
        url,
        headers=list(headers.items),
        content=request.body,
        extensions=extensions,
    )


def _headers(response: httpx.Response) -> Headers:
    pairs = [
        (name.decode("latin-1").lower(), value.decode("latin-1"))
        for name, value in response.headers.raw
    ]
    return Headers.lowered(tuple(pairs))


async def _reads(response: httpx.Response, url: str) -> AsyncGenerator[bytes, None]:
    try:
        async for data in response.aiter_raw():
            yield data
    except httpx.TimeoutException as error:
        raise timed_out(url, error, sent=True) from error
    except httpx.HTTPError as error:
        raise cut_off(url, error) from error

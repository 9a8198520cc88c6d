"""`FetchSender`: outbound HTTP through the Worker's ``fetch``, the only way out that there is.

Law: leaving the context aborts the call, so a model that is no longer listened to stops being
billed. Redirects are handed to the caller, never followed.

Only inside a Worker: imports the runtime.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from functools import partial
from urllib.parse import urlsplit

from attrs import frozen

from openbolt.errors import InvalidRequestError, NotSupportedError
from openbolt.http import Headers
from openbolt.protocols import OutboundRequest, OutboundResponse
from openbolt.senders._failures import cut_off, timed_out
from openbolt_cloudflare._js import JsException, JsObject, js, js_headers, to_js
from openbolt_cloudflare.streams import JsByteStream, byte_channel, pump

__all__ = ["FetchSender"]


@frozen
class FetchSender:
    """An `openbolt.protocols.HttpSender` for Workers.

    The runtime resolves names and connects by itself, to public addresses only: ``connect_to`` is
    a `NotSupportedError`, and ``timeouts.first_byte`` covers connecting, too.
    A call that asks for no content coding goes out with ``Accept-Encoding: identity``. The runtime
    doesn't say whether a call that failed had been sent, so no `UpstreamError` is ``retryable``.
    """

    @asynccontextmanager
    async def send(self, request: OutboundRequest, /) -> AsyncGenerator[OutboundResponse]:
        """Send; leaving the context aborts what is still on its way."""
        if request.connect_to is not None:
            raise NotSupportedError("A Worker can't choose the address that it connects to.")
        _check_url(request.url)
        abort = js.AbortController.new()
        async with AsyncExitStack() as stack:
            stack.callback(abort.abort)
            outbound = _outbound(request, _body(request, stack), abort.signal)
            async with _limit(request.url, request.timeouts.first_byte):
                answer = await _fetch(request.url, outbound)
            stream = JsByteStream(answer.body, broken=partial(cut_off, request.url))
            yield OutboundResponse(
                status=int(answer.status),
                headers=Headers([(name, value) for name, value in answer.headers]),
                body=await stack.enter_async_context(aclosing(_reads(stream, request))),
            )


def _body(request: OutboundRequest, stack: AsyncExitStack) -> JsObject:
    if isinstance(request.body, bytes):
        return to_js(request.body) if request.body else None
    length = request.headers.get("content-length")
    readable, writable = byte_channel(int(length) if length is not None else None)
    writing = asyncio.ensure_future(pump(request.body, writable))

    async def stop() -> None:
        writing.cancel()
        await asyncio.wait([writing])

    stack.push_async_callback(stop)
    return readable


def _outbound(request: OutboundRequest, body: JsObject, signal: JsObject) -> JsObject:
    headers = request.headers.with_defaults({"accept-encoding": "identity"})
    fields = {} if body is None else {"body": body}
    try:
        return js.Request.new(
            request.url,
            method=request.method,
            headers=js_headers(headers.items),
            redirect="manual",
            signal=signal,
            **fields,
        )
    except JsException as exc:
        raise InvalidRequestError("The request can't be written as HTTP.") from exc


async def _fetch(url: str, outbound: JsObject) -> JsObject:
    try:
        # To decode nothing has to be said here: on a Request it is accepted and ignored.
        return await js.fetch(outbound, encodeResponseBody="manual")
    except JsException as exc:
        raise cut_off(url, exc) from exc


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
    except ValueError as exc:
        raise InvalidRequestError("The address isn't a URL.") from exc
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InvalidRequestError("The address isn't an http or https URL.")


async def _reads(stream: JsByteStream, request: OutboundRequest) -> AsyncGenerator[bytes]:
    while True:
        async with _limit(request.url, request.timeouts.idle):
            try:
                data = await anext(stream)
            except StopAsyncIteration:
                return
        yield data


@asynccontextmanager
async def _limit(url: str, seconds: float | None) -> AsyncGenerator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as exc:
        raise timed_out(url, exc, sent=True) from exc

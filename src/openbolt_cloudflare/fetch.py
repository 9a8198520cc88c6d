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

from attrs import frozen

from openbolt.errors import NotSupportedError
from openbolt.http import Headers
from openbolt.protocols import OutboundRequest, OutboundResponse, Timeouts
from openbolt.senders._failures import cut_off, timed_out
from openbolt_cloudflare._js import JsException, JsObject, js, js_headers, js_object, to_js
from openbolt_cloudflare.streams import JsByteStream, byte_channel, pump

__all__ = ["FetchSender"]


@frozen
class FetchSender:
    """An `openbolt.protocols.HttpSender` for Workers.

    The runtime resolves names and connects by itself, to public addresses only: ``connect_to`` is
    a `NotSupportedError`, and ``timeouts.connect`` counts together with ``timeouts.first_byte``.
    A call that asks for no content coding goes out with ``Accept-Encoding: identity``.
    """

    @asynccontextmanager
    async def send(self, request: OutboundRequest, /) -> AsyncGenerator[OutboundResponse]:
        """Send; leaving the context aborts what is still on its way."""
        if request.connect_to is not None:
            raise NotSupportedError("A Worker can't choose the address that it connects to.")
        abort = js.AbortController.new()
        async with AsyncExitStack() as stack:
            stack.callback(abort.abort)
            body = await _body(request, stack)
            async with _limit(request.url, _head_limit(request.timeouts)):
                answer = await _fetch(request, body, abort.signal)
            stream = JsByteStream(answer.body, broken=partial(cut_off, request.url))
            stack.push_async_callback(stream.aclose)
            yield OutboundResponse(
                status=int(answer.status),
                headers=Headers([(name, value) for name, value in answer.headers]),
                body=await stack.enter_async_context(aclosing(_reads(stream, request))),
            )


async def _body(request: OutboundRequest, stack: AsyncExitStack) -> JsObject:
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


async def _fetch(request: OutboundRequest, body: JsObject, signal: JsObject) -> JsObject:
    headers = request.headers.with_defaults({"accept-encoding": "identity"})
    init = js_object(
        method=request.method,
        headers=js_headers(headers.items),
        redirect="manual",
        encodeResponseBody="manual",
        signal=signal,
    )
    if body is not None:
        init.body = body
    try:
        return await js.fetch(request.url, init)
    except JsException as exc:
        raise cut_off(request.url, exc) from exc


def _head_limit(timeouts: Timeouts) -> float | None:
    if timeouts.connect is None or timeouts.first_byte is None:
        return None
    return timeouts.connect + timeouts.first_byte


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

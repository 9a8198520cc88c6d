"""A model behind the Messages API through any `HttpSender`: what runs in a Worker, and the
cheapest way per token on a server.

Law: no HTTP library and no environment; the key stands in one header field and nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager

from attrs import field, frozen

from openbolt.clock import SystemClock, SystemTokens
from openbolt.errors import UpstreamError, UpstreamRateLimitedError, UpstreamTimeoutError
from openbolt.http import Headers
from openbolt.model import ModelEvent, ModelRequest
from openbolt.protocols import (
    Clock,
    HttpSender,
    OutboundRequest,
    OutboundResponse,
    Timeouts,
    TokenSource,
)
from openbolt.providers import _messages_api as api
from openbolt.providers._failures import (
    broken_off,
    redacted,
    refused_connection,
    timed_out,
    unreadable,
)
from openbolt.providers._sse import MAX_EVENT_BYTES
from openbolt.providers._stream import batches
from openbolt.retries import full_jitter

__all__ = ["MessagesProvider"]

# Of a refusal's body, in bytes: enough for any message.
_MAX_REFUSAL = 64 * 1024

_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@frozen
class MessagesProvider:
    """A `ModelProvider` over any server that speaks the Messages API.

    The key goes in ``x-api-key``, which every server of this API reads (the SDK: a bearer token).

    Attributes:
        base_url: Without ``/v1``.
        api_key: The operator's; None or empty sends none, for servers that want none. A request's
            own key goes before it.
        version: Of the API. A request with a temperature is sent under 2023-06-01, the last version
            that takes one.
        max_event_bytes: One event of the stream at most.
        max_retries: Further attempts before the first byte, for refusals that may pass.
        max_retry_wait: Seconds; where the upstream asks for a longer wait there is no retry, and
            the error says how long.
    """

    sender: HttpSender
    base_url: str = "https://api.anthropic.com"
    api_key: str | None = field(default=None, repr=False)
    timeouts: Timeouts = Timeouts()
    version: str = api.TEMPERATURE_VERSION
    max_event_bytes: int = MAX_EVENT_BYTES
    max_retries: int = 2
    max_retry_wait: float = 10.0
    clock: Clock = field(factory=SystemClock)
    tokens: TokenSource = field(factory=SystemTokens)

    def stream(
        self, request: ModelRequest, /
    ) -> AbstractAsyncContextManager[AsyncIterator[Sequence[ModelEvent]]]:
        """One call; see `ModelProvider.stream`.

        Raises:
            InvalidRequestError: The request or its key can't be sent.
            UpstreamError: Refused, unreachable, or no event stream.
        """
        return self._stream(request)

    @asynccontextmanager
    async def _stream(
        self, request: ModelRequest
    ) -> AsyncGenerator[AsyncIterator[Sequence[ModelEvent]], None]:
        # An own key that is empty doesn't stand for none, and still less for the operator's.
        key = self.api_key if request.api_key is None else api.check_key(request.api_key)
        own_key = request.api_key is not None
        outbound = self._outbound(request, key)
        async with AsyncExitStack() as stack:
            response = await self._answered(outbound, stack, key, own_key)
            decoder = api.ReplyDecoder(
                max_event_bytes=self.max_event_bytes, secret=key, own_key=own_key
            )
            reads = await stack.enter_async_context(aclosing(_reads(response.body, key)))
            yield await stack.enter_async_context(aclosing(batches(reads, decoder)))

    def _outbound(self, request: ModelRequest, key: str | None) -> OutboundRequest:
        body = _to_json(api.build_body(request))
        version = self.version if request.temperature is None else api.TEMPERATURE_VERSION
        return OutboundRequest(
            "POST",
            f"{self.base_url.rstrip('/')}/v1/messages",
            Headers.of(api.headers(key, version)),
            body.encode("utf-8", "replace"),
            self.timeouts,
        )

    async def _answered(
        self, outbound: OutboundRequest, stack: AsyncExitStack, key: str | None, own_key: bool
    ) -> OutboundResponse:
        """Send, and again with full jitter after a refusal that may pass: nothing has come yet."""
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._attempt(outbound, stack, key, own_key)
            except UpstreamError as error:
                wait = full_jitter(self.tokens, attempt)
                if isinstance(error, UpstreamRateLimitedError):
                    wait = max(wait, error.retry_after or 0.0)
                if not error.retryable or attempt > self.max_retries or wait > self.max_retry_wait:
                    raise
            await self.clock.sleep(wait)

    async def _attempt(
        self, outbound: OutboundRequest, stack: AsyncExitStack, key: str | None, own_key: bool
    ) -> OutboundResponse:
        """Send once: a response whose reply can be read is held open by ``stack``."""
        async with AsyncExitStack() as attempt:
            try:
                response = await attempt.enter_async_context(self.sender.send(outbound))
            except UpstreamTimeoutError as error:
                raise timed_out(redacted(str(error), key)) from error
            except UpstreamError as error:
                raise refused_connection(redacted(str(error), key)) from error
            if response.status != 200:
                body = await _beginning(response.body)
                raise api.status_failure(
                    response.status, response.headers, body, secret=key, own_key=own_key
                )
            coding = response.headers.get("content-encoding", "identity")
            if coding != "identity":
                raise unreadable(redacted(f"its content coding is {coding}", key))
            await stack.enter_async_context(attempt.pop_all())
        return response


async def _beginning(body: AsyncIterator[bytes]) -> bytes:
    parts: list[bytes] = []
    size = 0
    try:
        async for data in body:
            parts.append(data)
            size += len(data)
            if size >= _MAX_REFUSAL:
                break
    except UpstreamError:
        pass  # The status says enough.
    return b"".join(parts)[:_MAX_REFUSAL]


async def _reads(body: AsyncIterator[bytes], key: str | None) -> AsyncGenerator[bytes, None]:
    try:
        async for data in body:
            yield data
    except UpstreamTimeoutError as error:
        raise timed_out(redacted(str(error), key)) from error
    except UpstreamError as error:
        raise broken_off(redacted(str(error), key)) from error

"""A model behind the Messages API through any `HttpSender`: what runs in a Worker, and the
cheapest way per token on a server.

Law: no HTTP library and no environment; the key stands in one header field and nowhere else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack

from attrs import field, frozen

from openbolt.clock import SystemClock, SystemTokens
from openbolt.errors import UpstreamError, UpstreamRateLimitedError, UpstreamTimeoutError
from openbolt.http import Headers
from openbolt.jsons import json_bytes
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
from openbolt.providers._stream import Batches, ModelCall
from openbolt.retries import full_jitter

__all__ = ["MessagesProvider"]

# Of a refusal's body, in bytes: enough for any message.
_MAX_REFUSAL = 64 * 1024


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
        return ModelCall(self._open, request)

    async def _open(
        self, request: ModelRequest
    ) -> tuple[Batches, AbstractAsyncContextManager[object]]:
        """Send, and again with full jitter after a refusal that may pass: nothing has come yet."""
        # An own key that is empty doesn't stand for none, and still less for the operator's.
        key = self.api_key if request.api_key is None else api.check_key(request.api_key)
        own_key = request.api_key is not None
        outbound = self._outbound(request, key)
        decoder = api.ReplyDecoder(
            max_event_bytes=self.max_event_bytes, secret=key, own_key=own_key
        )
        attempt = 0
        while True:
            attempt += 1
            try:
                response, held = await self._attempt(outbound, key, own_key)
            except UpstreamError as error:
                wait = self._pause(error, attempt)
            else:
                return Batches(response.body, decoder, _broken(key)), held
            await self.clock.sleep(wait)

    def _outbound(self, request: ModelRequest, key: str | None) -> OutboundRequest:
        body = json_bytes(api.build_body(request), errors="replace")
        version = self.version if request.temperature is None else api.TEMPERATURE_VERSION
        return OutboundRequest(
            "POST",
            f"{self.base_url.rstrip('/')}/v1/messages",
            Headers.lowered(tuple(api.headers(key, version).items())),
            body,
            self.timeouts,
        )

    def _pause(self, error: UpstreamError, attempt: int) -> float:
        """Seconds to wait before the next attempt; raises the error where there is none."""
        wait = full_jitter(self.tokens, attempt)
        if isinstance(error, UpstreamRateLimitedError):
            wait = max(wait, error.retry_after or 0.0)
        if not error.retryable or attempt > self.max_retries or wait > self.max_retry_wait:
            raise error
        return wait

    async def _attempt(
        self, outbound: OutboundRequest, key: str | None, own_key: bool
    ) -> tuple[OutboundResponse, AbstractAsyncContextManager[object]]:
        """Send once: a response whose reply can be read, and its context, which is left open."""
        sending = self.sender.send(outbound)
        try:
            response = await sending.__aenter__()
        except UpstreamTimeoutError as error:
            raise timed_out(redacted(str(error), key)) from error
        except UpstreamError as error:
            raise refused_connection(redacted(str(error), key)) from error
        coding = response.headers.get("content-encoding", "identity")
        if response.status == 200 and coding == "identity":
            return response, sending
        async with AsyncExitStack() as stack:
            stack.push_async_exit(sending)
            if response.status == 200:
                raise unreadable(redacted(f"its content coding is {coding}", key))
            body = await _beginning(response.body)
            raise api.status_failure(
                response.status, response.headers, body, secret=key, own_key=own_key
            )


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


def _broken(key: str | None) -> Callable[[Exception], UpstreamError | None]:
    """What an error of the sender means in mid-reply."""

    def meaning(error: Exception) -> UpstreamError | None:
        if isinstance(error, UpstreamTimeoutError):
            return timed_out(redacted(str(error), key))
        if isinstance(error, UpstreamError):
            return broken_off(redacted(str(error), key))
        return None

    return meaning

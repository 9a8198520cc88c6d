"""What every `ModelProvider` over the Messages API owes, as a suite to subclass.

Law: each test talks to a scripted upstream over a real socket. Give the fixture ``open_provider``::

    class TestMyProvider(ModelProviderSuite):
        @pytest.fixture
        def open_provider(self) -> OpenProvider:
            @asynccontextmanager
            async def open_provider(base_url, *, api_key=KEY, timeouts=Timeouts()):
                yield MyProvider(base_url, api_key, timeouts)
            return open_provider

The provider must not retry by itself here: every refusal is scripted once.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, get_args

import pytest
import pytest_asyncio

from openbolt.errors import (
    InvalidRequestError,
    UpstreamError,
    UpstreamOverloadedError,
    UpstreamRateLimitedError,
    UpstreamTimeoutError,
)
from openbolt.model import (
    ModelEvent,
    ModelMessage,
    ModelRequest,
    ModelUsage,
    ReplyStarted,
    ReplyStopped,
    StillAlive,
    StopReason,
    SystemBlock,
    TextBlock,
    TextDelta,
    ThinkingBlock,
    ThinkingClosed,
    ThinkingDelta,
    ThinkingOpened,
    UsageReported,
)
from openbolt.protocols import ModelProvider, Timeouts
from openbolt.testing.scripted import Exchange, ScriptedServer, scripted_server

__all__ = ["KEY", "ModelProviderSuite", "OpenProvider", "collected", "reply", "sse", "streaming"]

KEY = "sk-operators-0123456789"
USER_KEY = "sk-users-9876543210"
SOON = 5.0
"""Seconds within which a thing that must happen happens, on a busy machine."""
REQUEST = ModelRequest("claude", (ModelMessage.text("user", "Hello"),), 1000)


class OpenProvider(Protocol):
    """Opens a provider for one upstream, without retries of its own."""

    def __call__(
        self, base_url: str, /, *, api_key: str = KEY, timeouts: Timeouts = Timeouts()
    ) -> AbstractAsyncContextManager[ModelProvider]:
        """Leaving the context closes the provider."""
        ...


def sse(*events: dict[str, object]) -> bytes:
    """Events as the API writes them."""
    return b"".join(
        f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode()
        for event in events
    )


def text(delta: str) -> bytes:
    """One text delta."""
    fields = {"type": "text_delta", "text": delta}
    return sse({"type": "content_block_delta", "index": 0, "delta": fields})


START = sse(
    {
        "type": "message_start",
        "message": {
            "id": "msg_1",
            "model": "claude-1",
            "usage": {
                "input_tokens": 10,
                "output_tokens": 1,
                "cache_read_input_tokens": 4,
                "cache_creation_input_tokens": 3,
            },
        },
    }
)
STARTED = [ReplyStarted("msg_1", "claude-1"), UsageReported(ModelUsage(10, 1, 4, 3))]


def key_of(exchange: Exchange) -> str | None:
    """The key that a request carries, in either of the two fields that the API reads."""
    scheme, _, token = (exchange.headers.get("authorization") or "").partition(" ")
    return exchange.headers.get("x-api-key") or (token if scheme == "Bearer" else None)


def stop(reason: str = "end_turn") -> bytes:
    """The end of a reply."""
    return sse(
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": None},
            "usage": {"output_tokens": 7},
        },
        {"type": "message_stop"},
    )


STOPPED = [UsageReported(ModelUsage(output_tokens=7)), ReplyStopped("end_turn")]


def reply(*texts: str) -> bytes:
    """A whole reply."""
    opened = sse(
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    )
    return START + opened + b"".join(map(text, texts)) + stop()


async def begin(exchange: Exchange) -> None:
    """Take the request and begin an event stream."""
    await exchange.read_all()
    await exchange.start(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"})


def streaming(*parts: bytes) -> Callable[[Exchange], Awaitable[None]]:
    """A script that streams ``parts`` and ends."""

    async def script(exchange: Exchange) -> None:
        await begin(exchange)
        for part in (*parts, b""):
            await exchange.chunk(part)

    return script


async def collected(provider: ModelProvider, request: ModelRequest = REQUEST) -> list[ModelEvent]:
    """The events of a whole reply; neighboring deltas are one, signs of life are left out."""
    events: list[ModelEvent] = []
    async with provider.stream(request) as stream:
        async for batch in stream:
            for event in batch:
                last = events[-1] if events else None
                if isinstance(event, TextDelta) and isinstance(last, TextDelta):
                    events[-1] = TextDelta(last.text + event.text)
                elif isinstance(event, ThinkingDelta) and isinstance(last, ThinkingDelta):
                    events[-1] = ThinkingDelta(last.text + event.text)
                elif not isinstance(event, StillAlive):
                    events.append(event)
    return events


async def failure(provider: ModelProvider, request: ModelRequest = REQUEST) -> UpstreamError:
    """The error that a call ends in; it shows no key, however it is written."""
    with pytest.raises(UpstreamError) as caught:
        await collected(provider, request)
    error: BaseException | None = caught.value
    while error is not None:
        for shown in (str(error), repr(error), str(getattr(error, "detail", ""))):
            assert KEY not in shown
            assert USER_KEY not in shown
        error = error.__cause__
    return caught.value


async def into(events: list[ModelEvent], stream: AsyncIterator[Sequence[ModelEvent]]) -> None:
    """Add what a stream says, up to its error."""
    async for batch in stream:
        events += batch


class ModelProviderSuite:
    """Subclass it and give ``open_provider``."""

    @pytest.fixture
    def open_provider(self) -> OpenProvider:
        """How to make the provider under test."""
        raise NotImplementedError

    @pytest_asyncio.fixture
    async def upstream(self) -> AsyncIterator[ScriptedServer]:
        """The other end of the wire."""
        async with scripted_server() as server:
            yield server

    @pytest_asyncio.fixture
    async def provider(
        self, open_provider: OpenProvider, upstream: ScriptedServer
    ) -> AsyncIterator[ModelProvider]:
        """The provider under test, for ``upstream``."""
        async with open_provider(upstream.url()) as provider:
            yield provider

    async def test_a_reply_comes_whole(
        self, provider: ModelProvider, upstream: ScriptedServer
    ) -> None:
        upstream.script = streaming(reply("Hel", "lo\n", '"€😀"'))
        assert await collected(provider) == [*STARTED, TextDelta('Hello\n"€😀"'), *STOPPED]

    async def test_the_request_is_what_the_api_documents(
        self, provider: ModelProvider, upstream: ScriptedServer
    ) -> None:
        bodies: list[Any] = []

        async def script(exchange: Exchange) -> None:
            bodies.append(json.loads(await exchange.read_all()))
            await streaming(reply("Hi"))(exchange)

        upstream.script = script
        answer = ModelMessage("assistant", (ThinkingBlock("hm", "sig"), TextBlock("Hi")))
        request = ModelRequest(
            "claude",
            (ModelMessage.text("user", "é"), answer, ModelMessage.text("user", "Go on")),
            5000,
            system=(SystemBlock("stable", cache=True), SystemBlock("fresh")),
            thinking=2000,
        )
        await collected(provider, request)
        got = upstream.exchanges[0]
        assert (got.method, got.target, key_of(got)) == ("POST", "/v1/messages", KEY)
        assert got.headers.get("anthropic-version") in {"2023-06-01", "2026-10-21"}
        assert got.headers.get("accept-encoding") == "identity"
        cached = {"type": "ephemeral"}
        assert bodies == [
            {
                "model": "claude",
                "max_tokens": 5000,
                "messages": [
                    {"role": "user", "content": "é"},
                    {
                        "role": "assistant",
                        "content": [
                            {"type": "thinking", "thinking": "hm", "signature": "sig"},
                            {"type": "text", "text": "Hi"},
                        ],
                    },
                    {"role": "user", "content": "Go on"},
                ],
                "stream": True,
                "system": [
                    {"type": "text", "text": "stable", "cache_control": cached},
                    {"type": "text", "text": "fresh"},
                ],
                "thinking": {"type": "enabled", "budget_tokens": 2000},
            }
        ]

    async def test_a_temperature_goes_out_under_the_version_that_takes_one(
        self, provider: ModelProvider, upstream: ScriptedServer
    ) -> None:
        temperatures: list[float] = []

        async def script(exchange: Exchange) -> None:
            temperatures.append(json.loads(await exchange.read_all())["temperature"])
            await streaming(reply("Hi"))(exchange)

        upstream.script = script
        await collected(provider, ModelRequest("m", REQUEST.messages, 10, temperature=0.5))
        version = upstream.exchanges[0].headers.get_all("anthropic-version")
        assert (temperatures, version) == ([0.5], ("2023-06-01",))

    async def test_reasoning_comes_with_its_signature(
        self, provider: ModelProvider, upstream: ScriptedServer
    ) -> None:
        opened = {"type": "thinking", "thinking": "", "signature": ""}
        upstream.script = streaming(
            START,
            sse({"type": "content_block_start", "index": 0, "content_block": opened}),
            *(
                sse({"type": "content_block_delta", "index": 0, "delta": delta})
                for delta in (
                    {"type": "thinking_delta", "thinking": "Let me"},
                    {"type": "thinking_delta", "thinking": " see"},
                    {"type": "signature_delta", "signature": "s=="},
                )
            ),
            stop(),
        )
        assert await collected(provider) == [
            *STARTED,
            ThinkingOpened(),
            ThinkingDelta("Let me see"),
            ThinkingClosed(ThinkingBlock("Let me see", "s==")),
            *STOPPED,
        ]

    @pytest.mark.parametrize("reason", sorted(set(get_args(StopReason)) - {"unknown"}))
    async def test_each_stop_reason_passes_on(
        self, provider: ModelProvider, upstream: ScriptedServer, reason: StopReason
    ) -> None:
        upstream.script = streaming(START, stop(reason))
        assert (await collected(provider))[-1] == ReplyStopped(reason)

    async def test_a_new_stop_reason_is_unknown(
        self, provider: ModelProvider, upstream: ScriptedServer
    ) -> None:
        upstream.script = streaming(START, stop("tired"))
        assert (await collected(provider))[-1] == ReplyStopped("unknown", raw_reason="tired")

    async def test_a_character_may_be_cut_between_reads(
        self, provider: ModelProvider, upstream: ScriptedServer
    ) -> None:
        data = reply("€😀")
        parts = [data[at : at + 1] for at in range(len(data))]
        upstream.script = streaming(*parts)
        assert await collected(provider) == [*STARTED, TextDelta("€😀"), *STOPPED]

    async def test_each_read_is_a_batch_at_once(
        self, provider: ModelProvider, upstream: ScriptedServer
    ) -> None:
        turns: asyncio.Queue[None] = asyncio.Queue()

        async def script(exchange: Exchange) -> None:
            await begin(exchange)
            for part in (text("a"), text("b") + text("c"), sse({"type": "ping"}), stop()):
                await exchange.chunk(part)
                await turns.get()
            await exchange.chunk(b"")

        upstream.script = script
        batches: list[list[ModelEvent]] = []
        async with provider.stream(REQUEST) as stream:
            async for batch in stream:
                batches.append(list(batch))
                turns.put_nowait(None)
        assert batches == [[TextDelta("a")], [TextDelta("bc")], [StillAlive()], STOPPED]

    @pytest.mark.parametrize(
        ("status", "kind", "expected", "retryable"),
        [
            (400, "invalid_request_error", UpstreamError, False),
            (401, "authentication_error", UpstreamError, False),
            (403, "permission_error", UpstreamError, False),
            (404, "not_found_error", UpstreamError, False),
            (413, "request_too_large", UpstreamError, False),
            (429, "rate_limit_error", UpstreamRateLimitedError, True),
            (500, "api_error", UpstreamError, True),
            (503, "api_error", UpstreamOverloadedError, True),
            (529, "overloaded_error", UpstreamOverloadedError, True),
        ],
    )
    async def test_a_refusal_becomes_its_error_before_the_stream_opens(
        self,
        provider: ModelProvider,
        upstream: ScriptedServer,
        status: int,
        kind: str,
        expected: type[UpstreamError],
        retryable: bool,
    ) -> None:
        body = {"type": "error", "error": {"type": kind, "message": f"no, {KEY}"}}

        async def script(exchange: Exchange) -> None:
            await exchange.answer(status, {"retry-after": "7"}, json.dumps(body).encode())

        upstream.script = script
        error = await failure(provider)
        assert (type(error), error.status, error.retryable, error.detail) == (
            expected,
            status,
            retryable,
            f"status {status}: {kind}: no, [redacted]",
        )
        if isinstance(error, UpstreamRateLimitedError):
            assert error.retry_after == 7.0

    async def test_refused_credentials_are_the_servers_trouble(
        self, provider: ModelProvider, upstream: ScriptedServer
    ) -> None:
        async def script(exchange: Exchange) -> None:
            await exchange.answer(401)

        upstream.script = script
        error = await failure(provider)
        assert (error.status_hint, error.public_message) == (
            502,
            "The model provider refused the server's credentials.",
        )

    async def test_a_redirect_is_refused_and_gets_no_key(
        self, provider: ModelProvider, upstream: ScriptedServer
    ) -> None:
        async def script(exchange: Exchange) -> None:
            await exchange.answer(307, {"location": upstream.url("/elsewhere")})

        upstream.script = script
        error = await failure(provider)
        assert (error.status, len(upstream.exchanges)) == (307, 1)

    async def test_nobody_listening_can_be_tried_again(self, open_provider: OpenProvider) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}"
            async with open_provider(url) as provider:
                error = await failure(provider)
        assert (type(error), error.retryable) == (UpstreamError, True)
        assert error.public_message == "The model provider can't be reached."
        assert error.__cause__ is not None

    async def test_a_reset_before_the_head_can_be_tried_again(
        self, provider: ModelProvider, upstream: ScriptedServer
    ) -> None:
        async def script(exchange: Exchange) -> None:
            await exchange.read_all()
            exchange.reset()

        upstream.script = script
        error = await failure(provider)
        assert (type(error), error.retryable) == (UpstreamError, True)

    async def test_silence_before_the_head_is_a_timeout(
        self, open_provider: OpenProvider, upstream: ScriptedServer
    ) -> None:
        upstream.script = Exchange.gone
        timeouts = Timeouts(first_byte=0.2, idle=0.2)
        async with open_provider(upstream.url(), timeouts=timeouts) as provider:
            error = await failure(provider)
        assert (type(error), error.retryable) == (UpstreamTimeoutError, True)

    async def test_silence_in_mid_stream_is_a_timeout(
        self, open_provider: OpenProvider, upstream: ScriptedServer
    ) -> None:
        async def script(exchange: Exchange) -> None:
            await begin(exchange)
            await exchange.chunk(START)
            await exchange.gone()

        upstream.script = script
        timeouts = Timeouts(first_byte=0.2, idle=0.2)
        async with open_provider(upstream.url(), timeouts=timeouts) as provider:
            error = await failure(provider)
        assert (type(error), error.retryable) == (UpstreamTimeoutError, True)

    @pytest.mark.parametrize("end", [Exchange.reset, Exchange.hang_up])
    async def test_a_connection_lost_in_mid_stream_can_be_tried_again(
        self, provider: ModelProvider, upstream: ScriptedServer, end: Callable[[Exchange], None]
    ) -> None:
        read = asyncio.Event()

        async def script(exchange: Exchange) -> None:
            await begin(exchange)
            await exchange.chunk(START + text("Hi"))
            await read.wait()
            end(exchange)

        upstream.script = script
        events: list[ModelEvent] = []
        async with provider.stream(REQUEST) as stream:
            events += await anext(stream)
            read.set()
            with pytest.raises(UpstreamError) as caught:
                await into(events, stream)
        assert events == [*STARTED, TextDelta("Hi")]
        assert (type(caught.value), caught.value.retryable) == (UpstreamError, True)
        assert caught.value.public_message == "The model provider's reply broke off."

    async def test_an_end_before_message_stop_can_be_tried_again(
        self, provider: ModelProvider, upstream: ScriptedServer
    ) -> None:
        upstream.script = streaming(reply("Hi").removesuffix(sse({"type": "message_stop"})))
        error = await failure(provider)
        assert (error.retryable, error.detail) == (
            True,
            "the stream ended early, before message_stop",
        )

    async def test_an_error_event_is_raised_after_what_came_before_it(
        self, provider: ModelProvider, upstream: ScriptedServer
    ) -> None:
        said = {"type": "overloaded_error", "message": f"Overloaded {KEY}"}
        upstream.script = streaming(START + text("Hi") + sse({"type": "error", "error": said}))
        events: list[ModelEvent] = []
        async with provider.stream(REQUEST) as stream:
            with pytest.raises(UpstreamOverloadedError) as caught:
                await into(events, stream)
        assert events == [*STARTED, TextDelta("Hi")]
        assert caught.value.detail == "overloaded_error: Overloaded [redacted]"

    async def test_an_error_event_is_raised_though_the_connection_stays(
        self, provider: ModelProvider, upstream: ScriptedServer
    ) -> None:
        async def script(exchange: Exchange) -> None:
            await begin(exchange)
            error = {"type": "api_error", "message": "no"}
            await exchange.chunk(text("Hi") + sse({"type": "error", "error": error}))
            await exchange.gone()

        upstream.script = script
        error = await asyncio.wait_for(failure(provider), SOON)
        assert (error.status, error.retryable) == (500, True)

    @pytest.mark.parametrize("data", [b"data: {nope\n\n", b"<h1>Hello</h1>", b'{"id":"msg_1"}'])
    async def test_what_is_no_reply_is_an_error_that_says_what_it_was(
        self, provider: ModelProvider, upstream: ScriptedServer, data: bytes
    ) -> None:
        upstream.script = streaming(data)
        error = await failure(provider)
        assert (error.retryable, error.public_message) == (
            False,
            "The model provider's reply can't be read.",
        )
        assert data.decode().strip().removeprefix("data: ") in (error.detail or "")

    async def test_a_reply_is_over_though_the_connection_stays(
        self, provider: ModelProvider, upstream: ScriptedServer
    ) -> None:
        async def script(exchange: Exchange) -> None:
            await begin(exchange)
            await exchange.chunk(reply("Hi"))
            await exchange.gone()

        upstream.script = script
        events = await asyncio.wait_for(collected(provider), SOON)
        assert events[-1] == ReplyStopped("end_turn")

    async def test_leaving_early_closes_the_upstreams_connection(
        self, provider: ModelProvider, upstream: ScriptedServer
    ) -> None:
        gone = asyncio.Event()

        async def script(exchange: Exchange) -> None:
            await begin(exchange)
            await exchange.chunk(START)
            await exchange.gone()
            gone.set()

        upstream.script = script
        async with provider.stream(REQUEST) as stream:
            await anext(stream)
        await asyncio.wait_for(gone.wait(), 1.0)

    async def test_a_cancelled_reader_closes_the_upstreams_connection(
        self, provider: ModelProvider, upstream: ScriptedServer
    ) -> None:
        started, gone = asyncio.Event(), asyncio.Event()

        async def script(exchange: Exchange) -> None:
            await begin(exchange)
            await exchange.chunk(START)
            await exchange.gone()
            gone.set()

        async def read() -> None:
            async with provider.stream(REQUEST) as stream:
                async for _ in stream:
                    started.set()

        upstream.script = script
        task = asyncio.create_task(read())
        await asyncio.wait_for(started.wait(), SOON)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(gone.wait(), 1.0)

    async def test_an_error_of_the_reader_passes_unchanged(
        self, provider: ModelProvider, upstream: ScriptedServer
    ) -> None:
        upstream.script = streaming(reply("Hi"))
        with pytest.raises(LookupError, match="mine"):
            async with provider.stream(REQUEST):
                raise LookupError("mine")

    async def test_two_streams_at_once_keep_apart(
        self, provider: ModelProvider, upstream: ScriptedServer
    ) -> None:
        both = asyncio.Barrier(2)

        async def script(exchange: Exchange) -> None:
            body = json.loads(await exchange.read_all())
            await exchange.start(200, {"transfer-encoding": "chunked"})
            for _ in range(3):
                await both.wait()
                await exchange.chunk(text(body["model"]))
            await exchange.chunk(stop())
            await exchange.chunk(b"")

        upstream.script = script
        requests = [ModelRequest(name, REQUEST.messages, 10) for name in ("a", "b")]
        replies = await asyncio.gather(*(collected(provider, request) for request in requests))
        assert replies == [[TextDelta("aaa"), *STOPPED], [TextDelta("bbb"), *STOPPED]]

    async def test_a_whole_reply_leaves_its_connection_for_the_next(
        self, provider: ModelProvider, upstream: ScriptedServer
    ) -> None:
        upstream.script = streaming(reply("Hi"))
        for _ in range(3):
            await collected(provider)
        assert upstream.connections == 1

    async def test_a_requests_own_key_goes_before_the_operators(
        self, provider: ModelProvider, upstream: ScriptedServer
    ) -> None:
        async def script(exchange: Exchange) -> None:
            said = f"invalid {key_of(exchange)}"
            error = {"type": "authentication_error", "message": said}
            await exchange.answer(401, body=json.dumps({"error": error}).encode())

        upstream.script = script
        error = await failure(provider, ModelRequest("m", REQUEST.messages, 10, api_key=USER_KEY))
        assert KEY not in str(upstream.exchanges[0].headers)
        assert key_of(upstream.exchanges[0]) == USER_KEY
        assert (error.code, error.status, error.retryable) == ("own_key_refused", 401, False)
        assert "your own API key" in error.public_message
        await failure(provider)
        assert key_of(upstream.exchanges[1]) == KEY

    async def test_a_key_that_breaks_the_head_is_an_invalid_request(
        self, provider: ModelProvider, upstream: ScriptedServer
    ) -> None:
        request = ModelRequest("m", REQUEST.messages, 10, api_key="a\r\nx-evil: 1")
        with pytest.raises(InvalidRequestError):
            await collected(provider, request)
        assert upstream.exchanges == []

    async def test_an_own_key_that_is_empty_is_not_the_operators(
        self, provider: ModelProvider, upstream: ScriptedServer
    ) -> None:
        with pytest.raises(InvalidRequestError):
            await collected(provider, ModelRequest("m", REQUEST.messages, 10, api_key=""))
        assert upstream.exchanges == []

    async def test_an_empty_key_is_for_servers_that_want_none(
        self, open_provider: OpenProvider, upstream: ScriptedServer
    ) -> None:
        upstream.script = streaming(reply("Hi"))
        async with open_provider(upstream.url(), api_key="") as provider:
            assert (await collected(provider))[-1] == ReplyStopped("end_turn")
        got = upstream.exchanges[0].headers
        assert ("x-api-key" in got, "authorization" in got) == (False, False)

    async def test_a_provider_shows_no_key(self, provider: ModelProvider) -> None:
        assert KEY not in repr(provider)
        assert KEY not in str(provider)

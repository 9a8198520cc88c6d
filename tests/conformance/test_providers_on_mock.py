"""Every provider against the mock of the Messages API: its faults end as the protocol says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from openbolt.errors import (
    UpstreamError,
    UpstreamOverloadedError,
    UpstreamRateLimitedError,
    UpstreamTimeoutError,
)
from openbolt.model import ReplyStopped, TextDelta
from openbolt.protocols import ModelProvider, Timeouts
from openbolt.providers.anthropic import AnthropicProvider
from openbolt.providers.http import MessagesProvider
from openbolt.senders.aiohttp import AiohttpSender
from openbolt.senders.httpx import HttpxSender
from openbolt.testing.providers import collected
from openbolt_local.mocks import AnthropicMock, Reply

Open = Callable[[str], AbstractAsyncContextManager[ModelProvider]]

LIMITS = Timeouts(first_byte=1.0, idle=1.0)


@asynccontextmanager
async def sdk(url: str) -> AsyncIterator[ModelProvider]:
    provider = AnthropicProvider(api_key="k", base_url=url, timeouts=LIMITS, max_retries=0)
    yield provider
    await provider.aclose()


@asynccontextmanager
async def aiohttp(url: str) -> AsyncIterator[ModelProvider]:
    sender = AiohttpSender()
    yield MessagesProvider(sender, url, "k", LIMITS, max_retries=0)
    await sender.aclose()


@asynccontextmanager
async def httpx(url: str) -> AsyncIterator[ModelProvider]:
    sender = HttpxSender()
    yield MessagesProvider(sender, url, "k", LIMITS, max_retries=0)
    await sender.aclose()


@pytest.fixture(params=[sdk, aiohttp, httpx])
def open_provider(request: pytest.FixtureRequest) -> Open:
    found: Open = request.param
    return found


ANSWER = "Grüße 😀\n" * 40


@pytest.mark.parametrize(
    ("fault", "ending"),
    [
        ("", "end_turn"),
        ("split-utf8", "end_turn"),
        ("giant after=2 size=300000", "end_turn"),
        ("thinking", "end_turn"),
        ("refusal after=2", "refusal"),
        ("pause_turn after=2", "pause_turn"),
        ("context-window after=2", "model_context_window_exceeded"),
        ("429 retry-after=2", UpstreamRateLimitedError),
        ("529", UpstreamOverloadedError),
        ("401", UpstreamError),
        ("error-event after=2", UpstreamOverloadedError),
        ("stall after=2", UpstreamTimeoutError),
        ("reset after=2", UpstreamError),
        ("cut after=2", UpstreamError),
        ("eof after=2", UpstreamError),
        ("malformed-sse after=2", UpstreamError),
        ("malformed-json after=2", UpstreamError),
        ("content-type=text/html", UpstreamError),
    ],
)
async def test_each_fault_of_the_mock_ends_as_it_should(
    open_provider: Open, fault: str, ending: str | type[UpstreamError]
) -> None:
    async with AnthropicMock() as mock:
        mock.enqueue(Reply(ANSWER, fault=fault or None))
        async with open_provider(mock.url) as provider:
            try:
                end: object = (await collected(provider))[-1]
            except UpstreamError as error:
                end = type(error)
        await mock.idle()
    assert end == (ReplyStopped(ending) if isinstance(ending, str) else ending)


async def test_the_mocks_reply_comes_character_for_character(open_provider: Open) -> None:
    async with AnthropicMock() as mock:
        mock.enqueue(Reply(ANSWER, fault="split-utf8"))
        async with open_provider(mock.url) as provider:
            events = await collected(provider)
    assert [event for event in events if isinstance(event, TextDelta)] == [TextDelta(ANSWER)]

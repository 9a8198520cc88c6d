"""The SDK's way and both senders' ways to a model against one suite, and what only the SDK does."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from openbolt.errors import UpstreamOverloadedError, UpstreamRateLimitedError
from openbolt.model import ModelMessage, ModelRequest, ReplyStopped
from openbolt.protocols import ModelProvider, Timeouts
from openbolt.providers.anthropic import AnthropicProvider
from openbolt.providers.http import MessagesProvider
from openbolt.senders.aiohttp import AiohttpSender
from openbolt.senders.httpx import HttpxSender
from openbolt.testing.providers import (
    KEY,
    ModelProviderSuite,
    OpenProvider,
    collected,
    reply,
    streaming,
)
from openbolt.testing.scripted import Exchange, scripted_server


@asynccontextmanager
async def anthropic_provider(
    base_url: str, /, *, api_key: str = KEY, timeouts: Timeouts = Timeouts()
) -> AsyncIterator[ModelProvider]:
    provider = AnthropicProvider(
        api_key=api_key, base_url=base_url, timeouts=timeouts, max_retries=0
    )
    try:
        yield provider
    finally:
        await provider.aclose()


def over(make: Callable[[], AiohttpSender | HttpxSender]) -> OpenProvider:
    @asynccontextmanager
    async def open_provider(
        base_url: str, /, *, api_key: str = KEY, timeouts: Timeouts = Timeouts()
    ) -> AsyncIterator[ModelProvider]:
        sender = make()
        try:
            yield MessagesProvider(sender, base_url, api_key, timeouts, max_retries=0)
        finally:
            await sender.aclose()

    return open_provider


class TestAnthropicProvider(ModelProviderSuite):
    @pytest.fixture
    def open_provider(self) -> OpenProvider:
        return anthropic_provider


class TestMessagesProviderOverAiohttp(ModelProviderSuite):
    @pytest.fixture
    def open_provider(self) -> OpenProvider:
        return over(AiohttpSender)


class TestMessagesProviderOverHttpx(ModelProviderSuite):
    @pytest.fixture
    def open_provider(self) -> OpenProvider:
        return over(HttpxSender)


@pytest.mark.parametrize("open_provider", [anthropic_provider, over(AiohttpSender)])
async def test_a_request_is_not_kept_while_its_reply_is_read(open_provider: OpenProvider) -> None:
    size = 900_000  # above a million the SDK's transport warns
    short, long = [
        ModelRequest("claude", (ModelMessage.text("user", "x" * n),), 100) for n in (1, size)
    ]
    sizes: list[int] = []

    async def script(exchange: Exchange) -> None:
        while data := await exchange.read():
            sizes.append(len(data))
        await streaming(reply("Well."))(exchange)

    async with scripted_server() as server, open_provider(server.url()) as provider:
        server.script = script
        await collected(provider, short)  # what is loaded and made once is there
        tracemalloc.start()
        try:
            async with provider.stream(long) as batches:
                await anext(batches)
                held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert sum(sizes) > size
    assert held < size / 4


def test_the_sdk_is_not_imported_before_it_is_needed() -> None:
    code = (
        "import sys\n"
        "from openbolt.providers.anthropic import AnthropicProvider\n"
        "AnthropicProvider(api_key='k')\n"
        "print([name for name in ('anthropic', 'httpx2', 'aiohttp') if name in sys.modules])\n"
    )
    command = [sys.executable, "-c", code]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


async def test_the_sdk_tries_a_passing_refusal_again() -> None:
    async with scripted_server() as upstream:

        async def script(exchange: Exchange) -> None:
            if len(upstream.exchanges) == 1:
                await exchange.answer(529, {"retry-after-ms": "1"})
            else:
                await streaming(reply("Hi"))(exchange)

        upstream.script = script
        provider = AnthropicProvider(api_key=KEY, base_url=upstream.url())
        await provider.warm_up()
        assert (await collected(provider))[-1] == ReplyStopped("end_turn")
        await provider.aclose()
    assert len(upstream.exchanges) == 2


async def test_the_sdk_reads_a_reply_that_is_compressed_unasked() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.read_all()
        fields = {"content-encoding": "gzip", "transfer-encoding": "chunked"}
        await exchange.start(200, fields)
        await exchange.chunk(gzip.compress(reply("Hi")))
        await exchange.chunk(b"")

    async with scripted_server() as upstream:
        upstream.script = script
        provider = AnthropicProvider(api_key=KEY, base_url=upstream.url())
        assert (await collected(provider))[-1] == ReplyStopped("end_turn")
        await provider.aclose()


async def test_the_sdk_gives_up_after_its_retries() -> None:
    async with scripted_server() as upstream:
        upstream.script = lambda exchange: exchange.answer(529, {"retry-after-ms": "1"})
        provider = AnthropicProvider(api_key=KEY, base_url=upstream.url(), max_retries=2)
        with pytest.raises(UpstreamOverloadedError):
            await collected(provider)
        await provider.aclose()
    assert len(upstream.exchanges) == 3


async def test_the_sdk_does_not_sleep_for_as_long_as_an_upstream_names() -> None:
    async with scripted_server() as upstream:
        upstream.script = lambda exchange: exchange.answer(429, {"retry-after": "3600"})
        provider = AnthropicProvider(api_key=KEY, base_url=upstream.url())
        with pytest.raises(UpstreamRateLimitedError) as caught:
            await collected(provider)
        await provider.aclose()
    assert (caught.value.retry_after, len(upstream.exchanges)) == (3600.0, 1)

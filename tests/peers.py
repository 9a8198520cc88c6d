"""Who stands at the other end of a connection, for every test that asks: a model, a scripted
server, and a sender that calls them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from openbolt.senders.aiohttp import AiohttpSender
from openbolt.testing.scripted import ScriptedServer, scripted_server
from openbolt_local.mocks import AnthropicMock

__all__ = ["mock", "sender", "upstream"]


@pytest_asyncio.fixture
async def mock() -> AsyncIterator[AnthropicMock]:
    async with AnthropicMock() as server:
        yield server


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as server:
        yield server


@pytest_asyncio.fixture
async def sender() -> AsyncIterator[AiohttpSender]:
    sender = AiohttpSender()
    yield sender
    await sender.aclose()

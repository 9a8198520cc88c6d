from collections.abc import AsyncIterator

import pytest

from openbolt.senders.aiohttp import AiohttpSender
from openbolt.testing.scripted import ScriptedServer, scripted_server


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as server:
        yield server


@pytest.fixture
async def sender() -> AsyncIterator[AiohttpSender]:
    sender = AiohttpSender()
    yield sender
    await sender.aclose()

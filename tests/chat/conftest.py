from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest_asyncio

from openbolt_local.mocks import AnthropicMock
from tests.chat.driving import App


@pytest_asyncio.fixture
async def make_app(mock: AnthropicMock) -> AsyncIterator[Callable[..., App]]:
    async with AsyncExitStack() as stack:

        def make(**settings: Any) -> App:
            app = App(mock, **settings)
            stack.push_async_exit(app)
            return app

        yield make


@pytest_asyncio.fixture
async def app(make_app: Callable[..., App]) -> App:
    return make_app()

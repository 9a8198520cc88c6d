from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest_asyncio

from openbolt_local.mocks import AnthropicMock

# Tests are imported by path, so what they share is put where they can name it.
_SPEC = importlib.util.spec_from_file_location(
    "chat_driving", Path(__file__).with_name("driving.py")
)
assert _SPEC is not None
assert _SPEC.loader is not None
chat_driving = importlib.util.module_from_spec(_SPEC)
sys.modules["chat_driving"] = chat_driving
_SPEC.loader.exec_module(chat_driving)


@pytest_asyncio.fixture
async def mock() -> AsyncIterator[AnthropicMock]:
    async with AnthropicMock() as server:
        yield server


@pytest_asyncio.fixture
async def make_app(mock: AnthropicMock) -> AsyncIterator[Callable[..., Any]]:
    async with AsyncExitStack() as stack:
        made: list[Any] = []

        def make(**settings: Any) -> Any:
            app = chat_driving.App(mock, **settings)
            made.append(app)
            return app

        yield make
        for app in made:
            await stack.enter_async_context(app)


@pytest_asyncio.fixture
async def app(make_app: Callable[..., Any]) -> Any:
    return make_app()

"""One workerd for each entry, shared by all tests that use it; skipped where npm has not run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import pytest_asyncio

from openbolt_local.mocks import AnthropicMock
from tests.worker.running import HERE, Worker, running


@pytest.fixture(scope="module")
def mock() -> Iterator[AnthropicMock]:
    """A model that outlives the worker which asks it."""
    with AnthropicMock.in_thread() as mock:
        yield mock


@pytest.fixture(scope="session")
def handlers_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    with running(tmp_path_factory.mktemp("handlers"), HERE / "entries/handlers.py") as worker:
        yield worker


@pytest_asyncio.fixture
async def handlers(handlers_worker: Worker) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(handlers_worker) as client:
        yield client


def open_client(worker: Worker) -> httpx.AsyncClient:
    # wrangler, as Cloudflare's edge, compresses for whoever accepts it: in larger chunks.
    fields = {"accept-encoding": "identity"}
    return httpx.AsyncClient(base_url=worker.url, headers=fields, timeout=30)

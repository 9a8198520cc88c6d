"""One workerd for each entry, shared by all tests that use it; skipped where npm has not run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import pytest_asyncio

from tests.worker.running import HERE, WRANGLER, Worker, running


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("worker")


@pytest.fixture(scope="session")
def handlers_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    need_wrangler()
    folder = tmp_path_factory.mktemp("handlers")
    entry = HERE / "entries/handlers.py"
    with running(folder, entry, sources=("openbolt", "openbolt_cloudflare")) as worker:
        yield worker


@pytest_asyncio.fixture
async def handlers(handlers_worker: Worker) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(handlers_worker) as client:
        yield client


def open_client(worker: Worker) -> httpx.AsyncClient:
    # wrangler, as Cloudflare's edge, compresses for whoever accepts it: in larger chunks.
    fields = {"accept-encoding": "identity"}
    return httpx.AsyncClient(base_url=worker.url, headers=fields, timeout=30)


def need_wrangler() -> None:
    if not WRANGLER.exists():
        pytest.skip("tests/worker needs `npm ci`; `nox -s worker` runs it")

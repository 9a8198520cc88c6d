"""The entry module of `examples/worker`, unchanged, in a real workerd."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import pytest_asyncio

from openbolt_local.mocks import AnthropicMock
from tests.worker.conftest import open_client
from tests.worker.running import SOURCE, Worker, running

ENTRY = SOURCE.parent / "examples/worker/src/entry.py"
SIGNED_IN = ("anyone", "a password")


@pytest.fixture(scope="module")
def example_worker(
    tmp_path_factory: pytest.TempPathFactory, mock: AnthropicMock
) -> Iterator[Worker]:
    variables = {
        "ANTHROPIC_API_KEY": "a-key",
        "ANTHROPIC_BASE_URL": mock.url,
        "OPENBOLT_PASSWORD": SIGNED_IN[1],
    }
    with running(tmp_path_factory.mktemp("example"), ENTRY, variables=variables) as worker:
        yield worker


@pytest_asyncio.fixture
async def example(example_worker: Worker) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(example_worker) as client:
        yield client


async def test_it_makes_a_prompt_better(example: httpx.AsyncClient, mock: AnthropicMock) -> None:
    mock.enqueue("A better prompt.")
    answer = await example.post("/api/enhancer", json={"message": "page"}, auth=SIGNED_IN)
    assert (answer.status_code, answer.text) == (200, "A better prompt.")


async def test_it_asks_for_the_password(example: httpx.AsyncClient) -> None:
    answer = await example.post("/api/enhancer", json={"message": "page"})
    assert answer.status_code == 401


async def test_it_is_alive(example: httpx.AsyncClient) -> None:
    assert (await example.get("/healthz")).json() == {"status": "ok"}

"""The GitHub stand-in, with a clock that is told the time."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest_asyncio

from openbolt.testing import ManualClock
from openbolt_local.mocks import GitHubMock
from tests.mocks.github_flow import ACCOUNTS, APPS, Flow


@pytest_asyncio.fixture
async def flow(clock: ManualClock) -> AsyncIterator[Flow]:
    mock = GitHubMock(APPS, ACCOUNTS, clock=clock, closed_orgs={"closed-org"})
    async with mock, httpx.AsyncClient(base_url=mock.url, trust_env=False) as http:
        yield Flow(mock, http)

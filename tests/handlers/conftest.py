"""The application and its parts as fixtures; override one to have all that stands on it differ."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from openbolt import Dependencies, OpenBolt, Settings
from openbolt.chat.log import MemoryEventLog
from openbolt.graph import Graph
from openbolt.history import ChatStore
from openbolt.projects.store import ProjectStore
from openbolt.providers.http import MessagesProvider
from openbolt.senders.aiohttp import AiohttpSender
from openbolt.testing import ManualClock, SequenceTokens
from openbolt_local.memory import MemoryKeyValueStore, MemoryLeaseStore, MemoryObjectStore
from openbolt_local.mocks import AnthropicMock
from tests.handlers.building import ByHeader, Caller, Chatter
from tests.stores import in_memory


@pytest.fixture
def tokens() -> SequenceTokens:
    return SequenceTokens()


@pytest.fixture
def log(clock: ManualClock) -> MemoryEventLog:
    return MemoryEventLog(clock)


@pytest.fixture
def provider(mock: AnthropicMock, sender: AiohttpSender) -> MessagesProvider:
    return MessagesProvider(sender, mock.url, "key", max_retries=0)


@pytest.fixture
def dependencies(
    kv: MemoryKeyValueStore,
    objects: MemoryObjectStore,
    log: MemoryEventLog,
    leases: MemoryLeaseStore,
    provider: MessagesProvider,
    clock: ManualClock,
    tokens: SequenceTokens,
) -> Dependencies:
    given = {"kv": kv, "objects": objects, "events": log, "leases": leases, "tokens": tokens}
    return in_memory(clock, provider=provider, authenticator=ByHeader(), **given)


@pytest.fixture
def app(dependencies: Dependencies, settings: Settings) -> OpenBolt:
    return OpenBolt(dependencies, settings)


@pytest_asyncio.fixture
async def call(app: OpenBolt) -> AsyncIterator[Caller]:
    caller = Caller(app)
    yield caller
    await caller.settle()


@pytest.fixture
def chat(call: Caller, mock: AnthropicMock) -> Chatter:
    return Chatter(call, mock)


@pytest.fixture
def graph(dependencies: Dependencies, settings: Settings) -> Graph:
    """The application's stores and services, by hand."""
    return Graph.of(dependencies, settings)


@pytest.fixture
def projects(graph: Graph) -> ProjectStore:
    return graph.projects


@pytest.fixture
def chats(graph: Graph) -> ChatStore:
    return graph.chats

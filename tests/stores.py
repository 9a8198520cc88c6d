"""A clock that is told the time, and stores in memory that go by it, for every test that asks.

Override one, in a folder or a module, to have all that stands on it differ.
"""

from __future__ import annotations

from typing import Any

import pytest

from openbolt import Dependencies, Settings
from openbolt.chat.log import MemoryEventLog
from openbolt.clock import SystemTokens
from openbolt.heads import HeadStore, KeyValueHeads
from openbolt.history import ChatStore
from openbolt.projects.store import ProjectStore
from openbolt.protocols import Clock
from openbolt.testing import ManualClock, SequenceTokens
from openbolt_local.memory import MemoryKeyValueStore, MemoryLeaseStore, MemoryObjectStore

__all__ = [
    "chats",
    "clock",
    "heads",
    "in_memory",
    "kv",
    "leases",
    "objects",
    "projects",
    "settings",
]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def kv(clock: ManualClock) -> MemoryKeyValueStore:
    return MemoryKeyValueStore(clock)


@pytest.fixture
def objects(clock: ManualClock) -> MemoryObjectStore:
    return MemoryObjectStore(clock)


@pytest.fixture
def leases(clock: ManualClock) -> MemoryLeaseStore:
    return MemoryLeaseStore(clock, SequenceTokens())


@pytest.fixture
def settings() -> Settings:
    return Settings()


@pytest.fixture
def projects(
    objects: MemoryObjectStore, kv: MemoryKeyValueStore, clock: ManualClock
) -> ProjectStore:
    """The same store that an application over these has."""
    return ProjectStore(objects, kv, clock)


@pytest.fixture
def heads(kv: MemoryKeyValueStore) -> HeadStore:
    """One of the two places that heads may be kept in."""
    return KeyValueHeads(kv)


@pytest.fixture
def chats(kv: MemoryKeyValueStore, heads: HeadStore, clock: ManualClock) -> ChatStore:
    """The same store that an application over these has."""
    return ChatStore(kv, heads, clock)


def in_memory(clock: Clock, **given: Any) -> Dependencies:
    """What an application needs, all of it in memory but for what is given.

    Without a ``provider`` nothing answers for the model.
    """
    kv = given.get("kv") or MemoryKeyValueStore(clock)
    others = {
        "atomic": kv,
        "objects": MemoryObjectStore(clock),
        "events": MemoryEventLog(clock),
        "leases": MemoryLeaseStore(clock),
        "provider": None,
        "tokens": SystemTokens(),
    }
    return Dependencies(**{"kv": kv, "clock": clock, **others, **given})

"""Backends with one fault each, under the suites: `test_suites.py` runs this file and counts.

Not collected by itself: its name doesn't start with ``test_``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from attrs import evolve

from openbolt.chat.events import TurnEvent
from openbolt.chat.log import MemoryEventLog
from openbolt.limits import microseconds
from openbolt.protocols import Decision, Lease, ObjectInfo, RatePolicy, SessionRecord
from openbolt.testing import (
    AtomicKeyValueStoreSuite,
    CipherSuite,
    EventLogSuite,
    LeaseStoreSuite,
    ManualClock,
    ObjectStoreSuite,
    PlainCipher,
    RateLimiterSuite,
    SessionStoreSuite,
)
from openbolt_local.memory import (
    MemoryKeyValueStore,
    MemoryLeaseStore,
    MemoryObjectStore,
    MemoryRateLimiter,
    MemorySessionStore,
)
from tests.conformance.timing import OnManualClock


class _Racing(MemoryKeyValueStore):
    async def replace(
        self, key: str, value: bytes, /, *, expected: bytes | None, ttl: float | None = None
    ) -> bool:
        if await self.get(key) != expected:
            return False
        await asyncio.sleep(0)
        await self.set(key, value, ttl=ttl)
        return True


class TestRacingKeyValueStore(OnManualClock, AtomicKeyValueStoreSuite):
    @pytest.fixture
    def store(self, clock: ManualClock) -> _Racing:
        return _Racing(clock)


class _Clamping(MemoryKeyValueStore):
    async def set(self, key: str, value: bytes, /, *, ttl: float | None = None) -> None:
        await super().set(key, value, ttl=None if ttl is None else max(ttl, 60.0))


class TestClampingKeyValueStore(OnManualClock, AtomicKeyValueStoreSuite):
    @pytest.fixture
    def store(self, clock: ManualClock) -> _Clamping:
        return _Clamping(clock)


class _Unordered(MemoryObjectStore):
    async def scan(
        self, prefix: str, /, *, after: str | None = None, limit: int | None = None
    ) -> AsyncIterator[ObjectInfo]:
        found = [info async for info in super().scan(prefix, after=after)]
        for info in sorted(found, key=lambda info: info.key.encode("utf-16-be"))[:limit]:
            yield info


class TestUnorderedObjectStore(ObjectStoreSuite):
    @pytest.fixture
    def store(self, clock: ManualClock) -> _Unordered:
        return _Unordered(clock)


class _Unconditional(MemoryObjectStore):
    async def put(self, key: str, data: Any, /, **options: Any) -> ObjectInfo:
        options |= {"if_match": None, "if_none_match": None}
        return await super().put(key, data, **options)


class TestUnconditionalObjectStore(ObjectStoreSuite):
    @pytest.fixture
    def store(self, clock: ManualClock) -> _Unconditional:
        return _Unconditional(clock)


class _Sleepy(MemoryEventLog):
    """Writes behind, and its readers wait for that."""

    async def append(self, turn: str, events: Sequence[TurnEvent], /) -> None:
        if not events:
            await super().append(turn, events)
        for event in events:
            await asyncio.sleep(0.01)
            await super().append(turn, [event])


class TestSleepyEventLog(OnManualClock, EventLogSuite):
    @pytest.fixture
    def log(self, clock: ManualClock) -> _Sleepy:
        return _Sleepy(clock)

    async def test_a_reader_of_this_process_is_woken_before_anything_is_written(self) -> None:
        """Left out: this log's appends wait themselves."""


class _Forgetful(MemoryEventLog):
    async def close(self, turn: str, /) -> None:
        await super().close(turn)
        self._turns.pop(turn, None)
        self._closed.clear()


class TestForgetfulEventLog(OnManualClock, EventLogSuite):
    @pytest.fixture
    def log(self, clock: ManualClock) -> _Forgetful:
        return _Forgetful(clock)


class _Unfenced(MemoryLeaseStore):
    async def acquire(self, name: str, /, *, ttl: float) -> Lease | None:
        lease = await super().acquire(name, ttl=ttl)
        if lease:
            lease = self._leases[name] = evolve(lease, fence=1)
        return lease


class TestUnfencedLeaseStore(OnManualClock, LeaseStoreSuite):
    @pytest.fixture
    def store(self, clock: ManualClock) -> _Unfenced:
        return _Unfenced(clock)


class _Immortal(MemorySessionStore):
    async def load(self, id_hash: str, /) -> SessionRecord | None:
        return self._records.get(id_hash)


class TestImmortalSessionStore(OnManualClock, SessionStoreSuite):
    @pytest.fixture
    def store(self, clock: ManualClock) -> _Immortal:
        return _Immortal(clock)


class _Vindictive(MemoryRateLimiter):
    async def acquire(self, subject: str, policy: RatePolicy, cost: int = 1, /) -> Decision:
        decision = await super().acquire(subject, policy, cost)
        if not decision.allowed:
            self._arrivals[policy.name, subject] += microseconds(policy.period)
        return decision


class TestVindictiveRateLimiter(OnManualClock, RateLimiterSuite):
    @pytest.fixture
    def limiter(self, clock: ManualClock) -> _Vindictive:
        return _Vindictive(clock)


class TestPlainCipher(CipherSuite):
    @pytest.fixture
    def cipher(self) -> PlainCipher:
        return PlainCipher()

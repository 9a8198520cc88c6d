"""The stores in memory against the suites, and what happens when one is full."""

from __future__ import annotations

import asyncio

import pytest

from openbolt.chat.events import TextDelta
from openbolt.chat.log import MemoryEventLog
from openbolt.errors import BackendError, NotFoundError
from openbolt.protocols import RatePolicy, SessionRecord
from openbolt.testing import (
    AtomicKeyValueStoreSuite,
    EventLogSuite,
    LeaseStoreSuite,
    ManualClock,
    ObjectStoreSuite,
    SequenceTokens,
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


class TestMemoryKeyValueStore(OnManualClock, AtomicKeyValueStoreSuite):
    @pytest.fixture
    def store(self, clock: ManualClock) -> MemoryKeyValueStore:
        return MemoryKeyValueStore(clock)


class TestMemoryObjectStore(ObjectStoreSuite):
    @pytest.fixture
    def store(self, clock: ManualClock) -> MemoryObjectStore:
        return MemoryObjectStore(clock)


class TestMemoryEventLog(OnManualClock, EventLogSuite):
    @pytest.fixture
    def log(self, clock: ManualClock) -> MemoryEventLog:
        return MemoryEventLog(clock)


class TestMemoryLeaseStore(OnManualClock, LeaseStoreSuite):
    @pytest.fixture
    def store(self, clock: ManualClock) -> MemoryLeaseStore:
        return MemoryLeaseStore(clock, SequenceTokens())


class TestMemorySessionStore(OnManualClock, SessionStoreSuite):
    @pytest.fixture
    def store(self, clock: ManualClock) -> MemorySessionStore:
        return MemorySessionStore(clock)


async def test_a_full_key_value_store_says_so_and_keeps_what_it_has(clock: ManualClock) -> None:
    store = MemoryKeyValueStore(clock, max_entries=2)
    await store.set("p/1", b"1")
    await store.set("p/2", b"2")
    with pytest.raises(BackendError, match="max_entries=2"):
        await store.set("p/3", b"3")
    await store.set("p/2", b"again")
    assert [await store.get(f"p/{n}") for n in (1, 2, 3)] == [b"1", b"again", None]
    await store.delete("p/1")
    await store.set("p/3", b"3")


async def test_bytes_of_keys_and_values_are_counted_and_given_back(clock: ManualClock) -> None:
    store = MemoryKeyValueStore(clock, max_bytes=10)
    await store.set("p/1", b"1234567")
    with pytest.raises(BackendError, match="max_bytes=10"):
        await store.set("p/1", b"12345678")
    await store.set("p/1", b"")
    await store.set("p/2", b"1234")
    await store.take("p/2")
    await store.set("p/2", b"1234")


async def test_what_expired_makes_room(clock: ManualClock) -> None:
    store = MemoryKeyValueStore(clock, max_entries=100)
    for number in range(1000):
        await store.set(f"p/{number}", b"", ttl=10)
        clock.advance(0.1)
    assert len([key async for key in store.scan("p/")]) == 99


async def test_a_key_written_again_and_again_leaves_nothing_behind(clock: ManualClock) -> None:
    store = MemoryKeyValueStore(clock)
    for _ in range(1000):
        await store.set("p/key", b"", ttl=1_000_000)
    assert len(store._expiries) < 100


async def test_a_full_object_store_says_so_and_keeps_what_it_has(clock: ManualClock) -> None:
    store = MemoryObjectStore(clock, max_objects=1, max_bytes=4)
    await store.put("one", b"1234")
    with pytest.raises(BackendError, match="max_objects=1"):
        await store.put("two", b"")
    await store.put("one", b"4321")
    await store.delete("one")
    await store.put("two", b"12")
    with pytest.raises(BackendError, match="max_bytes=3"):
        await MemoryObjectStore(clock, limits=store.limits, max_bytes=3).put("one", b"1234")


async def test_what_a_reader_opened_stays_as_it_was(clock: ManualClock) -> None:
    store = MemoryObjectStore(clock)
    await store.put("key", b"old")
    opened = await store.open("key")
    assert opened is not None
    await store.put("key", b"new")
    assert b"".join([chunk async for chunk in opened.body]) == b"old"


async def test_a_full_session_store_says_so_once_nothing_has_expired(clock: ManualClock) -> None:
    store = MemorySessionStore(clock, max_sessions=1)
    now = clock.now()
    first = SessionRecord("one", "user", now, now, now + 10)
    second = SessionRecord("two", "user", now, now, now + 100)
    await store.save(first)
    await store.save(first)
    with pytest.raises(BackendError, match="max_sessions=1"):
        await store.save(second)
    clock.advance(10)
    await store.save(second)
    assert await store.load("two") == second


async def test_fences_grow_across_restarts(clock: ManualClock) -> None:
    first = await MemoryLeaseStore(clock).acquire("name", ttl=1)
    clock.advance(1)
    second = await MemoryLeaseStore(clock).acquire("name", ttl=1)
    assert first is not None
    assert second is not None
    assert second.fence > first.fence


async def test_a_full_log_lets_the_turn_go_that_was_closed_first(clock: ManualClock) -> None:
    log = MemoryEventLog(clock, max_turns=2)
    for turn in ("one", "two"):
        await log.open(turn)
    with pytest.raises(BackendError, match="max_turns=2"):
        await log.open("three")
    await log.close("two")
    await log.open("three")
    await log.append("one", [TextDelta("t", "x")])
    with pytest.raises(NotFoundError):
        await anext(log.read("two"))
    assert (await anext(log.read("one"))).events == [TextDelta("t", "x")]


async def test_closed_turns_are_forgotten_after_the_retention(clock: ManualClock) -> None:
    log = MemoryEventLog(clock, retention=10)
    for number in range(100):
        await log.open(f"turn-{number}")
        await log.close(f"turn-{number}")
        clock.advance(1)
    assert len(log._turns) == 10


async def test_readers_that_left_leave_nothing_behind(clock: ManualClock) -> None:
    log = MemoryEventLog(clock)
    await log.open("turn")
    for _ in range(10):
        reader = log.read("turn")
        await reader.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(reader)
    assert log._turns["turn"].waiters == []


async def test_a_reader_closed_by_another_task_ends(clock: ManualClock) -> None:
    log = MemoryEventLog(clock)
    await log.open("turn")
    reader = log.read("turn")

    async def read() -> list[object]:
        return [batch async for batch in reader]

    reading = asyncio.create_task(read())
    await asyncio.sleep(0)
    await reader.aclose()
    assert await reading == []


async def test_a_burst_is_there_once_and_then_the_steady_rate(clock: ManualClock) -> None:
    limiter = MemoryRateLimiter(clock)
    policy = RatePolicy("p", limit=10, period=10.0, burst=3)
    got = [(await limiter.acquire("s", policy)).allowed for _ in range(4)]
    refused = await limiter.acquire("s", policy)
    clock.advance(1.0)
    after = [(await limiter.acquire("s", policy)).allowed for _ in range(2)]
    assert (got, after) == ([True, True, True, False], [True, False])
    assert refused.retry_after == pytest.approx(1.0)


async def test_what_can_never_be_allowed_names_no_time(clock: ManualClock) -> None:
    limiter = MemoryRateLimiter(clock)
    decision = await limiter.acquire("s", RatePolicy("p", 2, 1.0), 3)
    assert (decision.allowed, decision.retry_after, decision.remaining) == (False, None, 2)


async def test_a_limiter_remembers_so_many_subjects_and_those_that_asked_last(
    clock: ManualClock,
) -> None:
    limiter = MemoryRateLimiter(clock, max_subjects=2)
    policy = RatePolicy("p", 1, 100.0)
    for subject in ("one", "two", "three"):
        await limiter.acquire(subject, policy)
    assert (await limiter.acquire("three", policy)).allowed is False
    assert (await limiter.acquire("two", policy)).allowed is False
    assert (await limiter.acquire("one", policy)).allowed is True
    assert len(limiter._arrivals) == 2

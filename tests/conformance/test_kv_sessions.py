"""Sessions over key-value stores: the suite, and what a store without atomic operations needs."""

from __future__ import annotations

import pytest
from attrs import evolve

from openbolt.auth.session_store import KeyValueSessionStore
from openbolt.protocols import KeyValueStore, KVLimits, SessionRecord
from openbolt.testing import ManualClock, SessionStoreSuite
from openbolt_local.memory import MemoryKeyValueStore
from tests.conformance.timing import OnManualClock
from tests.faults import keys_of

HASH = "ab" * 32


class PlainKeyValues:
    """A `KeyValueStore` with nothing atomic, as Cloudflare's: 60 s at least.

    Attributes:
        seen: What was called, in order.
    """

    def __init__(self, clock: ManualClock, min_ttl: float = 60.0) -> None:
        self._inner = MemoryKeyValueStore(clock, limits=KVLimits(min_ttl=min_ttl))
        self.seen: list[tuple[str, str]] = []

    @property
    def limits(self) -> KVLimits:
        return self._inner.limits

    async def get(self, key: str, /) -> bytes | None:
        return await self._inner.get(key)

    async def set(self, key: str, value: bytes, /, *, ttl: float | None = None) -> None:
        self.seen.append(("set", key))
        await self._inner.set(key, value, ttl=ttl)

    async def delete(self, key: str, /) -> None:
        self.seen.append(("delete", key))
        await self._inner.delete(key)

    def scan(self, prefix: str, /) -> object:
        return self._inner.scan(prefix)


@pytest.fixture
def plain(clock: ManualClock) -> PlainKeyValues:
    return PlainKeyValues(clock)


class TestOverMemory(OnManualClock, SessionStoreSuite):
    @pytest.fixture
    def store(self, clock: ManualClock) -> KeyValueSessionStore:
        return KeyValueSessionStore(MemoryKeyValueStore(clock), clock)


class TestWhereNothingIsAtomic(OnManualClock, SessionStoreSuite):
    """Sessions of 0.2 s end in time, though the store keeps everything for a minute."""

    @pytest.fixture
    def store(self, clock: ManualClock, plain: KeyValueStore) -> KeyValueSessionStore:
        return KeyValueSessionStore(plain, clock)


@pytest.fixture
def store(plain: KeyValueStore, clock: ManualClock) -> KeyValueSessionStore:
    return KeyValueSessionStore(plain, clock)


def made(clock: ManualClock, **changes: object) -> SessionRecord:
    now = clock.now()
    record = SessionRecord(HASH, "ann", now, now, now + 3600, "Firefox on Linux", b"sealed")
    return evolve(record, **changes)


async def test_a_session_is_put_in_its_user_s_list_before_it_can_be_loaded(
    store: KeyValueSessionStore, plain: PlainKeyValues, clock: ManualClock
) -> None:
    await store.save(made(clock))
    place, record = f"user:ann/sessions/{HASH}", f"session:{HASH}/record"
    assert plain.seen == [("set", place), ("set", record)]
    plain.seen.clear()
    await store.discard(HASH)
    assert plain.seen[0] == ("delete", record)
    assert plain.seen[-1] == ("delete", place)


async def test_a_discarded_session_leaves_nothing_behind(
    store: KeyValueSessionStore, plain: PlainKeyValues, clock: ManualClock
) -> None:
    await store.save(made(clock))
    await store.change(HASH, last_used_at=clock.now() + 5, data=b"other")
    await store.discard(HASH)
    assert await keys_of(plain, "user:ann/", f"session:{HASH}/") == []


async def test_what_expired_is_forgotten_by_the_store_itself(
    store: KeyValueSessionStore, plain: PlainKeyValues, clock: ManualClock
) -> None:
    await store.save(made(clock))
    await store.change(HASH, last_used_at=clock.now(), data=b"other")
    clock.advance(3600)
    assert await keys_of(plain, "user:ann/", f"session:{HASH}/") == []


async def test_a_change_is_loaded_and_listed(
    store: KeyValueSessionStore, clock: ManualClock
) -> None:
    await store.save(made(clock))
    assert await store.change(HASH, last_used_at=clock.now() + 61.25)
    assert await store.change(HASH, data=b"")
    expected = made(clock, last_used_at=clock.now() + 61.25, data=b"")
    assert await store.load(HASH) == expected
    assert [record async for record in store.list("ann")] == [expected]


async def test_a_session_that_is_saved_again_has_no_older_changes(
    store: KeyValueSessionStore, clock: ManualClock
) -> None:
    await store.save(made(clock))
    await store.change(HASH, last_used_at=clock.now() + 61, data=b"other")
    await store.save(made(clock))
    assert await store.load(HASH) == made(clock)


@pytest.mark.parametrize("gone", ["never", "discarded", "expired"])
async def test_a_change_brings_no_session_into_being(
    store: KeyValueSessionStore, clock: ManualClock, gone: str
) -> None:
    if gone != "never":
        await store.save(made(clock))
    if gone == "discarded":
        await store.discard(HASH)
    if gone == "expired":
        clock.advance(3600)
    assert await store.change(HASH, last_used_at=clock.now(), data=b"x") is False
    assert await store.load(HASH) is None


async def test_a_change_that_others_overtake_brings_nothing_back(clock: ManualClock) -> None:
    """Signed out between the change's read and its write."""

    class Overtaken(PlainKeyValues):
        async def set(self, key: str, value: bytes, /, *, ttl: float | None = None) -> None:
            if key.endswith("/used"):
                await KeyValueSessionStore(self, clock).discard(HASH)
            await super().set(key, value, ttl=ttl)

    kv = Overtaken(clock)
    store = KeyValueSessionStore(kv, clock)
    await store.save(made(clock))
    await store.change(HASH, last_used_at=clock.now() + 61)
    assert await store.load(HASH) is None
    assert [record async for record in store.list("ann")] == []


async def test_a_place_whose_record_is_not_visible_yet_is_left_in_the_list(
    store: KeyValueSessionStore, plain: PlainKeyValues, clock: ManualClock
) -> None:
    place = f"user:ann/sessions/{HASH}"
    await plain.set(place, b"", ttl=60)
    assert [record async for record in store.list("ann")] == []
    assert await keys_of(plain, "user:ann/") == [place]


async def test_a_place_in_another_user_s_list_shows_nothing(
    store: KeyValueSessionStore, plain: PlainKeyValues, clock: ManualClock
) -> None:
    """As one that was left when a session changed hands and the store failed half-way."""
    await store.save(made(clock))
    await plain.set(f"user:bob/sessions/{HASH}", b"")
    assert [record async for record in store.list("bob")] == []
    assert [record async for record in store.list("ann")] == [made(clock)]

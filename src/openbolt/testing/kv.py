"""What every `KeyValueStore` owes, as a suite to subclass.

Law: a test asks what the store's ``limits`` declare, never what the store is. Give the fixture
``store``, an empty store::

    class TestMyStore(AtomicKeyValueStoreSuite):
        @pytest.fixture
        async def store(self) -> AsyncIterator[MyStore]:
            async with MyStore.open() as store:
                yield store

Where the store takes a clock, let the fixture ``advance`` return its `ManualClock.advance`; where
several processes share the data, let ``peer`` return a second store over the same data.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openbolt.errors import InvalidRequestError, NotSupportedError, PayloadTooLargeError
from openbolt.protocols import AtomicKeyValueStore, KeyValueStore
from openbolt.testing._waiting import Advance, advance_past, eventually

__all__ = ["AtomicKeyValueStoreSuite", "KeyValueStoreSuite"]

MIB = 1024 * 1024
RACERS = 16

KEYS = (
    "p/plain",
    "p/UPPER",
    "p/upper",
    "p/a b",
    "p/caf\u00e9",
    "p/cafe\u0301",
    "p/\U0001f600",
    "p/%41",
    "p/*?[a]^$",
    "p/%_\\",
    "p/'\";--",
    "p/../x",
    "p//",
    "p/",
    "p/line\nbreak",
    "p",
)
BAD_KEYS = ("", "p/\0", "p/\ud800")

_KEYS = st.sampled_from(["a", "b", "b/c", "\u00e9", "*"])
_VALUES = st.binary(max_size=3)
_PLAIN_STEPS = st.one_of(
    st.tuples(st.just("set"), _KEYS, _VALUES),
    st.tuples(st.just("get"), _KEYS),
    st.tuples(st.just("delete"), _KEYS),
    st.tuples(st.just("scan"), st.sampled_from(["", "b", "b/"])),
)
_ATOMIC_STEPS = _PLAIN_STEPS | st.one_of(
    st.tuples(st.just("add"), _KEYS, _VALUES),
    st.tuples(st.just("take"), _KEYS),
    st.tuples(st.just("replace"), _KEYS, _VALUES, st.none() | _VALUES),
    st.tuples(st.just("increment"), _KEYS, st.integers(-5, 5)),
)

modest = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,  # each example has a partition of its own
        HealthCheck.differing_executors,  # a suite is there to be inherited
        HealthCheck.too_slow,
    ],
)


class KeyValueStoreSuite:
    """The laws of a `KeyValueStore`.

    Attributes:
        short_ttl: Seconds; what expires in these tests lives so long, or ``limits.min_ttl``.
        settle: Seconds within which a store without ``read_after_write`` shows a write.
        many: Keys in the tests of long scans.
    """

    short_ttl: ClassVar[float] = 0.2
    settle: ClassVar[float] = 60.0
    many: ClassVar[int] = 1500

    @pytest.fixture
    def store(self) -> KeyValueStore:
        """An empty store; override it."""
        raise NotImplementedError

    @pytest.fixture
    def peer(self, store: KeyValueStore) -> KeyValueStore:
        """Another store over the same data, as another process would have; or the same."""
        return store

    @pytest.fixture
    def advance(self) -> Advance:
        """Lets time pass for the store."""
        return asyncio.sleep

    async def reads(self, store: KeyValueStore, key: str, expected: bytes | None) -> None:
        """Assert what a key reads as, waiting where reads may lag behind."""
        await eventually(
            lambda: store.get(key),
            expected,
            within=self.settle,
            at_once=store.limits.read_after_write,
        )

    async def lists(self, store: KeyValueStore, prefix: str, expected: set[str]) -> None:
        """Assert what a scan gives, waiting where reads may lag behind; never a key twice."""

        async def read() -> list[str]:
            return sorted([key async for key in store.scan(prefix)])

        await eventually(
            read, sorted(expected), within=self.settle, at_once=store.limits.read_after_write
        )

    def ttl(self, store: KeyValueStore) -> float:
        """A time to live that this store keeps."""
        return max(self.short_ttl, store.limits.min_ttl)

    async def test_a_key_that_was_never_set_reads_as_none(self, store: KeyValueStore) -> None:
        assert await store.get("p/absent") is None

    @pytest.mark.parametrize("value", [b"", b"text", bytes(range(256)), b"\xff\xfe\0"])
    async def test_a_value_is_read_as_it_was_set(
        self, store: KeyValueStore, peer: KeyValueStore, value: bytes
    ) -> None:
        await store.set("p/key", value)
        await self.reads(peer, "p/key", value)

    async def test_setting_again_replaces(self, store: KeyValueStore, peer: KeyValueStore) -> None:
        await store.set("p/key", b"first")
        await peer.set("p/key", b"second")
        await self.reads(store, "p/key", b"second")

    async def test_a_deleted_key_is_gone(self, store: KeyValueStore, peer: KeyValueStore) -> None:
        await store.set("p/key", b"value")
        await peer.delete("p/key")
        await self.reads(store, "p/key", None)

    async def test_deleting_nothing_is_no_error(self, store: KeyValueStore) -> None:
        await store.delete("p/absent")
        await store.delete("p/absent")
        assert await store.get("p/absent") is None

    async def test_every_key_is_a_key_of_its_own(self, store: KeyValueStore) -> None:
        for number, key in enumerate(KEYS):
            await store.set(key, b"%d" % number)
        for number, key in enumerate(KEYS):
            await self.reads(store, key, b"%d" % number)
        await self.lists(store, "p/", {key for key in KEYS if key.startswith("p/")})

    @pytest.mark.parametrize("key", BAD_KEYS)
    async def test_a_key_that_is_none_is_refused(self, store: KeyValueStore, key: str) -> None:
        await self._refuses_key(store, key)

    async def test_a_key_over_the_limit_is_refused(self, store: KeyValueStore) -> None:
        await self._refuses_key(store, "p/" + "k" * (store.limits.max_key_bytes - 1))

    async def _refuses_key(self, store: KeyValueStore, key: str) -> None:
        for call in (store.get(key), store.set(key, b"value"), store.delete(key)):
            with pytest.raises(InvalidRequestError) as caught:
                await call
            assert caught.value.field == "key"

    async def test_a_key_may_be_as_long_as_the_limit_in_bytes(self, store: KeyValueStore) -> None:
        room = store.limits.max_key_bytes - len("p/")
        key = "p/" + "\u00e9" * (room // 2) + "k" * (room % 2)
        await store.set(key, b"value")
        await self.reads(store, key, b"value")
        await self.lists(store, "p/", {key})

    async def test_a_value_over_the_limit_is_refused(self, store: KeyValueStore) -> None:
        if store.limits.max_value_bytes > 32 * MIB:
            pytest.skip("the limit is too high to try")
        await store.set("p/key", b"old")
        with pytest.raises(PayloadTooLargeError):
            await store.set("p/key", bytes(store.limits.max_value_bytes + 1))
        await self.reads(store, "p/key", b"old")

    async def test_a_value_may_be_as_long_as_the_limit(self, store: KeyValueStore) -> None:
        if store.limits.max_value_bytes > 32 * MIB:
            pytest.skip("the limit is too high to try")
        value = bytes(store.limits.max_value_bytes)
        await store.set("p/key", value)
        await self.reads(store, "p/key", value)

    async def test_a_value_lives_until_its_time_and_no_longer(
        self, store: KeyValueStore, advance: Advance
    ) -> None:
        ttl = self.ttl(store)
        await store.set("p/long", b"value", ttl=ttl * 1000)
        await store.set("p/short", b"value", ttl=ttl)
        await advance_past(advance, ttl)
        assert await store.get("p/short") is None
        await self.reads(store, "p/long", b"value")
        await self.lists(store, "p/", {"p/long"})

    async def test_setting_without_a_time_to_live_takes_the_old_one_away(
        self, store: KeyValueStore, advance: Advance
    ) -> None:
        ttl = self.ttl(store)
        await store.set("p/key", b"first", ttl=ttl)
        await store.set("p/key", b"second")
        await advance_past(advance, ttl)
        await self.reads(store, "p/key", b"second")

    @pytest.mark.parametrize("ttl", [0.0, -1.0, float("nan"), float("inf")])
    async def test_a_time_to_live_that_is_none_is_refused(
        self, store: KeyValueStore, ttl: float
    ) -> None:
        with pytest.raises(InvalidRequestError):
            await store.set("p/key", b"value", ttl=ttl)
        assert await store.get("p/key") is None

    async def test_a_time_to_live_below_the_limit_is_refused_rather_than_raised(
        self, store: KeyValueStore
    ) -> None:
        if not store.limits.min_ttl:
            pytest.skip("any time to live is kept")
        with pytest.raises(NotSupportedError):
            await store.set("p/key", b"value", ttl=store.limits.min_ttl / 2)
        assert await store.get("p/key") is None

    async def test_a_scan_gives_the_keys_with_its_prefix(self, store: KeyValueStore) -> None:
        for key in ("p/a", "p/ab", "p/b", "p/a/c", "pp/a", "P/a"):
            await store.set(key, b"value")
        await self.lists(store, "p/", {"p/a", "p/ab", "p/b", "p/a/c"})
        await self.lists(store, "p/a", {"p/a", "p/ab", "p/a/c"})
        await self.lists(store, "p/a/", {"p/a/c"})
        await self.lists(store, "q/", set())

    @pytest.mark.parametrize("prefix", ["", "p", "/"])
    async def test_a_scan_without_a_whole_first_segment_is_refused(
        self, store: KeyValueStore, prefix: str
    ) -> None:
        with pytest.raises(InvalidRequestError):
            [key async for key in store.scan(prefix)]

    async def test_a_long_scan_gives_every_key_once(self, store: KeyValueStore) -> None:
        keys = {f"p/{number}" for number in range(self.many)}
        for key in keys:
            await store.set(key, b"")
        await self.lists(store, "p/", keys)

    async def test_a_scan_gives_what_lives_throughout_while_others_come_and_go(
        self, store: KeyValueStore
    ) -> None:
        stays = {f"p/stays-{number}" for number in range(50)}
        for key in stays | {f"p/goes-{number}" for number in range(50)}:
            await store.set(key, b"")
        await self.lists(store, "p/s", stays)
        found: list[str] = []
        async for key in store.scan("p/"):
            found.append(key)
            await store.delete(f"p/goes-{len(found) % 50}")
            await store.set(f"p/new-{len(found) % 50}", b"")
        assert stays - set(found) == set()
        assert len(found) == len(set(found))

    @modest
    @given(steps=st.lists(_PLAIN_STEPS, max_size=30))
    async def test_it_behaves_as_a_dict_does(
        self, store: KeyValueStore, steps: list[tuple[str, ...]]
    ) -> None:
        if not store.limits.read_after_write:
            pytest.skip("reads may lag behind writes")
        root = f"{uuid.uuid4().hex}/"
        model: dict[str, bytes] = {}
        for step in steps:
            await _plain_step(store, model, root, *step)


class AtomicKeyValueStoreSuite(KeyValueStoreSuite):
    """The laws of an `AtomicKeyValueStore`."""

    @pytest.fixture
    def store(self) -> AtomicKeyValueStore:
        """An empty store; override it."""
        raise NotImplementedError

    async def test_add_writes_only_where_there_is_nothing(self, store: AtomicKeyValueStore) -> None:
        assert await store.add("p/key", b"first") is True
        assert await store.add("p/key", b"second") is False
        assert await store.get("p/key") == b"first"

    async def test_add_writes_over_what_has_expired(
        self, store: AtomicKeyValueStore, advance: Advance
    ) -> None:
        ttl = self.ttl(store)
        assert await store.add("p/key", b"first", ttl=ttl) is True
        await advance_past(advance, ttl)
        assert await store.add("p/key", b"second") is True
        assert await store.get("p/key") == b"second"

    async def test_take_gives_a_value_once(self, store: AtomicKeyValueStore) -> None:
        await store.set("p/key", b"value")
        assert await store.take("p/key") == b"value"
        assert await store.take("p/key") is None
        assert await store.get("p/key") is None

    async def test_take_gives_nothing_that_has_expired(
        self, store: AtomicKeyValueStore, advance: Advance
    ) -> None:
        ttl = self.ttl(store)
        await store.set("p/key", b"value", ttl=ttl)
        await advance_past(advance, ttl)
        assert await store.take("p/key") is None

    async def test_a_counter_starts_at_nothing(self, store: AtomicKeyValueStore) -> None:
        assert await store.increment("p/key") == 1
        assert await store.increment("p/key", 10) == 11
        assert await store.increment("p/key", -20) == -9
        assert await store.get("p/key") == b"-9"

    async def test_a_counter_goes_on_from_a_decimal_value(self, store: AtomicKeyValueStore) -> None:
        await store.set("p/key", b"41")
        assert await store.increment("p/key") == 42

    @pytest.mark.parametrize("value", [b"", b"many", b"1.5", b"0x10", b"\xff"])
    async def test_what_is_no_number_is_not_counted_on(
        self, store: AtomicKeyValueStore, value: bytes
    ) -> None:
        await store.set("p/key", value)
        with pytest.raises(InvalidRequestError):
            await store.increment("p/key")
        assert await store.get("p/key") == value

    async def test_a_counter_keeps_the_end_that_it_was_created_with(
        self, store: AtomicKeyValueStore, advance: Advance
    ) -> None:
        ttl = self.ttl(store)
        assert await store.increment("p/key", ttl=ttl) == 1
        assert await store.increment("p/key", ttl=ttl * 1000) == 2
        await advance_past(advance, ttl)
        assert await store.increment("p/key") == 1

    async def test_replace_writes_only_over_what_is_expected(
        self, store: AtomicKeyValueStore
    ) -> None:
        assert await store.replace("p/key", b"lost", expected=b"") is False
        assert await store.get("p/key") is None
        assert await store.replace("p/key", b"first", expected=None) is True
        assert await store.replace("p/key", b"lost", expected=None) is False
        assert await store.replace("p/key", b"lost", expected=b"First") is False
        assert await store.replace("p/key", b"second", expected=b"first") is True
        assert await store.get("p/key") == b"second"

    async def test_replace_finds_nothing_where_a_value_has_expired(
        self, store: AtomicKeyValueStore, advance: Advance
    ) -> None:
        ttl = self.ttl(store)
        await store.set("p/key", b"first", ttl=ttl)
        await advance_past(advance, ttl)
        assert await store.replace("p/key", b"lost", expected=b"first") is False
        assert await store.replace("p/key", b"second", expected=None) is True

    async def test_replace_sets_the_time_to_live_that_it_is_given(
        self, store: AtomicKeyValueStore, advance: Advance
    ) -> None:
        ttl = self.ttl(store)
        await store.set("p/kept", b"first", ttl=ttl)
        await store.set("p/ends", b"first")
        assert await store.replace("p/kept", b"second", expected=b"first") is True
        assert await store.replace("p/ends", b"second", expected=b"first", ttl=ttl) is True
        await advance_past(advance, ttl)
        assert await store.get("p/kept") == b"second"
        assert await store.get("p/ends") is None

    async def test_of_many_adds_one_wins(
        self, store: AtomicKeyValueStore, peer: AtomicKeyValueStore
    ) -> None:
        stores = (store, peer) * RACERS
        won = await asyncio.gather(
            *(each.add("p/key", b"%d" % number) for number, each in enumerate(stores))
        )
        assert won.count(True) == 1
        assert await store.get("p/key") == b"%d" % won.index(True)

    async def test_of_many_takes_one_gets_the_value(
        self, store: AtomicKeyValueStore, peer: AtomicKeyValueStore
    ) -> None:
        await store.set("p/key", b"value")
        got = await asyncio.gather(*(each.take("p/key") for each in (store, peer) * RACERS))
        assert sorted(got, key=bool) == [None] * (2 * RACERS - 1) + [b"value"]

    async def test_of_many_increments_none_is_lost_and_none_is_seen_twice(
        self, store: AtomicKeyValueStore, peer: AtomicKeyValueStore
    ) -> None:
        counts = await asyncio.gather(*(s.increment("p/key") for s in (store, peer) * RACERS))
        assert sorted(counts) == list(range(1, 2 * RACERS + 1))

    async def test_of_many_replacements_of_one_value_one_wins(
        self, store: AtomicKeyValueStore, peer: AtomicKeyValueStore
    ) -> None:
        await store.set("p/key", b"old")
        won = await asyncio.gather(
            *(
                each.replace("p/key", b"%d" % number, expected=b"old")
                for number, each in enumerate((store, peer) * RACERS)
            )
        )
        assert won.count(True) == 1
        assert await store.get("p/key") == b"%d" % won.index(True)

    @pytest.mark.parametrize("key", BAD_KEYS)
    async def test_atomic_operations_refuse_a_key_that_is_none(
        self, store: AtomicKeyValueStore, key: str
    ) -> None:
        for call in (
            store.add(key, b"value"),
            store.take(key),
            store.increment(key),
            store.replace(key, b"value", expected=b"old"),
        ):
            with pytest.raises(InvalidRequestError) as caught:
                await call
            assert caught.value.field == "key"

    @modest
    @given(steps=st.lists(_ATOMIC_STEPS, max_size=30))
    async def test_it_behaves_as_a_dict_under_a_lock_does(
        self, store: AtomicKeyValueStore, steps: list[tuple[str, ...]]
    ) -> None:
        root = f"{uuid.uuid4().hex}/"
        model: dict[str, bytes] = {}
        for step in steps:
            await _atomic_step(store, model, root, *step)


async def _plain_step(
    store: KeyValueStore, model: dict[str, bytes], root: str, name: str, at: str, *rest: object
) -> None:
    key = root + at
    match name, rest:
        case "set", [bytes(value)]:
            await store.set(key, value)
            model[key] = value
        case "get", _:
            assert await store.get(key) == model.get(key)
        case "delete", _:
            await store.delete(key)
            model.pop(key, None)
        case _:
            found = sorted([found async for found in store.scan(key)])
            assert found == sorted(known for known in model if known.startswith(key))


async def _atomic_step(
    store: AtomicKeyValueStore,
    model: dict[str, bytes],
    root: str,
    name: str,
    at: str,
    *rest: object,
) -> None:
    key = root + at
    match name, rest:
        case "add", [bytes(value)]:
            assert await store.add(key, value) is (key not in model)
            model.setdefault(key, value)
        case "take", _:
            assert await store.take(key) == model.pop(key, None)
        case "replace", [bytes(value), (bytes() | None) as expected]:
            fits = model.get(key) == expected
            assert await store.replace(key, value, expected=expected) is fits
            if fits:
                model[key] = value
        case "increment", [int(amount)]:
            await _increment(store, model, key, amount)
        case _:
            await _plain_step(store, model, root, name, at, *rest)


async def _increment(
    store: AtomicKeyValueStore, model: dict[str, bytes], key: str, amount: int
) -> None:
    old = model.get(key, b"0")
    if str(_int(old)).encode() == old:
        total = int(old) + amount
        assert await store.increment(key, amount) == total
        model[key] = b"%d" % total
    elif _int(old) is None:
        with pytest.raises(InvalidRequestError):
            await store.increment(key, amount)
    # What is a number in an odd spelling ("007") may be counted on or refused.


def _int(value: bytes) -> int | None:
    try:
        return int(value)
    except ValueError:
        return None

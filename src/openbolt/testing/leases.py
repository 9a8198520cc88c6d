"""What every `LeaseStore` owes, as a suite to subclass.

Law: at any moment a name has one holder, and who comes later has the larger fence. Give the fixture
``store``; where it takes a clock, let ``advance`` return its `ManualClock.advance`; where several
processes share the data, let ``peer`` return a second store over the same data.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

import pytest

from openbolt.protocols import LeaseStore
from openbolt.testing._waiting import Advance, advance_past

__all__ = ["LeaseStoreSuite"]

RACERS = 8
LONG = 300.0


class LeaseStoreSuite:
    """The laws of a `LeaseStore`.

    Attributes:
        short_ttl: Seconds; leases that run out in these tests last so long.
    """

    short_ttl: ClassVar[float] = 0.2

    @pytest.fixture
    def store(self) -> LeaseStore:
        """A store without leases; override it."""
        raise NotImplementedError

    @pytest.fixture
    def peer(self, store: LeaseStore) -> LeaseStore:
        """Another store over the same data, as another process would have; or the same."""
        return store

    @pytest.fixture
    def advance(self) -> Advance:
        """Lets time pass for the store."""
        return asyncio.sleep

    async def test_a_lease_has_one_holder(self, store: LeaseStore, peer: LeaseStore) -> None:
        lease = await store.acquire("name", ttl=LONG)
        assert lease is not None
        assert lease.name == "name"
        assert await store.acquire("name", ttl=LONG) is None
        assert await peer.acquire("name", ttl=LONG) is None

    async def test_names_do_not_mix(self, store: LeaseStore) -> None:
        assert await store.acquire("one", ttl=LONG) is not None
        assert await store.acquire("two", ttl=LONG) is not None

    async def test_the_holder_is_known_to_all(self, store: LeaseStore, peer: LeaseStore) -> None:
        assert await peer.holder("name") is None
        lease = await store.acquire("name", ttl=LONG)
        held = await peer.holder("name")
        assert lease is not None
        assert held is not None
        assert (held.name, held.holder, held.fence) == (lease.name, lease.holder, lease.fence)
        assert abs(held.expires_at - lease.expires_at) < 1

    async def test_a_lease_that_was_given_back_is_free_with_a_larger_fence(
        self, store: LeaseStore, peer: LeaseStore
    ) -> None:
        fences: list[int] = []
        for each in (store, peer, store):
            lease = await each.acquire("name", ttl=LONG)
            assert lease is not None
            fences.append(lease.fence)
            await each.release(lease)
            assert await each.holder("name") is None
        assert fences == sorted(set(fences))

    async def test_a_lease_that_ran_out_is_free_with_a_larger_fence(
        self, store: LeaseStore, advance: Advance
    ) -> None:
        first = await store.acquire("name", ttl=self.short_ttl)
        await advance_past(advance, self.short_ttl)
        assert await store.holder("name") is None
        second = await store.acquire("name", ttl=LONG)
        assert first is not None
        assert second is not None
        assert second.fence > first.fence
        assert second.holder != first.holder

    async def test_renewing_holds_on(self, store: LeaseStore, advance: Advance) -> None:
        lease = await store.acquire("name", ttl=self.short_ttl)
        assert lease is not None
        renewed = await store.renew(lease, ttl=LONG)
        assert renewed is not None
        assert (renewed.name, renewed.holder, renewed.fence) == (
            lease.name,
            lease.holder,
            lease.fence,
        )
        assert renewed.expires_at > lease.expires_at
        await advance_past(advance, self.short_ttl)
        assert await store.acquire("name", ttl=LONG) is None
        assert await store.renew(lease, ttl=LONG) is not None

    async def test_a_lost_lease_is_not_renewed(self, store: LeaseStore, advance: Advance) -> None:
        lease = await store.acquire("name", ttl=self.short_ttl)
        assert lease is not None
        await advance_past(advance, self.short_ttl)
        assert await store.renew(lease, ttl=LONG) is None
        assert await store.acquire("name", ttl=LONG) is not None
        assert await store.renew(lease, ttl=LONG) is None

    async def test_giving_back_a_lost_lease_leaves_the_new_holder(
        self, store: LeaseStore, advance: Advance
    ) -> None:
        lost = await store.acquire("name", ttl=self.short_ttl)
        assert lost is not None
        await advance_past(advance, self.short_ttl)
        lease = await store.acquire("name", ttl=LONG)
        await store.release(lost)
        held = await store.holder("name")
        assert lease is not None
        assert held is not None
        assert held.holder == lease.holder

    async def test_giving_back_twice_is_giving_back_once(self, store: LeaseStore) -> None:
        lease = await store.acquire("name", ttl=LONG)
        assert lease is not None
        await store.release(lease)
        await store.release(lease)
        assert await store.holder("name") is None

    async def test_of_many_that_ask_one_gets_it(self, store: LeaseStore, peer: LeaseStore) -> None:
        leases = await asyncio.gather(
            *(each.acquire("name", ttl=LONG) for each in (store, peer) * RACERS)
        )
        assert sum(lease is not None for lease in leases) == 1

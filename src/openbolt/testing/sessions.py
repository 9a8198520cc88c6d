"""What every `SessionStore` owes, as a suite to subclass.

Law: a session that has expired is as if it had never been. Give the fixture ``store``; where it
takes a clock, let ``now`` and ``advance`` return its methods.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import ClassVar

import pytest
from attrs import evolve

from openbolt.protocols import SessionRecord, SessionStore
from openbolt.testing._waiting import Advance, advance_past

__all__ = ["SessionStoreSuite"]

LONG = 3600.0
CHANGES = 20


class SessionStoreSuite:
    """The laws of a `SessionStore`.

    Attributes:
        short_ttl: Seconds; sessions that expire in these tests last so long.
    """

    short_ttl: ClassVar[float] = 0.2

    @pytest.fixture
    def store(self) -> SessionStore:
        """A store without sessions; override it."""
        raise NotImplementedError

    @pytest.fixture
    def now(self) -> Callable[[], float]:
        """The store's time."""
        return time.time

    @pytest.fixture
    def advance(self) -> Advance:
        """Lets time pass for the store."""
        return asyncio.sleep

    @pytest.fixture
    def record(self, now: Callable[[], float]) -> SessionRecord:
        """A live session with something in every field."""
        # Whole seconds: a store may round below the millisecond.
        at = float(int(now()))
        return SessionRecord(
            id_hash="0123abcd" * 8,
            user_id="user-1",
            created_at=at - 100,
            last_used_at=at - 10,
            expires_at=at + LONG,
            device="Firefox on caf\u00e9 \U0001f600",
            data=bytes(range(256)),
        )

    async def listed(self, store: SessionStore, user_id: str) -> list[str]:
        """The hashes of a user's sessions."""
        return sorted([record.id_hash async for record in store.list(user_id)])

    async def test_an_unknown_session_is_none(self, store: SessionStore) -> None:
        assert await store.load("unknown") is None
        assert await self.listed(store, "user-1") == []

    async def test_a_session_is_loaded_as_it_was_saved(
        self, store: SessionStore, record: SessionRecord
    ) -> None:
        await store.save(record)
        assert await store.load(record.id_hash) == record
        assert [each async for each in store.list("user-1")] == [record]

    async def test_saving_again_replaces(self, store: SessionStore, record: SessionRecord) -> None:
        later = evolve(record, last_used_at=record.last_used_at + 5, data=b"")
        await store.save(record)
        await store.save(later)
        assert await store.load(record.id_hash) == later
        assert [each async for each in store.list("user-1")] == [later]

    async def test_a_session_that_changes_hands_is_listed_once(
        self, store: SessionStore, record: SessionRecord
    ) -> None:
        await store.save(record)
        await store.save(evolve(record, user_id="user-2"))
        assert await self.listed(store, "user-1") == []
        assert await self.listed(store, "user-2") == [record.id_hash]

    async def test_a_change_changes_what_it_names(
        self, store: SessionStore, record: SessionRecord
    ) -> None:
        await store.save(record)
        later = evolve(record, last_used_at=record.last_used_at + 5)
        assert await store.change(record.id_hash, last_used_at=later.last_used_at)
        assert await store.load(record.id_hash) == later
        assert await store.change(record.id_hash, data=b"")
        assert await store.load(record.id_hash) == evolve(later, data=b"")
        assert [each async for each in store.list("user-1")] == [evolve(later, data=b"")]

    async def test_saving_again_undoes_a_change(
        self, store: SessionStore, record: SessionRecord
    ) -> None:
        await store.save(record)
        await store.change(record.id_hash, last_used_at=record.last_used_at + 5, data=b"other")
        await store.save(record)
        assert await store.load(record.id_hash) == record

    @pytest.mark.parametrize("gone", ["never", "discarded", "over"])
    async def test_a_change_makes_no_session(
        self, store: SessionStore, record: SessionRecord, gone: str
    ) -> None:
        if gone == "over":
            record = evolve(record, expires_at=record.created_at)
        if gone != "never":
            await store.save(record)
        if gone == "discarded":
            await store.discard(record.id_hash)
        changed = await store.change(record.id_hash, last_used_at=record.last_used_at, data=b"x")
        assert changed is False
        assert await store.load(record.id_hash) is None
        assert await self.listed(store, "user-1") == []

    async def test_changes_and_a_discard_at_once_leave_no_session(
        self, store: SessionStore, record: SessionRecord
    ) -> None:
        for number in range(CHANGES):
            own = evolve(record, id_hash=f"{number:064}")
            await store.save(own)
            await asyncio.gather(
                store.change(own.id_hash, last_used_at=own.last_used_at + 1),
                store.discard(own.id_hash),
                store.change(own.id_hash, data=b"x"),
            )
            assert await store.load(own.id_hash) is None
        assert await self.listed(store, "user-1") == []

    async def test_changes_of_different_fields_at_once_are_both_kept(
        self, store: SessionStore, record: SessionRecord
    ) -> None:
        await store.save(record)
        used = record.last_used_at + 5
        await asyncio.gather(
            store.change(record.id_hash, last_used_at=used),
            store.change(record.id_hash, data=b"other"),
        )
        assert await store.load(record.id_hash) == evolve(record, last_used_at=used, data=b"other")

    async def test_a_discarded_session_is_gone(
        self, store: SessionStore, record: SessionRecord
    ) -> None:
        await store.save(record)
        await store.discard(record.id_hash)
        await store.discard(record.id_hash)
        assert await store.load(record.id_hash) is None
        assert await self.listed(store, "user-1") == []

    async def test_a_session_ends_when_its_time_is_over(
        self,
        store: SessionStore,
        record: SessionRecord,
        now: Callable[[], float],
        advance: Advance,
    ) -> None:
        ends = evolve(record, id_hash="ends", expires_at=now() + self.short_ttl)
        await store.save(record)
        await store.save(ends)
        await advance_past(advance, self.short_ttl)
        assert await store.load("ends") is None
        assert await self.listed(store, "user-1") == [record.id_hash]

    async def test_a_session_that_is_over_can_be_saved_and_is_none(
        self, store: SessionStore, record: SessionRecord
    ) -> None:
        await store.save(evolve(record, expires_at=record.created_at))
        assert await store.load(record.id_hash) is None
        assert await self.listed(store, "user-1") == []

    async def test_a_list_has_the_user_s_sessions_and_no_other_s(
        self, store: SessionStore, record: SessionRecord
    ) -> None:
        for user in ("user-1", "user-10", "user-2"):
            for number in range(3):
                await store.save(evolve(record, id_hash=f"{user}-{number}", user_id=user))
        await store.discard("user-1-1")
        assert await self.listed(store, "user-1") == ["user-1-0", "user-1-2"]
        assert await self.listed(store, "user-10") == ["user-10-0", "user-10-1", "user-10-2"]

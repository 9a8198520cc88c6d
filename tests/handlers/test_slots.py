"""So many at once: held while a body is open, given back once, seen by other processes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from openbolt.errors import BackendError, NotFoundError, RateLimitedError
from openbolt.http import (
    EMPTY_BODY,
    Headers,
    Principal,
    Request,
    RequestContext,
    Response,
    StreamBody,
)
from openbolt.protocols import Lease
from openbolt.slots import Slots, with_slot
from openbolt.testing import ManualClock
from openbolt_local.memory import MemoryLeaseStore
from openbolt_local.sqlite import SQLiteDatabase, SQLiteLeaseStore


def ask(user: str = "ann") -> Request:
    context = RequestContext(spawn=lambda coro: None, principal=Principal(user))
    return Request("POST", "/", Headers(), EMPTY_BODY, context)


async def stream(request: Request, /) -> Response:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    return Response(200, Headers(), StreamBody(chunks()))


async def close(response: Response) -> None:
    assert not isinstance(response.body, bytes)
    await response.body.aclose()


class CountingLeases(MemoryLeaseStore):
    asked = 0

    async def acquire(self, name: str, /, *, ttl: float) -> Lease | None:
        self.asked += 1
        return await super().acquire(name, ttl=ttl)


class DownLeases(MemoryLeaseStore):
    is_down = True

    def _check(self) -> None:
        if self.is_down:
            raise BackendError("The store is unavailable.")

    async def acquire(self, name: str, /, *, ttl: float) -> Lease | None:
        self._check()
        return await super().acquire(name, ttl=ttl)

    async def renew(self, lease: Lease, /, *, ttl: float) -> Lease | None:
        self._check()
        return await super().renew(lease, ttl=ttl)

    async def release(self, lease: Lease, /) -> None:
        self._check()
        await super().release(lease)


@pytest.fixture
def slots(leases: MemoryLeaseStore, clock: ManualClock) -> Slots:
    return Slots("replies", 2, leases, clock)


async def test_so_many_run_at_once_and_one_more_does_when_one_has_ended(slots: Slots) -> None:
    handler = with_slot(stream, slots)
    first, second = await handler(ask()), await handler(ask())
    with pytest.raises(RateLimitedError, match="replies running at once is 2") as caught:
        await handler(ask())
    assert caught.value.retry_after is not None
    await close(first)
    third = await handler(ask())
    for response in (second, third):
        await close(response)


async def test_users_have_slots_of_their_own(slots: Slots) -> None:
    handler = with_slot(stream, slots)
    responses = [await handler(ask(user)) for user in ("ann", "ann", "bob", "bob")]
    for response in responses:
        await close(response)


async def test_a_body_that_nobody_reads_gives_its_slot_back(slots: Slots) -> None:
    handler = with_slot(stream, slots)
    for _ in range(5):
        await close(await handler(ask()))


async def test_a_body_is_read_as_it_is_and_closed_with_its_slot(slots: Slots) -> None:
    closed: list[str] = []

    class Body:
        def __aiter__(self) -> AsyncIterator[bytes]:
            async def chunks() -> AsyncIterator[bytes]:
                yield b"one"
                yield b"two"

            return chunks()

        async def aclose(self) -> None:
            closed.append("closed")
            raise OSError("a body may fail to close")

    async def handler(request: Request, /) -> Response:
        return Response(200, Headers.of(x_own="kept"), Body())

    for _ in range(3):
        response = await with_slot(handler, slots)(ask())
        assert not isinstance(response.body, bytes)
        assert [chunk async for chunk in response.body] == [b"one", b"two"]
        assert response.headers.get("x-own") == "kept"
        with pytest.raises(OSError, match="fail to close"):
            await response.body.aclose()
    assert closed == ["closed"] * 3


async def test_closing_twice_gives_back_once(slots: Slots) -> None:
    handler = with_slot(stream, slots)
    first, second = await handler(ask()), await handler(ask())
    await close(first)
    third = await handler(ask())
    await close(first)  # must not free what the third holds now
    with pytest.raises(RateLimitedError):
        await handler(ask())
    for response in (second, third):
        await close(response)


async def test_an_error_and_a_short_answer_hold_nothing(slots: Slots) -> None:
    async def fails(request: Request, /) -> Response:
        raise NotFoundError("There is no such thing.")

    async def short(request: Request, /) -> Response:
        return Response(200, Headers(), b"short")

    for _ in range(5):
        with pytest.raises(NotFoundError):
            await with_slot(fails, slots)(ask())
        assert (await with_slot(short, slots)(ask())).body == b"short"


async def test_a_request_that_is_cancelled_holds_nothing(slots: Slots) -> None:
    async def waits(request: Request, /) -> Response:
        await asyncio.Event().wait()
        raise AssertionError("nothing wakes it")

    for _ in range(3):
        asking = asyncio.create_task(with_slot(waits, slots)(ask()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    await close(await with_slot(stream, slots)(ask()))


async def test_other_processes_see_what_is_held(
    leases: MemoryLeaseStore, clock: ManualClock
) -> None:
    here, there = (Slots("replies", 2, leases, clock) for _ in range(2))
    one, two = await here.take("ann"), await there.take("ann")
    for slots in (here, there):
        with pytest.raises(RateLimitedError):
            await slots.take("ann")
    await one.release()
    three = await there.take("ann")
    for slot in (two, three):
        await slot.release()


async def test_what_this_process_holds_is_known_without_asking(clock: ManualClock) -> None:
    leases = CountingLeases(clock)
    slots = Slots("replies", 2, leases, clock)
    held = [await slots.take("ann") for _ in range(2)]
    assert leases.asked == 2
    for _ in range(10):
        with pytest.raises(RateLimitedError):
            await slots.take("ann")
    assert leases.asked == 2
    for slot in held:
        await slot.release()


async def test_without_a_lease_store_one_process_counts_for_itself(clock: ManualClock) -> None:
    slots = Slots("replies", 1, None, clock)
    slot = await slots.take("ann")
    with pytest.raises(RateLimitedError):
        await slots.take("ann")
    await slot.release()
    await (await slots.take("ann")).release()


async def test_of_many_at_once_so_many_get_one(slots: Slots) -> None:
    results = await asyncio.gather(*(slots.take("ann") for _ in range(9)), return_exceptions=True)
    held = [slot for slot in results if not isinstance(slot, BaseException)]
    assert len(held) == 2
    for slot in held:
        await slot.release()


async def test_a_slot_is_held_on_to_while_it_is_used(
    leases: MemoryLeaseStore, clock: ManualClock
) -> None:
    here, there = (Slots("replies", 1, leases, clock, ttl=30.0) for _ in range(2))
    slot = await here.take("ann")
    await asyncio.sleep(0)
    for _ in range(20):
        await clock.advance(10)
        with pytest.raises(RateLimitedError):
            await there.take("ann")
    await slot.release()
    assert clock.sleepers == 0
    await (await there.take("ann")).release()


async def test_what_a_dead_process_held_is_free_after_its_time(
    leases: MemoryLeaseStore, clock: ManualClock
) -> None:
    there = Slots("replies", 1, leases, clock, ttl=30.0)
    assert await leases.acquire("slot:replies/ann/0", ttl=30.0) is not None
    clock.advance(29)
    with pytest.raises(RateLimitedError):
        await there.take("ann")
    clock.advance(1)
    await (await there.take("ann")).release()


async def test_a_slot_that_was_lost_is_told_of_and_is_nobody_elses_to_free(
    leases: MemoryLeaseStore, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    here, there = (Slots("replies", 1, leases, clock, ttl=30.0) for _ in range(2))
    mine = await here.take("ann")
    await asyncio.sleep(0)
    with caplog.at_level(logging.WARNING, "openbolt.limits"):
        await clock.advance(31)  # as a process that slept
    assert "A slot for replies was lost" in caplog.text
    other = await there.take("ann")
    await mine.release()
    with pytest.raises(RateLimitedError):
        await Slots("replies", 1, leases, clock).take("ann")
    await other.release()


async def test_without_its_store_this_process_still_counts(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    leases = DownLeases(clock)
    slots = Slots("replies", 2, leases, clock)
    with caplog.at_level(logging.WARNING, "openbolt.limits"):
        held = [await slots.take("ann") for _ in range(2)]
        with pytest.raises(RateLimitedError):
            await slots.take("ann")
        for slot in held:
            await slot.release()
    assert len(caplog.records) == 1
    assert "counted in this process only" in caplog.text
    leases.is_down = False
    slot = await slots.take("ann")
    leases.is_down = True
    await asyncio.sleep(0)
    await clock.advance(10)
    await slot.release()
    leases.is_down = False
    await clock.advance(30)
    for slot in [await slots.take("ann") for _ in range(2)]:
        await slot.release()


async def test_slots_work_on_a_file_that_processes_share(tmp_path: Path) -> None:
    clock = ManualClock()
    path = tmp_path / "data.sqlite3"
    async with SQLiteDatabase.open(path) as one, SQLiteDatabase.open(path) as other:
        here, there = (Slots("r", 2, SQLiteLeaseStore(db, clock), clock) for db in (one, other))
        held = [await here.take("ann"), await there.take("ann")]
        for slots in (here, there):
            with pytest.raises(RateLimitedError):
                await slots.take("ann")
        for slot in held:
            await slot.release()

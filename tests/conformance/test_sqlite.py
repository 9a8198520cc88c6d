"""The stores in SQLite against the suites; what the file survives; what is said when it can't."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from openbolt.chat.events import TextDelta
from openbolt.clock import SystemClock
from openbolt.errors import BackendError, ConfigurationError, ConflictError, NotFoundError
from openbolt.protocols import EventLog
from openbolt.testing import (
    AtomicKeyValueStoreSuite,
    EventLogSuite,
    LeaseStoreSuite,
    ManualClock,
    SequenceTokens,
    SessionStoreSuite,
)
from openbolt.testing.events import collect_events
from openbolt_local.sqlite import (
    SQLiteDatabase,
    SQLiteEventLog,
    SQLiteKeyValueStore,
    SQLiteLeaseStore,
    SQLiteSessionStore,
)
from tests.conformance.timing import OnManualClock


class TestSQLiteKeyValueStore(OnManualClock, AtomicKeyValueStoreSuite):
    many = 2500

    @pytest.fixture
    def store(self, database: SQLiteDatabase, clock: ManualClock) -> SQLiteKeyValueStore:
        return SQLiteKeyValueStore(database, clock)

    @pytest.fixture
    def peer(self, second: SQLiteDatabase, clock: ManualClock) -> SQLiteKeyValueStore:
        return SQLiteKeyValueStore(second, clock)


class TestSQLiteLeaseStore(OnManualClock, LeaseStoreSuite):
    @pytest.fixture
    def store(self, database: SQLiteDatabase, clock: ManualClock) -> SQLiteLeaseStore:
        return SQLiteLeaseStore(database, clock, SequenceTokens())

    @pytest.fixture
    def peer(self, second: SQLiteDatabase, clock: ManualClock) -> SQLiteLeaseStore:
        return SQLiteLeaseStore(second, clock, SequenceTokens(1000))


class TestSQLiteSessionStore(OnManualClock, SessionStoreSuite):
    @pytest.fixture
    def store(self, database: SQLiteDatabase, clock: ManualClock) -> SQLiteSessionStore:
        return SQLiteSessionStore(database, clock)


def _quick_log(database: SQLiteDatabase) -> SQLiteEventLog:
    return SQLiteEventLog(
        database, SystemClock(), flush_interval=0.005, poll_interval=0.005, retention=0.5
    )


class TestSQLiteEventLog(EventLogSuite):
    @pytest.fixture
    async def running(self, database: SQLiteDatabase) -> AsyncIterator[AsyncExitStack]:
        async with AsyncExitStack() as stack:
            yield stack

    @pytest.fixture
    async def log(self, running: AsyncExitStack, database: SQLiteDatabase) -> SQLiteEventLog:
        return await running.enter_async_context(_quick_log(database))

    @pytest.fixture
    async def peer(self, second: SQLiteDatabase) -> AsyncIterator[SQLiteEventLog]:
        async with _quick_log(second) as log:
            yield log

    @pytest.fixture
    async def reopened(
        self, running: AsyncExitStack, path: Path
    ) -> AsyncIterator[Callable[[], Awaitable[EventLog]]]:
        async with AsyncExitStack() as stack:

            async def reopened() -> EventLog:
                await running.aclose()
                database = await stack.enter_async_context(SQLiteDatabase.open(path))
                return await stack.enter_async_context(_quick_log(database))

            yield reopened


async def test_values_survive_a_restart(path: Path) -> None:
    async with SQLiteDatabase.open(path) as database:
        await SQLiteKeyValueStore(database).set("p/key", b"value")
    async with SQLiteDatabase.open(path) as database:
        assert await SQLiteKeyValueStore(database).get("p/key") == b"value"


async def test_fences_grow_across_restarts(path: Path) -> None:
    fences: list[int] = []
    for _ in range(3):
        async with SQLiteDatabase.open(path) as database:
            store = SQLiteLeaseStore(database)
            lease = await store.acquire("name", ttl=60)
            assert lease is not None
            fences.append(lease.fence)
            await store.release(lease)
    assert fences == [1, 2, 3]


async def test_expired_rows_are_deleted_in_passing(
    database: SQLiteDatabase, clock: ManualClock
) -> None:
    store = SQLiteKeyValueStore(database, clock)
    for number in range(5):
        await store.set(f"p/{number}", b"", ttl=10)
    clock.advance(100)
    await store.set("p/new", b"")
    rows = await database.read(lambda c: c.execute("SELECT key FROM kv").fetchall())
    assert rows == [(b"p/new",)]


async def test_a_newer_schema_is_refused_with_what_to_do(path: Path) -> None:
    async with SQLiteDatabase.open(path) as database:
        await database.write(
            lambda c: c.execute("UPDATE openbolt_schema SET version = 99").rowcount
        )
    with pytest.raises(ConfigurationError, match=r"schema version 99.*upgrade openbolt"):
        async with SQLiteDatabase.open(path):
            pass


@pytest.fixture
def no_database(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"certainly not a database" * 1000)


@pytest.mark.usefixtures("no_database")
async def test_a_file_that_is_no_database_is_said_to_be_none(path: Path) -> None:
    with pytest.raises(BackendError, match="not a SQLite database") as caught:
        async with SQLiteDatabase.open(path):
            pass
    assert isinstance(caught.value.__cause__, sqlite3.Error)
    assert str(path) not in caught.value.public_message


@pytest.mark.usefixtures("no_database")
@pytest.mark.parametrize("impossible", [".", "data.sqlite3/data.sqlite3"])
async def test_a_path_that_cannot_be_opened_is_said_to_be_such(path: Path, impossible: str) -> None:
    with pytest.raises(BackendError, match="can't be opened"):
        async with SQLiteDatabase.open(path.parent / impossible):
            pass


async def test_a_full_disk_is_said_to_be_full_and_what_was_there_stays(
    database: SQLiteDatabase,
) -> None:
    store = SQLiteKeyValueStore(database)
    await store.set("p/key", b"value")
    await database.write(lambda c: c.execute("PRAGMA max_page_count = 1").fetchall())
    with pytest.raises(BackendError, match="disk is full"):
        await store.set("p/large", bytes(1_000_000))
    assert await store.get("p/key") == b"value"
    assert await store.get("p/large") is None


async def test_a_database_that_may_not_be_written_is_said_to_be_such(
    database: SQLiteDatabase,
) -> None:
    await database.write(lambda c: c.execute("PRAGMA query_only = 1").fetchall())
    with pytest.raises(BackendError, match="can't be written to"):
        await SQLiteKeyValueStore(database).set("p/key", b"value")


async def test_a_lock_that_another_holds_for_too_long_is_an_error(path: Path) -> None:
    async with SQLiteDatabase.open(path, busy_timeout=0.05) as database:
        other = sqlite3.connect(path, isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(BackendError, match="busy_timeout"):
                await SQLiteKeyValueStore(database).set("p/key", b"value")
        finally:
            other.close()


async def test_the_event_loop_goes_on_while_the_file_is_locked(path: Path) -> None:
    async with SQLiteDatabase.open(path) as database:
        store = SQLiteKeyValueStore(database)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(store.set("p/key", b"value"))
        for _ in range(10):
            await asyncio.sleep(0.001)
            assert await store.get("p/key") is None
        assert not writing.done()
        other.execute("COMMIT")
        other.close()
        await writing
        assert await store.get("p/key") == b"value"


async def test_a_closed_database_says_so(path: Path) -> None:
    async with SQLiteDatabase.open(path) as database:
        store = SQLiteKeyValueStore(database)
    with pytest.raises(BackendError, match="closed"):
        await store.get("p/key")


async def test_a_write_that_nobody_waits_for_any_more_harms_nobody(
    database: SQLiteDatabase,
) -> None:
    store = SQLiteKeyValueStore(database)
    writing = asyncio.create_task(store.set("p/key", b"value"))
    await asyncio.sleep(0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await store.set("p/key", b"later")
    assert await store.get("p/key") == b"later"


async def test_a_rolled_back_step_leaves_no_transaction_open(database: SQLiteDatabase) -> None:
    store = SQLiteKeyValueStore(database)
    await store.set("p/text", b"text")
    with pytest.raises(Exception, match="decimal"):
        await store.increment("p/text")
    await store.set("p/key", b"value")
    assert await store.get("p/key") == b"value"


# Events: what is written when, on a clock that is told.


async def _rows(database: SQLiteDatabase) -> list[tuple[int, int]]:
    return await database.read(
        lambda c: c.execute("SELECT first, count FROM turn_events ORDER BY first").fetchall()
    )


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await condition():
            await asyncio.sleep(0.001)


async def _asleep(clock: ManualClock, count: int) -> None:
    async def reached() -> bool:
        return clock.sleepers >= count

    await _until(reached)


async def test_events_of_many_appends_are_written_as_one(
    database: SQLiteDatabase, clock: ManualClock
) -> None:
    async with SQLiteEventLog(database, clock, flush_interval=0.2) as log:
        await _asleep(clock, 1)  # the one that touches
        await log.open("turn")
        for number in range(10):
            await log.append("turn", [TextDelta("t", str(number))])
        await _asleep(clock, 2)
        assert await _rows(database) == []
        clock.advance(0.2)

        async def written() -> bool:
            return await _rows(database) == [(0, 10)]

        await _until(written)
        await log.close("turn")
        assert await _rows(database) == [(0, 10)]


async def test_a_turn_that_closes_is_written_alone_and_the_others_in_their_beat(
    database: SQLiteDatabase, clock: ManualClock
) -> None:
    async with SQLiteEventLog(database, clock, flush_interval=0.2) as log:
        await _asleep(clock, 1)  # the one that touches
        for turn in ("closes", "goes on"):
            await log.open(turn)
            await log.append(turn, [TextDelta("t", "x")])
        await _asleep(clock, 2)
        await log.close("closes")
        assert await _rows(database) == [(0, 1)]
        clock.advance(0.2)

        async def written() -> bool:
            return await _rows(database) == [(0, 1), (0, 1)]

        await _until(written)


async def test_turns_that_close_together_are_written_together(database: SQLiteDatabase) -> None:
    async with SQLiteEventLog(database) as log:
        for turn in ("first", "second", "third"):
            await log.open(turn)
            await log.append(turn, [TextDelta("t", "x")])
        statements: list[str] = []
        await database.write(lambda c: c.set_trace_callback(statements.append))
        await asyncio.gather(*map(log.close, ("first", "second", "third")))
        assert statements.count("COMMIT") <= 2  # the first closes, then those that waited for it
        assert await _rows(database) == [(0, 1)] * 3


async def test_the_file_is_not_told_with_every_beat_that_a_turn_goes_on(
    database: SQLiteDatabase, clock: ManualClock
) -> None:
    async def updated() -> float:
        rows = await database.read(lambda c: c.execute("SELECT updated FROM turns").fetchall())
        return float(rows[0][0])

    async with SQLiteEventLog(database, clock, flush_interval=0.2, stale_after=90) as log:
        await _asleep(clock, 1)
        await log.open("turn")
        opened = clock.now()
        for number in range(3):
            await log.append("turn", [TextDelta("t", "x")])
            await _asleep(clock, 2)
            clock.advance(0.2)

            async def written(count: int = number + 1) -> bool:
                return len(await _rows(database)) == count

            await _until(written)
        assert await updated() == opened


async def test_a_turn_that_was_purged_while_its_process_was_stopped_is_there_again(
    database: SQLiteDatabase, clock: ManualClock
) -> None:
    async with SQLiteEventLog(database, clock, flush_interval=0.2, stale_after=90) as log:
        await _asleep(clock, 1)
        await log.open("turn")
        await database.write(lambda c: c.execute("DELETE FROM turns").rowcount)
        await log.append("turn", [TextDelta("t", "x")])
        await _asleep(clock, 2)
        clock.advance(30)

        async def told() -> bool:
            rows = await database.read(lambda c: c.execute("SELECT turn FROM turns").fetchall())
            return rows == [("turn",)]

        await _until(told)


async def test_the_name_of_a_turn_that_is_forgotten_can_be_had_again(
    database: SQLiteDatabase, clock: ManualClock
) -> None:
    async with SQLiteEventLog(database, clock, retention=10.0) as log:
        await log.open("turn")
        await log.append("turn", [TextDelta("t", "x")])
        await log.close("turn")
        clock.advance(9)
        with pytest.raises(ConflictError):
            await log.open("turn")
        clock.advance(2)
        await log.open("turn")
        assert await _rows(database) == []


async def test_what_is_left_is_written_when_the_log_ends(
    database: SQLiteDatabase, clock: ManualClock
) -> None:
    async with SQLiteEventLog(database, clock) as log:
        await log.open("turn")
        await log.append("turn", [TextDelta("t", "x")])
    assert await _rows(database) == [(0, 1)]


async def test_a_reader_elsewhere_ends_with_the_process_of_the_writer(
    path: Path, second: SQLiteDatabase, clock: ManualClock
) -> None:
    async with SQLiteEventLog(second, clock) as log:
        async with (
            SQLiteDatabase.open(path) as first,
            SQLiteEventLog(first, clock) as died,
        ):
            await died.open("turn")
            await died.append("turn", [TextDelta("t", "x")])
            reading = asyncio.create_task(collect_events(log, "turn"))
            await _asleep(clock, 4)  # it polls
            assert not reading.done()
        clock.advance(0.1)
        assert await reading == [(0, TextDelta("t", "x"))]


async def test_a_reader_elsewhere_ends_when_the_writer_has_been_silent_for_long(
    database: SQLiteDatabase, second: SQLiteDatabase, clock: ManualClock
) -> None:
    async with SQLiteEventLog(database, clock) as died:
        await died.open("turn")
        await died.append("turn", [TextDelta("t", "x")])
    async with SQLiteEventLog(second, clock, stale_after=90) as log:
        await _asleep(clock, 1)
        reading = asyncio.create_task(collect_events(log, "turn"))
        await _asleep(clock, 2)  # it polls
        clock.advance(90)
        assert await reading == [(0, TextDelta("t", "x"))]


async def test_a_writer_that_is_silent_but_alive_is_not_taken_for_dead(
    database: SQLiteDatabase, second: SQLiteDatabase, clock: ManualClock
) -> None:
    async def touched() -> bool:
        rows = await database.read(lambda c: c.execute("SELECT updated FROM turns").fetchall())
        return rows == [(clock.now(),)]

    async with (
        SQLiteEventLog(database, clock, stale_after=90) as writer,
        SQLiteEventLog(second, clock, stale_after=90) as log,
    ):
        await writer.open("turn")
        await _asleep(clock, 2)
        reading = asyncio.create_task(collect_events(log, "turn"))
        for _ in range(10):
            await _asleep(clock, 3)
            clock.advance(30)
            await _until(touched)
        assert not reading.done()
        await writer.append("turn", [TextDelta("t", "x")])
        await writer.close("turn")
        await _asleep(clock, 3)
        clock.advance(1)
        assert await reading == [(0, TextDelta("t", "x"))]


async def test_orphaned_turns_are_forgotten_in_the_end(
    database: SQLiteDatabase, clock: ManualClock
) -> None:
    async with SQLiteEventLog(database, clock) as died:
        await died.open("turn")
        await died.append("turn", [TextDelta("t", "x")])
    clock.advance(90 + 600)
    async with SQLiteEventLog(database, clock) as log:
        await log.open("other")
        assert await _rows(database) == []
        with pytest.raises(NotFoundError):
            await collect_events(log, "turn")


async def test_events_that_could_not_be_written_are_written_later(
    path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        SQLiteDatabase.open(path, busy_timeout=0.01) as database,
        SQLiteEventLog(database, clock) as log,
    ):
        await _asleep(clock, 1)
        await log.open("turn")
        await log.append("turn", [TextDelta("t", "x")])
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        await _asleep(clock, 2)
        clock.advance(0.2)
        await _asleep(clock, 2)  # it waits to try again
        with pytest.raises(BackendError):
            await log.close("turn")
        assert await collect_events(log, "turn") == [(0, TextDelta("t", "x"))]
        other.execute("COMMIT")
        other.close()
        clock.advance(1.0)
        await _asleep(clock, 2)
        clock.advance(0.2)

        async def written() -> bool:
            rows = await database.read(lambda c: c.execute("SELECT closed FROM turns").fetchall())
            return await _rows(database) == [(0, 1)] and rows[0][0] is not None

        await _until(written)
    assert "can't be written" in caplog.text


async def test_a_flush_that_was_cancelled_and_carried_out_is_repeated_without_harm(
    path: Path, database: SQLiteDatabase, clock: ManualClock
) -> None:
    async def written() -> bool:
        return await _rows(database) == [(0, 1)]

    async with SQLiteEventLog(database, clock) as log:
        await log.open("turn")
        await log.append("turn", [TextDelta("t", "1")])
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        closing = asyncio.create_task(log.close("turn"))
        for _ in range(10):
            await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        other.execute("COMMIT")
        other.close()
        await _until(written)
    assert await _rows(database) == [(0, 1)]


async def test_what_was_deleted_is_gone_from_the_file(path: Path, clock: ManualClock) -> None:
    canary = b"CANARY-of-a-user"
    async with SQLiteDatabase.open(path) as first:
        kv = SQLiteKeyValueStore(first, clock)
        for number in range(200):
            await kv.set(f"user:ann/{number}", canary * 50)
        for number in range(200):
            await kv.delete(f"user:ann/{number}")
    held = b"".join(p.read_bytes() for p in path.parent.iterdir() if p.is_file())
    assert canary not in held

"""What waits for a SQLite file at the same time shares a transaction, and nobody notices."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbolt.errors import BackendError, InvalidRequestError
from openbolt.protocols import AtomicKeyValueStore
from openbolt.testing import ManualClock
from openbolt_local.memory import MemoryKeyValueStore
from openbolt_local.sqlite import SQLiteDatabase, SQLiteKeyValueStore, SQLiteLeaseStore

MANY = 20

_KEYS = st.sampled_from(["p/a", "p/b", "q/c"])
_VALUES = st.sampled_from([b"1", b"2", b"text", b"x" * 3000])
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), _KEYS, _VALUES),
        st.tuples(st.just("add"), _KEYS, _VALUES),
        st.tuples(st.just("delete"), _KEYS),
        st.tuples(st.just("take"), _KEYS),
        st.tuples(st.just("increment"), _KEYS),
        st.tuples(st.just("replace"), _KEYS, _VALUES, st.none() | _VALUES),
    ),
    max_size=12,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data.sqlite3"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[SQLiteDatabase]:
    async with SQLiteDatabase.open(path) as database:
        yield database


async def _outcome(step: Awaitable[Any]) -> Any:
    try:
        return await step
    except InvalidRequestError as exc:
        return exc.public_message


def _begin(store: AtomicKeyValueStore, step: Sequence[Any]) -> Awaitable[Any]:
    name, key, *values = step
    if name == "replace":
        return _outcome(store.replace(key, values[0], expected=values[1]))
    return _outcome(getattr(store, name)(key, *values))


@given(rounds=st.lists(_STEPS, max_size=3))
async def test_steps_that_run_together_end_as_one_after_another(
    rounds: list[list[tuple[Any, ...]]],
) -> None:
    model = MemoryKeyValueStore(ManualClock())
    with TemporaryDirectory() as folder:
        async with SQLiteDatabase.open(Path(folder) / "data.sqlite3") as database:
            store = SQLiteKeyValueStore(database)
            for steps in rounds:
                expected = [await _begin(model, step) for step in steps]
                assert await asyncio.gather(*(_begin(store, s) for s in steps)) == expected
                for key in ("p/a", "p/b", "q/c"):
                    assert await store.get(key) == await model.get(key)


async def test_writes_that_wait_together_are_committed_once(database: SQLiteDatabase) -> None:
    store = SQLiteKeyValueStore(database)
    await store.set("p/first", b"")
    statements: list[str] = []
    await database.write(lambda c: c.set_trace_callback(statements.append))
    await asyncio.gather(*(store.set(f"p/{n}", b"value") for n in range(MANY)))
    assert statements.count("COMMIT") == 1
    assert [await store.get(f"p/{n}") for n in range(MANY)] == [b"value"] * MANY


async def test_one_that_fails_takes_none_of_the_others_with_it(database: SQLiteDatabase) -> None:
    store = SQLiteKeyValueStore(database)
    await store.set("p/text", b"text")
    await database.write(lambda c: c.execute("PRAGMA max_page_count = 100").fetchall())
    outcomes = await asyncio.gather(
        store.set("p/before", b"value"),
        store.increment("p/counter"),
        store.increment("p/text"),
        store.set("p/large", bytes(1_000_000)),
        store.increment("p/counter"),
        database.write(lambda c: c.execute("nonsense")),
        store.set("p/after", b"value"),
        return_exceptions=True,
    )
    kinds = [type(o) if isinstance(o, Exception) else o for o in outcomes]
    assert kinds == [None, 1, InvalidRequestError, BackendError, 2, BackendError, None]
    assert await store.get("p/before") == await store.get("p/after") == b"value"
    assert await store.get("p/counter") == b"2"
    assert await store.get("p/large") is None


async def test_those_that_wait_together_wait_for_another_process_once(path: Path) -> None:
    async with SQLiteDatabase.open(path, busy_timeout=0.1) as database:
        store = SQLiteKeyValueStore(database)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            began = monotonic()
            outcomes = await asyncio.gather(
                *(store.set(f"p/{n}", b"") for n in range(MANY)), return_exceptions=True
            )
            assert monotonic() - began < 0.1 * MANY / 2
        assert {type(outcome) for outcome in outcomes} == {BackendError}
        await store.set("p/0", b"value")


async def test_what_is_cancelled_is_of_no_concern_to_the_others(database: SQLiteDatabase) -> None:
    store = SQLiteKeyValueStore(database)
    tasks = [asyncio.create_task(store.set(f"p/{n}", b"value")) for n in range(MANY)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task
    assert [task.cancelled() for task in tasks] == [True, False] * (MANY // 2)
    assert await store.get("p/1") == b"value"


async def test_what_was_given_is_done_before_the_file_is_closed(path: Path) -> None:
    async with SQLiteDatabase.open(path) as database:
        store = SQLiteKeyValueStore(database)
        writing = [asyncio.create_task(store.set(f"p/{n}", b"value")) for n in range(3)]
        await asyncio.sleep(0)
    await asyncio.gather(*writing)
    async with SQLiteDatabase.open(path) as database:
        assert await SQLiteKeyValueStore(database).get("p/2") == b"value"


async def test_loops_in_several_threads_share_a_file(database: SQLiteDatabase) -> None:
    store = SQLiteKeyValueStore(database)

    async def count() -> None:
        for _ in range(MANY):
            await store.increment("p/counter")
            assert await store.get("p/counter") is not None

    await asyncio.gather(count(), asyncio.to_thread(asyncio.run, count()))
    assert await store.get("p/counter") == b"%d" % (2 * MANY)


@pytest.mark.parametrize("size", [0, 64 * 1024, 64 * 1024 + 1, 3_000_000])
async def test_values_of_any_size_are_read(database: SQLiteDatabase, size: int) -> None:
    store = SQLiteKeyValueStore(database)
    await store.set("p/key", b"x" * size)
    assert await store.get("p/key") == b"x" * size


async def test_a_look_is_taken_on_the_thread_of_the_loop(database: SQLiteDatabase) -> None:
    threads = [await database.look(lambda _: threading.current_thread())]
    threads += [await database.read(lambda _: threading.current_thread())]
    assert [thread is threading.current_thread() for thread in threads] == [True, False]


async def test_a_look_that_would_have_to_wait_is_taken_elsewhere(database: SQLiteDatabase) -> None:
    threads: list[threading.Thread] = []

    def work(_: sqlite3.Connection) -> str:
        threads.append(threading.current_thread())
        if len(threads) > 1:
            return "seen"
        busy = sqlite3.OperationalError("database is locked")
        busy.sqlite_errorcode = sqlite3.SQLITE_BUSY
        raise busy

    assert await database.look(work) == "seen"
    assert [thread is threading.current_thread() for thread in threads] == [True, False]


async def test_a_look_changes_nothing(database: SQLiteDatabase) -> None:
    with pytest.raises(BackendError, match="can't be written to"):
        await database.look(lambda c: c.execute("DELETE FROM kv"))


async def test_who_asks_in_vain_for_a_lease_of_this_process_waits_for_no_writer(
    path: Path, database: SQLiteDatabase
) -> None:
    leases = SQLiteLeaseStore(database)
    assert await leases.acquire("name", ttl=60) is not None
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with asyncio.timeout(1):
            assert await leases.acquire("name", ttl=60) is None


async def test_leases_that_ran_out_are_forgotten_in_passing(database: SQLiteDatabase) -> None:
    clock = ManualClock()
    leases = SQLiteLeaseStore(database, clock)
    for number in range(3):
        await leases.acquire(f"name-{number}", ttl=1)
    clock.advance(61)
    await leases.acquire("name", ttl=1)
    names = await database.read(lambda c: c.execute("SELECT name FROM leases").fetchall())
    assert names == [("name",)]

"""The limiters against their suites; what each does beyond them; and four processes at once."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sqlite3
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
from attrs import evolve

from openbolt.errors import BackendError
from openbolt.protocols import RatePolicy
from openbolt.testing import ManualClock
from openbolt.testing.limits import AccountingRateLimiterSuite
from openbolt_local.memory import MemoryRateLimiter
from openbolt_local.sqlite import SQLiteDatabase
from openbolt_local.sqlite_limits import SQLiteRateLimiter
from tests.conformance.timing import OnManualClock

HAMMER = Path(__file__).with_name("limit_hammer.py")
SOURCE = Path(__file__).parents[2] / "src"
PROCESSES = 4

TEN = RatePolicy("ten", 10, 100.0)


class TestMemoryRateLimiter(OnManualClock, AccountingRateLimiterSuite):
    @pytest.fixture
    def limiter(self, clock: ManualClock) -> MemoryRateLimiter:
        return MemoryRateLimiter(clock)


class TestSQLiteRateLimiter(OnManualClock, AccountingRateLimiterSuite):
    @pytest.fixture
    def limiter(self, database: SQLiteDatabase, clock: ManualClock) -> SQLiteRateLimiter:
        return SQLiteRateLimiter(database, clock)

    @pytest.fixture
    def peer(self, second: SQLiteDatabase, clock: ManualClock) -> SQLiteRateLimiter:
        return SQLiteRateLimiter(second, clock)


class TestSQLiteRateLimiterCountingForItself(OnManualClock, AccountingRateLimiterSuite):
    policy = RatePolicy("suite", limit=5, period=1.0, shared=False)

    @pytest.fixture
    def limiter(self, database: SQLiteDatabase, clock: ManualClock) -> SQLiteRateLimiter:
        return SQLiteRateLimiter(database, clock)


class TestSQLiteRateLimiterInRealTime(AccountingRateLimiterSuite):
    @pytest.fixture
    def limiter(self, database: SQLiteDatabase) -> SQLiteRateLimiter:
        return SQLiteRateLimiter(database)


def _rows(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        (count,) = connection.execute("SELECT count(*) FROM rate_limits").fetchone()
    finally:
        connection.close()
    return int(count)


async def _used(limiter: MemoryRateLimiter | SQLiteRateLimiter, policy: RatePolicy) -> int:
    """How many units a subject gets at once."""
    count = 0
    while (await limiter.acquire("subject", policy)).allowed:
        count += 1
    return count


async def test_counts_survive_a_restart(path: Path, clock: ManualClock) -> None:
    async with SQLiteDatabase.open(path) as database:
        assert await _used(SQLiteRateLimiter(database, clock), TEN) == 10
    async with SQLiteDatabase.open(path) as database:
        assert await _used(SQLiteRateLimiter(database, clock), TEN) == 0


async def test_processes_do_not_share_what_is_not_shared(
    database: SQLiteDatabase, second: SQLiteDatabase, clock: ManualClock
) -> None:
    policy = evolve(TEN, shared=False)
    assert await _used(SQLiteRateLimiter(database, clock), policy) == 10
    assert await _used(SQLiteRateLimiter(second, clock), policy) == 10


async def test_a_process_whose_clock_lags_gets_nothing_more(
    database: SQLiteDatabase, second: SQLiteDatabase, clock: ManualClock
) -> None:
    ahead, behind = ManualClock(clock.now() + 30), clock
    one, other = SQLiteRateLimiter(database, ahead), SQLiteRateLimiter(second, behind)
    got = 0
    for _ in range(20):
        for limiter in (one, other):
            got += (await limiter.acquire("subject", TEN)).allowed
    assert got == 10


async def test_a_clock_that_is_set_back_locks_nobody_out_for_longer_than_a_minute(
    database: SQLiteDatabase,
    second: SQLiteDatabase,
    clock: ManualClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert await _used(SQLiteRateLimiter(database, clock), TEN) == 10
    back = ManualClock(clock.now() - 86_400)
    limiter = SQLiteRateLimiter(second, back)
    with caplog.at_level(logging.WARNING, "openbolt.limits"):
        assert await _used(limiter, TEN) == 10
    assert "The clock was set back by 86400 s" in caplog.text
    back.advance(61)
    assert await _used(limiter, TEN) == 6  # not for nothing a second time


async def test_a_process_that_runs_on_notices_within_a_minute_that_the_clock_was_set_back(
    database: SQLiteDatabase,
) -> None:
    class Settable(ManualClock):
        offset = 0.0

        def now(self) -> float:
            return super().now() + self.offset

    clock = Settable()
    limiter = SQLiteRateLimiter(database, clock)
    assert await _used(limiter, TEN) == 10
    clock.offset = -86_400
    assert await _used(limiter, TEN) == 0
    clock.advance(60)
    assert await _used(limiter, TEN) == 10


async def test_the_file_forgets_who_is_replenished(
    path: Path, database: SQLiteDatabase, clock: ManualClock
) -> None:
    limiter = SQLiteRateLimiter(database, clock)
    for number in range(50):
        await limiter.acquire(f"subject {number}", TEN)
    assert _rows(path) == 50
    clock.advance(10 + 61)
    await limiter.acquire("another", TEN)
    assert _rows(path) == 1


async def test_the_file_names_no_subject(
    path: Path, database: SQLiteDatabase, clock: ManualClock
) -> None:
    limiter = SQLiteRateLimiter(database, clock)
    await limiter.acquire("address:203.0.113.77", TEN)
    connection = sqlite3.connect(path)
    dump = "\n".join(connection.iterdump())
    connection.close()
    assert "INSERT INTO" in dump
    assert "203.0.113.77" not in dump
    assert b"203.0.113.77".hex().upper() not in dump


async def test_a_refusal_takes_no_write_lock(
    path: Path, database: SQLiteDatabase, clock: ManualClock
) -> None:
    limiter = SQLiteRateLimiter(database, clock)
    assert await _used(limiter, TEN) == 10
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        assert (await limiter.acquire("subject", TEN)).allowed is False
    finally:
        other.execute("ROLLBACK")
        other.close()


async def test_a_limiter_that_cannot_count_says_so(path: Path, clock: ManualClock) -> None:
    async with SQLiteDatabase.open(path, busy_timeout=0.05) as database:
        limiter = SQLiteRateLimiter(database, clock)
        await limiter.acquire("subject", TEN)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        try:
            with pytest.raises(BackendError):
                await limiter.acquire("subject", TEN)
        finally:
            other.execute("ROLLBACK")
            other.close()
        assert (await limiter.acquire("subject", TEN)).remaining == 8


async def _start(path: Path, limit: int, period: float) -> list[dict[str, float]]:
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, str(HAMMER), str(path), str(limit), str(period)),
            stdout=PIPE,
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
        )
        for _ in range(PROCESSES)
    ]
    outputs = await asyncio.gather(*(process.communicate() for process in processes))
    assert [process.returncode for process in processes] == [0] * PROCESSES
    return [json.loads(out) for out, _ in outputs]


async def test_four_processes_together_get_the_burst_and_the_rate_and_no_more(path: Path) -> None:
    limit, period = 200, 20.0
    results = await _start(path, limit, period)
    got = sum(result["allowed"] for result in results)
    first = min(result["began"] for result in results)
    last = max(result["ended"] for result in results)
    most = limit + (last - first) * limit / period
    assert limit <= got <= most
    # Nothing that time brought is lost either, but what came after the last who asked.
    least = limit + (min(result["ended"] for result in results) - first) * limit / period
    assert got >= least - PROCESSES - 1


async def test_a_subject_that_only_asks_has_one_number_in_memory(clock: ManualClock) -> None:
    limiter = MemoryRateLimiter(clock)
    for number in range(5000):
        await limiter.acquire(f"subject {number}", RatePolicy("p", 1, 1.0))
        clock.advance(0.01)
    assert len(limiter._arrivals) <= 2048
    clock.advance(120)
    await limiter.acquire("another", RatePolicy("p", 1, 1.0))
    assert len(limiter._arrivals) == 1

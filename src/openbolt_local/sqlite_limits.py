"""Rate limits counted in a SQLite file, for all the processes of one machine together.

Laws: whoever is let in has moved the very number that the decision was made from, in one statement
or, where another process was quicker, in one ``BEGIN IMMEDIATE`` transaction that also reads the
time. So nothing is counted twice or lost, and a stored moment never goes back but by what is given
back. A clock that is set back by more than a minute would keep everybody waiting for as long:
within a minute it is noticed, and counting begins anew. The file holds hashes of subjects, each
until it is replenished and a minute more.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from hashlib import blake2b
from typing import TypeVar

from openbolt.clock import SystemClock
from openbolt.limits import acquire, charge, microseconds
from openbolt.protocols import Clock, Decision, RatePolicy
from openbolt_local._sqlite import SQLiteDatabase, immediate
from openbolt_local.memory_limits import MemoryRateLimiter

__all__ = ["SQLiteRateLimiter"]

T = TypeVar("T")

_log = logging.getLogger("openbolt.limits")

_MINUTE = 60_000_000
_PURGE_INTERVAL = 60.0
# What lies here is forgotten within minutes or days: it needs no place in the file's versions.
_TABLES = (
    "CREATE TABLE IF NOT EXISTS rate_limits (subject BLOB PRIMARY KEY, arrival INTEGER NOT NULL) "
    "WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS rate_clock (latest INTEGER NOT NULL)",
)
_READ = "SELECT arrival FROM rate_limits WHERE subject = ?"
_ADD = "INSERT INTO rate_limits VALUES (?, ?) ON CONFLICT (subject) DO NOTHING"
_MOVE = "UPDATE rate_limits SET arrival = ? WHERE subject = ? AND arrival = ?"
_WRITE = (
    "INSERT INTO rate_limits VALUES (?, ?) "
    "ON CONFLICT (subject) DO UPDATE SET arrival = excluded.arrival"
)


class SQLiteRateLimiter:
    """An `AccountingRateLimiter` in a table.

    Policies that aren't ``shared`` are counted in memory, at a hundredth of the cost.

    Args:
        clock: Its ``now()`` is called on the database's thread.
    """

    def __init__(self, database: SQLiteDatabase, clock: Clock | None = None, /) -> None:
        self._database = database
        self._clock = clock or SystemClock()
        self._own = MemoryRateLimiter(self._clock)
        self._purge_at = 0.0

    async def acquire(self, subject: str, policy: RatePolicy, cost: int = 1, /) -> Decision:
        """Use ``cost`` units if they are there."""
        if not policy.shared:
            return await self._own.acquire(subject, policy, cost)
        key = _key(subject, policy)

        def work(connection: sqlite3.Connection) -> Decision:
            # Mostly nobody else is at it: then one statement does, which writes only over what was
            # read; and who asks in vain writes nothing at all.
            seen = _arrival(connection, key)
            decision, moved = acquire(seen, self._now(), policy, cost)
            if moved is None or _swap(connection, key, seen, moved):
                return decision
            with immediate(connection):
                decision, moved = acquire(_arrival(connection, key), self._now(), policy, cost)
                if moved is not None:
                    connection.execute(_WRITE, (key, moved))
            return decision

        return await self._write(work)

    async def charge(self, subject: str, policy: RatePolicy, cost: int, /) -> None:
        """Use ``cost`` units whether they are there or not, or give some back."""
        if not policy.shared:
            await self._own.charge(subject, policy, cost)
            return
        key = _key(subject, policy)

        def work(connection: sqlite3.Connection) -> None:
            with immediate(connection):
                moved = charge(_arrival(connection, key), self._now(), policy, cost)
                connection.execute(_WRITE, (key, moved))

        await self._write(work)

    def _now(self) -> int:
        return microseconds(self._clock.now())

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        monotonic = self._clock.monotonic()
        if monotonic < self._purge_at:
            return await self._database.write(work)

        def purge_and_work(connection: sqlite3.Connection) -> T:
            _purge(connection, self._now())
            return work(connection)

        result = await self._database.write(purge_and_work)
        self._purge_at = monotonic + _PURGE_INTERVAL
        return result


def _key(subject: str, policy: RatePolicy) -> bytes:
    named = f"{policy.name}\0{subject}".encode("utf-8", "surrogatepass")
    return blake2b(named, digest_size=16).digest()


def _arrival(connection: sqlite3.Connection, key: bytes) -> int | None:
    row = connection.execute(_READ, (key,)).fetchone()
    return row[0] if row else None


def _swap(connection: sqlite3.Connection, key: bytes, seen: int | None, moved: int) -> bool:
    """Write if nobody has written since; whether it was."""
    if seen is None:
        return connection.execute(_ADD, (key, moved)).rowcount == 1
    return connection.execute(_MOVE, (moved, key, seen)).rowcount == 1


def _purge(connection: sqlite3.Connection, now: int) -> None:
    """Forget who is replenished, by the clock of whoever may lag behind; and look at the clock."""
    with immediate(connection):
        for statement in _TABLES:
            connection.execute(statement)
        row = connection.execute("SELECT latest FROM rate_clock").fetchone()
        if row and now < row[0] - _MINUTE:
            seconds = (row[0] - now) / 1_000_000
            _log.warning("The clock was set back by %d s: rate limits begin anew", seconds)
            connection.execute("DELETE FROM rate_limits")
        connection.execute("DELETE FROM rate_limits WHERE arrival <= ?", (now - _MINUTE,))
        connection.execute("DELETE FROM rate_clock")
        connection.execute("INSERT INTO rate_clock VALUES (?)", (now,))

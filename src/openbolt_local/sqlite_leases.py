"""Leases in one SQLite file, which end with the process that holds them.

Law: who has a lease is read and written in one transaction, and every lease draws its fence from
one counter, so that fences only grow.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from attrs import astuple

from openbolt.clock import SystemClock, SystemTokens
from openbolt.protocols import Clock, Lease, TokenSource
from openbolt_local._processes import ProcessMark
from openbolt_local._sqlite import Beat, SQLiteDatabase, first, immediate

__all__ = ["SQLiteLeaseStore"]

_HOLDER = "SELECT name, holder, fence, expires FROM leases WHERE name = ? AND expires > ?"


class SQLiteLeaseStore:
    """A `LeaseStore` in a table; all names draw their fences from one counter.

    A lease also ends with the process that holds it: after a crash nobody waits for its time.
    Rows of leases that ran out go in passing, once a minute.
    """

    def __init__(
        self,
        database: SQLiteDatabase,
        clock: Clock | None = None,
        tokens: TokenSource | None = None,
        /,
    ) -> None:
        self._database = database
        self._clock = clock or SystemClock()
        self._tokens = tokens or SystemTokens()
        self._purge = Beat()

    async def acquire(self, name: str, /, *, ttl: float) -> Lease | None:
        """Take the lease, or None while another holder has it."""
        now, mark = self._clock.now(), self._database.mark
        # Who only asks in vain shouldn't keep others from writing: look first.
        seen = await self._database.look(first(_HOLDER, (name, now)))
        if seen and _process(seen) == mark.id:
            return None
        holder = f"{mark.id}.{self._tokens.token()}"
        purges = self._purge.is_due(now)

        def work(connection: sqlite3.Connection) -> Lease | None:
            if seen and _held(connection, name, now, mark):
                return None
            with immediate(connection):
                if _held(connection, name, now, mark):
                    return None
                if purges:
                    connection.execute("DELETE FROM leases WHERE expires <= ?", (now,))
                connection.execute("UPDATE fences SET last = last + 1")
                (fence,) = connection.execute("SELECT last FROM fences").fetchone()
                lease = Lease(name, holder, fence, now + ttl)
                connection.execute("REPLACE INTO leases VALUES (?, ?, ?, ?)", astuple(lease))
            return lease

        return await self._database.write(work)

    async def renew(self, lease: Lease, /, *, ttl: float) -> Lease | None:
        """Hold on for ``ttl`` seconds from now; None if it was lost or ran out."""
        now = self._clock.now()
        renewed = Lease(lease.name, lease.holder, lease.fence, now + ttl)
        row = (renewed.expires_at, lease.name, lease.holder, lease.fence, now)
        held = await self._database.write(
            lambda connection: (
                connection.execute(
                    "UPDATE leases SET expires = ? "
                    "WHERE name = ? AND holder = ? AND fence = ? AND expires > ?",
                    row,
                ).rowcount
            )
        )
        return renewed if held else None

    async def release(self, lease: Lease, /) -> None:
        """Give it back."""
        row = (lease.name, lease.holder, lease.fence)
        await self._database.write(
            lambda connection: (
                connection.execute(
                    "DELETE FROM leases WHERE name = ? AND holder = ? AND fence = ?", row
                ).rowcount
            )
        )

    async def holder(self, name: str, /) -> Lease | None:
        """Who has it now."""
        now, mark = self._clock.now(), self._database.mark
        return await self._database.read(lambda connection: _held(connection, name, now, mark))


def _held(connection: sqlite3.Connection, name: str, now: float, mark: ProcessMark) -> Lease | None:
    """A lease that hasn't run out and whose process lives."""
    row = connection.execute(_HOLDER, (name, now)).fetchone()
    return Lease(*row) if row and mark.is_alive(_process(row)) else None


def _process(row: tuple[Any, ...]) -> str:
    """The id of the process that holds it."""
    holder: str = row[1]
    return holder.partition(".")[0]

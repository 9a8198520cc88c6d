"""Stores in one SQLite file: durable, shared by the processes of one machine, nothing to install.

Law: what two processes can both try happens in one statement or one ``BEGIN IMMEDIATE``
transaction, so that exactly one of them wins. Times are the clock's ``now()``, which processes
share. `openbolt_local._sqlite` says what survives which crash.
"""

from __future__ import annotations

import sqlite3
from asyncio import Future
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, TypeVar

from openbolt.clock import SystemClock
from openbolt.protocols import Clock, KVLimits, SessionRecord
from openbolt_local._checks import (
    check_value,
    encode_key,
    encode_prefix,
    expiry,
    parse_counter,
    sum_counter,
)
from openbolt_local._sqlite import Beat, SQLiteDatabase, Synchronous, first, immediate
from openbolt_local.sqlite_events import SQLiteEventLog
from openbolt_local.sqlite_leases import SQLiteLeaseStore

__all__ = [
    "SQLiteDatabase",
    "SQLiteEventLog",
    "SQLiteKeyValueStore",
    "SQLiteLeaseStore",
    "SQLiteSessionStore",
    "Synchronous",
]

T = TypeVar("T")

_PAGE = 1000
_PURGE_ROWS = 1000

_GET = "SELECT value FROM kv WHERE key = ? AND (expires IS NULL OR expires > ?)"
_SMALL = 64 * 1024
# SQLite knows how long a value is without reading it.
_LOOK = (
    "SELECT CASE WHEN length(value) <= ? THEN value END FROM kv "
    "WHERE key = ? AND (expires IS NULL OR expires > ?)"
)
_SET = (
    "INSERT INTO kv (key, value, expires) VALUES (?, ?, ?) "
    "ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires = excluded.expires"
)
_ADD = f"{_SET} WHERE kv.expires <= ?"
_REPLACE = (
    "UPDATE kv SET value = ?, expires = ? "
    "WHERE key = ? AND value = ? AND (expires IS NULL OR expires > ?)"
)
_SCAN = (
    "SELECT key FROM kv WHERE key >= ? AND key < ? AND (expires IS NULL OR expires > ?) "
    "ORDER BY key LIMIT ?"
)
_PURGE = "DELETE FROM kv WHERE key IN (SELECT key FROM kv WHERE expires <= ? LIMIT ?)"


class SQLiteKeyValueStore:
    """An `AtomicKeyValueStore` in a table.

    Expired values are never returned; their rows go in passing, up to 1,000 a minute of writing.
    """

    def __init__(self, database: SQLiteDatabase, clock: Clock | None = None, /) -> None:
        self._database = database
        self._clock = clock or SystemClock()
        self._limits = KVLimits()
        self._purge = Beat()

    @property
    def limits(self) -> KVLimits:
        """Atomic, read after write, any time to live."""
        return self._limits

    async def get(self, key: str, /) -> bytes | None:
        """The value, or None."""
        wanted = (self._key(key), self._clock.now())
        row = await self._database.look(first(_LOOK, (_SMALL, *wanted)))
        if row and row[0] is None:
            row = await self._database.read(first(_GET, wanted))
        return row[0] if row else None

    async def set(self, key: str, value: bytes, /, *, ttl: float | None = None) -> None:
        """Write, replacing."""
        row = (self._key(key), self._value(value), self._expiry(ttl))
        await self._write(lambda connection: connection.execute(_SET, row).rowcount)

    async def delete(self, key: str, /) -> None:
        """Remove."""
        name = self._key(key)
        await self._write(
            lambda connection: connection.execute("DELETE FROM kv WHERE key = ?", (name,)).rowcount
        )

    async def scan(self, prefix: str, /) -> AsyncIterator[str]:
        """Live keys that start with ``prefix``, in order; 1,000 at a time as of one moment."""
        start = encode_prefix(prefix)
        end = start[:-1] + bytes([start[-1] + 1])  # UTF-8 never has 0xFF
        while True:
            bounds = (start, end, self._clock.now())
            keys = await self._database.read(partial(_scan_page, bounds=bounds))
            for key in keys:
                yield key.decode("utf-8")
            if len(keys) < _PAGE:
                return
            start = keys[-1] + b"\0"

    async def add(self, key: str, value: bytes, /, *, ttl: float | None = None) -> bool:
        """Write if absent; whether it was."""
        row = (self._key(key), self._value(value), self._expiry(ttl), self._clock.now())
        return await self._write(lambda connection: connection.execute(_ADD, row).rowcount == 1)

    async def take(self, key: str, /) -> bytes | None:
        """Read and delete."""
        name, now = self._key(key), self._clock.now()

        def work(connection: sqlite3.Connection) -> bytes | None:
            with immediate(connection):
                row = connection.execute(_GET, (name, now)).fetchone()
                connection.execute("DELETE FROM kv WHERE key = ?", (name,))
            return row[0] if row else None

        return await self._write(work)

    async def increment(self, key: str, amount: int = 1, /, *, ttl: float | None = None) -> int:
        """Add to a decimal counter of 64 bits and return it."""
        name, now, expires = self._key(key), self._clock.now(), self._expiry(ttl)

        def work(connection: sqlite3.Connection) -> int:
            with immediate(connection):
                row = connection.execute(_GET, (name, now)).fetchone()
                total = sum_counter(parse_counter(row[0]) if row else 0, amount)
                value = b"%d" % total
                if row:
                    connection.execute("UPDATE kv SET value = ? WHERE key = ?", (value, name))
                else:
                    connection.execute(_SET, (name, value, expires))
            return total

        return await self._write(work)

    async def replace(
        self, key: str, value: bytes, /, *, expected: bytes | None, ttl: float | None = None
    ) -> bool:
        """Write if the value is ``expected`` (None: absent); whether it was."""
        if expected is None:
            return await self.add(key, value, ttl=ttl)
        row = (
            self._value(value),
            self._expiry(ttl),
            self._key(key),
            bytes(expected),
            self._clock.now(),
        )
        return await self._write(lambda c: c.execute(_REPLACE, row).rowcount == 1)

    def _key(self, key: str) -> bytes:
        return encode_key(key, self._limits.max_key_bytes)

    def _value(self, value: bytes) -> bytes:
        check_value(value, self._limits)
        return bytes(value)

    def _expiry(self, ttl: float | None) -> float | None:
        return expiry(ttl, self._clock.now(), self._limits)

    def _write(self, work: Callable[[sqlite3.Connection], T]) -> Future[T]:
        now = self._clock.now()
        if not self._purge.is_due(now):
            return self._database.write(work)

        def purge_and_work(connection: sqlite3.Connection) -> T:
            connection.execute(_PURGE, (now, _PURGE_ROWS))
            return work(connection)

        return self._database.write(purge_and_work)


def _scan_page(connection: sqlite3.Connection, bounds: tuple[bytes, bytes, float]) -> list[bytes]:
    return [key for (key,) in connection.execute(_SCAN, (*bounds, _PAGE))]


class SQLiteSessionStore:
    """A `SessionStore` in a table; expired rows go when a session is saved."""

    def __init__(self, database: SQLiteDatabase, clock: Clock | None = None, /) -> None:
        self._database = database
        self._clock = clock or SystemClock()

    async def load(self, id_hash: str, /) -> SessionRecord | None:
        """The record, or None if there is none or it has expired."""
        wanted = (id_hash, self._clock.now())
        row = await self._database.look(
            first(f"{_SESSIONS} WHERE id_hash = ? AND expires > ?", wanted)
        )
        return SessionRecord(*row) if row else None

    async def save(self, record: SessionRecord, /) -> None:
        """Write, replacing the record of the same id."""
        now = self._clock.now()
        row: tuple[Any, ...] = (
            record.id_hash,
            record.user_id,
            record.created_at,
            record.last_used_at,
            record.expires_at,
            record.device,
            record.data,
        )

        def work(connection: sqlite3.Connection) -> None:
            with immediate(connection):
                connection.execute("REPLACE INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?)", row)
                connection.execute("DELETE FROM sessions WHERE expires <= ?", (now,))

        await self._database.write(work)

    async def change(
        self, id_hash: str, /, *, last_used_at: float | None = None, data: bytes | None = None
    ) -> bool:
        """Change a live session; whether there was one."""
        wanted = (last_used_at, data, id_hash, self._clock.now())
        changed = await self._database.write(
            lambda connection: (
                connection.execute(
                    "UPDATE sessions SET used = coalesce(?, used), data = coalesce(?, data) "
                    "WHERE id_hash = ? AND expires > ?",
                    wanted,
                ).rowcount
            )
        )
        return changed == 1

    async def discard(self, id_hash: str, /) -> None:
        """Remove."""
        await self._database.write(
            lambda connection: (
                connection.execute("DELETE FROM sessions WHERE id_hash = ?", (id_hash,)).rowcount
            )
        )

    async def list(self, user_id: str, /) -> AsyncIterator[SessionRecord]:
        """A user's live sessions, as of one moment."""
        wanted = (user_id, self._clock.now())
        rows = await self._database.read(
            lambda connection: connection.execute(
                f"{_SESSIONS} WHERE user_id = ? AND expires > ?", wanted
            ).fetchall()
        )
        for row in rows:
            yield SessionRecord(*row)


_SESSIONS = "SELECT id_hash, user_id, created, used, expires, device, data FROM sessions"

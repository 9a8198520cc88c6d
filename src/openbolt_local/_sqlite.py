"""One SQLite file for several stores and several processes.

Law: reads and writes have a connection and a thread each, so a reader never waits for a commit; a
change that depends on what it read happens in one ``BEGIN IMMEDIATE`` transaction. On the event
loop's thread only a few small rows are read, by their key, and never while that would mean to wait
for somebody. Every `sqlite3.Error` becomes a `BackendError` here.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Literal, Self, TypeVar

from openbolt.clock import SystemTokens
from openbolt.errors import BackendError, ConfigurationError
from openbolt_local._processes import ProcessMark
from openbolt_local._sqlite_threads import SQLiteThread, immediate, primary_code, translated

__all__ = ["Beat", "SQLiteDatabase", "Synchronous", "first", "immediate"]

T = TypeVar("T")
Synchronous = Literal["normal", "full", "extra"]

_JOURNAL_BYTES = 64 * 1024 * 1024

# Each script takes the file from one version to the next; only ever append.
_MIGRATIONS = (
    """
    CREATE TABLE kv (key BLOB PRIMARY KEY, value BLOB NOT NULL, expires REAL) WITHOUT ROWID;
    CREATE INDEX kv_expires ON kv (expires) WHERE expires IS NOT NULL;

    CREATE TABLE turns (
        turn TEXT PRIMARY KEY, updated REAL NOT NULL, closed REAL
    ) WITHOUT ROWID;
    CREATE TABLE turn_events (
        turn TEXT NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL, data BLOB NOT NULL,
        PRIMARY KEY (turn, first)
    );

    CREATE TABLE leases (
        name TEXT PRIMARY KEY, holder TEXT NOT NULL, fence INTEGER NOT NULL, expires REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE fences (last INTEGER NOT NULL);
    INSERT INTO fences VALUES (0);

    CREATE TABLE sessions (
        id_hash TEXT PRIMARY KEY, user_id TEXT NOT NULL, created REAL NOT NULL,
        used REAL NOT NULL, expires REAL NOT NULL, device TEXT NOT NULL, data BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX sessions_user ON sessions (user_id, id_hash);
    CREATE INDEX sessions_expires ON sessions (expires);
    """,
    """
    ALTER TABLE turns ADD COLUMN writer TEXT;
    """,
)


class SQLiteDatabase:
    """An open file; make one with `open` and share it between the stores.

    Survives: with ``synchronous="normal"``, a crash of the process loses nothing that was awaited,
    a crash of the machine may lose the last transactions but never corrupts the file. With
    ``"full"`` those survive too, at the price of one fsync for each write.
    """

    def __init__(self, path: str, connect: Callable[[], sqlite3.Connection], /) -> None:
        self._path = path
        self._connect = connect
        self._writes = SQLiteThread(path, "writes", connect, shares=True)
        self._reads = SQLiteThread(path, "reads", connect, shares=False)
        self._looks: sqlite3.Connection | None = None
        self._looking = threading.Lock()
        self._mark: ProcessMark | None = None

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        path: str | Path,
        /,
        *,
        synchronous: Synchronous = "normal",
        busy_timeout: float = 5.0,
    ) -> AsyncGenerator[Self]:
        """Open a file, making it and its folders as needed, and close it at the end.

        Args:
            path: Not on a network file system, which can't lock as SQLite's write-ahead log needs.
            synchronous: See the class.
            busy_timeout: Seconds to wait for another process' transaction.

        Raises:
            BackendError: It can't be opened or isn't a database.
            ConfigurationError: A newer openbolt wrote it.
        """
        name = str(path)
        database = cls(name, partial(_connect, name, synchronous, busy_timeout))
        try:
            await database.write(partial(_prepare, path=name))
            await database.read(database._begin)
            yield database
        finally:
            await database._close()

    @property
    def mark(self) -> ProcessMark:
        """This process among those that have the file open."""
        if self._mark is None:
            raise BackendError("The store is closed.", detail=self._path)
        return self._mark

    def write(self, work: Callable[[sqlite3.Connection], T], /) -> asyncio.Future[T]:
        """Run ``work`` on the writing connection; cancelling doesn't undo it.

        Works that wait at the same time share a transaction, and ``work`` runs again by itself if
        another one failed: it changes nothing but the file.
        """
        return self._writes.submit(work)

    def read(self, work: Callable[[sqlite3.Connection], T], /) -> asyncio.Future[T]:
        """Run ``work``, which only reads, on the reading connection."""
        return self._reads.submit(work)

    async def look(self, work: Callable[[sqlite3.Connection], T], /) -> T:
        """Run ``work``, which reads a few small rows by their key, at once and on this thread.

        A hop to another thread and back costs several times as much. What was awaited before is
        seen. No writer is ever waited for: where the file is busy, `read` does it.
        """
        connection = self._looks
        if connection is not None and self._looking.acquire(blocking=False):
            try:
                return work(connection)
            except sqlite3.Error as exc:
                if primary_code(exc) != sqlite3.SQLITE_BUSY:
                    raise translated(exc, self._path) from exc
            finally:
                self._looking.release()
        return await self.read(work)

    def _begin(self, _: sqlite3.Connection) -> None:
        """Blocks, as opening a file may."""
        looks = self._looks = self._connect()
        looks.execute("PRAGMA query_only = ON")
        looks.execute("PRAGMA busy_timeout = 0")
        looks.execute("SELECT version FROM openbolt_schema").fetchall()  # so it knows the schema
        self._mark = ProcessMark(self._path, SystemTokens())

    async def _close(self) -> None:
        try:
            await self._reads.close()
            looks, self._looks = self._looks, None
            if looks is not None:
                with self._looking:
                    looks.close()
        finally:
            await self._writes.close()
            mark, self._mark = self._mark, None
            if mark is not None:
                mark.close()


class Beat:
    """For what is done in passing, but not each time."""

    def __init__(self, interval: float = 60.0, /) -> None:
        self._interval = interval
        self._next = 0.0

    def is_due(self, now: float, /) -> bool:
        """Whether ``interval`` seconds have gone since it last was."""
        if now < self._next:
            return False
        self._next = now + self._interval
        return True


def first(query: str, values: Sequence[Any], /) -> Callable[[sqlite3.Connection], Any]:
    """The work of reading one row, or None."""
    return lambda connection: connection.execute(query, values).fetchone()


def _connect(path: str, synchronous: Synchronous, busy_timeout: float) -> sqlite3.Connection:
    if sqlite3.sqlite_version_info < (3, 24):
        raise ConfigurationError(
            f"SQLite 3.24 or newer is needed, this Python has {sqlite3.sqlite_version}."
        )
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise BackendError("The database can't be opened.", detail=str(exc)) from exc
    # The thread that closes it may be another one than opened it.
    connection = sqlite3.connect(
        path, timeout=busy_timeout, isolation_level=None, check_same_thread=False
    )
    try:
        _retry(lambda: connection.execute("PRAGMA journal_mode = WAL").fetchall(), busy_timeout)
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        # What a user has deleted is gone from the file, too.
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute(f"PRAGMA journal_size_limit = {_JOURNAL_BYTES}")
    except BaseException:
        connection.close()
        raise
    return connection


def _retry(step: Callable[[], object], timeout: float) -> None:
    """SQLite's busy handler isn't asked when the journal's mode changes, so wait here."""
    end = monotonic() + timeout
    while True:
        try:
            step()
        except sqlite3.OperationalError as exc:
            if primary_code(exc) != sqlite3.SQLITE_BUSY or monotonic() >= end:
                raise
            sleep(0.01)
        else:
            return


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    newest = len(_MIGRATIONS)
    with immediate(connection):
        connection.execute("CREATE TABLE IF NOT EXISTS openbolt_schema (version INTEGER NOT NULL)")
        row = connection.execute("SELECT version FROM openbolt_schema").fetchone()
        version = row[0] if row else 0
        if version > newest:
            raise ConfigurationError(
                f"{path} has schema version {version}, and this openbolt knows {newest}: "
                "upgrade openbolt, or set OPENBOLT_DATA to another folder.",
                setting="data",
            )
        for script in _MIGRATIONS[version:]:
            for statement in script.split(";"):
                connection.execute(statement)
        if version < newest:
            connection.execute("DELETE FROM openbolt_schema")
            connection.execute("INSERT INTO openbolt_schema VALUES (?)", (newest,))

"""One SQLite file for several stores and several processes, never on the event loop's thread.

Law: reads and writes have a connection and a thread each, so a reader never waits for a commit; a
change that depends on what it read happens in one ``BEGIN IMMEDIATE`` transaction. Every
`sqlite3.Error` becomes a `BackendError` here.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from time import monotonic, sleep
from typing import Any, Literal, Self, TypeVar

from openbolt.clock import SystemTokens
from openbolt.errors import BackendError, ConfigurationError
from openbolt_local._processes import ProcessMark

__all__ = ["SQLiteDatabase", "Synchronous", "immediate"]

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
        self._writes = _Thread(f"{path} writes", connect)
        self._reads = _Thread(f"{path} reads", connect)
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
            database._mark = await asyncio.to_thread(ProcessMark, name, SystemTokens())
            yield database
        finally:
            await database._close()

    @property
    def mark(self) -> ProcessMark:
        """This process among those that have the file open."""
        if self._mark is None:
            raise BackendError("The store is closed.", detail=self._path)
        return self._mark

    async def write(self, work: Callable[[sqlite3.Connection], T], /) -> T:
        """Run ``work`` on the writing connection; cancelling doesn't undo it once it runs."""
        return await self._run(self._writes, work)

    async def read(self, work: Callable[[sqlite3.Connection], T], /) -> T:
        """Run ``work``, which only reads, on the reading connection."""
        return await self._run(self._reads, work)

    async def _run(self, thread: _Thread, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await thread.run(work)
        except sqlite3.Error as exc:
            raise _translate(exc, self._path) from exc

    async def _close(self) -> None:
        try:
            await self._reads.close()
        finally:
            await self._writes.close()
            mark, self._mark = self._mark, None
            if mark is not None:
                mark.close()


@contextmanager
def immediate(connection: sqlite3.Connection) -> Generator[None]:
    """A transaction that holds the file's one write lock from its first statement on."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


class _Thread:
    """A connection and the one thread that uses it, fed through a queue.

    About half of what `loop.run_in_executor` costs for each call: one future rather than two.
    """

    def __init__(self, name: str, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._name = name
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._closed:
            raise BackendError("The store is closed.", detail=self._name)
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
            self._thread.start()
        job = _Job(work)
        self._jobs.put(job)
        return await job.future  # type: ignore[no-any-return]

    async def close(self) -> None:
        """Let what was begun end, then close the connection."""
        self._closed = True
        if self._thread is not None:
            self._jobs.put(None)
            await asyncio.to_thread(self._thread.join)

    def _serve(self) -> None:
        connection: sqlite3.Connection | None = None
        while (job := self._jobs.get()) is not None:
            try:
                if connection is None:
                    connection = self._connect()
                result = job.work(connection)
            except BaseException as exc:
                job.fail(exc)
            else:
                job.succeed(result)
                del result  # it may be large, and the next job far
            del job
        if connection is not None:
            connection.close()


class _Job:
    __slots__ = ("future", "loop", "work")

    def __init__(self, work: Callable[[sqlite3.Connection], Any]) -> None:
        self.work = work
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()

    def succeed(self, result: object) -> None:
        self._tell(self._set_result, result)

    def fail(self, exc: BaseException) -> None:
        self._tell(self._set_exception, exc)

    def _tell(self, setter: Callable[[Any], None], value: object) -> None:
        try:
            self.loop.call_soon_threadsafe(setter, value)
        except RuntimeError:  # the loop was closed meanwhile: nobody waits
            return

    def _set_result(self, result: object) -> None:
        if not self.future.done():
            self.future.set_result(result)

    def _set_exception(self, exc: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(exc)


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
            if _primary_code(exc) != sqlite3.SQLITE_BUSY or monotonic() >= end:
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


def _primary_code(exc: sqlite3.Error) -> int:
    return getattr(exc, "sqlite_errorcode", 0) & 0xFF


_REASONS = {
    sqlite3.SQLITE_BUSY: "another process holds the database for longer than busy_timeout",
    sqlite3.SQLITE_CANTOPEN: "the database can't be opened; is the folder there and writable?",
    sqlite3.SQLITE_CORRUPT: "the database is damaged; restore a backup",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk failed, or is full",
    sqlite3.SQLITE_NOTADB: "the file is not a SQLite database",
    sqlite3.SQLITE_READONLY: "the database can't be written to",
    sqlite3.SQLITE_TOOBIG: "the value is too long for SQLite",
}


def _translate(exc: sqlite3.Error, path: str) -> BackendError:
    reason = _REASONS.get(_primary_code(exc), "the database failed")
    return BackendError("The database is unavailable.", detail=f"{path}: {reason}: {exc}")

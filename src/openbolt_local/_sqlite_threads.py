"""The threads that work on a SQLite file, and transactions.

Law: works that wait together share one transaction and so one commit. If any of them fails, nothing
of it was done, and each is done again by itself, so every work is whole or not at all either way.
Nobody is told of a work before it is committed.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from openbolt.errors import BackendError
from openbolt_local._jobs import Job, JobQueue, deliver

__all__ = ["SQLiteThread", "immediate", "primary_code", "translated"]

T = TypeVar("T")

_TOGETHER = 64


class SQLiteThread:
    """A connection and the one thread that uses it, fed through a queue.

    Args:
        path: What errors name.
        shares: Its works write, and may share a transaction.
    """

    def __init__(
        self, path: str, purpose: str, connect: Callable[[], sqlite3.Connection], *, shares: bool
    ) -> None:
        self._path = path
        self._name = f"{path} {purpose}"
        self._connect = connect
        self._most = _TOGETHER if shares else 1
        self._queue = JobQueue()
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Have ``work`` done after all that was submitted before.

        Raises:
            BackendError: The thread is closed; and from the future, in place of `sqlite3.Error`.
        """
        if self._closed:
            raise BackendError("The store is closed.", detail=self._name)
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
            self._thread.start()
        return self._queue.submit(work).future

    async def close(self) -> None:
        """Let what was begun end, then close the connection."""
        self._closed = True
        if self._thread is not None:
            self._queue.end(1)
            await asyncio.to_thread(self._thread.join)

    def _serve(self) -> None:
        connection: sqlite3.Connection | None = None
        is_last = False
        while not is_last:
            jobs, is_last = self._take()
            try:
                if jobs and connection is None:
                    connection = self._connect()
                if connection is not None:
                    self._carry_out(connection, jobs)
            except BaseException as exc:
                self._fail(jobs, exc)
            deliver(jobs)
        if connection is not None:
            connection.close()

    def _take(self) -> tuple[list[Job[Any]], bool]:
        """What waits, as far as it is to be done together, and whether nothing comes after."""
        jobs: list[Job[Any]] = []
        while not jobs or (len(jobs) < self._most and not self._queue.is_empty):
            job = self._queue.get()
            if job is None:
                return jobs, True
            jobs.append(job)
        return jobs, False

    def _carry_out(self, connection: sqlite3.Connection, jobs: list[Job[Any]]) -> None:
        if len(jobs) > 1:
            try:
                with immediate(connection):
                    for job in jobs:
                        job.attempt(connection)
            except sqlite3.OperationalError as exc:
                # Who has waited for another process once needn't wait again for each.
                if primary_code(exc) == sqlite3.SQLITE_BUSY:
                    raise
            except BaseException:  # whose it is comes out below
                pass
            else:
                return
        for job in jobs:
            try:
                job.attempt(connection)
            except BaseException as exc:
                self._fail([job], exc)

    def _fail(self, jobs: list[Job[Any]], exc: BaseException) -> None:
        for job in jobs:
            job.fail(translated(exc, self._path) if isinstance(exc, sqlite3.Error) else exc)


class immediate:  # noqa: N801 - used as a function
    """A transaction that holds the file's one write lock from its first statement on.

    Within another one it is a part of that.
    """

    __slots__ = ("_connection", "_is_part")

    def __init__(self, connection: sqlite3.Connection, /) -> None:
        self._connection = connection
        self._is_part = connection.in_transaction

    def __enter__(self) -> None:
        if not self._is_part:
            self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._is_part:
            return
        try:
            if exc is None:
                self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


def primary_code(exc: sqlite3.Error) -> int:
    """SQLite's result code, without what it says in addition."""
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


def translated(exc: sqlite3.Error, path: str, /) -> BackendError:
    """The error as one of ours, with its cause."""
    reason = _REASONS.get(primary_code(exc), "the database failed")
    error = BackendError("The database is unavailable.", detail=f"{path}: {reason}: {exc}")
    error.__cause__ = exc
    return error

"""A turn's events in memory for readers of this process, and in SQLite for everybody else.

Law: an append costs what it costs in memory; the file follows a fraction of a second behind, and
wholly at the turn's end. A reader elsewhere never hangs on a writer that died: a turn names its
process, and has ended with it. Where the end of a process can't be seen (on Windows, or when it is
stopped rather than dead), open turns are touched, and one that isn't for ``stale_after`` has ended.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Self

from attrs import define, frozen

from openbolt.chat.events import TurnEvent, decode_events, encode_events
from openbolt.chat.log import MemoryEventLog
from openbolt.clock import SystemClock
from openbolt.errors import BackendError, ConflictError, NotFoundError
from openbolt.protocols import Clock, EventBatch, EventLogLimits
from openbolt_local._processes import ProcessMark
from openbolt_local._sqlite import Beat, SQLiteDatabase, immediate

__all__ = ["SQLiteEventLog"]

_log = logging.getLogger("openbolt.events")

_INSERT = "INSERT INTO turns VALUES (?, ?, NULL, ?) ON CONFLICT DO NOTHING"
_TOUCHES = 3
_RETRY = 1.0


@define
class _Writing:
    """A turn that this process writes.

    Attributes:
        told: When the file was last told that it is being written.
    """

    told: float
    flushed: int = 0
    closed: float | None = None


@frozen
class _Rows:
    """What one flush adds to a turn.

    Attributes:
        tells: That it is being written, too, or that it is closed.
    """

    turn: str
    first: int
    events: Sequence[TurnEvent]
    closed: float | None
    tells: bool


@frozen
class _Found:
    """What the file has of a turn.

    Attributes:
        is_written: It is open, and the process that writes it lives as far as can be told.
        blobs: Each with the index of its first event.
    """

    updated: float
    closed: float | None
    is_written: bool
    blobs: Sequence[tuple[int, bytes]]


class SQLiteEventLog:
    """A durable, shared `EventLog`; enter it as an async context manager.

    Args:
        retention: Seconds for which a closed turn can be read.
        flush_interval: Seconds between the first event that isn't in the file and its writing:
            what a crash of the process can lose.
        poll_interval: Seconds between the looks that a reader in another process takes.
        stale_after: Seconds without a sign of life after which the writer of an open turn counts
            as dead though its process is there, and readers in other processes end.
    """

    def __init__(
        self,
        database: SQLiteDatabase,
        clock: Clock | None = None,
        /,
        *,
        retention: float = 600.0,
        flush_interval: float = 0.2,
        poll_interval: float = 0.1,
        stale_after: float = 90.0,
    ) -> None:
        self._database = database
        self._clock = clock or SystemClock()
        self._memory = MemoryEventLog(self._clock, retention=retention)
        self._limits = EventLogLimits(shared=True, durable=True, retention=retention)
        self._flush_interval = flush_interval
        self._poll_interval = poll_interval
        self._stale_after = stale_after
        self._writing: dict[str, _Writing] = {}
        self._dirty = asyncio.Event()
        self._flushing = asyncio.Lock()
        self._purge = Beat()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [
            asyncio.create_task(self._keep_flushing(), name="openbolt event log: flush"),
            asyncio.create_task(self._keep_touching(), name="openbolt event log: touch"),
        ]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the background work and write what is left."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._flush()

    @property
    def limits(self) -> EventLogLimits:
        """Shared and durable."""
        return self._limits

    async def open(self, turn: str, /) -> None:
        """Begin a turn; `ConflictError` if it exists, here or in the file."""
        now = self._clock.now()
        if self._memory.holds(turn) or not await self._database.write(self._opening(turn, now)):
            raise ConflictError("This turn exists already.", detail=turn)
        await self._memory.open(turn)
        self._writing[turn] = _Writing(now)

    def _opening(self, turn: str, now: float) -> Callable[[sqlite3.Connection], bool]:
        """The work of writing that a turn has begun, and of forgetting others now and then."""
        writer = self._database.mark.id
        over = now - self._limits.retention
        purges = self._purge.is_due(now)

        def insert(connection: sqlite3.Connection) -> bool:
            return connection.execute(_INSERT, (turn, now, writer)).rowcount == 1

        def work(connection: sqlite3.Connection) -> bool:
            if not purges and insert(connection):
                return True
            with immediate(connection):  # what is there may be over
                _purge(connection, closed_before=over, touched_before=over - self._stale_after)
                return insert(connection)

        return work

    async def append(self, turn: str, events: Sequence[TurnEvent], /) -> None:
        """Add events; readers here have them at once, the file after ``flush_interval``."""
        await self._memory.append(turn, events)
        self._dirty.set()

    def read(self, turn: str, /, *, after: int = -1) -> AsyncIterator[EventBatch]:
        """From memory for a turn of this process, else from the file."""
        if self._memory.holds(turn):
            return self._memory.read(turn, after=after)
        return self._read_file(turn, max(after + 1, 0))

    async def has(self, turn: str, /) -> bool:
        """Whether `read` would find the turn, here or in the file."""
        if self._memory.holds(turn):
            return True
        found = await self._look(turn, sys.maxsize)
        return found is not None and not self._is_forgotten(found)

    async def _look(self, turn: str, first: int) -> _Found | None:
        """What the file has of a turn."""
        work = partial(_load, turn=turn, first=first, mark=self._database.mark)
        return await self._database.read(work)

    def _is_forgotten(self, found: _Found) -> bool:
        closed = found.closed
        return closed is not None and closed + self._limits.retention <= self._clock.now()

    async def close(self, turn: str, /) -> None:
        """End the turn; nothing happens if it is closed or unknown.

        Raises:
            BackendError: The file couldn't be written: readers here have ended all the same, and
                the writing is tried again.
        """
        writing = self._writing.get(turn)
        if writing is None or writing.closed is not None:
            return
        writing.closed = self._clock.now()
        await self._memory.close(turn)
        try:
            # Of those that are open the beat will write more at once.
            await self._flush(only_closed=True)
        except BackendError:
            self._dirty.set()
            raise

    async def _keep_flushing(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            await self._clock.sleep(self._flush_interval)
            try:
                await self._flush()
            except BackendError as exc:
                _log.error("Events of a turn can't be written; trying again", exc_info=exc)
                self._dirty.set()
                await self._clock.sleep(_RETRY)

    async def _keep_touching(self) -> None:
        while True:
            await self._clock.sleep(self._stale_after / _TOUCHES)
            turns = [(self._clock.now(), turn) for turn in self._writing]
            if not turns:
                continue
            try:
                await self._database.write(partial(_touch, rows=turns))
            except BackendError as exc:
                _log.error("Open turns can't be touched; trying again", exc_info=exc)

    async def _flush(self, *, only_closed: bool = False) -> None:
        async with self._flushing:
            now = self._clock.now()
            batch = [
                rows
                for turn, writing in self._writing.items()
                if not (only_closed and writing.closed is None)
                and (rows := self._unwritten(turn, writing, now))
            ]
            if not batch:
                return
            writer = self._database.mark.id
            await self._database.write(partial(_write, batch=batch, now=now, writer=writer))
            for rows in batch:
                writing = self._writing[rows.turn]
                writing.flushed = rows.first + len(rows.events)
                if rows.tells:
                    writing.told = now
                if rows.closed is not None:
                    del self._writing[rows.turn]

    def _unwritten(self, turn: str, writing: _Writing, now: float) -> _Rows | None:
        events = self._memory.since(turn, writing.flushed)
        closed = writing.closed
        if not events and closed is None:
            return None
        tells = closed is not None or writing.told + self._stale_after / _TOUCHES <= now
        return _Rows(turn, writing.flushed, events, closed, tells)

    async def _read_file(self, turn: str, first: int) -> AsyncIterator[EventBatch]:
        seen = False
        while True:
            found = await self._look(turn, first)
            if found is None and seen:  # purged while it was read
                return
            if found is None or self._is_forgotten(found):
                raise NotFoundError("There is no such turn.", detail=turn)
            seen = True
            if found.blobs:
                events = [e for start, data in found.blobs for e in _after(data, first - start)]
                yield EventBatch(first, events)
                first += len(events)
            is_stale = found.updated + self._stale_after <= self._clock.now()
            if found.closed is not None or is_stale or not found.is_written:
                return
            await self._clock.sleep(self._poll_interval)


def _after(data: bytes, skip: int) -> list[TurnEvent]:
    return decode_events(data)[max(skip, 0) :]


def _purge(connection: sqlite3.Connection, *, closed_before: float, touched_before: float) -> None:
    rows = connection.execute(
        "SELECT turn FROM turns WHERE closed <= ? OR (closed IS NULL AND updated <= ?)",
        (closed_before, touched_before),
    ).fetchall()
    connection.executemany("DELETE FROM turn_events WHERE turn = ?", rows)
    connection.executemany("DELETE FROM turns WHERE turn = ?", rows)


def _touch(connection: sqlite3.Connection, rows: Sequence[tuple[float, str]]) -> None:
    with immediate(connection):
        connection.executemany("UPDATE turns SET updated = ? WHERE turn = ?", rows)


def _write(connection: sqlite3.Connection, batch: Sequence[_Rows], now: float, writer: str) -> None:
    encoded = [
        (row.turn, row.first, len(row.events), encode_events(row.events))
        for row in batch
        if row.events
    ]
    with immediate(connection):
        # A flush that was cancelled may have been carried out, hence REPLACE; a process that was
        # suspended may find its turn purged, hence the upsert.
        connection.executemany("REPLACE INTO turn_events VALUES (?, ?, ?, ?)", encoded)
        connection.executemany(
            "INSERT INTO turns VALUES (?, ?, ?, ?) ON CONFLICT (turn) "
            "DO UPDATE SET updated = excluded.updated, closed = excluded.closed",
            [(row.turn, now, row.closed, writer) for row in batch if row.tells],
        )


def _load(
    connection: sqlite3.Connection, turn: str, first: int, mark: ProcessMark
) -> _Found | None:
    """The turn's state and its events from ``first`` on; the state first, so that a turn seen
    closed, or without a writer, is seen whole.
    """
    row = connection.execute(
        "SELECT updated, closed, writer FROM turns WHERE turn = ?", (turn,)
    ).fetchone()
    if row is None:
        return None
    updated, closed, writer = row
    is_written = closed is None and (writer is None or mark.is_alive(writer))
    blobs = connection.execute(
        "SELECT first, data FROM turn_events WHERE turn = ? AND first + count > ? ORDER BY first",
        (turn, first),
    ).fetchall()
    return _Found(updated, closed, is_written, blobs)

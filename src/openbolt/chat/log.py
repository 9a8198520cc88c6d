"""The event log of one process: what a runner appends, every reader of the turn has at once.

Law: this is the hot path. An append wakes each waiting reader once and folds what has got old, some
16 events in one go; it costs nothing else (no lock, task or timer). A reader that fell behind gets
all it missed as one batch; what was folded is made anew for it, below a microsecond an event. In
the core, because a Worker needs it too.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from openbolt.chat.events import TurnEvent
from openbolt.chat.folding import EventList
from openbolt.errors import BackendError, ConflictError, NotFoundError
from openbolt.protocols import Clock, EventBatch, EventLogLimits

__all__ = ["MemoryEventLog", "TurnReader"]


class MemoryEventLog:
    """An `EventLog` in this process' memory, for one event loop.

    Args:
        clock: Tells when a closed turn's time is over; looked at when turns open and end.
        retention: Seconds for which a closed turn can be read.
        max_turns: Turns held at once. When there are more, the one closed longest ago goes before
            its time; an open one never does.
    """

    def __init__(
        self, clock: Clock, /, *, retention: float = 600.0, max_turns: int = 10_000
    ) -> None:
        self._clock = clock
        self._limits = EventLogLimits(shared=False, durable=False, retention=retention)
        self._max_turns = max_turns
        self._turns: dict[str, _Turn] = {}
        self._closed: deque[tuple[float, str]] = deque()

    @property
    def limits(self) -> EventLogLimits:
        """Neither shared nor durable."""
        return self._limits

    async def open(self, turn: str, /) -> None:
        """Begin a turn.

        Raises:
            ConflictError: It exists.
            BackendError: ``max_turns`` turns are open.
        """
        self._purge()
        if turn in self._turns:
            raise ConflictError("This turn exists already.", detail=turn)
        if len(self._turns) >= self._max_turns:
            if not self._closed:
                raise BackendError(
                    "Too many replies are being written; try again later.",
                    detail=f"max_turns={self._max_turns} turns are open",
                )
            del self._turns[self._closed.popleft()[1]]
        self._turns[turn] = _Turn()

    async def append(self, turn: str, events: Sequence[TurnEvent], /) -> None:
        """Add events and wake the readers; O(events).

        Raises:
            NotFoundError: The turn isn't open.
        """
        found = self._turns.get(turn)
        if found is None or found.closed:
            raise NotFoundError("This turn isn't open.", detail=turn)
        if events:
            found.events.extend(events)
            if found.waiters:
                found.wake()

    def read(self, turn: str, /, *, after: int = -1) -> TurnReader:
        """Events with an index above ``after``, then live ones until the turn is closed."""
        return TurnReader(self._find, turn, after + 1)

    async def close(self, turn: str, /) -> None:
        """End the turn; nothing happens if it is closed or unknown."""
        found = self._turns.get(turn)
        if found is not None and not found.closed:
            found.closed = True
            self._closed.append((self._clock.monotonic() + self._limits.retention, turn))
            found.wake()
            # After the readers' turn of the loop: they have the last events as they are.
            asyncio.get_running_loop().call_soon(found.events.fold)
        self._purge()

    async def has(self, turn: str, /) -> bool:
        """Whether `read` would find the turn."""
        return self.holds(turn)

    def holds(self, turn: str, /) -> bool:
        """Whether the turn can be read here."""
        return self._find(turn) is not None

    def since(self, turn: str, first: int, /) -> list[TurnEvent]:
        """The events from index ``first`` on, as they are now; none of an unknown turn."""
        found = self._turns.get(turn)
        return found.events.since(first) if found else []

    def _find(self, turn: str) -> _Turn | None:
        self._purge()
        return self._turns.get(turn)

    def _purge(self) -> None:
        closed = self._closed
        if closed:
            now = self._clock.monotonic()
            while closed and closed[0][0] <= now:
                del self._turns[closed.popleft()[1]]


class _Turn:
    __slots__ = ("closed", "events", "waiters")

    def __init__(self) -> None:
        self.events = EventList()
        self.closed = False
        self.waiters: list[asyncio.Future[None]] = []

    def wake(self) -> None:
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


class TurnReader:
    """One reader of one turn: an async iterator of `EventBatch`, for one task at a time."""

    __slots__ = ("_done", "_find", "_name", "_next", "_turn")

    def __init__(self, find: Callable[[str], _Turn | None], turn: str, first: int, /) -> None:
        self._find = find
        self._name = turn
        self._next = max(first, 0)
        self._turn: _Turn | None = None
        self._done = False

    def __aiter__(self) -> TurnReader:
        return self

    async def __anext__(self) -> EventBatch:
        """All events since the last step, waiting for the first.

        Raises:
            NotFoundError: The turn is unknown.
        """
        turn = self._turn
        if turn is None:
            turn = self._turn = self._find(self._name)
            if turn is None:
                raise NotFoundError("There is no such turn.", detail=self._name)
        while not self._done:
            first = self._next
            if turn.events.count > first:
                self._next = turn.events.count
                return EventBatch(first, turn.events.since(first))
            if turn.closed:
                break
            waiter = asyncio.get_running_loop().create_future()
            turn.waiters.append(waiter)
            try:
                await waiter
            except BaseException:
                if waiter in turn.waiters:
                    turn.waiters.remove(waiter)
                raise
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Stop; a step that another task is waiting in ends the iteration."""
        self._done = True
        if self._turn is not None:
            self._turn.wake()

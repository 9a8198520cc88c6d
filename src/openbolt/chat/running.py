"""The turns that run in this process, so that readers can be counted and a turn can be stopped.

Law: a turn is ended from outside only through its `RunningTurn`, once, with a reason; after it has
begun to settle nothing can end it any more.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from typing import Literal

__all__ = ["EndReason", "RunningTurn", "RunningTurns"]

EndReason = Literal["stopped", "abandoned", "silent", "late", "broken"]


class RunningTurn:
    """A handle on one turn."""

    def __init__(self, disconnect_grace: float) -> None:
        self.reason: EndReason | None = None
        self._grace = disconnect_grace
        self._readers = 0
        self._scope: asyncio.Timeout | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._settling = False

    def end(self, reason: EndReason) -> bool:
        """Make the runner stop pumping and settle; whether there was anything to end."""
        if self._settling or self.reason is not None:
            return False
        self.reason = reason
        if self._scope is not None:
            self._scope.reschedule(0)
        return True

    def attach(self) -> None:
        """A reader has come."""
        self._readers += 1
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def detach(self) -> None:
        """A reader has gone; the last one starts the grace."""
        self._readers -= 1
        if self._readers > 0 or self._settling:
            return
        if self._grace <= 0:
            self.end("abandoned")
        else:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._grace, self.end, "abandoned")

    @contextmanager
    def pumping(self, scope: asyncio.Timeout) -> Generator[None]:
        """While the runner is inside, `end` cancels what it waits for."""
        self._scope = scope
        try:
            if self.reason is not None:
                scope.reschedule(0)
            yield
        finally:
            self._scope = None
            self._settling = True
            if self._timer is not None:
                self._timer.cancel()


class RunningTurns:
    """Handles by turn id."""

    def __init__(self) -> None:
        self._turns: dict[str, RunningTurn] = {}
        self._owners: dict[str, str] = {}
        self._counts: Counter[str] = Counter()

    def get(self, turn_id: str, /) -> RunningTurn | None:
        """The handle of a turn that runs here."""
        return self._turns.get(turn_id)

    def count(self, owner: str, /) -> int:
        """How many turns of a user run here and aren't settled."""
        return self._counts[owner]

    def settled(self, turn_id: str, /) -> None:
        """The turn's end is about to be seen: its user may begin another one."""
        owner = self._owners.pop(turn_id, None)
        if owner is not None:
            self._counts[owner] -= 1
            self._counts += Counter()  # drops users without any

    @contextmanager
    def enter(self, turn_id: str, owner: str, turn: RunningTurn, /) -> Generator[None]:
        """Know a turn while it runs."""
        self._turns[turn_id] = turn
        self._owners[turn_id] = owner
        self._counts[owner] += 1
        try:
            yield
        finally:
            del self._turns[turn_id]
            self.settled(turn_id)

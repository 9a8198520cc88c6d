"""The turns that run in this process, so that readers can be counted and a turn can be stopped.

Law: a turn is ended from outside only through its `RunningTurn`, once, with a reason; after it has
begun to settle nothing can end it any more.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Literal

__all__ = ["EndReason", "RunningTurn", "RunningTurns"]

EndReason = Literal["stopped", "abandoned", "silent", "late", "broken", "interrupted"]


class RunningTurn:
    """A handle on one turn.

    Attributes:
        ends: What is undone when the turn's end is about to be seen, or it didn't begin.
    """

    def __init__(self, disconnect_grace: float) -> None:
        self.reason: EndReason | None = None
        self._grace = disconnect_grace
        self._readers = 0
        self._scope: asyncio.Timeout | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_held = False
        self._settling = False
        self.ends = ExitStack()

    def end(self, reason: EndReason) -> bool:
        """Make the runner stop pumping and settle; whether there was anything to end."""
        if self._settling or self.reason is not None:
            return False
        self.reason = reason
        if not self._is_held:
            self._cancel()
        return True

    def hold(self) -> None:
        """From now on `end` only takes effect when the runner lets go."""
        self._is_held = True
        if self._scope is not None and self.reason is not None:
            self._scope.reschedule(None)

    def let_go(self) -> None:
        """Undo `hold`: what was ended meanwhile ends with the next turn of the event loop."""
        self._is_held = False
        if self.reason is not None:
            self._cancel()

    def _cancel(self) -> None:
        if self._scope is not None:
            self._scope.reschedule(0)

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
                self._cancel()
            yield
        finally:
            self._scope = None
            self._settling = True
            if self._timer is not None:
                self._timer.cancel()


class RunningTurns:
    """Handles by turn id and by chat, and how many turns each user has here."""

    def __init__(self) -> None:
        self._turns: dict[str, RunningTurn] = {}
        self._chats: dict[tuple[str, str], RunningTurn] = {}
        self._counts: Counter[str] = Counter()
        self._ending: set[str] = set()

    def get(self, turn_id: str, /) -> RunningTurn | None:
        """The handle of a turn that runs here."""
        return self._turns.get(turn_id)

    def in_chat(self, owner: str, chat_id: str, /) -> RunningTurn | None:
        """The handle of the turn that a user's chat has, also before the model has answered."""
        return self._chats.get((owner, chat_id))

    def admit(self, owner: str, turn: RunningTurn, /, *, limit: int) -> bool:
        """Count a turn until its end, unless ``limit`` of the user's are counted already."""
        if self._counts[owner] >= limit:
            return False
        self._counts[owner] += 1
        turn.ends.callback(self._leave, owner)
        return True

    def _leave(self, owner: str) -> None:
        self._counts[owner] -= 1
        if not self._counts[owner]:
            del self._counts[owner]

    def own(self, owner: str, chat_id: str, turn: RunningTurn, /) -> None:
        """Say whose the chat's next reply is; the caller has the chat's lease."""
        self._chats[owner, chat_id] = turn
        turn.ends.callback(self._chats.pop, (owner, chat_id), None)
        if owner in self._ending:
            turn.end("stopped")

    @contextmanager
    def ending(self, owner: str, /) -> Generator[None]:
        """Stop all turns of a user; while inside, one that begins is stopped at once."""
        self._ending.add(owner)
        try:
            for (who, _), turn in list(self._chats.items()):
                if who == owner:
                    turn.end("stopped")
            yield
        finally:
            self._ending.discard(owner)

    @contextmanager
    def enter(self, turn_id: str, turn: RunningTurn, /) -> Generator[None]:
        """Know a turn by its id while it runs."""
        self._turns[turn_id] = turn
        try:
            yield
        finally:
            del self._turns[turn_id]
            turn.ends.close()

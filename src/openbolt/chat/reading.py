"""A turn's log as the body of a response.

Law: a reader is attached from its making to its closing, whether anybody iterates it or not; so a
turn knows when its last reader has gone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from openbolt.chat.running import RunningTurn
from openbolt.chat.wire import WireForm
from openbolt.protocols import EventBatch, EventLog

__all__ = ["TurnBody"]


class TurnBody:
    """A `openbolt.http.ByteStream` over a turn.

    Args:
        after: Index of the last event that the client has.
        turn: The handle, where the turn runs in this process.
    """

    def __init__(
        self,
        log: EventLog,
        turn_id: str,
        form: WireForm,
        /,
        *,
        after: int = -1,
        turn: RunningTurn | None = None,
    ) -> None:
        self._events: AsyncIterator[EventBatch] = log.read(turn_id, after=after)
        self._form = form
        self._turn = turn
        self._ended = False
        self._closed = False
        if turn is not None:
            turn.attach()

    def __aiter__(self) -> TurnBody:
        return self

    async def __anext__(self) -> bytes:
        if self._ended:
            raise StopAsyncIteration
        try:
            batch = await anext(self._events)
        except StopAsyncIteration:
            self._ended = True
            return self._form.end()
        return self._form.encode(batch.first, batch.events)

    async def aclose(self) -> None:
        """Let go of the turn; only the first call does anything."""
        if self._closed:
            return
        self._closed = True
        if self._turn is not None:
            self._turn.detach()
        close = getattr(self._events, "aclose", None)
        if close is not None:
            await close()

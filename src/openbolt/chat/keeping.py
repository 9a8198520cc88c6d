"""What has to happen beside a turn's pump: watchdogs, checkpoints, the lease, signs of life.

Law: the keeper never ends a turn itself; it tells the turn's handle, with the reason, and the
runner settles. Nothing of it is under way any more once `stop` has returned.
"""

from __future__ import annotations

import asyncio
import logging

from openbolt.chat import events
from openbolt.chat.assembly import ReplyAssembler
from openbolt.chat.running import RunningTurn
from openbolt.errors import OpenBoltError
from openbolt.history import ChatStore
from openbolt.projects.journal import JournalHead, JournalStore
from openbolt.protocols import Clock, EventLog, Lease, LeaseStore
from openbolt.settings import Settings

__all__ = ["Keeper"]

_log = logging.getLogger("openbolt.chat")
_CHECKPOINT = 0.25  # seconds of text that a crash may cost
_LOOK = 0.5  # seconds between looks for a stop that came in to another process


class Keeper:
    """Looks after one turn.

    Args:
        lease: On the chat; renewed, and given back by `release`.
        journal: Where checkpoints go, once the turn has `begun`.

    Attributes:
        alive_at: When the model was last heard, on the clock; the pump says so.
        said_at: When the reader was last told something; likewise.
        begun: The model has answered, and the log is open.
        failure: Why the keeper ended the turn as broken.
    """

    def __init__(
        self,
        lease: Lease,
        journal: JournalHead,
        assembler: ReplyAssembler,
        handle: RunningTurn,
        /,
        *,
        leases: LeaseStore,
        journals: JournalStore,
        chats: ChatStore,
        log: EventLog,
        clock: Clock,
        settings: Settings,
    ) -> None:
        self.begun = False
        self.failure: OpenBoltError | None = None
        self._lease: Lease | None = lease
        self._fence = str(lease.fence)
        self._journal = journal
        self._assembler = assembler
        self._handle = handle
        self._leases = leases
        self._journals = journals
        self._chats = chats
        self._log = log
        self._clock = clock
        self._settings = settings
        self._checkpoints = 0
        self._owed = ""
        self._task: asyncio.Task[None] | None = None
        self._is_at_work = False
        now = clock.monotonic()
        self.alive_at = self.said_at = now
        self._began_at = self._renewed_at = self._looked_at = now

    def start(self) -> None:
        """Begin to look after the turn."""
        self._task = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Leave the turn alone; what is being written this moment is broken off."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            if self._is_at_work:  # one that only sleeps needs no waiting for
                await asyncio.wait([task])

    async def release(self) -> None:
        """Give the chat's lease back; the first call does."""
        lease, self._lease = self._lease, None
        if lease is not None:
            await self._leases.release(lease)

    async def checkpoint(self) -> None:
        """Journal the text since the last time; what failed is written again under its number."""
        self._owed += self._assembler.take_unsaved()
        if self._owed:
            await self._journals.add_text(self._journal, self._checkpoints, self._owed)
            self._owed = ""
            self._checkpoints += 1

    async def _keep(self) -> None:
        settings, clock = self._settings, self._clock
        period = min(_CHECKPOINT, settings.silence_timeout)
        while True:
            await clock.sleep(_until_beat(clock.monotonic(), period))
            now = clock.monotonic()
            if now - self.alive_at > settings.silence_timeout:
                self._handle.end("silent")
            elif now - self._began_at > settings.turn_timeout:
                self._handle.end("late")
            else:
                self._is_at_work = True
                await self._look_after(now)
                self._is_at_work = False

    async def _look_after(self, now: float) -> None:
        try:
            await self._hold_on(now)
            if self.begun:
                await self.checkpoint()
                await self._sign_of_life(now)
        except OpenBoltError as exc:
            self.failure = exc
            self._handle.end("broken")
        except Exception as exc:
            # Without its keeper a turn has no watchdog: better to end it.
            _log.exception("the keeper of turn %s broke", self._journal.turn_id)
            self.failure = OpenBoltError("Something went wrong on the server.")
            self.failure.__cause__ = exc
            self._handle.end("broken")

    async def _hold_on(self, now: float) -> None:
        """Renew the lease, and look for a stop: a model may take longer to answer than it lasts."""
        if self._log.limits.shared and now - self._looked_at > _LOOK:
            self._looked_at = now
            if await self._chats.is_stop_asked(self._journal.chat_id, self._fence):
                self._handle.end("stopped")
        ttl = self._settings.lease_ttl
        if now - self._renewed_at > ttl / 3:
            self._renewed_at = now
            renewed = self._lease and await self._leases.renew(self._lease, ttl=ttl)
            if renewed is None:
                raise OpenBoltError("Another writer took over this chat.", code="lease_lost")
            self._lease = renewed

    async def _sign_of_life(self, now: float) -> None:
        if now - self.said_at > self._settings.keepalive:
            self.said_at = now
            data = {"state": "waiting", "seconds": round(now - self._began_at)}
            progress = events.DataPart("progress", "progress", data, transient=True)
            await self._log.append(self._journal.turn_id, [progress])


def _until_beat(now: float, period: float) -> float:
    """Seconds to the last beat within a period, of ten a period that all turns share.

    Turns that look after themselves in one step of the event loop wake a store's thread once.
    """
    beat = period / 10
    return (now + period) // beat * beat - now

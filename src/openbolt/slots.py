"""How many of something a user may have running at once, in all processes together.

Laws: a slot is held from before the handler runs until the response's body is closed, whoever
closes it and whether or not anybody read it, and is given back once. What this process holds is
counted without asking a store; only then is a lease taken, which other processes see. A process
that dies keeps its slots for ``ttl`` at most.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from openbolt.access import owner_of
from openbolt.errors import BackendError, RateLimitedError
from openbolt.http import ByteStream, Handler, Request, Response
from openbolt.outages import Outages
from openbolt.protocols import Clock, Lease, LeaseStore

__all__ = ["Slot", "Slots", "with_slot"]

_log = logging.getLogger("openbolt.limits")

_RENEWALS = 3
_RETRY_AFTER = 5.0


class Slots:
    """Slots by user.

    Args:
        name: What they are for; part of the leases' names.
        per_user: How many a user has.
        leases: Shared with the other processes; None counts in this one only.
        ttl: Seconds for which a lease is taken; it is renewed three times in that.
    """

    def __init__(
        self,
        name: str,
        per_user: int,
        leases: LeaseStore | None,
        clock: Clock,
        /,
        *,
        ttl: float = 30.0,
    ) -> None:
        self._name = name
        self._per_user = per_user
        self._leases = leases
        self._clock = clock
        self._ttl = ttl
        self._held: dict[str, set[int]] = {}
        self._outages = Outages(_log, clock)

    async def take(self, user_id: str, /) -> Slot:
        """One slot; whoever takes it releases it.

        While the lease store is down, slots are counted in this process only.

        Raises:
            RateLimitedError: The user has none left, here or in other processes.
        """
        tried: set[int] = set()
        while (number := self._reserve(user_id, tried)) is not None:
            try:
                is_free, lease = await self._acquire(user_id, number)
            except BaseException:
                self._forget(user_id, number)
                raise
            if is_free:
                return Slot(self, user_id, number, lease)
            self._forget(user_id, number)
            tried.add(number)
        raise RateLimitedError(
            f"The limit of {self._name} running at once is {self._per_user}; wait for one to end.",
            retry_after=_RETRY_AFTER,
        )

    def _reserve(self, user_id: str, tried: set[int]) -> int | None:
        """A number that nobody in this process holds or is asking for."""
        held = self._held.get(user_id, set[int]())
        if len(held) >= self._per_user:
            return None
        free = (n for n in range(self._per_user) if n not in held and n not in tried)
        number = next(free, None)
        if number is not None:
            self._held.setdefault(user_id, held).add(number)
        return number

    def _forget(self, user_id: str, number: int) -> None:
        held = self._held[user_id]
        held.discard(number)
        if not held:
            del self._held[user_id]

    async def _acquire(self, user_id: str, number: int) -> tuple[bool, Lease | None]:
        """Whether no other process has it, and the lease, where there is one."""
        if self._leases is None:
            return True, None
        try:
            lease = await self._leases.acquire(
                f"slot:{self._name}/{user_id}/{number}", ttl=self._ttl
            )
        except BackendError as exc:
            self._note_outage(exc)
            return True, None
        return lease is not None, lease

    async def keep(self, lease: Lease, /) -> None:
        """Renew a lease until cancelled, or until it is lost."""
        if self._leases is None:
            return
        while True:
            await self._clock.sleep(self._ttl / _RENEWALS)
            try:
                if await self._leases.renew(lease, ttl=self._ttl) is None:
                    self._outages.note("lost", "A slot for %s was lost while in use", self._name)
                    return
            except BackendError as exc:
                self._note_outage(exc)

    async def give_back(self, user_id: str, number: int, lease: Lease | None, /) -> None:
        """Release a slot's lease and its number; `Slot.release` calls it, once."""
        try:
            if lease is not None and self._leases is not None:
                await self._leases.release(lease)
        except BackendError as exc:
            self._note_outage(exc)
        finally:
            self._forget(user_id, number)

    def _note_outage(self, exc: BackendError) -> None:
        self._outages.note(
            "store",
            "The lease store is down: %s at once are counted in this process only (%s)",
            self._name,
            exc,
        )


class Slot:
    """A slot that is held, its lease renewed meanwhile."""

    def __init__(self, slots: Slots, user_id: str, number: int, lease: Lease | None, /) -> None:
        self._slots = slots
        self._held: tuple[str, int, Lease | None] | None = (user_id, number, lease)
        self._keeping = None if lease is None else asyncio.create_task(slots.keep(lease))

    async def release(self) -> None:
        """Give it back; the first call does."""
        held, self._held = self._held, None
        if held is None:
            return
        try:
            if self._keeping is not None:
                self._keeping.cancel()
                await asyncio.gather(self._keeping, return_exceptions=True)
        finally:
            await self._slots.give_back(*held)


def with_slot(handler: Handler, slots: Slots, /) -> Handler:
    """Let so many of a user's requests run at once; a further one is a 429."""

    async def held(request: Request, /) -> Response:
        slot = await slots.take(owner_of(request))
        try:
            response = await handler(request)
        except BaseException:
            await slot.release()
            raise
        if isinstance(response.body, bytes):
            await slot.release()
            return response
        return Response(response.status, response.headers, _HoldingBody(response.body, slot))

    return held


class _HoldingBody:
    """A body that gives its slot back when it is closed."""

    def __init__(self, body: ByteStream, slot: Slot) -> None:
        self._body = body
        self._slot = slot

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._body)

    async def aclose(self) -> None:
        try:
            await self._body.aclose()
        finally:
            await self._slot.release()

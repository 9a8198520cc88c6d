"""Which accounts there are, and who is at work in them.

Laws: whoever writes something that belongs to a user is listed as a user first. And once an account
is being deleted, nobody begins to work in it; what had begun before has ended, or ends without
having written, before the deletion does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from hashlib import sha256
from typing import Any, Literal

from attrs import frozen

from openbolt.access import principal_of
from openbolt.chat.running import RunningTurns
from openbolt.errors import ConflictError, LockedError, OpenBoltError
from openbolt.http import Handler, Request, Response
from openbolt.jsons import json_bytes, parse_json
from openbolt.projects.journal import JournalHead, JournalStore
from openbolt.protocols import Clock, KeyValueStore

__all__ = ["AccountJournals", "Accounts", "with_account"]

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_INDEX = "users/"
# Seconds for which this process believes that a user is listed: another one may have deleted them.
_LISTED = 600.0
_MAX_LISTED = 10_000
_LOOK = 0.02  # seconds


class Accounts:
    """The accounts of all users.

    Args:
        running: Turns of this process, which a deletion stops.
        mark_ttl: Seconds for which a deletion is remembered (by the hash of the user's id), so that
            no turn of before writes after it: longer than a turn can wait for its model.
        patience: Seconds that a deletion waits for what is at work in this process.
    """

    def __init__(
        self,
        kv: KeyValueStore,
        clock: Clock,
        running: RunningTurns,
        /,
        *,
        mark_ttl: float = 3600.0,
        patience: float = 20.0,
    ) -> None:
        self._kv = kv
        self._clock = clock
        self._running = running
        self._mark_ttl = max(mark_ttl, kv.limits.min_ttl)
        self._patience = patience
        self._listed: dict[str, float] = {}
        self._inside: dict[str, set[_Work]] = {}
        self._closed: set[str] = set()

    async def note(self, user_id: str, /) -> None:
        """List a user; costs a read once in ten minutes, and a write once."""
        now = self._clock.monotonic()
        if self._listed.get(user_id, 0.0) > now:
            return
        if await self._kv.get(_INDEX + user_id) is None:
            await self._kv.set(_INDEX + user_id, b"")
        if len(self._listed) >= _MAX_LISTED:
            self._listed.clear()
        self._listed[user_id] = now + _LISTED

    async def list(self) -> AsyncIterator[str]:
        """Everybody who ever wrote something and wasn't deleted."""
        async for key in self._kv.scan(_INDEX):
            yield key.removeprefix(_INDEX)

    async def forget(self, user_id: str, /) -> None:
        """Take a user off the list."""
        self._listed.pop(user_id, None)
        await self._kv.delete(_INDEX + user_id)

    def work(self, user_id: str, /) -> AbstractContextManager[None]:
        """Be at work in an account, in this process, from now to the end of the block.

        Raises:
            LockedError: It is being deleted.
        """
        if user_id in self._closed:
            raise LockedError("This account is being deleted.")
        return _Work(self._inside, user_id, asyncio.current_task())

    def beside(
        self, user_id: str, coroutine: Coroutine[Any, Any, None], /
    ) -> Coroutine[Any, Any, None]:
        """The same coroutine, which counts as work from now to its end."""
        work = _Work(self._inside, user_id, None)

        async def counted() -> None:
            with work:
                await coroutine

        return counted()

    @asynccontextmanager
    async def deletion(self, user_id: str, /) -> AsyncGenerator[None]:
        """Close an account to everybody else, stop its turns, and wait until nobody is at work.

        Leaving it with an error opens the account again.

        Raises:
            LockedError: It is being deleted already, or something in it didn't end in time.
        """
        if user_id in self._closed:
            raise LockedError("This account is being deleted already.")
        self._closed.add(user_id)
        try:
            await self._mark(user_id, "deleting")
            with self._running.ending(user_id):
                await self._until_quiet(user_id)
                yield
        except BaseException:
            with suppress(OpenBoltError):
                await self._kv.delete(_mark_key(user_id))
            raise
        finally:
            self._closed.discard(user_id)

    async def mark_deleted(self, user_id: str, /) -> None:
        """Say to all processes that what began before now may write nothing any more."""
        await self._mark(user_id, "deleted")

    async def check(self, user_id: str, /, *, since: float) -> None:
        """Go on only if the account hasn't been deleted since then, and isn't being so.

        Raises:
            ConflictError: It has, or is.
        """
        raw = await self._kv.get(_mark_key(user_id))
        if raw is None:
            return
        mark: dict[str, Any] = parse_json(raw)
        if mark["state"] == "deleting" or mark["at"] >= since:
            raise ConflictError("This account was deleted meanwhile.", code="account_deleted")

    async def _until_quiet(self, user_id: str) -> None:
        me = asyncio.current_task()
        try:
            async with asyncio.timeout(self._patience):
                # Not by an event: whoever leaves would have to know who waits.
                while any(w.task is not me for w in self._inside.get(user_id, ())):  # noqa: ASYNC110
                    await asyncio.sleep(_LOOK)
        except TimeoutError:
            raise LockedError(
                "Something is still being written in this account; try again in a moment."
            ) from None

    async def _mark(self, user_id: str, state: Literal["deleting", "deleted"]) -> None:
        mark = json_bytes({"state": state, "at": self._clock.now()})
        await self._kv.set(_mark_key(user_id), mark, ttl=self._mark_ttl)


class _Work:
    """Somebody at work, from its making to its end as a context.

    Attributes:
        task: None for what outlives its request.
    """

    __slots__ = ("_inside", "task", "user_id")

    def __init__(
        self, inside: dict[str, set[_Work]], user_id: str, task: asyncio.Task[Any] | None
    ) -> None:
        self._inside = inside
        self.user_id = user_id
        self.task = task
        inside.setdefault(user_id, set()).add(self)

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        others = self._inside[self.user_id]
        others.discard(self)
        if not others:
            del self._inside[self.user_id]


@frozen
class AccountJournals(JournalStore):
    """Journals of turns, none of which begins for an account that was deleted since.

    A turn stores nothing before its journal, and may have waited for its model for a long time,
    in another process than the one that deletes. Costs one read a turn.
    """

    accounts: Accounts

    async def begin(self, head: JournalHead, /) -> None:
        """Open a turn's journal.

        Raises:
            ConflictError: The account was deleted after the turn had begun.
        """
        await self.accounts.check(head.owner, since=head.started_at)
        await super().begin(head)


def with_account(handler: Handler, /, accounts: Accounts) -> Handler:
    """Count a signed-in user's requests, and what they spawn, as work in the account.

    Stands inside of `openbolt.access.with_principal`. A request that may write lists the user.
    """

    async def counted(request: Request, /) -> Response:
        user_id = principal_of(request).user_id
        spawn = request.context.spawn

        def spawn_counted(coroutine: Coroutine[Any, Any, None]) -> None:
            spawn(accounts.beside(user_id, coroutine))

        with accounts.work(user_id):
            if request.method not in _SAFE_METHODS:
                await accounts.note(user_id)
            return await handler(request.with_context(spawn=spawn_counted))

    return counted


def _mark_key(user_id: str) -> str:
    return f"deleted:{sha256(user_id.encode()).hexdigest()}/mark"

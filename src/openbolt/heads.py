"""Small mutable records that many writers move one at a time: the heads of chats and projects.

Law: a head only ever changes from the value that its writer read (compare-and-set), so that two
tabs never lose each other's work. A key-value store with atomic operations holds heads, and so
does any object store with conditional puts: where KV has nothing atomic (Cloudflare's), the
second form serves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from attrs import frozen

from openbolt.errors import ConflictError, InvalidRequestError, PreconditionFailedError
from openbolt.protocols import AtomicKeyValueStore, ObjectStore

__all__ = ["Head", "HeadStore", "KeyValueHeads", "ObjectHeads", "move_head"]

_ATTEMPTS = 16


@frozen
class Head:
    """What a head holds, and the proof of having read it."""

    data: bytes
    version: bytes | str


class HeadStore(Protocol):
    """Heads by name."""

    async def load(self, name: str, /) -> Head | None:
        """The head; None if there is none, or could be none under such a name."""
        ...

    async def swap(self, name: str, data: bytes, /, *, seen: Head | None) -> Head | None:
        """Write if the head is still as ``seen`` (None: absent): the new head; None if it isn't."""
        ...

    async def discard(self, name: str, /) -> None: ...


@frozen
class KeyValueHeads:
    """Heads as values of an atomic key-value store."""

    kv: AtomicKeyValueStore

    async def load(self, name: str, /) -> Head | None:
        try:
            data = await self.kv.get(name)
        except InvalidRequestError:
            return None
        return None if data is None else Head(data, data)

    async def swap(self, name: str, data: bytes, /, *, seen: Head | None) -> Head | None:
        done = await self.kv.replace(name, data, expected=seen.data if seen else None)
        return Head(data, data) if done else None

    async def discard(self, name: str, /) -> None:
        await self.kv.delete(name)


@frozen
class ObjectHeads:
    """Heads as objects, moved by conditional puts."""

    objects: ObjectStore

    async def load(self, name: str, /) -> Head | None:
        try:
            opened = await self.objects.open(name)
        except InvalidRequestError:
            return None
        if opened is None:
            return None
        try:
            data = b"".join([chunk async for chunk in opened.body])
        finally:
            await opened.body.aclose()
        return Head(data, opened.info.etag)

    async def swap(self, name: str, data: bytes, /, *, seen: Head | None) -> Head | None:
        fresh: Literal["*"] | None = "*" if seen is None else None
        match = str(seen.version) if seen else None
        try:
            info = await self.objects.put(
                name,
                data,
                content_type="application/json",
                if_match=match,
                if_none_match=fresh,
            )
        except PreconditionFailedError:
            return None
        return Head(data, info.etag)

    async def discard(self, name: str, /) -> None:
        await self.objects.delete(name)


async def move_head(
    heads: HeadStore,
    name: str,
    change: Callable[[bytes | None], bytes | None],
    /,
    *,
    seen: Head | Literal["unread"] | None = "unread",
) -> bytes | None:
    """Read a head, change it, and write it back; again from the start when somebody was quicker.

    Args:
        change: The new value from the old one (None: absent); None leaves the head as it is.
        seen: What the caller has just read (None: absent), which saves the first read.

    Raises:
        ConflictError: Others were quicker 16 times in a row.
    """
    for attempt in range(_ATTEMPTS):
        if attempt or seen == "unread":
            seen = await heads.load(name)
        data = change(seen.data if seen else None)
        if data is None or (seen is not None and data == seen.data):
            return data
        if await heads.swap(name, data, seen=seen):
            return data
    raise ConflictError("Too many writers at once; try again.", detail=name)

"""Objects in this process' memory, bounded by settings.

Law: what a reader opened stays as it was, whatever is written meanwhile; a full store says so.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from hashlib import sha256
from typing import Literal

from openbolt.errors import BackendError
from openbolt.http import StreamBody
from openbolt.protocols import Clock, ObjectInfo, ObjectLimits, OpenedObject
from openbolt_local._checks import encode_key, utf8
from openbolt_local._objects import check_condition, check_range, sized_bytes, sized_chunks

__all__ = ["MemoryObjectStore"]

MIB = 1024 * 1024


class MemoryObjectStore:
    """An `ObjectStore` in a dict.

    Args:
        clock: Dates the objects.
        max_objects: Objects held at once; a new one beyond is a `BackendError`.
        max_bytes: Bytes held at once; likewise.
    """

    def __init__(
        self,
        clock: Clock,
        /,
        *,
        limits: ObjectLimits | None = None,
        max_objects: int = 1_000_000,
        max_bytes: int = 512 * MIB,
    ) -> None:
        self._clock = clock
        self._limits = limits or ObjectLimits(max_object_bytes=max_bytes)
        self._max_objects = max_objects
        self._max_bytes = max_bytes
        self._objects: dict[bytes, tuple[ObjectInfo, bytes]] = {}
        self._bytes = 0

    @property
    def limits(self) -> ObjectLimits:
        """Conditional puts and streams of unknown length work."""
        return self._limits

    async def open(
        self, key: str, /, *, start: int = 0, length: int | None = None
    ) -> OpenedObject | None:
        """Read from byte ``start``, at most ``length`` bytes."""
        check_range(start, length)
        found = self._objects.get(self._key(key))
        if found is None:
            return None
        info, data = found
        end = len(data) if length is None else min(len(data), start + length)
        return OpenedObject(info, StreamBody(_chunks(data, start, end)))

    async def put(
        self,
        key: str,
        data: bytes | AsyncIterable[bytes],
        /,
        *,
        size: int | None = None,
        content_type: str = "application/octet-stream",
        if_match: str | None = None,
        if_none_match: Literal["*"] | None = None,
    ) -> ObjectInfo:
        """Write whole or not at all."""
        name = self._key(key)
        self._check(name, if_match, if_none_match)
        limit = self._limits.max_object_bytes
        if isinstance(data, (bytes, bytearray, memoryview)):
            value = sized_bytes(bytes(data), size, limit)
        else:
            value = b"".join([chunk async for chunk in sized_chunks(data, size, limit)])
            self._check(name, if_match, if_none_match)  # others were at work meanwhile
        info = ObjectInfo(
            key, len(value), sha256(value).hexdigest(), self._clock.now(), content_type
        )
        old = self._objects.get(name)
        total = self._bytes + len(value) - (len(old[1]) if old else 0)
        if old is None and len(self._objects) >= self._max_objects:
            raise _full("max_objects", self._max_objects)
        if total > self._max_bytes:
            raise _full("max_bytes", self._max_bytes)
        self._objects[name] = (info, value)
        self._bytes = total
        return info

    async def head(self, key: str, /) -> ObjectInfo | None:
        """What is known of the object."""
        found = self._objects.get(self._key(key))
        return found[0] if found else None

    async def delete(self, key: str, /) -> None:
        """Remove."""
        found = self._objects.pop(self._key(key), None)
        if found:
            self._bytes -= len(found[1])

    async def scan(
        self, prefix: str, /, *, after: str | None = None, limit: int | None = None
    ) -> AsyncIterator[ObjectInfo]:
        """Objects by prefix, in order of their keys' bytes."""
        start, beyond = utf8(prefix, "prefix"), utf8(after or "", "after")
        names = sorted(n for n in self._objects if n.startswith(start) and n > beyond)
        for name in names[:limit]:
            found = self._objects.get(name)
            if found:
                yield found[0]

    def _key(self, key: str) -> bytes:
        return encode_key(key, self._limits.max_key_bytes)

    def _check(self, name: bytes, if_match: str | None, if_none_match: Literal["*"] | None) -> None:
        found = self._objects.get(name)
        check_condition(found[0].etag if found else None, if_match, if_none_match)


async def _chunks(data: bytes, start: int, end: int) -> AsyncIterator[bytes]:
    for at in range(start, end, MIB):
        yield data[at : min(at + MIB, end)]


def _full(setting: str, value: int) -> BackendError:
    return BackendError("The store is full.", detail=f"{setting}={value} is reached; raise it")

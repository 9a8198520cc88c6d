"""Stores with faults: one that fails at a chosen moment, and that lets others go first.

They wrap a true store and speak its protocol, so what is tested knows nothing of them.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any, Literal

from openbolt.errors import BackendError
from openbolt.heads import HeadStore, KeyValueHeads, ObjectHeads
from openbolt.protocols import (
    AtomicKeyValueStore,
    KVLimits,
    ObjectInfo,
    ObjectLimits,
    ObjectStore,
    OpenedObject,
)
from openbolt.testing import ManualClock
from openbolt_local.memory import MemoryKeyValueStore, MemoryObjectStore


class FaultyObjects:
    """An `ObjectStore` whose n-th write fails, and which yields to other tasks at every call.

    Args:
        fail_at: Which put or delete fails, counted from 1; 0 for none.
        after: The failure comes after the write has taken place, as when the answer is lost.
    """

    def __init__(self, inner: ObjectStore, *, fail_at: int = 0, after: bool = False) -> None:
        self.inner = inner
        self.fail_at = fail_at
        self.after = after
        self.writes = 0
        self.puts: list[str] = []
        self._random = random.Random(0)

    @property
    def limits(self) -> ObjectLimits:
        return self.inner.limits

    async def _dawdle(self) -> None:
        await _yield(self._random)

    def _fails(self) -> bool:
        self.writes += 1
        return self.writes == self.fail_at

    async def open(
        self, key: str, /, *, start: int = 0, length: int | None = None
    ) -> OpenedObject | None:
        await self._dawdle()
        return await self.inner.open(key, start=start, length=length)

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
        fails = self._fails()
        if fails and not self.after:
            raise BackendError("The disk is gone.")
        await self._dawdle()
        info = await self.inner.put(
            key,
            data,
            size=size,
            content_type=content_type,
            if_match=if_match,
            if_none_match=if_none_match,
        )
        self.puts.append(key)
        if fails:
            raise BackendError("The disk went away.")
        return info

    async def head(self, key: str, /) -> ObjectInfo | None:
        await self._dawdle()
        return await self.inner.head(key)

    async def delete(self, key: str, /) -> None:
        if self._fails():
            raise BackendError("The disk is gone.")
        await self.inner.delete(key)

    def scan(
        self, prefix: str, /, *, after: str | None = None, limit: int | None = None
    ) -> AsyncIterator[ObjectInfo]:
        return self.inner.scan(prefix, after=after, limit=limit)


class FaultyKeyValues:
    """An `AtomicKeyValueStore` whose n-th write fails, and which yields at every call."""

    def __init__(self, inner: AtomicKeyValueStore, *, fail_at: int = 0) -> None:
        self.inner = inner
        self.fail_at = fail_at
        self.writes = 0
        self._random = random.Random(0)

    @property
    def limits(self) -> KVLimits:
        return self.inner.limits

    async def _dawdle(self) -> None:
        await _yield(self._random)

    async def _write(self) -> None:
        self.writes += 1
        if self.writes == self.fail_at:
            raise BackendError("The store is gone.")
        await self._dawdle()

    async def get(self, key: str, /) -> bytes | None:
        await self._dawdle()
        return await self.inner.get(key)

    async def set(self, key: str, value: bytes, /, *, ttl: float | None = None) -> None:
        await self._write()
        await self.inner.set(key, value, ttl=ttl)

    async def delete(self, key: str, /) -> None:
        await self._write()
        await self.inner.delete(key)

    def scan(self, prefix: str, /) -> AsyncIterator[str]:
        return self.inner.scan(prefix)

    async def add(self, key: str, value: bytes, /, *, ttl: float | None = None) -> bool:
        await self._write()
        return await self.inner.add(key, value, ttl=ttl)

    async def take(self, key: str, /) -> bytes | None:
        await self._write()
        return await self.inner.take(key)

    async def increment(self, key: str, amount: int = 1, /, *, ttl: float | None = None) -> int:
        await self._write()
        return await self.inner.increment(key, amount, ttl=ttl)

    async def replace(
        self, key: str, value: bytes, /, *, expected: bytes | None, ttl: float | None = None
    ) -> bool:
        await self._write()
        return await self.inner.replace(key, value, expected=expected, ttl=ttl)


def key_value_heads() -> HeadStore:
    """Heads in one of their two places, with writers that get into each other's way."""
    return KeyValueHeads(FaultyKeyValues(MemoryKeyValueStore(ManualClock())))


def object_heads() -> HeadStore:
    """The same in the other place."""
    return ObjectHeads(FaultyObjects(MemoryObjectStore(ManualClock())))


async def _yield(chance: random.Random) -> None:
    """Let the others run for a few turns of the loop, so that no two tasks stay in step."""
    for _ in range(chance.randint(1, 4)):
        await asyncio.sleep(0)


async def keys_of(kv: Any, *prefixes: str) -> list[str]:
    """Every key below some prefixes."""
    return sorted([key for prefix in prefixes async for key in kv.scan(prefix)])


async def objects_of(objects: ObjectStore, prefix: str = "") -> list[str]:
    """Every object's key."""
    return [info.key async for info in objects.scan(prefix)]


async def flip_a_bit(objects: ObjectStore, key: str) -> None:
    """Change one bit in the middle of an object."""
    opened = await objects.open(key)
    assert opened is not None
    data = bytearray(b"".join([chunk async for chunk in opened.body]))
    data[len(data) // 2] ^= 1
    await objects.put(key, bytes(data))

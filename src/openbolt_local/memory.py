"""Stores in this process' memory: for trying things out, for tests, and for what may be forgotten.

Law: memory is bounded by settings, and a full store says so (`BackendError` naming the setting)
rather than lose a value. Each operation is one step of the event loop, which makes it atomic.
"""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator
from typing import NamedTuple

from attrs import evolve

from openbolt.clock import SystemTokens
from openbolt.errors import BackendError
from openbolt.protocols import Clock, KVLimits, Lease, SessionRecord, TokenSource
from openbolt_local._checks import (
    check_value,
    encode_key,
    encode_prefix,
    expiry,
    parse_counter,
    sum_counter,
)
from openbolt_local.memory_limits import MemoryRateLimiter
from openbolt_local.memory_objects import MemoryObjectStore

__all__ = [
    "MemoryKeyValueStore",
    "MemoryLeaseStore",
    "MemoryObjectStore",
    "MemoryRateLimiter",
    "MemorySessionStore",
]

MIB = 1024 * 1024
_FEW = 64


class _Entry(NamedTuple):
    value: bytes
    size: int
    expires: float | None


class MemoryKeyValueStore:
    """An `AtomicKeyValueStore` in a dict.

    Args:
        clock: Tells when values expire.
        max_entries: Keys held at once; a new one beyond is a `BackendError`.
        max_bytes: Bytes of keys and values held at once; likewise.
    """

    def __init__(
        self,
        clock: Clock,
        /,
        *,
        limits: KVLimits | None = None,
        max_entries: int = 1_000_000,
        max_bytes: int = 256 * MIB,
    ) -> None:
        self._clock = clock
        self._limits = limits or KVLimits()
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._partitions: dict[str, dict[str, _Entry]] = {}
        self._entries = 0
        self._bytes = 0
        self._expiries: list[tuple[float, str]] = []

    @property
    def limits(self) -> KVLimits:
        """Atomic, read after write, any time to live."""
        return self._limits

    async def get(self, key: str, /) -> bytes | None:
        """The value, or None."""
        encode_key(key, self._limits.max_key_bytes)
        entry = self._live(key)
        return entry.value if entry else None

    async def set(self, key: str, value: bytes, /, *, ttl: float | None = None) -> None:
        """Write, replacing."""
        self._store(key, self._entry(key, value, ttl))

    async def delete(self, key: str, /) -> None:
        """Remove."""
        encode_key(key, self._limits.max_key_bytes)
        self._drop(key)

    async def scan(self, prefix: str, /) -> AsyncIterator[str]:
        """Live keys that start with ``prefix``."""
        encode_prefix(prefix)
        keys = self._partitions.get(prefix.partition("/")[0], {})
        for key in [key for key in keys if key.startswith(prefix)]:
            if self._live(key):
                yield key

    async def add(self, key: str, value: bytes, /, *, ttl: float | None = None) -> bool:
        """Write if absent; whether it was."""
        return await self.replace(key, value, expected=None, ttl=ttl)

    async def take(self, key: str, /) -> bytes | None:
        """Read and delete."""
        value = await self.get(key)
        self._drop(key)
        return value

    async def increment(self, key: str, amount: int = 1, /, *, ttl: float | None = None) -> int:
        """Add to a decimal counter of 64 bits and return it."""
        counted = self._entry(key, b"", ttl)
        entry = self._live(key)
        total = sum_counter(parse_counter(entry.value) if entry else 0, amount)
        value = str(total).encode()
        expires = entry.expires if entry else counted.expires
        self._store(key, _Entry(value, counted.size + len(value), expires))
        return total

    async def replace(
        self, key: str, value: bytes, /, *, expected: bytes | None, ttl: float | None = None
    ) -> bool:
        """Write if the value is ``expected`` (None: absent); whether it was."""
        entry = self._entry(key, value, ttl)
        old = self._live(key)
        if (old.value if old else None) != expected:
            return False
        self._store(key, entry)
        return True

    def _entry(self, key: str, value: bytes, ttl: float | None) -> _Entry:
        """What is to be written; raises if it can't be."""
        name = encode_key(key, self._limits.max_key_bytes)
        check_value(value, self._limits)
        expires = None if ttl is None else expiry(ttl, self._clock.now(), self._limits)
        return _Entry(bytes(value), len(name) + len(value), expires)

    def _live(self, key: str) -> _Entry | None:
        keys = self._partitions.get(key.partition("/")[0])
        entry = keys.get(key) if keys else None
        if entry and entry.expires is not None and entry.expires <= self._clock.now():
            self._drop(key)
            return None
        return entry

    def _store(self, key: str, entry: _Entry) -> None:
        if self._expiries:
            self._purge()
        keys = self._partitions.get(name := key.partition("/")[0])
        old = keys.get(key) if keys else None
        entries = self._entries + (0 if old else 1)
        size = self._bytes + entry.size - (old.size if old else 0)
        if entries > self._max_entries:
            raise _full("max_entries", self._max_entries)
        if size > self._max_bytes:
            raise _full("max_bytes", self._max_bytes)
        self._entries, self._bytes = entries, size
        if keys is None:
            keys = self._partitions[name] = {}
        keys[key] = entry
        if entry.expires is not None:
            heapq.heappush(self._expiries, (entry.expires, key))

    def _drop(self, key: str) -> None:
        keys = self._partitions.get(name := key.partition("/")[0])
        entry = keys.pop(key, None) if keys else None
        if entry:
            self._entries -= 1
            self._bytes -= entry.size
            if not keys:
                del self._partitions[name]

    def _purge(self) -> None:
        """Forget what expired; a key written again left an old moment in the heap."""
        now = self._clock.now()
        while self._expiries and self._expiries[0][0] <= now:
            self._live(heapq.heappop(self._expiries)[1])
        if len(self._expiries) > 2 * self._entries + 64:
            self._expiries = [
                (entry.expires, key)
                for keys in self._partitions.values()
                for key, entry in keys.items()
                if entry.expires is not None
            ]
            heapq.heapify(self._expiries)


class MemoryLeaseStore:
    """A `LeaseStore` in a dict. Fences start at the clock's milliseconds, so that they go on
    growing when the process starts again.
    """

    def __init__(self, clock: Clock, tokens: TokenSource | None = None, /) -> None:
        self._clock = clock
        self._tokens = tokens or SystemTokens()
        self._leases: dict[str, Lease] = {}
        self._fence = 0
        self._sweep_size = _FEW

    async def acquire(self, name: str, /, *, ttl: float) -> Lease | None:
        """Take the lease, or None while another holder has it."""
        if await self.holder(name):
            return None
        now = self._clock.now()
        if len(self._leases) >= self._sweep_size:
            self._sweep(now)
        self._fence = max(self._fence + 1, int(now * 1000))
        lease = self._leases[name] = Lease(name, self._tokens.token(), self._fence, now + ttl)
        return lease

    async def renew(self, lease: Lease, /, *, ttl: float) -> Lease | None:
        """Hold on for ``ttl`` seconds from now; None if it was lost or ran out."""
        if not self._holds(lease):
            return None
        renewed = Lease(lease.name, lease.holder, lease.fence, self._clock.now() + ttl)
        self._leases[lease.name] = renewed
        return renewed

    async def release(self, lease: Lease, /) -> None:
        """Give it back."""
        if self._holds(lease):
            del self._leases[lease.name]

    async def holder(self, name: str, /) -> Lease | None:
        """Who has it now."""
        held = self._leases.get(name)
        return held if held and held.expires_at > self._clock.now() else None

    def _sweep(self, now: float) -> None:
        """Forget what ran out; at twice the size again, so it costs little a call."""
        self._leases = {name: held for name, held in self._leases.items() if held.expires_at > now}
        self._sweep_size = max(_FEW, 2 * len(self._leases))

    def _holds(self, lease: Lease) -> bool:
        held = self._leases.get(lease.name)
        return (
            held is not None
            and held.expires_at > self._clock.now()
            and (held.holder, held.fence) == (lease.holder, lease.fence)
        )


class MemorySessionStore:
    """A `SessionStore` in a dict.

    Args:
        max_sessions: Sessions held at once; a new one beyond is a `BackendError`.
    """

    def __init__(self, clock: Clock, /, *, max_sessions: int = 1_000_000) -> None:
        self._clock = clock
        self._max_sessions = max_sessions
        self._records: dict[str, SessionRecord] = {}
        self._users: dict[str, set[str]] = {}

    async def load(self, id_hash: str, /) -> SessionRecord | None:
        """The record, or None if there is none or it has expired."""
        record = self._records.get(id_hash)
        if record and record.expires_at <= self._clock.now():
            self._drop(id_hash)
            return None
        return record

    async def save(self, record: SessionRecord, /) -> None:
        """Write, replacing the record of the same id."""
        self._drop(record.id_hash)
        if len(self._records) >= self._max_sessions:
            for id_hash in list(self._records):
                await self.load(id_hash)
            if len(self._records) >= self._max_sessions:
                raise _full("max_sessions", self._max_sessions)
        self._records[record.id_hash] = record
        self._users.setdefault(record.user_id, set()).add(record.id_hash)

    async def change(
        self, id_hash: str, /, *, last_used_at: float | None = None, data: bytes | None = None
    ) -> bool:
        """Change a live session; whether there was one."""
        record = await self.load(id_hash)
        if record is None:
            return False
        used = record.last_used_at if last_used_at is None else last_used_at
        held = record.data if data is None else data
        self._records[id_hash] = evolve(record, last_used_at=used, data=held)
        return True

    async def discard(self, id_hash: str, /) -> None:
        """Remove."""
        self._drop(id_hash)

    async def list(self, user_id: str, /) -> AsyncIterator[SessionRecord]:
        """A user's live sessions."""
        for id_hash in tuple(self._users.get(user_id, ())):
            record = await self.load(id_hash)
            if record:
                yield record

    def _drop(self, id_hash: str) -> None:
        record = self._records.pop(id_hash, None)
        if record:
            ids = self._users[record.user_id]
            ids.discard(id_hash)
            if not ids:
                del self._users[record.user_id]


def _full(setting: str, value: int) -> BackendError:
    return BackendError("The store is full.", detail=f"{setting}={value} is reached; raise it")

"""Sessions in any key-value store, also where nothing is atomic and reads lag behind.

Law: a session that can be loaded is listed, so that it can be revoked: its place in the user's list
is written before it and removed after it. What changes in a session's life has keys of its own, so
a change never writes what makes a session one, and can't bring back a session that was discarded.
"""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from typing import Any

from attrs import evolve, frozen

from openbolt.jsons import json_bytes, parse_json
from openbolt.protocols import Clock, KeyValueStore, SessionRecord

__all__ = ["KeyValueSessionStore"]


@frozen
class KeyValueSessionStore:
    """A `SessionStore` over a key-value store.

    Where the store has a shortest time to live, what is over stays in it for so long, but is not
    shown. Where its reads lag behind, a session goes on for so long after it was discarded.
    """

    kv: KeyValueStore
    clock: Clock

    async def load(self, id_hash: str, /) -> SessionRecord | None:
        """The record, or None if there is none or it has expired."""
        raw, used, data = await asyncio.gather(
            self.kv.get(_key(id_hash, "record")),
            self.kv.get(_key(id_hash, "used")),
            self.kv.get(_key(id_hash, "data")),
        )
        if raw is None:
            return None
        record = _record(id_hash, raw)
        if record.expires_at <= self.clock.now():
            return None
        return evolve(
            record,
            last_used_at=record.last_used_at if used is None else float(used),
            data=record.data if data is None else data,
        )

    async def save(self, record: SessionRecord, /) -> None:
        """Write, replacing the record of the same id."""
        ttl = self._ttl(record)
        if ttl is None:
            await self.discard(record.id_hash)
            return
        old = await self.kv.get(_key(record.id_hash, "record"))
        await self.kv.set(_place(record), b"", ttl=ttl)
        if old is not None:
            await self._forget_changes(record.id_hash)
        await self.kv.set(_key(record.id_hash, "record"), _to_bytes(record), ttl=ttl)
        if old is not None and (place := _place(_record(record.id_hash, old))) != _place(record):
            await self.kv.delete(place)

    async def change(
        self, id_hash: str, /, *, last_used_at: float | None = None, data: bytes | None = None
    ) -> bool:
        """Change a session that is there; whether it was."""
        raw = await self.kv.get(_key(id_hash, "record"))
        ttl = None if raw is None else self._ttl(_record(id_hash, raw))
        if ttl is None:
            return False
        if last_used_at is not None:
            await self.kv.set(_key(id_hash, "used"), repr(last_used_at).encode(), ttl=ttl)
        if data is not None:
            await self.kv.set(_key(id_hash, "data"), data, ttl=ttl)
        return True

    async def discard(self, id_hash: str, /) -> None:
        """Remove."""
        raw = await self.kv.get(_key(id_hash, "record"))
        # Also where the read found nothing: it may lag behind.
        await self.kv.delete(_key(id_hash, "record"))
        await self._forget_changes(id_hash)
        if raw is not None:
            await self.kv.delete(_place(_record(id_hash, raw)))

    async def list(self, user_id: str, /) -> AsyncIterator[SessionRecord]:
        """A user's live sessions."""
        prefix = f"user:{user_id}/sessions/"
        ids = [key.removeprefix(prefix) async for key in self.kv.scan(prefix)]
        # A place without a record is left alone: the record may only not be visible yet.
        for record in await asyncio.gather(*(self.load(id_hash) for id_hash in ids)):
            if record is not None and record.user_id == user_id:
                yield record

    async def _forget_changes(self, id_hash: str) -> None:
        await self.kv.delete(_key(id_hash, "used"))
        await self.kv.delete(_key(id_hash, "data"))

    def _ttl(self, record: SessionRecord) -> float | None:
        """Seconds for which the store has to keep a record; None if it is over."""
        left = record.expires_at - self.clock.now()
        return max(left, self.kv.limits.min_ttl) if left > 0 else None


def _key(id_hash: str, part: str) -> str:
    return f"session:{id_hash}/{part}"


def _place(record: SessionRecord) -> str:
    return f"user:{record.user_id}/sessions/{record.id_hash}"


def _to_bytes(record: SessionRecord) -> bytes:
    return json_bytes(
        {
            "user_id": record.user_id,
            "created_at": record.created_at,
            "last_used_at": record.last_used_at,
            "expires_at": record.expires_at,
            "device": record.device,
            "data": b64encode(record.data).decode(),
        }
    )


def _record(id_hash: str, raw: bytes) -> SessionRecord:
    said: dict[str, Any] = parse_json(raw)
    said["data"] = b64decode(said["data"])
    return SessionRecord(id_hash, **said)

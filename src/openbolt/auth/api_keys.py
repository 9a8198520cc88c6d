"""API keys: how programs come in the name of a user, for some things and for some time.

Law: a key is shown once, when it is made, and known by its hash afterwards. One that authenticates
is listed, so that it can be revoked; a revoked one is worth nothing at once, and no write that was
on its way brings it back. No key makes another that may more, or for longer, than itself.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any

from attrs import asdict, evolve, frozen

from openbolt.access import SCOPES, Scope
from openbolt.auth.tokens import API_KEY_PREFIX, api_key_hash, new_api_key
from openbolt.errors import ConflictError, ForbiddenError, InvalidRequestError
from openbolt.http import Principal
from openbolt.jsons import json_bytes, parse_json
from openbolt.protocols import Clock, KeyValueStore, TokenSource
from openbolt.settings import Settings

__all__ = ["ApiKey", "ApiKeys"]

_TOUCH_INTERVAL = 60.0  # seconds
_ID_BYTES = 10
_ID = re.compile(r"[a-z2-7]{16}")
_SHOWN_CHARS = len(API_KEY_PREFIX) + 4


@frozen
class ApiKey:
    """What is known of a key. Times in seconds since the epoch.

    Attributes:
        id: Says which it is; no secret.
        prefix: Its first characters, to tell it by.
        expires_at: None: never.
        last_used_at: To the minute; None: not yet.
    """

    id: str
    user_id: str
    name: str
    scopes: tuple[Scope, ...]
    prefix: str
    created_at: float
    expires_at: float | None = None
    last_used_at: float | None = None

    @property
    def principal(self) -> Principal:
        """Who comes with this key."""
        return Principal(self.user_id, scopes=frozenset(self.scopes), api_key=self.id)


@frozen
class ApiKeys:
    """The keys of all users, in any key-value store."""

    kv: KeyValueStore
    clock: Clock
    tokens: TokenSource
    settings: Settings

    async def create(
        self,
        by: Principal,
        /,
        *,
        name: str,
        scopes: Sequence[Scope],
        expires_at: float | None = None,
    ) -> tuple[str, ApiKey]:
        """Make a key for whoever asks.

        Returns:
            The key itself, which is nowhere else, and what is known of it.

        Raises:
            InvalidRequestError: ``expires_at`` is over; field ``expiresAt``.
            ForbiddenError: ``by`` is a key itself and would give more than it has: a scope
                (``scope_missing``), or a longer life (``expiry_missing``).
            ConflictError: The user has ``max_api_keys_per_user`` keys (``too_many_keys``).
        """
        if expires_at is not None and expires_at <= self.clock.now():
            raise InvalidRequestError("expiresAt: must be in the future", field="expiresAt")
        await self._check_it_gives_what_it_has(by, scopes, expires_at)
        secret = new_api_key(self.tokens)
        key = ApiKey(
            self.tokens.token(_ID_BYTES),
            by.user_id,
            name,
            tuple(scope for scope in SCOPES if scope in scopes),
            secret[:_SHOWN_CHARS],
            self.clock.now(),
            expires_at,
        )
        key_hash = api_key_hash(secret)
        assert key_hash is not None
        ttl = self._ttl(key)
        await self.kv.set(_place(key.user_id, key.id), key_hash.encode(), ttl=ttl)
        await self.kv.set(_key(key_hash, "key"), _to_bytes(key), ttl=ttl)
        # Counted with it, so that many requests at once don't make more than one after another.
        if len(await self.list(key.user_id)) > self.settings.max_api_keys_per_user:
            await self.revoke(key.user_id, key.id)
            raise ConflictError(
                f"There are {self.settings.max_api_keys_per_user} API keys already; revoke one "
                "first.",
                code="too_many_keys",
            )
        return secret, key

    async def authenticate(self, secret: str, /) -> ApiKey | None:
        """The key that this is; None for any other text, and for one that expired or was revoked.

        Notes at most once a minute that it was used.
        """
        key_hash = api_key_hash(secret)
        key = await self._load(key_hash) if key_hash else None
        if key_hash is None or key is None:
            return None
        now = self.clock.now()
        if key.last_used_at is not None and now - key.last_used_at < _TOUCH_INTERVAL:
            return key
        # Apart from the key itself: written a moment after it was revoked, it would be back.
        await self.kv.set(_key(key_hash, "used"), repr(now).encode(), ttl=self._ttl(key))
        return evolve(key, last_used_at=now)

    async def list(self, user_id: str, /) -> Sequence[ApiKey]:
        """A user's keys, the newest first; not those that expired."""
        prefix = _place(user_id, "")
        ids = [name.removeprefix(prefix) async for name in self.kv.scan(prefix)]
        found = await asyncio.gather(*(self.find(user_id, key_id) for key_id in ids))
        return sorted(
            (key for key in found if key is not None), key=lambda key: (-key.created_at, key.id)
        )

    async def find(self, user_id: str, key_id: str, /) -> ApiKey | None:
        """One of a user's keys by its id."""
        key_hash = await self._hash(user_id, key_id)
        return await self._load(key_hash) if key_hash else None

    async def revoke(self, user_id: str, key_id: str, /) -> bool:
        """Make a key of a user worthless; whether there was one."""
        key_hash = await self._hash(user_id, key_id)
        if key_hash is None:
            return False
        await self.kv.delete(_key(key_hash, "key"))
        await self.kv.delete(_key(key_hash, "used"))
        await self.kv.delete(_place(user_id, key_id))
        return True

    async def revoke_all(self, user_id: str, /) -> int:
        """Make all keys of a user worthless; how many there were."""
        prefix = _place(user_id, "")
        ids = [name.removeprefix(prefix) async for name in self.kv.scan(prefix)]
        return sum([await self.revoke(user_id, key_id) for key_id in ids])

    async def _check_it_gives_what_it_has(
        self, by: Principal, scopes: Sequence[Scope], expires_at: float | None
    ) -> None:
        missing = [scope for scope in scopes if by.scopes is not None and scope not in by.scopes]
        if missing:
            raise ForbiddenError(
                f"This API key can't give the scope {missing[0]!r}: it lacks it itself.",
                code="scope_missing",
            )
        if by.api_key is None:
            return
        own = await self.find(by.user_id, by.api_key)
        ends = own.expires_at if own else self.clock.now()
        if ends is not None and (expires_at is None or expires_at > ends):
            raise ForbiddenError(
                "This API key can't make one that outlives it; give an earlier expiresAt.",
                code="expiry_missing",
            )

    async def _hash(self, user_id: str, key_id: str) -> str | None:
        if not _ID.fullmatch(key_id):
            return None
        raw = await self.kv.get(_place(user_id, key_id))
        return raw.decode() if raw is not None else None

    async def _load(self, key_hash: str) -> ApiKey | None:
        raw, used = await asyncio.gather(
            self.kv.get(_key(key_hash, "key")), self.kv.get(_key(key_hash, "used"))
        )
        if raw is None:
            return None
        said: dict[str, Any] = parse_json(raw)
        said["scopes"] = tuple(said["scopes"])
        key = ApiKey(**said)
        if key.expires_at is not None and key.expires_at <= self.clock.now():
            return None
        return key if used is None else evolve(key, last_used_at=float(used))

    def _ttl(self, key: ApiKey) -> float | None:
        if key.expires_at is None:
            return None
        return max(key.expires_at - self.clock.now(), self.kv.limits.min_ttl)


def _key(key_hash: str, part: str) -> str:
    return f"apikey:{key_hash}/{part}"


def _place(user_id: str, key_id: str) -> str:
    return f"user:{user_id}/keys/{key_id}"


def _to_bytes(key: ApiKey) -> bytes:
    return json_bytes(asdict(key))

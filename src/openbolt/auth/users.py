"""Who has signed in: one profile for each person, under an id that says whom it means for ever.

Law: a user's id follows from who vouches for them and nothing else, so that no two sign-ins at once
can make two users of one person, and no rename, no change of address and no other person's account
ever leads to it.
"""

from __future__ import annotations

import re
from typing import Any

from attrs import asdict, frozen

from openbolt.auth.identity import Identity
from openbolt.errors import UpstreamError
from openbolt.jsons import json_bytes, parse_json
from openbolt.protocols import KeyValueStore

__all__ = ["User", "UserStore", "user_id_of"]

_USER_ID = re.compile(r"[a-z0-9]{1,32}\.[A-Za-z0-9._-]{1,90}")


@frozen
class User:
    """What is kept of somebody, as their provider last said it. Times in seconds since the epoch.

    Attributes:
        provider: Id of the provider that vouches for them.
        email: Empty, or verified by the provider.
        created_at: The first sign-in.
        signed_in_at: The latest.
    """

    id: str
    provider: str
    name: str
    login: str
    email: str
    avatar_url: str
    created_at: float
    signed_in_at: float

    def to_bytes(self) -> bytes:
        """As it is stored."""
        return json_bytes(asdict(self))

    @classmethod
    def from_bytes(cls, raw: bytes) -> User:
        """What `to_bytes` wrote."""
        data: dict[str, Any] = parse_json(raw)
        return cls(**data)


def user_id_of(identity: Identity, /) -> str:
    """``github.583231``, ``oidc.<hash>``: at most 128 of ``A-Z a-z 0-9 . _ -``.

    Raises:
        UpstreamError: The provider's subject is none (`Identity.subject`).
    """
    user_id = f"{identity.provider}.{identity.subject}"
    if not _USER_ID.fullmatch(user_id):
        raise UpstreamError(
            "The identity provider didn't say who it is.", detail="a subject that can be no id"
        )
    return user_id


@frozen
class UserStore:
    """Profiles over a key-value store, at ``user:<id>/profile``."""

    kv: KeyValueStore

    async def load(self, user_id: str, /) -> User | None:
        """The profile of somebody who has signed in."""
        raw = await self.kv.get(_key(user_id))
        return None if raw is None else User.from_bytes(raw)

    async def save(self, user: User, /) -> None:
        """Write a profile, replacing."""
        await self.kv.set(_key(user.id), user.to_bytes())

    async def signed_in(self, identity: Identity, /, *, now: float) -> User:
        """Note a sign-in, and take over what the provider says now.

        Raises:
            UpstreamError: See `user_id_of`.
        """
        user_id = user_id_of(identity)
        before = await self.load(user_id)
        user = User(
            id=user_id,
            provider=identity.provider,
            name=identity.name,
            login=identity.login,
            email=identity.email if identity.email_verified else "",
            avatar_url=identity.avatar_url,
            created_at=before.created_at if before else now,
            signed_in_at=now,
        )
        await self.save(user)
        return user


def _key(user_id: str) -> str:
    return f"user:{user_id}/profile"

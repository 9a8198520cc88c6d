"""What a user's account is made of, exported and erased: all but the work done in it.

Law: of what is worth something, only that it exists is exported.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from attrs import asdict, frozen

from openbolt.archives import ExportedFile
from openbolt.auth.api_keys import ApiKeys
from openbolt.auth.session_handler import SessionEnded
from openbolt.auth.sessions import Sessions, public_id
from openbolt.auth.users import UserStore
from openbolt.bodies import camel_case, iso_time
from openbolt.errors import OpenBoltError
from openbolt.personal.data import names_below, optional_time, pretty_json
from openbolt.preferences import PreferenceStore
from openbolt.protocols import KeyValueStore, SessionRecord
from openbolt.secrets import SecretStore
from openbolt.sharing import Shares

__all__ = [
    "ApiKeyData",
    "PreferenceData",
    "ProfileData",
    "SecretData",
    "SessionData",
    "ShareData",
]

_log = logging.getLogger("openbolt")


@frozen
class ShareData:
    """Links to projects and chats; never what opens them."""

    shares: Shares

    @property
    def name(self) -> str:
        return "shares"

    async def export(self, user_id: str, /) -> AsyncIterator[ExportedFile]:
        """What each link is to, and for how long."""
        rows = [
            {
                "id": share.id,
                "kind": share.kind,
                "of": share.thing,
                "createdAt": iso_time(share.created_at),
                "expiresAt": optional_time(share.expires_at),
            }
            for share in await self.shares.list(user_id)
        ]
        yield ExportedFile("shares.json", pretty_json(rows))

    async def erase(self, user_id: str, /) -> int:
        """Revoke them all."""
        return await self.shares.revoke_all(user_id)


@frozen
class PreferenceData:
    """Preferences, on whatever version of openbolt they were chosen."""

    preferences: PreferenceStore

    @property
    def name(self) -> str:
        return "preferences"

    async def export(self, user_id: str, /) -> AsyncIterator[ExportedFile]:
        """What was chosen."""
        saved = await self.preferences.load(user_id)
        yield ExportedFile(
            "preferences.json",
            pretty_json({"version": saved.version, "chosen": dict(saved.chosen)}),
        )

    async def erase(self, user_id: str, /) -> int:
        """Forget them."""
        return int(await self.preferences.discard(user_id))


@frozen
class SecretData:
    """Secrets, by what may be told of them."""

    secrets: SecretStore

    @property
    def name(self) -> str:
        return "secrets"

    async def export(self, user_id: str, /) -> AsyncIterator[ExportedFile]:
        """Names, last four characters and dates."""
        rows = [info.to_json() for info in await self.secrets.list(user_id)]
        yield ExportedFile("secrets.json", pretty_json(rows))

    async def erase(self, user_id: str, /) -> int:
        """Forget them."""
        names = [name async for name in self.secrets.names(user_id)]
        await self.secrets.forget(user_id)
        return len(names)


@frozen
class ProfileData:
    """What the identity provider said of somebody who signed in."""

    users: UserStore

    @property
    def name(self) -> str:
        return "profile"

    async def export(self, user_id: str, /) -> AsyncIterator[ExportedFile]:
        """The profile, if anybody signed in under this id."""
        user = await self.users.load(user_id)
        if user is not None:
            said = {camel_case(name): value for name, value in asdict(user).items()}
            for name in ("createdAt", "signedInAt"):
                said[name] = iso_time(said[name])
            yield ExportedFile("profile.json", pretty_json(said))

    async def erase(self, user_id: str, /) -> int:
        """Forget it."""
        known = await self.users.load(user_id) is not None
        await self.users.kv.delete(f"user:{user_id}/profile")
        return int(known)


@frozen
class ApiKeyData:
    """API keys, by what may be told of them."""

    api_keys: ApiKeys

    @property
    def name(self) -> str:
        return "apiKeys"

    async def export(self, user_id: str, /) -> AsyncIterator[ExportedFile]:
        """Names, scopes, first characters and dates."""
        rows = [
            {
                "id": key.id,
                "name": key.name,
                "scopes": list(key.scopes),
                "prefix": key.prefix,
                "createdAt": iso_time(key.created_at),
                "expiresAt": optional_time(key.expires_at),
                "lastUsedAt": optional_time(key.last_used_at),
            }
            for key in await self.api_keys.list(user_id)
        ]
        yield ExportedFile("api-keys.json", pretty_json(rows))

    async def erase(self, user_id: str, /) -> int:
        """Revoke them all."""
        return await self.api_keys.revoke_all(user_id)


@frozen
class SessionData:
    """Signed-in browsers.

    Attributes:
        kv: Lists the sessions by user, where they are in a `KeyValueSessionStore`.
        ended: Lets go of what a session held elsewhere (the provider's tokens); if it fails, the
            session is gone all the same.
    """

    sessions: Sessions
    kv: KeyValueStore
    ended: SessionEnded

    @property
    def name(self) -> str:
        return "sessions"

    async def export(self, user_id: str, /) -> AsyncIterator[ExportedFile]:
        """Devices and dates."""
        rows = [
            {
                "id": public_id(record),
                "device": record.device,
                "createdAt": iso_time(record.created_at),
                "lastUsedAt": iso_time(record.last_used_at),
                "expiresAt": iso_time(record.expires_at),
            }
            for record in await self.sessions.list(user_id)
        ]
        yield ExportedFile("sessions.json", pretty_json(rows))

    async def erase(self, user_id: str, /) -> int:
        """Sign out everywhere."""
        records = [record async for record in self.sessions.store.list(user_id)]
        for record in records:
            await self.sessions.store.discard(record.id_hash)
        # Listed, but without a record: what a discarding that failed half-way has left in `kv`.
        for id_hash in await names_below(self.kv, f"user:{user_id}/sessions/"):
            await self.sessions.store.discard(id_hash)
        await asyncio.gather(*(self._end(record) for record in records))
        return len(records)

    async def _end(self, record: SessionRecord) -> None:
        try:
            await self.ended(record)
        except OpenBoltError as exc:
            _log.warning("a session of a deleted account couldn't be ended elsewhere: %s", exc)

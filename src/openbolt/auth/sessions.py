"""Signed-in browsers: a secret id in a cookie, and a record that is found by its hash.

Law: an id is made here, at sign-in, and never taken from a request; it is worth something until its
session ends, and nothing afterwards. A session ends when it is signed out, revoked, replaced, left
unused for ``session_idle_ttl``, or ``session_ttl`` after sign-in, whatever comes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from attrs import evolve, frozen

from openbolt.auth.tokens import new_session_token, session_hash
from openbolt.protocols import Clock, SessionRecord, SessionStore, TokenSource
from openbolt.settings import Settings

__all__ = ["Sessions", "public_id"]

_TOUCH_INTERVAL = 60.0  # seconds
_MAX_DEVICE_CHARS = 60


def public_id(record: SessionRecord, /) -> str:
    """What a session is called where others may see it; neither its id nor the hash of it."""
    return sha256(record.id_hash.encode()).hexdigest()[:16]


@frozen
class Sessions:
    """The sessions of all users."""

    store: SessionStore
    clock: Clock
    tokens: TokenSource
    settings: Settings

    async def start(
        self, user_id: str, /, *, device: str = "", data: bytes = b"", replaces: str | None = None
    ) -> tuple[str, SessionRecord]:
        """Begin a session, under an id that nobody has seen before.

        Where the user has more than ``max_sessions_per_user`` then, those unused for longest end.

        Args:
            device: For the user to recognise it by, as `openbolt.auth.devices.device_of` says it;
                cut after 60 characters.
            data: Kept with the session as it is; what is secret in it comes encrypted.
            replaces: The value of the session cookie that came along, if one did. Its session ends
                first, whosever it is.

        Returns:
            The cookie's value, which is nowhere else, and the record.
        """
        if replaces is not None:
            await self.end(replaces)
        now = self.clock.now()
        expires_at = now + self.settings.session_ttl
        token, record = self._new(
            SessionRecord("", user_id, now, now, expires_at, device[:_MAX_DEVICE_CHARS], data)
        )
        await self.store.save(record)
        await self._keep_to_the_cap(record)
        return token, record

    async def resume(self, token: str | None, /) -> SessionRecord | None:
        """The session of a cookie's value; None if there is none, or it has ended.

        Notes that it was used: at most once a minute, or twice in ``session_idle_ttl`` if that is
        shorter than two minutes.
        """
        record = await self._load(token)
        if record is None:
            return None
        interval = min(_TOUCH_INTERVAL, self.settings.session_idle_ttl / 2)
        now = self.clock.now()
        if now - record.last_used_at < interval:
            return record
        return await self._change(record.id_hash, last_used_at=now)

    async def renew(self, token: str, /) -> tuple[str, SessionRecord] | None:
        """Go on under a new id, as whenever the session may do more than before.

        The old id is worth nothing from here on. Sign-in stays the moment from which the session's
        life is counted. ``data`` is taken over as it is: what is encrypted with the old ``id_hash``
        as context has to be encrypted again, and given to `update`.

        Returns:
            None if there was no session to renew.
        """
        old = await self._load(token)
        if old is None:
            return None
        await self.store.discard(old.id_hash)
        fresh, record = self._new(evolve(old, last_used_at=self.clock.now()))
        await self.store.save(record)
        return fresh, record

    async def update(self, record: SessionRecord, /) -> SessionRecord | None:
        """Replace a session's ``data``, and nothing else of it; None if it has ended meanwhile."""
        return await self._change(record.id_hash, data=record.data)

    async def end(self, token: str, /) -> SessionRecord | None:
        """End the session of a cookie's value; the record as it was, or None if there was none."""
        record = await self._load(token)
        if record is not None:
            await self.store.discard(record.id_hash)
        return record

    async def list(self, user_id: str, /) -> Sequence[SessionRecord]:
        """A user's sessions, the one used last first."""
        found = [record async for record in self.store.list(user_id)]
        return sorted(
            (record for record in found if self._is_live(record)),
            key=lambda record: (-record.last_used_at, -record.created_at, record.id_hash),
        )

    async def revoke(self, user_id: str, public: str, /) -> SessionRecord | None:
        """End one of a user's sessions by its `public_id`; None if the user has no such session."""
        for record in await self.list(user_id):
            if public_id(record) == public:
                await self.store.discard(record.id_hash)
                return record
        return None

    async def revoke_all(
        self, user_id: str, /, *, keep: str | None = None
    ) -> Sequence[SessionRecord]:
        """End all of a user's sessions, but for the one with this `public_id`; those that ended."""
        ended = [r for r in await self.list(user_id) if public_id(r) != keep]
        for record in ended:
            await self.store.discard(record.id_hash)
        return ended

    def _new(self, record: SessionRecord) -> tuple[str, SessionRecord]:
        token = new_session_token(self.tokens)
        id_hash = session_hash(token)
        assert id_hash is not None
        return token, evolve(record, id_hash=id_hash)

    def _is_live(self, record: SessionRecord) -> bool:
        # By the settings as they are now: made stricter, they hold for the sessions that there are.
        now = self.clock.now()
        return (
            now - record.created_at < self.settings.session_ttl
            and now - record.last_used_at < self.settings.session_idle_ttl
        )

    async def _load(self, token: str | None) -> SessionRecord | None:
        id_hash = session_hash(token) if token else None
        record = await self.store.load(id_hash) if id_hash else None
        if record is None or self._is_live(record):
            return record
        await self.store.discard(record.id_hash)
        return None

    async def _change(
        self, id_hash: str, *, last_used_at: float | None = None, data: bytes | None = None
    ) -> SessionRecord | None:
        """Change a session if it still lives, and read it anew, since others change it, too."""
        if not await self.store.change(id_hash, last_used_at=last_used_at, data=data):
            return None
        return await self.store.load(id_hash)

    async def _keep_to_the_cap(self, new: SessionRecord) -> None:
        # After the new one is written, so that of any number of sign-ins at once the last one sees
        # them all; and by the same order everywhere, so that they don't end each other.
        found = {record.id_hash: record async for record in self.store.list(new.user_id)}
        found[new.id_hash] = new  # a listing may lag behind
        order = sorted(
            found.values(),
            key=lambda r: (self._is_live(r), r.last_used_at, r.created_at, r.id_hash),
            reverse=True,
        )
        for place, record in enumerate(order):
            if place >= self.settings.max_sessions_per_user or not self._is_live(record):
                await self.store.discard(record.id_hash)

"""Links that let anybody read one project or one chat.

Law: a link's token is shown once, when it is made, and known by its hash afterwards. A link that
works is listed, so that its owner can revoke it; revoked, it opens nothing at once, in whatever
store. It is to this very thing, not to a later one under the same id.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any, Literal

from attrs import asdict, frozen

from openbolt.access import Asker, LinkBearer, Resource, acting_as, no_such, require
from openbolt.auth.tokens import hash_of
from openbolt.errors import ConflictError, NotFoundError
from openbolt.heads import HeadStore
from openbolt.history import Chat
from openbolt.jsons import json_bytes, parse_json
from openbolt.projects.store import Project
from openbolt.protocols import Clock, KeyValueStore, TokenSource
from openbolt.settings import Settings

__all__ = ["Share", "Shareable", "Shares", "dead_link"]

Shareable = Literal["project", "chat"]

_TOKEN_BYTES = 32
_TOKEN = re.compile(r"[a-z2-7]{52}")
_ID = re.compile(r"[a-z2-7]{26}")


@frozen
class Share:
    """What is known of a link. Times in seconds since the epoch.

    Attributes:
        id: Says which it is; no secret.
        thing: Id of what it is to, and since when that thing exists.
        expires_at: None: never.
    """

    id: str
    owner: str
    kind: Shareable
    thing: str
    thing_created_at: float
    created_at: float
    expires_at: float | None = None

    @property
    def resource(self) -> Resource:
        """The link itself, for `can`."""
        return Resource("share", self.owner, self.id)

    @property
    def bearer(self) -> LinkBearer:
        """Who comes with it."""
        return LinkBearer.of(Resource(self.kind, self.owner, self.thing))

    def is_to(self, thing: Project | Chat, /) -> bool:
        """Whether it is to this thing, rather than to an earlier one under its id."""
        return (self.bearer.only, self.thing_created_at) == (thing.resource, thing.created_at)


@frozen
class Shares:
    """The links of all users.

    A key-value store lists them by user. What a token opens is kept as a head, which every
    process sees change at once: a key-value store alone may go on answering for a minute.
    """

    kv: KeyValueStore
    heads: HeadStore
    clock: Clock
    tokens: TokenSource
    settings: Settings

    async def create(
        self, thing: Project | Chat, /, *, by: Asker, expires_at: float | None = None
    ) -> tuple[str, Share]:
        """Make a link.

        Returns:
            The token, which is nowhere else, and what is known of the link.

        Raises:
            NotFoundError: The thing is somebody else's.
            ForbiddenError: A key lacks a scope.
            ConflictError: The user has ``max_shares_per_user`` links (``too_many_shares``).
        """
        require(by, "share", thing.resource)
        token, share_id = self.tokens.token(_TOKEN_BYTES), self.tokens.token()
        kind: Shareable = "project" if isinstance(thing, Project) else "chat"
        share = Share(
            share_id,
            thing.owner,
            kind,
            thing.id,
            thing.created_at,
            self.clock.now(),
            expires_at,
        )
        token_hash = hash_of(token)
        # Listed first: what fails in between is a link that opens nothing.
        await self.kv.set(_place(share.owner, share.id), token_hash.encode())
        if not await self.heads.swap(_head(token_hash), _to_bytes(share), seen=None):
            raise ConflictError("There is a link with this token.")  # a broken TokenSource
        # Counted with it, so that many requests at once don't make more than one after another.
        limit = self.settings.max_shares_per_user
        if len(await self._ids(share.owner)) > limit and len(await self.list(share.owner)) > limit:
            await self._discard(share.owner, share.id, token_hash)
            raise ConflictError(
                f"There are {limit} links already; revoke one first.", code="too_many_shares"
            )
        return token, share

    async def open(self, token: str, /) -> Share:
        """What a token stands for.

        Raises:
            NotFoundError: Nothing; or it was revoked, or has expired.
        """
        share = await self._load(hash_of(token)) if _TOKEN.fullmatch(token) else None
        if share is None or self._is_over(share):
            raise dead_link()
        return share

    async def list(self, owner: str, /, *, of: Project | Chat | None = None) -> Sequence[Share]:
        """A user's links, the newest first; those that have expired are cleared away.

        Args:
            of: Only those to this thing.
        """
        live: list[Share] = []
        for token_hash, share in await self._all(owner):
            if self._is_over(share):
                await self._discard(owner, share.id, token_hash)
            elif of is None or share.is_to(of):
                live.append(share)
        return sorted(live, key=lambda share: (-share.created_at, share.id))

    async def revoke(self, share_id: str, /, *, by: Asker) -> None:
        """Make a link open nothing any more.

        Raises:
            NotFoundError: There is none, or it is somebody else's.
            ForbiddenError: A key lacks a scope.
        """
        owner = acting_as(by).user_id
        require(by, "delete", Resource("share", owner, share_id))
        raw = await self.kv.get(_place(owner, share_id)) if _ID.fullmatch(share_id) else None
        share = await self._load(raw.decode()) if raw is not None else None
        if raw is None or share is None:
            raise no_such("share")
        require(by, "delete", share.resource)
        await self._discard(owner, share_id, raw.decode())

    async def forget(self, resource: Resource, /) -> None:
        """Revoke all links to a thing: it was deleted."""
        for token_hash, share in await self._all(resource.owner):
            if share.bearer.only == resource:
                await self._discard(share.owner, share.id, token_hash)

    async def revoke_all(self, owner: str, /) -> int:
        """Revoke all links of a user; how many there were."""
        ids = await self._ids(owner)
        for share_id in ids:
            raw = await self.kv.get(_place(owner, share_id))
            if raw is not None:
                await self._discard(owner, share_id, raw.decode())
        return len(ids)

    async def _ids(self, owner: str) -> Sequence[str]:
        prefix = _place(owner, "")
        return [name.removeprefix(prefix) async for name in self.kv.scan(prefix)]

    async def _all(self, owner: str) -> Sequence[tuple[str, Share]]:
        """A user's links, by the hashes of their tokens."""
        names = [_place(owner, share_id) for share_id in await self._ids(owner)]
        listed = await asyncio.gather(*(self.kv.get(name) for name in names))
        hashes = [raw.decode() for raw in listed if raw is not None]
        shares = await asyncio.gather(*(self._load(token_hash) for token_hash in hashes))
        found = zip(hashes, shares, strict=True)
        return [(token_hash, share) for token_hash, share in found if share is not None]

    async def _load(self, token_hash: str) -> Share | None:
        head = await self.heads.load(_head(token_hash))
        return Share(**parse_json(head.data)) if head else None

    def _is_over(self, share: Share) -> bool:
        return share.expires_at is not None and share.expires_at <= self.clock.now()

    async def _discard(self, owner: str, share_id: str, token_hash: str) -> None:
        await self.heads.discard(_head(token_hash))
        await self.kv.delete(_place(owner, share_id))


def dead_link() -> NotFoundError:
    """What is said of a link that opens nothing, whatever the reason."""
    return NotFoundError("There is nothing behind this link: it was revoked, or it has expired.")


def _to_bytes(share: Share) -> bytes:
    data: dict[str, Any] = asdict(share, recurse=False)
    return json_bytes(data)


def _place(owner: str, share_id: str) -> str:
    return f"user:{owner}/shares/{share_id}"


def _head(token_hash: str) -> str:
    return f"share:{token_hash}/share"

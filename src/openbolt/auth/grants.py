"""What a provider granted at sign-in: its tokens, kept with the session that they came with.

Laws: they are stored encrypted and bound to that session, so that they open in no other one; they
are refreshed by one caller at a time, since a refresh token works once; and they don't outlive the
session if the provider can be told. Ending a session never waits for that, nor fails with it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from attrs import asdict, evolve, frozen

from openbolt.auth.identity import Grant, IdentityProvider, perform
from openbolt.auth.sessions import Sessions
from openbolt.errors import (
    InvalidRequestError,
    OpenBoltError,
    UnauthenticatedError,
    UpstreamError,
    UpstreamTimeoutError,
)
from openbolt.jsons import json_bytes, parse_json
from openbolt.protocols import Cipher, Clock, HttpSender, LeaseStore, SessionRecord

__all__ = ["Grants", "grant_context"]

_log = logging.getLogger("openbolt")

_EARLY = 60.0  # seconds before its end at which a token is taken for expired
_LEASE_TTL = 60.0  # seconds; longer than a provider may take to answer
_POLL = 0.25
_POLLS = 60


def grant_context(record: SessionRecord, /) -> bytes:
    """What a session's grant is encrypted for (`Cipher`)."""
    return b"openbolt grant\0" + record.id_hash.encode()


@frozen
class _Kept:
    provider: IdentityProvider
    grant: Grant


@frozen
class Grants:
    """The grants of all sessions, in their ``data``."""

    providers: Sequence[IdentityProvider]
    sessions: Sessions
    cipher: Cipher
    sender: HttpSender
    leases: LeaseStore
    clock: Clock

    async def keep(self, record: SessionRecord, provider: str, grant: Grant, /) -> bool:
        """Store a grant with its session; whether there was one still.

        Args:
            provider: The provider's id.
        """
        said = json_bytes({"provider": provider, **asdict(grant)})
        sealed = await self.cipher.encrypt(said, context=grant_context(record))
        return await self.sessions.update(evolve(record, data=sealed)) is not None

    async def fresh_grant(self, record: SessionRecord, /) -> Grant | None:
        """The grant of a session, refreshed if it has expired.

        Of any number of callers at once, as far as the leases reach, one refreshes and the others
        wait for it.

        Returns:
            None if there is none, or none to be had without the person.

        Raises:
            UpstreamError: The provider failed, and the old token is worth nothing any more.
        """
        kept = await self._open(record)
        if kept is None or not self._is_over(kept.grant, early=_EARLY):
            return None if kept is None else kept.grant
        for _ in range(_POLLS):
            lease = await self.leases.acquire(f"grant:{record.id_hash}", ttl=_LEASE_TTL)
            if lease is None:
                await self.clock.sleep(_POLL)
                continue
            try:
                return await self._refreshed(record.id_hash)
            finally:
                await self.leases.release(lease)
        raise UpstreamTimeoutError("The identity provider took too long.", retryable=True)

    async def revoke(self, record: SessionRecord, /) -> None:
        """Make the tokens of a session that has ended worthless, if the provider can be told.

        Never raises for the provider: what it failed at is logged.
        """
        kept = await self._open(record)
        if kept is not None:
            await self.revoke_grant(kept.provider, kept.grant)

    async def revoke_grant(self, provider: IdentityProvider, grant: Grant, /) -> None:
        """The same for tokens that came with no session."""
        try:
            if self._is_over(grant) and grant.refresh_token is not None:
                # An expired token can't be revoked any more; the one that follows it can.
                refresh = provider.refresh(grant, now=self.clock.now())
                grant = await perform(refresh, self.sender)
            await perform(provider.revoke(grant), self.sender)
        except UnauthenticatedError:
            return  # they are worthless already
        except OpenBoltError as error:
            _log.warning("Tokens of %s could not be revoked: %s", provider.id, error)

    async def _refreshed(self, id_hash: str) -> Grant | None:
        # As it is now: whoever had the lease before may have refreshed it, or signed out.
        record = await self.sessions.store.load(id_hash)
        kept = None if record is None else await self._open(record)
        if record is None or kept is None:
            return None
        if not self._is_over(kept.grant, early=_EARLY):
            return kept.grant
        now = self.clock.now()
        try:
            grant = await perform(kept.provider.refresh(kept.grant, now=now), self.sender)
        except UnauthenticatedError:
            await self.sessions.update(evolve(record, data=b""))
            return None
        except UpstreamError:
            if self._is_over(kept.grant):
                raise
            return kept.grant
        if await self.keep(record, kept.provider.id, grant):
            return grant
        await self.revoke_grant(kept.provider, grant)
        return None

    async def _open(self, record: SessionRecord) -> _Kept | None:
        if not record.data:
            return None
        try:
            raw = await self.cipher.decrypt(record.data, context=grant_context(record))
        except InvalidRequestError:
            _log.warning("A session's grant can't be decrypted; it counts as gone.")
            return None
        said: dict[str, Any] = parse_json(raw)
        name = said.pop("provider")
        provider = next((each for each in self.providers if each.id == name), None)
        if provider is None:  # it is configured no more
            return None
        said["scopes"] = tuple(said["scopes"])
        return _Kept(provider, Grant(**said))

    def _is_over(self, grant: Grant, *, early: float = 0.0) -> bool:
        return grant.expires_at is not None and self.clock.now() >= grant.expires_at - early

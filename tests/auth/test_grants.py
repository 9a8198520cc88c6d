"""Grants: sealed to their session, refreshed by one, revoked at its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from attrs import define, evolve, field

from openbolt import Settings
from openbolt.auth.grants import Grants, grant_context
from openbolt.auth.identity import Exchange, Grant, SignedIn, SignInAttempt, SignInRefusedError
from openbolt.auth.sessions import Sessions
from openbolt.errors import UpstreamError
from openbolt.graph import Graph
from openbolt.protocols import OutboundRequest, OutboundResponse, SessionRecord
from openbolt.testing import ManualClock
from openbolt_local.crypto import AesGcmCipher, generate_key
from openbolt_local.memory import MemoryKeyValueStore
from tests.auth.test_identity import Echo
from tests.stores import in_memory


@define
class Issuing:
    """An identity provider whose refresh tokens work once, as GitHub's do.

    Attributes:
        fails: Raised by the next refreshes and revocations.
    """

    clock: ManualClock
    id: str = "github"
    name: str = "Stand-in"
    live: set[str] = field(factory=set)
    refreshed: int = 0
    revoked: list[str] = field(factory=list)
    fails: Exception | None = None

    def issue(self) -> Grant:
        number = self.refreshed
        self.live.add(f"refresh-{number}")
        return Grant(f"access-{number}", self.clock.now() + 3600, f"refresh-{number}", None, ("a",))

    def begin(self, attempt: SignInAttempt, /) -> Exchange[str]:
        raise NotImplementedError
        yield

    def finish(
        self, attempt: SignInAttempt, callback: Mapping[str, str], /, *, now: float
    ) -> Exchange[SignedIn]:
        raise NotImplementedError
        yield

    def refresh(self, grant: Grant, /, *, now: float) -> Exchange[Grant]:
        yield OutboundRequest("POST", "https://provider.example/token")
        if self.fails is not None:
            raise self.fails
        if grant.refresh_token not in self.live:
            raise SignInRefusedError("It was used already.")
        self.live.remove(grant.refresh_token)
        self.refreshed += 1
        return self.issue()

    def revoke(self, grant: Grant, /) -> Exchange[None]:
        yield OutboundRequest("DELETE", "https://provider.example/token")
        if self.fails is not None:
            raise self.fails
        self.revoked.append(grant.access_token)


@define
class Leaving(Issuing):
    """A provider, and the way to it, during whose first call the person signs out."""

    token: str = ""
    sessions: Sessions | None = None

    @asynccontextmanager
    async def send(self, request: OutboundRequest, /) -> AsyncIterator[OutboundResponse]:
        assert self.sessions is not None
        await self.sessions.end(self.token)
        async with Echo().send(request) as response:
            yield response


@pytest.fixture
def provider(clock: ManualClock) -> Issuing:
    return Issuing(clock)


@pytest.fixture
def grants(
    kv: MemoryKeyValueStore, clock: ManualClock, settings: Settings, provider: Issuing
) -> Grants:
    d = in_memory(
        clock,
        kv=kv,
        cipher=AesGcmCipher([generate_key()]),
        sender=Echo(),
        identity_providers=[provider],
    )
    made = Graph.of(d, settings).grants
    assert made is not None
    return made


async def signed_in(grants: Grants, provider: Issuing) -> tuple[str, SessionRecord]:
    """A session with a grant: its cookie, and its record as it is stored."""
    token, record = await grants.sessions.start("github.1")
    assert await grants.keep(record, "github", provider.issue())
    return token, await stored(grants, record)


async def stored(grants: Grants, record: SessionRecord) -> SessionRecord:
    found = await grants.sessions.store.load(record.id_hash)
    assert found is not None
    return found


async def test_a_grant_comes_back_as_it_was_kept(grants: Grants, provider: Issuing) -> None:
    _, record = await signed_in(grants, provider)
    assert await grants.fresh_grant(record) == provider.issue()
    assert provider.refreshed == 0


async def test_a_session_without_a_grant_has_none(grants: Grants) -> None:
    _, record = await grants.sessions.start("github.1")
    assert await grants.fresh_grant(record) is None


async def test_no_token_is_stored_in_the_clear(
    grants: Grants, provider: Issuing, kv: MemoryKeyValueStore
) -> None:
    await signed_in(grants, provider)
    values = [
        await kv.get(key)
        for partition in list(kv._partitions)
        async for key in kv.scan(f"{partition}/")
    ]
    assert len(values) >= 3
    for value in values:
        assert b"access-0" not in (value or b"")
        assert b"refresh-0" not in (value or b"")


async def test_a_grant_that_was_moved_to_another_session_doesn_t_open(
    grants: Grants, provider: Issuing, caplog: pytest.LogCaptureFixture
) -> None:
    _, hers = await signed_in(grants, provider)
    _, his = await grants.sessions.start("github.2")
    await grants.sessions.update(evolve(his, data=hers.data))
    assert grant_context(hers) != grant_context(his)
    assert await grants.fresh_grant(await stored(grants, his)) is None
    assert "can't be decrypted" in caplog.text


async def test_a_grant_of_a_provider_that_is_configured_no_more_is_none(
    grants: Grants, provider: Issuing
) -> None:
    _, record = await signed_in(grants, provider)
    assert await evolve(grants, providers=[]).fresh_grant(record) is None


async def test_a_grant_that_expires_is_refreshed_a_minute_early_and_kept(
    grants: Grants, provider: Issuing, clock: ManualClock
) -> None:
    _, record = await signed_in(grants, provider)
    clock.advance(3539)
    found = await grants.fresh_grant(record)
    assert found is not None
    assert found.access_token == "access-0"
    clock.advance(1)
    found = await grants.fresh_grant(record)
    assert found == Grant("access-1", clock.now() + 3600, "refresh-1", None, ("a",))
    # Who still holds the old record gets the new grant, too.
    assert await grants.fresh_grant(record) == found
    assert await grants.fresh_grant(await stored(grants, record)) == found
    assert provider.refreshed == 1


async def test_of_many_callers_at_once_one_refreshes(
    grants: Grants, provider: Issuing, clock: ManualClock
) -> None:
    _, record = await signed_in(grants, provider)
    clock.advance(4000)
    callers = [asyncio.ensure_future(grants.fresh_grant(record)) for _ in range(8)]
    while not all(caller.done() for caller in callers):
        await clock.advance(0.25)
    found = [caller.result() for caller in callers]
    assert {grant.access_token for grant in found if grant} == {"access-1"}
    assert (len(found), provider.refreshed) == (8, 1)


async def test_a_caller_who_waits_in_vain_is_told_so(
    grants: Grants, provider: Issuing, clock: ManualClock
) -> None:
    _, record = await signed_in(grants, provider)
    clock.advance(4000)
    lease = await grants.leases.acquire(f"grant:{record.id_hash}", ttl=86_400)
    assert lease is not None
    caller = asyncio.ensure_future(grants.fresh_grant(record))
    while not caller.done():
        await clock.advance(1)
    with pytest.raises(UpstreamError):
        caller.result()


async def test_a_grant_that_can_t_be_refreshed_is_forgotten(
    grants: Grants, provider: Issuing, clock: ManualClock
) -> None:
    token, record = await signed_in(grants, provider)
    clock.advance(4000)
    provider.live.clear()
    assert await grants.fresh_grant(record) is None
    assert (await stored(grants, record)).data == b""
    assert await grants.sessions.resume(token) is not None, "they stay signed in"


async def test_a_provider_that_fails_for_a_while_loses_nothing(
    grants: Grants, provider: Issuing, clock: ManualClock
) -> None:
    _, record = await signed_in(grants, provider)
    provider.fails = UpstreamError("down")
    clock.advance(3550)
    found = await grants.fresh_grant(record)
    assert found is not None
    assert found.access_token == "access-0", "it still works"
    clock.advance(50)
    with pytest.raises(UpstreamError, match="down"):
        await grants.fresh_grant(record)
    provider.fails = None
    found = await grants.fresh_grant(record)
    assert found is not None
    assert found.access_token == "access-1"


async def test_a_refresh_that_comes_too_late_brings_no_session_back(
    grants: Grants, provider: Issuing, clock: ManualClock
) -> None:
    token, record = await signed_in(grants, provider)
    clock.advance(4000)

    leaving = Leaving(clock, token=token, sessions=grants.sessions)
    leaving.live = provider.live
    late = evolve(grants, providers=[leaving], sender=leaving)
    assert await late.fresh_grant(record) is None
    assert await grants.sessions.resume(token) is None
    assert await grants.sessions.store.load(record.id_hash) is None
    assert leaving.revoked == ["access-1"]


async def test_a_session_that_ended_before_is_not_refreshed(
    grants: Grants, provider: Issuing, clock: ManualClock
) -> None:
    token, record = await signed_in(grants, provider)
    clock.advance(4000)
    await grants.sessions.end(token)
    assert await grants.fresh_grant(record) is None
    assert provider.refreshed == 0


async def test_the_end_of_a_session_revokes_its_tokens(grants: Grants, provider: Issuing) -> None:
    _, record = await signed_in(grants, provider)
    await grants.revoke(record)
    assert provider.revoked == ["access-0"]


async def test_a_token_that_has_expired_is_revoked_with_the_one_that_would_follow(
    grants: Grants, provider: Issuing, clock: ManualClock
) -> None:
    _, record = await signed_in(grants, provider)
    clock.advance(4000)
    await grants.revoke(record)
    assert provider.revoked == ["access-1"]
    await grants.revoke(record)  # its refresh token is spent: nothing is left to revoke
    assert provider.revoked == ["access-1"]


async def test_a_provider_that_can_t_be_told_is_logged_and_no_more(
    grants: Grants, provider: Issuing, caplog: pytest.LogCaptureFixture
) -> None:
    _, record = await signed_in(grants, provider)
    provider.fails = UpstreamError("The provider is down.")
    with caplog.at_level(logging.WARNING, "openbolt"):
        await grants.revoke(record)
    assert "Tokens of github could not be revoked: The provider is down." in caplog.text
    assert "access-0" not in caplog.text

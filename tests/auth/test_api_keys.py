"""API keys: made once, known by their hash, and worth nothing the moment they are revoked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from openbolt import Principal, Settings
from openbolt.auth.api_keys import ApiKey, ApiKeys
from openbolt.auth.tokens import hash_of
from openbolt.clock import SystemTokens
from openbolt.errors import ConflictError, ForbiddenError, InvalidRequestError
from openbolt.protocols import KVLimits
from openbolt.testing import ManualClock
from openbolt_local.memory import MemoryKeyValueStore
from tests.faults import keys_of

HOUR, DAY = 3600.0, 86_400.0
ANN = Principal("ann")


@pytest.fixture
def keys(kv: MemoryKeyValueStore, clock: ManualClock, settings: Settings) -> ApiKeys:
    return ApiKeys(kv, clock, SystemTokens(), settings)


async def make(keys: ApiKeys, by: Principal = ANN, **options: object) -> tuple[str, ApiKey]:
    return await keys.create(by, **{"name": "k", "scopes": ("chat",), **options})


async def test_a_key_is_found_by_what_was_shown(keys: ApiKeys, clock: ManualClock) -> None:
    secret, key = await keys.create(ANN, name="CI", scopes=("admin", "chat", "chat"))
    assert key == ApiKey(
        key.id, "ann", "CI", ("chat", "admin"), secret[:8], clock.now(), None, None
    )
    found = await keys.authenticate(secret)
    assert found is not None
    assert (found.id, found.last_used_at) == (key.id, clock.now())
    assert key.principal == Principal("ann", scopes=frozenset({"chat", "admin"}), api_key=key.id)


async def test_the_key_itself_is_stored_nowhere(keys: ApiKeys, kv: MemoryKeyValueStore) -> None:
    secret, key = await make(keys)
    await keys.authenticate(secret)
    names = await keys_of(kv, "user:ann/", f"apikey:{hash_of(secret)}/")
    assert names == [
        f"apikey:{hash_of(secret)}/key",
        f"apikey:{hash_of(secret)}/used",
        f"user:ann/keys/{key.id}",
    ]
    stored = [repr(await kv.get(name)) for name in names]
    body = secret[8:]
    assert not [text for text in [*names, *stored, repr(key)] if body in text]


async def test_every_key_differs(keys: ApiKeys) -> None:
    made = [await make(keys) for _ in range(20)]
    assert len({secret for secret, _ in made}) == len({key.id for _, key in made}) == 20


async def test_a_changed_key_is_refused_without_being_looked_up(clock: ManualClock) -> None:
    class Unasked(MemoryKeyValueStore):
        async def get(self, key: str, /) -> bytes | None:
            assert not key.startswith("apikey:")
            return await super().get(key)

    secret, _ = await make(ApiKeys(MemoryKeyValueStore(clock), clock, SystemTokens(), Settings()))
    keys = ApiKeys(Unasked(clock), clock, SystemTokens(), Settings())
    for at in range(len(secret)):
        changed = secret[:at] + ("b" if secret[at] != "b" else "c") + secret[at + 1 :]
        assert await keys.authenticate(changed) is None
    for text in ("", "obk_", secret[:-7], secret.upper(), f"{secret} ", secret * 2, "\ud800"):
        assert await keys.authenticate(text) is None


async def test_a_revoked_key_is_worth_nothing_at_once(
    keys: ApiKeys, kv: MemoryKeyValueStore
) -> None:
    secret, key = await make(keys)
    assert await keys.authenticate(secret) is not None
    assert await keys.revoke("ann", key.id) is True
    assert await keys.authenticate(secret) is None
    assert await keys.list("ann") == []
    assert await keys.revoke("ann", key.id) is False
    assert await keys_of(kv, "user:ann/", f"apikey:{hash_of(secret)}/") == []


async def test_a_key_that_is_revoked_while_it_is_used_stays_revoked(clock: ManualClock) -> None:
    class Revoking(MemoryKeyValueStore):
        async def set(self, key: str, value: bytes, /, *, ttl: float | None = None) -> None:
            if key.endswith("/used"):
                await keys.revoke("ann", known.id)
            await super().set(key, value, ttl=ttl)

    keys = ApiKeys(Revoking(clock), clock, SystemTokens(), Settings())
    secret, known = await make(keys)
    await keys.authenticate(secret)
    assert await keys.authenticate(secret) is None
    assert await keys.list("ann") == []


async def test_a_key_that_fails_to_be_made_authenticates_nobody_and_is_not_listed(
    clock: ManualClock,
) -> None:
    """Its place in the list comes first: none works that its owner can't see."""

    class Failing(MemoryKeyValueStore):
        async def set(self, key: str, value: bytes, /, *, ttl: float | None = None) -> None:
            if key.startswith("apikey:"):
                assert len(await keys_of(self, "user:ann/keys/")) == 1
                raise OSError
            await super().set(key, value, ttl=ttl)

    keys = ApiKeys(Failing(clock), clock, SystemTokens(), Settings())
    with pytest.raises(OSError):  # noqa: PT011
        await make(keys)
    assert await keys.list("ann") == []


async def test_keys_are_their_user_s_alone(keys: ApiKeys) -> None:
    secret, key = await make(keys)
    assert await keys.list("bob") == []
    assert await keys.find("bob", key.id) is None
    assert await keys.revoke("bob", key.id) is False
    assert await keys.authenticate(secret) is not None


@pytest.mark.parametrize("wanted", ["", "..", "../../ann/keys/x", "a" * 600, "\0", "caf\u00e9"])
async def test_what_is_no_id_of_a_key_is_not_looked_for(keys: ApiKeys, wanted: str) -> None:
    await make(keys)
    assert await keys.revoke("ann", wanted) is False
    assert len(await keys.list("ann")) == 1


async def test_a_key_ends_when_its_time_is_over(
    keys: ApiKeys, kv: MemoryKeyValueStore, clock: ManualClock
) -> None:
    secret, _ = await make(keys, expires_at=clock.now() + HOUR)
    clock.advance(HOUR - 0.25)
    assert await keys.authenticate(secret) is not None
    clock.advance(0.25)
    assert await keys.authenticate(secret) is None
    assert await keys.list("ann") == []
    assert await keys_of(kv, "user:ann/", f"apikey:{hash_of(secret)}/") == []


async def test_a_key_ends_in_time_where_the_store_keeps_it_longer(clock: ManualClock) -> None:
    kv = MemoryKeyValueStore(clock, limits=KVLimits(min_ttl=60))
    keys = ApiKeys(kv, clock, SystemTokens(), Settings())
    secret, key = await make(keys, expires_at=clock.now() + 10)
    clock.advance(9)
    assert await keys.authenticate(secret) is not None
    clock.advance(1)
    assert await keys.authenticate(secret) is None
    assert await keys.find("ann", key.id) is None


async def test_a_key_is_not_made_for_the_past(keys: ApiKeys, clock: ManualClock) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await make(keys, expires_at=clock.now())
    assert caught.value.field == "expiresAt"


async def test_last_use_is_written_once_a_minute(clock: ManualClock) -> None:
    class Counting(MemoryKeyValueStore):
        writes = 0

        async def set(self, key: str, value: bytes, /, *, ttl: float | None = None) -> None:
            self.writes += key.endswith("/used")
            await super().set(key, value, ttl=ttl)

    kv = Counting(clock)
    keys = ApiKeys(kv, clock, SystemTokens(), Settings())
    secret, key = await make(keys)
    for _ in range(30):
        clock.advance(5)
        await keys.authenticate(secret)
    assert kv.writes == 3
    found = await keys.find("ann", key.id)
    assert found is not None
    assert found.last_used_at == key.created_at + 125


async def test_keys_are_listed_the_newest_first(keys: ApiKeys, clock: ManualClock) -> None:
    made: list[ApiKey] = []
    for _ in range(3):
        made.insert(0, (await make(keys))[1])
        clock.advance(1)
    assert await keys.list("ann") == made


async def test_all_keys_of_a_user_are_revoked_and_nobody_else_s(
    keys: ApiKeys, kv: MemoryKeyValueStore
) -> None:
    secrets = [(await make(keys))[0] for _ in range(3)]
    theirs, _ = await make(keys, Principal("bob"))
    assert await keys.revoke_all("ann") == 3
    assert [await keys.authenticate(secret) for secret in secrets] == [None] * 3
    assert await keys_of(kv, "user:ann/") == []
    assert await keys.authenticate(theirs) is not None


@pytest.mark.parametrize("settings", [Settings(max_api_keys_per_user=2)])
async def test_no_key_is_made_beyond_the_cap(keys: ApiKeys, clock: ManualClock) -> None:
    _, first = await make(keys)
    await make(keys, expires_at=clock.now() + HOUR)
    with pytest.raises(ConflictError, match="2 API keys") as caught:
        await make(keys)
    assert caught.value.code == "too_many_keys"
    assert len(await keys.list("ann")) == 2
    await make(keys, Principal("bob"))
    clock.advance(HOUR)
    await make(keys)
    await keys.revoke("ann", first.id)
    await make(keys)


class Slow(MemoryKeyValueStore):
    """Lets others go first at every call."""

    async def get(self, key: str, /) -> bytes | None:
        await asyncio.sleep(0)
        return await super().get(key)

    async def set(self, key: str, value: bytes, /, *, ttl: float | None = None) -> None:
        await asyncio.sleep(0)
        await super().set(key, value, ttl=ttl)

    async def scan(self, prefix: str, /) -> AsyncIterator[str]:
        async for key in super().scan(prefix):
            await asyncio.sleep(0)
            yield key


async def test_the_cap_holds_for_any_number_of_requests_at_once(clock: ManualClock) -> None:
    keys = ApiKeys(Slow(clock), clock, SystemTokens(), Settings(max_api_keys_per_user=3))
    made = await asyncio.gather(*(make(keys) for _ in range(20)), return_exceptions=True)
    assert all(isinstance(each, tuple | ConflictError) for each in made)
    assert len(await keys.list("ann")) <= 3


async def test_a_key_gives_no_scope_that_it_lacks(keys: ApiKeys) -> None:
    _, own = await make(keys, scopes=("admin", "chat"))
    _, made = await make(keys, own.principal, scopes=("chat",))
    assert (made.user_id, made.scopes) == ("ann", ("chat",))
    for scopes in (("projects",), ("chat", "proxy"), ("admin", "chat", "projects", "proxy")):
        with pytest.raises(ForbiddenError, match="'pro") as caught:
            await make(keys, own.principal, scopes=scopes)
        assert caught.value.code == "scope_missing"
    assert len(await keys.list("ann")) == 2


async def test_a_key_makes_none_that_outlives_it(keys: ApiKeys, clock: ManualClock) -> None:
    _, own = await make(keys, scopes=("admin",), expires_at=clock.now() + DAY)
    await make(keys, own.principal, scopes=("admin",), expires_at=clock.now() + DAY)
    for end in (None, clock.now() + DAY + 1):
        with pytest.raises(ForbiddenError, match="outlives") as caught:
            await make(keys, own.principal, scopes=("admin",), expires_at=end)
        assert caught.value.code == "expiry_missing"
    assert len(await keys.list("ann")) == 2


async def test_a_key_that_never_ends_makes_others_that_don_t(keys: ApiKeys) -> None:
    _, own = await make(keys, scopes=("admin",))
    _, made = await make(keys, own.principal, scopes=("admin",))
    assert made.expires_at is None


async def test_a_key_that_was_revoked_meanwhile_makes_none(
    keys: ApiKeys, clock: ManualClock
) -> None:
    _, own = await make(keys, scopes=("admin",))
    await keys.revoke("ann", own.id)
    for end in (None, clock.now() + DAY):
        with pytest.raises(ForbiddenError):
            await make(keys, own.principal, scopes=("admin",), expires_at=end)
    assert await keys.list("ann") == []

"""An attempt in its cookie: worth something once, in one browser, for one provider, for a while."""

from __future__ import annotations

import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbolt import Settings
from openbolt.auth.cookies import MAX_COOKIE_BYTES
from openbolt.auth.pkce import challenge_of
from openbolt.auth.redirects import MAX_RETURN_TO
from openbolt.auth.sign_in_state import PendingSignIn, SignInAttempts
from openbolt.clock import SystemTokens
from openbolt.errors import StateMismatchError
from openbolt.protocols import AtomicKeyValueStore, KVLimits
from openbolt.testing import ManualClock
from openbolt_local.crypto import AesGcmCipher, generate_key
from openbolt_local.memory import MemoryKeyValueStore

KEY = generate_key()
URI = "https://app.example/api/auth/github/callback"


@pytest.fixture(params=[True, False], ids=["atomic", "not-atomic"])
def kv(request: pytest.FixtureRequest, clock: ManualClock) -> AtomicKeyValueStore | None:
    return MemoryKeyValueStore(clock) if request.param else None


@pytest.fixture
def attempts(clock: ManualClock, kv: AtomicKeyValueStore | None) -> SignInAttempts:
    return make(clock, kv)


def make(
    clock: ManualClock, kv: AtomicKeyValueStore | None = None, *, key: str = KEY
) -> SignInAttempts:
    return SignInAttempts(
        AesGcmCipher([key]), clock, SystemTokens(), Settings(sign_in_ttl=600.0), kv
    )


async def begin(attempts: SignInAttempts, provider: str = "github") -> tuple[PendingSignIn, str]:
    attempt, cookie = await attempts.begin(provider, redirect_uri=URI, return_to="/chat?x=1")
    return PendingSignIn(attempt, "/chat?x=1", attempts.clock.now() + 600.0), cookie


async def refused(
    attempts: SignInAttempts, cookie: str | None, *, state: str, provider: str = "github"
) -> str:
    with pytest.raises(StateMismatchError) as caught:
        await attempts.resume(cookie, provider=provider, state=state)
    return caught.value.code


async def test_what_was_begun_comes_back_whole(attempts: SignInAttempts) -> None:
    pending, cookie = await begin(attempts)
    state = pending.attempt.state
    assert await attempts.resume(cookie, provider="github", state=state) == pending


async def test_every_attempt_has_its_own_secrets(attempts: SignInAttempts) -> None:
    made = [(await begin(attempts))[0].attempt for _ in range(5)]
    values = [value for one in made for value in (one.state, one.verifier, one.nonce)]
    assert len(set(values)) == 15
    assert all(len(value) == 52 for value in values)  # 256 bits in base32
    for one in made:
        challenge_of(one.verifier)


async def test_the_cookie_shows_nothing_and_fits(attempts: SignInAttempts) -> None:
    attempt, cookie = await attempts.begin(
        "github", redirect_uri=URI, return_to="/" + "a" * (MAX_RETURN_TO - 1)
    )
    raw = urlsafe_b64decode(cookie + "=" * (-len(cookie) % 4))
    for secret in (attempt.state, attempt.verifier, attempt.nonce, URI, "aaaa"):
        assert secret.encode() not in raw
    assert len(cookie) < MAX_COOKIE_BYTES - 600
    assert not {*cookie} - {*"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"}


async def test_a_callback_is_worth_nothing_without_the_cookie_that_it_belongs_to(
    attempts: SignInAttempts,
) -> None:
    hers, her_cookie = await begin(attempts)
    his, his_cookie = await begin(attempts)
    for cookie in (None, "", "x", his_cookie):
        assert await refused(attempts, cookie, state=hers.attempt.state) == "state_mismatch"
    for state in ("", "x", hers.attempt.state[:-1], hers.attempt.state.upper(), "\ud800", "é"):
        assert await refused(attempts, her_cookie, state=state) == "state_mismatch"
    # None of that spent anything.
    await attempts.resume(her_cookie, provider="github", state=hers.attempt.state)
    await attempts.resume(his_cookie, provider="github", state=his.attempt.state)


async def test_a_callback_of_another_provider_is_a_mix_up(attempts: SignInAttempts) -> None:
    pending, cookie = await begin(attempts, "oidc")
    code = await refused(attempts, cookie, state=pending.attempt.state, provider="github")
    assert code == "state_mismatch"


async def test_an_attempt_ends_with_its_time(attempts: SignInAttempts, clock: ManualClock) -> None:
    pending, cookie = await begin(attempts)
    clock.advance(599.5)
    await attempts.resume(cookie, provider="github", state=pending.attempt.state)
    late, cookie = await begin(attempts)
    clock.advance(600)
    assert await refused(attempts, cookie, state=late.attempt.state) == "sign_in_expired"


@pytest.mark.parametrize("kv", [True], indirect=True)
async def test_where_there_is_something_atomic_a_callback_works_once_of_any_number(
    attempts: SignInAttempts, clock: ManualClock
) -> None:
    pending, cookie = await begin(attempts)
    state = pending.attempt.state
    tries = [attempts.resume(cookie, provider="github", state=state) for _ in range(8)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert results.count(pending) == 1
    assert sum(isinstance(result, StateMismatchError) for result in results) == 7
    for later in (0.0, 300.0, 599.0 - 300.0):
        clock.advance(later)
        assert await refused(attempts, cookie, state=state) == "state_mismatch"
    clock.advance(5)
    assert await refused(attempts, cookie, state=state) == "sign_in_expired"


async def test_what_is_spent_is_stored_without_being_told_and_for_no_longer_than_needed(
    clock: ManualClock,
) -> None:
    kv = MemoryKeyValueStore(clock, limits=KVLimits(min_ttl=900.0))
    attempts = make(clock, kv)
    pending, cookie = await begin(attempts)
    await attempts.resume(cookie, provider="github", state=pending.attempt.state)
    (key,) = kv._partitions  # what is in the store, whatever it is called
    assert key.startswith("sign-in:")
    assert pending.attempt.state not in key
    clock.advance(901)
    assert await kv.get(f"{key}/spent") is None


async def test_a_cookie_of_another_server_s_keys_is_none(clock: ManualClock) -> None:
    theirs = make(clock, key=generate_key())
    pending, cookie = await begin(theirs)
    assert await refused(make(clock), cookie, state=pending.attempt.state) == "state_mismatch"


async def test_a_ciphertext_made_for_something_else_is_none(attempts: SignInAttempts) -> None:
    pending, cookie = await begin(attempts)
    plain = await attempts.cipher.decrypt(
        urlsafe_b64decode(cookie + "=" * (-len(cookie) % 4)), context=b"openbolt sign-in"
    )
    sealed = await attempts.cipher.encrypt(plain, context=b"openbolt grant\0x")
    moved = urlsafe_b64encode(sealed).rstrip(b"=").decode()
    assert await refused(attempts, moved, state=pending.attempt.state) == "state_mismatch"


ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"


@given(at=st.integers(min_value=0), to=st.sampled_from([*ALPHABET, "=", "+", "/", ".", "é", ""]))
async def test_a_cookie_with_any_character_changed_is_none(at: int, to: str) -> None:
    attempts = make(ManualClock())
    pending, cookie = await begin(attempts)
    at %= len(cookie)
    changed = cookie[:at] + to + cookie[at + 1 :]
    if changed == cookie or _same_bytes(changed, cookie):
        return
    assert await refused(attempts, changed, state=pending.attempt.state) == "state_mismatch"


def _same_bytes(one: str, other: str) -> bool:
    """Whether two texts are one value: the last character of base64 has bits to spare."""
    try:
        read = [urlsafe_b64decode(text + "=" * (-len(text) % 4)) for text in (one, other)]
    except ValueError:
        return False
    return read[0] == read[1]


@given(
    text=st.text(max_size=60) | st.binary(max_size=60).map(lambda b: urlsafe_b64encode(b).decode())
)
async def test_what_was_never_a_cookie_of_ours_is_none(text: str) -> None:
    assert await refused(make(ManualClock()), text, state="x") == "state_mismatch"

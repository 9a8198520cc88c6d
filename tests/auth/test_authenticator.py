"""Who is asking: one credential decides, and a bad one never falls back to another."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbolt import Headers, Principal, Request, RequestContext, Settings
from openbolt.access import LocalUser, SharedPassword
from openbolt.auth.authenticator import KeysOr, SignedInUsers
from openbolt.auth.sessions import public_id
from openbolt.errors import UnauthenticatedError
from openbolt.http import EMPTY_BODY
from openbolt.protocols import Authenticator
from openbolt.testing import ManualClock
from tests.auth.asking import House
from tests.handlers.building import ByHeader, Caller

COOKIE = "openbolt-session"
INVALID = 'Bearer error="invalid_token"'


@pytest.fixture
def users(house: House) -> SignedInUsers:
    return SignedInUsers(house.sessions, house.keys)


def asked(*fields: tuple[str, str], scheme: str = "http", host: str = "localhost:8787") -> Request:
    context = RequestContext(spawn=lambda work: work.close())
    headers = Headers([("host", host), *fields])
    return Request("GET", "/", headers, EMPTY_BODY, context, scheme=scheme)


def bearing(text: str) -> tuple[str, str]:
    return ("authorization", f"Bearer {text}")


def holding(token: str, name: str = COOKIE) -> tuple[str, str]:
    return ("cookie", f"{name}={token}")


async def refused(authenticator: Authenticator, *fields: tuple[str, str]) -> None:
    with pytest.raises(UnauthenticatedError, match="not valid") as caught:
        await authenticator.authenticate(asked(*fields))
    assert caught.value.challenge == INVALID


async def key_of(house: House, user: str = "ann", **options: object) -> str:
    wanted = {"name": "k", "scopes": ("chat",), **options}
    return (await house.keys.create(Principal(user), **wanted))[0]


async def test_nobody_asks_without_a_credential(users: SignedInUsers) -> None:
    assert await users.authenticate(asked()) is None


async def test_a_cookie_is_its_user_with_every_right(users: SignedInUsers, house: House) -> None:
    token, record = await house.sessions.start("ann")
    assert await users.authenticate(asked(holding(token))) == Principal(
        "ann", scopes=None, session=public_id(record)
    )


async def test_a_key_is_its_user_within_its_scopes(users: SignedInUsers, house: House) -> None:
    key, known = await house.keys.create(
        Principal("ann"), name="k", scopes=("projects", "chat"), expires_at=None
    )
    assert await users.authenticate(asked(bearing(key))) == Principal(
        "ann", scopes=frozenset({"chat", "projects"}), api_key=known.id
    )


async def test_where_both_come_the_key_decides_and_the_session_isn_t_used(
    users: SignedInUsers, house: House
) -> None:
    token, record = await house.sessions.start("bob")
    key = await key_of(house)
    house.clock.advance(3600)
    found = await users.authenticate(asked(holding(token), bearing(key)))
    assert found is not None
    assert (found.user_id, found.session) == ("ann", None)
    assert await house.sessions.list("bob") == [record]


@pytest.mark.parametrize(
    "scheme", ["Bearer", "bearer", "BEARER", "Bearer  ", "Bearer\t", " Bearer"]
)
async def test_a_bearer_is_one_however_it_is_written(
    users: SignedInUsers, house: House, scheme: str
) -> None:
    token, _ = await house.sessions.start("bob")
    key = await key_of(house)
    found = await users.authenticate(asked(holding(token), ("authorization", f"{scheme} {key} ")))
    assert found is not None
    assert found.user_id == "ann"
    await refused(users, holding(token), ("authorization", f"{scheme} {key}x"))


@pytest.mark.parametrize("bearer", ["", "x", "obk_", "a.b.c", "obk_" + "a" * 52 + "_aaaaaa"])
async def test_a_bad_bearer_is_refused_though_a_good_cookie_came_along(
    users: SignedInUsers, house: House, bearer: str
) -> None:
    token, _ = await house.sessions.start("ann")
    await refused(users, holding(token), bearing(bearer))
    await refused(users, bearing(bearer))


async def test_a_session_s_id_is_no_bearer_and_a_key_is_no_cookie(
    users: SignedInUsers, house: House
) -> None:
    token, record = await house.sessions.start("ann")
    key = await key_of(house)
    await refused(users, bearing(token))
    for text in (key, record.id_hash, public_id(record)):
        assert await users.authenticate(asked(holding(text))) is None


async def test_two_authorizations_are_refused(users: SignedInUsers, house: House) -> None:
    first, second = await key_of(house), await key_of(house, "bob")
    await refused(users, bearing(first), bearing(second))
    await refused(users, bearing(first), bearing(first))
    await refused(users, ("authorization", "Basic eDp5"), bearing(first))
    await refused(users, bearing(first), ("authorization", "Basic eDp5"))


async def test_a_key_that_expired_or_was_revoked_is_refused_in_the_same_words(
    users: SignedInUsers, house: House, clock: ManualClock
) -> None:
    expiring = await key_of(house, expires_at=clock.now() + 60)
    revoked, known = await house.keys.create(Principal("ann"), name="k", scopes=("chat",))
    assert await users.authenticate(asked(bearing(expiring))) is not None
    await house.keys.revoke("ann", known.id)
    clock.advance(60)
    await refused(users, bearing(expiring))
    await refused(users, bearing(revoked))


async def test_a_cookie_that_comes_twice_is_nobody(users: SignedInUsers, house: House) -> None:
    """Tossing: somebody's own session before or behind the true one."""
    mine, _ = await house.sessions.start("ann")
    theirs, _ = await house.sessions.start("mallory")
    for first, second in ((mine, theirs), (theirs, mine), (mine, mine)):
        line = f"{COOKIE}={first}; {COOKIE}={second}"
        assert await users.authenticate(asked(("cookie", line))) is None


async def test_over_tls_the_plain_cookie_is_nobody(users: SignedInUsers, house: House) -> None:
    """A neighbouring host can set the plain name for ours, the prefixed one it can't."""
    mine, _ = await house.sessions.start("ann")
    theirs, _ = await house.sessions.start("mallory")
    tls = {"scheme": "https", "host": "app.example.com"}
    assert await users.authenticate(asked(holding(theirs), **tls)) is None
    both = f"{COOKIE}={theirs}; __Host-{COOKIE}={mine}"
    found = await users.authenticate(asked(("cookie", both), **tls))
    assert found is not None
    assert found.user_id == "ann"
    assert await users.authenticate(asked(holding(mine, f"__Host-{COOKIE}"))) is None


async def test_a_cookie_after_sign_out_is_nobody(users: SignedInUsers, house: House) -> None:
    token, _ = await house.sessions.start("ann")
    await house.sessions.end(token)
    assert await users.authenticate(asked(holding(token))) is None


async def test_another_scheme_says_nothing(users: SignedInUsers, house: House) -> None:
    token, _ = await house.sessions.start("ann")
    for said in ("Basic eDp5", "Digest x", "Bearerx y", "", "Basic x, Bearer y"):
        found = await users.authenticate(asked(holding(token), ("authorization", said)))
        assert found is not None
        assert await users.authenticate(asked(("authorization", said))) is None


@given(st.text(), st.text())
async def test_no_header_is_an_error_or_somebody(authorization: str, cookie: str) -> None:
    house = House.of(ManualClock(), Settings())
    users = SignedInUsers(house.sessions, house.keys)
    request = asked(("authorization", authorization), ("cookie", cookie))
    found, challenge = None, INVALID
    try:
        found = await users.authenticate(request)
    except UnauthenticatedError as error:
        challenge = error.challenge or ""
    assert (found, challenge) == (None, INVALID)


async def test_over_http_a_bad_key_is_a_401_with_a_challenge(house: House) -> None:
    call = Caller(house.handler())
    answer = await call("GET", "/me", user=None, headers={"authorization": "Bearer obk_x"})
    assert answer.error == (401, "unauthenticated", None)
    assert answer.headers.get("www-authenticate") == INVALID


async def test_keys_come_before_another_authenticator(house: House) -> None:
    both = KeysOr(ByHeader(), house.keys)
    key = await key_of(house)
    theirs = ("x-test-user", "bob")
    found = await both.authenticate(asked(theirs, bearing(key)))
    assert found is not None
    assert found.user_id == "ann"
    assert await both.authenticate(asked(theirs)) == Principal("bob")
    assert await both.authenticate(asked()) is None
    await refused(both, theirs, bearing(key[:-1]))


async def test_bearers_that_aren_t_ours_are_the_other_authenticator_s(house: House) -> None:
    both = KeysOr(ByHeader(), house.keys)
    assert await both.authenticate(asked(("x-test-user", "bob"), bearing("a.b.c"))) == (
        Principal("bob")
    )


async def test_the_shared_password_is_asked_for_as_before(house: House) -> None:
    alone = SharedPassword("secret")
    both = KeysOr(alone, house.keys)
    right = ("authorization", "Basic " + base64.b64encode(b"x:secret").decode())
    wrong = ("authorization", "Basic " + base64.b64encode(b"x:other").decode())
    assert await both.authenticate(asked(right)) == await alone.authenticate(asked(right))
    for fields in ((), (wrong,), (bearing("a.b.c"),)):
        with pytest.raises(UnauthenticatedError) as caught:
            await both.authenticate(asked(*fields))
        assert caught.value.challenge == 'Basic realm="openbolt", charset="UTF-8"'


async def test_a_password_and_a_key_at_once_are_refused(house: House) -> None:
    both = KeysOr(SharedPassword("secret"), house.keys)
    right = ("authorization", "Basic " + base64.b64encode(b"x:secret").decode())
    key = bearing(await key_of(house))
    await refused(both, right, key)
    await refused(both, key, right)


async def test_a_bad_key_is_refused_where_everybody_else_is_the_local_user(house: House) -> None:
    both = KeysOr(LocalUser(), house.keys)
    assert await both.authenticate(asked()) == LocalUser().principal
    await refused(both, bearing("obk_x"))

"""Profiles: one for each person, whatever changes about them."""

from __future__ import annotations

import re

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from openbolt.auth.identity import Identity
from openbolt.auth.users import User, UserStore, user_id_of
from openbolt.errors import UpstreamError
from openbolt_local.memory import MemoryKeyValueStore
from tests.faults import keys_of

ANN = Identity(
    provider="github",
    subject="583231",
    login="Ann",
    name="Ann Example",
    email="ann@corp.example",
    email_verified=True,
    avatar_url="https://avatars.example/1",
)


async def test_somebody_new_is_remembered_under_their_id(kv: MemoryKeyValueStore) -> None:
    users = UserStore(kv)
    assert await users.load("github.583231") is None
    user = await users.signed_in(ANN, now=1.0)
    assert user == User(
        id="github.583231",
        provider="github",
        name="Ann Example",
        login="Ann",
        email="ann@corp.example",
        avatar_url="https://avatars.example/1",
        created_at=1.0,
        signed_in_at=1.0,
    )
    assert await users.load("github.583231") == user
    assert await keys_of(kv, "user:github.583231/") == ["user:github.583231/profile"]


async def test_whoever_comes_again_is_the_same_with_what_is_known_now(
    kv: MemoryKeyValueStore,
) -> None:
    users = UserStore(kv)
    await users.signed_in(ANN, now=1.0)
    renamed = evolve(ANN, login="Anna", name="Anna", email="new@corp.example", avatar_url="")
    user = await users.signed_in(renamed, now=5.0)
    assert (user.id, user.created_at, user.signed_in_at) == ("github.583231", 1.0, 5.0)
    assert (user.login, user.email, user.avatar_url) == ("Anna", "new@corp.example", "")


async def test_a_login_that_somebody_else_took_over_leads_to_somebody_else(
    kv: MemoryKeyValueStore,
) -> None:
    users = UserStore(kv)
    await users.signed_in(ANN, now=1.0)
    other = await users.signed_in(evolve(ANN, subject="99"), now=2.0)
    assert other.id == "github.99"
    assert (await users.load("github.583231") or other).signed_in_at == 1.0


async def test_an_address_that_isn_t_verified_is_not_kept(kv: MemoryKeyValueStore) -> None:
    user = await UserStore(kv).signed_in(evolve(ANN, email_verified=False), now=1.0)
    assert user.email == ""


@given(name=st.text(), login=st.text(), email=st.text(), avatar_url=st.text())
def test_a_profile_is_read_as_it_was_written(
    name: str, login: str, email: str, avatar_url: str
) -> None:
    user = User("github.1", "github", name, login, email, avatar_url, 1.0, 2.5)
    assert User.from_bytes(user.to_bytes()) == user


@given(provider=st.text(max_size=40), subject=st.text(max_size=100))
def test_an_id_is_fit_for_keys_or_there_is_none(provider: str, subject: str) -> None:
    try:
        user_id = user_id_of(Identity(provider, subject))
    except UpstreamError:
        return
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,128}", user_id)


@given(
    one=st.tuples(
        st.from_regex(r"[a-z0-9]{1,32}", fullmatch=True),
        st.from_regex(r"[a-z0-9._-]{1,90}", fullmatch=True),
    ),
    other=st.tuples(
        st.from_regex(r"[a-z0-9]{1,32}", fullmatch=True),
        st.from_regex(r"[a-z0-9._-]{1,90}", fullmatch=True),
    ),
)
def test_different_people_have_different_ids(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (user_id_of(Identity(*one)) == user_id_of(Identity(*other))) == (one == other)


@pytest.mark.parametrize("subject", ["", "a/b", "../x", "a b", "é", "1\n", "x" * 91])
def test_a_subject_that_can_be_no_id_is_the_provider_s_error(subject: str) -> None:
    with pytest.raises(UpstreamError):
        user_id_of(Identity("github", subject))

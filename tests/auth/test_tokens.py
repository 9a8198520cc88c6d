"""Credentials: how much chance is in them, and that nothing but the exact text is one."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from openbolt.auth.tokens import (
    api_key_hash,
    hash_of,
    new_api_key,
    new_session_token,
    session_hash,
)
from openbolt.clock import SystemTokens
from openbolt.testing import SequenceTokens

BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
KEY = "obk_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaq_vv6kgf"


class Sized:
    """A `TokenSource` that says how much it was asked for."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def token(self, size: int = 16, /) -> str:
        self.sizes.append(size)
        return SystemTokens().token(size)


def keys() -> st.SearchStrategy[str]:
    return st.integers(0, 2**256 - 1).map(lambda n: new_api_key(SequenceTokens(n)))


def test_a_credential_has_256_random_bits() -> None:
    tokens = Sized()
    made = {new_session_token(tokens) for _ in range(50)} | {new_api_key(tokens) for _ in range(50)}
    assert len(made) == 100
    assert tokens.sizes == [32] * 100
    assert all(session_hash(text) or api_key_hash(text) for text in made)


def test_a_credential_is_known_by_its_sha256() -> None:
    token, key = new_session_token(SequenceTokens()), new_api_key(SequenceTokens())
    assert session_hash(token) == sha256(token.encode()).hexdigest() == hash_of(token)
    assert api_key_hash(key) == sha256(key.encode()).hexdigest() == hash_of(key)


def test_a_key_is_written_as_documented() -> None:
    assert new_api_key(SequenceTokens()) == KEY


@given(st.text() | st.text(BASE32 + "obk_", max_size=70))
def test_no_text_is_an_error_and_what_is_no_credential_has_no_hash(text: str) -> None:
    assert session_hash(text) in {None, hash_of(text)}
    assert api_key_hash(text) in {None, hash_of(text)}
    if len(text) != 52:
        assert session_hash(text) is None
    if not text.startswith("obk_"):
        assert api_key_hash(text) is None


def test_every_change_of_one_character_is_refused() -> None:
    """All of them: the checksum of CRC-32's low 30 bits has no blind spot."""
    refused = 0
    for at, old in enumerate(KEY):
        for new in BASE32 + "01890AZ_-=\u00e9 ":
            if new != old:
                assert api_key_hash(KEY[:at] + new + KEY[at + 1 :]) is None
                refused += 1
    assert refused > 2500


@given(keys(), st.data())
def test_a_change_of_one_character_of_any_key_is_refused(key: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(key) - 1))
    new = data.draw(st.sampled_from(BASE32) | st.characters())
    assume(new != key[at])
    assert api_key_hash(key[:at] + new + key[at + 1 :]) is None


@given(keys(), st.data())
def test_characters_that_changed_places_are_refused(key: str, data: st.DataObject) -> None:
    first, second = sorted(data.draw(st.tuples(*[st.integers(0, len(key) - 1)] * 2)))
    assume(key[first] != key[second])
    swapped = list(key)
    swapped[first], swapped[second] = swapped[second], swapped[first]
    assert api_key_hash("".join(swapped)) is None


@given(keys(), st.data())
def test_a_key_cut_or_with_something_added_is_refused(key: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(key) - 1))
    more = data.draw(st.text(min_size=1, max_size=3))
    assert api_key_hash(key) is not None
    assert api_key_hash(key[:at]) is None
    assert api_key_hash(key[:at] + key[at + 1 :]) is None
    assert api_key_hash(key[:at] + more + key[at:]) is None


@pytest.mark.parametrize(
    "change", [str.upper, str.title, lambda t: f"{t}\n", lambda t: f" {t}", lambda t: t * 2]
)
def test_a_session_s_id_is_taken_exactly(change: object) -> None:
    token = new_session_token(SystemTokens())
    assert session_hash(token) is not None
    assert session_hash(change(token)) is None  # type: ignore[operator]

"""Secrets in an answer's body, however its chunks are cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from openbolt.proxy.streaming import SecretMask

SECRETS = ("abababab", "ababcabab", "sk-0123456789")
BODY = st.lists(
    st.sampled_from([*SECRETS, "ab", "a", "b", "c", "sk-", "sk-01234", "x"]), max_size=12
).map("".join)


def cut(data: bytes, at: list[int]) -> list[bytes]:
    places = sorted({min(place, len(data)) for place in at})
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


def masked(chunks: list[bytes], secrets: tuple[str, ...]) -> bytes:
    mask = SecretMask(secrets)
    return b"".join([*(mask.feed(chunk) for chunk in chunks), mask.finish()])


@given(BODY, st.lists(st.integers(0, 120), max_size=20), st.sampled_from(SECRETS))
def test_every_cut_gives_what_the_whole_gives(body: str, at: list[int], secret: str) -> None:
    expected = body.encode().replace(secret.encode(), b"*" * len(secret))
    assert masked(cut(body.encode(), at), (secret,)) == expected


@given(BODY, st.lists(st.integers(0, 120), max_size=20))
def test_no_secret_comes_through_and_no_byte_is_lost(body: str, at: list[int]) -> None:
    found = masked(cut(body.encode(), at), SECRETS)
    assert len(found) == len(body)
    assert not any(secret.encode() in found for secret in SECRETS)


@given(st.lists(st.binary(max_size=30), max_size=8))
def test_what_begins_no_secret_is_not_held_back(chunks: list[bytes]) -> None:
    mask = SecretMask(("~" * 9,))
    for chunk in chunks:
        plain = chunk.replace(b"~", b"-")
        assert mask.feed(plain) == plain


def test_a_short_secret_is_left_for_it_stands_in_much_else() -> None:
    assert masked([b"abc"], ("abc",)) == b"abc"

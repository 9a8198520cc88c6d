"""For every key and every load: names that can't collide or climb out, and limits that hold."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from openbolt.protocols import RatePolicy
from openbolt.testing import ManualClock
from openbolt_local._file_keys import FILE, key_path, name_bytes
from openbolt_local.memory import MemoryRateLimiter

SAFE_NAME = re.compile(r"[a-z0-9\-_.%~]{1,255}")
RESERVED = re.compile(r"(con|prn|aux|nul|com[1-9]|lpt[1-9])(\..*)?")

texts = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=40
)
nasty = st.lists(
    st.sampled_from(
        ["/", ".", "..", "~", "~o", "~c", "%2e", "con", "NUL", "A", "a", " ", "x" * 240]
    ),
    min_size=1,
    max_size=6,
).map("".join)
keys = texts | nasty


@given(keys)
def test_a_path_leads_back_to_its_key(key: str) -> None:
    names = key_path(key.encode())
    parts = [name_bytes(name) for name in names]
    assert b"".join(part or b"" for part in parts) == key.encode()
    assert None not in parts


def _spelled(key: bytes) -> list[str]:
    """The names of a key, byte by byte as `openbolt_local._file_keys` says."""
    names: list[str] = []
    *folders, last = key.split(b"/")
    for segment, mark in [*((f, "" if f else "~") for f in folders), (last, FILE)]:
        reserved = re.fullmatch(rb"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", segment, re.DOTALL)
        name = ""
        for at, byte in enumerate(segment):
            plain = chr(byte) in "abcdefghijklmnopqrstuvwxyz0123456789-_."
            if byte == ord(".") and at in {0, len(segment) - 1}:
                plain = False
            if reserved and at == 0:
                plain = False
            token = chr(byte) if plain else f"%{byte:02x}"
            if len(name + token) > 240:
                names.append(f"{name}~c")
                name = ""
                token = token.replace(".", "%2e")
            name += token
        names.append(name + mark)
    return names


@given(keys)
@example("x" * 240 + "..")
@example("x" * 238 + "A.B/" + "x" * 239 + "\u00e9")
def test_a_path_is_what_it_is_said_to_be(key: str) -> None:
    assert list(key_path(key.encode())) == _spelled(key.encode())


@given(keys)
@example("x" * 240 + ".x")
def test_no_name_is_special_to_any_file_system(key: str) -> None:
    *folders, last = key_path(key.encode())
    for name in (*folders, last):
        assert SAFE_NAME.fullmatch(name)
        assert name not in {".", ".."}
        assert not name.endswith(".")
        assert not name.startswith(".")
        assert not RESERVED.fullmatch(name)
    assert last.endswith(FILE)
    assert not any(name.endswith(FILE) for name in folders)


@given(keys, keys)
def test_keys_share_a_path_only_if_they_are_one(one: str, other: str) -> None:
    lowered = [tuple(n.lower() for n in key_path(key.encode())) for key in (one, other)]
    assert (lowered[0] == lowered[1]) == (one == other)


@given(keys, keys)
def test_a_file_is_never_a_folder_on_the_way_to_another(one: str, other: str) -> None:
    first, second = key_path(one.encode()), key_path(other.encode())
    if one != other:
        assert second[: len(first)] != first


@given(
    limit=st.integers(1, 20),
    period=st.floats(0.5, 100),
    burst=st.integers(0, 30),
    steps=st.lists(st.tuples(st.floats(0, 20), st.integers(1, 4)), max_size=60),
)
async def test_within_any_window_a_subject_gets_its_burst_and_its_rate_at_most(
    limit: int, period: float, burst: int, steps: list[tuple[float, int]]
) -> None:
    clock = ManualClock()
    limiter = MemoryRateLimiter(clock)
    policy = RatePolicy("p", limit, period, burst)
    granted: list[tuple[float, int]] = []
    for wait, cost in steps:
        clock.advance(wait)
        decision = await limiter.acquire("subject", policy, cost)
        if decision.allowed:
            granted.append((clock.monotonic(), cost))
        elif decision.retry_after is not None:
            clock.advance(decision.retry_after)
            assert (await limiter.acquire("subject", policy, cost)).allowed is True
            granted.append((clock.monotonic(), cost))
    for start in range(len(granted)):
        used = 0
        for at, cost in granted[start:]:
            used += cost
            allowed = (burst or limit) + (at - granted[start][0]) * limit / period
            assert used <= allowed + 1e-3

"""Many writers, one head: no update is lost, and a writer that never gets its turn is told."""

import asyncio
from collections.abc import Callable

import pytest

from openbolt.errors import BackendError, ConflictError
from openbolt.heads import HeadStore, KeyValueHeads, move_head
from openbolt.testing import ManualClock
from openbolt_local.memory import MemoryKeyValueStore
from tests.faults import FaultyKeyValues, key_value_heads, object_heads

both = pytest.mark.parametrize("make", [key_value_heads, object_heads])
Make = Callable[[], HeadStore]


def appending(word: str) -> Callable[[bytes | None], bytes]:
    return lambda old: b" ".join([*([old] if old else []), word.encode()])


@both
async def test_no_update_of_concurrent_writers_is_lost(make: Make) -> None:
    heads = make()
    words = [f"w{n}" for n in range(16)]
    await asyncio.gather(*(move_head(heads, "chat:a/head", appending(word)) for word in words))
    head = await heads.load("chat:a/head")
    assert head is not None
    assert sorted(head.data.decode().split()) == sorted(words)


@both
async def test_whoever_never_gets_a_turn_is_told_and_has_changed_nothing(make: Make) -> None:
    heads = make()
    writers = [move_head(heads, "chat:a/head", appending(f"w{n}")) for n in range(40)]
    ended = await asyncio.gather(*writers, return_exceptions=True)
    lost = [f"w{n}" for n, end in enumerate(ended) if isinstance(end, ConflictError)]
    head = await heads.load("chat:a/head")
    assert head is not None
    landed = head.data.decode().split()
    assert sorted(landed + lost) == sorted(f"w{n}" for n in range(40))
    assert len(landed) >= 16


@both
async def test_a_swap_holds_only_against_what_was_seen(make: Make) -> None:
    heads = make()
    assert await heads.swap("chat:a/head", b"1", seen=None)
    seen = await heads.load("chat:a/head")
    assert not await heads.swap("chat:a/head", b"other", seen=None)
    assert await heads.swap("chat:a/head", b"2", seen=seen)
    assert not await heads.swap("chat:a/head", b"3", seen=seen)
    last = await heads.load("chat:a/head")
    assert last is not None
    assert last.data == b"2"


@both
async def test_a_discarded_head_is_gone_and_a_swap_against_it_fails(make: Make) -> None:
    heads = make()
    await heads.swap("chat:a/head", b"1", seen=None)
    seen = await heads.load("chat:a/head")
    await heads.discard("chat:a/head")
    await heads.discard("chat:a/head")
    assert await heads.load("chat:a/head") is None
    assert not await heads.swap("chat:a/head", b"2", seen=seen)
    assert await heads.load("chat:a/head") is None


@both
async def test_none_or_the_same_value_leaves_the_head_as_it_is(make: Make) -> None:
    heads = make()
    assert await move_head(heads, "chat:a/head", lambda _: None) is None
    assert await heads.load("chat:a/head") is None
    await move_head(heads, "chat:a/head", lambda _: b"1")
    before = await heads.load("chat:a/head")
    assert await move_head(heads, "chat:a/head", lambda _: b"1") == b"1"
    assert await heads.load("chat:a/head") == before


@both
@pytest.mark.parametrize("name", ["chat:" + "x" * 5000, "chat:\0/head", "chat:\ud800/head"])
async def test_a_name_that_nothing_can_be_stored_under_has_no_head(make: Make, name: str) -> None:
    assert await make().load(name) is None


async def test_a_failing_store_is_its_own_error_not_a_lost_race() -> None:
    heads = KeyValueHeads(FaultyKeyValues(MemoryKeyValueStore(ManualClock()), fail_at=1))
    with pytest.raises(BackendError):
        await move_head(heads, "chat:a/head", lambda _: b"1")

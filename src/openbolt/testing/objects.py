"""What every `ObjectStore` owes, as a suite to subclass.

Law: a test asks what the store's ``limits`` declare, never what the store is. Give the fixture
``store``, an empty store, and where several processes share the data, let ``peer`` return a second
store over the same data.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from hashlib import sha256
from itertools import accumulate
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbolt.errors import (
    InvalidRequestError,
    NotSupportedError,
    PayloadTooLargeError,
    PreconditionFailedError,
)
from openbolt.protocols import ObjectInfo, ObjectStore
from openbolt.testing.kv import modest

__all__ = ["ObjectStoreSuite", "read_object"]

RACERS = 8

KEYS = (
    "plain",
    "UPPER",
    "upper",
    "folder",
    "folder/inner",
    "folder/",
    "folder//inner",
    "folder/./inner",
    "folder/../inner",
    "../outside",
    "../../outside",
    "/etc/passwd",
    "/",
    "//",
    ".",
    "..",
    "./x",
    ".hidden",
    "trailing.",
    "trailing ",
    " leading",
    "CON",
    "con",
    "con/nul.txt",
    "com1.txt",
    "C:\\windows",
    "back\\slash",
    "a?b#c&d=e+f",
    "a%2Fb",
    "%2e%2e/x",
    "~",
    "~o",
    "plain~o",
    "*",
    "'\";--",
    "caf\u00e9",
    "cafe\u0301",
    "\U0001f600/\U0001f600",
    "line\nbreak",
    "tab\t",
    "x" * 300,
    "X" * 300 + "/" + "y" * 300,
    "\u00e9" * 200,
)
BAD_KEYS = ("", "a\0b", "\ud800")

# In order of their UTF-8 bytes; UTF-16's order has the last two the other way round.
ORDERED = (
    "a",
    "a!",
    "a/",
    "a/b",
    "a/b/c",
    "a/c",
    "a0",
    "aa",
    "b",
    "\u00e9",
    "\uff61",
    "\U00010000",
)

_KEYS = st.sampled_from(["a", "a/b", "a!", "b", "\u00e9"]) | st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=4
)
_STEPS = st.one_of(
    st.tuples(st.just("put"), _KEYS, st.binary(max_size=8)),
    st.tuples(st.just("open"), _KEYS, st.binary(max_size=0)),
    st.tuples(st.just("delete"), _KEYS, st.binary(max_size=0)),
    st.tuples(st.just("scan"), st.sampled_from(["", "a", "a/"]), st.binary(max_size=0)),
)


async def read_object(
    store: ObjectStore, key: str, /, *, start: int = 0, length: int | None = None
) -> bytes | None:
    """An object's bytes, or None if there is no object."""
    opened = await store.open(key, start=start, length=length)
    if opened is None:
        return None
    try:
        return b"".join([chunk async for chunk in opened.body])
    finally:
        await opened.body.aclose()


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    """A stream of these parts."""
    for part in parts:
        await asyncio.sleep(0)
        yield part


class _BrokenStreamError(Exception):
    pass


async def _broken(part: bytes) -> AsyncIterator[bytes]:
    yield part
    raise _BrokenStreamError


class ObjectStoreSuite:
    """The laws of an `ObjectStore`."""

    @pytest.fixture
    def store(self) -> ObjectStore:
        """An empty store; override it."""
        raise NotImplementedError

    @pytest.fixture
    def peer(self, store: ObjectStore) -> ObjectStore:
        """Another store over the same data, as another process would have; or the same."""
        return store

    async def keys(
        self,
        store: ObjectStore,
        prefix: str = "",
        after: str | None = None,
        limit: int | None = None,
    ) -> list[str]:
        """The keys of a scan."""
        return [info.key async for info in store.scan(prefix, after=after, limit=limit)]

    async def test_what_was_never_put_is_none(self, store: ObjectStore) -> None:
        assert await store.open("absent") is None
        assert await store.head("absent") is None

    @pytest.mark.parametrize("data", [b"", b"text", bytes(range(256)) * 5])
    async def test_an_object_is_read_as_it_was_put(
        self, store: ObjectStore, peer: ObjectStore, data: bytes
    ) -> None:
        info = await store.put("key", data)
        assert await read_object(peer, "key") == data
        assert (info.key, info.size) == ("key", len(data))

    async def test_head_and_open_say_what_put_said(self, store: ObjectStore) -> None:
        put = await store.put("key", b"text", content_type="text/plain; charset=utf-8")
        head = await store.head("key")
        opened = await store.open("key", start=2)
        assert head is not None
        assert opened is not None
        await opened.body.aclose()
        said = (put.key, put.size, put.etag, put.content_type)
        assert said == ("key", 4, put.etag, "text/plain; charset=utf-8")
        for info in (head, opened.info):
            assert (info.key, info.size, info.etag, info.content_type) == said
            # Some stores round to seconds, some date by their own clock.
            assert abs(info.modified - put.modified) < 60

    async def test_an_etag_is_unquoted_and_changes_with_the_bytes(self, store: ObjectStore) -> None:
        first = await store.put("key", b"first")
        second = await store.put("key", b"second")
        assert first.etag
        assert '"' not in first.etag
        assert first.etag != second.etag

    async def test_putting_again_replaces(self, store: ObjectStore, peer: ObjectStore) -> None:
        await store.put("key", b"a long first object", content_type="text/plain")
        await peer.put("key", b"second")
        assert await read_object(store, "key") == b"second"
        head = await store.head("key")
        assert head is not None
        assert head.content_type == "application/octet-stream"

    async def test_a_stream_of_known_length_is_put(self, store: ObjectStore) -> None:
        info = await store.put("key", chunks(b"one ", b"", b"two ", b"three"), size=13)
        assert info.size == 13
        assert await read_object(store, "key") == b"one two three"

    async def test_a_stream_of_unknown_length_is_put_or_not_supported(
        self, store: ObjectStore
    ) -> None:
        stream = chunks(b"one ", b"two ", b"three")
        if not store.limits.unsized_put:
            with pytest.raises(NotSupportedError):
                await store.put("key", stream)
            assert await store.head("key") is None
            return
        info = await store.put("key", stream)
        assert info.size == 13
        assert await read_object(store, "key") == b"one two three"

    async def test_an_empty_stream_is_an_empty_object(self, store: ObjectStore) -> None:
        await store.put("key", chunks(), size=0)
        assert await read_object(store, "key") == b""

    async def test_a_large_stream_comes_back_byte_for_byte(self, store: ObjectStore) -> None:
        parts = [bytes([number % 251]) * 99_991 for number in range(80)]
        size = sum(map(len, parts))
        await store.put("key", chunks(*parts), size=size)
        opened = await store.open("key")
        assert opened is not None
        digest = sha256()
        async for chunk in opened.body:
            digest.update(chunk)
        await opened.body.aclose()
        assert digest.hexdigest() == sha256(b"".join(parts)).hexdigest()

    @pytest.mark.parametrize("size", [0, 3, 5, 100])
    async def test_a_stream_of_another_length_is_refused_and_nothing_is_written(
        self, store: ObjectStore, size: int
    ) -> None:
        await store.put("old", b"old")
        for key in ("old", "new"):
            with pytest.raises(InvalidRequestError):
                await store.put(key, chunks(b"da", b"ta"), size=size)
        assert await read_object(store, "old") == b"old"
        assert await store.head("new") is None
        assert await self.keys(store) == ["old"]

    async def test_a_stream_that_breaks_off_leaves_the_old_object_whole(
        self, store: ObjectStore
    ) -> None:
        await store.put("old", b"old")
        for key in ("old", "new"):
            with pytest.raises(_BrokenStreamError):
                await store.put(key, _broken(b"data"), size=8)
        assert await read_object(store, "old") == b"old"
        assert await self.keys(store) == ["old"]

    async def test_a_put_that_is_cancelled_leaves_the_old_object_whole(
        self, store: ObjectStore
    ) -> None:
        await store.put("key", b"old")
        reached = asyncio.Event()

        async def endless() -> AsyncIterator[bytes]:
            yield b"da"
            reached.set()
            await asyncio.Event().wait()

        putting = asyncio.create_task(store.put("key", endless(), size=4))
        await reached.wait()
        putting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await putting
        assert await read_object(store, "key") == b"old"
        assert await self.keys(store) == ["key"]

    async def test_an_object_over_the_limit_is_refused(self, store: ObjectStore) -> None:
        with pytest.raises(PayloadTooLargeError):
            await store.put("key", chunks(b"data"), size=store.limits.max_object_bytes + 1)
        assert await store.head("key") is None

    @pytest.mark.parametrize(
        ("start", "length", "expected"),
        [
            (0, None, b"0123456789"),
            (3, None, b"3456789"),
            (3, 4, b"3456"),
            (0, 1, b"0"),
            (9, None, b"9"),
            (8, 100, b"89"),
            (5, 0, b""),
            (10, None, b""),
            (10, 5, b""),
            (100, None, b""),
        ],
    )
    async def test_a_range_gives_its_bytes_and_the_size_of_the_whole(
        self, store: ObjectStore, start: int, length: int | None, expected: bytes
    ) -> None:
        await store.put("key", b"0123456789")
        opened = await store.open("key", start=start, length=length)
        assert opened is not None
        actual = b"".join([chunk async for chunk in opened.body])
        await opened.body.aclose()
        assert actual == expected
        assert opened.info.size == 10

    async def test_a_range_of_nothing_is_empty(self, store: ObjectStore) -> None:
        await store.put("key", b"")
        assert await read_object(store, "key", start=0, length=5) == b""

    async def test_a_body_may_be_closed_before_it_is_read_and_twice(
        self, store: ObjectStore
    ) -> None:
        await store.put("key", b"data")
        opened = await store.open("key")
        assert opened is not None
        await opened.body.aclose()
        await opened.body.aclose()
        assert await read_object(store, "key") == b"data"

    async def test_a_deleted_object_is_gone_and_deleting_nothing_is_no_error(
        self, store: ObjectStore, peer: ObjectStore
    ) -> None:
        await store.put("folder/key", b"data")
        await peer.delete("folder/key")
        await store.delete("folder/key")
        await store.delete("folder")
        assert await store.head("folder/key") is None
        assert await self.keys(store) == []

    @pytest.mark.parametrize("key", KEYS, ids=ascii)
    async def test_any_text_is_a_key(self, store: ObjectStore, key: str) -> None:
        await store.put(key, b"data")
        assert await read_object(store, key) == b"data"
        assert await self.keys(store) == [key]
        assert await self.keys(store, key) == [key]
        await store.delete(key)
        assert await self.keys(store) == []

    async def test_no_two_keys_are_one_object(self, store: ObjectStore) -> None:
        for number, key in enumerate(KEYS):
            await store.put(key, b"%d" % number)
        for number, key in enumerate(KEYS):
            assert await read_object(store, key) == b"%d" % number
        assert await self.keys(store) == sorted(KEYS, key=str.encode)

    async def test_a_key_may_be_as_long_as_the_limit_in_bytes(self, store: ObjectStore) -> None:
        room = store.limits.max_key_bytes
        key = "\u00e9" * (room // 2) + "k" * (room % 2)
        await store.put(key, b"data")
        assert await read_object(store, key) == b"data"
        assert await self.keys(store) == [key]

    async def test_a_key_over_the_limit_is_refused(self, store: ObjectStore) -> None:
        await self._refuses_key(store, "k" * (store.limits.max_key_bytes + 1))

    @pytest.mark.parametrize("key", BAD_KEYS, ids=ascii)
    async def test_a_key_that_is_none_is_refused(self, store: ObjectStore, key: str) -> None:
        await self._refuses_key(store, key)

    async def _refuses_key(self, store: ObjectStore, key: str) -> None:
        for call in (store.open(key), store.head(key), store.put(key, b""), store.delete(key)):
            with pytest.raises(InvalidRequestError) as caught:
                await call
            assert caught.value.field == "key"

    async def test_a_scan_goes_by_the_bytes_of_the_keys(self, store: ObjectStore) -> None:
        for key in reversed(ORDERED):
            await store.put(key, b"")
        assert await self.keys(store) == list(ORDERED)

    @pytest.mark.parametrize("prefix", ["a", "a/", "a/b", "a/b/", "\u00e9", "zzz"])
    async def test_a_scan_gives_the_keys_with_its_prefix(
        self, store: ObjectStore, prefix: str
    ) -> None:
        for key in ORDERED:
            await store.put(key, b"")
        expected = [key for key in ORDERED if key.startswith(prefix)]
        assert await self.keys(store, prefix) == expected

    @pytest.mark.parametrize("size", [1, 2, 5, 100])
    async def test_pages_make_up_the_whole(self, store: ObjectStore, size: int) -> None:
        for key in ORDERED:
            await store.put(key, b"")
        found: list[str] = []
        while page := await self.keys(store, after=found[-1] if found else None, limit=size):
            assert len(page) <= size
            found += page
        assert found == list(ORDERED)

    @pytest.mark.parametrize("after", ["", "Z", "a/a", "a/b", "a/b/c/d", "\U0010ffff"])
    async def test_after_need_not_be_a_key(self, store: ObjectStore, after: str) -> None:
        for key in ORDERED:
            await store.put(key, b"")
        expected = [key for key in ORDERED if key.encode() > after.encode()]
        assert await self.keys(store, after=after) == expected

    async def test_a_scan_says_what_head_says(self, store: ObjectStore) -> None:
        await store.put("key", b"data")
        (found,) = [info async for info in store.scan("")]
        head = await store.head("key")
        assert head is not None
        assert (found.key, found.size, found.etag) == (head.key, head.size, head.etag)

    async def test_if_none_match_writes_only_where_there_is_nothing(
        self, store: ObjectStore
    ) -> None:
        _needs_conditional_put(store)
        await store.put("key", b"first", if_none_match="*")
        with pytest.raises(PreconditionFailedError):
            await store.put("key", b"second", if_none_match="*")
        assert await read_object(store, "key") == b"first"

    async def test_if_match_writes_only_over_what_was_read(self, store: ObjectStore) -> None:
        _needs_conditional_put(store)
        first = await store.put("key", b"first")
        second = await store.put("key", b"second", if_match=first.etag)
        with pytest.raises(PreconditionFailedError):
            await store.put("key", b"third", if_match=first.etag)
        assert await read_object(store, "key") == b"second"
        await store.put("key", chunks(b"third"), size=5, if_match=second.etag)
        assert await read_object(store, "key") == b"third"

    async def test_if_match_does_not_write_where_there_is_nothing(self, store: ObjectStore) -> None:
        _needs_conditional_put(store)
        with pytest.raises(PreconditionFailedError):
            await store.put("key", b"data", if_match="0" * 32)
        assert await store.head("key") is None

    @pytest.mark.parametrize("if_match", [None, "0" * 32])
    async def test_without_conditional_puts_a_condition_is_refused(
        self, store: ObjectStore, if_match: str | None
    ) -> None:
        if store.limits.conditional_put:
            pytest.skip("conditional puts work")
        fresh: Literal["*"] | None = None if if_match else "*"
        with pytest.raises(NotSupportedError):
            await store.put("key", b"data", if_match=if_match, if_none_match=fresh)
        assert await store.head("key") is None

    async def test_of_many_first_puts_one_wins(self, store: ObjectStore, peer: ObjectStore) -> None:
        _needs_conditional_put(store)
        winner = await self._race(store, peer, None)
        assert await read_object(store, "key") == winner

    async def test_of_many_puts_over_one_object_one_wins(
        self, store: ObjectStore, peer: ObjectStore
    ) -> None:
        _needs_conditional_put(store)
        info = await store.put("key", b"old")
        winner = await self._race(store, peer, info.etag)
        assert await read_object(store, "key") == winner

    async def _race(self, store: ObjectStore, peer: ObjectStore, etag: str | None) -> bytes:
        fresh: Literal["*"] | None = None if etag else "*"
        values = [b"%d" % number for number in range(2 * RACERS)]
        results = await asyncio.gather(
            *(
                each.put("key", value, if_match=etag, if_none_match=fresh)
                for each, value in zip((store, peer) * RACERS, values, strict=True)
            ),
            return_exceptions=True,
        )
        won = [
            value
            for value, result in zip(values, results, strict=True)
            if isinstance(result, ObjectInfo)
        ]
        lost = [type(result) for result in results if not isinstance(result, ObjectInfo)]
        assert lost == [PreconditionFailedError] * (2 * RACERS - 1)
        return won[0]

    @modest
    @given(steps=st.lists(_STEPS, max_size=20))
    async def test_it_behaves_as_a_dict_does(
        self, store: ObjectStore, steps: Sequence[tuple[str, str, bytes]]
    ) -> None:
        root = f"{uuid.uuid4().hex}/"
        model: dict[str, bytes] = {}
        for name, at, data in steps:
            key = root + at
            match name:
                case "put":
                    await store.put(key, data)
                    model[key] = data
                case "open":
                    assert await read_object(store, key) == model.get(key)
                case "delete":
                    await store.delete(key)
                    model.pop(key, None)
                case _:
                    known = sorted((k for k in model if k.startswith(key)), key=str.encode)
                    assert await self.keys(store, key) == known

    @modest
    @given(
        cuts=st.lists(st.integers(0, 40), max_size=6),
        start=st.integers(0, 130),
        length=st.none() | st.integers(0, 130),
    )
    async def test_however_a_stream_is_cut_every_range_of_it_is_right(
        self, store: ObjectStore, cuts: list[int], start: int, length: int | None
    ) -> None:
        data = bytes(range(sum(cuts)))
        ends = list(accumulate(cuts))
        parts = [data[end - cut : end] for cut, end in zip(cuts, ends, strict=True)]
        await store.put("key", chunks(*parts), size=len(data))
        expected = data[start:] if length is None else data[start : start + length]
        assert await read_object(store, "key", start=start, length=length) == expected


def _needs_conditional_put(store: ObjectStore) -> None:
    if not store.limits.conditional_put:
        pytest.skip("conditional puts aren't supported, and limits say so")

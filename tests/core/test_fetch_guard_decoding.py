"""Packed bodies: whole in any split, flat in memory, and stopped where they become bombs."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbolt.errors import UpstreamError
from openbolt.proxy.decoding import CHUNK, BodyDecoder
from openbolt.proxy.guard import ResponseTooLargeError

MIB = 1024 * 1024


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


PACKERS = {
    "": bytes,
    "identity": bytes,
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "GZIP ": gzip.compress,
    "deflate": zlib.compress,
}


def decoder(
    coding: str, *, encoded: int = 64 * MIB, decoded: int = 64 * MIB, ratio: int = 200
) -> BodyDecoder:
    return BodyDecoder(coding, max_encoded=encoded, max_decoded=decoded, max_ratio=ratio)


def unpacked(made: BodyDecoder, chunks: Iterable[bytes]) -> bytes:
    pieces = [piece for chunk in chunks for piece in made.feed(chunk)]
    made.finish()
    assert all(len(piece) > 0 for piece in pieces)
    return b"".join(pieces)


def split(data: bytes, sizes: list[int]) -> list[bytes]:
    chunks: list[bytes] = []
    for size in sizes:
        chunks.append(data[:size])
        data = data[size:]
    return [*chunks, data]


BODIES = st.one_of(
    st.binary(max_size=2000),
    st.builds(bytes.__mul__, st.binary(min_size=1, max_size=9), st.integers(0, 40_000)),
)


@given(st.sampled_from(list(PACKERS)), BODIES, st.lists(st.integers(0, 50), max_size=8))
def test_every_split_of_a_body_unpacks_to_it(coding: str, body: bytes, sizes: list[int]) -> None:
    assert unpacked(decoder(coding), split(PACKERS[coding](body), sizes)) == body


@given(BODIES, st.lists(st.integers(0, 50), max_size=8))
def test_deflate_without_its_header_unpacks_too(body: bytes, sizes: list[int]) -> None:
    assert unpacked(decoder("deflate"), split(raw_deflate(body), sizes)) == body


@pytest.mark.parametrize("more", [0, 1, 3, 256, 257])
def test_what_zlib_holds_back_without_input_comes_too(more: int) -> None:
    """After its last byte a body may still have to repeat what a piece had no room for."""
    body = bytes(CHUNK + more)
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    packed = packer.compress(body) + packer.flush()
    assert unpacked(decoder("deflate", ratio=2000), [packed]) == body


@given(st.lists(BODIES, max_size=3), st.lists(st.integers(0, 50), max_size=8))
def test_members_of_gzip_are_one_body(bodies: list[bytes], sizes: list[int]) -> None:
    packed = b"".join(gzip.compress(body, mtime=0) for body in bodies)
    assert unpacked(decoder("gzip"), split(packed, sizes)) == b"".join(bodies)


@given(BODIES.filter(bool), st.sampled_from(["gzip", "deflate"]), st.data())
def test_a_body_that_is_cut_is_an_error(body: bytes, coding: str, data: st.DataObject) -> None:
    packed = PACKERS[coding](body)
    kept = packed[: data.draw(st.integers(1, len(packed) - 1))]
    with pytest.raises(UpstreamError):
        unpacked(decoder(coding), [kept])


@pytest.mark.parametrize("coding", PACKERS)
def test_no_body_is_no_error(coding: str) -> None:
    assert unpacked(decoder(coding), []) == b""


@pytest.mark.parametrize(
    "coding", ["br", "zstd", "compress", "gzip, gzip", "gzip, br", "aws-chunked", "gzip;q=1"]
)
def test_a_coding_that_was_not_asked_for_is_an_error(coding: str) -> None:
    with pytest.raises(UpstreamError):
        decoder(coding)


@pytest.mark.parametrize(
    ("coding", "data"),
    [
        ("gzip", b"hello, no gzip"),
        ("gzip", gzip.compress(b"x", mtime=0) + b"more"),
        ("gzip", gzip.compress(b"x", mtime=0)[:-4] + b"\x00\x00\x00\x00"),
        ("deflate", zlib.compress(b"x") + b"more"),
        ("deflate", b"\x78\xbb\x00\x00\x00\x00"),  # asks for a dictionary
        ("deflate", b"\xff\xff\xff\xff"),
    ],
)
def test_broken_packing_is_an_error(coding: str, data: bytes) -> None:
    with pytest.raises(UpstreamError) as caught:
        unpacked(decoder(coding), [data])
    assert type(caught.value) is UpstreamError


@pytest.mark.parametrize("coding", ["", "gzip"])
def test_more_than_may_come_is_refused(coding: str) -> None:
    body = PACKERS[coding](b"some text")
    assert unpacked(decoder(coding, encoded=len(body)), [body]) == b"some text"
    with pytest.raises(ResponseTooLargeError):
        unpacked(decoder(coding, encoded=len(body) - 1), [body])


@pytest.mark.parametrize("coding", ["", "gzip", "deflate"])
def test_more_than_may_be_unpacked_is_refused(coding: str) -> None:
    body = PACKERS[coding](bytes(1000))
    assert len(unpacked(decoder(coding, decoded=1000), [body])) == 1000
    with pytest.raises(ResponseTooLargeError):
        unpacked(decoder(coding, decoded=999), [body])


def test_a_ratio_counts_from_the_first_mebibyte_on() -> None:
    assert len(unpacked(decoder("gzip", ratio=2), [gzip.compress(bytes(MIB))])) == MIB
    with pytest.raises(ResponseTooLargeError):
        unpacked(decoder("gzip", ratio=2), [gzip.compress(bytes(MIB + 1))])


def bomb(size: int) -> bytes:
    packer = zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS)
    packed = b"".join(packer.compress(bytes(MIB)) for _ in range(size // MIB))
    return packed + packer.flush()


def test_a_bomb_is_unpacked_in_flat_memory() -> None:
    packed = bomb(128 * MIB)  # comes in one read
    made = decoder("gzip", decoded=256 * MIB, ratio=10_000)
    tracemalloc.start()
    size = largest = 0
    for piece in made.feed(packed):
        size += len(piece)
        largest = max(largest, len(piece))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    made.finish()
    assert (size, largest) == (128 * MIB, CHUNK)
    assert peak < MIB


def test_a_bomb_stops_where_its_limit_is() -> None:
    made = decoder("gzip", decoded=2 * MIB)
    sizes: list[int] = []
    with pytest.raises(ResponseTooLargeError):
        sizes.extend(len(piece) for piece in made.feed(bomb(64 * MIB)))
    assert sum(sizes) <= 2 * MIB


def test_a_body_of_nothing_but_members_is_refused() -> None:
    empty = gzip.compress(b"", mtime=0)
    assert unpacked(decoder("gzip"), [empty * 4096]) == b""
    with pytest.raises(ResponseTooLargeError):
        unpacked(decoder("gzip"), [empty * 4097])

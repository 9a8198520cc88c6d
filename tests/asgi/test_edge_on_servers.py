"""What strangers send, on every real server: requests that two readers end in different places,
heads that are too large, and clients that keep still.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

import httpx
import pytest

from tests.asgi.test_servers import SERVERS, Served, start

pytestmark = pytest.mark.servers

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nhost: localhost\r\n\r\n"
CHUNKED = b"transfer-encoding: chunked"
NO_CHUNKS = b"0\r\n\r\n"


@pytest.fixture(scope="module", params=sorted(SERVERS))
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    log = tmp_path_factory.mktemp("served") / "log"
    served = start(request.param, log, "tests.asgi.impatient_app:app")
    yield served
    served.stop()


def post(*fields: bytes, body: bytes = b"", line: bytes = b"POST /upload HTTP/1.1") -> bytes:
    return b"\r\n".join([line, b"host: localhost", *fields, b"", b""]) + body


async def say(served: Served, data: bytes) -> tuple[list[int], bytes, bool]:
    """The statuses of all answers, what came, and whether the server closed the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(data)
    came, is_closed = b"", False
    try:
        # A second answer would be there as soon as the first.
        while part := await asyncio.wait_for(reader.read(65_536), 0.7 if came else 5):
            came += part
        is_closed = True
    except ConnectionError:
        is_closed = True
    except TimeoutError:
        pass
    writer.close()
    found = re.findall(rb"HTTP/1\.[01] (\d{3})", came)
    return [int(status) for status in found], came, is_closed


LENGTH = b"content-length: %d" % len(SMUGGLED)

REFUSED = {
    "a length that says otherwise": post(b"content-length: 0", LENGTH, body=SMUGGLED),
    "a list of lengths": post(b"content-length: 0, %d" % len(SMUGGLED), body=SMUGGLED),
    "an empty length": post(b"content-length: ", body=SMUGGLED),
    "a length with a sign": post(b"content-length: +3", body=b"abc"),
    "a length below nothing": post(b"content-length: -3", body=b"abc"),
    "a length in hex": post(b"content-length: 0x3", body=b"abc"),
    "a length with an underscore": post(b"content-length: 1_0", body=b"a" * 10),
    "a length beyond 64 bits": post(b"content-length: 18446744073709551619", body=b"abc"),
    "a length in other digits": post("content-length: ３".encode(), body=b"abc"),
    "an unknown coding": post(b"transfer-encoding: xchunked", body=NO_CHUNKS + SMUGGLED),
    "a coding twice": post(CHUNKED + b", chunked", body=NO_CHUNKS + SMUGGLED),
    "a coding under another": post(b"transfer-encoding: gzip, chunked", body=NO_CHUNKS + SMUGGLED),
    "a coding taken back": post(CHUNKED, b"transfer-encoding: identity", body=NO_CHUNKS + SMUGGLED),
    "a coding taken back in one line": post(CHUNKED + b", identity", body=NO_CHUNKS + SMUGGLED),
    "a coding that is none, and a length": post(
        b"transfer-encoding: identity", b"content-length: 3", body=b"abc" + SMUGGLED
    ),
    "a coding behind a control character": post(
        b"transfer-encoding:\x0bchunked", body=NO_CHUNKS + SMUGGLED
    ),
    "a space before the colon": post(b"content-length : 3", body=b"abc"),
    "a space before the coding's colon": post(
        b"transfer-encoding : chunked", body=NO_CHUNKS + SMUGGLED
    ),
    "a first line that is folded": (
        b"POST /upload HTTP/1.1\r\n host: localhost\r\ncontent-length: 0\r\n\r\n"
    ),
    "a line without a colon": post(b"nocolon"),
    "a field without a name": post(b": x"),
    "a NUL in a value": post(b"x-a: a\x00b"),
    "a CR in a value": post(b"x-a: a\rcontent-length: 3"),
    "a chunk of less than nothing": post(CHUNKED, body=b"-1\r\nx\r\n" + NO_CHUNKS),
    "a chunk with a prefix": post(CHUNKED, body=b"0x3\r\nabc\r\n" + NO_CHUNKS),
    "a chunk with a sign": post(CHUNKED, body=b"+3\r\nabc\r\n" + NO_CHUNKS),
    "a chunk with an underscore": post(CHUNKED, body=b"0_3\r\nabc\r\n" + NO_CHUNKS),
    "a chunk without a size": post(CHUNKED, body=b"\r\nabc\r\n" + NO_CHUNKS),
    "a chunk of 2 to the 68": post(CHUNKED, body=b"1" + b"0" * 16 + b"3\r\nabc\r\n" + NO_CHUNKS),
    "a chunk that is longer than it says": post(CHUNKED, body=b"3\r\nabcXX" + NO_CHUNKS),
    "an LF in a chunk's extension": post(CHUNKED, body=b"3;a\nb\r\nabc\r\n" + NO_CHUNKS),
    "chunks with LF alone": post(CHUNKED, body=b"3\nabc\n0\n\n" + SMUGGLED),
    "a method with a space": post(b"content-length: 0", line=b"PO ST /upload HTTP/1.1"),
    "a line with tabs": post(b"content-length: 0", line=b"POST\t/upload\tHTTP/1.1"),
}


@pytest.mark.parametrize("name", sorted(REFUSED))
async def test_what_two_readers_end_in_different_places_is_refused_and_the_connection_closed(
    served: Served, name: str
) -> None:
    statuses, came, is_closed = await say(served, REFUSED[name])
    assert (len(statuses), is_closed) == (1, True), came
    # 408: a chunk that never ends, as the server reads it.
    assert statuses[0] in {400, 408, 501}


@pytest.mark.parametrize(
    "data",
    [
        post(b"content-length: 4", CHUNKED, body=NO_CHUNKS + SMUGGLED),
        post(CHUNKED, b"content-length: %d" % (5 + len(SMUGGLED)), body=NO_CHUNKS + SMUGGLED),
        post(CHUNKED, body=NO_CHUNKS + SMUGGLED, line=b"POST /upload HTTP/1.0"),
    ],
    ids=["length first", "coding first", "HTTP/1.0"],
)
async def test_after_a_length_beside_a_coding_nothing_more_is_answered(
    served: Served, data: bytes
) -> None:
    statuses, came, is_closed = await say(served, data)
    assert (len(statuses), is_closed) == (1, True), came
    # RFC 9112, 6.1: refused, or read by its coding; closed either way.
    assert statuses[0] == 400 or b'{"size":0}' in came


WITH_CHUNK = {
    "an extension": b"3;a=b\r\nabc\r\n" + NO_CHUNKS,
    "a space after its size": b"3 \r\nabc\r\n" + NO_CHUNKS,
    "a field behind it": b"3\r\nabc\r\n0\r\nx-trailing: 1\r\n\r\n",
    "a length behind it": b"3\r\nabc\r\n0\r\ncontent-length: 50\r\n\r\n",
}


@pytest.mark.parametrize("name", sorted(WITH_CHUNK))
async def test_what_has_one_reading_is_read_so_or_refused(served: Served, name: str) -> None:
    statuses, came, is_closed = await say(served, post(CHUNKED, body=WITH_CHUNK[name]))
    assert (statuses == [200] and b'{"size":3}' in came) or (statuses, is_closed) == ([400], True)


@pytest.mark.parametrize(
    "data",
    [
        post(b"content-length: 3", b"content-length: 3", body=b"abc"),
        post(b"content-length: 3, 3", body=b"abc"),
        post(b"content-length: 3", body=b"abc").replace(b"\r\n", b"\n"),
        b"\r\n" + post(b"content-length: 3", body=b"abc"),
        post(b"content_length: 50", b"content-length: 3", body=b"abc"),
        post(b"x-a: b\r\n c", b"content-length: 3", body=b"abc"),
        post(b"x-a: b\nx-c: d", b"content-length: 3", body=b"abc"),
    ],
    ids=["twice", "in a list", "LF", "empty line", "underscore", "folded", "LF in a value"],
)
async def test_a_tolerated_spelling_changes_no_length(served: Served, data: bytes) -> None:
    statuses, came, _ = await say(served, data)
    assert statuses in ([200], [400])
    assert statuses == [400] or b'{"size":3}' in came


async def test_a_body_of_a_get_is_no_second_request(served: Served) -> None:
    data = post(LENGTH, body=SMUGGLED, line=b"GET /facts HTTP/1.1")
    assert (await say(served, data))[0] == [200]


@pytest.mark.parametrize(
    ("head", "statuses"),
    [
        # A server with a limit of its own may be quicker.
        (b"GET /" + b"a" * 2100 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n", {414}),
        (b"GET /?" + b"a" * 2100 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n", {414}),
        (b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n", {400, 414, 431}),
        (post(b"x-a: " + b"b" * 2100), {431}),
        (post(*[b"x-%d: b" % number for number in range(30)]), {431}),
        (post(b"x-a: " + b"b" * 200_000), {400, 431}),
    ],
    ids=["path", "query", "huge path", "value", "fields", "huge value"],
)
async def test_a_head_that_is_too_large_is_refused(
    served: Served, head: bytes, statuses: set[int]
) -> None:
    found, came, is_closed = await say(served, head)
    assert is_closed
    # The server may close before it has read all of it, and its answer is lost with that.
    assert set(found) <= statuses
    assert len(found) == 1 or (len(head) > 100_000 and not came)


@pytest.mark.parametrize("data", [b"", b"x" * 5])
async def test_a_body_that_stops_coming_is_a_408_and_closed(served: Served, data: bytes) -> None:
    statuses, _, is_closed = await say(served, post(b"content-length: 100", body=data))
    assert (statuses, is_closed) == ([408], True)


async def test_a_body_that_drips_is_a_408(served: Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(post(b"content-length: 1000"))

    async def drip() -> None:
        while True:
            writer.write(b"x")
            await asyncio.sleep(0.1)

    dripping = asyncio.create_task(drip())
    async with asyncio.timeout(10):
        assert b" 408 " in await reader.readline()
    dripping.cancel()
    writer.close()


async def test_a_client_that_takes_nothing_and_stays_is_left(served: Served) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=1024)
    writer.write(b"GET /flood HTTP/1.1\r\nhost: localhost\r\n\r\n")
    async with httpx.AsyncClient(base_url=served.url, timeout=20) as client:
        assert (await client.get("/facts/closed-flood")).json()["closed-flood"] == 1
    writer.transport.abort()


async def test_a_client_that_takes_all_is_served_for_longer_than_the_limit(
    served: Served,
) -> None:
    async with (
        httpx.AsyncClient(base_url=served.url, timeout=20) as client,
        client.stream("GET", "/stream/lasting") as response,
    ):
        chunks = response.aiter_raw()
        assert await anext(chunks) == b"first\n"
        await asyncio.sleep(1.2)
        await client.post("/release/lasting")
        assert b"".join([chunk async for chunk in chunks]) == b"second\n"

"""The adapter in a real workerd: Request in, Response out, nothing left open."""

from __future__ import annotations

import asyncio
import gzip
import json
import pkgutil
import time
from typing import Any

import httpx
import pytest

import openbolt
from tests.worker.running import Worker

PATIENCE = 20.0
"""Seconds after which something that has to happen counts as not happening."""


async def until(client: httpx.AsyncClient, name: str, **expected: Any) -> None:
    """Ask for the state of a named exchange until it holds what is expected."""
    deadline = time.monotonic() + PATIENCE
    while True:
        state = (await client.get(f"/state/{name}")).json()
        if expected.items() <= state.items():
            return
        assert time.monotonic() < deadline, f"{state} never became {expected}"
        await asyncio.sleep(0.05)


async def test_it_runs_in_cloudflares_runtime(
    handlers: httpx.AsyncClient, handlers_worker: Worker
) -> None:
    began = time.monotonic()
    about = (await handlers.get("/about")).json()
    print(
        f"workerd ready in {handlers_worker.start_seconds:.1f} s; first answer after another "
        f"{time.monotonic() - began:.1f} s; {handlers_worker.bundle_bytes:,} bytes of source"
    )
    assert about == {"python": [3, 12], "runs": "emscripten"}


NEEDS_A_SERVER = (
    "openbolt.cli",
    "openbolt.providers.anthropic",
    "openbolt.proxy.caching",  # hishel
    "openbolt.s3",
    "openbolt.senders.aiohttp",
    "openbolt.senders.httpx",
    "openbolt.telemetry",
    "openbolt.testing",
)


async def test_every_module_that_needs_no_server_can_be_imported(
    handlers: httpx.AsyncClient,
) -> None:
    found = pkgutil.walk_packages(openbolt.__path__, "openbolt.", onerror=lambda _: None)
    names = [module.name for module in found if not module.name.startswith(NEEDS_A_SERVER)]
    failures = {name: (await handlers.get(f"/import/{name}")).json() for name in names}
    assert len(names) > 30
    assert {name: failure for name, failure in failures.items() if failure} == {}


async def test_a_request_arrives_whole(handlers: httpx.AsyncClient) -> None:
    answer = await handlers.post(
        "/inspect/a%20b%2Fc?x=%201&x=2", content="body ü", headers={"X-Field": "value"}
    )
    assert answer.json() == {
        "method": "POST",
        "scheme": "http",
        "host": handlers.base_url.netloc.decode(),
        "root_path": "",
        "path": "/inspect/a b/c",
        "query": "x=%201&x=2",
        "field": "value",
        "body": "body ü",
    }


async def test_the_mount_point_is_taken_off_the_path(handlers: httpx.AsyncClient) -> None:
    seen = (await handlers.get("/mounted/inspect/x")).json()
    assert (seen["root_path"], seen["path"]) == ("/mounted", "/inspect/x")


async def test_chunks_arrive_while_the_response_is_made(handlers: httpx.AsyncClient) -> None:
    async with handlers.stream("GET", "/gated/one") as answer:
        chunks = answer.aiter_raw()
        assert await anext(chunks) == b"one begins\n"
        await handlers.post("/release/one")
        assert [chunk async for chunk in chunks] == [b"one ends\n"]
    await until(handlers, "one", closed=1)


async def test_concurrent_responses_do_not_mix(handlers: httpx.AsyncClient) -> None:
    async with (
        handlers.stream("GET", "/gated/left") as left,
        handlers.stream("GET", "/gated/right") as right,
    ):
        left_chunks, right_chunks = left.aiter_raw(), right.aiter_raw()
        assert await anext(left_chunks) == b"left begins\n"
        assert await anext(right_chunks) == b"right begins\n"
        await handlers.post("/release/right")
        assert [chunk async for chunk in right_chunks] == [b"right ends\n"]
        await handlers.post("/release/left")
        assert [chunk async for chunk in left_chunks] == [b"left ends\n"]


async def test_a_body_goes_through_as_it_comes(handlers: httpx.AsyncClient) -> None:
    body = bytes(range(256)) * 20_000
    answer = await handlers.post("/echo/upload", content=body)
    assert answer.content == body


async def test_a_client_that_goes_closes_the_body_once(handlers: httpx.AsyncClient) -> None:
    async with handlers.stream("GET", "/ticks/gone") as answer:
        assert await anext(answer.aiter_raw()) == b"tick\n"
    await until(handlers, "gone", closed=1)
    before = (await handlers.get("/state/gone")).json()
    await asyncio.sleep(0.2)
    assert (await handlers.get("/state/gone")).json() == before


async def test_a_client_that_goes_before_the_head_closes_the_body_once(
    handlers: httpx.AsyncClient,
) -> None:
    with pytest.raises(httpx.ReadTimeout):
        await handlers.get("/late/early-leaver", timeout=0.3)
    await handlers.post("/release/early-leaver")
    await until(handlers, "early-leaver", closed=1)


async def test_an_aborted_request_closes_a_body_that_is_silent(handlers: httpx.AsyncClient) -> None:
    async with handlers.stream("GET", "/abortable/silent-one") as answer:
        assert await anext(answer.aiter_raw()) == b"and then nothing\n"
        await handlers.post("/release/silent-one")
        await until(handlers, "silent-one", closed=1)


async def test_an_aborted_request_gets_no_body(handlers: httpx.AsyncClient) -> None:
    await handlers.post("/release/aborted-before")
    async with handlers.stream("GET", "/abortable/aborted-before"):
        await until(handlers, "aborted-before", closed=1)


async def test_an_upload_that_breaks_off_closes_what_it_fed(handlers: httpx.AsyncClient) -> None:
    address = str(handlers.base_url.host), handlers.base_url.port
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"POST /echo/cut HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nbegin")
    await asyncio.wait_for(reader.readuntil(b"begin"), PATIENCE)
    writer.close()
    await writer.wait_closed()
    await until(handlers, "cut", closed=1)


@pytest.mark.parametrize(
    ("method", "kind", "status"), [("HEAD", "ticks", 200), ("GET", "not-modified", 304)]
)
async def test_a_body_that_may_not_be_sent_is_closed_unread(
    handlers: httpx.AsyncClient, method: str, kind: str, status: int
) -> None:
    answer = await handlers.request(method, f"/{kind}/{method}-{kind}")
    assert (answer.status_code, answer.content) == (status, b"")
    await until(handlers, f"{method}-{kind}", closed=1, sent=0)


async def test_a_stream_that_breaks_is_cut_off(handlers: httpx.AsyncClient) -> None:
    # With a declared length: without one, the runtime of 2024 ends every broken stream as if it
    # were whole, whatever kind it is (that of 2026 doesn't).
    async with handlers.stream("GET", "/breaks/broken") as answer:
        chunks = answer.aiter_raw()
        assert await anext(chunks) == b"so far so good\n"
        await handlers.post("/release/broken")
        with pytest.raises(httpx.RemoteProtocolError):
            await anext(chunks)
    await until(handlers, "broken", closed=1)


async def test_a_declared_length_stays(handlers: httpx.AsyncClient) -> None:
    answer = await handlers.get("/sized/sized")
    assert answer.headers["content-length"] == "10"
    assert answer.content == b"1234567890"


async def test_an_encoded_body_is_not_encoded_again(handlers: httpx.AsyncClient) -> None:
    encoded = gzip.compress(b"hello")
    accepts = {"accept-encoding": "gzip"}
    async with handlers.stream(
        "POST", "/encoded/encoded", content=encoded, headers=accepts
    ) as answer:
        raw = b"".join([chunk async for chunk in answer.aiter_raw()])
    assert answer.headers["content-encoding"] == "gzip"
    assert raw == encoded


async def test_a_field_may_stand_twice(handlers: httpx.AsyncClient) -> None:
    answer = await handlers.get("/cookies")
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2, c"]


async def test_an_error_is_answered_as_json(handlers: httpx.AsyncClient) -> None:
    answer = await handlers.get("/refuses")
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "2"
    assert json.loads(answer.content) == {
        "error": {"code": "rate_limited", "message": "Slowly.", "requestId": ""}
    }


@pytest.mark.parametrize("kind", ["raises", "bad-header"])
async def test_what_nobody_foresaw_is_a_500_that_says_nothing(
    handlers: httpx.AsyncClient, kind: str
) -> None:
    answer = await handlers.get(f"/{kind}/{kind}")
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal"
    assert "foresaw" not in answer.text


async def test_a_header_that_can_not_be_sent_closes_the_body(handlers: httpx.AsyncClient) -> None:
    await handlers.get("/bad-header/unsendable")
    await until(handlers, "unsendable", closed=1, sent=0)


async def test_spawned_work_outlives_its_request(handlers: httpx.AsyncClient) -> None:
    answer = await handlers.post("/spawns/work")
    assert answer.status_code == 202
    assert (await handlers.get("/state/work")).json()["finished"] is False
    await handlers.post("/release/work")
    await until(handlers, "work", finished=True)


async def test_spawned_work_that_fails_is_logged(
    handlers: httpx.AsyncClient, handlers_worker: Worker
) -> None:
    assert (await handlers.post("/spawns-failing/work")).status_code == 202
    deadline = time.monotonic() + PATIENCE
    while "RuntimeError: spawned and failed" not in handlers_worker.log.read_text():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)

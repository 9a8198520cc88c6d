"""The same behavior on every real server: streaming, going away, refusing, opening and closing."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from attrs import frozen

from tests.serving import end, free_port

pytestmark = pytest.mark.servers

ROOT = Path(__file__).parents[2]
APP = "tests.asgi.served_app:app"
SERVERS = {
    "uvicorn-httptools": ("uvicorn", APP, "--http=httptools", "--port={port}"),
    "uvicorn-h11": ("uvicorn", APP, "--http=h11", "--loop=asyncio", "--port={port}"),
    "hypercorn": ("hypercorn", APP, "--bind=127.0.0.1:{port}"),
    "granian": ("granian", APP, "--interface=asgi", "--port={port}"),
}


@frozen
class Served:
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        end(self.process, signal.SIGTERM)


def start(server: str, log: Path, app: str = APP) -> Served:
    port = free_port()
    arguments = [app if part == APP else part.format(port=port) for part in SERVERS[server]]
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path, "SERVED_APP_LOG": str(log)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    served = Served(process, port, log)
    for _ in range(300):
        with contextlib.suppress(httpx.TransportError):
            httpx.get(f"{served.url}/facts", timeout=1)
            return served
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
            break
    served.stop()
    raise RuntimeError(f"{server} did not start")


@pytest.fixture(scope="module", params=sorted(SERVERS))
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    served = start(request.param, tmp_path_factory.mktemp("served") / "log")
    yield served
    served.stop()


@pytest_asyncio.fixture
async def client(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=served.url, timeout=20) as client:
        yield client


async def test_a_chunk_arrives_before_the_next_one_is_made(client: httpx.AsyncClient) -> None:
    async with client.stream("GET", "/stream/one") as response:
        chunks = response.aiter_raw()
        assert await anext(chunks) == b"first\n"
        await client.post("/release/one")
        assert b"".join([chunk async for chunk in chunks]) == b"second\n"
    facts = (await client.get("/facts/closed-one")).json()
    assert facts["closed-one"] == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_client_that_goes_closes_the_body_once(
    client: httpx.AsyncClient, method: str
) -> None:
    name = f"left-{method}"
    content = b"{}" if method == "POST" else None
    async with client.stream(method, f"/stream/{name}", content=content) as response:
        await anext(response.aiter_raw())
    facts = (await client.get(f"/facts/closed-{name}")).json()
    assert facts[f"closed-{name}"] == 1
    await client.post(f"/release/{name}")
    assert (await client.get("/facts")).json()[f"closed-{name}"] == 1


async def test_a_client_that_goes_with_its_upload_unread_closes_the_body(served: Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(
        b"POST /stream/unread HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5000\r\n\r\n"
        + b"x" * 9
    )
    assert (await reader.readuntil(b"first\n")).startswith(b"HTTP/1.1 200")
    writer.close()
    async with httpx.AsyncClient(base_url=served.url, timeout=20) as client:
        assert (await client.get("/facts/closed-unread")).json()["closed-unread"] == 1


async def test_a_client_that_takes_nothing_holds_the_body_back_and_ends_it_by_going(
    served: Served, client: httpx.AsyncClient
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=1024)
    writer.write(b"GET /flood HTTP/1.1\r\nhost: localhost\r\n\r\n")
    await reader.readline()
    before = (await client.get("/facts")).json()["flooded"]
    writer.transport.abort()
    facts = (await client.get("/facts/closed-flood")).json()
    assert facts["closed-flood"] == 1
    # Sockets and servers hold some megabytes, never what a loop makes in the meantime.
    assert before * 65_536 < 64 * 2**20


async def test_a_body_that_breaks_is_a_broken_response_and_not_a_short_one(
    client: httpx.AsyncClient,
) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await client.get("/breaking")
    assert (await client.get("/facts/closed-breaking")).json()["closed-breaking"] == 1


async def test_head_is_the_head_of_get_and_closes_the_body(client: httpx.AsyncClient) -> None:
    response = await client.head("/stream/head")
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-type"] == "text/plain"
    assert (await client.get("/facts/closed-head")).json()["closed-head"] == 1


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [("/failing", 409, "conflict"), ("/crashing", 500, "internal"), ("/nowhere", 404, "not_found")],
)
async def test_every_error_is_json_with_the_requests_id(
    client: httpx.AsyncClient, path: str, status: int, code: str
) -> None:
    response = await client.get(path, headers={"x-request-id": "r-1"})
    assert response.status_code == status
    assert response.json()["error"]["code"] == code
    assert response.json()["error"]["requestId"] == "r-1"
    assert response.headers["x-request-id"] == "r-1"
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_options_says_what_is_allowed(client: httpx.AsyncClient) -> None:
    response = await client.options("/stream/x")
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["allow"] == "GET, HEAD, OPTIONS, POST"


@pytest.mark.parametrize(
    ("declared", "sent"),
    [(b"content-length: 1000000000", b""), (b"transfer-encoding: chunked", b"%x\r\n" % 150_000)],
)
async def test_a_large_upload_is_refused_before_it_is_sent(
    served: Served, declared: bytes, sent: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    head = b"POST /upload HTTP/1.1\r\nhost: localhost\r\n" + declared + b"\r\n\r\n"
    # Over the limit and then nothing: whoever waits for the whole body waits for ever.
    writer.write(head + sent + (b"x" * 150_000 if sent else b""))
    assert (await reader.readline()).startswith(b"HTTP/1.1 413")
    writer.close()


async def test_an_upload_within_the_limit_arrives_whole(client: httpx.AsyncClient) -> None:
    response = await client.post("/upload", content=b"x" * 100_000)
    assert response.json() == {"size": 100_000}


async def test_a_large_body_can_be_echoed_while_it_is_sent(client: httpx.AsyncClient) -> None:
    data = os.urandom(2_000_000)
    assert (await client.post("/echo", content=data)).content == data


async def test_spawned_work_outlives_its_request(client: httpx.AsyncClient) -> None:
    await client.post("/spawn/a")
    assert "spawned-a" not in (await client.get("/facts")).json()
    await client.post("/release/a")
    assert (await client.get("/facts/spawned-a")).json()["spawned-a"] == 1


async def test_a_target_in_absolute_form_does_not_change_the_route(served: Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(
        b"GET http://evil.example/nowhere HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    )
    assert b" 404 " in await reader.readline()
    writer.close()


@pytest.mark.parametrize("server", sorted(SERVERS))
async def test_a_server_opens_the_app_once_and_closes_it_when_it_stops(
    server: str, tmp_path: Path
) -> None:
    served = await asyncio.to_thread(start, server, tmp_path / "log")
    try:
        async with httpx.AsyncClient(base_url=served.url) as client:
            await asyncio.gather(*(client.get("/facts") for _ in range(20)))
            assert (await client.get("/facts")).json() == {"opened": 1}
    finally:
        await asyncio.to_thread(served.stop)
    assert served.log.read_text() == "closed\n"

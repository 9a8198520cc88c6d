"""The whole application in a real workerd, in front of a model that misbehaves when asked to."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from openbolt_local.mocks import AnthropicMock, Reply
from tests.worker.conftest import open_client
from tests.worker.running import HERE, Worker, running

PATIENCE = 20.0
"""Seconds after which something that has to happen counts as not happening."""

# Without the package's own file, which opens the backends of a server.
IN_MEMORY = (
    "openbolt_local/_checks.py",
    "openbolt_local/_objects.py",
    "openbolt_local/memory.py",
    "openbolt_local/memory_limits.py",
    "openbolt_local/memory_objects.py",
)

PAGE = """Here it is.

<boltArtifact id="page" title="Page">
<boltAction type="file" filePath="index.html">
<h1>{heading}</h1>
</boltAction>
</boltArtifact>

Done."""


@pytest.fixture(scope="module")
def app_worker(tmp_path_factory: pytest.TempPathFactory, mock: AnthropicMock) -> Iterator[Worker]:
    with running(
        tmp_path_factory.mktemp("app"),
        HERE / "entries/chat.py",
        more=IN_MEMORY,
        variables={"UPSTREAM": mock.url},
    ) as worker:
        yield worker


@pytest_asyncio.fixture
async def app(app_worker: Worker) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(app_worker) as client:
        yield client


def say(text: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **more}


def frames(body: str) -> list[Any]:
    """The data of an event stream, with its end as text."""
    data = [line[6:] for line in body.splitlines() if line.startswith("data: ")]
    return [text if text == "[DONE]" else json.loads(text) for text in data]


def visible(sent: list[Any]) -> str:
    return "".join(frame["delta"] for frame in sent[:-1] if frame["type"] == "text-delta")


async def test_the_application_answers(app: httpx.AsyncClient, app_worker: Worker) -> None:
    began = time.monotonic()
    answer = await app.get("/healthz")
    print(
        f"workerd ready in {app_worker.start_seconds:.1f} s; first answer after another "
        f"{time.monotonic() - began:.1f} s; {app_worker.bundle_bytes:,} bytes of source"
    )
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert (await app.get("/readyz")).status_code == 200


async def test_a_turn_streams_and_its_files_are_saved(
    app: httpx.AsyncClient, mock: AnthropicMock
) -> None:
    mock.enqueue(PAGE.format(heading="Hello"))
    answer = await app.post("/api/chat", json=say("a page"))
    sent = frames(answer.text)
    project = answer.headers["x-openbolt-project"]
    assert answer.headers["x-vercel-ai-ui-message-stream"] == "v1"
    assert (sent[0]["type"], sent[-1]) == ("start", "[DONE]")
    assert "Here it is." in visible(sent)
    file = await app.get(f"/api/projects/{project}/files/index.html")
    assert (file.status_code, file.text) == (200, "<h1>Hello</h1>\n")
    chat = await app.get(f"/api/chats/{answer.headers['x-openbolt-chat']}")
    assert chat.status_code == 200


async def test_frames_arrive_while_the_model_is_at_it_and_leaving_ends_its_call(
    app: httpx.AsyncClient, mock: AnthropicMock
) -> None:
    mock.enqueue(Reply(chunks=("one ", "two ", "three"), fault="stall after=2"))
    async with app.stream("POST", "/api/chat", json=say("stall")) as answer:
        seen = ""
        async for line in answer.aiter_lines():
            if line.startswith("data: ") and '"text-delta"' in line:
                seen += json.loads(line[6:])["delta"]
            if seen.strip() == "one two":
                break
        record = mock.streams[-1]
        assert record.ended is None
    await asyncio.wait_for(mock.idle(), PATIENCE)
    assert record.ended == "client-gone"


async def test_concurrent_turns_do_not_mix(app: httpx.AsyncClient, mock: AnthropicMock) -> None:
    names = [f"turn-{number}" for number in range(4)]
    answers = await asyncio.gather(
        *(app.post("/api/chat", json=say(f"[mock:say this is {name}]")) for name in names)
    )
    said = [visible(frames(answer.text)) for answer in answers]
    assert said == [f"this is {name}" for name in names]


async def test_an_error_before_the_first_byte_is_json(
    app: httpx.AsyncClient, mock: AnthropicMock
) -> None:
    answer = await app.post("/api/chat", json=say("[mock:401]"))
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "upstream_error"
    assert answer.json()["error"]["requestId"] == answer.headers["x-request-id"]


async def test_a_connection_that_breaks_once_is_mended(
    app: httpx.AsyncClient, mock: AnthropicMock
) -> None:
    mock.enqueue(Reply(chunks=("one ", "two ", "three"), fault="cut after=2"))
    sent = frames((await app.post("/api/chat", json=say("cut"))).text)
    assert visible(sent).split() == ["one", "two", "three"]
    assert (sent[-2]["type"], sent[-1]) == ("finish", "[DONE]")


async def test_an_error_after_the_first_byte_is_an_event(
    app: httpx.AsyncClient, mock: AnthropicMock
) -> None:
    mock.script([Reply(chunks=("one ", "two"), fault="cut after=1") for _ in range(9)])
    answer = await app.post("/api/chat", json=say("cut again and again"))
    mock.script([])
    sent = frames(answer.text)
    assert answer.status_code == 200
    assert (sent[-2]["type"], sent[-1]) == ("error", "[DONE]")


async def test_a_turn_can_be_read_again_once_it_has_ended(
    app: httpx.AsyncClient, mock: AnthropicMock
) -> None:
    mock.enqueue("again")
    answer = await app.post("/api/chat", json=say("something"))
    again = await app.get(f"/api/chat/{answer.headers['x-openbolt-chat']}/stream")
    assert (again.status_code, visible(frames(again.text))) == (200, "again")


async def test_another_request_reads_a_turn_as_it_goes_on_and_stops_it(
    app: httpx.AsyncClient, mock: AnthropicMock
) -> None:
    words = ("one ", "two ", "three ", "four")
    mock.enqueue(Reply(chunks=words, fault="stall after=3 pace=0.2"))
    async with app.stream("POST", "/api/chat", json=say("go on")) as answer:
        chat = answer.headers["x-openbolt-chat"]
        lines = answer.aiter_lines()
        while "one " not in await anext(lines):
            pass
        async with app.stream("GET", f"/api/chat/{chat}/stream") as other:
            others = other.aiter_lines()
            async with asyncio.timeout(PATIENCE):
                while "three " not in await anext(others):
                    pass
            assert mock.streams[-1].ended is None
            stopped = await app.post(f"/api/chat/{chat}/stop")
            assert stopped.json() == {"stopped": True}
            for rest in (lines, others):
                async with asyncio.timeout(PATIENCE):
                    assert [line async for line in rest if line][-2:] == [
                        'data: {"type":"abort"}',
                        "data: [DONE]",
                    ]
    await asyncio.wait_for(mock.idle(), PATIENCE)
    assert mock.streams[-1].ended == "client-gone"

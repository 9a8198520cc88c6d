"""``kill -9`` of a real server in the middle of a chat that writes over a project.

The moments come from a seeded source, spread over the whole of a turn and a little beyond. How many
there are is set by ``OPENBOLT_KILLS`` (40 without it; a whole `nox` run sets 300, on one Python).
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from attrs import define, evolve, field, frozen

from openbolt import OpenBolt, Settings
from openbolt.projects.store import ProjectStore
from openbolt.providers.http import MessagesProvider
from openbolt.senders.aiohttp import AiohttpSender
from openbolt_local import open_dependencies
from openbolt_local.mocks import AnthropicMock, Reply
from openbolt_local.mocks.connection import ReceivedRequest
from tests.chat.driving import App, artifact, file, frames_of, kinds, visible

KILLS = int(os.environ.get("OPENBOLT_KILLS") or 40)
ROUNDS_PER_CHAT = 10
ROOT = Path(__file__).parents[2]
FRAMES = 44
"""About as many as a reply has; some arrive as one."""
PATHS = ("app.js", "data/list.json", "index.html", "style.css")

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="servers are forked"),
    pytest.mark.timeout(60 + 3 * KILLS),
]


def texts_of(number: int) -> dict[str, str]:
    """The files that a round's reply holds; each round leaves one of them as it was."""
    return {
        path: f"// {path} of round {number}\n"
        + "".join(f"line {n};\n" for n in range(8 + number % 5))
        for index, path in enumerate(PATHS)
        if index != number % (2 * len(PATHS))
    }


def reply_of(number: int) -> str:
    """What the model says in a round."""
    files = [file(path, text) for path, text in texts_of(number).items()]
    return f"Round {number}.\n" + artifact(*files, title=f"Round {number}") + "\nDone."


def answer(request: ReceivedRequest) -> Reply:
    """The model: what it says depends on the last prompt alone, so a late request harms nobody."""
    content = request.json["messages"][-1]["content"]
    prompt = content if isinstance(content, str) else content[-1]["text"]
    kind, number = prompt.split()[-2:]  # a question that was never answered stands before it
    return Reply(reply_of(int(number)) if kind == "round" else f"Fine, {number}.")


@frozen
class Server:
    """A server that can be killed."""

    pid: int
    port: int

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    async def gone(self) -> None:
        """Wait until the kernel has taken everything back."""
        with suppress(ProcessLookupError):
            while True:
                os.kill(self.pid, 0)
                await asyncio.sleep(0.001)


@define
class Zygote:
    """The process that forks servers."""

    process: asyncio.subprocess.Process
    started: list[Server] = field(factory=list[Server])

    async def start(self, settings: dict[str, Any]) -> Server:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(settings).encode() + b"\n")
        await self.process.stdin.drain()
        server = Server(**json.loads(await self.process.stdout.readline()))
        self.started.append(server)
        return server


@pytest_asyncio.fixture
async def zygote() -> AsyncIterator[Zygote]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("zygote.py")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    found = Zygote(process)
    try:
        yield found
    finally:
        for server in found.started:
            server.kill()
        process.stdin.close()
        await process.wait()


class Survivor(App):
    """The application over the stores that a killed server left, in this process."""

    def __init__(self, dependencies: Any, settings: Settings) -> None:
        self.tasks = set()
        self.settings = settings
        self.dependencies = dependencies
        self.handler = OpenBolt(dependencies, settings)

    async def versions(self, project_id: str) -> dict[int, dict[str, str]]:
        """Every version, each file read and checked against its hash."""
        d = self.dependencies
        store = ProjectStore(d.objects, d.kv, d.clock)
        if not await store.exists(project_id):
            return {}
        project = await store.load(project_id, owner="local")
        return {
            manifest.number: {
                entry.path: (await store.read_blob(entry)).decode() for entry in manifest.files
            }
            async for manifest in store.versions(project)
        }


@asynccontextmanager
async def surviving(settings: Settings, url: str) -> AsyncIterator[Survivor]:
    async with aclosing(AiohttpSender()) as sender, open_dependencies(settings) as dependencies:
        provider = MessagesProvider(sender, url, "k", max_retries=0)
        app = Survivor(evolve(dependencies, provider=provider), settings)
        yield app
        await app.drain()


@frozen
class Moment:
    """When a server is killed: so many seconds after so many frames have come."""

    frames: int
    delay: float

    @classmethod
    def draw(cls, chance: random.Random) -> Moment:
        """Anywhere in a turn, and more often where it begins and where it settles."""
        where = chance.random()
        if where < 0.2:
            return cls(0, chance.uniform(0, 0.05))
        if where < 0.4:
            return cls(FRAMES - chance.randrange(14), chance.uniform(0, 0.02))
        return cls(chance.randrange(FRAMES), chance.uniform(0, 0.005))


async def ask(server: Server, chat: str, prompt: str, moment: Moment) -> list[Any]:
    """Post a prompt and kill the server at some moment; the frames that came."""
    loop = asyncio.get_running_loop()
    body = {"id": chat, "projectId": f"p-{chat}", "messages": [{"role": "user", "content": prompt}]}
    data, timer = b"", None
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        assert (await client.get("/healthz")).status_code == 200
        if moment.frames == 0:
            timer = loop.call_later(moment.delay, server.kill)
        with suppress(httpx.TransportError):
            async with client.stream("POST", "/api/chat", json=body) as response:
                assert response.status_code == 200
                async for chunk in response.aiter_bytes():
                    data += chunk
                    if timer is None and data.count(b"\n\n") >= moment.frames:
                        timer = loop.call_later(moment.delay, server.kill)
        # The end of a turn isn't the end of the server.
        timer = timer or loop.call_later(moment.delay, server.kill)
        await server.gone()
    return frames_of(data[: data.rfind(b"\n\n") + 2])


@define
class Chronicle:
    """What one chat and its project have come to, round by round."""

    chat: str
    messages: int = 0
    versions: dict[int, dict[str, str]] = field(factory=dict[int, dict[str, str]])

    async def check(self, app: Survivor, number: int, frames: list[Any]) -> None:
        """After a kill: nothing whole is lost, nothing partial is kept, and the chat goes on."""
        status, chat = await app.call("GET", f"/api/chats/{self.chat}")
        added = chat["messages"][self.messages :] if status == 200 else []
        assert [m["role"] for m in added] in ([], ["user", "assistant"])
        assert added or not frames
        if added:
            state = added[-1]["metadata"]["status"]
            assert state == "complete" if "finish" in kinds(frames) else state in {
                "interrupted", "complete",
            }  # fmt: skip
        d = app.dependencies
        assert [k async for k in d.kv.scan(f"project:p-{self.chat}/journal/")] == []
        assert await d.leases.holder(f"chat:{self.chat}") is None
        await self._check_stream(app, added)
        await self._check_versions(app, number, frames, added)
        await self._check_goes_on(app, number, len(added))

    async def _check_stream(self, app: Survivor, added: list[Any]) -> None:
        """Nobody waits for more of a turn whose process is dead."""
        response = await app.open("GET", f"/api/chat/{self.chat}/stream")
        if added and added[-1]["metadata"]["status"] == "interrupted":
            assert response.status == 204
        async with asyncio.timeout(5):
            data = await app.read(response)
        assert response.status == 204 or data.endswith(b"[DONE]\n\n")

    async def _check_versions(
        self, app: Survivor, number: int, frames: list[Any], added: list[Any]
    ) -> None:
        versions = await app.versions(f"p-{self.chat}")
        assert {n: versions.get(n) for n in self.versions} == self.versions
        assert len(versions) - len(self.versions) in {0, 1}
        old, now = self.versions.get(len(self.versions), {}), versions.get(len(versions), {})
        new = texts_of(number)
        assert set(old) <= set(now)
        for path, text in now.items():
            assert text in {old.get(path), new.get(path)}
        promised = {f["id"] for f in frames if f != "[DONE]" and f["type"] == "data-file"}
        assert {path for path in promised if now.get(path) != new[path]} == set()
        said = {
            part["id"] for message in added for part in message["parts"]
            if part["type"] == "data-file" and part["data"]["state"] == "saved"
        }  # fmt: skip
        assert said == {path for path in new if now.get(path) == new[path]}
        self.versions = versions

    async def _check_goes_on(self, app: Survivor, number: int, added: int) -> None:
        frames = await app.chat(f"next {number}", id=self.chat, projectId=f"p-{self.chat}")
        assert visible(frames) == f"Fine, {number}."
        _, chat = await app.call("GET", f"/api/chats/{self.chat}")
        roles = [message["role"] for message in chat["messages"]]
        assert roles == ["user", "assistant"] * ((self.messages + added + 2) // 2)
        self.messages = len(roles)


async def test_a_killed_server_loses_nothing_whole_and_keeps_nothing_partial(
    zygote: Zygote, tmp_path: Path
) -> None:
    chance = random.Random(54)
    async with AnthropicMock(delta_interval=0.004, delta_size=24, respond=answer) as mock:
        options = {
            "data": str(tmp_path),
            "anthropic_base_url": mock.url,
            "anthropic_api_key": "k",
        }
        settings = Settings(**options)
        chronicle = Chronicle("c0")
        began = time.perf_counter()
        outcomes: dict[str, int] = {}
        server = await zygote.start(options)
        for number in range(KILLS):
            if number % ROUNDS_PER_CHAT == 0:
                chronicle = Chronicle(f"c{number // ROUNDS_PER_CHAT}")
            frames = await ask(server, chronicle.chat, f"round {number}", Moment.draw(chance))
            ending = kinds(frames)[-1] if frames else "nothing"
            outcomes[ending] = outcomes.get(ending, 0) + 1
            # The next server starts while the stores are looked at: what it finds is its business.
            server = await zygote.start(options)
            async with surviving(settings, mock.url) as app:
                await chronicle.check(app, number, frames)
    print(f"{KILLS} kills in {time.perf_counter() - began:.1f} s: {outcomes}")

"""Drive the application without a server: requests in, frames out, work owned by the test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from types import TracebackType
from typing import Any, Self

from attrs import evolve

from openbolt import Headers, OpenBolt, Request, RequestContext, Response, Settings
from openbolt.clock import SystemClock
from openbolt.http import StreamBody
from openbolt.protocols import ModelProvider
from openbolt.providers.http import MessagesProvider
from openbolt.senders.aiohttp import AiohttpSender
from openbolt_local.mocks import AnthropicMock
from tests.handlers.building import read_body
from tests.stores import in_memory

JSON = "application/json"
KEY = "sk-ant-very-secret"


async def _bytes(data: bytes) -> AsyncIterator[bytes]:
    if data:
        yield data


def frames_of(data: bytes) -> list[Any]:
    """The frames of a UI message stream, ``[DONE]`` as text."""
    found: list[Any] = []
    for block in data.decode().split("\n\n"):
        for line in block.splitlines():
            if line.startswith("data: "):
                text = line.removeprefix("data: ")
                found.append(text if text == "[DONE]" else json.loads(text))
    return found


class App:
    """An application over memory stores and a mock of the model; owns what requests spawn."""

    def __init__(self, mock: AnthropicMock, **settings: Any) -> None:
        self.mock = mock
        self.settings = Settings(**{"max_tokens": 4096, **settings})
        self.tasks: set[asyncio.Task[None]] = set()
        self._sender = AiohttpSender()
        self.provider: ModelProvider = MessagesProvider(self._sender, mock.url, KEY, max_retries=0)
        self.dependencies = in_memory(SystemClock(), provider=self.provider)
        self.restart()

    def restart(self, **changes: Any) -> None:
        """A new application over the same stores."""
        self.dependencies = evolve(self.dependencies, **changes)
        self.handler = OpenBolt(self.dependencies, self.settings)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.drain()
        await self._sender.aclose()

    async def drain(self) -> None:
        """Wait for everything that requests have spawned."""
        while self.tasks:
            await asyncio.gather(*self.tasks, return_exceptions=True)
            # A gather of finished tasks doesn't yield, and it is the loop that takes them off.
            await asyncio.sleep(0)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def open(
        self,
        method: str,
        target: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Response:
        """Send a request; the caller reads and closes the body."""
        path, _, query = target.partition("?")
        fields = {"host": "localhost", "content-type": JSON, **(headers or {})}
        data = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        return await self.handler(
            Request(
                method,
                path,
                Headers.of(fields),
                StreamBody(_bytes(data)),
                RequestContext(self._spawn),
                query=query,
            )
        )

    async def read(self, response: Response) -> bytes:
        """The whole body, closed."""
        return await read_body(response)

    async def call(
        self, method: str, target: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and decoded body of a JSON request."""
        response = await self.open(method, target, body, headers)
        data = await self.read(response)
        is_json = (response.headers.get("content-type") or "").startswith(JSON)
        return response.status, json.loads(data) if is_json and data else data

    async def start(self, text: str, **body: Any) -> Response:
        """Post a prompt."""
        message = {"role": "user", "parts": [{"type": "text", "text": text}]}
        return await self.open("POST", "/api/chat", {"messages": [message], **body})

    async def chat(self, text: str, **body: Any) -> list[Any]:
        """Post a prompt and read the frames of the whole reply."""
        response = await self.start(text, **body)
        data = await self.read(response)
        assert response.status == 200, data
        return frames_of(data)

    async def file(self, project_id: str, path: str) -> str | None:
        """A saved file's text; None if there is none."""
        status, data = await self.call("GET", f"/api/projects/{project_id}/files/{path}")
        return data.decode() if status == 200 else None


def only(frames: list[Any], kind: str) -> list[Any]:
    """The frames of a type."""
    return [f for f in frames if f != "[DONE]" and f["type"] == kind]


def kinds(frames: list[Any]) -> list[str]:
    """The types of frames in order, repeats of deltas folded."""
    found: list[str] = []
    for frame in frames:
        kind = frame if frame == "[DONE]" else frame["type"]
        if not (found and found[-1] == kind and kind.endswith("-delta")):
            found.append(kind)
    return found


def visible(frames: list[Any]) -> str:
    """The visible text."""
    return "".join(f["delta"] for f in only(frames, "text-delta"))


def files_saved(frames: list[Any]) -> dict[str, str]:
    """The last state of each file."""
    return {f["data"]["filePath"]: f["data"]["state"] for f in only(frames, "data-file")}


def artifact(*actions: str, title: str = "T") -> str:
    """An artifact element around actions."""
    return f'<boltArtifact id="a" title="{title}">{"".join(actions)}</boltArtifact>'


def file(path: str, content: str) -> str:
    """A file action."""
    return f'<boltAction type="file" filePath="{path}">{content}</boltAction>'

"""What the tests here talk to: our server in a thread, and the SDKs' clients in a Node process.

Law: both ends are the real thing, connected by a socket; only the model is scripted, at its wire.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NoReturn

import httpx
import pytest
import uvicorn
from attrs import frozen

from openbolt import Settings
from openbolt.asgi import asgi_app
from openbolt_local import open_dependencies
from openbolt_local.mocks import AnthropicMock

HERE = Path(__file__).parent
Version = Literal["ai5", "ai"]
VERSIONS: tuple[Version, ...] = ("ai5", "ai")


class ClientError(Exception):
    """A command failed in the SDK, or never ended."""


class Client:
    """The SDKs' client code: `client.mjs` in a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["node", "client.mjs"],
            cwd=HERE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def __call__(self, command: str, **options: object) -> Any:
        """Run a command of `client.mjs`; its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"command": command, **options}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise ClientError(f"the client ended with status {self._process.wait()}")
        answer = json.loads(line)
        if "failed" in answer:
            raise ClientError(answer["failed"])
        return answer["result"]

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@frozen
class Report:
    """What the SDK makes of a chat."""

    id: str
    status: str
    error: str | None
    errors: list[str]
    messages: list[dict[str, Any]]
    chunks: list[dict[str, Any]]
    data: list[dict[str, Any]]
    ends: int

    @property
    def message(self) -> dict[str, Any]:
        """The last message."""
        return self.messages[-1]

    @property
    def types(self) -> list[str]:
        """The types of the message's parts, in order."""
        return [part["type"] for part in self.message["parts"]]

    @property
    def texts(self) -> list[str]:
        """The text of each text part."""
        return [part["text"] for part in self.message["parts"] if part["type"] == "text"]

    def parts(self, kind: str) -> dict[str, Any]:
        """The data of the parts of a kind, by id."""
        found = [part for part in self.message["parts"] if part["type"] == kind]
        by_id = {part["id"]: part["data"] for part in found}
        assert len(by_id) == len(found), "a part was appended that should have been reconciled"
        return by_id


@frozen
class Chat:
    """A chat in an SDK, as `useChat` holds it, against a server of ours."""

    client: Client
    handle: int

    def __call__(self, command: str, **options: object) -> Any:
        """Run a command of `client.mjs` on this chat."""
        return self.client(command, chat=self.handle, **options)

    def ask(self, text: str) -> Report:
        """Send a user message and wait for the end of the reply."""
        self("send", text=text)
        return self.done()

    def done(self) -> Report:
        """Wait until nothing runs any more."""
        return Report(**self("done"))

    def until(self, text: str) -> Report:
        """Wait until the last message shows exactly this text."""
        return Report(**self("until", text=text))


@frozen
class Server:
    """Our application behind uvicorn, and the model that it asks."""

    url: str
    mock: AnthropicMock

    def get(self, path: str) -> Any:
        """What a path answers, as JSON."""
        answer = httpx.get(self.url + path)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str) -> Any:
        answer = httpx.post(self.url + path)
        answer.raise_for_status()
        return answer.json()

    def stored(self, chat_id: str) -> list[dict[str, Any]]:
        """The messages of a chat as the server keeps them."""
        messages: list[dict[str, Any]] = self.get(f"/api/chats/{chat_id}")["messages"]
        return messages


@contextmanager
def serving(**choices: Any) -> Iterator[Server]:
    """Serve the application over a fresh mock, all in memory, until the context is left."""
    with AnthropicMock.in_thread() as mock, serving_model_at(mock.url, **choices) as url:
        yield Server(url, mock)


@contextmanager
def serving_model_at(base_url: str, **choices: Any) -> Iterator[str]:
    """Serve the application, all in memory, with the model that answers at an address; its URL."""
    settings = Settings(
        kv="memory",
        objects="memory",
        anthropic_api_key="any",
        anthropic_base_url=base_url,
        **choices,
    )
    app = asgi_app(open_dependencies, settings)
    config = uvicorn.Config(app, port=0, log_level="error", timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="uvicorn")
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def need_packages(folder: Path) -> None:
    """Install what a folder's lock file names, unless it is there; else skip, or fail in CI."""
    if (folder / "node_modules/.package-lock.json").exists():
        return
    if not shutil.which("node") or not shutil.which("npm"):
        lacking("Node.js 20 or newer with npm: apt-get install -y nodejs npm")
    done = subprocess.run(
        ["npm", "ci", "--no-audit", "--no-fund", "--prefer-offline"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lacking(f"npm packages: cd {folder} && npm ci\n{done.stderr[-2000:]}")


def lacking(what: str) -> NoReturn:
    """Say how to get what this machine lacks; where CI is set that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(f"needs {what}", pytrace=False)
    pytest.skip(f"needs {what}")

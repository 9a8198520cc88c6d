"""What the tests here talk to: our server in a thread, and the SDKs' clients in a Node process.

Law: both ends are the real thing, connected by a socket; only the model is scripted, at its wire.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from attrs import frozen

from openbolt import Settings
from openbolt.asgi import asgi_app
from openbolt_local import open_dependencies
from openbolt_local.mocks import AnthropicMock
from tests.node import CommandLine
from tests.serving import JsonApi, serving_in_thread

HERE = Path(__file__).parent
Version = Literal["ai5", "ai"]
VERSIONS: tuple[Version, ...] = ("ai5", "ai")


class Client(CommandLine):
    """The SDKs' client code: `client.mjs` in a process of its own."""

    def __init__(self) -> None:
        super().__init__(HERE)


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
class Server(JsonApi):
    """Our application behind uvicorn, and the model that it asks."""

    url: str
    mock: AnthropicMock

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
    with serving_in_thread(app, log_level="error", timeout_graceful_shutdown=5) as url:
        yield url

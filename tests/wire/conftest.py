"""One Node process for all tests here, and for each test a server with nothing in it.

Law: an SDK that grumbles has failed: a warning, an unhandled rejection or a word on the console of
the client ends the run red, whatever the assertions say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.auth.browsing import browser, sender
from tests.wire.running import VERSIONS, Chat, Client, Server, Version, serving

__all__ = ["browser", "chat", "client", "node", "open_chat", "sender", "server", "version"]


@pytest.fixture(scope="session")
def node() -> Iterator[Client]:
    with Client() as client:
        yield client


@pytest.fixture
def client(node: Client) -> Iterator[Client]:
    yield node
    assert node("complaints") == []


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> Version:
    chosen: Version = request.param
    return chosen


@pytest.fixture
def open_chat(client: Client, version: Version) -> Callable[..., Chat]:
    def open_one(server: Server, /, **options: object) -> Chat:
        opened = client("open", version=version, url=server.url, **options)
        return Chat(client, opened["chat"])

    return open_one


@pytest.fixture
def chat(open_chat: Callable[..., Chat], server: Server) -> Chat:
    return open_chat(server)

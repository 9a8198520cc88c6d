"""What a crash leaves behind is settled by the next access.

A crash is made by dropping the runner's task without letting it settle: what is in the stores then
is what a killed process would have left.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from openbolt import Principal
from openbolt_local.memory import MemoryLeaseStore
from openbolt_local.mocks import Reply
from tests.chat.driving import App, file, visible

PIECES = [
    "Here.\n",
    '<boltArtifact id="a" title="T">' + file("a.js", "whole()"),
    '<boltAction type="file" filePath="b.js">half',
    "never",
]


async def crash(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a turn up to the middle of its second file, checkpoint it, and lose the process."""
    app.mock.enqueue(Reply(chunks=PIECES, fault="stall after=3"))
    response = await app.start("hi", id="c", projectId="p")
    seen = b""
    async for chunk in response.body:  # type: ignore[union-attr]
        seen += chunk
        if b"half" in seen:
            break
    await _checkpointed(app)

    async def died(*_: Any) -> None: ...

    # The process is gone: nothing of the turn's ending is carried out.
    monkeypatch.setattr("openbolt.chat.turn._Turn._settle", died)
    for task in app.tasks:
        task.cancel()
    await app.drain()
    monkeypatch.undo()
    app.restart(leases=MemoryLeaseStore(app.dependencies.clock))


async def _checkpointed(app: App) -> None:
    async with asyncio.timeout(5):
        while not [k async for k in app.dependencies.kv.scan("project:p/") if "/text/" in k]:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "access", ["/api/chats/c", "/api/projects/p", "/api/projects/p/files/a.js"]
)
async def test_the_next_access_commits_what_was_whole(
    app: App, monkeypatch: pytest.MonkeyPatch, access: str
) -> None:
    await crash(app, monkeypatch)
    status, _ = await app.call("GET", access)
    assert status == 200
    assert await app.file("p", "a.js") == "whole()\n"
    assert await app.file("p", "b.js") is None
    _, chat = await app.call("GET", "/api/chats/c")
    message = chat["messages"][-1]
    assert message["metadata"]["status"] == "interrupted"
    states = [p["data"]["state"] for p in message["parts"] if p["type"] == "data-file"]
    assert states == ["saved", "refused"]


async def test_settling_twice_changes_nothing(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    await crash(app, monkeypatch)
    first = await app.call("GET", "/api/chats/c")
    assert await app.call("GET", "/api/chats/c") == first
    _, project = await app.call("GET", "/api/projects/p")
    assert project["version"] == 1
    assert [k async for k in app.dependencies.kv.scan("project:p/journal/")] == []


async def test_after_a_crash_there_is_nothing_to_read_and_the_chat_goes_on(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    await crash(app, monkeypatch)
    assert (await app.call("GET", "/api/chat/c/stream"))[0] == 204
    app.mock.enqueue("on we go")
    assert visible(await app.chat("continue", id="c")) == "on we go"
    said = app.mock.requests[-1].json["messages"][1]["content"][-1]["text"]
    assert said == "".join(PIECES[:3])


async def test_a_prompt_settles_its_own_chat_first(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    await crash(app, monkeypatch)
    app.mock.enqueue("ok")
    await app.chat("continue", id="c")
    _, chat = await app.call("GET", "/api/chats/c")
    statuses = [m["metadata"]["status"] for m in chat["messages"]]
    assert statuses == ["complete", "interrupted", "complete", "complete"]


async def test_a_turn_that_lives_elsewhere_is_left_alone(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    await crash(app, monkeypatch)
    lease = await app.dependencies.leases.acquire("chat:c", ttl=60)
    assert lease is not None
    assert (await app.call("GET", "/api/projects/p"))[1]["files"] == []
    await app.dependencies.leases.release(lease)
    assert [f["path"] for f in (await app.call("GET", "/api/projects/p"))[1]["files"]] == ["a.js"]


async def test_a_commit_that_had_landed_is_not_made_again_over_what_came_after(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    await crash(app, monkeypatch)
    kv = app.dependencies.kv
    left = {k: await kv.get(k) async for k in kv.scan("project:p/journal/")}
    await app.call("GET", "/api/projects/p")
    app.mock.enqueue(
        '<boltArtifact id="a" title="T">' + file("a.js", "newer()") + "</boltArtifact>"
    )
    await app.chat("change it", id="c")
    for key, value in left.items():  # as if the journal had survived its settling
        await kv.set(key, value or b"")
    assert await app.file("p", "a.js") == "newer()\n"


async def test_nobody_settles_another_users_turn(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    await crash(app, monkeypatch)

    class Other:
        async def authenticate(self, request: Any, /) -> Principal:
            return Principal("somebody-else")

    mine = app.dependencies.authenticator
    app.restart(authenticator=Other())
    assert (await app.call("GET", "/api/projects/p"))[0] == 404
    assert [k async for k in app.dependencies.kv.scan("project:p/journal/")] != []
    app.restart(authenticator=mine)
    assert await app.file("p", "a.js") == "whole()\n"

"""Chats over HTTP: listed, read with what was said, renamed, deleted, and never half."""

import asyncio

import pytest

from openbolt import Settings
from openbolt.history import Chat, ChatStore, Message
from openbolt.testing import ManualClock
from openbolt_local.memory import MemoryKeyValueStore, MemoryLeaseStore
from tests.faults import keys_of
from tests.handlers.building import Caller, Chatter

START = "2023-11-14T22:13:20.000Z"


async def make(chats: ChatStore, name: str = "c1", owner: str = "ann") -> None:
    now = chats.clock.now()
    asked = Message("q1", "user", now, ({"type": "text", "text": "Hi"},))
    await chats.begin(Chat(name, owner, "p1", "Hi", now, now, ("q1",)), asked)
    said = ({"type": "text", "text": "Ho", "state": "done"},)
    await chats.add(
        name,
        Message("a1", "assistant", now + 0.5, said, "Ho", "stopped", {"model": "m"}),
    )


def row(name: str = "c1", title: str = "Hi") -> dict[str, object]:
    return {
        "id": name,
        "title": title,
        "projectId": "p1",
        "createdAt": START,
        "updatedAt": START,
    }


async def test_nobody_has_chats_at_first(call: Caller) -> None:
    answer = await call("GET", "/api/chats")
    assert (answer.status, answer.json) == (200, {"chats": [], "next": None})


async def test_a_chat_is_read_with_its_messages(call: Caller, chats: ChatStore) -> None:
    await make(chats)
    assert (await call("GET", "/api/chats")).json == {"chats": [row()], "next": None}
    assert (await call("GET", "/api/chats/c1")).json == {
        **row(),
        "running": False,
        "messages": [
            {
                "id": "q1",
                "role": "user",
                "parts": [{"type": "text", "text": "Hi"}],
                "metadata": {
                    "chatId": "c1",
                    "projectId": "p1",
                    "status": "complete",
                    "createdAt": START,
                },
            },
            {
                "id": "a1",
                "role": "assistant",
                "parts": [{"type": "text", "text": "Ho", "state": "done"}],
                "metadata": {
                    "model": "m",
                    "chatId": "c1",
                    "projectId": "p1",
                    "status": "stopped",
                    "createdAt": "2023-11-14T22:13:20.500Z",
                },
            },
        ],
    }


async def test_what_was_said_over_http_is_listed_and_read(call: Caller, chat: Chatter) -> None:
    talked = await chat("Make a page", files={"index.html": "<p>Hi</p>"})
    listed = (await call("GET", "/api/chats")).json["chats"]
    assert [(c["id"], c["projectId"], c["title"]) for c in listed] == [
        (talked.chat_id, talked.project_id, "Make a page")
    ]
    read = (await call("GET", f"/api/chats/{talked.chat_id}")).json
    assert (read["running"], [m["role"] for m in read["messages"]]) == (
        False,
        ["user", "assistant"],
    )
    assert read["messages"][1]["id"] == talked.frames[0]["messageId"]
    answer = await call("GET", f"/api/projects/{talked.project_id}/files/index.html")
    assert answer.text == "<p>Hi</p>\n"


@pytest.mark.parametrize("settings", [Settings(page_size=2)])
async def test_pages_of_a_listing_lead_to_every_chat_once(
    call: Caller, chats: ChatStore, clock: ManualClock
) -> None:
    for name in ("a", "b", "c"):
        await make(chats, name)
        clock.advance(1)
    first = (await call("GET", "/api/chats")).json
    rest = (await call("GET", f"/api/chats?cursor={first['next']}")).json
    assert [[c["id"] for c in page["chats"]] for page in (first, rest)] == [["c", "b"], ["a"]]
    assert rest["next"] is None


async def test_a_chat_is_renamed(call: Caller, chats: ChatStore) -> None:
    await make(chats)
    answer = await call("PATCH", "/api/chats/c1", json={"title": "New"})
    assert (answer.status, answer.json) == (200, row(title="New"))
    assert (await call("GET", "/api/chats/c1")).json["title"] == "New"


async def test_a_deleted_chat_leaves_nothing_but_its_project(
    call: Caller, chat: Chatter, kv: MemoryKeyValueStore
) -> None:
    talked = await chat("Make a page", files={"index.html": "<p>Hi</p>"})
    answer = await call("DELETE", f"/api/chats/{talked.chat_id}")
    assert (answer.status, answer.body) == (204, b"")
    left = await keys_of(kv, f"chat:{talked.chat_id}/", "user:ann/")
    assert left == [f"user:ann/project/{talked.project_id}"]
    for method in ("GET", "DELETE"):
        answer = await call(method, f"/api/chats/{talked.chat_id}")
        assert answer.error == (404, "not_found", None)
    assert (await call("GET", f"/api/projects/{talked.project_id}")).status == 200


async def test_a_chat_in_which_a_reply_is_written_says_so_and_is_not_deleted(
    call: Caller, chats: ChatStore, leases: MemoryLeaseStore
) -> None:
    await make(chats)
    lease = await leases.acquire("chat:c1", ttl=60)
    assert lease is not None
    assert (await call("GET", "/api/chats/c1")).json["running"] is True
    assert (await call("DELETE", "/api/chats/c1")).error == (423, "locked", None)
    await leases.release(lease)
    assert (await call("DELETE", "/api/chats/c1")).status == 204
    assert await leases.holder("chat:c1") is None


async def test_deleting_and_saying_something_at_once_never_leaves_half_a_chat(
    call: Caller, chat: Chatter
) -> None:
    talked = await chat("One", files={"a.txt": "1"})
    body = {"id": talked.chat_id, "messages": [{"role": "user", "content": "Two"}]}
    deleted, said = await asyncio.gather(
        call("DELETE", f"/api/chats/{talked.chat_id}"), call("POST", "/api/chat", json=body)
    )
    await call.settle()
    assert (deleted.status, said.status) in {(204, 200), (204, 423), (423, 200)}
    read = await call("GET", f"/api/chats/{talked.chat_id}")
    if read.status == 200:
        texts = [m["parts"][0]["text"] for m in read.json["messages"] if m["role"] == "user"]
        assert texts == (["Two"] if deleted.status == 204 else ["One", "Two"])

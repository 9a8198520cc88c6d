"""As another user: what can be said of her things where her ids stand in a body, or in a listing.

(`test_route_walk` asks every route with her ids in its path, and with nobody signed in.)
"""

import pytest
from attrs import evolve

from openbolt import Dependencies, OpenBolt
from tests.handlers.building import Caller, Chatter, Talked
from tests.handlers.scoping import ByHeaders


@pytest.fixture
async def hers(chat: Chatter) -> Talked:
    """Ann's chat with a project and a file."""
    return await chat("Her secret plan", files={"index.html": "her secret page"})


@pytest.mark.parametrize("path", ["/", "/nothing", "/api", "/api/nothing"])
async def test_nobody_is_told_what_there_is_without_signing_in(call: Caller, path: str) -> None:
    assert (await call("GET", path, user=None)).error == (401, "unauthenticated", None)


async def test_listings_hold_ones_own_things_only(call: Caller, hers: Talked) -> None:
    assert (await call("GET", "/api/chats", user="bob")).json == {"chats": [], "next": None}
    assert (await call("GET", "/api/projects", user="bob")).json == {"projects": [], "next": None}


async def test_saying_something_under_anothers_chat_id_makes_a_chat_of_ones_own(
    call: Caller, chat: Chatter, hers: Talked
) -> None:
    before = (await call("GET", f"/api/chats/{hers.chat_id}")).json
    his = await chat("Mine", files={"index.html": "his"}, user="bob", id=hers.chat_id)
    assert his.answer.status == 200
    assert his.chat_id != hers.chat_id
    assert his.project_id != hers.project_id
    assert (await call("GET", f"/api/chats/{hers.chat_id}")).json == before


async def test_building_in_anothers_project_makes_a_project_of_ones_own(
    call: Caller, chat: Chatter, hers: Talked
) -> None:
    before = (await call("GET", f"/api/projects/{hers.project_id}")).json
    his = await chat("Mine", files={"index.html": "his"}, user="bob", projectId=hers.project_id)
    assert his.answer.status == 200
    assert his.project_id != hers.project_id
    assert "her secret page" not in str(his.frames)
    assert (await call("GET", f"/api/projects/{hers.project_id}")).json == before


async def test_another_model_call_never_sees_her_files(
    call: Caller, chat: Chatter, hers: Talked
) -> None:
    await chat("Show index.html", files={}, user="bob", projectId=hers.project_id, id=hers.chat_id)
    assert b"her secret" not in bytes(chat.mock.requests[-1].body)


@pytest.fixture
def keys(dependencies: Dependencies) -> Caller:
    """The same application, which believes what scopes a key says it has."""
    return Caller(OpenBolt(evolve(dependencies, authenticator=ByHeaders())))


async def key_says(call: Caller, scopes: str, **body: object) -> tuple[int, str]:
    """What a key with these scopes of Ann's is answered to a message."""
    said = {"messages": [{"role": "user", "content": "Hello"}], **body}
    headers = {"x-test-scopes": scopes}
    answer = await call("POST", "/api/chat", json=said, headers=headers)
    await call.settle()
    return answer.status, answer.text


async def test_a_key_for_chats_builds_in_their_projects_and_in_new_ones(
    keys: Caller, hers: Talked
) -> None:
    assert (await key_says(keys, "chat", id=hers.chat_id))[0] == 200
    assert (await key_says(keys, "chat", projectId="new"))[0] == 200


async def test_a_key_for_chats_begins_in_no_other_project(keys: Caller, hers: Talked) -> None:
    status, text = await key_says(keys, "chat", projectId=hers.project_id)
    assert (status, "scope_missing" in text, "'projects'" in text) == (403, True, True)
    assert (await key_says(keys, "chat projects", projectId=hers.project_id))[0] == 200


async def test_a_key_for_projects_holds_no_conversations(keys: Caller, hers: Talked) -> None:
    before = len((await keys("GET", "/api/chats")).json["chats"])
    for body in ({}, {"id": hers.chat_id}, {"id": "new"}, {"projectId": hers.project_id}):
        assert (await key_says(keys, "projects admin proxy", **body))[0] == 403
    stop = f"/api/chat/{hers.chat_id}/stop"
    answer = await keys("POST", stop, headers={"x-test-scopes": "projects"})
    assert answer.error == (403, "scope_missing", None)
    assert len((await keys("GET", "/api/chats")).json["chats"]) == before

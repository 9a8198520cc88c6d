"""As another user: every route with somebody else's ids, and every route with nobody signed in."""

import pytest

from openbolt import Dependencies
from openbolt.app import _api_routes  # the routes themselves: a new one can't be forgotten here
from openbolt.projects.store import ProjectStore
from openbolt.settings import Settings
from tests.handlers.building import Caller, Chatter, Talked

OWN = {  # routes without anybody's id in them
    "POST /api/chat",
    "POST /api/enhancer",
    "GET /api/chats",
    "GET /api/projects",
    "GET /api/models",
}


@pytest.fixture
def routes(dependencies: Dependencies, projects: ProjectStore) -> list[tuple[str, str]]:
    """Method and template of every private route."""
    made = _api_routes(dependencies, Settings(), projects)
    return [(route.method, route.template) for route in made]


@pytest.fixture
async def hers(chat: Chatter) -> Talked:
    """Ann's chat with a project and a file."""
    return await chat("Her secret plan", files={"index.html": "her secret page"})


def targets(template: str, hers: Talked) -> str:
    name = hers.chat_id if "/chat" in template else hers.project_id
    return template.replace("{id}", name).replace("{path:path}", "index.html")


async def test_the_routes_do_exist_for_their_owner(
    call: Caller, hers: Talked, routes: list[tuple[str, str]]
) -> None:
    for method, template in sorted(routes, key=lambda route: route[0] == "DELETE"):
        body = {"title": "x"} if method == "PATCH" else None
        if f"{method} {template}" not in OWN:
            answer = await call(method, targets(template, hers), json=body)
            assert answer.status in {200, 204}, template


async def test_anothers_ids_are_not_found_on_any_route(
    call: Caller, hers: Talked, routes: list[tuple[str, str]]
) -> None:
    walked = {f"{method} {template}" for method, template in routes} - OWN
    assert all("{id}" in route for route in walked), "list the new route in OWN"
    for method, template in routes:
        if f"{method} {template}" in OWN:
            continue
        body = {"title": "Mine now"} if method == "PATCH" else None
        answer = await call(method, targets(template, hers), user="bob", json=body)
        if template.endswith("/stream"):  # a page asks before its chat exists: no news, no error
            assert (answer.status, answer.body) == (204, b""), template
            continue
        assert answer.error == (404, "not_found", None), template
        missing = targets(template, hers).replace(hers.chat_id, "no").replace(hers.project_id, "no")
        unknown = await call(method, missing, user="bob", json=body)
        told, same = (dict(a.json["error"], requestId="") for a in (answer, unknown))
        assert told == same, "it must not tell that the id is somebody's"
    assert (await call("GET", f"/api/chats/{hers.chat_id}")).json["title"] == "Her secret plan"
    assert (await call("GET", f"/api/projects/{hers.project_id}")).status == 200


async def test_nobody_is_let_in_anywhere_without_signing_in(
    call: Caller, hers: Talked, routes: list[tuple[str, str]]
) -> None:
    for method, template in routes:
        answer = await call(method, targets(template, hers), user=None, json={"title": "x"})
        assert answer.error == (401, "unauthenticated", None), template
    for path in ("/", "/nothing", "/api", "/api/nothing"):
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

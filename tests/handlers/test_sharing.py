"""Links that let anybody read one project or one chat, and do nothing else."""

import io
import re
import zipfile
from typing import Any

import pytest
from attrs import evolve

from openbolt import Dependencies, Settings
from openbolt.access import Scope, with_principal
from openbolt.errors import BackendError, NotFoundError
from openbolt.graph import Graph
from openbolt.heads import ObjectHeads
from openbolt.history import Chat, ChatStore, Message
from openbolt.http import Request, Response
from openbolt.projects.journal import JournalHead, JournalStore
from openbolt.projects.store import Manifest, ProjectStore
from openbolt.routing import Route, Router
from openbolt.sharing import Shares
from openbolt.sharing_handler import (
    forgetting_shares,
)
from openbolt.testing import ManualClock, SequenceTokens
from openbolt_local.memory import MemoryKeyValueStore, MemoryObjectStore
from tests.faults import FaultyKeyValues, FaultyObjects, keys_of, objects_of
from tests.handlers.building import Answer, ByHeader, Caller
from tests.handlers.scoping import ByHeaders

START = "2023-11-14T22:13:20.000Z"
DEAD = "There is nothing behind this link: it was revoked, or it has expired."


@pytest.fixture(params=["kv", "objects"])
def dependencies(request: pytest.FixtureRequest, dependencies: Dependencies) -> Dependencies:
    """Both places that heads may be kept in."""
    atomic = dependencies.atomic if request.param == "kv" else None
    return evolve(dependencies, atomic=atomic, authenticator=ByHeaders())


@pytest.fixture
def shares(graph: Graph) -> Shares:
    return graph.shares


@pytest.fixture(autouse=True)
async def things(projects: ProjectStore, chats: ChatStore) -> None:
    """Ann's project with two versions, and her chat."""
    await projects.create("p1", "ann", "A title")
    base = Manifest.empty()
    for text in ("old secret", "<p>Now</p>"):
        entry = await projects.put_blob("index.html", text.encode())
        base = (await projects.commit("p1", {"index.html": entry}, base=base)).manifest
    await make_chat(chats)


async def make_chat(chats: ChatStore, name: str = "c1", owner: str = "ann") -> None:
    now = chats.clock.now()
    asked = Message("q1", "user", now, ({"type": "text", "text": "Hi"},), raw="RAW")
    await chats.begin(Chat(name, owner, "p1", "Hi", now, now, ("q1",)), asked)
    parts: tuple[dict[str, Any], ...] = (
        {"type": "reasoning", "text": "THOUGHT", "state": "done"},
        {"type": "text", "text": "Ho", "state": "done"},
        {"type": "data-artifact", "id": "1", "data": {"title": "Made"}},
        {"type": "data-action", "id": "1", "data": {"content": "<p>Now</p>"}},
        {"type": "data-file", "id": "index.html", "data": {"filePath": "index.html"}},
        {"type": "data-context", "id": "context", "data": {"included": ["PRIVATE.md"]}},
        {"type": "data-usage", "id": "usage", "data": {"costUsd": "COST"}},
        {"type": "data-notice", "id": "n", "data": {"message": "NOTICE"}},
        {"type": "file", "url": "data:,ATTACHED"},
    )
    metadata = {"model": "MODEL", "usage": {"costUsd": "COST"}, "finishReason": "stop"}
    await chats.add(name, Message("a1", "assistant", now, parts, "RAW", "stopped", metadata))


async def share(call: Caller, thing: str = "projects/p1", **body: object) -> Any:
    """What the answer to making a link holds."""
    answer = await call("POST", f"/api/{thing}/shares", json=body or None)
    assert answer.status == 201, answer.text
    return answer.json


async def read(call: Caller, made: Any, rest: str = "") -> Answer:
    """As anybody who was given the link."""
    return await call("GET", made["url"] + rest, user=None)


def is_dead(answer: Answer) -> bool:
    return answer.error == (404, "not_found", None) and answer.json["error"]["message"] == DEAD


async def test_a_link_says_its_token_once(call: Caller) -> None:
    made = await share(call)
    assert made == {
        "id": made["id"],
        "token": made["token"],
        "url": f"/api/shared/{made['token']}",
        "createdAt": START,
        "expiresAt": None,
    }
    assert re.fullmatch(r"[a-z2-7]{52}", made["token"])
    listed = await call("GET", "/api/projects/p1/shares")
    row = {"id": made["id"], "createdAt": START, "expiresAt": None}
    assert (listed.status, listed.json) == (200, {"shares": [row]})


async def test_below_a_mount_point_the_url_starts_with_it(call: Caller) -> None:
    answer = await call("POST", "/api/projects/p1/shares", root_path="/builder")
    assert answer.json["url"].startswith("/builder/api/shared/")


async def test_no_store_holds_a_token(
    call: Caller, kv: MemoryKeyValueStore, objects: MemoryObjectStore
) -> None:
    made = await share(call)
    stored = f"{kv._partitions} {objects._objects}"
    assert "shares/" in stored
    assert made["token"] not in stored


async def test_anybody_with_the_link_reads_the_project_as_its_owner_does(call: Caller) -> None:
    made = await share(call)
    own = (await call("GET", "/api/projects/p1")).json
    for user in (None, "bob", "ann"):
        answer = await call("GET", made["url"], user=user)
        assert (answer.status, answer.json) == (200, {"kind": "project", **own})
    assert (await read(call, made, "/files/index.html")).text == "<p>Now</p>"
    export = await read(call, made, "/export")
    assert export.headers.get("content-type") == "application/zip"
    assert zipfile.ZipFile(io.BytesIO(export.body)).read("index.html") == b"<p>Now</p>"
    assert (await call("HEAD", made["url"], user=None)).status == 200


async def test_a_shared_project_is_shown_as_it_is_now_and_never_as_it_was(
    call: Caller, projects: ProjectStore
) -> None:
    made = await share(call)
    for rest in ("?version=1", "/files/index.html?version=1", "/export?version=1"):
        answer = await read(call, made, rest)
        assert answer.status == 200
        assert b"old secret" not in answer.body
    assert (await read(call, made, "?version=1")).json["version"] == 2
    new = await projects.put_blob("b.txt", b"b")
    base = await projects.manifest(await projects.load("p1", owner="ann"))
    await projects.commit("p1", {"b.txt": new}, base=base)
    assert (await read(call, made, "/files/b.txt")).text == "b"


async def test_a_shared_chat_shows_what_was_said_and_nothing_else(call: Caller) -> None:
    answer = await read(call, await share(call, "chats/c1"))
    shown = {"status": "stopped", "createdAt": START, "finishReason": "stop"}
    assert answer.json == {
        "kind": "chat",
        "id": "c1",
        "title": "Hi",
        "createdAt": START,
        "updatedAt": START,
        "running": False,
        "messages": [
            {
                "id": "q1",
                "role": "user",
                "parts": [{"type": "text", "text": "Hi"}],
                "metadata": {"status": "complete", "createdAt": START},
            },
            {
                "id": "a1",
                "role": "assistant",
                "parts": [
                    {"type": "text", "text": "Ho", "state": "done"},
                    {"type": "data-artifact", "id": "1", "data": {"title": "Made"}},
                    {"type": "data-action", "id": "1", "data": {"content": "<p>Now</p>"}},
                    {"type": "data-file", "id": "index.html", "data": {"filePath": "index.html"}},
                ],
                "metadata": shown,
            },
        ],
    }


@pytest.mark.parametrize("thing", ["projects/p1", "chats/c1"])
async def test_an_answer_to_a_link_is_kept_nowhere_and_names_it_to_nobody(
    call: Caller, thing: str
) -> None:
    made = await share(call, thing)
    nothing = {"url": "/api/shared/" + "a" * 52}
    for rest in ("", "/files/index.html", "/files/none", "/export"):
        for link in (made, nothing):
            answer = await read(call, link, rest)
            assert answer.headers.get_all("cache-control") == ("no-store",)
            assert answer.headers.get_all("referrer-policy") == ("no-referrer",)
            assert answer.headers.get_all("x-robots-tag") == ("noindex",)
            assert b"ann" not in answer.body


@pytest.mark.parametrize("token", ["a" * 52, "a" * 51, "A" * 52, "a" * 51 + "b", "%00", "x"])
async def test_a_token_that_nobody_was_given_opens_nothing(call: Caller, token: str) -> None:
    for rest in ("", "/files/index.html", "/export"):
        assert is_dead(await call("GET", f"/api/shared/{token}{rest}", user=None))


async def test_a_link_is_only_read(call: Caller) -> None:
    made = await share(call)
    for rest in ("", "/files/index.html", "/export"):
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            answer = await call(method, made["url"] + rest, json={"title": "Mine"}, user=None)
            assert answer.error == (405, "method_not_allowed", None)
    for rest in ("/versions", "/preview", "/shares", "/", "/files/", "/files/none"):
        assert (await call("GET", made["url"] + rest, user="bob")).status == 404
    for path in ("/api/projects/p1", "/api/projects", "/api/chats/c1"):
        fields = {"authorization": f"Bearer {made['token']}"}
        assert (await call("GET", path, user=None, headers=fields)).status == 401


async def test_a_link_to_a_chat_opens_no_files_not_even_its_project_s(call: Caller) -> None:
    made = await share(call, "chats/c1")
    for rest in ("/files/index.html", "/export"):
        answer = await read(call, made, rest)
        assert answer.error == (404, "not_found", None)
        assert b"Now" not in answer.body


@pytest.mark.parametrize("thing", ["projects/p1", "chats/c1"])
async def test_a_revoked_link_opens_nothing_at_once_and_the_others_stay(
    call: Caller, thing: str
) -> None:
    first, second = await share(call, thing), await share(call, thing)
    assert (await call("DELETE", f"/api/shares/{first['id']}")).status == 204
    assert is_dead(await read(call, first))
    assert (await read(call, second)).status == 200
    rows = (await call("GET", f"/api/{thing}/shares")).json["shares"]
    assert [row["id"] for row in rows] == [second["id"]]
    again = await call("DELETE", f"/api/shares/{first['id']}")
    assert again.error == (404, "not_found", None)


async def test_only_its_owner_revokes_a_link(call: Caller) -> None:
    made = await share(call)
    for name in (made["id"], "a" * 26, "none", "..", "%00", "x" * 600):
        answer = await call("DELETE", f"/api/shares/{name}", user="bob")
        assert answer.error == (404, "not_found", None)
        assert answer.json["error"]["message"] == "There is no such share."
    assert (await read(call, made)).status == 200


async def test_a_link_expires_on_the_second(call: Caller, clock: ManualClock) -> None:
    made = await share(call, expiresIn=60)
    assert made["expiresAt"] == "2023-11-14T22:14:20.000Z"
    clock.advance(59.5)
    assert (await read(call, made)).status == 200
    clock.advance(0.5)
    assert is_dead(await read(call, made))
    assert (await call("GET", "/api/projects/p1/shares")).json == {"shares": []}


async def test_what_has_expired_is_cleared_away_when_its_owner_looks(
    call: Caller, clock: ManualClock, kv: MemoryKeyValueStore, objects: MemoryObjectStore
) -> None:
    await share(call, expiresIn=60)
    clock.advance(61)
    await call("GET", "/api/projects/p1/shares")
    assert await keys_of(kv, "user:ann/shares/") == []
    assert "share:" not in f"{kv._partitions.keys()} {await objects_of(objects)}"


@pytest.mark.parametrize("wanted", [59.9, 0, -1, 1e300, "60", True, [60], {"seconds": 60}])
async def test_a_life_that_is_none_is_refused_by_name(call: Caller, wanted: object) -> None:
    answer = await call("POST", "/api/projects/p1/shares", json={"expiresIn": wanted})
    assert answer.error == (400, "invalid_request", "expiresIn")


@pytest.mark.parametrize(
    "kind", ["text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"]
)
async def test_a_form_makes_no_link(call: Caller, kind: str) -> None:
    for content in (b"", b'{"expiresIn": 60}'):
        answer = await call(
            "POST", "/api/projects/p1/shares", content=content, headers={"content-type": kind}
        )
        assert answer.error == (415, "unsupported_media_type", None)
    answer = await call("POST", "/api/projects/p1/shares", content=b"{}")
    assert answer.error == (415, "unsupported_media_type", None)
    assert (await call("GET", "/api/projects/p1/shares")).json == {"shares": []}


@pytest.mark.parametrize("settings", [Settings(max_shares_per_user=2)])
async def test_there_are_only_so_many_links_and_one_that_expired_counts_no_more(
    call: Caller, clock: ManualClock
) -> None:
    kept = await share(call)
    await share(call, "chats/c1", expiresIn=60)
    refused = await call("POST", "/api/projects/p1/shares")
    assert refused.error == (409, "too_many_shares", None)
    clock.advance(60)
    newer = await share(call)
    rows = (await call("GET", "/api/projects/p1/shares")).json["shares"]
    assert [row["id"] for row in rows] == [newer["id"], kept["id"]], "the newest first"


@pytest.mark.parametrize(("thing", "other"), [("projects/p1", "projects"), ("chats/c1", "chats")])
async def test_a_deleted_thing_takes_its_links_along(
    call: Caller,
    thing: str,
    other: str,
    shares: Shares,
    kv: MemoryKeyValueStore,
    objects: MemoryObjectStore,
) -> None:
    made, unrelated = (
        await share(call, thing),
        await share(call, "chats/c1" if other == "projects" else "projects/p1"),
    )
    assert (await call("DELETE", f"/api/{thing}")).status == 204
    assert is_dead(await read(call, made))
    assert [s.id for s in await shares.list("ann")] == [unrelated["id"]]
    assert (await read(call, unrelated)).status == 200


@pytest.mark.parametrize("owner", ["ann", "bob"])
async def test_a_later_thing_under_the_same_id_is_another_one(
    call: Caller, projects: ProjectStore, chats: ChatStore, clock: ManualClock, owner: str
) -> None:
    links = [await share(call), await share(call, "chats/c1")]
    await projects.delete("p1", owner="ann")
    await chats.delete("c1", owner="ann")
    assert [is_dead(await read(call, link)) for link in links] == [True, True]
    clock.advance(1)
    await projects.create("p1", owner, "Later")
    await make_chat(chats, owner=owner)
    for link in links:
        answer = await read(call, link)
        assert is_dead(answer)
    if owner == "ann":
        for thing in ("projects/p1", "chats/c1"):
            assert (await call("GET", f"/api/{thing}/shares")).json == {"shares": []}


async def test_reading_by_a_link_settles_what_a_crash_left(
    call: Caller, projects: ProjectStore, chats: ChatStore, kv: MemoryKeyValueStore
) -> None:
    project, chat = await share(call), await share(call, "chats/c1")
    journals = JournalStore(kv)
    for turn, link in (("t1", project), ("t2", chat)):
        known = await chats.load("c1", owner="ann")
        await chats.begin(evolve(known, turn=turn), None, seen=known.order)
        head = JournalHead(turn, "c1", "p1", "ann", 2, 0.0)
        await journals.begin(head)
        await journals.add_file(head, 0, await projects.put_blob(f"{turn}.txt", b"saved"))
        await journals.add_text(head, 0, "Said before the end.")
        answer = await read(call, link)
        assert await keys_of(kv, "project:p1/journal/") == []
        if link is project:
            assert "t1.txt" in [file["path"] for file in answer.json["files"]]
        else:
            assert answer.json["messages"][-1]["metadata"]["status"] == "interrupted"
            assert "error" not in answer.json["messages"][-1]["metadata"]
    assert (await read(call, project, "/files/t2.txt")).text == "saved"


@pytest.mark.parametrize(
    ("scopes", "missing"),
    [("projects chat proxy", "admin"), ("admin chat proxy", "projects"), ("", "admin")],
)
async def test_a_key_shares_only_with_both_scopes(
    call: Caller, scopes: str, missing: Scope
) -> None:
    for method in ("POST", "GET"):
        answer = await call(method, "/api/projects/p1/shares", headers={"x-test-scopes": scopes})
        assert answer.error == (403, "scope_missing", None)
        assert repr(missing) in answer.json["error"]["message"]
    both = {"x-test-scopes": "admin projects"}
    assert (await call("POST", "/api/projects/p1/shares", headers=both)).status == 201


async def test_anothers_things_are_not_there_to_share(call: Caller) -> None:
    await share(call)
    for thing in ("projects/p1", "chats/c1"):
        for method in ("POST", "GET"):
            told = await call(method, f"/api/{thing}/shares", user="bob")
            unknown = await call(method, f"/api/{thing}x/shares", user="bob")
            assert told.error == (404, "not_found", None)
            assert told.json["error"]["message"] == unknown.json["error"]["message"]


async def test_all_links_of_a_user_are_revoked_together(call: Caller, shares: Shares) -> None:
    links = [await share(call), await share(call, "chats/c1")]
    assert await shares.revoke_all("bob") == 0
    assert [(await read(call, link)).status for link in links] == [200, 200]
    assert await shares.revoke_all("ann") == 2
    assert [is_dead(await read(call, link)) for link in links] == [True, True]
    assert await shares.list("ann") == []


@pytest.mark.parametrize("fail_at", range(1, 5))
@pytest.mark.parametrize("where", ["kv", "objects"])
async def test_a_link_that_works_is_listed_whatever_failed(
    projects: ProjectStore,
    clock: ManualClock,
    kv: MemoryKeyValueStore,
    objects: MemoryObjectStore,
    fail_at: int,
    where: str,
) -> None:
    failing = FaultyKeyValues(kv, fail_at=fail_at if where == "kv" else 0)
    faulty = FaultyObjects(objects, fail_at=fail_at if where == "objects" else 0, after=True)
    tokens = SequenceTokens()
    shares = Shares(failing, ObjectHeads(faulty), clock, tokens, Settings())
    project = await projects.load("p1", owner="ann")
    for _ in range(2):
        try:
            _, made = await shares.create(project, by="ann")
            await shares.revoke(made.id, by="ann")
        except BackendError:
            pass
        live = await objects_of(objects, "share:")
        listed = [
            (await kv.get(key) or b"").decode() for key in await keys_of(kv, "user:ann/shares/")
        ]
        assert {name.split(":")[1].split("/")[0] for name in live} <= set(listed)
    await Shares(kv, ObjectHeads(objects), clock, tokens, Settings()).revoke_all("ann")
    assert await objects_of(objects, "share:") == []
    assert await keys_of(kv, "user:ann/shares/") == []


async def test_a_revoked_link_is_dead_though_the_key_value_store_lags_behind(
    projects: ProjectStore, clock: ManualClock, kv: MemoryKeyValueStore, objects: MemoryObjectStore
) -> None:
    class Lagging(FaultyKeyValues):
        """Goes on showing what was deleted."""

        async def delete(self, key: str, /) -> None: ...

    shares = Shares(Lagging(kv), ObjectHeads(objects), clock, SequenceTokens(), Settings())
    token, made = await shares.create(await projects.load("p1", owner="ann"), by="ann")
    assert await shares.open(token) == made
    await shares.revoke(made.id, by="ann")
    with pytest.raises(NotFoundError):
        await shares.open(token)
    assert await shares.list("ann") == []


async def test_links_that_a_failure_leaves_do_not_fail_the_deletion(
    call: Caller,
    projects: ProjectStore,
    clock: ManualClock,
    kv: MemoryKeyValueStore,
    objects: MemoryObjectStore,
    caplog: pytest.LogCaptureFixture,
) -> None:
    faulty = FaultyObjects(objects, fail_at=2)
    shares = Shares(kv, ObjectHeads(faulty), clock, SequenceTokens(), Settings())
    token, _ = await shares.create(await projects.load("p1", owner="ann"), by="ann")

    async def deleted(request: Request, /) -> Response:
        await projects.delete("p1", owner="ann")
        return Response(204)

    forgetting = forgetting_shares(deleted, shares, "project")
    router = Router([Route("DELETE", "/{id}", with_principal(forgetting, ByHeader()))])
    assert (await Caller(router)("DELETE", "/p1")).status == 204
    assert "links to a deleted project are left" in caplog.text
    assert is_dead(await call("GET", f"/api/shared/{token}", user=None))

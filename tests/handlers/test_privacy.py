"""An account taken along, an account deleted: nothing is left out, and nothing is left behind."""

import asyncio
import io
import json
import re
import zipfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from attrs import evolve, frozen

from openbolt import Dependencies, OpenBolt, Principal, Request, Settings
from openbolt.access import with_principal
from openbolt.accounts import Accounts, with_account
from openbolt.auth.authenticator import SignedInUsers
from openbolt.auth.identity import Identity
from openbolt.chat.log import MemoryEventLog
from openbolt.chat.running import RunningTurns
from openbolt.graph import Graph
from openbolt.guards import answer_errors
from openbolt.http import Handler, Response
from openbolt.privacy import Privacy, Receipt
from openbolt.privacy_handler import DeleteAccount, ExportAccount
from openbolt.projects.journal import JournalHead, JournalStore
from openbolt.protocols import EventLogLimits, OutboundRequest, OutboundResponse
from openbolt.proxy.gateway import ModelEndpoint
from openbolt.routing import Route, Router
from openbolt.testing import ManualClock, PlainCipher
from openbolt_local.memory import MemoryKeyValueStore, MemoryLeaseStore, MemoryObjectStore
from openbolt_local.mocks import AnthropicMock
from tests.faults import FaultyKeyValues, FaultyObjects, flip_a_bit
from tests.handlers.building import Answer, Caller, Chatter

ANN, BOB = "github.4711", "github.4712"
CANARY = "canary-bird"
PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "what-is-stored.md"


class HeaderOrSignedIn:
    """Believes ``x-test-user``, and takes sessions and keys as the application does."""

    def __init__(self, signed_in: SignedInUsers) -> None:
        self._signed_in = signed_in

    async def authenticate(self, request: Request, /) -> Principal | None:
        name = request.headers.get("x-test-user")
        return Principal(name) if name else await self._signed_in.authenticate(request)


class Nowhere:
    """An `HttpSender` that nobody is to use: what is stored is stored without another server."""

    def send(self, request: OutboundRequest, /) -> AbstractAsyncContextManager[OutboundResponse]:
        raise AssertionError(request.url)


@frozen
class Whole:
    """The application, and the same stores by hand."""

    handler: Handler
    stores: Graph
    journals: JournalStore

    @classmethod
    def over(cls, d: Dependencies, settings: Settings) -> "Whole":
        d = evolve(d, cipher=PlainCipher(), sender=Nowhere(), model_endpoint=ModelEndpoint())
        stores = Graph.of(d, settings)
        who = HeaderOrSignedIn(SignedInUsers(stores.sessions, stores.api_keys))
        handler = OpenBolt(evolve(d, authenticator=who), settings)
        return cls(handler, stores, JournalStore(d.kv))


@pytest.fixture(params=["kv heads", "object heads"])
def dependencies(request: pytest.FixtureRequest, dependencies: Dependencies) -> Dependencies:
    """Both places that heads may be kept in."""
    return dependencies if request.param == "kv heads" else evolve(dependencies, atomic=None)


@pytest.fixture
def whole(dependencies: Dependencies, settings: Settings) -> Whole:
    return Whole.over(dependencies, settings)


@pytest_asyncio.fixture
async def call(whole: Whole) -> AsyncIterator[Caller]:
    caller = Caller(whole.handler)
    yield caller
    await caller.settle()


def stored(kv: MemoryKeyValueStore, objects: MemoryObjectStore) -> dict[str, bytes]:
    """Every key and object, with what it holds."""
    values = {
        key: entry.value
        for partition in kv._partitions.values()
        for key, entry in partition.items()
    }
    data = {f"object {name.decode()}": data for name, (_, data) in objects._objects.items()}
    return values | data


def traces(found: Mapping[str, bytes]) -> list[str]:
    """Where something of Ann is left."""
    words = (ANN.encode(), CANARY.encode())
    return [key for key, value in found.items() if any(w in key.encode() + value for w in words)]


@frozen
class Had:
    """What Ann was given when she used everything."""

    chat_id: str
    project_id: str
    cookie: str
    key: str
    share: str
    app_token: str


async def use_everything(whole: Whole, call: Caller, chat: Chatter, clock: ManualClock) -> Had:
    """Write through every way there is, as Ann; her words and names all hold the canary."""
    ann = {"user": ANN}
    await whole.stores.users.signed_in(
        Identity("github", "4711", login=CANARY, name=f"Ann {CANARY}",
                 email=f"{CANARY}@example.com", email_verified=True),
        now=clock.now(),
    )  # fmt: skip
    cookie, record = await whole.stores.sessions.start(ANN, device=f"{CANARY} on Linux")
    await whole.stores.sessions.update(evolve(record, data=f"grant {CANARY}".encode()))
    clock.advance(61)
    await whole.stores.sessions.resume(cookie)
    made = await call(
        "POST", "/api/auth/keys", json={"name": f"my {CANARY}", "scopes": ["admin"]}, **ann
    )
    key = made.json["key"]
    bearer = {"authorization": f"Bearer {key}"}
    assert (await call("GET", "/api/preferences", user=None, headers=bearer)).status == 200
    assert (
        await call("PUT", "/api/secrets/github", json={"value": f"hunter2-{CANARY}"}, **ann)
    ).status == 200
    theme = {"theme": "dark", "custom": {"pet": CANARY}}
    assert (await call("PATCH", "/api/preferences", json=theme, **ann)).status == 200
    talked = await chat(
        f"A page with a {CANARY}",
        files={f"{CANARY}.html": f"<p>{CANARY}</p>", "same.txt": "as everybody has it"},
        **ann,
    )
    await chat("Again", files={f"{CANARY}.html": f"<b>{CANARY}</b>"}, id=talked.chat_id, **ann)
    project = f"/api/projects/{talked.project_id}"
    assert (await call("PATCH", project, json={"title": CANARY}, **ann)).status == 200
    assert (await call("POST", f"{project}/preview", **ann)).status == 200
    shared = await call("POST", f"{project}/shares", json={}, **ann)
    assert shared.status == 201
    assert (await call("POST", f"/api/chats/{talked.chat_id}/shares", json={}, **ann)).status == 201
    named = {"name": f"app of a {CANARY}"}
    app_token = await call("POST", f"{project}/app-tokens", json=named, **ann)
    assert app_token.status == 201
    await whole.stores.chats.ask_stop(talked.chat_id, "1")
    await leave_a_wreck(whole, talked.chat_id, talked.project_id)
    deleted = await chat("Another", files={"gone.txt": f"{CANARY} again"}, **ann)
    of_deleted = f"/api/projects/{deleted.project_id}/app-tokens"
    assert (await call("POST", of_deleted, json=named, **ann)).status == 201
    for at in (f"/api/projects/{deleted.project_id}", f"/api/chats/{deleted.chat_id}"):
        assert (await call("DELETE", at, **ann)).status == 204
    tokens = (shared.json["token"], app_token.json["token"])
    return Had(talked.chat_id, talked.project_id, cookie, key, *tokens)


async def leave_a_wreck(whole: Whole, chat_id: str, project_id: str) -> None:
    """What a crash leaves of a turn: a journal, with a file that no version has."""
    head = JournalHead("wrecked", chat_id, project_id, ANN, 2, whole.stores.chats.clock.now())
    await whole.journals.begin(head)
    entry = await whole.stores.projects.put_blob("wreck.txt", f"wreck of a {CANARY}".encode())
    await whole.journals.add_file(head, 0, entry)
    await whole.journals.add_text(head, 0, f"I was saying: {CANARY}")

    def named(chat: Any) -> Any:
        return evolve(chat, turn="wrecked")

    await whole.stores.chats._change(chat_id, named)


async def confirm(call: Caller, user: str | None = ANN, **options: Any) -> Answer:
    return await call("DELETE", "/api/account", json={"confirm": ANN}, user=user, **options)


async def exported(call: Caller, user: str = ANN) -> dict[str, bytes]:
    answer = await call("GET", "/api/account/export", user=user)
    assert answer.status == 200
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert len(names) == len(set(names))
        return {name: archive.read(name) for name in names}


async def test_after_a_deletion_every_store_is_as_if_she_had_never_come(
    whole: Whole,
    call: Caller,
    chat: Chatter,
    clock: ManualClock,
    kv: MemoryKeyValueStore,
    objects: MemoryObjectStore,
) -> None:
    his = await chat("Mine", files={"same.txt": "as everybody has it", "b.txt": "b"}, user=BOB)
    await call("PATCH", "/api/preferences", json={"theme": "light"}, user=BOB)
    before = stored(kv, objects)
    had = await use_everything(whole, call, chat, clock)
    assert len(traces(stored(kv, objects))) > 25
    answer = await confirm(call)
    assert answer.status == 200
    receipt = answer.json
    left = stored(kv, objects)
    assert traces(left) == []
    kept = {key: left.pop(key) for key in left.keys() - before.keys()}
    assert left == before
    assert sorted(key.partition(":")[0] for key in kept) == ["deleted", "receipt"]
    assert receipt["counts"] == {
        "chats": 1, "projects": 1, "shares": 2, "preferences": 1, "secrets": 1, "profile": 1,
        "apiKeys": 1, "sessions": 1, "appTokens": 2,
    }  # fmt: skip
    for file in ("same.txt", "b.txt"):
        at = f"/api/projects/{his.project_id}/files/{file}"
        assert (await call("GET", at, user=BOB)).status == 200
    cookie = {"cookie": f"openbolt-session={had.cookie}"}
    bearer = {"authorization": f"Bearer {had.key}"}
    for headers in (cookie, bearer):
        answer = await call("GET", "/api/preferences", user=None, headers=headers)
        assert answer.error == (401, "unauthenticated", None)
    app = {"x-api-key": had.app_token}
    answer = await call("GET", "/api/proxy/anthropic/v1/models", user=None, headers=app)
    assert answer.error == (401, "unauthenticated", None)


async def test_the_receipt_proves_it_and_says_no_more(
    whole: Whole, call: Caller, chat: Chatter, clock: ManualClock, kv: MemoryKeyValueStore
) -> None:
    await use_everything(whole, call, chat, clock)
    said = (await confirm(call)).json
    assert said.keys() == {"id", "userHash", "deletedAt", "counts"}
    receipt = await whole.stores.privacy.receipt(said["id"])
    assert receipt is not None
    assert receipt.to_json() == said
    assert (receipt.is_for(ANN), receipt.is_for(BOB)) == (True, False)
    assert await whole.stores.privacy.receipt("another") is None
    raw = await kv.get(f"receipt:{said['id']}/receipt")
    assert raw is not None
    assert Receipt.from_bytes(raw) == receipt
    clock.advance(whole.stores.privacy.settings.receipt_retention + 1)
    assert await whole.stores.privacy.receipt(said["id"]) is None


async def test_two_receipts_of_one_user_say_nothing_of_each_other(call: Caller) -> None:
    first, second = (await confirm(call)).json, (await confirm(call)).json
    assert first["id"] != second["id"]
    assert first["userHash"] != second["userHash"]
    assert set(second["counts"].values()) == {0}


async def test_an_account_is_deleted_only_by_its_name(
    whole: Whole, call: Caller, chat: Chatter, kv: MemoryKeyValueStore, objects: MemoryObjectStore
) -> None:
    await chat("Hello", user=ANN)
    before = stored(kv, objects)
    for body in ({"confirm": BOB}, {"confirm": ""}, {"confirm": ANN.upper()}, {}, {"confirm": 1}):
        answer = await call("DELETE", "/api/account", json=body, user=ANN)
        assert answer.error == (400, "invalid_request", "confirm")
    assert (await call("DELETE", "/api/account", user=ANN)).error[0] == 415
    assert (await confirm(call, user=BOB)).error == (400, "invalid_request", "confirm")
    assert (await confirm(call, user=None)).error == (401, "unauthenticated", None)
    left = stored(kv, objects)
    assert {key: left[key] for key in before} == before


async def test_with_a_session_the_browser_forgets_its_cookie(whole: Whole, call: Caller) -> None:
    cookie, _ = await whole.stores.sessions.start(ANN)
    answer = await confirm(call, user=None, headers={"cookie": f"openbolt-session={cookie}"})
    assert answer.status == 200
    assert "openbolt-session=; Max-Age=0" in (answer.headers.get("set-cookie") or "")
    assert answer.headers.get("clear-site-data") == '"cache"'
    assert await whole.stores.sessions.resume(cookie) is None


async def test_a_key_without_the_scope_does_neither(whole: Whole, call: Caller) -> None:
    key, _ = await whole.stores.api_keys.create(
        Principal(ANN), name="k", scopes=("chat", "projects")
    )
    bearer = {"authorization": f"Bearer {key}"}
    export = await call("GET", "/api/account/export", user=None, headers=bearer)
    assert export.error == (403, "scope_missing", None)
    assert (await confirm(call, user=None, headers=bearer)).error == (403, "scope_missing", None)


async def test_nobody_exports_nothing(call: Caller) -> None:
    answer = await call("GET", "/api/account/export", user=None)
    assert answer.error == (401, "unauthenticated", None)


async def test_the_archive_holds_everything_but_what_is_worth_something(
    whole: Whole, call: Caller, chat: Chatter, clock: ManualClock
) -> None:
    had = await use_everything(whole, call, chat, clock)
    await chat("Bob's own words", files={"bob.txt": "bob"}, user=BOB)
    files = await exported(call)
    project = f"projects/{had.project_id}"
    assert set(files) == {
        "README.txt", "account.json", "profile.json", "preferences.json",
        f"chats/{had.chat_id}.json", f"chats/{had.chat_id}.md",
        f"{project}/project.json", f"{project}/files/{CANARY}.html", f"{project}/files/same.txt",
        f"{project}/files/wreck.txt", "shares.json", "secrets.json", "api-keys.json",
        "sessions.json", "app-tokens.json",
    }  # fmt: skip
    assert json.loads(files["account.json"])["userId"] == ANN
    assert json.loads(files["profile.json"])["email"] == f"{CANARY}@example.com"
    assert json.loads(files["preferences.json"])["chosen"]["custom"] == {"pet": CANARY}
    assert files[f"{project}/files/{CANARY}.html"].decode() == f"<b>{CANARY}</b>\n"
    versions = json.loads(files[f"{project}/project.json"])["versions"]
    assert [v["number"] for v in versions] == [3, 2, 1]
    assert versions[-1]["files"][0].keys() == {"path", "size", "hash"}
    assert {row["kind"] for row in json.loads(files["shares.json"])} == {"chat", "project"}
    assert json.loads(files["secrets.json"])[0]["name"] == "github"
    assert json.loads(files["api-keys.json"])[0]["name"] == f"my {CANARY}"
    assert json.loads(files["sessions.json"])[0]["device"] == f"{CANARY} on Linux"
    app_tokens = json.loads(files["app-tokens.json"])["appTokens"]
    assert [row["name"] for row in app_tokens] == [f"app of a {CANARY}"] * 2
    whole_text = b"\n".join(files.values()).decode()
    for secret in (
        "hunter2",
        had.key,
        had.cookie,
        had.share,
        had.app_token,
        f"grant {CANARY}",
        "bob",
    ):
        assert secret not in whole_text
    for name in files.keys() - {"README.txt"}:
        assert re.search(
            rf"^{name.partition('/')[0]}\b", files["README.txt"].decode(), re.MULTILINE
        )


async def test_a_chat_reads_as_it_was_said(
    whole: Whole, call: Caller, chat: Chatter, clock: ManualClock
) -> None:
    had = await use_everything(whole, call, chat, clock)
    files = await exported(call)
    data = json.loads(files[f"chats/{had.chat_id}.json"])
    assert [m["role"] for m in data["messages"]] == ["user", "assistant", "user", "assistant",
                                                     "assistant"]  # fmt: skip
    assert data["messages"][-1]["status"] == "interrupted"
    assert f"<p>{CANARY}</p>" in data["messages"][1]["raw"]
    text = files[f"chats/{had.chat_id}.md"].decode()
    assert text.startswith(f"# A page with a {CANARY}\n")
    assert re.findall(r"^## (\w+)", text, re.MULTILINE) == ["You", "Assistant"] * 2 + ["Assistant"]
    assert f"A page with a {CANARY}\n" in text
    assert f"- `{CANARY}.html`\n" in text
    assert "boltArtifact" not in text


async def test_text_that_is_none_is_replaced_where_people_read_it(
    call: Caller, chat: Chatter
) -> None:
    await chat("Odd \ud800 title\n\n# and a heading", user=ANN)
    files = await exported(call)
    text = next(value for name, value in files.items() if name.endswith(".md"))
    assert text.decode().startswith("# Odd ? title\n")


async def test_one_who_has_nothing_gets_an_archive_that_says_so(call: Caller) -> None:
    files = await exported(call)
    assert json.loads(files["shares.json"]) == []
    assert not [name for name in files if name.startswith(("chats/", "projects/"))]


async def test_a_damaged_file_is_named_and_the_rest_is_there(
    call: Caller, chat: Chatter, whole: Whole, objects: MemoryObjectStore
) -> None:
    talked = await chat("Hi", files={"a.txt": "aaaa", "b.txt": "bbbb"}, user=ANN)
    project = await whole.stores.projects.load(talked.project_id, owner=ANN)
    entry = (await whole.stores.projects.manifest(project)).find("a.txt")
    assert entry is not None
    await flip_a_bit(objects, f"blobs/{entry.blob}")
    files = await exported(call)
    root = f"projects/{talked.project_id}/files"
    assert f"{root}/a.txt" not in files
    assert files[f"{root}/b.txt"] == b"bbbb\n"
    assert f"{root}/a.txt: A stored file is damaged." in files["MISSING.txt"].decode()
    await objects.delete(f"blobs/{entry.blob}")
    assert "/a.txt: Something stored is missing." in (await exported(call))["MISSING.txt"].decode()


async def test_a_damaged_version_is_named_and_the_account_can_be_deleted(
    call: Caller, chat: Chatter, whole: Whole, kv: MemoryKeyValueStore, objects: MemoryObjectStore
) -> None:
    talked = await chat("Hi", files={"a.txt": "aaaa"}, user=ANN)
    project = await whole.stores.projects.load(talked.project_id, owner=ANN)
    await flip_a_bit(objects, f"projects/{project.id}/manifests/{project.manifest_id}")
    files = await exported(call)
    assert "A stored version is damaged." in files["MISSING.txt"].decode()
    described = json.loads(files[f"projects/{project.id}/project.json"])
    assert described["versions"] == [{"unreadable": "A stored version is damaged."}]
    assert (await confirm(call)).status == 200
    assert [k for k in stored(kv, objects) if "projects/" in k] == []


async def wait_for(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_turn_that_waits_for_the_model_stores_nothing_after_the_receipt(
    call: Caller, chat: Chatter, mock: AnthropicMock, kv: MemoryKeyValueStore,
    objects: MemoryObjectStore,
) -> None:  # fmt: skip
    said = {"messages": [{"role": "user", "content": f"[mock:delay=60] {CANARY}"}]}
    turn = asyncio.ensure_future(call("POST", "/api/chat", json=said, user=ANN))
    await wait_for(lambda: mock.requests)
    deleted = await confirm(call)
    assert deleted.status == 200
    assert (await turn).error == (409, "stopped", None)
    await call.settle()
    assert traces(stored(kv, objects)) == []


async def test_a_turn_that_is_being_written_is_stopped_and_goes_with_the_rest(
    call: Caller,
    mock: AnthropicMock,
    kv: MemoryKeyValueStore,
    objects: MemoryObjectStore,
    leases: MemoryLeaseStore,
) -> None:
    mock.delta_interval = 0.005
    said = {"messages": [{"role": "user", "content": f"Build a {CANARY} snake"}]}
    response = await call.send("POST", "/api/chat", json=said, user=ANN)
    try:
        await wait_for(lambda: any("/file/" in key for key in stored(kv, objects)))
        assert len(traces(stored(kv, objects))) > 3
        answer = await confirm(call)
    finally:
        assert not isinstance(response.body, bytes)
        await response.body.aclose()
    assert (answer.status, answer.json["counts"]["chats"]) == (200, 1)
    await call.settle()
    assert traces(stored(kv, objects)) == []
    assert leases._leases == {}
    assert {key.partition(":")[0] for key in stored(kv, objects)} == {"deleted", "receipt"}


async def test_a_turn_that_waits_in_another_process_stores_nothing_after_the_receipt(
    call: Caller,
    mock: AnthropicMock,
    dependencies: Dependencies,
    settings: Settings,
    kv: MemoryKeyValueStore,
    objects: MemoryObjectStore,
) -> None:
    other = Caller(Whole.over(dependencies, settings).handler)
    said = {"messages": [{"role": "user", "content": f"[mock:delay=0.4] {CANARY}"}]}
    turn = asyncio.ensure_future(other("POST", "/api/chat", json=said, user=ANN))
    await wait_for(lambda: mock.requests)
    assert (await confirm(call)).status == 200
    assert not turn.done()
    assert (await turn).error == (409, "account_deleted", None)
    await other.settle()
    assert traces(stored(kv, objects)) == []


class SharedLog(MemoryEventLog):
    """Says that other processes see it, so that a turn looks for their wish to stop it."""

    @property
    def limits(self) -> EventLogLimits:
        return evolve(super().limits, shared=True)


async def test_a_turn_that_another_process_writes_is_asked_to_stop(
    whole: Whole,
    call: Caller,
    mock: AnthropicMock,
    dependencies: Dependencies,
    clock: ManualClock,
    kv: MemoryKeyValueStore,
    objects: MemoryObjectStore,
) -> None:
    mock.delta_interval = 0.01
    settings = Settings(disconnect_grace=60)
    shared = evolve(dependencies, events=SharedLog(clock))
    other = Caller(Whole.over(shared, settings).handler)
    said = {"messages": [{"role": "user", "content": f"Build a {CANARY} snake"}]}
    turn = asyncio.ensure_future(other("POST", "/api/chat", json=said, user=ANN))
    await wait_for(lambda: any("/head" in key for key in stored(kv, objects)))
    deletion = asyncio.ensure_future(confirm(call))
    while not deletion.done():
        clock.advance(0.1)
        await asyncio.sleep(0.005)
    assert (await deletion).status == 200
    assert "[DONE]" in (await turn).text
    await other.settle()
    assert traces(stored(kv, objects)) == []


async def test_what_nobody_stops_is_a_423_and_the_account_can_be_deleted_later(
    whole: Whole,
    call: Caller,
    chat: Chatter,
    clock: ManualClock,
    kv: MemoryKeyValueStore,
    objects: MemoryObjectStore,
    leases: MemoryLeaseStore,
) -> None:
    talked = await chat(f"Hello {CANARY}", user=ANN)
    lease = await leases.acquire(f"chat:{talked.chat_id}", ttl=600)
    assert lease is not None
    deletion = asyncio.ensure_future(confirm(call))
    while not deletion.done():
        clock.advance(0.25)
        await asyncio.sleep(0.001)
    assert (await deletion).error == (423, "locked", None)
    await leases.release(lease)
    assert (await chat("I am still here", user=ANN)).answer.status == 200
    answer = await confirm(call)
    assert (answer.status, answer.json["counts"]["chats"]) == (200, 2)
    assert traces(stored(kv, objects)) == []


class Slow:
    """A handler that waits to be let on, and then writes."""

    def __init__(self, kv: MemoryKeyValueStore) -> None:
        self.kv = kv
        self.begun, self.go = asyncio.Event(), asyncio.Event()

    async def __call__(self, request: Request, /) -> Response:
        self.begun.set()
        await self.go.wait()
        await self.kv.set(f"user:{ANN}/late", CANARY.encode())
        return Response(204)


@frozen
class Gate:
    """A deletion and a slow request, behind one account's door."""

    privacy: Privacy
    slow: Slow
    call: Caller

    @classmethod
    def over(cls, d: Dependencies, kv: MemoryKeyValueStore, *, patience: float) -> "Gate":
        stores = Graph.of(evolve(d, cipher=PlainCipher()), Settings())
        accounts = Accounts(d.kv, d.clock, RunningTurns(), patience=patience)
        privacy, slow = evolve(stores.privacy, accounts=accounts), Slow(kv)
        routes = [
            Route("POST", "/slow", slow),
            Route("DELETE", "/account", DeleteAccount(privacy)),
            Route("GET", "/export", ExportAccount(privacy)),
        ]
        inner = with_account(Router(routes), accounts)
        who = HeaderOrSignedIn(SignedInUsers(stores.sessions, stores.api_keys))
        return cls(privacy, slow, Caller(answer_errors(with_principal(inner, who))))

    async def ask(self, method: str, target: str, **options: Any) -> Answer:
        return await self.call(method, target, json={"confirm": ANN}, **{"user": ANN, **options})


async def test_a_request_that_writes_is_waited_for_and_none_begins_meanwhile(
    dependencies: Dependencies, kv: MemoryKeyValueStore, objects: MemoryObjectStore
) -> None:
    gate = Gate.over(dependencies, kv, patience=5.0)
    written = asyncio.ensure_future(gate.ask("POST", "/slow"))
    await gate.slow.begun.wait()
    deletion = asyncio.ensure_future(gate.ask("DELETE", "/account"))
    await asyncio.sleep(0.05)
    assert not deletion.done()
    for method, target in (("POST", "/slow"), ("DELETE", "/account")):
        answer = await gate.ask(method, target)
        assert (answer.status, answer.json["error"]["code"]) == (423, "locked")
    gate.slow.go.set()
    assert (await written).status == 204
    assert (await deletion).status == 200
    assert traces(stored(kv, objects)) == []
    assert (await gate.ask("POST", "/slow")).status == 204  # and begins anew


async def test_one_who_never_ends_is_waited_for_only_so_long(
    dependencies: Dependencies, kv: MemoryKeyValueStore
) -> None:
    gate = Gate.over(dependencies, kv, patience=0.05)
    written = asyncio.ensure_future(gate.ask("POST", "/slow"))
    await gate.slow.begun.wait()
    answer = await gate.ask("DELETE", "/account")
    assert (answer.status, answer.json["error"]["code"]) == (423, "locked")
    await gate.privacy.accounts.check(ANN, since=0.0)  # the account is open again
    gate.slow.go.set()
    assert (await written).status == 204
    assert (await gate.ask("DELETE", "/account")).status == 200


async def test_the_handlers_ask_for_the_right_themselves(
    dependencies: Dependencies, settings: Settings, kv: MemoryKeyValueStore
) -> None:
    keys = Graph.of(dependencies, settings).api_keys
    key, _ = await keys.create(Principal(ANN), name="k", scopes=("chat",))
    gate = Gate.over(dependencies, kv, patience=1.0)
    bearer = {"authorization": f"Bearer {key}"}
    for method, target in (("DELETE", "/account"), ("GET", "/export")):
        answer = await gate.ask(method, target, user=None, headers=bearer)
        assert (answer.status, answer.json["error"]["code"]) == (403, "scope_missing")


async def test_who_was_deleted_may_begin_anew(
    call: Caller, chat: Chatter, clock: ManualClock
) -> None:
    await chat("Hello", user=ANN)
    assert (await confirm(call)).status == 200
    clock.advance(0.001)
    talked = await chat("Hello again", files={"a.txt": "a"}, user=ANN)
    assert talked.answer.status == 200
    assert len((await call("GET", "/api/chats", user=ANN)).json["chats"]) == 1
    assert (await call("GET", f"/api/projects/{talked.project_id}", user=ANN)).status == 200


async def test_of_two_deletions_at_once_one_does_it(call: Caller, chat: Chatter) -> None:
    await chat("Hello", user=ANN)
    answers = await asyncio.gather(confirm(call), confirm(call))
    assert sorted(answer.status for answer in answers) == [200, 423]


@pytest.mark.parametrize("request_", [
    ("PATCH", "/api/preferences", {"custom": {"pet": CANARY}}),
    ("PUT", "/api/secrets/x", {"value": CANARY}),
    ("POST", "/api/auth/keys", {"name": CANARY, "scopes": ["chat"]}),
])  # fmt: skip
@pytest.mark.parametrize("head_start", range(6))
async def test_whatever_is_written_at_the_same_time_is_not_left(
    dependencies: Dependencies,
    settings: Settings,
    kv: MemoryKeyValueStore,
    objects: MemoryObjectStore,
    request_: tuple[str, str, dict[str, Any]],
    head_start: int,
) -> None:
    slow = FaultyKeyValues(kv)  # lets others go first at every call
    d = evolve(dependencies, kv=slow, objects=FaultyObjects(objects))
    call = Caller(Whole.over(evolve(d, atomic=d.atomic and slow), settings).handler)
    method, target, body = request_

    async def write() -> Answer:
        for _ in range(3 * head_start):
            await asyncio.sleep(0)
        return await call(method, target, json=body, user=ANN)

    written, deleted = await asyncio.gather(write(), confirm(call))
    assert deleted.status == 200
    if written.status != 423:
        assert written.status in {200, 201}
    left = traces(stored(kv, objects))
    # After the receipt an account may begin anew, whole; nothing else is left.
    began_anew = f"users/{ANN}" in stored(kv, objects)
    assert began_anew or left == []


async def test_wherever_a_deletion_fails_it_can_be_asked_for_again(
    dependencies: Dependencies, mock: AnthropicMock, settings: Settings, clock: ManualClock
) -> None:
    failures = 0
    for fail_at in range(1, 400):
        kv, objects = MemoryKeyValueStore(clock), MemoryObjectStore(clock)
        faulty, faulty_objects = FaultyKeyValues(kv), FaultyObjects(objects)
        d = evolve(dependencies, kv=faulty, objects=faulty_objects,
                   atomic=dependencies.atomic and faulty)  # fmt: skip
        whole = Whole.over(d, settings)
        call = Caller(whole.handler)
        had = await use_everything(whole, call, Chatter(call, mock), clock)
        faulty.fail_at = faulty.writes + fail_at
        first = await confirm(call, user=None, headers={"cookie": f"openbolt-session={had.cookie}"})
        await call.settle()
        if first.status == 200:
            break
        failures += 1
        assert first.error[:2] == (503, "backend_unavailable")
        faulty.fail_at = 0
        again = await confirm(call)
        assert again.status == 200
        assert traces(stored(kv, objects)) == []
        assert {key.partition(":")[0] for key in stored(kv, objects)} == {"deleted", "receipt"}
        clock.advance(1)
    assert failures > 30
    assert first.status == 200


async def test_the_counts_of_a_deletion_that_failed_are_not_lost(
    dependencies: Dependencies, mock: AnthropicMock, settings: Settings, clock: ManualClock
) -> None:
    objects = FaultyObjects(MemoryObjectStore(clock))
    whole = Whole.over(evolve(dependencies, objects=objects), settings)
    call = Caller(whole.handler)
    had = await use_everything(whole, call, Chatter(call, mock), clock)
    cookie = {"cookie": f"openbolt-session={had.cookie}"}
    objects.fail_at = objects.writes + 3  # chats are gone then, projects aren't
    assert (await confirm(call, user=None, headers=cookie)).status == 503
    answer = await confirm(call, user=None, headers=cookie)
    assert answer.status == 200
    counts = answer.json["counts"]
    assert (counts["chats"], counts["projects"], counts["sessions"]) == (1, 1, 1)


def patterns() -> dict[str, re.Pattern[str]]:
    """The keys and objects that the documentation knows of."""
    cells = re.findall(r"^\| `([^`]+)` \|", PAGE.read_text(), re.MULTILINE)
    return {
        cell: re.compile(re.sub(r"\\\{[a-z-]+\\\}", "[^/]+", re.escape(cell))) for cell in cells
    }


class SeenKeys(MemoryKeyValueStore):
    """Remembers every key that was ever written."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.seen: set[str] = set()

    async def set(self, key: str, value: bytes, /, *, ttl: float | None = None) -> None:
        self.seen.add(key)
        await super().set(key, value, ttl=ttl)

    async def increment(self, key: str, amount: int = 1, /, *, ttl: float | None = None) -> int:
        self.seen.add(key)
        return await super().increment(key, amount, ttl=ttl)

    async def replace(
        self, key: str, value: bytes, /, *, expected: bytes | None, ttl: float | None = None
    ) -> bool:
        self.seen.add(key)
        return await super().replace(key, value, expected=expected, ttl=ttl)


async def test_every_key_that_ever_appears_is_documented_and_no_other(
    dependencies: Dependencies, settings: Settings, mock: AnthropicMock, clock: ManualClock
) -> None:
    kv, objects = SeenKeys(clock), FaultyObjects(MemoryObjectStore(clock))
    d = evolve(dependencies, kv=kv, objects=objects, atomic=dependencies.atomic and kv)
    whole = Whole.over(d, settings)
    call = Caller(whole.handler)
    had = await use_everything(whole, call, Chatter(call, mock), clock)
    objects.fail_at = objects.writes + 3
    cookie = {"cookie": f"openbolt-session={had.cookie}"}
    assert (await confirm(call, user=None, headers=cookie)).status == 503
    assert (await confirm(call)).status == 200
    seen, known = kv.seen | set(objects.puts), patterns()
    assert [key for key in seen if not any(p.fullmatch(key) for p in known.values())] == []
    stale = {c for c, pattern in known.items() if not any(map(pattern.fullmatch, seen))}
    assert stale == {"sign-in:{hash}/spent"}  # written before anybody is a user

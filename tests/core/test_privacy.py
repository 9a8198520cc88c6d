"""What an account is made of: counted, listed, kept for a time, and let go of for good."""

import asyncio
import io
import tracemalloc
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from openbolt import Dependencies, Settings
from openbolt.accounts import AccountJournals, Accounts
from openbolt.archives import ExportedFile, zip_files
from openbolt.auth.session_store import KeyValueSessionStore
from openbolt.auth.sessions import Sessions
from openbolt.chat.running import RunningTurn, RunningTurns
from openbolt.errors import BackendError, ConflictError, LockedError, UpstreamError
from openbolt.graph import Graph
from openbolt.history import Chat, ChatStore, Message
from openbolt.personal.account import SessionData
from openbolt.privacy import PersonalData, PurgeReport, Receipt, parts_of_an_account, purge
from openbolt.projects.blobs import blobs_of, drop_stale, drop_unreferenced, note_stale
from openbolt.projects.journal import JournalHead, JournalStore
from openbolt.projects.store import Manifest, ProjectStore
from openbolt.protocols import ObjectStore, SessionRecord
from openbolt.testing import ManualClock, PlainCipher, SequenceTokens
from openbolt_local.files import FileObjectStore
from openbolt_local.memory import (
    MemoryKeyValueStore,
    MemoryLeaseStore,
    MemoryObjectStore,
    MemorySessionStore,
)
from tests.faults import FaultyKeyValues, keys_of, objects_of
from tests.stores import in_memory

DAY = 86_400.0
MIB = 1024 * 1024


@pytest.fixture
def dependencies(kv: MemoryKeyValueStore, objects: ObjectStore, clock: ManualClock) -> Dependencies:
    return in_memory(clock, kv=kv, objects=objects, tokens=SequenceTokens(), cipher=PlainCipher())


@pytest.fixture
def accounts(kv: MemoryKeyValueStore, clock: ManualClock) -> Accounts:
    return Accounts(kv, clock, RunningTurns(), patience=0.2)


async def build(projects: ProjectStore, name: str, owner: str, **files: bytes | str) -> set[str]:
    """A version with these files; the blobs that it names."""
    if not await projects.exists(name):
        await projects.create(name, owner, name)
    project = await projects.load(name, owner=owner)
    entries = {
        path: await projects.put_blob(path, data if isinstance(data, bytes) else data.encode())
        for path, data in files.items()
    }
    await projects.commit(name, entries, base=await projects.manifest(project))
    return {entry.blob for entry in entries.values()}


async def say(
    chats: ChatStore, name: str, owner: str, text: str = "Hi", project: str = "p"
) -> Chat:
    now = chats.clock.now()
    asked = Message("q1", "user", now, ({"type": "text", "text": text},))
    return await chats.begin(Chat(name, owner, project, "Hi", now, now, ("q1",)), asked)


# --- the archive


async def each(files: list[ExportedFile]) -> AsyncIterator[ExportedFile]:
    for file in files:
        yield file


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def zipped(*files: ExportedFile) -> bytes:
    return b"".join([chunk async for chunk in zip_files(each(list(files)))])


@given(
    st.dictionaries(
        st.from_regex(r"[a-zé☃0-9]{1,8}(/[a-z0-9]{1,8}){0,2}", fullmatch=True),
        st.lists(st.binary(max_size=200), max_size=4),
        max_size=6,
    )
)
def test_what_goes_into_an_archive_comes_out_of_it(made: dict[str, list[bytes]]) -> None:
    async def run() -> None:
        whole = [ExportedFile(f"a/{path}", b"".join(parts)) for path, parts in made.items()]
        streamed = [ExportedFile(f"b/{path}", chunks(*parts)) for path, parts in made.items()]
        data = await zipped(*whole, *streamed)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert archive.testzip() is None
            expected = {f"{at}/{path}": b"".join(p) for at in "ab" for path, p in made.items()}
            assert {name: archive.read(name) for name in archive.namelist()} == expected

    asyncio.run(run())


async def test_what_is_missing_is_listed_and_only_then() -> None:
    data = await zipped(ExportedFile("a", b"1"), ExportedFile("b", missing="It is damaged."))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == ["a", "MISSING.txt"]
        assert archive.read("MISSING.txt").decode().endswith("\n\nb: It is damaged.\n")
    with zipfile.ZipFile(io.BytesIO(await zipped(ExportedFile("a", b"1")))) as archive:
        assert archive.namelist() == ["a"]


async def test_files_are_their_owners_to_read_and_dated() -> None:
    data = await zipped(ExportedFile("a", b"1", 1.7e9), ExportedFile("b", b"2"))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        first, second = archive.infolist()
    assert (first.date_time[:3], second.date_time[:3]) == ((2023, 11, 14), (1980, 1, 1))
    assert first.external_attr >> 16 == 0o100600


async def test_an_error_breaks_an_archive_off_and_leaving_early_is_none() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield bytes(range(256)) * 4096
        raise BackendError("The disk is gone.")

    with pytest.raises(BackendError):
        await zipped(ExportedFile("a", broken()))
    stream = zip_files(each([ExportedFile("a", broken()), ExportedFile("b", b"2")]))
    await anext(stream)
    await stream.aclose()


async def test_an_export_takes_no_more_memory_than_a_file_of_it(
    dependencies: Dependencies, tmp_path: Path, clock: ManualClock
) -> None:
    d = evolve(dependencies, objects=FileObjectStore(tmp_path))
    graph = Graph.of(d, Settings())
    noise = bytes(range(251)) * (MIB // 251)
    for number in range(24):
        await build(graph.projects, f"p{number}", "ann", data=noise + bytes([number]))
    await say(graph.chats, "c1", "ann")
    for number in range(24):
        part = {"type": "text", "text": "x" * MIB}
        await graph.chats.add("c1", Message(f"m{number}", "user", 0.0, (part,)))
    tracemalloc.start()
    try:
        size = 0
        async for chunk in graph.privacy.export("ann"):
            size += len(chunk)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > 24_000
    assert peak < 12 * MIB  # of 48 that are in it


# --- who is at work


async def test_whoever_writes_is_listed_once_and_looked_at_seldom(
    kv: MemoryKeyValueStore, clock: ManualClock
) -> None:
    store = FaultyKeyValues(kv)
    accounts = Accounts(store, clock, RunningTurns())
    for _ in range(3):
        await accounts.note("ann")
    await accounts.note("bob")
    assert store.writes == 2
    assert sorted([name async for name in accounts.list()]) == ["ann", "bob"]
    await kv.delete("users/ann")  # by another process, which deleted the account
    await accounts.note("ann")
    assert store.writes == 2
    clock.advance(601)
    await accounts.note("ann")
    assert store.writes == 3


async def test_who_was_deleted_here_is_listed_again_at_the_next_write(
    accounts: Accounts,
) -> None:
    await accounts.note("ann")
    await accounts.forget("ann")
    assert [name async for name in accounts.list()] == []
    await accounts.note("ann")
    assert [name async for name in accounts.list()] == ["ann"]


async def test_more_users_than_are_remembered_are_all_listed(
    kv: MemoryKeyValueStore, clock: ManualClock
) -> None:
    accounts = Accounts(kv, clock, RunningTurns())
    for number in range(10_010):
        await accounts.note(f"u{number}")
    assert len(accounts._listed) <= 10_000
    assert len(await keys_of(kv, "users/")) == 10_010


async def test_what_outlives_its_request_is_waited_for(accounts: Accounts) -> None:
    go, order = asyncio.Event(), list[str]()

    async def work() -> None:
        await go.wait()
        order.append("worked")

    with accounts.work("ann"):
        task = asyncio.ensure_future(accounts.beside("ann", work()))

    async def delete() -> None:
        async with accounts.deletion("ann"):
            order.append("deleted")

    deletion = asyncio.ensure_future(delete())
    await asyncio.sleep(0.03)
    assert order == []
    go.set()
    await asyncio.gather(task, deletion)
    assert order == ["worked", "deleted"]


async def test_work_that_fails_is_over_too(accounts: Accounts) -> None:
    async def fail() -> None:
        raise BackendError("The disk is gone.")

    with pytest.raises(BackendError):
        await accounts.beside("ann", fail())
    with pytest.raises(ValueError, match="x"), accounts.work("ann"):
        raise ValueError("x")
    async with accounts.deletion("ann"):
        with pytest.raises(LockedError), accounts.work("ann"):
            pass
        with accounts.work("bob"):
            pass


async def test_a_deletion_stops_turns_and_those_that_begin_meanwhile(
    kv: MemoryKeyValueStore, clock: ManualClock
) -> None:
    running = RunningTurns()
    accounts = Accounts(kv, clock, running)
    hers, his, late, after = (RunningTurn(60) for _ in range(4))
    running.own("ann", "c1", hers)
    running.own("bob", "c2", his)
    async with accounts.deletion("ann"):
        running.own("ann", "c3", late)
        assert (hers.reason, late.reason, his.reason) == ("stopped", "stopped", None)
    running.own("ann", "c4", after)
    assert after.reason is None


async def test_no_turn_begins_that_is_older_than_the_deletion(
    kv: MemoryKeyValueStore, clock: ManualClock, accounts: Accounts
) -> None:
    journals = AccountJournals(kv, accounts)

    async def begins(at: float, owner: str = "ann") -> bool:
        try:
            await journals.begin(JournalHead("t", "c", "p", owner, 0, at))
        except ConflictError as exc:
            return exc.code != "account_deleted"
        return True

    before = clock.now()
    assert await begins(before)
    async with accounts.deletion("ann"):
        clock.advance(5)
        assert not await begins(clock.now())  # in another process, which asks the store
        assert await begins(before, "bob")
        await accounts.mark_deleted("ann")
    assert not await begins(before)
    assert not await begins(clock.now())
    clock.advance(1)
    assert await begins(clock.now())
    assert "ann" not in str(await keys_of(kv, *(f"{k.split('/')[0]}/" for k in kv._partitions)))


async def test_a_deletion_that_fails_opens_the_account_again(
    kv: MemoryKeyValueStore, clock: ManualClock, accounts: Accounts
) -> None:
    with pytest.raises(BackendError):
        async with accounts.deletion("ann"):
            raise BackendError("The disk is gone.")
    with accounts.work("ann"):
        pass
    await accounts.check("ann", since=0.0)


async def test_a_deletion_is_remembered_for_longer_than_a_turn_can_last(
    accounts: Accounts, clock: ManualClock
) -> None:
    before = clock.now()
    async with accounts.deletion("ann"):
        await accounts.mark_deleted("ann")
    clock.advance(Settings().turn_timeout + Settings().silence_timeout)
    with pytest.raises(ConflictError):
        await accounts.check("ann", since=before)
    clock.advance(3600)
    await accounts.check("ann", since=before)


# --- blobs


async def test_a_blob_goes_only_if_nobody_else_names_it(
    projects: ProjectStore, kv: MemoryKeyValueStore, objects: MemoryObjectStore
) -> None:
    hers = await build(projects, "p1", "ann", a="only hers", b="both have it", c="in a journal")
    await build(projects, "p1", "ann", a="only hers, later")
    his = await build(projects, "p2", "bob", x="both have it", y="soon not any more")
    await build(projects, "p2", "bob", y="now", x="something else")  # b is in an old version only
    journals = JournalStore(kv)
    head = JournalHead("t", "c", "p2", "bob", 0, 0.0)
    await journals.begin(head)
    await journals.add_file(head, 0, await projects.put_blob("z", b"in a journal"))
    named = await blobs_of(objects, kv, "p1")
    assert hers < named
    assert len(named) == 4
    assert await drop_unreferenced(objects, kv, named, besides={"p1"}) == 2
    left = {key.removeprefix("blobs/") for key in await objects_of(objects, "blobs/")}
    assert left & named == named & his | {entry.blob for entry in (await journals.load(head)).files}
    assert his <= left


async def test_a_version_that_no_head_names_counts_and_one_that_is_damaged_does_not(
    projects: ProjectStore, kv: MemoryKeyValueStore, objects: MemoryObjectStore
) -> None:
    await build(projects, "p1", "ann", a="a")
    entry = await projects.put_blob("lost", b"of a commit that lost the race")
    orphan = Manifest(2, None, 0.0, "", (entry,)).to_bytes()
    await objects.put("projects/p1/manifests/orphan", orphan)
    await objects.put("projects/p1/manifests/damaged", b'{"files": [["a"')
    await objects.put("projects/p1/manifests/odd", b'{"files": 3}')
    assert entry.blob in await blobs_of(objects, kv, "p1")
    assert await drop_unreferenced(objects, kv, {entry.blob}, besides=()) == 0


async def test_more_versions_than_are_read_at_once_are_all_looked_at(
    projects: ProjectStore, kv: MemoryKeyValueStore, objects: MemoryObjectStore
) -> None:
    blobs: set[str] = set()
    for number in range(70):
        blobs |= await build(projects, "p1", "ann", a=f"version {number}")
    assert await blobs_of(objects, kv, "p1") == blobs
    assert await drop_unreferenced(objects, kv, blobs, besides=()) == 0
    assert await drop_unreferenced(objects, kv, blobs, besides={"p1"}) == 70


async def test_what_a_deleted_project_named_is_still_found(
    projects: ProjectStore, kv: MemoryKeyValueStore, objects: MemoryObjectStore
) -> None:
    await build(projects, "p1", "ann", a="hers", b="both have it")
    await build(projects, "p2", "bob", b="both have it")
    await note_stale(objects, kv, "p1")
    await note_stale(objects, kv, "nothing")
    await projects.delete("p1", owner="ann")
    assert await keys_of(kv, "stale-blobs/") == ["stale-blobs/p1"]
    assert await drop_stale(objects, kv) == 1
    assert await keys_of(kv, "stale-blobs/") == []
    assert len(await objects_of(objects, "blobs/")) == 1
    assert await drop_stale(objects, kv) == 0


# --- receipts, sessions, parts of one's own

user_ids = st.from_regex(r"[A-Za-z0-9._-]{1,128}", fullmatch=True)


@given(user_ids, user_ids, st.dictionaries(st.text(max_size=5), st.integers(0, 10**9)))
def test_a_receipt_is_for_one_user_and_survives_being_kept(
    one: str, other: str, counts: dict[str, int]
) -> None:
    receipt = Receipt.of(one, id="r" * 26, at=1.7e9, counts=counts)
    assert Receipt.from_bytes(receipt.to_bytes()) == receipt
    assert receipt.is_for(one)
    assert receipt.is_for(other) == (one == other)
    assert receipt.user_hash != Receipt.of(one, id="s" * 26, at=1.7e9, counts=counts).user_hash


@pytest.mark.parametrize("in_kv", [True, False])
async def test_all_sessions_end_and_what_they_held_elsewhere_is_let_go(
    kv: MemoryKeyValueStore, clock: ManualClock, caplog: pytest.LogCaptureFixture, in_kv: bool
) -> None:
    store = KeyValueSessionStore(kv, clock) if in_kv else MemorySessionStore(clock)
    sessions = Sessions(store, clock, SequenceTokens(), Settings())
    ended: list[SessionRecord] = []

    async def end(record: SessionRecord, /) -> None:
        assert await store.load(record.id_hash) is None
        ended.append(record)
        raise UpstreamError("The provider doesn't answer.")

    for name in ("ann", "ann", "bob"):
        await sessions.start(name)
    data = SessionData(sessions, kv, end)
    assert await data.erase("ann") == 2
    assert await data.erase("ann") == 0
    assert {record.user_id for record in ended} == {"ann"}
    assert len(await sessions.list("bob")) == 1
    assert len(caplog.records) == 2


class Notes:
    """What an application that embeds openbolt keeps of its users."""

    name = "notes"

    def __init__(self) -> None:
        self.notes = {"ann": "buy milk", "bob": "sell milk"}

    async def export(self, user_id: str, /) -> AsyncIterator[ExportedFile]:
        yield ExportedFile("notes.txt", self.notes[user_id].encode())

    async def erase(self, user_id: str, /) -> int:
        return int(self.notes.pop(user_id, None) is not None)


async def test_parts_of_ones_own_are_exported_erased_and_counted(
    dependencies: Dependencies, clock: ManualClock
) -> None:
    graph, notes = Graph.of(dependencies, Settings()), Notes()
    more: PersonalData = notes
    parts = parts_of_an_account(
        recovery=graph.recovery,
        leases=dependencies.leases,
        clock=clock,
        shares=graph.shares,
        preferences=graph.preferences,
        users=graph.users,
        api_keys=graph.api_keys,
        sessions=graph.sessions,
        secrets=None,
        more=[more],
    )
    privacy = evolve(graph.privacy, data=parts)
    data = b"".join([chunk async for chunk in privacy.export("ann", host="app.example.com")])
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.read("notes.txt") == b"buy milk"
        assert b"app.example.com stores of the user ann" in archive.read("README.txt")
    receipt = await privacy.erase("ann")
    assert receipt.counts["notes"] == 1
    assert "secrets" not in receipt.counts
    assert notes.notes == {"bob": "sell milk"}


async def test_what_goes_on_appearing_is_no_deletion(dependencies: Dependencies) -> None:
    class Endless(Notes):
        async def erase(self, user_id: str, /) -> int:
            return 1

    privacy = Graph.of(dependencies, Settings()).privacy
    privacy = evolve(privacy, data=[*privacy.data, Endless()])
    with pytest.raises(LockedError):
        await privacy.erase("ann")
    assert await keys_of(dependencies.kv, "receipt:/") == []


async def test_a_chat_index_that_leads_to_anothers_chat_leaves_it_alone(
    dependencies: Dependencies, chats: ChatStore, projects: ProjectStore, kv: MemoryKeyValueStore
) -> None:
    """Two who begin under one id at the same time: one loses, and its entry may be left."""
    graph = Graph.of(dependencies, Settings())
    await say(chats, "c1", "bob", project="p1")
    await build(projects, "p1", "bob", a="his")
    await kv.set("user:ann/chat/c1", b"")
    await kv.set("user:ann/project/p1", b"")
    await kv.set("user:ann/chat/never", b"")
    await kv.set("chat:never/message/q1", b"what she said")
    journal = JournalHead("t", "c9", "p9", "bob", 0, 0.0)  # bob's project, which isn't there yet
    await JournalStore(kv).begin(journal)
    await kv.set("user:ann/project/p9", b"")
    counts = (await graph.privacy.erase("ann")).counts
    assert (counts["chats"], counts["projects"]) == (0, 0)
    assert (await chats.load("c1", owner="bob")).title == "Hi"
    assert len(await chats.messages(await chats.load("c1", owner="bob"))) == 1
    assert (await projects.load("p1", owner="bob")).number == 1
    assert await JournalStore(kv).list("p9") == [journal]
    assert await keys_of(kv, "user:ann/", "chat:never/") == []


async def test_a_turn_that_crashed_before_its_project_was_there_is_erased_too(
    dependencies: Dependencies, chats: ChatStore, kv: MemoryKeyValueStore
) -> None:
    journals = JournalStore(kv)
    head = JournalHead("t", "c1", "p1", "ann", 0, 0.0)
    await journals.begin(head)
    await journals.add_text(head, 0, "what the model said")
    await say(chats, "c1", "ann", project="p1")
    await Graph.of(dependencies, Settings()).privacy.erase("ann")
    assert await keys_of(kv, "project:p1/", "chat:c1/", "user:ann/") == []


# --- keeping for a time


async def old_and_new(
    dependencies: Dependencies, clock: ManualClock, *, users: tuple[str, ...] = ("ann", "bob")
) -> Graph:
    """For each user a chat and a project of 40 days ago, and of now."""
    graph = Graph.of(dependencies, Settings())
    for age in ("old", "new"):
        for user in users:
            await graph.accounts.note(user)
            await say(graph.chats, f"{user}-{age}", user, project=f"{user}-{age}")
            await build(graph.projects, f"{user}-{age}", user, a=f"{user} {age}", b="all have it")
        if age == "old":
            clock.advance(40 * DAY)
    return graph


def keeping(**settings: float) -> Settings:
    return Settings(**{name: days * DAY for name, days in settings.items()})  # type: ignore[arg-type]


async def test_what_is_too_old_goes_and_nothing_else(
    dependencies: Dependencies, clock: ManualClock, kv: MemoryKeyValueStore, objects: ObjectStore
) -> None:
    graph = await old_and_new(dependencies, clock)
    for thing in (
        await graph.projects.load("ann-old", owner="ann"),
        await graph.chats.load("ann-old", owner="ann"),
    ):
        await graph.shares.create(thing, by="ann")
    settings = keeping(chat_retention=30, project_retention=30)
    assert await purge(dependencies, settings) == PurgeReport(users=2, chats=2, projects=2)
    for user in ("ann", "bob"):
        assert [chat.id for chat in await graph.chats.list(user)] == [f"{user}-new"]
        assert [project.id for project in await graph.projects.list(user)] == [f"{user}-new"]
    assert await keys_of(kv, "chat:ann-old/", "project:ann-old/", "user:ann/shares/") == []
    assert await objects_of(objects, "projects/ann-old/") == []
    assert len(await objects_of(objects, "blobs/")) == 3  # two of their own, and what all have
    assert await purge(dependencies, settings) == PurgeReport(users=2)


@pytest.mark.parametrize(
    ("settings", "report"),
    [
        ({}, PurgeReport(users=2)),
        ({"chat_retention": 30}, PurgeReport(users=2, chats=2)),
        ({"project_retention": 30}, PurgeReport(users=2, projects=2)),
        ({"chat_retention": 40, "project_retention": 40}, PurgeReport(users=2)),
        ({"chat_retention": 1, "project_retention": 1}, PurgeReport(users=2, chats=2, projects=2)),
    ],
    ids=str,
)
async def test_each_is_kept_for_its_own_time(
    dependencies: Dependencies,
    clock: ManualClock,
    settings: dict[str, float],
    report: PurgeReport,
) -> None:
    await old_and_new(dependencies, clock)
    assert await purge(dependencies, keeping(**settings)) == report


async def test_the_time_can_be_told(dependencies: Dependencies, clock: ManualClock) -> None:
    await old_and_new(dependencies, clock, users=("ann",))
    settings = keeping(chat_retention=30)
    assert (await purge(dependencies, settings, clock.now() - 20 * DAY)).chats == 0
    assert (await purge(dependencies, settings, clock.now() + 31 * DAY)).chats == 2


async def test_what_is_being_written_to_is_left_for_the_next_time(
    dependencies: Dependencies, clock: ManualClock, kv: MemoryKeyValueStore
) -> None:
    await old_and_new(dependencies, clock, users=("ann",))
    lease = await dependencies.leases.acquire("chat:ann-old", ttl=60)
    assert lease is not None
    head = JournalHead("t", "ann-old", "ann-old", "ann", 1, clock.now())
    await JournalStore(kv).begin(head)
    settings = keeping(chat_retention=30, project_retention=30)
    assert await purge(dependencies, settings) == PurgeReport(users=1, busy=2)
    await dependencies.leases.release(lease)
    # The journal is a wreck then: nobody will settle it, and it goes with the chat.
    assert await purge(dependencies, settings) == PurgeReport(users=1, chats=1, projects=1)


async def test_a_chat_that_is_used_again_just_then_is_kept(
    dependencies: Dependencies, clock: ManualClock
) -> None:
    graph = await old_and_new(dependencies, clock, users=("ann",))

    class Answering(MemoryLeaseStore):
        """Whose lease comes only after somebody else has written."""

        async def acquire(self, name: str, /, *, ttl: float) -> Any:
            said = Message("a1", "assistant", clock.now(), ())
            await graph.chats.add(name.removeprefix("chat:"), said)
            return await super().acquire(name, ttl=ttl)

    d = evolve(dependencies, leases=Answering(clock))
    assert await purge(d, keeping(chat_retention=30)) == PurgeReport(users=1)
    assert len(await graph.chats.list("ann")) == 2


async def test_a_purge_clears_what_deleted_projects_left(
    dependencies: Dependencies, clock: ManualClock, objects: ObjectStore
) -> None:
    graph = await old_and_new(dependencies, clock, users=("ann",))
    await note_stale(objects, dependencies.kv, "ann-new")
    await graph.projects.delete("ann-new", owner="ann")
    await purge(dependencies, keeping(project_retention=30))
    assert await objects_of(objects, "blobs/") == []

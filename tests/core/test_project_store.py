"""Versions of a project: whole or not at all, never changed, never silently lost or damaged."""

import asyncio
import hashlib
from collections.abc import Mapping

import pytest

from openbolt.errors import BackendError, ConflictError, NotFoundError, PayloadTooLargeError
from openbolt.projects.store import Commit, FileEntry, Manifest, Project, ProjectStore
from openbolt.testing import ManualClock
from openbolt_local.memory import MemoryKeyValueStore, MemoryObjectStore
from tests.faults import FaultyKeyValues, FaultyObjects, flip_a_bit, keys_of, objects_of


@pytest.fixture
def objects(objects: MemoryObjectStore) -> FaultyObjects:
    return FaultyObjects(objects)


Files = Mapping[str, bytes | None]


async def commit(
    projects: ProjectStore, files: Files, *, base: Manifest | None = None, note: str = ""
) -> Commit:
    if base is None:
        base = await projects.manifest(await projects.load("p1", owner="ann"))
    changes: dict[str, FileEntry | None] = {
        path: None if data is None else await projects.put_blob(path, data)
        for path, data in files.items()
    }
    return await projects.commit("p1", changes, base=base, note=note)


async def contents(projects: ProjectStore, *, number: int | None = None) -> dict[str, bytes]:
    project = await projects.load("p1", owner="ann")
    manifest = await projects.manifest(project, number=number)
    return {entry.path: await projects.read_blob(entry) for entry in manifest.files}


async def test_a_new_project_has_version_0_without_files(
    projects: ProjectStore, clock: ManualClock
) -> None:
    made = await projects.create("p1", "ann", "A title \ud800 é")
    assert made == Project("p1", "ann", "A title \ud800 é", clock.now(), clock.now())
    assert await projects.load("p1", owner="ann") == made
    assert await projects.manifest(made) == Manifest.empty()
    assert [m async for m in projects.versions(made)] == []
    assert await projects.exists("p1")
    assert not await projects.exists("p2")


async def test_an_id_is_given_once_and_the_loser_has_no_trace_of_it(
    projects: ProjectStore, kv: MemoryKeyValueStore
) -> None:
    await projects.create("p1", "ann", "Hers")
    for owner in ("ann", "bob"):
        with pytest.raises(ConflictError):
            await projects.create("p1", owner, "His")
    assert (await projects.load("p1", owner="ann")).title == "Hers"
    assert await keys_of(kv, "user:ann/", "user:bob/") == ["user:ann/project/p1"]


async def test_of_concurrent_creators_one_gets_the_id(projects: ProjectStore) -> None:
    made = await asyncio.gather(
        *(projects.create("p1", f"u{n}", "x") for n in range(5)), return_exceptions=True
    )
    assert sum(isinstance(m, Project) for m in made) == 1
    assert sum(isinstance(m, ConflictError) for m in made) == 4


async def test_anybody_elses_project_is_no_project(projects: ProjectStore) -> None:
    await projects.create("p1", "ann", "Hers")
    with pytest.raises(NotFoundError):
        await projects.load("p1", owner="bob")
    with pytest.raises(NotFoundError):
        await projects.rename("p1", "Mine", owner="bob")
    with pytest.raises(NotFoundError):
        await projects.delete("p1", owner="bob")
    assert await projects.list("bob") == []
    assert (await projects.load("p1", owner="ann")).title == "Hers"


async def test_projects_are_listed_by_their_latest_change(
    projects: ProjectStore, clock: ManualClock
) -> None:
    for name in ("p2", "p1", "p3"):
        await projects.create(name, "ann", name)
    assert [p.id for p in await projects.list("ann")] == ["p1", "p2", "p3"]
    clock.advance(1)
    await commit(projects, {"a": b"1"})
    await projects.rename("p3", "Renamed", owner="ann")
    assert [(p.id, p.title) for p in await projects.list("ann")] == [
        ("p1", "p1"),
        ("p2", "p2"),
        ("p3", "Renamed"),
    ]


async def test_every_version_stays_readable_by_its_number(projects: ProjectStore) -> None:
    await projects.create("p1", "ann", "x")
    states: list[dict[str, bytes]] = [{}]
    for n in range(1, 6):
        done = await commit(projects, {"a": b"%d" % n, f"f{n}": b"x"}, note=f"n{n}")
        assert done.manifest.number == n
        states.append({**states[-1], "a": b"%d" % n, f"f{n}": b"x"})
    for n, state in enumerate(states):
        assert await contents(projects, number=n) == state
    project = await projects.load("p1", owner="ann")
    assert [(m.number, m.note) async for m in projects.versions(project)] == [
        (n, f"n{n}") for n in (5, 4, 3, 2, 1)
    ]
    for number in (6, 99):
        with pytest.raises(NotFoundError):
            await projects.manifest(project, number=number)


async def test_a_commit_that_changes_nothing_makes_no_version(projects: ProjectStore) -> None:
    await projects.create("p1", "ann", "x")
    first = await commit(projects, {"a": b"1"})
    for files in ({}, {"a": b"1"}, {"gone": None}):
        again = await commit(projects, files)
        assert (again.manifest, again.project) == (first.manifest, first.project)


async def test_the_same_content_is_one_blob_and_is_written_once(
    projects: ProjectStore, objects: FaultyObjects
) -> None:
    await projects.create("p1", "ann", "x")
    await commit(projects, {"a": b"same", "b": b"same"})
    await commit(projects, {"c": b"same", "d": b"other"})
    wanted = sorted(f"blobs/{hashlib.sha256(data).hexdigest()}" for data in (b"same", b"other"))
    assert await objects_of(objects, "blobs/") == wanted
    assert sorted(key for key in objects.puts if key.startswith("blobs/")) == wanted


async def test_removing_a_file_keeps_it_in_the_versions_before(projects: ProjectStore) -> None:
    await projects.create("p1", "ann", "x")
    await commit(projects, {"a": b"1", "b": b"2"})
    await commit(projects, {"a": None})
    assert await contents(projects) == {"b": b"2"}
    assert await contents(projects, number=1) == {"a": b"1", "b": b"2"}


async def test_a_title_comes_with_a_version_or_alone(projects: ProjectStore) -> None:
    await projects.create("p1", "ann", "Old")
    entry = await projects.put_blob("a", b"1")
    done = await projects.commit("p1", {"a": entry}, base=Manifest.empty(), title="New")
    assert done.project.title == "New"
    done = await projects.commit("p1", {"a": None}, base=done.manifest, title=None)
    assert (await projects.load("p1", owner="ann")).title == "New"


async def test_concurrent_commits_to_different_paths_all_land(projects: ProjectStore) -> None:
    await projects.create("p1", "ann", "x")
    base = (await commit(projects, {"a": b"0"})).manifest
    done = await asyncio.gather(
        *(commit(projects, {f"f{n}": b"%d" % n}, base=base) for n in range(16))
    )
    assert [d.conflicts for d in done] == [()] * 16
    assert sorted(d.manifest.number for d in done) == list(range(2, 18))
    wanted = {"a": b"0", **{f"f{n}": b"%d" % n for n in range(16)}}
    assert await contents(projects) == wanted


async def test_the_same_path_twice_is_a_named_conflict_and_both_texts_stay(
    projects: ProjectStore,
) -> None:
    await projects.create("p1", "ann", "x")
    base = (await commit(projects, {"a": b"old", "b": b"old"})).manifest
    one, two = await asyncio.gather(
        commit(projects, {"a": b"one", "b": b"both"}, base=base),
        commit(projects, {"a": b"two", "b": b"both", "c": b"new"}, base=base),
    )
    first, last = sorted((one, two), key=lambda d: d.manifest.number)
    assert (first.conflicts, last.conflicts) == ((), ("a",))
    texts = {(await contents(projects, number=n))["a"] for n in (2, 3)}
    assert texts == {b"one", b"two"}
    assert (await contents(projects)).keys() == {"a", "b", "c"}


async def test_a_change_against_a_removal_is_a_conflict_both_ways(projects: ProjectStore) -> None:
    await projects.create("p1", "ann", "x")
    base = (await commit(projects, {"a": b"1", "b": b"1"})).manifest
    await commit(projects, {"a": None, "b": b"2"}, base=base)
    done = await commit(projects, {"a": b"2", "b": None}, base=base)
    assert sorted(done.conflicts) == ["a", "b"]
    assert await contents(projects) == {"a": b"2"}
    assert await contents(projects, number=2) == {"b": b"2"}


@pytest.mark.parametrize("after", [False, True])
async def test_a_commit_that_fails_at_any_write_leaves_the_version_before_or_the_one_after(
    objects: FaultyObjects, kv: MemoryKeyValueStore, clock: ManualClock, after: bool
) -> None:
    sound = ProjectStore(objects.inner, kv, clock)
    await sound.create("p1", "ann", "x")
    old = {"a": b"old", "b": b"old", "c": b"old"}
    await commit(sound, old)
    for attempt in range(100):
        new = {"a": b"%d" % attempt, "b": b"-%d" % attempt, "d": b"+%d" % attempt}
        faulty = FaultyObjects(objects.inner, fail_at=attempt + 1, after=after)
        before = (await sound.load("p1", owner="ann")).number
        try:
            await commit(ProjectStore(faulty, kv, clock), {**new, "c": None})
        except BackendError:
            number = (await sound.load("p1", owner="ann")).number
            moved = number == before + 1
            assert await contents(sound) == (new if moved else old)
            assert not moved or faulty.after
            old = new if moved else old
        else:
            assert attempt == 5, "three blobs, a manifest and the head are five writes"
            return
    raise AssertionError("it never stopped failing")


@pytest.mark.parametrize(("kv_fails_at", "objects_fail_at"), [(1, 0), (0, 1)])
async def test_a_project_that_could_not_be_made_is_not_there_and_can_be_made_again(
    objects: FaultyObjects,
    kv: MemoryKeyValueStore,
    clock: ManualClock,
    kv_fails_at: int,
    objects_fail_at: int,
) -> None:
    faulty = FaultyObjects(objects.inner, fail_at=objects_fail_at)
    broken = ProjectStore(faulty, FaultyKeyValues(kv, fail_at=kv_fails_at), clock)
    with pytest.raises(BackendError):
        await broken.create("p1", "ann", "x")
    sound = ProjectStore(objects.inner, kv, clock)
    assert await sound.list("ann") == []
    made = await sound.create("p1", "ann", "x")
    assert await sound.list("ann") == [made]


async def test_a_flipped_bit_in_a_blob_is_an_error_not_another_text(
    projects: ProjectStore, objects: FaultyObjects
) -> None:
    await projects.create("p1", "ann", "x")
    done = await commit(projects, {"a": b"text", "b": b"whole"})
    entry = done.manifest.find("a")
    assert entry is not None
    await flip_a_bit(objects.inner, f"blobs/{entry.blob}")
    with pytest.raises(BackendError, match="damaged"):
        await projects.read_blob(entry)
    other = done.manifest.find("b")
    assert other is not None
    assert await projects.read_blob(other) == b"whole"


async def test_a_flipped_bit_in_a_manifest_is_an_error_not_another_version(
    projects: ProjectStore, objects: FaultyObjects
) -> None:
    await projects.create("p1", "ann", "x")
    await commit(projects, {"a": b"1"})
    await commit(projects, {"a": b"2"})
    project = await projects.load("p1", owner="ann")
    before = (await projects.manifest(project)).parent
    await flip_a_bit(objects.inner, f"projects/p1/manifests/{before}")
    with pytest.raises(BackendError, match="damaged"):
        await projects.manifest(project, number=1)
    assert (await projects.manifest(project)).number == 2


async def test_what_is_missing_is_an_error_that_hides_its_key(
    projects: ProjectStore, objects: FaultyObjects
) -> None:
    await projects.create("p1", "ann", "x")
    entry = (await commit(projects, {"a": b"1"})).manifest.files[0]
    await objects.inner.delete(f"blobs/{entry.blob}")
    with pytest.raises(BackendError) as caught:
        await projects.read_blob(entry)
    assert entry.blob not in caught.value.public_message
    with pytest.raises(BackendError):
        await projects.open_blob(entry)


async def test_a_blob_over_the_callers_limit_is_refused_and_under_it_read(
    projects: ProjectStore,
) -> None:
    entry = await projects.put_blob("a", b"12345")
    assert await projects.read_blob(entry, limit=5) == b"12345"
    with pytest.raises(PayloadTooLargeError):
        await projects.read_blob(entry, limit=4)


async def test_a_large_blob_is_read_whole_and_streamed_whole(projects: ProjectStore) -> None:
    data = bytes(range(256)) * 16384
    entry = await projects.put_blob("a", data)
    assert await projects.read_blob(entry) == data
    opened = await projects.open_blob(entry)
    assert b"".join([chunk async for chunk in opened.body]) == data
    await opened.body.aclose()


async def test_a_deleted_project_leaves_its_neighbors_and_their_blobs(
    projects: ProjectStore, kv: MemoryKeyValueStore, objects: FaultyObjects
) -> None:
    await projects.create("p1", "ann", "x")
    await projects.create("p11", "ann", "y")
    await commit(projects, {"a": b"1"})
    entry = await projects.put_blob("a", b"1")
    await projects.commit("p11", {"a": entry}, base=Manifest.empty())
    await projects.delete("p1", owner="ann")
    assert [p.id for p in await projects.list("ann")] == ["p11"]
    assert not await projects.exists("p1")
    assert await objects_of(objects, "projects/p1/") == []
    assert await keys_of(kv, "user:ann/") == ["user:ann/project/p11"]
    assert await projects.read_blob(entry) == b"1"


async def test_a_commit_to_a_deleted_project_is_refused_and_does_not_bring_it_back(
    projects: ProjectStore,
) -> None:
    await projects.create("p1", "ann", "x")
    base = (await commit(projects, {"a": b"1"})).manifest
    entry = await projects.put_blob("a", b"2")
    deleting = projects.delete("p1", owner="ann")
    committing = projects.commit("p1", {"a": entry}, base=base)
    _, committed = await asyncio.gather(deleting, committing, return_exceptions=True)
    assert isinstance(committed, NotFoundError | Commit)
    assert not await projects.exists("p1")
    with pytest.raises(NotFoundError):
        await projects.commit("p1", {"a": entry}, base=base)


async def test_renaming_and_committing_at_once_lose_neither(projects: ProjectStore) -> None:
    await projects.create("p1", "ann", "Old")
    await asyncio.gather(
        projects.rename("p1", "New", owner="ann"),
        commit(projects, {"a": b"1"}, base=Manifest.empty()),
    )
    assert (await projects.load("p1", owner="ann")).title == "New"
    assert await contents(projects) == {"a": b"1"}

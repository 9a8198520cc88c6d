"""The store in a folder against the suite; what crashes leave; what can't be reached from it."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from openbolt.errors import BackendError, InvalidRequestError, PreconditionFailedError
from openbolt.protocols import ObjectLimits
from openbolt.testing import ObjectStoreSuite
from openbolt.testing.objects import read_object
from openbolt_local.files import FileObjectStore


class TestFileObjectStore(ObjectStoreSuite):
    @pytest.fixture
    def store(self, tmp_path: Path) -> FileObjectStore:
        return FileObjectStore(tmp_path / "root", fsync=False)

    @pytest.fixture
    def peer(self, tmp_path: Path) -> FileObjectStore:
        return FileObjectStore(tmp_path / "root")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def store(root: Path) -> FileObjectStore:
    return FileObjectStore(root)


def _files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir())


async def _waiting() -> AsyncIterator[bytes]:
    yield b"part"
    await asyncio.Event().wait()


async def test_objects_survive_a_restart(root: Path) -> None:
    await FileObjectStore(root).put("key", b"data", content_type="text/plain")
    head = await FileObjectStore(root).head("key")
    assert head is not None
    assert (head.size, head.content_type) == (4, "text/plain")


@pytest.mark.parametrize("old", [b"old", b"old" * 100_000], ids=["small", "large"])
async def test_what_a_reader_opened_stays_as_it_was(store: FileObjectStore, old: bytes) -> None:
    await store.put("replaced", old)
    await store.put("deleted", old)
    opened = [await store.open("replaced"), await store.open("deleted")]
    await store.put("replaced", b"new")
    await store.delete("deleted")
    for each in opened:
        assert each is not None
        assert b"".join([chunk async for chunk in each.body]) == old
        await each.body.aclose()


async def test_a_put_that_fails_or_is_cancelled_leaves_no_file(
    root: Path, store: FileObjectStore
) -> None:
    small = FileObjectStore(root, limits=ObjectLimits(max_object_bytes=3))
    with pytest.raises(Exception, match="3 bytes"):
        await small.put("key", b"data")
    putting = asyncio.create_task(store.put("key", _waiting()))
    await asyncio.sleep(0.05)
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert _files(root / "tmp") == []
    assert _files(root / "objects") == []


@pytest.mark.parametrize("data", [b"data", b"data" * 1_000_000], ids=["small", "large"])
async def test_a_put_that_is_cancelled_on_its_way_is_over_and_whole(
    root: Path, store: FileObjectStore, data: bytes
) -> None:
    await store.head("key")
    for turns in range(4):
        putting = asyncio.create_task(store.put(f"key{turns}", data))
        for _ in range(turns):
            await asyncio.sleep(0)
        putting.cancel()
        putting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await putting
        assert _files(root / "tmp") == []
        assert await read_object(store, f"key{turns}") in {None, data}


async def test_a_put_that_is_refused_leaves_no_file(root: Path, store: FileObjectStore) -> None:
    first = await store.put("key", b"first")
    for condition in ({"if_none_match": "*"}, {"if_match": "another"}):
        with pytest.raises(PreconditionFailedError):
            await store.put("key", b"second", **condition)
    with pytest.raises(InvalidRequestError, match="5 bytes"):
        await store.put("key", b"longer", size=5, if_match=first.etag)
    assert _files(root / "tmp") == []
    assert await read_object(store, "key") == b"first"


@pytest.mark.skipif(sys.platform == "win32", reason="folders can't be opened there")
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_put_reaches_the_disk_with_its_name_and_new_folders(
    root: Path, store: FileObjectStore, monkeypatch: pytest.MonkeyPatch, streamed: bool
) -> None:
    await store.put("old/key", b"data")
    happened: list[tuple[str, int]] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(file: int) -> None:
        fsync(file)
        happened.append(("fsync", os.fstat(file).st_ino))

    def noted_replace(source: str, path: str) -> None:
        replace(source, path)
        happened.append(("replace", os.stat(path).st_ino))

    async def parts() -> AsyncIterator[bytes]:
        yield b"da"
        yield b"ta"

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    for key, changed in (
        ("old/key", ["old"]),
        ("old/other", ["old"]),
        ("old/new/newer/key", ["old/new/newer", "old/new", "old"]),
        ("top", [""]),
    ):
        happened.clear()
        await store.put(key, parts() if streamed else b"data")
        file = (root / "objects" / f"{key}~o").stat().st_ino
        assert happened[:2] == [("fsync", file), ("replace", file)]
        folders = [("fsync", (root / "objects" / name).stat().st_ino) for name in changed]
        assert sorted(happened[2:]) == sorted(folders)


async def test_threads_end_with_their_store(tmp_path: Path) -> None:
    def threads() -> int:
        return sum(str(tmp_path) in thread.name for thread in threading.enumerate())

    store = FileObjectStore(tmp_path)
    await asyncio.gather(*(store.put(f"key{number}", b"data") for number in range(5)))
    assert threads() > 0
    del store
    gc.collect()
    async with asyncio.timeout(10):
        while threads():
            await asyncio.sleep(0.001)


async def test_temporary_files_of_a_crash_go_when_they_are_old(
    root: Path, store: FileObjectStore
) -> None:
    await store.put("key", b"data")
    for name, age in (("crashed", 3700), ("running", 10)):
        (root / "tmp" / name).write_bytes(b"part")
        os.utime(root / "tmp" / name, (time.time() - age,) * 2)
    assert await read_object(FileObjectStore(root), "key") == b"data"
    assert _files(root / "tmp") == ["running"]


async def test_empty_folders_go_with_their_last_object(root: Path, store: FileObjectStore) -> None:
    for key in ("a/b/c", "a/b", "a/d/e"):
        await store.put(key, b"")
    await store.delete("a/b/c")
    assert sorted(path.name for path in (root / "objects" / "a").iterdir()) == ["b~o", "d"]
    await store.delete("a/b")
    await store.delete("a/d/e")
    assert list((root / "objects").iterdir()) == []


async def test_folders_that_come_and_go_lose_no_put(store: FileObjectStore, root: Path) -> None:
    store = FileObjectStore(root, fsync=False)

    async def come_and_go(number: int) -> None:
        for _ in range(30):
            await store.put(f"a/b/{number}", b"data")
            assert await read_object(store, f"a/b/{number}") == b"data"
            await store.delete(f"a/b/{number}")

    await asyncio.gather(*map(come_and_go, range(4)))
    assert [info.key async for info in store.scan("")] == []


@pytest.mark.parametrize("cut", [1, 8, 40])
async def test_a_file_that_was_cut_is_damaged_and_never_read_short(
    root: Path, store: FileObjectStore, cut: int
) -> None:
    await store.put("key", b"data" * 100)
    path = root / "objects" / "key~o"
    os.truncate(path, path.stat().st_size - cut)
    for read in (store.head("key"), store.open("key")):
        with pytest.raises(BackendError, match="damaged") as caught:
            await read
        assert str(root) not in caught.value.public_message


@pytest.mark.parametrize("content", [b"", b"short", b"\xff\xff\xff\xffOBO1", b"{}\0\0\0\x02OBO1"])
async def test_a_file_that_somebody_else_wrote_is_damaged(
    root: Path, store: FileObjectStore, content: bytes
) -> None:
    await store.head("key")
    (root / "objects" / "key~o").write_bytes(content)
    with pytest.raises(BackendError, match="damaged"):
        await store.head("key")


async def test_a_content_type_may_be_long(store: FileObjectStore) -> None:
    kind = "text/plain; note=" + "x" * 2000
    await store.put("key", b"data", content_type=kind)
    head = await store.head("key")
    assert head is not None
    assert (head.size, head.content_type) == (4, kind)
    assert await read_object(store, "key") == b"data"


async def test_names_that_no_key_makes_are_passed_over(root: Path, store: FileObjectStore) -> None:
    await store.put("key", b"data")
    for name in (".DS_Store", "Upper~o", "%ZZ~o", "plain", "%ff~o", "%6bey~o", "~c", "~x"):
        (root / "objects" / name).write_bytes(b"")
    (root / "objects" / "folder~o").mkdir()
    assert [info.key async for info in store.scan("")] == ["key"]


async def test_links_are_not_followed(root: Path, store: FileObjectStore, tmp_path: Path) -> None:
    outside = FileObjectStore(tmp_path / "outside")
    await outside.put("secret", b"secret")
    await store.head("key")
    (root / "objects" / "folder").symlink_to(tmp_path / "outside" / "objects")
    (root / "objects" / "file~o").symlink_to(tmp_path / "outside" / "objects" / "secret~o")
    for call in (
        store.open("folder/secret"),
        store.head("folder/secret"),
        store.put("folder/new", b"new"),
        store.delete("folder/secret"),
        store.open("file"),
    ):
        with pytest.raises(BackendError):
            await call
    assert [info.key async for info in store.scan("")] == []
    assert _files(tmp_path / "outside" / "objects") == ["secret~o"]
    assert await read_object(outside, "secret") == b"secret"


async def test_a_link_is_replaced_rather_than_written_through(
    root: Path, store: FileObjectStore, tmp_path: Path
) -> None:
    await store.head("key")
    (tmp_path / "target").write_bytes(b"untouched")
    (root / "objects" / "key~o").symlink_to(tmp_path / "target")
    await store.put("key", b"data")
    assert await read_object(store, "key") == b"data"
    assert (tmp_path / "target").read_bytes() == b"untouched"


async def test_a_folder_that_cannot_be_made_is_a_backend_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BackendError) as caught:
        await FileObjectStore(tmp_path / "file").put("key", b"data")
    assert isinstance(caught.value.__cause__, OSError)


async def test_a_read_is_at_most_a_mebibyte(store: FileObjectStore) -> None:
    await store.put("key", bytes(2 * 1024 * 1024 + 1))
    opened = await store.open("key")
    assert opened is not None
    assert [len(chunk) async for chunk in opened.body] == [1024 * 1024, 1024 * 1024, 1]

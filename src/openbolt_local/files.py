"""Objects as files of one folder, shared by the processes of one machine.

Law: a put is whole or not at all. Bytes go to a temporary file, to disk, and take their name in one
step, under a lock that holds across processes while conditions are checked. Nothing runs on the
event loop's thread, and what is at hand as a whole makes one way to another thread and back.

On disk: ``objects/`` (names by `openbolt_local._file_keys`, contents by
`openbolt_local._file_format`), ``tmp/`` and ``locks/`` (256 locks, by hash of the key).
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from functools import partial
from hashlib import sha256
from itertools import count, islice
from pathlib import Path
from secrets import token_hex
from typing import Literal, ParamSpec, TypeVar

from attrs import frozen

from openbolt.protocols import ObjectInfo, ObjectLimits, OpenedObject
from openbolt_local._checks import encode_key, utf8
from openbolt_local._file_folders import check_way, file_lock, place, remove_empty, sync_folder
from openbolt_local._file_format import Draft, Reader, read_info, translated
from openbolt_local._file_keys import key_path
from openbolt_local._file_walk import walk
from openbolt_local._jobs import Workers
from openbolt_local._objects import check_condition, check_range, sized_bytes, sized_chunks

__all__ = ["FileObjectStore"]

P = ParamSpec("P")
T = TypeVar("T")

MIB = 1024 * 1024
_PAGE = 256
_STALE_TEMPORARY = 3600.0
_THREADS = 8


class FileObjectStore:
    """An `ObjectStore` in a folder. There is nothing to open or close.

    The first use makes the folder and removes temporary files over an hour old.

    Args:
        root: The folder, in which nobody else writes. Not on a network file system without locks.
        fsync: Each put reaches the disk before it returns. Without, a crash of the machine (not
            one of the process) may lose or damage what was put last.
    """

    def __init__(
        self, root: str | Path, /, *, fsync: bool = True, limits: ObjectLimits | None = None
    ) -> None:
        self._root = os.path.abspath(root)
        self._objects = os.path.join(self._root, "objects")
        self._fsync = fsync
        self._limits = limits or ObjectLimits()
        self._prepared = False
        self._token = token_hex(16)  # no other store of the folder has it, but those of a fork
        self._drafts = count()
        self._workers = Workers(f"{self._root} files", _THREADS)

    @property
    def limits(self) -> ObjectLimits:
        """Conditional puts and streams of unknown length work."""
        return self._limits

    async def open(
        self, key: str, /, *, start: int = 0, length: int | None = None
    ) -> OpenedObject | None:
        """Read from byte ``start``, at most ``length`` bytes; later puts don't change it."""
        check_range(start, length)
        names = self._names(key)
        reader = Reader(self._path(names))
        try:
            info = await self._in_thread(self._open, reader, names, key)
        except BaseException:
            reader.close()
            raise
        if info is None:
            return None
        rest = max(info.size - start, 0)
        length = rest if length is None else min(length, rest)
        if reader.content is not None:
            return OpenedObject(info, _BytesBody(reader.content[start : start + length]))
        return OpenedObject(info, _FileBody(self._workers, reader, start, length))

    async def put(
        self,
        key: str,
        data: bytes | AsyncIterable[bytes],
        /,
        *,
        size: int | None = None,
        content_type: str = "application/octet-stream",
        if_match: str | None = None,
        if_none_match: Literal["*"] | None = None,
    ) -> ObjectInfo:
        """Write whole or not at all."""
        target = _Target(key, self._names(key), content_type, if_match, if_none_match)
        if isinstance(data, (bytes, bytearray, memoryview)):
            return await self._in_thread(self._put, bytes(data), size, target)
        await self._in_thread(self._begin, target)
        draft = self._draft()
        try:
            block = bytearray()
            async for chunk in sized_chunks(data, size, self._limits.max_object_bytes):
                block += chunk
                if len(block) >= MIB:
                    await self._in_thread(self._write, draft, bytes(block))
                    block.clear()
            return await self._in_thread(self._end, draft, bytes(block), target)
        finally:
            if not draft.placed:
                await self._workers.submit(draft.discard).outcome()

    async def head(self, key: str, /) -> ObjectInfo | None:
        """What is known of the object."""
        return await self._in_thread(self._head, self._names(key), key)

    async def delete(self, key: str, /) -> None:
        """Remove, with the folders that are empty then."""
        await self._in_thread(self._delete, self._names(key))

    async def scan(
        self, prefix: str, /, *, after: str | None = None, limit: int | None = None
    ) -> AsyncIterator[ObjectInfo]:
        """Objects by prefix, in order of their keys' bytes; folders are read as it goes on."""
        found = islice(self._infos(utf8(prefix, "prefix"), utf8(after or "", "after")), limit)
        while page := await self._in_thread(_page, found):
            for info in page:
                yield info

    async def _in_thread(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run in a thread, and when cancelled wait for it: what it works with is closed next."""
        return await self._workers.submit(partial(self._run, work, *args, **kwargs)).outcome()

    def _names(self, key: str) -> tuple[str, ...]:
        return key_path(encode_key(key, self._limits.max_key_bytes))

    def _path(self, names: tuple[str, ...]) -> str:
        return os.path.join(self._objects, *names)

    def _draft(self) -> Draft:
        name = f"{self._token}-{os.getpid()}-{next(self._drafts)}"
        return Draft(os.path.join(self._root, "tmp", name))

    # Everything below blocks, and runs in a thread.

    def _run(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if not self._prepared:
            self._prepare()
            self._prepared = True
        return work(*args, **kwargs)

    def _prepare(self) -> None:
        with translated("prepare", self._root):
            temporary = os.path.join(self._root, "tmp")
            for folder in (self._objects, temporary, os.path.join(self._root, "locks")):
                os.makedirs(folder, exist_ok=True)
            before = time.time() - _STALE_TEMPORARY
            for entry in os.scandir(temporary):
                with contextlib.suppress(FileNotFoundError):
                    if entry.stat(follow_symlinks=False).st_mtime < before:
                        os.unlink(entry.path)

    def _open(self, reader: Reader, names: tuple[str, ...], key: str) -> ObjectInfo | None:
        check_way(self._objects, names)
        with translated("open", reader.path):
            return reader.open(key)

    def _head(self, names: tuple[str, ...], key: str) -> ObjectInfo | None:
        check_way(self._objects, names)
        return self._info(self._path(names), key)

    def _info(self, path: str, key: str) -> ObjectInfo | None:
        with translated("open", path):
            return read_info(path, key)

    def _check(self, target: _Target) -> None:
        """Before anything is written, and again under the lock."""
        if target.if_match is not None or target.if_none_match is not None:
            info = self._info(self._path(target.names), target.key)
            check_condition(info.etag if info else None, target.if_match, target.if_none_match)

    def _begin(self, target: _Target) -> bool:
        """Whether its folders are there; raises if it can't be put."""
        is_way = check_way(self._objects, target.names)
        if is_way or target.if_match is not None:
            self._check(target)
        return is_way

    def _put(self, data: bytes, size: int | None, target: _Target) -> ObjectInfo:
        is_way = self._begin(target)
        draft = self._draft()
        try:
            rest = sized_bytes(data, size, self._limits.max_object_bytes)
            return self._commit(draft, rest, target, is_way=is_way)
        finally:
            if not draft.placed:
                draft.discard()

    def _write(self, draft: Draft, data: bytes) -> None:
        with translated("write", draft.path):
            draft.write(data)

    def _end(self, draft: Draft, rest: bytes, target: _Target) -> ObjectInfo:
        is_way = check_way(self._objects, target.names)  # again: the stream may have taken its time
        return self._commit(draft, rest, target, is_way=is_way)

    def _commit(self, draft: Draft, rest: bytes, target: _Target, *, is_way: bool) -> ObjectInfo:
        path = self._path(target.names)
        with translated("write", path):
            modified = draft.seal(rest, target.content_type, fsync=self._fsync)
            with file_lock(self._lock(target.names)):
                self._check(target)
                place(draft.path, path, is_way=is_way, fsync=self._fsync)
                draft.placed = True
        return ObjectInfo(target.key, draft.size, draft.etag, modified, target.content_type)

    def _delete(self, names: tuple[str, ...]) -> None:
        check_way(self._objects, names)
        path = self._path(names)
        folder = os.path.dirname(path)
        with translated("delete", path), file_lock(self._lock(names)):
            try:
                os.unlink(path)
            except FileNotFoundError:
                return
            if self._fsync:
                sync_folder(folder)
            remove_empty(folder, self._objects)

    def _infos(self, prefix: bytes, after: bytes) -> Iterator[ObjectInfo]:
        for key in walk(self._objects, prefix, after):
            info = self._head(key_path(key), key.decode("utf-8"))
            if info is not None:  # else it was deleted while we walked
                yield info

    def _lock(self, names: tuple[str, ...]) -> str:
        stripe = sha256("/".join(names).encode()).digest()[0]
        return os.path.join(self._root, "locks", f"{stripe:02x}")


@frozen
class _Target:
    """What a put is to become, and when it may."""

    key: str
    names: tuple[str, ...]
    content_type: str
    if_match: str | None
    if_none_match: Literal["*"] | None


class _BytesBody:
    """An object that is in memory, in one chunk."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        data, self._data = self._data, b""
        if not data:
            raise StopAsyncIteration
        return data

    async def aclose(self) -> None:
        self._data = b""


class _FileBody:
    """Part of an object, 1 MiB at a time."""

    def __init__(self, workers: Workers, reader: Reader, start: int, length: int) -> None:
        self._workers = workers
        self._reader = reader
        self._at = start
        self._end = start + length

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._at >= self._end:
            await self.aclose()
            raise StopAsyncIteration
        chunk = await self._workers.submit(self._read).outcome()
        self._at += len(chunk)
        return chunk

    async def aclose(self) -> None:
        self._at = self._end
        self._reader.close()

    def _read(self) -> bytes:
        with translated("read", self._reader.path):
            return self._reader.read(self._at, self._end - self._at)


def _page(found: Iterator[ObjectInfo]) -> list[ObjectInfo]:
    return list(islice(found, _PAGE))

"""Projects as content-addressed files with versions.

Law: blobs (``blobs/<sha256>``) and manifests (named by their own hash, with number and parent
inside) are written once and never changed; the head is the only mutable object and moves by
compare-and-set. So a failed commit leaves the old version whole, and every version stays readable.
Two writers are rebased path by path; a path that both changed is a named conflict, whose other
text stays in the version before.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from attrs import evolve, field, frozen

from openbolt.access import Action, Asker, Resource, acting_as, can, no_such, require
from openbolt.errors import (
    BackendError,
    ConflictError,
    NotFoundError,
    PayloadTooLargeError,
    PreconditionFailedError,
)
from openbolt.heads import Head, HeadStore, ObjectHeads, move_head
from openbolt.jsons import json_bytes, parse_json
from openbolt.protocols import Clock, KeyValueStore, ObjectStore, OpenedObject

__all__ = ["Commit", "FileEntry", "Manifest", "Project", "ProjectStore"]

_COMMIT_ATTEMPTS = 16


@frozen(order=True)
class FileEntry:
    """A file of a version: its path, the SHA-256 of its bytes, and how many they are."""

    path: str
    blob: str
    size: int


@frozen
class Manifest:
    """One version of a project.

    Attributes:
        number: 1 for the first version; 0 for a project without any.
        parent: Hash of the manifest before it.
        note: Where it came from, for people: the title of the artifact, say.
    """

    number: int
    parent: str | None
    created_at: float
    note: str
    files: tuple[FileEntry, ...]

    @classmethod
    def empty(cls) -> Manifest:
        """The version of a project that has none yet."""
        return cls(0, None, 0.0, "", ())

    def find(self, path: str, /) -> FileEntry | None:
        """The entry of a path."""
        return next((entry for entry in self.files if entry.path == path), None)

    def to_bytes(self) -> bytes:
        """Canonical JSON: what the manifest's hash is made of."""
        data = {
            "number": self.number,
            "parent": self.parent,
            "createdAt": self.created_at,
            "note": self.note,
            "files": [[f.path, f.blob, f.size] for f in self.files],
        }
        return _dump(data)

    @classmethod
    def from_bytes(cls, raw: bytes) -> Manifest:
        """The manifest that `to_bytes` wrote."""
        data = parse_json(raw)
        files = tuple(FileEntry(*row) for row in data["files"])
        return cls(data["number"], data["parent"], data["createdAt"], data["note"], files)


@frozen
class Project:
    """A project's head. Times in seconds since the epoch.

    Attributes:
        manifest_id: Hash of the current manifest; None before the first version.
        number: The current version's number, 0 before the first.
        head: What it was read from, or written as; not a part of it.
    """

    id: str
    owner: str
    title: str
    created_at: float
    updated_at: float
    manifest_id: str | None = None
    number: int = 0
    head: Head | None = field(default=None, eq=False, repr=False)

    @property
    def resource(self) -> Resource:
        """What `can` is asked about."""
        return Resource("project", self.owner, self.id)

    def to_bytes(self) -> bytes:
        """As the head object holds it."""
        return _dump(
            {
                "id": self.id,
                "owner": self.owner,
                "title": self.title,
                "createdAt": self.created_at,
                "updatedAt": self.updated_at,
                "manifest": self.manifest_id,
                "number": self.number,
            }
        )

    @classmethod
    def from_bytes(cls, raw: bytes, head: Head | None = None) -> Project:
        """The head that `to_bytes` wrote."""
        d = parse_json(raw)
        return cls(
            d["id"], d["owner"], d["title"], d["createdAt"], d["updatedAt"], d["manifest"],
            d["number"], head,
        )  # fmt: skip


@frozen
class Commit:
    """What a commit did.

    Attributes:
        conflicts: Paths that somebody else had changed too since ``base``; ours is current, the
            other text is in the version before.
    """

    project: Project
    manifest: Manifest
    conflicts: tuple[str, ...] = ()


@frozen
class ProjectStore:
    """Projects over an object store; a key-value store lists them by owner."""

    objects: ObjectStore
    kv: KeyValueStore
    clock: Clock

    @property
    def _heads(self) -> HeadStore:
        return ObjectHeads(self.objects)

    async def create(self, project_id: str, owner: str, title: str, /) -> Project:
        """Begin a project.

        Raises:
            ConflictError: The id is taken.
        """
        now = self.clock.now()
        project = Project(project_id, owner, title, now, now)
        await self.kv.set(_owner_key(owner, project_id), b"")
        head = await self._heads.swap(_head_key(project_id), project.to_bytes(), seen=None)
        if head is None:
            taken = await self._heads.load(_head_key(project_id))
            if taken is not None and Project.from_bytes(taken.data).owner != owner:
                await self.kv.delete(_owner_key(owner, project_id))
            raise ConflictError("There is a project with this id.")
        return evolve(project, head=head)

    async def load(self, project_id: str, /, *, owner: Asker, to: Action = "read") -> Project:
        """A project of whoever asks, if they may do this with it.

        Raises:
            NotFoundError: There is none, or it is somebody else's.
            ForbiddenError: Their key lacks a scope.
        """
        head = await self._heads.load(_head_key(project_id))
        if head is None:
            raise no_such("project")
        project = Project.from_bytes(head.data, head)
        require(owner, to, project.resource)
        return project

    async def exists(self, project_id: str, /) -> bool:
        """Whether the id is taken, by anybody."""
        return await self.objects.head(_head_key(project_id)) is not None

    async def list(self, owner: Asker, /) -> Sequence[Project]:
        """The projects of whoever asks that they may read, the latest change first."""
        asker = acting_as(owner)
        prefix = _owner_key(asker.user_id, "")
        ids = [key.removeprefix(prefix) async for key in self.kv.scan(prefix)]
        heads = await asyncio.gather(*(self._heads.load(_head_key(i)) for i in ids))
        found = [Project.from_bytes(head.data) for head in heads if head]
        mine = (project for project in found if can(asker, "read", project.resource))
        return sorted(mine, key=lambda p: (-p.updated_at, p.id))

    async def rename(self, project_id: str, title: str, /, *, owner: Asker) -> Project:
        """Give a project another title."""
        await self.load(project_id, owner=owner, to="write")

        def change(raw: bytes | None) -> bytes | None:
            if raw is None:
                raise no_such("project")
            return evolve(Project.from_bytes(raw), title=title).to_bytes()

        raw = await move_head(self._heads, _head_key(project_id), change)
        assert raw is not None
        return Project.from_bytes(raw)

    async def delete(self, project_id: str, /, *, owner: Asker) -> None:
        """Remove a project with its versions; blobs stay until they are collected."""
        project = await self.load(project_id, owner=owner, to="delete")
        await self._heads.discard(_head_key(project_id))
        async for info in self.objects.scan(f"projects/{project_id}/"):
            await self.objects.delete(info.key)
        await self.kv.delete(_owner_key(project.owner, project_id))

    async def manifest(self, project: Project, /, *, number: int | None = None) -> Manifest:
        """A version's manifest: the current one, or the one with this number."""
        manifest = await self._manifest(project.id, project.manifest_id)
        while number is not None and manifest.number > number:
            manifest = await self._manifest(project.id, manifest.parent)
        if number is not None and manifest.number != number:
            raise NotFoundError("There is no such version.")
        return manifest

    async def versions(self, project: Project, /) -> AsyncIterator[Manifest]:
        """Every version, the current one first."""
        at = project.manifest_id
        while at is not None:
            manifest = await self._manifest(project.id, at)
            yield manifest
            at = manifest.parent

    async def _manifest(self, project_id: str, manifest_id: str | None) -> Manifest:
        if manifest_id is None:
            return Manifest.empty()
        try:
            raw = await self._read(f"projects/{project_id}/manifests/{manifest_id}")
        except BackendError:
            if not await self.exists(project_id):
                raise no_such("project") from None  # deleted meanwhile
            raise
        if hashlib.sha256(raw).hexdigest() != manifest_id:
            raise BackendError("A stored version is damaged.", detail=f"manifest {manifest_id}")
        return Manifest.from_bytes(raw)

    async def put_blob(self, path: str, data: bytes, /) -> FileEntry:
        """Store bytes under their hash; a second time costs no write."""
        digest = hashlib.sha256(data).hexdigest()
        with suppress(PreconditionFailedError):
            await self.objects.put(_blob_key(digest), data, if_none_match="*")
        return FileEntry(path, digest, len(data))

    async def open_blob(self, entry: FileEntry, /) -> OpenedObject:
        """A file's bytes, streamed; the caller closes the body."""
        opened = await self.objects.open(_blob_key(entry.blob))
        if opened is None:
            raise BackendError("A stored file is missing.", detail=f"blob {entry.blob}")
        return opened

    async def read_blob(self, entry: FileEntry, /, *, limit: int | None = None) -> bytes:
        """A file's bytes, checked against their hash.

        Args:
            limit: Bytes; a larger file is a `PayloadTooLargeError`.
        """
        if limit is not None and entry.size > limit:
            raise PayloadTooLargeError(f"{entry.path} is over {limit} bytes.")
        data = await self._read(_blob_key(entry.blob))
        if hashlib.sha256(data).hexdigest() != entry.blob:
            raise BackendError("A stored file is damaged.", detail=f"blob {entry.blob}")
        return data

    async def _read(self, key: str) -> bytes:
        opened = await self.objects.open(key)
        if opened is None:
            raise BackendError("Something stored is missing.", detail=key)
        try:
            return b"".join([chunk async for chunk in opened.body])
        finally:
            await opened.body.aclose()

    async def commit(
        self,
        project_id: str,
        changes: Mapping[str, FileEntry | None],
        /,
        *,
        base: Manifest,
        note: str = "",
        title: str | None = None,
        seen: Project | None = None,
    ) -> Commit:
        """Make a version in which these paths are replaced (None: removed).

        Args:
            base: What the changes were made against; if the head has moved on, they are rebased.
            title: A new title for the project.
            seen: What the caller has just read or made, which saves the first read.

        Raises:
            NotFoundError: The project was deleted meanwhile.
            ConflictError: Others were quicker 16 times in a row.
        """
        name = _head_key(project_id)
        for attempt in range(_COMMIT_ATTEMPTS):
            if attempt or seen is None or seen.head is None:
                head = await self._heads.load(name)
                if head is None:
                    raise no_such("project")
                project = Project.from_bytes(head.data, head)
            else:
                head, project = seen.head, seen
            current = await self._manifest(project_id, project.manifest_id)
            if _unchanged(current, changes) and title in (None, project.title):
                return Commit(project, current)
            conflicts = _conflicts(base, current, changes)
            manifest = self._next(current, changes, note, project.manifest_id)
            raw = manifest.to_bytes()
            manifest_id = hashlib.sha256(raw).hexdigest()
            await self.objects.put(f"projects/{project_id}/manifests/{manifest_id}", raw)
            moved = evolve(
                project,
                title=title or project.title,
                updated_at=self.clock.now(),
                manifest_id=manifest_id,
                number=manifest.number,
            )
            if await self._heads.swap(name, moved.to_bytes(), seen=head):
                return Commit(moved, manifest, conflicts)
        raise ConflictError("Too many writers at once; try again.", detail=name)

    def _next(
        self,
        current: Manifest,
        changes: Mapping[str, FileEntry | None],
        note: str,
        parent: str | None,
    ) -> Manifest:
        files = {entry.path: entry for entry in current.files}
        for path, entry in changes.items():
            if entry is None:
                files.pop(path, None)
            else:
                files[path] = entry
        ordered = tuple(sorted(files.values()))
        return Manifest(current.number + 1, parent, self.clock.now(), note, ordered)


def _unchanged(current: Manifest, changes: Mapping[str, FileEntry | None]) -> bool:
    files = {entry.path: entry for entry in current.files}
    return all(files.get(path) == entry for path, entry in changes.items())


def _conflicts(
    base: Manifest, current: Manifest, changes: Mapping[str, FileEntry | None]
) -> tuple[str, ...]:
    if base == current:
        return ()
    old = {entry.path: entry for entry in base.files}
    new = {entry.path: entry for entry in current.files}
    return tuple(
        path
        for path, entry in changes.items()
        if new.get(path) != old.get(path) and new.get(path) != entry
    )


def _head_key(project_id: str) -> str:
    return f"projects/{project_id}/head"


def _blob_key(digest: str) -> str:
    return f"blobs/{digest}"


def _owner_key(owner: str, project_id: str) -> str:
    return f"user:{owner}/project/{project_id}"


def _dump(data: Mapping[str, Any]) -> bytes:
    return json_bytes(data, errors="surrogatepass", sort_keys=True)

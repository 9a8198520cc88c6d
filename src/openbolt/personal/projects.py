"""A user's projects, exported and erased.

Law: erased are all versions, and every blob that no other project names; the blobs go first, since
without the versions nobody would know of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from attrs import frozen

from openbolt.archives import ExportedFile
from openbolt.bodies import iso_time
from openbolt.errors import BackendError
from openbolt.personal.data import delete_below, names_below, pretty_json, without_end
from openbolt.projects.blobs import blobs_of, drop_stale
from openbolt.projects.journal import JournalStore
from openbolt.projects.store import Manifest, Project, ProjectStore
from openbolt.protocols import KeyValueStore

__all__ = ["ProjectData"]


@frozen
class ProjectData:
    """Projects with every version, preview links and what a crash left behind."""

    projects: ProjectStore
    kv: KeyValueStore
    journals: JournalStore

    @property
    def name(self) -> str:
        return "projects"

    async def export(self, user_id: str, /) -> AsyncIterator[ExportedFile]:
        """The current files of each project, and a list of its versions."""
        for known in await self.projects.list(user_id):
            project = await self.projects.load(known.id, owner=user_id)
            root, at = f"projects/{project.id}", project.updated_at
            yield ExportedFile(f"{root}/project.json", self._described(project), at)
            try:
                manifest = await self.projects.manifest(project)
            except BackendError as exc:
                yield ExportedFile(f"{root}/files", missing=exc.public_message)
                continue
            for entry in manifest.files:
                path = f"{root}/files/{entry.path}"
                try:
                    yield ExportedFile(path, await self.projects.read_blob(entry), at)
                except BackendError as exc:
                    yield ExportedFile(path, missing=exc.public_message)

    async def erase(self, user_id: str, /) -> int:
        """Delete every project, and every blob that no other user's project names."""
        prefix = f"user:{user_id}/project/"
        listed = await names_below(self.kv, prefix)
        own = {project.id for project in await self.projects.list(user_id)}
        gone = {i for i in listed if i not in own and await self._is_gone(i, user_id)}
        await self.remove(own | gone)
        for project_id in listed:  # also what is another user's: two created it at the same time
            await self.kv.delete(prefix + project_id)
        return len(own)

    async def remove(self, ids: set[str], /) -> None:
        """Delete projects, whoever owns them; the owner's list of them is the caller's to change.

        Blobs go first: without the versions nobody would know of them.
        """
        objects = self.projects.objects
        blobs: set[str] = set()
        for project_id in ids:
            blobs |= await blobs_of(objects, self.kv, project_id)
        await drop_stale(objects, self.kv, blobs, besides=ids)
        for project_id in sorted(ids):
            token = await self.kv.get(f"project:{project_id}/preview")
            if token is not None:
                await self.kv.delete(f"preview:{token.decode()}")
            await delete_below(self.kv, f"project:{project_id}/")
            # The head first, so that nobody commits to what is half gone.
            await objects.delete(f"projects/{project_id}/head")
            for key in [info.key async for info in objects.scan(f"projects/{project_id}/")]:
                await objects.delete(key)

    async def _is_gone(self, project_id: str, user_id: str) -> bool:
        """Whether what is left under an id is what this user's deleted project has left."""
        if await self.projects.exists(project_id):
            return False
        return all(head.owner == user_id for head in await self.journals.list(project_id))

    async def _described(self, project: Project) -> AsyncIterator[bytes]:
        head = {
            "id": project.id,
            "title": project.title,
            "createdAt": iso_time(project.created_at),
            "updatedAt": iso_time(project.updated_at),
            "version": project.number,
        }
        yield without_end(head) + b',\n  "versions": ['
        separator = b"\n"
        try:
            async for manifest in self.projects.versions(project):
                yield separator + pretty_json(_version(manifest)).rstrip(b"\n")
                separator = b",\n"
        except BackendError as exc:
            yield separator + pretty_json({"unreadable": exc.public_message}).rstrip(b"\n")
        yield b"\n  ]\n}\n"


def _version(manifest: Manifest) -> dict[str, Any]:
    return {
        "number": manifest.number,
        "createdAt": iso_time(manifest.created_at),
        "note": manifest.note,
        "files": [{"path": f.path, "size": f.size, "hash": f.blob} for f in manifest.files],
    }

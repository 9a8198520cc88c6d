"""Projects over HTTP: list, read, delete, files, versions, zip.

Law: a stored file is only ever sent as data (text or bytes, never a page); pages are previews.
"""

from __future__ import annotations

from typing import Any

from attrs import frozen

from openbolt.access import principal_of
from openbolt.bodies import iso_time, json_response
from openbolt.errors import InvalidRequestError, LockedError, NotFoundError
from openbolt.http import Headers, Request, Response, StreamBody
from openbolt.projects.blobs import note_stale
from openbolt.projects.bundle import zip_version
from openbolt.projects.journal import JournalStore
from openbolt.projects.paths import normalize_path
from openbolt.projects.store import Manifest, Project, ProjectStore
from openbolt.protocols import KeyValueStore
from openbolt.settings import Settings
from openbolt.titled import list_page, rename

__all__ = [
    "DeleteProject",
    "ExportProject",
    "ListProjects",
    "ListVersions",
    "ReadFile",
    "ReadProject",
    "RenameProject",
    "project_body",
]


@frozen
class ListProjects:
    """``GET /api/projects``."""

    projects: ProjectStore
    settings: Settings

    async def __call__(self, request: Request, /) -> Response:
        """The caller's projects, the latest change first; ``next`` goes on with ``?cursor=``."""
        size = self.settings.page_size
        return await list_page(request, self.projects, _row, name="projects", size=size)


@frozen
class ReadProject:
    """``GET /api/projects/{id}``."""

    projects: ProjectStore

    async def __call__(self, request: Request, /) -> Response:
        """The project with the files of its current version, or of ``?version=``."""
        return json_response(project_body(*await _version(self.projects, request)))


@frozen
class RenameProject:
    """``PATCH /api/projects/{id}``."""

    projects: ProjectStore
    settings: Settings

    async def __call__(self, request: Request, /) -> Response:
        """Give it another title."""
        return await rename(request, self.projects, _row, limit=self.settings.max_body_bytes)


@frozen
class DeleteProject:
    """``DELETE /api/projects/{id}``."""

    projects: ProjectStore
    kv: KeyValueStore
    journals: JournalStore

    async def __call__(self, request: Request, /) -> Response:
        """Remove it with its versions and its preview link; not while a reply is written to it."""
        owner = principal_of(request)
        project = await self.projects.load(request.path_params["id"], owner=owner, to="delete")
        if await self.journals.list(project.id):
            raise LockedError("A reply is being written to this project; wait for it or stop it.")
        # What its versions name is collected later, and by then nothing would tell.
        await note_stale(self.projects.objects, self.kv, project.id)
        # The project goes last: a failure before leaves something that can be deleted again.
        token = await self.kv.get(f"project:{project.id}/preview")
        if token is not None:
            await self.kv.delete(f"preview:{token.decode()}")
        for leftover in [name async for name in self.kv.scan(f"project:{project.id}/")]:
            await self.kv.delete(leftover)
        await self.projects.delete(project.id, owner=owner)
        return Response(204)


@frozen
class ReadFile:
    """``GET /api/projects/{id}/files/{path}``."""

    projects: ProjectStore

    async def __call__(self, request: Request, /) -> Response:
        """The file's bytes, as text if they are UTF-8; ``ETag`` is their SHA-256."""
        _, manifest = await _version(self.projects, request)
        entry = manifest.find(normalize_path(request.path_params["path"]))
        if entry is None:
            raise NotFoundError("There is no such file in this version.")
        tag = f'"{entry.blob}"'
        headers = Headers.of({"etag": tag, "cache-control": "private, no-cache"})
        if {tag, f"W/{tag}", "*"}.intersection(_listed(request, "if-none-match")):
            return Response(304, headers)
        data = await self.projects.read_blob(entry)
        return Response(200, headers.with_({"content-type": _kind(data)}), data)


@frozen
class ListVersions:
    """``GET /api/projects/{id}/versions``."""

    projects: ProjectStore
    settings: Settings

    async def __call__(self, request: Request, /) -> Response:
        """Every version, the current one first; ``next`` goes on with ``?cursor=``."""
        project = await self.projects.load(request.path_params["id"], owner=principal_of(request))
        below = _number(request, "cursor")
        rows: list[dict[str, Any]] = []
        cursor: str | None = None
        async for manifest in self.projects.versions(project):
            if below is not None and manifest.number >= below:
                continue
            if len(rows) == self.settings.page_size:
                cursor = str(rows[-1]["number"])
                break
            rows.append(
                {
                    "number": manifest.number,
                    "createdAt": iso_time(manifest.created_at),
                    "note": manifest.note,
                    "files": len(manifest.files),
                }
            )
        return json_response({"versions": rows, "next": cursor})


@frozen
class ExportProject:
    """``GET /api/projects/{id}/export``."""

    projects: ProjectStore

    async def __call__(self, request: Request, /) -> Response:
        """A zip archive of a version."""
        project, manifest = await _version(self.projects, request)
        headers = Headers.of(
            {
                "content-type": "application/zip",
                "content-disposition": f'attachment; filename="{_file_name(project.title)}.zip"',
                "cache-control": "no-store",
            }
        )
        return Response(200, headers, StreamBody(zip_version(self.projects, manifest)))


def project_body(project: Project, manifest: Manifest, /) -> dict[str, Any]:
    """A project with the files of one version, as JSON."""
    files = [{"path": f.path, "size": f.size, "hash": f.blob} for f in manifest.files]
    return {**_row(project), "version": manifest.number, "files": files}


async def _version(projects: ProjectStore, request: Request) -> tuple[Project, Manifest]:
    project = await projects.load(request.path_params["id"], owner=principal_of(request))
    return project, await projects.manifest(project, number=_number(request, "version"))


def _number(request: Request, name: str) -> int | None:
    text = request.query_param(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise InvalidRequestError(f"{name}: must be a whole number", field=name)
    return int(text)


def _listed(request: Request, name: str) -> list[str]:
    """The members of a comma-separated field, however many lines it takes."""
    lines = ",".join(request.headers.get_all(name))
    return [part.strip() for part in lines.split(",")]


def _row(project: Project) -> dict[str, Any]:
    return {
        "id": project.id,
        "title": project.title,
        "createdAt": iso_time(project.created_at),
        "updatedAt": iso_time(project.updated_at),
        "version": project.number,
    }


def _kind(data: bytes) -> str:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return "application/octet-stream"
    return "application/octet-stream" if b"\0" in data else "text/plain; charset=utf-8"


def _file_name(title: str) -> str:
    kept = (c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in title.lower())
    return "-".join(part for part in "".join(kept).split("-") if part)[:60] or "project"

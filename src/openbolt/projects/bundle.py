"""A version as a zip archive, streamed file by file.

Law: the same version gives the same bytes, and memory holds one file at a time.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

from openbolt.archives import ExportedFile, zip_files
from openbolt.projects.store import Manifest, ProjectStore

__all__ = ["zip_version"]


def zip_version(projects: ProjectStore, manifest: Manifest, /) -> AsyncGenerator[bytes]:
    """Chunks of a zip archive with every file of a version."""
    return zip_files(_files(projects, manifest), mode=0o644)


async def _files(projects: ProjectStore, manifest: Manifest) -> AsyncIterator[ExportedFile]:
    for entry in manifest.files:
        yield ExportedFile(entry.path, await projects.read_blob(entry), manifest.created_at)

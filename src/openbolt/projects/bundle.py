"""A version as a zip archive, streamed file by file.

Law: the same version gives the same bytes, and memory holds one file at a time.
"""

from __future__ import annotations

import stat
import time
import zipfile
from collections.abc import AsyncIterator

from openbolt.projects.store import Manifest, ProjectStore

__all__ = ["zip_version"]


class _Sink:
    """Collects what `zipfile` writes; not seekable, so it writes sizes after the data."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def take(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data


async def zip_version(projects: ProjectStore, manifest: Manifest, /) -> AsyncIterator[bytes]:
    """Chunks of a zip archive with every file of a version."""
    sink = _Sink()
    stamp = max(time.gmtime(manifest.created_at)[:6], (1980, 1, 1, 0, 0, 0))
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry in manifest.files:
            info = zipfile.ZipInfo(entry.path, stamp)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3  # Unix, wherever this runs: the attributes are a mode
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(info, await projects.read_blob(entry))
            yield sink.take()
    yield sink.take()

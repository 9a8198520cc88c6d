"""Files of any kind as one zip archive, streamed.

Law: memory holds a chunk of one file, whatever the archive holds; and what can't be read is named
in the archive instead of being left out in silence.
"""

from __future__ import annotations

import stat
import time
import zipfile
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator

from attrs import field, frozen

__all__ = ["ExportedFile", "zip_files"]


@frozen
class ExportedFile:
    """A file on its way into an archive.

    Attributes:
        path: With slashes; nothing else in the archive has it.
        data: Whole, or in chunks.
        modified: Seconds since the epoch.
        missing: Why it can't be read; then there is no data, and this is listed.
    """

    path: str
    data: bytes | AsyncIterable[bytes] = field(default=b"", repr=False)
    modified: float = 0.0
    missing: str = ""


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


async def zip_files(
    files: AsyncIterator[ExportedFile], /, *, mode: int = 0o600
) -> AsyncGenerator[bytes]:
    """Chunks of a zip archive; ``MISSING.txt`` at its end lists what couldn't be read, if any.

    Args:
        mode: Permissions of the unpacked files; by default their owner's alone.
    """
    sink = _Sink()
    missing: list[str] = []
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        async for file in files:
            if file.missing:
                missing.append(f"{file.path}: {file.missing}\n")
                continue
            info = _info(file, mode)
            if isinstance(file.data, bytes):
                archive.writestr(info, file.data)
            else:
                with archive.open(info, "w", force_zip64=True) as writer:
                    async for chunk in file.data:
                        writer.write(chunk)
                        if data := sink.take():
                            yield data
            if data := sink.take():
                yield data
        if missing:
            text = "What follows is stored but can't be read any more:\n\n" + "".join(missing)
            archive.writestr(_info(ExportedFile("MISSING.txt"), mode), text.encode())
    yield sink.take()


def _info(file: ExportedFile, mode: int) -> zipfile.ZipInfo:
    stamp = max(time.gmtime(file.modified)[:6], (1980, 1, 1, 0, 0, 0))
    info = zipfile.ZipInfo(file.path, stamp)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.create_system = 3  # Unix, wherever this runs: the attributes are a mode
    info.external_attr = (stat.S_IFREG | mode) << 16
    return info

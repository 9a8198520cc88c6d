"""An object's file: its bytes, then a footer that says what they are. All of it blocks.

Law: a file without a whole footer isn't an object: it is said to be damaged, never read short.

The footer is JSON with ``etag`` (SHA-256 of the bytes) and ``type``, the JSON's length (4 bytes,
big-endian) and ``OBO1``. At the end, because a stream's hash is known last; in the same file,
because two files don't change in one step.
"""

from __future__ import annotations

import contextlib
import os
import stat
from hashlib import sha256
from io import FileIO
from types import TracebackType

from openbolt.errors import BackendError
from openbolt.jsons import json_bytes, parse_json
from openbolt.protocols import ObjectInfo

__all__ = ["Draft", "Reader", "read_info", "translated"]

MIB = 1024 * 1024
_MAGIC = b"OBO1"
_TAIL_BYTES = 4 + len(_MAGIC)
_FOOTER_GUESS = 512
_SMALL = 64 * 1024
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)


class Draft:
    """A temporary file on its way to a name."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.size = 0
        self.placed = False
        self._hash = sha256()
        self._file: int | None = None

    @property
    def etag(self) -> str:
        """The hash of what was written so far."""
        return self._hash.hexdigest()

    def write(self, data: bytes) -> None:
        """Add to the object."""
        self._hash.update(data)
        self.size += len(data)
        self._write(data)

    def seal(self, rest: bytes, content_type: str, *, fsync: bool) -> float:
        """Write the rest and the footer, bring all to disk, close, and say when it was modified."""
        if len(rest) > MIB:
            self.write(rest)
            rest = b""
        self._hash.update(rest)
        self.size += len(rest)
        footer = json_bytes({"etag": self.etag, "type": content_type})
        file = self._write(rest + footer + len(footer).to_bytes(4, "big") + _MAGIC)
        if fsync:
            os.fsync(file)
        modified = os.fstat(file).st_mtime
        self._close()
        return modified

    def discard(self) -> None:
        """Remove what didn't become an object."""
        self._close()
        with contextlib.suppress(OSError):
            os.unlink(self.path)

    def _write(self, data: bytes) -> int:
        if self._file is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY
            self._file = os.open(self.path, flags, 0o666)
        written = os.write(self._file, data)
        while written < len(data):
            written += os.write(self._file, memoryview(data)[written:])
        return self._file

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


class Reader:
    """An object's file, which stays what it was while others put and delete.

    Attributes:
        content: The bytes of a small object, for which nothing stays open.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._file: FileIO | None = None
        self.content: bytes | None = None

    def open(self, key: str) -> ObjectInfo | None:
        """Open and read the footer; None if there is no file. A link is not followed."""
        file = _open(self.path)
        if file is None:
            return None
        try:
            info, tail, is_whole = _read_info(file, self.path, key, _SMALL)
            if is_whole:
                self.content = tail[: info.size]
            else:
                self._file = FileIO(file, "rb")
        finally:
            if self._file is None:
                os.close(file)
        return info

    def read(self, at: int, length: int) -> bytes:
        """Up to ``length`` bytes, and 1 MiB, that have to be there."""
        chunk = b""
        if self._file is not None and not self._file.closed:
            self._file.seek(at)
            chunk = self._file.read(min(length, MIB))
        if not chunk:
            raise _damaged(self.path)
        return chunk

    def close(self) -> None:
        """Close, if it is open."""
        if self._file is not None:
            self._file.close()


def read_info(path: str, key: str) -> ObjectInfo | None:
    """What an object's file says of it; None if there is none. A link is not followed."""
    file = _open(path)
    if file is None:
        return None
    try:
        return _read_info(file, path, key, _FOOTER_GUESS)[0]
    finally:
        os.close(file)


class translated:  # noqa: N801 - used as a function
    """The system's errors as `BackendError`; the path stays in its detail."""

    __slots__ = ("_path", "_verb")

    def __init__(self, verb: str, path: str, /) -> None:
        self._verb = verb
        self._path = path

    def __enter__(self) -> None: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(exc, OSError):
            raise BackendError(
                f"The store can't {self._verb} the object.", detail=f"{self._path}: {exc}"
            ) from exc


def _open(path: str) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | _NO_FOLLOW | _BINARY)
    except FileNotFoundError:
        return None


def _read_info(file: int, path: str, key: str, most: int) -> tuple[ObjectInfo, bytes, bool]:
    """What the footer says, the end of the file, and whether that is the whole of it.

    A file of up to ``most`` bytes is read at once.
    """
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode):
        raise _damaged(path)
    is_whole = status.st_size <= most
    tail = _read(file, status.st_size) if is_whole else _tail(file, status.st_size, _FOOTER_GUESS)
    length = int.from_bytes(tail[-_TAIL_BYTES : -len(_MAGIC)], "big")
    size = status.st_size - _TAIL_BYTES - length
    if len(tail) < _TAIL_BYTES or not tail.endswith(_MAGIC) or size < 0:
        raise _damaged(path)
    if len(tail) < length + _TAIL_BYTES:
        tail = _tail(file, status.st_size, length + _TAIL_BYTES)
    try:
        footer = parse_json(tail[-length - _TAIL_BYTES : -_TAIL_BYTES])
        info = ObjectInfo(key, size, footer["etag"], status.st_mtime, footer["type"])
    except (ValueError, KeyError, TypeError) as exc:
        raise _damaged(path) from exc
    return info, tail, is_whole


def _tail(file: int, size: int, length: int) -> bytes:
    os.lseek(file, max(size - length, 0), os.SEEK_SET)
    return _read(file, length)


def _read(file: int, length: int) -> bytes:
    data = os.read(file, length)
    while len(data) < length and (more := os.read(file, length - len(data))):
        data += more
    return data


def _damaged(path: str) -> BackendError:
    return BackendError("The object is damaged.", detail=f"{path} isn't a whole object")

"""An object's file: its bytes, then a footer that says what they are. All of it blocks.

Law: a file without a whole footer isn't an object: it is said to be damaged, never read short.

The footer is JSON with ``etag`` (SHA-256 of the bytes) and ``type``, the JSON's length (4 bytes,
big-endian) and ``OBO1``. At the end, because a stream's hash is known last; in the same file,
because two files don't change in one step.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from hashlib import sha256
from io import FileIO

from openbolt.errors import BackendError
from openbolt.protocols import ObjectInfo

__all__ = ["Draft", "Reader", "translated"]

MIB = 1024 * 1024
_MAGIC = b"OBO1"
_TAIL_BYTES = 4 + len(_MAGIC)
_FOOTER_GUESS = 512
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)


class Draft:
    """A temporary file on its way to a name."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.size = 0
        self.placed = False
        self._hash = sha256()
        self._file: FileIO | None = None

    @property
    def etag(self) -> str:
        """The hash of what was written so far."""
        return self._hash.hexdigest()

    def write(self, data: bytes) -> None:
        """Add to the object."""
        self._hash.update(data)
        self.size += len(data)
        self._write(data)

    def seal(self, content_type: str, *, fsync: bool) -> float:
        """Write the footer, bring all to disk, close, and say when it was modified."""
        footer = json.dumps({"etag": self.etag, "type": content_type}).encode()
        file = self._write(footer + len(footer).to_bytes(4, "big") + _MAGIC)
        with translated("write", self.path):
            if fsync:
                os.fsync(file.fileno())
            modified = os.fstat(file.fileno()).st_mtime
            file.close()
        return modified

    def discard(self) -> None:
        """Remove what didn't become an object."""
        if self._file is not None:
            self._file.close()
            with contextlib.suppress(OSError):
                os.unlink(self.path)

    def _write(self, data: bytes) -> FileIO:
        with translated("write", self.path):
            if self._file is None:
                self._file = FileIO(self.path, "xb")
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]
        return self._file


class Reader:
    """An object's file, which stays what it was while others put and delete."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: FileIO | None = None

    def open(self, key: str) -> ObjectInfo | None:
        """Open and read the footer; None if there is no file. A link is not followed."""
        with translated("open", self._path):
            try:
                self._file = FileIO(self._path, "rb", opener=_open_no_follow)
            except FileNotFoundError:
                return None
            return _read_info(self._file, self._path, key)

    def read(self, at: int, length: int) -> bytes:
        """Up to ``length`` bytes, and 1 MiB, that have to be there."""
        chunk = b""
        with translated("read", self._path):
            if self._file is not None and not self._file.closed:
                self._file.seek(at)
                chunk = self._file.read(min(length, MIB))
        if not chunk:
            raise _damaged(self._path)
        return chunk

    def close(self) -> None:
        """Close, if it is open."""
        if self._file is not None:
            self._file.close()


@contextmanager
def translated(verb: str, path: str) -> Generator[None]:
    """The system's errors as `BackendError`; the path stays in its detail."""
    try:
        yield
    except OSError as exc:
        raise BackendError(f"The store can't {verb} the object.", detail=f"{path}: {exc}") from exc


def _read_info(file: FileIO, path: str, key: str) -> ObjectInfo:
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise _damaged(path)
    tail = _tail(file, status.st_size, _FOOTER_GUESS)
    length = int.from_bytes(tail[-_TAIL_BYTES : -len(_MAGIC)], "big")
    size = status.st_size - _TAIL_BYTES - length
    if len(tail) < _TAIL_BYTES or not tail.endswith(_MAGIC) or size < 0:
        raise _damaged(path)
    if len(tail) < length + _TAIL_BYTES:
        tail = _tail(file, status.st_size, length + _TAIL_BYTES)
    try:
        footer = json.loads(tail[-length - _TAIL_BYTES : -_TAIL_BYTES])
        return ObjectInfo(key, size, footer["etag"], status.st_mtime, footer["type"])
    except (ValueError, KeyError, TypeError) as exc:
        raise _damaged(path) from exc


def _tail(file: FileIO, size: int, length: int) -> bytes:
    file.seek(max(size - length, 0))
    return file.read(length)


def _open_no_follow(path: str, flags: int) -> int:
    return os.open(path, flags | _NO_FOLLOW | _BINARY)


def _damaged(path: str) -> BackendError:
    return BackendError("The object is damaged.", detail=f"{path} isn't a whole object")

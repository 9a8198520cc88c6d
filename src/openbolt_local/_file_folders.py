"""Folders of a file store: locks that hold across processes, and names that reach the disk.

Everything here blocks.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Sequence
from types import TracebackType

from openbolt.errors import BackendError

__all__ = ["check_way", "file_lock", "place", "remove_empty", "sync_folder"]

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_ATTEMPTS = 100


class file_lock:  # noqa: N801 - used as a function
    """Hold a lock file; closing it gives it back, and so does the death of the process."""

    __slots__ = ("_lock", "_path")

    def __init__(self, path: str, /) -> None:
        self._path = path

    def __enter__(self) -> None:
        self._lock = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if sys.platform == "win32":
                msvcrt.locking(self._lock, msvcrt.LK_LOCK, 1)
            else:
                fcntl.flock(self._lock, fcntl.LOCK_EX)
        except BaseException:
            os.close(self._lock)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._lock)


def check_way(top: str, names: Sequence[str]) -> bool:
    """Whether all the folders on the way to a file are there.

    Raises:
        BackendError: One of them is a link, which might lead elsewhere.
    """
    path = top
    for name in names[:-1]:
        path = os.path.join(path, name)
        try:
            mode = os.lstat(path).st_mode
        except OSError:  # nothing there, so nothing below it
            return False
        if stat.S_ISLNK(mode):
            raise BackendError("The object can't be reached.", detail=f"{path} is a link")
    return True


def place(source: str, path: str, *, is_way: bool, fsync: bool) -> None:
    """Give a file its name in one step, making folders as needed.

    Args:
        is_way: Its folders were there a moment ago.
        fsync: Bring its name and those of new folders to disk.
    """
    folder = os.path.dirname(path)
    changed = [folder]
    if not is_way:
        changed += _make_folder(folder)
    for _ in range(_ATTEMPTS):
        try:
            os.replace(source, path)
        except FileNotFoundError:  # a delete took the empty folder away meanwhile
            if not os.path.lexists(source):
                raise
            changed += _make_folder(folder)
        else:
            break
    else:
        raise FileNotFoundError(f"{folder} is removed again and again")
    if fsync:
        for each in changed:
            sync_folder(each)


def remove_empty(folder: str, top: str) -> None:
    """Remove a folder and those above it, up to ``top``, as far as they are empty."""
    with contextlib.suppress(OSError):
        while len(folder) > len(top):
            os.rmdir(folder)
            folder = os.path.dirname(folder)


def sync_folder(folder: str) -> None:
    """Bring a folder's entries to disk, where folders can be opened."""
    if sys.platform != "win32":
        try:
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:  # removed meanwhile, with nothing in it to lose
            return
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _make_folder(folder: str) -> list[str]:
    """The folders that got a new entry by it, or just before from somebody else."""
    above = os.path.dirname(folder)
    changed = [above]
    for _ in range(_ATTEMPTS):
        try:
            os.mkdir(folder)
        except FileExistsError:
            break
        except FileNotFoundError:
            changed += _make_folder(above)
        else:
            break
    return changed

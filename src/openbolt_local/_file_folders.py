"""Folders of a file store: locks that hold across processes, and names that reach the disk.

Everything here blocks.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["file_lock", "place", "remove_empty", "sync_folder"]

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_ATTEMPTS = 100


@contextmanager
def file_lock(path: str) -> Generator[None]:
    """Hold a lock file; closing it gives it back, and so does the death of the process."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if sys.platform == "win32":
            msvcrt.locking(lock, msvcrt.LK_LOCK, 1)
        else:
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def place(source: str, path: str, *, fsync: bool) -> None:
    """Give a file its name in one step, making folders as needed."""
    folder = os.path.dirname(path)
    changed = [folder]
    for _ in range(_ATTEMPTS):
        try:
            changed += _make_folders(folder)
            os.replace(source, path)
        except FileNotFoundError:  # a delete took the empty folder away meanwhile
            if not os.path.lexists(source):
                raise
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


def _make_folders(folder: str) -> list[str]:
    """The folders that got a new entry by it."""
    missing: list[str] = []
    while not os.path.isdir(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    for path in reversed(missing):
        with contextlib.suppress(FileExistsError):
            os.mkdir(path)
    return [os.path.dirname(path) for path in missing]

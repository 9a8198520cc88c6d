"""The keys under a folder, in order of their bytes, without reading more of it than is asked for.

Law: a folder's own part of the key comes no later than any key in it, so taking the smallest first
from a heap of files and unopened folders yields every key in order.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator

from openbolt.errors import BackendError
from openbolt_local._file_keys import FILE, key_path, name_bytes

__all__ = ["walk"]


def walk(folder: str, prefix: bytes, after: bytes, /) -> Iterator[bytes]:
    """Keys that start with ``prefix`` and lie behind ``after``.

    Links are not followed, and names that no key makes are passed over.
    """
    heap: list[tuple[bytes, bool, str]] = [(b"", True, folder)]
    while heap:
        key, is_folder, path = heapq.heappop(heap)
        if is_folder:
            for entry in _entries(path, key):
                if _wanted(entry[0], entry[1], prefix, after):
                    heapq.heappush(heap, entry)
        elif path == os.path.join(folder, *key_path(key)) and _is_text(key):
            yield key


def _entries(path: str, above: bytes) -> Iterator[tuple[bytes, bool, str]]:
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                is_folder = entry.is_dir(follow_symlinks=False)
                added = name_bytes(entry.name)
                if added is None or is_folder == entry.name.endswith(FILE):
                    continue
                if is_folder or entry.is_file(follow_symlinks=False):
                    yield above + added, is_folder, entry.path
    except FileNotFoundError:  # removed while we walked
        return
    except OSError as exc:
        raise BackendError("The store can't list objects.", detail=f"{path}: {exc}") from exc


def _is_text(key: bytes) -> bool:
    try:
        key.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _wanted(key: bytes, is_folder: bool, prefix: bytes, after: bytes) -> bool:
    if is_folder:
        on_the_way = key.startswith(prefix) or prefix.startswith(key)
        return on_the_way and (key > after or after.startswith(key))
    return key.startswith(prefix) and key > after

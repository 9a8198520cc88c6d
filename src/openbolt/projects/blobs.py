"""Which blobs a project refers to, and the removal of those that nothing refers to any more.

Law: a blob goes only if no version of any other project and no journal of any other turn names it:
users who saved the same bytes share one blob. A version that can't be read any more names nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from typing import Any

from openbolt.jsons import json_bytes, parse_json
from openbolt.projects.store import Manifest
from openbolt.protocols import KeyValueStore, ObjectStore

__all__ = ["blobs_of", "drop_stale", "drop_unreferenced", "note_stale"]

_PROJECTS = "projects/"
_STALE = "stale-blobs/"
_AT_ONCE = 32


async def blobs_of(objects: ObjectStore, kv: KeyValueStore, project_id: str, /) -> set[str]:
    """What every version of a project names, and every journal of a turn in it.

    All manifests count, those that no head came to name too.
    """
    found: set[str] = set()
    prefix = f"{_PROJECTS}{project_id}/manifests/"
    async for keys in _batches(info.key async for info in objects.scan(prefix)):
        for named in await asyncio.gather(*(_named(objects, key) for key in keys)):
            found |= named
    return found | await _journaled(kv, project_id)


async def drop_unreferenced(
    objects: ObjectStore,
    kv: KeyValueStore,
    blobs: Iterable[str],
    /,
    *,
    besides: Collection[str],
) -> int:
    """Delete blobs that nothing names but these projects; how many were deleted.

    Looks at every version of every other project: as many reads as the store has versions. A file
    that somebody saves with the same bytes in the very moment may be lost to them.

    Args:
        besides: Ids of projects that don't count, since they are about to be deleted.
    """
    left = set(blobs)
    seen: set[str] = set()
    async for keys in _batches(info.key async for info in objects.scan(_PROJECTS)):
        if not left:
            continue  # to the end of the listing, which then closes itself
        others = [key for key in keys if _project_of(key) not in besides]
        for named in await asyncio.gather(*(_named(objects, k) for k in others if _is_manifest(k))):
            left -= named
        for project_id in {_project_of(key) for key in others} - seen:
            seen.add(project_id)
            left -= await _journaled(kv, project_id)
    for digest in sorted(left):
        await objects.delete(f"blobs/{digest}")
    return len(left)


async def _journaled(kv: KeyValueStore, project_id: str) -> set[str]:
    found: set[str] = set()
    keys = [key async for key in kv.scan(f"project:{project_id}/journal/")]
    for key in keys:
        if "/file/" in key and (raw := await kv.get(key)) is not None:
            entry: list[Any] = parse_json(raw)
            found.add(str(entry[1]))
    return found


async def _named(objects: ObjectStore, key: str) -> set[str]:
    opened = await objects.open(key)
    if opened is None:
        return set()
    try:
        raw = b"".join([chunk async for chunk in opened.body])
    finally:
        await opened.body.aclose()
    try:
        return {entry.blob for entry in Manifest.from_bytes(raw).files}
    except (ValueError, KeyError, TypeError):
        return set()


def _project_of(key: str) -> str:
    return key.removeprefix(_PROJECTS).partition("/")[0]


def _is_manifest(key: str) -> bool:
    return key.removeprefix(_PROJECTS).partition("/")[2].startswith("manifests/")


async def _batches(keys: AsyncIterator[str]) -> AsyncIterator[Sequence[str]]:
    batch: list[str] = []
    async for key in keys:
        batch.append(key)
        if len(batch) == _AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


async def note_stale(objects: ObjectStore, kv: KeyValueStore, project_id: str, /) -> None:
    """Leave word of what a project names, before it is deleted: afterwards nothing would tell."""
    found = await blobs_of(objects, kv, project_id)
    if found:
        await kv.set(_STALE + project_id, json_bytes(sorted(found)))


async def drop_stale(
    objects: ObjectStore,
    kv: KeyValueStore,
    blobs: Iterable[str] = (),
    /,
    *,
    besides: Collection[str] = (),
) -> int:
    """`drop_unreferenced` of these blobs, and of all that `note_stale` left word of."""
    noted = [key async for key in kv.scan(_STALE)]
    stale = set(blobs)
    for key in noted:
        stale |= set(parse_json(await kv.get(key) or b"[]"))
    dropped = await drop_unreferenced(objects, kv, stale, besides=besides) if stale else 0
    for key in noted:
        await kv.delete(key)
    return dropped

"""A process that works on a store as hard as it can: `python hammer.py MODE PATH NUMBER`.

It prints what it saw as JSON, for `test_processes.py` to add up.
"""

from __future__ import annotations

import asyncio
import json
import sys

from openbolt.errors import PreconditionFailedError
from openbolt_local.files import FileObjectStore
from openbolt_local.sqlite import SQLiteDatabase, SQLiteKeyValueStore, SQLiteLeaseStore

ROUNDS = 60
SIZE = 3_000_000


async def read_object(store: FileObjectStore, key: str) -> bytes:
    """An object that is there; not the suite's, which would load pytest in every process."""
    opened = await store.open(key)
    assert opened is not None
    data = b"".join([chunk async for chunk in opened.body])
    await opened.body.aclose()
    return data


async def kv(path: str, number: int) -> object:
    """Count up, take turns at compare-and-set, add and take."""
    async with SQLiteDatabase.open(path, busy_timeout=30) as database:
        store = SQLiteKeyValueStore(database)
        counted = [await store.increment("p/counter") for _ in range(ROUNDS)]
        for _ in range(ROUNDS):
            while True:
                old = await store.get("p/replaced")
                new = b"%d" % (int(old or b"0") + 1)
                if await store.replace("p/replaced", new, expected=old):
                    break
        added = [n for n in range(ROUNDS) if await store.add(f"added/{n}", b"%d" % number)]
        taken = [n for n in range(ROUNDS) if await store.take(f"taken/{n}") is not None]
        return {"counted": counted, "added": added, "taken": taken}


async def leases(path: str, number: int) -> object:
    """Take a lease again and again, and note when it was held."""
    async with SQLiteDatabase.open(path, busy_timeout=30) as database:
        store, counter = SQLiteLeaseStore(database), SQLiteKeyValueStore(database)
        fences: list[int] = []
        overlaps = 0
        while len(fences) < ROUNDS // 4:
            lease = await store.acquire("name", ttl=60)
            if lease is None:
                continue
            overlaps += await counter.increment("p/inside") != 1
            fences.append(lease.fence)
            await counter.increment("p/inside", -1)
            await store.release(lease)
        return {"fences": fences, "overlaps": overlaps}


async def objects(root: str, number: int) -> object:
    """Win first puts, and count up in one object by conditional puts."""
    store = FileObjectStore(root, fsync=False)
    first: list[int] = []
    for n in range(ROUNDS):
        try:
            await store.put(f"first/{n}", b"%d" % number, if_none_match="*")
        except PreconditionFailedError:
            continue
        first.append(n)
    for _ in range(ROUNDS):
        while True:
            head = await store.head("counter")
            new = b"%d" % (int(await read_object(store, "counter") if head else b"0") + 1)
            try:
                if head:
                    await store.put("counter", new, if_match=head.etag)
                else:
                    await store.put("counter", new, if_none_match="*")
            except PreconditionFailedError:
                continue
            break
    for _ in range(ROUNDS):
        await store.put(f"shared/folder/{number}", b"data")
        await store.delete(f"shared/folder/{number}")
    return {"first": first}


async def put(root: str, number: int) -> object:
    """Put one large object of one byte after the other, until killed."""
    store = FileObjectStore(root)
    print("ready", flush=True)
    while True:
        number = (number + 1) % 256
        await store.put("large", bytes([number]) * SIZE)


async def write(path: str, number: int) -> object:
    """Say each number that was written, until killed."""
    async with SQLiteDatabase.open(path) as database:
        store = SQLiteKeyValueStore(database)
        while True:
            number += 1
            await store.set("p/last", b"%d" % number)
            print(number, flush=True)


if __name__ == "__main__":
    mode = {"kv": kv, "leases": leases, "objects": objects, "put": put, "write": write}[sys.argv[1]]
    print(json.dumps(asyncio.run(mode(sys.argv[2], int(sys.argv[3])))))

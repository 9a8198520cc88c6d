"""Several processes on one SQLite file and on one folder, and processes that are killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from pathlib import Path
from typing import Any

from openbolt.testing.objects import read_object
from openbolt_local.files import FileObjectStore
from openbolt_local.sqlite import SQLiteDatabase, SQLiteKeyValueStore

HAMMER = Path(__file__).with_name("hammer.py")
SOURCE = Path(__file__).parents[2] / "src"
PROCESSES = 4
ROUNDS = 60
SIZE = 3_000_000


async def _start(mode: str, path: Path, number: int) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(HAMMER),
        mode,
        str(path),
        str(number),
        stdout=PIPE,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )


async def _hammer(mode: str, path: Path) -> list[dict[str, Any]]:
    processes = [await _start(mode, path, number) for number in range(PROCESSES)]
    outputs = await asyncio.gather(*(process.communicate() for process in processes))
    assert [process.returncode for process in processes] == [0] * PROCESSES
    return [json.loads(out) for out, _ in outputs]


async def _kill(process: Process) -> bytes:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGKILL)
    rest, _ = await process.communicate()
    return rest


def _all(results: list[dict[str, Any]], name: str) -> list[int]:
    return sorted(value for result in results for value in result[name])


async def test_processes_on_one_sqlite_file_lose_nothing_and_win_once(tmp_path: Path) -> None:
    path = tmp_path / "data.sqlite3"
    async with SQLiteDatabase.open(path) as database:
        store = SQLiteKeyValueStore(database)
        for number in range(ROUNDS):
            await store.set(f"taken/{number}", b"value")
        results = await _hammer("kv", path)
        assert await store.get("p/replaced") == b"%d" % (PROCESSES * ROUNDS)
    assert _all(results, "counted") == list(range(1, PROCESSES * ROUNDS + 1))
    assert _all(results, "added") == list(range(ROUNDS))
    assert _all(results, "taken") == list(range(ROUNDS))


async def test_processes_that_open_a_new_file_at_once_all_can(tmp_path: Path) -> None:
    results = await _hammer("leases", tmp_path / "new.sqlite3")
    fences = _all(results, "fences")
    assert fences == sorted(set(fences))
    assert [result["overlaps"] for result in results] == [0] * PROCESSES


async def test_processes_on_one_folder_lose_nothing_and_win_once(tmp_path: Path) -> None:
    results = await _hammer("objects", tmp_path)
    store = FileObjectStore(tmp_path)
    assert await read_object(store, "counter") == b"%d" % (PROCESSES * ROUNDS)
    assert _all(results, "first") == list(range(ROUNDS))
    for number, result in enumerate(results):
        for won in result["first"]:
            assert await read_object(store, f"first/{won}") == b"%d" % number
    assert [info.key async for info in store.scan("shared/")] == []


async def test_a_process_killed_in_a_put_leaves_the_old_object_or_the_new_one_whole(
    tmp_path: Path,
) -> None:
    store = FileObjectStore(tmp_path)
    for number in range(6):
        await store.put("large", b"old")  # which the lock of a killed process would forbid
        process = await _start("put", tmp_path, number * 40)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        await asyncio.sleep(0.02 + number * 0.013)
        await _kill(process)
        data = await read_object(store, "large")
        assert data is not None
        assert data in {b"old", data[:1] * SIZE}


async def test_a_killed_process_loses_no_write_that_it_was_told_of(tmp_path: Path) -> None:
    path = tmp_path / "data.sqlite3"
    process = await _start("write", path, 0)
    assert process.stdout is not None
    told = [await process.stdout.readline() for _ in range(100)]
    rest = await _kill(process)
    complete = [line for line in (b"".join(told) + rest).splitlines(True) if line.endswith(b"\n")]
    async with SQLiteDatabase.open(path) as database:
        value = await SQLiteKeyValueStore(database).get("p/last")
    assert value is not None
    assert int(value) - int(complete[-1]) in {0, 1}

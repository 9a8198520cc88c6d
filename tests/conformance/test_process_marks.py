"""A lease ends with the process that holds it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from openbolt.clock import SystemTokens
from openbolt_local._processes import ProcessMark
from openbolt_local.sqlite import SQLiteDatabase, SQLiteLeaseStore

HOLD = """
import asyncio, sys
from openbolt_local.sqlite import SQLiteDatabase, SQLiteLeaseStore

async def main():
    async with SQLiteDatabase.open(sys.argv[1]) as database:
        assert await SQLiteLeaseStore(database).acquire("chat:c", ttl=600)
        print("held", flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_a_killed_process_holds_no_lease(tmp_path: Path) -> None:
    path = tmp_path / "db.sqlite3"
    child = subprocess.Popen(  # noqa: ASYNC220 - it only has to be there
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        async with SQLiteDatabase.open(path) as database:
            leases = SQLiteLeaseStore(database)
            assert await leases.acquire("chat:c", ttl=1) is None
            first = await leases.holder("chat:c")
            assert first is not None
            child.kill()
            child.wait()
            assert await leases.holder("chat:c") is None
            second = await leases.acquire("chat:c", ttl=1)
            assert second is not None
            assert second.fence > first.fence
    finally:
        child.kill()
        child.wait()
        if child.stdout:
            child.stdout.close()


def test_marks_of_dead_processes_are_removed_and_others_kept(tmp_path: Path) -> None:
    path = tmp_path / "db"
    (tmp_path / "db-process-dead").touch()
    first = ProcessMark(path, SystemTokens())
    second = ProcessMark(path, SystemTokens())
    assert not (tmp_path / "db-process-dead").exists()
    assert second.is_alive(first.id)
    first.close()
    assert not second.is_alive(first.id)
    second.close()
    assert list(tmp_path.iterdir()) == []

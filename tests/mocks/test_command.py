"""`python -m openbolt_local.mocks` says where it is and what it can do."""

from __future__ import annotations

import asyncio
import re
import sys

from openbolt_local.mocks.faults import FAULTS, MODIFIERS
from tests.mocks.raw import body, exchange, request_bytes

COMMAND = (sys.executable, "-m", "openbolt_local.mocks")


async def test_help_names_every_fault_and_modifier() -> None:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "--help", stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    text = output.decode()
    assert process.returncode == 0
    assert [name for name in (*FAULTS, *MODIFIERS) if name not in text] == []


async def test_it_serves_on_the_address_that_it_prints() -> None:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "--port", "0", "--pace", "0", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        url = re.search(r"http://\S+", line)
        assert url is not None
        got = await exchange(url[0], request_bytes(body("[mock:echo hello]")))
    finally:
        process.terminate()
        await process.communicate()
    assert got.content == "hello"

"""The cyclic collector: set when it is asked for, and never otherwise."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap


def _told(code: str) -> tuple[int, list[int]]:
    """How many objects are frozen and the thresholds, in an interpreter of its own."""
    report = "import gc, json; print(json.dumps([gc.get_freeze_count(), gc.get_threshold()]))"
    done = subprocess.run(
        [sys.executable, "-c", f"{textwrap.dedent(code)}\n{report}"],
        check=True,
        capture_output=True,
        text=True,
    )
    frozen, thresholds = json.loads(done.stdout)
    return frozen, thresholds


def test_it_is_left_alone_by_importing_and_opening() -> None:
    code = """
        import asyncio
        from openbolt import OpenBolt, Settings
        from openbolt_local import open_dependencies

        async def main():
            settings = Settings(kv="memory", objects="memory")
            async with open_dependencies(settings) as dependencies:
                OpenBolt(dependencies, settings)

        asyncio.run(main())
    """
    assert _told(code) == _told("")


def test_what_is_loaded_is_taken_out_and_full_collections_get_rare() -> None:
    frozen, thresholds = _told("from openbolt.collector import calm_collector; calm_collector()")
    assert frozen > 10_000
    assert thresholds == [50_000, 20, 1000]


def test_each_generation_can_be_set() -> None:
    code = (
        "from openbolt.collector import calm_collector; calm_collector(young=9, middle=8, full=7)"
    )
    assert _told(code)[1] == [9, 8, 7]

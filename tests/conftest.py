"""What every test lives under: nothing outlives its test, and hypothesis' profiles. And what every
test may ask for: stores in memory on a clock that is told the time, and peers.

A task that a test leaves running would be cancelled by the closing loop, and the bug it stands for
(work that nobody owns) would go unseen.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
import threading
from collections.abc import AsyncIterator

import hypothesis
import pytest
import pytest_asyncio

from tests.leaks import nothing_is_left
from tests.peers import mock, sender, upstream
from tests.security.canaries import nothing_is_told
from tests.stores import chats, clock, heads, kv, leases, objects, projects, settings

__all__ = [
    "chats",
    "clock",
    "heads",
    "kv",
    "leases",
    "mock",
    "nothing_is_left",
    "nothing_is_told",
    "objects",
    "projects",
    "sender",
    "settings",
    "upstream",
]

SETTLE_ROUNDS = 20
"""Turns of the loop that a cancelled task gets to end in."""

hypothesis.settings.register_profile("dev", deadline=None)
hypothesis.settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile(
    "thorough", hypothesis.settings.get_profile("ci"), derandomize=False, max_examples=2000
)
hypothesis.settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev")
)


def pytest_configure() -> None:
    """Let coverage's tracer wait for itself.

    It takes a plain lock when it meets a file for the first time. The garbage collector may run in
    there and finalize an async generator, whose code is traced too and asks for the same lock in
    the same thread: a measured run then hangs for good, once in a few.
    """
    coverage = sys.modules.get("coverage")
    current = coverage.Coverage.current() if coverage else None
    collector = getattr(current, "_collector", None)
    if getattr(collector, "data_lock", None) is not None:
        collector.data_lock = threading.RLock()


HOMES = {
    "browser": {"browser"},
    "model": {"model"},
    "node": {"auth", "git", "wire"},
    "worker": {"worker"},
}
"""Where the tests with a marker live: the session that runs them looks nowhere else."""

MARKED = {"browser": "browser", "git": "node", "model": "model", "wire": "node", "worker": "worker"}
"""Folders in which every test has a marker."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give a test the marker of its folder."""
    marker = MARKED.get(item.path.parent.name)
    if marker is not None:
        item.add_marker(marker)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the guard first in every async test, so that it is torn down last."""
    for item in items:
        for marker, homes in HOMES.items():
            if item.get_closest_marker(marker) and homes.isdisjoint(item.path.parts):
                wanted = " or ".join(f"tests/{home}" for home in sorted(homes))
                raise pytest.UsageError(f"{item.nodeid}: {marker} tests belong in {wanted}")
        if isinstance(item, pytest.Function) and _is_async(item.obj):
            item.fixturenames.insert(0, "no_leaked_tasks")


def _is_async(test: object) -> bool:
    given = getattr(test, "hypothesis", None)
    return inspect.iscoroutinefunction(given.inner_test if given else test)


@pytest_asyncio.fixture
async def no_leaked_tasks() -> AsyncIterator[None]:
    """Fail a test that leaves an asyncio task running."""
    before = asyncio.all_tasks()
    yield
    for _ in range(SETTLE_ROUNDS):
        left = asyncio.all_tasks() - before - {asyncio.current_task()}
        if not left:
            return
        await asyncio.sleep(0)
    pytest.fail("tasks outlived their test:\n" + "\n".join(map(repr, left)), pytrace=False)

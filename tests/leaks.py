"""What no test may leave behind: connections, leases, journals (tasks: see conftest.py).

Every application that a test makes is looked at when the test is over and everything that it opened
is closed. So a test that stands for a crash has to go on to the access that settles it.
"""

from __future__ import annotations

import functools
import gc
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from openbolt.app import OpenBolt
from openbolt_local.memory import MemoryKeyValueStore, MemoryLeaseStore
from openbolt_local.sqlite import SQLiteKeyValueStore, SQLiteLeaseStore

JOURNAL = "/journal/"


@frozen
class Stores:
    """Where an application keeps leases and journals; each tells what is left in it."""

    leases: Callable[[], list[str]]
    journals: Callable[[], list[str]]

    @classmethod
    def of(cls, dependencies: Any) -> Stores:
        return cls(_leases(dependencies.leases), _journals(dependencies.kv))


def _leases(store: Any) -> Callable[[], list[str]]:
    store = _innermost(store)
    if isinstance(store, MemoryLeaseStore):
        now = store._clock.now
        return lambda: [n for n, held in store._leases.items() if held.expires_at > now()]
    if isinstance(store, SQLiteLeaseStore):
        database = store._database
        query = "SELECT name FROM leases WHERE holder LIKE ?"
        return functools.partial(_rows, Path(database._path), query, f"{database.mark.id}.%")
    return list  # a test's own


def _journals(store: Any) -> Callable[[], list[str]]:
    store = _innermost(store)
    if isinstance(store, MemoryKeyValueStore):
        return lambda: [k for part in store._partitions.values() for k in part if JOURNAL in k]
    if isinstance(store, SQLiteKeyValueStore):
        query = "SELECT CAST(key AS TEXT) FROM kv WHERE CAST(key AS TEXT) LIKE ?"
        return functools.partial(_rows, Path(store._database._path), query, f"%{JOURNAL}%")
    return list


def _innermost(store: Any) -> Any:
    while "_inner" in vars(store):
        store = store._inner
    return store


def _rows(path: Path, query: str, value: str) -> list[str]:
    if not path.exists():
        return []
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return [name for (name,) in connection.execute(query, (value,))]
    finally:
        connection.close()


_made: list[Stores] = []


def _watch(init: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(init)
    def watched(self: OpenBolt, dependencies: Any, *args: Any, **named: Any) -> None:
        init(self, dependencies, *args, **named)
        _made.append(Stores.of(dependencies))

    return watched


OpenBolt.__init__ = _watch(OpenBolt.__init__)  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a connection, a lease or a journal."""
    _made.clear()
    opened = _sockets() if _opens_all_it_uses(request) else None
    yield
    made = list(_made)
    _made.clear()
    if opened is not None and len(_sockets()) > len(opened):
        gc.collect()  # what refers to itself is closed only now
        if left := _sockets() - opened:
            pytest.fail(f"connections outlived their test: {len(left)}", pytrace=False)
    leases = sorted({name for stores in made for name in stores.leases()})
    journals = sorted({key for stores in made for key in stores.journals()})
    if leases or journals:
        pytest.fail(f"outlived their test: leases {leases}, journals {journals}", pytrace=False)


def _sockets() -> set[str]:
    found: set[str] = set()
    for descriptor in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():
        try:
            target = os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError:
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


def _opens_all_it_uses(request: pytest.FixtureRequest) -> bool:
    """Whether no fixture of a wider scope may open a connection in the middle of the test."""
    known = request._fixturemanager.getfixturedefs  # type: ignore[attr-defined]
    return all(
        definition.scope == "function"
        for name in request.fixturenames
        for definition in known(name, request.node) or ()
        if definition.baseid.startswith("tests")
    )

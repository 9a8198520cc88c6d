"""A project store against a dict: what is committed, from whichever base, reads back exactly."""

from __future__ import annotations

import asyncio
from typing import Any

from attrs import define, field
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from openbolt.projects.store import FileEntry, Manifest, ProjectStore
from openbolt.testing import ManualClock
from openbolt_local.memory import MemoryKeyValueStore, MemoryObjectStore

PATHS = st.sampled_from(["index.html", "a.js", "src/a.js", "src/b.js", "é.txt"])
CONTENTS = st.none() | st.binary(max_size=8)
CHANGES = st.dictionaries(PATHS, CONTENTS, max_size=4)
Files = dict[str, bytes]


@define
class Model:
    """Every version as a dict, and who may read them."""

    versions: list[Files] = field(factory=lambda: [{}])
    title: str = "T0"


class ProjectsMachine(RuleBasedStateMachine):
    """Commits from any earlier version, so that rebasing is the rule."""

    bases = Bundle("bases")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = ManualClock()
        self.objects = MemoryObjectStore(self.clock)
        self.projects = ProjectStore(self.objects, MemoryKeyValueStore(self.clock), self.clock)
        self.model = Model()

    def teardown(self) -> None:
        self.runner.close()

    def run(self, coroutine: Any) -> Any:
        return self.runner.run(coroutine)

    @initialize(target=bases)
    def create(self) -> int:
        self.run(self.projects.create("p", "ann", "T0"))
        return 0

    @rule(target=bases, base=bases, changes=CHANGES)
    def commit(self, base: int, changes: dict[str, bytes | None]) -> int:
        old, current = self.model.versions[base], self.model.versions[-1]
        wanted = dict(current)
        for path, data in changes.items():
            if data is None:
                wanted.pop(path, None)
            else:
                wanted[path] = data
        conflicts = {
            path
            for path, data in changes.items()
            if current.get(path) != old.get(path) and current.get(path) != data
        }
        done = self.run(self._commit(base, changes))
        if wanted == current:
            assert done.conflicts == ()
        else:
            assert set(done.conflicts) == conflicts
            self.model.versions.append(wanted)
        assert done.manifest.number == len(self.model.versions) - 1
        return len(self.model.versions) - 1

    @rule(seconds=st.floats(0, 10))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(title=st.text(min_size=1, max_size=5))
    def rename(self, title: str) -> None:
        self.run(self.projects.rename("p", title, owner="ann"))
        self.model.title = title

    @invariant()
    def every_version_reads_as_it_was_committed(self) -> None:
        self.run(self._check())

    async def _commit(self, base: int, changes: dict[str, bytes | None]) -> Any:
        project = await self.projects.load("p", owner="ann")
        manifest = await self.projects.manifest(project, number=base)
        entries: dict[str, FileEntry | None] = {
            path: None if data is None else await self.projects.put_blob(path, data)
            for path, data in changes.items()
        }
        return await self.projects.commit("p", entries, base=manifest)

    async def _check(self) -> None:
        if not await self.projects.exists("p"):
            return
        project = await self.projects.load("p", owner="ann")
        assert (project.title, project.number) == (
            self.model.title,
            len(self.model.versions) - 1,
        )
        read = [
            {entry.path: await self.projects.read_blob(entry) for entry in manifest.files}
            async for manifest in self.projects.versions(project)
        ]
        assert read[::-1] == self.model.versions[1:]
        blobs = {info.key async for info in self.objects.scan("blobs/")}
        known = {data for version in self.model.versions for data in version.values()}
        assert len(blobs) >= len(known)


TestProjects = ProjectsMachine.TestCase


def test_a_manifest_comes_back_as_it_was_whatever_it_says() -> None:
    entry = FileEntry("é/\u2028.txt", "0" * 64, 2**40)
    manifest = Manifest(3, "f" * 64, 1.0e9 + 0.1, 'note \ud800 "\\\n', (entry,))
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest

"""A version's archive: what other programs read from it is the version, and nothing but."""

import asyncio
import io
import shutil
import stat
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from openbolt.errors import BackendError
from openbolt.projects.bundle import zip_version
from openbolt.projects.store import Manifest, ProjectStore
from openbolt.testing import ManualClock
from openbolt_local.memory import MemoryKeyValueStore, MemoryObjectStore
from tests.faults import flip_a_bit

FILES = {
    "index.html": b"<p>Hi</p>\n",
    "src/\u00e9\u2603.js": b"let a = 1;\n" * 1000,
    "empty.txt": b"",
    "data/random.bin": bytes(range(256)) * 300,
    ".env.example": b"A=1\n",
}


class Made:
    """A store with one version in it."""

    def __init__(self) -> None:
        clock = ManualClock()
        self.objects = MemoryObjectStore(clock)
        self.projects = ProjectStore(self.objects, MemoryKeyValueStore(clock), clock)

    async def manifest(self, files: Mapping[str, bytes], *, at: float = 1.7e9) -> Manifest:
        entries = [await self.projects.put_blob(path, data) for path, data in files.items()]
        return Manifest(1, None, at, "", tuple(sorted(entries)))

    async def zip(self, manifest: Manifest) -> bytes:
        return b"".join([chunk async for chunk in zip_version(self.projects, manifest)])


async def test_the_archive_holds_exactly_the_versions_files() -> None:
    made = Made()
    data = await made.zip(await made.manifest(FILES))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == sorted(FILES)
        assert {name: archive.read(name) for name in archive.namelist()} == FILES


@pytest.mark.skipif(shutil.which("unzip") is None, reason="unzip is not installed")
def test_another_program_reads_it_too(tmp_path: Path) -> None:
    async def zipped() -> bytes:
        made = Made()
        return await made.zip(await made.manifest(FILES))

    path = tmp_path / "made.zip"
    path.write_bytes(asyncio.run(zipped()))
    tested = subprocess.run(["unzip", "-tqq", path], capture_output=True, check=False)
    assert (tested.returncode, tested.stdout, tested.stderr) == (0, b"", b"")


async def test_the_same_version_gives_the_same_bytes() -> None:
    made = Made()
    manifest = await made.manifest(FILES)
    assert await made.zip(manifest) == await made.zip(manifest)


@pytest.mark.parametrize("at", [0.0, 1.7e9, 315532800.0])
async def test_files_are_dated_by_their_version_and_plain_files_to_everybody(at: float) -> None:
    made = Made()
    data = await made.zip(await made.manifest({"a": b"1"}, at=at))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        info = archive.infolist()[0]
    dates = {0.0: (1980, 1, 1), 1.7e9: (2023, 11, 14), 315532800.0: (1980, 1, 1)}
    assert info.date_time[:3] == dates[at]
    assert (info.create_system, info.external_attr >> 16) == (3, stat.S_IFREG | 0o644)


async def test_a_version_without_files_is_an_empty_archive() -> None:
    made = Made()
    with zipfile.ZipFile(io.BytesIO(await made.zip(Manifest.empty()))) as archive:
        assert archive.namelist() == []


async def test_a_damaged_file_breaks_the_archive_off() -> None:
    made = Made()
    manifest = await made.manifest({"a": b"1234", "b": b"5678"})
    await flip_a_bit(made.objects, f"blobs/{manifest.files[1].blob}")
    with pytest.raises(BackendError):
        await made.zip(manifest)


async def test_leaving_early_closes_it_without_a_complaint() -> None:
    made = Made()
    chunks = zip_version(made.projects, await made.manifest(FILES))
    await anext(chunks)
    await chunks.aclose()  # type: ignore[attr-defined]

"""What a turn has made so far, written down as it goes, so that a crash loses none of it.

Law: an entry is written once, after its blob; a journal ends by being settled (its files committed
as a version, its message stored) and only then discarded. Settling is idempotent: whoever finds an
orphan may do it, twice does no harm. Blobs that a journal names count as referenced.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import asdict, field, frozen

from openbolt.jsons import json_bytes, parse_json
from openbolt.projects.store import FileEntry
from openbolt.protocols import KeyValueStore

__all__ = ["Journal", "JournalHead", "JournalStore"]


@frozen
class JournalHead:
    """Whose turn a journal belongs to, and what it started from. Time in epoch seconds."""

    turn_id: str
    chat_id: str
    project_id: str
    owner: str
    base_number: int
    started_at: float


@frozen
class Journal:
    """A journal as it was found.

    Attributes:
        text: The model's raw text up to the last checkpoint.
    """

    head: JournalHead
    files: tuple[FileEntry, ...] = ()
    text: str = ""
    details: dict[str, Any] = field(factory=dict[str, Any])


@frozen
class JournalStore:
    """Journals of running turns, in the partition of their project."""

    kv: KeyValueStore

    async def begin(self, head: JournalHead, /) -> None:
        """Open a turn's journal."""
        await self._write(head, "head", asdict(head, recurse=False))

    async def add_file(self, head: JournalHead, index: int, entry: FileEntry, /) -> None:
        """Note a complete file whose blob is stored; ``index`` counts from 0 in a turn."""
        await self._write(head, f"file/{index:06d}", [entry.path, entry.blob, entry.size])

    async def add_text(self, head: JournalHead, index: int, text: str, /) -> None:
        """Note the raw text since the last checkpoint; ``index`` counts from 0 in a turn."""
        await self._write(head, f"text/{index:08d}", text)

    async def list(self, project_id: str, /) -> Sequence[JournalHead]:
        """The journals of a project."""
        keys = [key async for key in self.kv.scan(_prefix(project_id)) if key.endswith("/head")]
        found = [await self.kv.get(key) for key in sorted(keys)]
        return [JournalHead(**parse_json(raw)) for raw in found if raw is not None]

    async def load(self, head: JournalHead, /) -> Journal:
        """All that a journal holds."""
        prefix = _prefix(head.project_id, head.turn_id)
        files: list[FileEntry] = []
        text: list[str] = []
        for key in sorted([key async for key in self.kv.scan(prefix)]):
            raw = await self.kv.get(key)
            if raw is None:
                continue
            kind = key.removeprefix(prefix).partition("/")[0]
            if kind == "file":
                files.append(FileEntry(*parse_json(raw)))
            elif kind == "text":
                text.append(parse_json(raw))
        return Journal(head, tuple(files), "".join(text))

    async def discard(self, head: JournalHead, /) -> None:
        """Remove a settled journal; its head goes last, so that an interruption can be resumed."""
        prefix = _prefix(head.project_id, head.turn_id)
        keys = [key async for key in self.kv.scan(prefix)]
        for key in sorted(keys, key=lambda k: k.endswith("/head")):
            await self.kv.delete(key)

    async def _write(self, head: JournalHead, name: str, value: object) -> None:
        await self.kv.set(_prefix(head.project_id, head.turn_id) + name, json_bytes(value))


def _prefix(project_id: str, turn_id: str | None = None) -> str:
    base = f"project:{project_id}/journal/"
    return base if turn_id is None else f"{base}{turn_id}/"

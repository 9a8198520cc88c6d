"""What becomes of each file that a reply hands over.

Law: a file is saved whole or not at all. Its blob is stored and journalled the moment that its
action closes; the version with all of a turn's files is committed once, at the end. Whatever isn't
saved is said so, with the reason.
"""

from __future__ import annotations

from openbolt.chat.assembly import FileReady
from openbolt.chat.events import DataPart, TurnEvent
from openbolt.chat.messages import Mode
from openbolt.errors import InvalidRequestError
from openbolt.projects.journal import JournalHead, JournalStore
from openbolt.projects.paths import normalize_path
from openbolt.projects.store import FileEntry, Manifest, Project, ProjectStore
from openbolt.settings import Settings

__all__ = ["FileSaver"]


class FileSaver:
    """The files of one turn."""

    def __init__(
        self,
        projects: ProjectStore,
        journals: JournalStore,
        journal: JournalHead,
        base: Manifest,
        mode: Mode,
        settings: Settings,
    ) -> None:
        self._projects = projects
        self._journals = journals
        self._journal = journal
        self._base = base
        self._mode = mode
        self._settings = settings
        self._entries: dict[str, FileEntry] = {}
        self._count = 0

    async def save(self, file: FileReady, /) -> TurnEvent:
        """Store a file if it may be stored; what became of it, as ``data-file``."""
        try:
            path = normalize_path(file.path or "")
        except InvalidRequestError as exc:
            return _said(file.path or "", "refused", exc.public_message)
        if file.verdict == "truncated":
            known = path in self._entries or self._base.find(path) is not None
            why = "the reply ended before the file did"
            return _said(path, "kept" if known else "refused", why)
        content = file.content.encode("utf-8", "replace")
        refusal = self._refusal(path, file, len(content))
        if refusal is not None:
            return _said(path, "refused", refusal)
        entry = await self._projects.put_blob(path, content)
        await self._journals.add_file(self._journal, self._count, entry)
        self._count += 1
        self._entries[path] = entry
        return _said(path, "saved")

    def _refusal(self, path: str, file: FileReady, size: int) -> str | None:
        if self._mode == "discuss":
            return "in discuss mode no file is written"
        if file.type != "file":
            return f"{file.type} actions are shown, not applied"
        if size > self._settings.max_file_bytes:
            return f"over {self._settings.max_file_bytes} bytes (max_file_bytes)"
        if path not in self._entries and len(self._entries) >= self._settings.max_files_per_turn:
            return f"over {self._settings.max_files_per_turn} files (max_files_per_turn)"
        return None

    async def commit(self, title: str, /, *, seen: Project | None = None) -> list[TurnEvent]:
        """Make the turn's version; says for each file which version it is in.

        Args:
            seen: The project, if the turn has made it.
        """
        if not self._entries:
            return []
        done = await self._projects.commit(
            self._journal.project_id,
            dict(self._entries),
            base=self._base,
            note=title,
            title=title if title and self._base.number == 0 else None,
            seen=seen,
        )
        said: list[TurnEvent] = [
            _said(path, "saved", version=done.manifest.number) for path in self._entries
        ]
        for path in done.conflicts:
            text = f"{path} was changed elsewhere meanwhile; that text is in the version before."
            data = {"kind": "conflict", "filePath": path, "message": text}
            said.append(DataPart("notice", f"conflict-{path}", data))
        return said


def _said(path: str, state: str, reason: str | None = None, version: int | None = None) -> DataPart:
    data: dict[str, object] = {"filePath": path, "state": state}
    if reason is not None:
        data["reason"] = reason
    if version is not None:
        data["version"] = version
    return DataPart("file", path, data)

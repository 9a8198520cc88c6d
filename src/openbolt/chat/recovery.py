"""What a crash left behind, settled by the next access.

Law: an orphaned journal is settled by whoever gets the lease on its chat: its whole files become a
version, its text becomes an interrupted message, and only then it is discarded. Doing it twice, or
being killed in between, does no harm: a commit of the same files makes no new version, and a
message is added once. A journal whose chat doesn't name its turn never began, or is settled.
"""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import suppress
from typing import Literal

from attrs import frozen

from openbolt.access import owner_of
from openbolt.chat.assembly import FileReady, ReplyAssembler
from openbolt.chat.events import DataPart, TurnEvent
from openbolt.chat.parts import PartsBuilder
from openbolt.chat.running import RunningTurns
from openbolt.errors import InvalidRequestError, NotFoundError
from openbolt.history import ChatStore, Message
from openbolt.http import Handler, Request, Response
from openbolt.model import TextDelta
from openbolt.projects.journal import Journal, JournalHead, JournalStore
from openbolt.projects.paths import normalize_path
from openbolt.projects.store import ProjectStore
from openbolt.protocols import LeaseStore

__all__ = ["Recovery", "recovered"]

_log = logging.getLogger("openbolt.chat")


@frozen
class Recovery:
    """Settles orphaned journals.

    Attributes:
        lease_ttl: Seconds for which a settling may hold a chat.
    """

    journals: JournalStore
    projects: ProjectStore
    chats: ChatStore
    leases: LeaseStore
    running: RunningTurns
    lease_ttl: float = 30.0

    async def settle(self, project_id: str, /, *, owner: str, holding: str | None = None) -> None:
        """Settle what no living turn of a project owns.

        Args:
            project_id: Its journals are looked at; without any, this costs one scan.
            owner: Whose; nobody settles another user's.
            holding: A chat whose lease the caller has.
        """
        for head in await self.journals.list(project_id):
            if head.owner != owner or self.running.get(head.turn_id) is not None:
                continue
            if head.chat_id == holding:
                await self._settle(head)
                continue
            lease = await self.leases.acquire(f"chat:{head.chat_id}", ttl=self.lease_ttl)
            if lease is None:
                continue  # it is being written, perhaps by another process
            try:
                await self._settle(head)
            finally:
                await self.leases.release(lease)

    async def settle_chat(self, chat_id: str, /, *, owner: str) -> None:
        """The same for the project of a chat."""
        chat = await self.chats.find(chat_id)
        if chat is not None and chat.project_id:
            await self.settle(chat.project_id, owner=owner)

    async def _settle(self, head: JournalHead) -> None:
        journal = await self.journals.load(head)
        _log.warning("settling turn %s, which a crash has interrupted", head.turn_id)
        with suppress(NotFoundError):  # the project was deleted meanwhile
            await self._commit(journal)
        chat = await self.chats.find(head.chat_id)
        if chat is not None and chat.turn == head.turn_id:
            await self.chats.add(chat.id, _interrupted(journal))
            await self.chats.forget_turn(chat.id)
        await self.journals.discard(head)

    async def _commit(self, journal: Journal) -> None:
        if not journal.files:
            return
        head = journal.head
        project = await self.projects.load(head.project_id, owner=head.owner)
        base = await self.projects.manifest(project, number=head.base_number)
        changes = {entry.path: entry for entry in journal.files}
        async for version in self.projects.versions(project):
            if version.number <= head.base_number:
                break
            if all(version.find(path) == entry for path, entry in changes.items()):
                return  # the commit had landed; what came after it stays
        await self.projects.commit(project.id, changes, base=base, note="Interrupted reply")


def _interrupted(journal: Journal) -> Message:
    """The message that the turn would have made, as far as it came."""
    files = _Files(journal)
    assembler, parts = ReplyAssembler(), PartsBuilder()
    assembler.begin_segment()
    for output in [*assembler.feed([TextDelta(journal.text)]), *assembler.finish()]:
        event: TurnEvent = files.say(output) if isinstance(output, FileReady) else output
        parts.add([event])
    parts.add(files.rest())
    return Message(
        journal.head.turn_id,
        "assistant",
        journal.head.started_at,
        parts.parts(),
        raw=journal.text,
        status="interrupted",
        metadata={"error": "The server stopped while this reply was being written."},
    )


class _Files:
    """What became of each file. The text may be behind: a file that it shows in part, or not at
    all, may have been journaled whole.
    """

    def __init__(self, journal: Journal) -> None:
        self._left = Counter(entry.path for entry in journal.files)
        self._said: set[str] = set()

    def say(self, file: FileReady) -> DataPart:
        try:
            path = normalize_path(file.path or "")
        except InvalidRequestError:
            path = file.path or ""
        if self._left[path]:
            self._left[path] -= 1
            return self._saved(path)
        state = "kept" if path in self._said else "refused"
        data = {"filePath": path, "state": state, "reason": "the server stopped before its end"}
        return DataPart("file", path, data)

    def rest(self) -> list[DataPart]:
        return [self._saved(path) for path in self._left if self._left[path]]

    def _saved(self, path: str) -> DataPart:
        self._said.add(path)
        return DataPart("file", path, {"filePath": path, "state": "saved"})


def recovered(handler: Handler, recovery: Recovery, of: Literal["chat", "project"], /) -> Handler:
    """Settle what a crash left of the chat or project in the path, then go on."""

    async def settled(request: Request, /) -> Response:
        name, owner = request.path_params["id"], owner_of(request)
        settle = recovery.settle if of == "project" else recovery.settle_chat
        await settle(name, owner=owner)
        return await handler(request)

    return settled

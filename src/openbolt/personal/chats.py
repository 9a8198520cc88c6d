"""A user's chats, exported and erased.

Law: a chat is erased under its lease, so that no turn brings half of it back.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

from attrs import evolve, frozen

from openbolt.archives import ExportedFile
from openbolt.bodies import iso_time
from openbolt.errors import LockedError
from openbolt.history import Chat, ChatStore, Message
from openbolt.personal.data import delete_below, names_below, pretty_json, without_end
from openbolt.protocols import Clock, Lease, LeaseStore

__all__ = ["ChatData"]

_HOLD = 60.0  # seconds for which a crash while deleting keeps a chat from being written to
_LOOK = 0.25  # seconds between looks whether another process has stopped a turn
_LOOKS = 40


@frozen
class ChatData:
    """Chats with their messages."""

    chats: ChatStore
    leases: LeaseStore
    clock: Clock

    @property
    def name(self) -> str:
        return "chats"

    async def export(self, user_id: str, /) -> AsyncIterator[ExportedFile]:
        """Each chat as JSON and as Markdown, a message at a time."""
        for chat in await self.chats.list(user_id):
            at, path = chat.updated_at, f"chats/{chat.id}"
            yield ExportedFile(f"{path}.json", self._aspretty_json(chat), at)
            yield ExportedFile(f"{path}.md", self._as_markdown(chat), at)

    async def erase(self, user_id: str, /) -> int:
        """Delete every chat, holding it: a turn in another process is asked to stop."""
        erased = 0
        for chat_id in await names_below(self.chats.kv, f"user:{user_id}/chat/"):
            lease = await self._hold(chat_id)
            try:
                erased += await self._erase(user_id, chat_id)
            finally:
                await self.leases.release(lease)
        return erased

    async def _erase(self, user_id: str, chat_id: str) -> bool:
        kv, chat = self.chats.kv, await self.chats.find(chat_id)
        is_own = chat is not None and chat.owner == user_id
        if chat is not None and is_own:
            if chat.project_id:
                # A turn that crashed may have left a journal in a project that isn't there (yet, or
                # any more): who erases projects finds it so.
                await kv.set(f"user:{user_id}/project/{chat.project_id}", b"")
            await self.chats.delete(chat_id, owner=user_id)
        elif chat is None:  # a turn that broke off before the chat was there
            await delete_below(kv, f"chat:{chat_id}/")
        await kv.delete(f"user:{user_id}/chat/{chat_id}")
        return is_own

    async def _hold(self, chat_id: str) -> Lease:
        name = f"chat:{chat_id}"
        for _ in range(_LOOKS):
            lease = await self.leases.acquire(name, ttl=_HOLD)
            if lease is not None:
                return lease
            holder = await self.leases.holder(name)
            if holder is not None:
                await self.chats.ask_stop(chat_id, str(holder.fence))
            await self.clock.sleep(_LOOK)
        raise LockedError(
            "A reply is being written in one of the chats, and it couldn't be stopped; try again."
        )

    async def _messages(self, chat: Chat) -> AsyncIterator[Message]:
        for message_id in chat.order:
            for message in await self.chats.messages(evolve(chat, order=(message_id,))):
                yield message

    async def _aspretty_json(self, chat: Chat) -> AsyncIterator[bytes]:
        head = {
            "id": chat.id,
            "title": chat.title,
            "projectId": chat.project_id,
            "createdAt": iso_time(chat.created_at),
            "updatedAt": iso_time(chat.updated_at),
        }
        yield without_end(head) + b',\n  "messages": ['
        separator = b"\n"
        async for message in self._messages(chat):
            row = {
                "id": message.id,
                "role": message.role,
                "status": message.status,
                "createdAt": iso_time(message.created_at),
                "parts": list(message.parts),
                "raw": message.raw,
                "metadata": dict(message.metadata),
            }
            yield separator + pretty_json(row).rstrip(b"\n")
            separator = b",\n"
        yield b"\n  ]\n}\n"

    async def _as_markdown(self, chat: Chat) -> AsyncIterator[bytes]:
        yield _utf8(f"# {_line(chat.title)}\n\nProject: {chat.project_id}\n")
        async for message in self._messages(chat):
            who = "You" if message.role == "user" else "Assistant"
            status = "" if message.status == "complete" else f", {message.status}"
            heading = f"\n## {who}, {iso_time(message.created_at)}{status}\n\n"
            files = "".join(f"- `{path}`\n" for path in _saved(message))
            files = f"\nFiles saved:\n\n{files}" if files else ""
            yield _utf8(f"{heading}{message.text.rstrip()}\n{files}")


def _saved(message: Message) -> Sequence[str]:
    """Paths of the files that a reply has saved."""
    parts = [part.get("data") for part in message.parts if part.get("type") == "data-file"]
    files = [cast("dict[str, Any]", data) for data in parts if isinstance(data, dict)]
    return sorted({str(f.get("filePath")) for f in files if f.get("state") == "saved"})


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _line(text: str) -> str:
    return " ".join(text.split())

"""Chats over HTTP: list, read, rename, delete."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from openbolt.access import principal_of
from openbolt.bodies import iso_time, json_response
from openbolt.errors import LockedError
from openbolt.history import Chat, ChatStore, Message
from openbolt.http import Request, Response
from openbolt.protocols import LeaseStore
from openbolt.settings import Settings
from openbolt.titled import list_page, rename

__all__ = ["DeleteChat", "ListChats", "ReadChat", "RenameChat"]

# Seconds for which a crash while deleting keeps the chat from being written to.
_DELETE_TTL = 30.0


@frozen
class ListChats:
    """``GET /api/chats``."""

    chats: ChatStore
    settings: Settings

    async def __call__(self, request: Request, /) -> Response:
        """The caller's chats, the latest change first; ``next`` goes on with ``?cursor=``."""
        size = self.settings.page_size
        return await list_page(request, self.chats, _row, name="chats", size=size)


@frozen
class ReadChat:
    """``GET /api/chats/{id}``."""

    chats: ChatStore
    leases: LeaseStore

    async def __call__(self, request: Request, /) -> Response:
        """The chat with its messages, and whether a reply is being written."""
        chat = await self.chats.load(request.path_params["id"], owner=principal_of(request))
        messages = [_message(chat, message) for message in await self.chats.messages(chat)]
        running = await self.leases.holder(f"chat:{chat.id}") is not None
        return json_response({**_row(chat), "running": running, "messages": messages})


@frozen
class RenameChat:
    """``PATCH /api/chats/{id}``."""

    chats: ChatStore
    settings: Settings

    async def __call__(self, request: Request, /) -> Response:
        """Give it another title."""
        return await rename(request, self.chats, _row, limit=self.settings.max_body_bytes)


@frozen
class DeleteChat:
    """``DELETE /api/chats/{id}``; its project stays."""

    chats: ChatStore
    leases: LeaseStore

    async def __call__(self, request: Request, /) -> Response:
        """Remove it; 423 while a reply is being written."""
        owner = principal_of(request)
        chat = await self.chats.load(request.path_params["id"], owner=owner, to="delete")
        # Held, not only looked at: a turn that began meanwhile would bring half of it back.
        lease = await self.leases.acquire(f"chat:{chat.id}", ttl=_DELETE_TTL)
        if lease is None:
            raise LockedError("A reply is being written in this chat; stop it first.")
        try:
            await self.chats.delete(chat.id, owner=owner)
        finally:
            await self.leases.release(lease)
        return Response(204)


def _row(chat: Chat) -> dict[str, Any]:
    return {
        "id": chat.id,
        "title": chat.title,
        "projectId": chat.project_id,
        "createdAt": iso_time(chat.created_at),
        "updatedAt": iso_time(chat.updated_at),
    }


def _message(chat: Chat, message: Message) -> dict[str, Any]:
    metadata = {
        **message.metadata,
        "chatId": chat.id,
        "projectId": chat.project_id,
        "status": message.status,
        "createdAt": iso_time(message.created_at),
    }
    return {
        "id": message.id,
        "role": message.role,
        "parts": list(message.parts),
        "metadata": metadata,
    }

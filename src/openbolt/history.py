"""Chats: write-once messages, and a head with their order that moves by compare-and-set.

Law: a message is written before the head names it and never changed after; so two tabs never lose
a message, and a failure half-way leaves the old chat whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from attrs import evolve, field, frozen

from openbolt.access import Action, Asker, Resource, acting_as, can, no_such, require
from openbolt.errors import ConflictError, NotFoundError
from openbolt.heads import Head, HeadStore, move_head
from openbolt.jsons import json_bytes, parse_json
from openbolt.protocols import Clock, KeyValueStore

__all__ = ["Chat", "ChatStore", "Message", "MessageStatus"]

_STOP_TTL = 120.0  # seconds; above any store's shortest time to live

MessageStatus = Literal["complete", "stopped", "interrupted", "failed"]


@frozen
class Message:
    """A message as it is stored. Time in seconds since the epoch.

    Attributes:
        parts: UI message parts, as the stream carried them, without transient ones.
        raw: What the model said, artifacts included: what it is shown again.
    """

    id: str
    role: Literal["user", "assistant"]
    created_at: float
    parts: tuple[Mapping[str, Any], ...]
    raw: str = ""
    status: MessageStatus = "complete"
    metadata: Mapping[str, Any] = field(factory=dict[str, Any])

    @property
    def text(self) -> str:
        """The text parts, joined by newlines."""
        return "\n".join([p["text"] for p in self.parts if p.get("type") == "text"])


@frozen
class Chat:
    """A chat's head. Times in seconds since the epoch.

    Attributes:
        order: Ids of its messages, oldest first.
        turn: The turn that runs, or ran last; its id is that of the message that it makes.
    """

    id: str
    owner: str
    project_id: str
    title: str
    created_at: float
    updated_at: float
    order: tuple[str, ...] = ()
    turn: str | None = None

    @property
    def resource(self) -> Resource:
        """What `can` is asked about."""
        return Resource("chat", self.owner, self.id)

    def to_bytes(self) -> bytes:
        """As the head holds it."""
        data = {
            "id": self.id,
            "owner": self.owner,
            "project_id": self.project_id,
            "title": self.title,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "order": self.order,
            "turn": self.turn,
        }
        return json_bytes(data, errors="surrogatepass")

    @classmethod
    def from_bytes(cls, raw: bytes) -> Chat:
        """The head that `to_bytes` wrote."""
        data: dict[str, Any] = parse_json(raw)
        data["order"] = tuple(data["order"])
        return cls(**data)


@frozen
class _Read:
    """A chat, and the head that it was read from."""

    head: Head
    chat: Chat


@frozen
class ChatStore:
    """Chats over a key-value store; their heads wherever compare-and-set is to be had."""

    kv: KeyValueStore
    heads: HeadStore
    clock: Clock

    async def find(self, chat_id: str, /) -> Chat | None:
        """Whoever's chat this is."""
        found = await self._read(chat_id)
        return None if found is None else found.chat

    async def load(self, chat_id: str, /, *, owner: Asker, to: Action = "read") -> Chat:
        """A chat of whoever asks, if they may do this with it.

        Raises:
            NotFoundError: There is none, or it is somebody else's.
            ForbiddenError: Their key lacks a scope.
        """
        chat = await self.find(chat_id)
        if chat is None:
            raise no_such("chat")
        require(owner, to, chat.resource)
        return chat

    async def list(self, owner: Asker, /) -> Sequence[Chat]:
        """The chats of whoever asks that they may read, the latest change first."""
        asker = acting_as(owner)
        prefix = _owner_key(asker.user_id, "")
        ids = [key.removeprefix(prefix) async for key in self.kv.scan(prefix)]
        found = await asyncio.gather(*(self.find(i) for i in ids))
        mine = (c for c in found if c is not None and can(asker, "read", c.resource))
        return sorted(mine, key=lambda c: (-c.updated_at, c.id))

    async def begin(
        self, chat: Chat, message: Message | None, /, *, seen: Sequence[str] | None = None
    ) -> Chat:
        """Store a user's message and name the turn that answers it.

        Args:
            chat: New, or as it was read, with ``order`` and ``turn`` as they shall be.
            seen: The order that ``chat.order`` was made from: what others have added since then
                stays, before what is new. None: nobody else can have added anything.

        Raises:
            ConflictError: A new chat's id was taken meanwhile.
        """
        seen_head = await self._read(chat.id)
        if seen_head is not None and seen_head.chat.owner != chat.owner:
            raise ConflictError("There is a chat with this id.")
        if message is not None:
            await self.write(chat.id, message)
        now = self.clock.now()
        await self.kv.set(_owner_key(chat.owner, chat.id), b"")

        def change(stored: Chat | None) -> Chat:
            current = stored or chat
            if current.owner != chat.owner:
                raise ConflictError("There is a chat with this id.")
            order = chat.order if seen is None else _merged(current.order, chat.order, seen)
            return evolve(current, order=order, turn=chat.turn, updated_at=now)

        return await self._move(chat.id, change, seen=seen_head)

    async def add(self, chat_id: str, message: Message, /, *, title: str | None = None) -> None:
        """Append a message; a second time changes nothing.

        Raises:
            NotFoundError: The chat was deleted meanwhile.
        """
        seen = await self._read(chat_id)
        if seen is None:
            raise no_such("chat")
        if message.id in seen.chat.order:
            return
        await self.write(chat_id, message)

        def change(chat: Chat) -> Chat:
            order = chat.order if message.id in chat.order else (*chat.order, message.id)
            return evolve(chat, order=order, title=title or chat.title, updated_at=self.clock.now())

        try:
            await self._change(chat_id, change, seen=seen)
        except NotFoundError:
            await self.kv.delete(_message_key(chat_id, message.id))
            raise

    async def forget_turn(self, chat_id: str, /) -> None:
        """Say that there is no turn to read any more."""
        await self._change(chat_id, lambda chat: evolve(chat, turn=None))

    async def ask_stop(self, chat_id: str, writer: str, /) -> None:
        """Leave word for the process that writes a chat; it looks twice a second.

        Args:
            writer: The fence of its lease: known before the chat names a turn.
        """
        await self.kv.set(_stop_key(chat_id), writer.encode(), ttl=_STOP_TTL)

    async def is_stop_asked(self, chat_id: str, writer: str, /) -> bool:
        """Whether somebody left word to stop this writer."""
        return await self.kv.get(_stop_key(chat_id)) == writer.encode()

    async def rename(self, chat_id: str, title: str, /, *, owner: Asker) -> Chat:
        """Give a chat another title."""
        await self.load(chat_id, owner=owner, to="write")
        return await self._change(chat_id, lambda chat: evolve(chat, title=title))

    async def messages(self, chat: Chat, /) -> Sequence[Message]:
        """A chat's messages, oldest first."""
        keys = [_message_key(chat.id, message_id) for message_id in chat.order]
        found = await asyncio.gather(*(self.kv.get(key) for key in keys))
        return [_message(raw) for raw in found if raw is not None]

    async def delete(self, chat_id: str, /, *, owner: Asker) -> None:
        """Remove a chat and its messages; what failed half-way can be asked for again."""
        chat = await self.load(chat_id, owner=owner, to="delete")
        for key in [key async for key in self.kv.scan(f"chat:{chat_id}/")]:
            if key != _head_key(chat_id):
                await self.kv.delete(key)
        await self.heads.discard(_head_key(chat_id))
        await self.kv.delete(_owner_key(chat.owner, chat_id))

    async def _change(
        self,
        chat_id: str,
        change: Callable[[Chat], Chat],
        *,
        seen: _Read | Literal["unread"] = "unread",
    ) -> Chat:
        def known(chat: Chat | None) -> Chat:
            if chat is None:
                raise no_such("chat")
            return change(chat)

        return await self._move(chat_id, known, seen=seen)

    async def _move(
        self,
        chat_id: str,
        change: Callable[[Chat | None], Chat],
        *,
        seen: _Read | Literal["unread"] | None,
    ) -> Chat:
        """`move_head` of a chat that was read as ``seen``."""
        changed: Chat | None = None

        def on_bytes(raw: bytes | None) -> bytes:
            nonlocal changed
            if isinstance(seen, _Read) and raw is seen.head.data:
                changed = change(seen.chat)
            else:
                changed = change(None if raw is None else Chat.from_bytes(raw))
            return changed.to_bytes()

        head = seen.head if isinstance(seen, _Read) else seen
        await move_head(self.heads, _head_key(chat_id), on_bytes, seen=head)
        assert changed is not None
        return changed

    async def _read(self, chat_id: str) -> _Read | None:
        head = await self.heads.load(_head_key(chat_id))
        return None if head is None else _Read(head, Chat.from_bytes(head.data))

    async def write(self, chat_id: str, message: Message, /) -> None:
        """Store a message that no head names yet."""
        data = {
            "id": message.id,
            "role": message.role,
            "created_at": message.created_at,
            "parts": message.parts,
            "raw": message.raw,
            "status": message.status,
            "metadata": message.metadata,
        }
        raw = json_bytes(data, errors="surrogatepass")
        await self.kv.set(_message_key(chat_id, message.id), raw)


def _merged(current: Sequence[str], wanted: Sequence[str], seen: Sequence[str]) -> tuple[str, ...]:
    others = [i for i in current if i not in seen and i not in wanted]
    new = next((at for at, i in enumerate(wanted) if i not in seen), len(wanted))
    return (*wanted[:new], *others, *wanted[new:])


def _message(raw: bytes) -> Message:
    data: dict[str, Any] = parse_json(raw)
    data["parts"] = tuple(data["parts"])
    return Message(**data)


def _head_key(chat_id: str) -> str:
    return f"chat:{chat_id}/head"


def _message_key(chat_id: str, message_id: str) -> str:
    return f"chat:{chat_id}/message/{message_id}"


def _stop_key(chat_id: str) -> str:
    return f"chat:{chat_id}/stop"


def _owner_key(owner: str, chat_id: str) -> str:
    return f"user:{owner}/chat/{chat_id}"

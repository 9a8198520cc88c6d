"""Sharing over HTTP: make, list and revoke links, and read what they are to.

Laws: a link reads and does nothing else. It shows the thing as it is now, never an earlier version,
and of a chat what was said, never what it cost or what the model thought. No answer to a link is
kept by a cache or an index, nor names the link to another site.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

from attrs import evolve, frozen

from openbolt.access import Resource, owner_of, principal_of
from openbolt.bodies import iso_time, json_response, read_json
from openbolt.chat.recovery import Recovery
from openbolt.errors import (
    InvalidRequestError,
    NotFoundError,
    OpenBoltError,
    UnsupportedMediaTypeError,
)
from openbolt.guards import answer_errors
from openbolt.history import Chat, ChatStore, Message
from openbolt.http import Handler, Request, Response
from openbolt.projects.handler import ExportProject, ReadFile, project_body
from openbolt.projects.store import Project, ProjectStore
from openbolt.protocols import LeaseStore
from openbolt.sharing import Share, Shareable, Shares, dead_link

__all__ = [
    "CreateShare",
    "ExportShared",
    "Links",
    "ListShares",
    "NewShare",
    "ReadShared",
    "ReadSharedFile",
    "RevokeShare",
    "forgetting_shares",
]

_log = logging.getLogger("openbolt")

_MAX_BODY_BYTES = 16 * 1024
_MIN_LIFE = 60.0
_MAX_LIFE = 3650 * 86_400.0
_LINK_HEADERS = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex",
}
_SHOWN_PARTS = frozenset({"text", "data-artifact", "data-action", "data-file"})
_SHOWN_METADATA = ("finishReason",)


@frozen
class NewShare:
    """How long a link is wanted for.

    Attributes:
        expires_in: Seconds; None: until it is revoked.
    """

    expires_in: float | None = None

    def end(self, now: float) -> float | None:
        """When it ends, in seconds since the epoch; a minute to ten years from now."""
        if self.expires_in is None:
            return None
        if not (math.isfinite(self.expires_in) and _MIN_LIFE <= self.expires_in <= _MAX_LIFE):
            raise InvalidRequestError(
                "expiresIn: must be a minute to ten years, in seconds", field="expiresIn"
            )
        return now + self.expires_in


@frozen
class CreateShare:
    """``POST /api/projects/{id}/shares``, and the same for a chat."""

    shares: Shares
    things: ProjectStore | ChatStore

    async def __call__(self, request: Request, /) -> Response:
        """Make a link; ``token`` and ``url`` are in this answer and in no other."""
        asker = principal_of(request)
        wanted = await _wanted(request)
        expires_at = wanted.end(self.shares.clock.now())
        thing = await self.things.load(request.path_params["id"], owner=asker, to="share")
        token, share = await self.shares.create(thing, by=asker, expires_at=expires_at)
        url = f"{request.root_path}/api/shared/{token}"
        return json_response({**_row(share), "token": token, "url": url}, status=201)


@frozen
class ListShares:
    """``GET /api/projects/{id}/shares``, and the same for a chat."""

    shares: Shares
    things: ProjectStore | ChatStore

    async def __call__(self, request: Request, /) -> Response:
        """The links to it, the newest first."""
        asker = principal_of(request)
        thing = await self.things.load(request.path_params["id"], owner=asker, to="share")
        found = await self.shares.list(thing.owner, of=thing)
        return json_response({"shares": [_row(share) for share in found]})


@frozen
class RevokeShare:
    """``DELETE /api/shares/{id}``."""

    shares: Shares

    async def __call__(self, request: Request, /) -> Response:
        """Make it open nothing, at once; 404 for anybody else's."""
        await self.shares.revoke(request.path_params["id"], by=principal_of(request))
        return Response(204)


def forgetting_shares(handler: Handler, /, shares: Shares, kind: Shareable) -> Handler:
    """Revoke the links to what a handler has deleted. They open nothing anyway; so that this
    fails fails nothing.
    """

    async def forgetting(request: Request, /) -> Response:
        response = await handler(request)
        try:
            await shares.forget(Resource(kind, owner_of(request), request.path_params["id"]))
        except OpenBoltError as exc:
            _log.warning("links to a deleted %s are left: %s", kind, exc)
        return response

    return forgetting


@frozen
class Links:
    """From a link to the thing that it is to."""

    shares: Shares
    projects: ProjectStore
    chats: ChatStore
    recovery: Recovery

    async def follow(self, token: str, /) -> tuple[Share, Project | Chat]:
        """The link and its thing, what a crash left of it settled.

        Raises:
            NotFoundError: The link opens nothing, or its thing was deleted.
        """
        share = await self.shares.open(token)
        try:
            thing: Project | Chat
            if share.kind == "project":
                await self.recovery.settle(share.thing, owner=share.owner)
                thing = await self.projects.load(share.thing, owner=share.bearer)
            else:
                await self.recovery.settle_chat(share.thing, owner=share.owner)
                thing = await self.chats.load(share.thing, owner=share.bearer)
        except NotFoundError:
            raise dead_link() from None
        if not share.is_to(thing):
            raise dead_link()
        return share, thing


@frozen
class ReadShared:
    """``GET /api/shared/{token}``."""

    links: Links
    leases: LeaseStore

    async def __call__(self, request: Request, /) -> Response:
        """The project with its files, or the chat with its messages; ``kind`` says which."""
        return await _unlisted(self._read, request)

    async def _read(self, request: Request) -> Response:
        _, thing = await self.links.follow(request.path_params["token"])
        if isinstance(thing, Project):
            manifest = await self.links.projects.manifest(thing)
            return json_response({"kind": "project", **project_body(thing, manifest)})
        messages = await self.links.chats.messages(thing)
        running = await self.leases.holder(f"chat:{thing.id}") is not None
        return json_response({"kind": "chat", **_chat_body(thing, messages, running=running)})


@frozen
class ReadSharedFile:
    """``GET /api/shared/{token}/files/{path}``."""

    links: Links

    async def __call__(self, request: Request, /) -> Response:
        """A file of a shared project, as `ReadFile` gives it."""
        return await _unlisted(self._read, request)

    async def _read(self, request: Request) -> Response:
        return await ReadFile(self.links.projects)(await _as_bearer(self.links, request))


@frozen
class ExportShared:
    """``GET /api/shared/{token}/export``."""

    links: Links

    async def __call__(self, request: Request, /) -> Response:
        """A shared project as a zip archive."""
        return await _unlisted(self._read, request)

    async def _read(self, request: Request) -> Response:
        return await ExportProject(self.links.projects)(await _as_bearer(self.links, request))


async def _unlisted(handler: Handler, request: Request) -> Response:
    response = await answer_errors(handler)(request)
    return response.with_headers(_LINK_HEADERS)


async def _as_bearer(links: Links, request: Request) -> Request:
    """The request as its owner's handler takes it: for this project alone, as it is now."""
    share, _ = await links.follow(request.path_params["token"])
    if share.kind != "project":
        raise NotFoundError("This link is to a chat, which has no files.")
    params = {**request.path_params, "id": share.thing}
    narrowed = evolve(request, query="", path_params=MappingProxyType(params))
    return narrowed.with_context(principal=share.bearer)


async def _wanted(request: Request) -> NewShare:
    if "content-type" in request.headers:
        return await read_json(request, NewShare, limit=_MAX_BODY_BYTES)
    if await request.read(_MAX_BODY_BYTES):
        raise UnsupportedMediaTypeError("Send the body as application/json.")
    return NewShare()


def _row(share: Share) -> dict[str, Any]:
    return {
        "id": share.id,
        "createdAt": iso_time(share.created_at),
        "expiresAt": None if share.expires_at is None else iso_time(share.expires_at),
    }


def _chat_body(chat: Chat, messages: Sequence[Message], *, running: bool) -> dict[str, Any]:
    return {
        "id": chat.id,
        "title": chat.title,
        "createdAt": iso_time(chat.created_at),
        "updatedAt": iso_time(chat.updated_at),
        "running": running,
        "messages": [_message(message) for message in messages],
    }


def _message(message: Message) -> dict[str, Any]:
    shown = {name: message.metadata[name] for name in _SHOWN_METADATA if name in message.metadata}
    return {
        "id": message.id,
        "role": message.role,
        "parts": [part for part in message.parts if part.get("type") in _SHOWN_PARTS],
        "metadata": {
            **shown,
            "status": message.status,
            "createdAt": iso_time(message.created_at),
        },
    }

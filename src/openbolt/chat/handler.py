"""Start a turn, read it again, stop it.

Law: whatever is wrong before the model has answered becomes a status and a JSON body, and nothing
is stored; whatever goes wrong after it is an event in the stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Literal

from attrs import evolve, frozen

from openbolt.access import Resource, can, principal_of, require
from openbolt.bodies import json_response, read_json
from openbolt.chat.context import Context, choose_files
from openbolt.chat.messages import ChatBody, Submission, read_submission
from openbolt.chat.prompt import conversation, recent, system_prompt
from openbolt.chat.reading import TurnBody
from openbolt.chat.recovery import Recovery
from openbolt.chat.running import RunningTurn
from openbolt.chat.turn import TurnPlan, TurnRunner
from openbolt.chat.wire import WireForm, choose_form
from openbolt.errors import (
    ConflictError,
    InvalidRequestError,
    LockedError,
    NotFoundError,
    RateLimitedError,
)
from openbolt.hidden import Hidden
from openbolt.history import Chat, Message
from openbolt.http import Headers, Principal, Request, Response
from openbolt.model import ModelRequest
from openbolt.projects.store import Manifest
from openbolt.protocols import Lease, TokenSource
from openbolt.secrets import SecretStore, reading_own_key

__all__ = ["ReadTurn", "StartTurn", "StopTurn", "chat_title"]


@frozen
class StartTurn:
    """``POST /api/chat``."""

    runner: TurnRunner
    recovery: Recovery
    tokens: TokenSource
    secrets: SecretStore | None = None

    async def __call__(self, request: Request, /) -> Response:
        """Check, plan, call the model, and answer with the turn's stream."""
        settings = self.runner.settings
        body = await read_json(request, ChatBody, limit=settings.max_body_bytes)
        submission = read_submission(
            body,
            now=self.runner.clock.now(),
            tokens=self.tokens,
            max_message_bytes=settings.max_message_bytes,
        )
        if submission.model and settings.models and submission.model not in settings.models:
            names = ", ".join(settings.models)
            raise InvalidRequestError(f"model: must be one of {names}", field="model")
        asker = principal_of(request)
        owner = asker.user_id
        require(asker, "write", Resource("chat", owner, submission.chat_id or ""))
        handle = RunningTurn(settings.disconnect_grace)
        if not self.runner.running.admit(owner, handle, limit=settings.max_turns_per_user):
            raise RateLimitedError(
                f"The limit of replies being written at once is {settings.max_turns_per_user} "
                "(max_turns_per_user).",
                retry_after=5.0,
            )
        try:
            async with reading_own_key(self.secrets, owner) as own_key:
                plan, lease = await self._prepare(submission, asker, handle, own_key)
        except BaseException:
            handle.ends.close()
            raise
        started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        request.context.spawn(self.runner.run(plan, lease, handle, started))
        is_here = await _answered(request, started, handle)
        form = choose_form(request)
        stream = TurnBody(self.runner.log, plan.turn_id, form, turn=handle)
        if is_here:
            handle.detach()  # the stream reads now
        return _stream(stream, form, plan.chat)

    async def _prepare(
        self,
        submission: Submission,
        asker: Principal,
        handle: RunningTurn,
        own_key: Awaitable[Hidden | None],
    ) -> tuple[TurnPlan, Lease]:
        """Take the chat and plan its turn."""
        settings = self.runner.settings
        chat = await self._chat(submission, asker)
        lease = await self.runner.leases.acquire(f"chat:{chat.id}", ttl=settings.lease_ttl)
        if lease is None:
            raise LockedError("A reply is being written in this chat; wait for it or stop it.")
        self.runner.running.own(asker.user_id, chat.id, handle)
        try:
            # What was read before the lease may be old by now; an id made here is nobody else's.
            is_named = chat.id == submission.chat_id
            known = await self.runner.chats.find(chat.id) if is_named else None
            if known is not None:
                if not can(asker, "write", known.resource):
                    raise ConflictError("There is a chat with this id.")
                chat = known
                await self.recovery.settle(chat.project_id, owner=chat.owner, holding=chat.id)
                chat = await self.runner.chats.load(chat.id, owner=asker, to="write")
            plan = await self._plan(submission, chat, asker, is_new=known is None)
            if (key := await own_key) is not None:
                plan = evolve(plan, request=evolve(plan.request, api_key=key.reveal()))
            return plan, lease
        except BaseException:
            await self.runner.leases.release(lease)
            raise

    async def _chat(self, submission: Submission, asker: Principal) -> Chat:
        """The chat that is meant: a known one of theirs, else a new one."""
        known = await self.runner.chats.find(submission.chat_id) if submission.chat_id else None
        if known is not None and can(asker, "write", known.resource):
            return known
        taken = known is not None or submission.chat_id is None
        chat_id = self.tokens.token() if taken else str(submission.chat_id)
        now = self.runner.clock.now()
        title = chat_title(submission.message.text)
        return Chat(chat_id, asker.user_id, "", title, now, now)

    async def _plan(
        self, submission: Submission, chat: Chat, asker: Principal, *, is_new: bool
    ) -> TurnPlan:
        runner = self.runner
        earlier: tuple[Message, ...] = ()
        history: list[Message]
        message: Message | None = submission.message
        if is_new:
            earlier = _unique(submission.earlier, submission.message.id)
            history = [*earlier, submission.message]
        else:
            stored = list(await runner.chats.messages(chat))
            history, message = _continue_history(stored, submission, self.tokens)
        seen = None if is_new else chat.order
        project_id, base, new_project = await self._project(submission, chat, asker)
        context = await self._context(submission, history, base)
        turn_id = self.tokens.token()
        model_request = ModelRequest(
            submission.model or runner.settings.model,
            conversation(history, context.text, budget=runner.settings.history_tokens),
            runner.settings.max_tokens,
            system=system_prompt(submission.mode),
            thinking=_thinking(runner.settings.thinking),
        )
        return TurnPlan(
            turn_id,
            evolve(
                chat,
                project_id=project_id,
                order=tuple([m.id for m in history]),
                turn=turn_id,
            ),
            model_request,
            base,
            submission.mode,
            message=message,
            seen=seen,
            earlier=earlier,
            new_project=new_project,
            context=context,
        )

    async def _project(
        self, submission: Submission, chat: Chat, asker: Principal
    ) -> tuple[str, Manifest, str | None]:
        """The id of the chat's project, the version it starts from, and a title if it is new.

        Whoever may write a chat may build in its project; to begin in another one takes the right
        to that.
        """
        projects = self.runner.projects
        if chat.project_id:
            try:
                project = await projects.load(chat.project_id, owner=chat.owner)
            except NotFoundError:
                if await projects.exists(chat.project_id):
                    raise
                # It was deleted: begin again under its id.
                return chat.project_id, Manifest.empty(), chat.title
            return chat.project_id, await projects.manifest(project), None
        wanted = submission.project_id
        if wanted is not None:
            try:
                project = await projects.load(wanted, owner=asker, to="write")
            except NotFoundError:
                if await projects.exists(wanted):
                    wanted = None
            else:
                return wanted, await projects.manifest(project), None
        return wanted or self.tokens.token(), Manifest.empty(), chat.title

    async def _context(
        self, submission: Submission, history: list[Message], base: Manifest
    ) -> Context:
        settings = self.runner.settings
        return await choose_files(
            self.runner.projects,
            base,
            prompt=submission.message.text,
            said=[m.raw for m in recent(history, settings.history_tokens) if m.role == "assistant"],
            budget=settings.context_tokens,
        )


@frozen
class ReadTurn:
    """``GET /api/chat/{id}/stream``: a running or just-finished reply, after ``Last-Event-ID``."""

    runner: TurnRunner

    async def __call__(self, request: Request, /) -> Response:
        """The stream, or 204 if there is nothing to read."""
        after = _last_event_id(request)
        asker = principal_of(request)
        # A page asks before its chat exists; and whether somebody else's does is not told.
        chat = await self.runner.chats.find(request.path_params["id"])
        if chat is None or chat.turn is None or not can(asker, "read", chat.resource):
            return Response(204)
        if not await self.runner.log.has(chat.turn):
            return Response(204)
        form = choose_form(request)
        handle = self.runner.running.get(chat.turn)
        body = TurnBody(self.runner.log, chat.turn, form, after=after, turn=handle)
        return _stream(body, form, chat)


@frozen
class StopTurn:
    """``POST /api/chat/{id}/stop``."""

    runner: TurnRunner

    async def __call__(self, request: Request, /) -> Response:
        """Whether there was a turn to stop; what came so far is kept."""
        asker, chat_id = principal_of(request), request.path_params["id"]
        require(asker, "write", Resource("chat", asker.user_id, chat_id))
        # Here first: a new chat isn't stored before the model has answered.
        handle = self.runner.running.in_chat(asker.user_id, chat_id)
        if handle is not None:
            return json_response({"stopped": handle.end("stopped")})
        chat = await self.runner.chats.load(chat_id, owner=asker, to="write")
        return json_response({"stopped": await self._stop_elsewhere(chat)})

    async def _stop_elsewhere(self, chat: Chat) -> bool:
        """Leave word for another process; False if nobody runs a turn there."""
        holder = await self.runner.leases.holder(f"chat:{chat.id}")
        if holder is None or not self.runner.log.limits.shared:
            return False
        await self.runner.chats.ask_stop(chat.id, str(holder.fence))
        return True


async def _answered(request: Request, started: asyncio.Future[None], handle: RunningTurn) -> bool:
    """Wait until the model has answered, the client being the turn's reader meanwhile; whether it
    has stayed.
    """
    is_here = True
    handle.attach()

    def leave(_: object) -> None:
        nonlocal is_here
        if not started.done():
            is_here = False
            handle.detach()

    gone = asyncio.ensure_future(request.context.gone()) if request.context.gone else None
    if gone is not None:
        gone.add_done_callback(leave)
    try:
        await started
    except asyncio.CancelledError:
        handle.end("abandoned")
        raise
    finally:
        if gone is not None:
            gone.remove_done_callback(leave)
            gone.cancel()
    return is_here


def chat_title(text: str, /) -> str:
    """The first line of a prompt, 60 characters at most."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= 60 else line[:59].rstrip() + "…"


def _continue_history(
    stored: list[Message], submission: Submission, tokens: TokenSource
) -> tuple[list[Message], Message | None]:
    """The stored history with what this submission adds, and the message that is to be stored."""
    ids = [m.id for m in stored]
    if submission.regenerate is not None:
        cut = ids.index(submission.regenerate) if submission.regenerate in ids else None
        if cut is not None and stored[cut].role == "user":
            cut += 1  # answer this message again
        if cut is None:
            cut = max((i + 1 for i, m in enumerate(stored) if m.role == "user"), default=0)
        if any(m.role == "user" for m in stored[:cut]):
            return stored[:cut], None
    message = submission.message
    if message.id in ids:
        if stored and stored[-1].id == message.id and stored[-1].role == "user":
            return stored, None  # sent again after a turn that made nothing
        message = evolve(message, id=tokens.token())
    return [*stored, message], message


def _unique(messages: tuple[Message, ...], taken: str) -> tuple[Message, ...]:
    return tuple({m.id: m for m in messages if m.id != taken}.values())


def _thinking(budget: int) -> int | Literal["adaptive"] | None:
    return "adaptive" if budget < 0 else budget or None


def _last_event_id(request: Request) -> int:
    text = request.headers.get("last-event-id")
    if text is None:
        return -1
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise InvalidRequestError("Last-Event-ID: must be a whole number", field="Last-Event-ID")
    return int(text)


def _stream(body: TurnBody, form: WireForm, chat: Chat) -> Response:
    headers = Headers.of(
        {**form.headers, "x-openbolt-chat": chat.id, "x-openbolt-project": chat.project_id}
    )
    return Response(200, headers, body)

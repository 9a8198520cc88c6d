"""One reply, from the first byte to the commit.

Law: a turn belongs to its runner, not to a response. Readers come and go; the runner writes to the
event log, journals every whole file as it closes, and settles exactly once: version committed,
message stored, lease given back, last event written, log closed - in this order, so that whoever
sees the end finds everything in its place and can go on at once. Before the model has answered,
nothing is stored; then the journal comes first and goes last, so that a crash at any moment leaves
either nothing or something to settle.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from decimal import Decimal
from typing import Any, cast

from attrs import evolve, field, frozen

from openbolt.chat import events
from openbolt.chat.assembly import FileReady, Output, ReplyAssembler
from openbolt.chat.context import Context
from openbolt.chat.keeping import Keeper
from openbolt.chat.messages import Mode
from openbolt.chat.parts import PartsBuilder
from openbolt.chat.prompt import CONTINUE
from openbolt.chat.running import RunningTurn, RunningTurns
from openbolt.chat.saving import FileSaver
from openbolt.costs import PriceTable
from openbolt.errors import (
    ConflictError,
    OpenBoltError,
    UpstreamError,
    UpstreamRateLimitedError,
    UpstreamTimeoutError,
)
from openbolt.history import Chat, ChatStore, Message, MessageStatus
from openbolt.model import ModelMessage, ModelRequest, StopReason
from openbolt.projects.journal import JournalHead, JournalStore
from openbolt.projects.store import Manifest, Project, ProjectStore
from openbolt.protocols import (
    Clock,
    EventLog,
    Lease,
    LeaseStore,
    Meter,
    ModelProvider,
    TokenSource,
)
from openbolt.retries import full_jitter
from openbolt.settings import Settings

__all__ = ["TurnPlan", "TurnRunner"]

_log = logging.getLogger("openbolt.chat")
_FINISH: dict[StopReason, events.FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content-filter",
    "tool_use": "tool-calls",
    "unknown": "other",
}


@frozen
class TurnPlan:
    """All that is decided before the model is called.

    Attributes:
        turn_id: Also the id of the message that the turn makes.
        chat: As it shall be stored when the model has answered.
        message: The user's, if it isn't stored yet; ``earlier`` likewise.
        seen: The order of messages that the plan was made from; None for a new chat.
        new_project: The project has to be created, under this title.
        base: The version that the model is shown.
    """

    turn_id: str
    chat: Chat
    request: ModelRequest
    base: Manifest
    mode: Mode
    message: Message | None = None
    seen: tuple[str, ...] | None = None
    earlier: tuple[Message, ...] = ()
    new_project: str | None = None
    context: Context = field(factory=Context)


@frozen
class TurnRunner:
    """Runs turns; what it needs, and no more."""

    provider: ModelProvider
    log: EventLog
    leases: LeaseStore
    journals: JournalStore
    projects: ProjectStore
    chats: ChatStore
    clock: Clock
    prices: PriceTable
    settings: Settings
    running: RunningTurns
    tokens: TokenSource
    own_key_prices: PriceTable | None = None  # None: as `prices`
    meter: Meter | None = None

    async def run(
        self,
        plan: TurnPlan,
        lease: Lease,
        handle: RunningTurn,
        started: asyncio.Future[None],
        /,
    ) -> None:
        """Run one turn to its end.

        Args:
            lease: On the chat; the runner renews it and gives it back.
            started: Told when the model has answered and the log is open, or the error if it
                hasn't; an error after that goes into the log.
        """
        turn = _Turn(self, plan, lease, handle, started)
        try:
            with self.running.enter(plan.turn_id, handle):
                await _run_to_end(turn, handle)
        finally:
            try:
                await turn.keeper.release()
            finally:
                if not started.done():
                    started.set_exception(
                        turn.failure
                        or ConflictError("The reply was stopped before it began.", code="stopped")
                    )
                    started.exception()  # nobody may be waiting any more


async def _run_to_end(turn: _Turn, handle: RunningTurn) -> None:
    """Run a turn in a task of its own, which a cancellation only ends as a stop does.

    A second cancellation reaches it.
    """
    work = asyncio.create_task(turn.run())
    try:
        await asyncio.shield(work)
    except asyncio.CancelledError:
        handle.end("interrupted")
        await work
        raise


class _Turn:
    """The state of one run."""

    def __init__(
        self,
        runner: TurnRunner,
        plan: TurnPlan,
        lease: Lease,
        handle: RunningTurn,
        started: asyncio.Future[None],
    ) -> None:
        self.failure: OpenBoltError | None = None
        self._r = runner
        self._plan = plan
        self._handle = handle
        self._started = started
        self._assembler = ReplyAssembler()
        self._parts = PartsBuilder()
        self._journal = JournalHead(
            plan.turn_id,
            plan.chat.id,
            plan.chat.project_id,
            plan.chat.owner,
            plan.base.number,
            runner.clock.now(),
        )
        self._saver = FileSaver(
            runner.projects, runner.journals, self._journal, plan.base, plan.mode, runner.settings
        )
        self.keeper = Keeper(
            lease,
            self._journal,
            self._assembler,
            handle,
            leases=runner.leases,
            journals=runner.journals,
            chats=runner.chats,
            log=runner.log,
            clock=runner.clock,
            settings=runner.settings,
        )
        self._founded = plan.new_project is None
        self._project: Project | None = None
        self._pending: deque[Output] = deque()

    async def run(self) -> None:
        self.keeper.start()
        try:
            status, last = await self._pump_to_end()
        finally:
            await self.keeper.stop()
        if self.keeper.begun:
            await self._settle(status, last)

    async def _pump_to_end(self) -> tuple[MessageStatus, events.TurnEvent]:
        try:
            async with asyncio.timeout(None) as scope:
                with self._handle.pumping(scope):
                    await self._pump()
        except OpenBoltError as exc:
            return self._failed(exc)
        except Exception as exc:
            if isinstance(exc, TimeoutError) and self._handle.reason is not None:
                return self._ended_from_outside()
            _log.exception("turn %s broke", self._plan.turn_id)
            error = OpenBoltError("Something went wrong on the server; what came so far is kept.")
            error.__cause__ = exc
            return self._failed(error)
        reason = self._assembler.stop_reason or "unknown"
        return "complete", events.TurnFinished(_FINISH[reason])

    def _ended_from_outside(self) -> tuple[MessageStatus, events.TurnEvent]:
        match self._handle.reason:
            case "silent":
                seconds = self._r.settings.silence_timeout
                return self._failed(
                    self._timed_out(f"The model sent nothing for {seconds:g} seconds")
                )
            case "late":
                seconds = self._r.settings.turn_timeout
                return self._failed(self._timed_out(f"The reply took over {seconds:g} seconds"))
            case "broken" if self.keeper.failure is not None:
                return self._failed(self.keeper.failure)
            case "interrupted":
                return "interrupted", events.TurnAborted()
            case _:
                return "stopped", events.TurnAborted()

    def _timed_out(self, what: str) -> UpstreamTimeoutError:
        return UpstreamTimeoutError(
            f"{what}; what came so far is kept." if self.keeper.begun else f"{what}."
        )

    def _failed(self, error: OpenBoltError) -> tuple[MessageStatus, events.TurnEvent]:
        self.failure = error
        if self.keeper.begun:
            _log.warning("turn %s failed: %s", self._plan.turn_id, error)
        return "failed", events.TurnFailed(error.public_message, error.code)

    async def _pump(self) -> None:
        settings = self._r.settings
        request, segments, recoveries = self._plan.request, 0, 0
        while True:
            self._assembler.begin_segment()
            try:
                await self._stream(request)
            except UpstreamError as exc:
                if not (
                    self.keeper.begun and exc.retryable and recoveries < settings.max_recoveries
                ):
                    raise
                recoveries += 1
                await self._recover(recoveries, exc)
            else:
                segments += 1
                done = self._assembler.stop_reason != "max_tokens"
                if done or segments >= settings.max_segments or self._is_over_budget():
                    return
            await self._emit(self._assembler.end_segment())
            request = self._continued(request)

    def _is_over_budget(self) -> bool:
        """Whether the turn has spent ``budget_usd_per_turn``; never for a model without a price."""
        budget = self._r.settings.budget_usd_per_turn
        cost = self._cost()
        return budget is not None and cost is not None and cost >= budget

    def _cost(self) -> Decimal | None:
        request, r = self._plan.request, self._r
        prices = r.prices if request.api_key is None else r.own_key_prices or r.prices
        return prices.cost(request.model, self._assembler.usage)

    async def _stream(self, request: ModelRequest) -> None:
        """One model call, read to its end and closed."""
        limit, keeper = self._r.settings.max_reply_bytes, self.keeper
        monotonic, assembler = self._r.clock.monotonic, self._assembler
        async with self._r.provider.stream(request) as batches:
            keeper.alive_at = monotonic()
            if not keeper.begun:
                await self._undisturbed(self._begin())
            async for batch in batches:
                keeper.alive_at = monotonic()
                await self._emit(assembler.feed(batch))
                if not self._founded:
                    await self._undisturbed(self._found())
                if assembler.size > limit:
                    raise OpenBoltError(
                        f"The reply is over {limit} bytes; what came so far is kept.",
                        code="reply_too_large",
                    )

    async def _recover(self, attempt: int, exc: UpstreamError) -> None:
        """Say that the stream broke, and wait with full jitter before the model is asked on."""
        wait = full_jitter(self._r.tokens, attempt)
        if isinstance(exc, UpstreamRateLimitedError) and exc.retry_after is not None:
            wait = max(wait, exc.retry_after)
        if wait > self._r.settings.silence_timeout:
            raise exc
        _log.info("turn %s asks on after: %s", self._plan.turn_id, exc)
        data = {"kind": "recovery", "message": "The connection to the model broke; asking on."}
        await self._say([events.DataPart("notice", f"recovery-{attempt}", data)])
        self.keeper.alive_at = self._r.clock.monotonic()
        await self._r.clock.sleep(wait)
        self.keeper.alive_at = self._r.clock.monotonic()

    def _continued(self, request: ModelRequest) -> ModelRequest:
        """The request that asks on; the same one if the segment said nothing."""
        blocks = self._assembler.segment_blocks()
        if not blocks:
            return request
        said = ModelMessage("assistant", blocks)
        ask = ModelMessage.text("user", CONTINUE)
        return evolve(request, messages=(*request.messages, said, ask))

    async def _begin(self) -> None:
        """The model has answered: store the question, open the log, let the response go.

        The journal first: what `openbolt.chat.recovery` finds without the chat naming this turn
        never began. Where this fails, the journal stays for it, since a store whose answer was
        lost may have done its work.
        """
        r, plan = self._r, self._plan
        await r.journals.begin(self._journal)
        for message in plan.earlier:
            await r.chats.write(plan.chat.id, message)
        await r.chats.begin(plan.chat, plan.message, seen=plan.seen)
        await r.log.open(plan.turn_id)
        self.keeper.begun = True
        chat = plan.chat
        opening: list[events.TurnEvent] = [
            events.TurnStarted(plan.turn_id, chat.id, chat.project_id),
            events.StepStarted(),
        ]
        if plan.context.included or plan.context.omitted:
            opening.append(events.DataPart("context", "context", plan.context.receipt()))
        await self._say(opening)
        if not self._started.done():
            self._started.set_result(None)

    async def _found(self) -> None:
        """Create the project, if it is new; tried once.

        After the first events are out, since it costs the most of all that a turn begins with, and
        before the first file is saved.
        """
        self._founded = True
        chat, title = self._plan.chat, self._plan.new_project
        if title is not None:
            try:
                made = await self._r.projects.create(chat.project_id, chat.owner, title)
                self._project = made
            except ConflictError:
                # Another chat's first turn was quicker; somebody else's project is not found.
                await self._r.projects.load(chat.project_id, owner=chat.owner)

    async def _undisturbed(self, step: Coroutine[Any, Any, None]) -> None:
        """Do all of a step even if the turn is ended meanwhile; the end comes after it."""
        self._handle.hold()
        try:
            await step
        finally:
            self._handle.let_go()
        if self._handle.reason is not None:
            await asyncio.sleep(0)

    def _emit(self, outputs: Sequence[Output]) -> Coroutine[Any, Any, None]:
        """Say what happened and save files; what a stop cuts off here comes with the next call."""
        if not self._pending and FileReady not in map(type, outputs):  # as almost always
            return self._say(cast("Sequence[events.TurnEvent]", outputs))
        self._pending.extend(outputs)
        return self._say_pending()

    async def _say_pending(self) -> None:
        pending = self._pending
        said: list[events.TurnEvent] = []
        while pending:
            output = pending[0]
            if isinstance(output, FileReady):
                await self._say(said)
                said = []
                if not self._founded:
                    await self._undisturbed(self._found())
                pending[0] = await self._saver.save(output)
            else:
                said.append(output)
                pending.popleft()
        await self._say(said)

    async def _say(self, said: Sequence[events.TurnEvent]) -> None:
        if said:
            self.keeper.said_at = self.keeper.alive_at
            self._parts.add(said)
            await self._r.log.append(self._plan.turn_id, said)

    async def _settle(self, status: MessageStatus, last: events.TurnEvent) -> None:
        r, turn_id = self._r, self._plan.turn_id
        stored = False
        try:
            ending = await self._store(status, last)
            stored = True
        except Exception as exc:
            _log.error("turn %s could not be saved: %s", turn_id, exc, exc_info=exc)
            text = "The reply could not be saved; the server keeps a journal of it."
            code = exc.code if isinstance(exc, OpenBoltError) else OpenBoltError.code
            ending = [events.TurnFailed(text, code)]
            with suppress(OpenBoltError):
                await self.keeper.checkpoint()
        await self._charge()
        async with AsyncExitStack() as last_things:  # each is done whatever becomes of the others
            if stored:
                last_things.push_async_callback(r.journals.discard, self._journal)
            last_things.push_async_callback(r.log.close, turn_id)
            last_things.push_async_callback(r.log.append, turn_id, ending)
            last_things.callback(self._handle.ends.close)
            last_things.push_async_callback(self.keeper.release)

    async def _charge(self) -> None:
        """Count what the operator pays for; a user's own key is the user's own affair."""
        meter, usage = self._r.meter, self._assembler.usage
        if meter is None or self._plan.request.api_key is not None:
            return
        try:
            await meter.spend(self._plan.chat.owner, tokens=usage.tokens, usd=self._cost())
        except OpenBoltError as exc:
            _log.error("the cost of turn %s could not be counted: %s", self._plan.turn_id, exc)

    async def _store(self, status: MessageStatus, last: events.TurnEvent) -> list[events.TurnEvent]:
        r, chat = self._r, self._plan.chat
        await self._emit(self._assembler.finish())
        if not self._founded:
            await self._found()
        await self._say(await self._saver.commit(self._assembler.title, seen=self._project))
        usage = self._usage()
        await self._say([usage])
        metadata = {
            "status": status,
            "model": self._assembler.model or self._plan.request.model,
            "mode": self._plan.mode,
            "usage": usage.data,
        }
        match last:
            case events.TurnFinished(reason):
                metadata["finishReason"] = reason
            case events.TurnFailed(text):
                metadata["error"] = text
            case _:
                pass
        message = Message(
            self._plan.turn_id,
            "assistant",
            r.clock.now(),
            self._parts.parts(),
            raw=self._assembler.raw,
            status=status,
            metadata=metadata,
        )
        await r.chats.add(chat.id, message)
        ended: tuple[events.TurnEvent, ...] = (
            (events.StepFinished(),) if isinstance(last, events.TurnFinished) else ()
        )
        return [*ended, last]

    def _usage(self) -> events.DataPart:
        usage = self._assembler.usage
        cost, own_key = self._cost(), self._plan.request.api_key is not None
        _log.info(
            "turn %s: %s, %d tokens in, %d out, %d segments, USD %s%s",
            self._plan.turn_id,
            self._plan.request.model,
            usage.input_tokens,
            usage.output_tokens,
            usage.segments,
            "unknown" if cost is None else cost,
            " on the user's own key" if own_key else "",
        )
        data = {
            "inputTokens": usage.input_tokens,
            "outputTokens": usage.output_tokens,
            "cacheReadTokens": usage.cache_read_tokens,
            "cacheWriteTokens": usage.cache_write_tokens,
            "costUsd": None if cost is None else format(cost, "f"),
            "segments": usage.segments,
        }
        if own_key:
            data["ownKey"] = True
        return events.DataPart("usage", "usage", data)

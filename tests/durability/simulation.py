"""A world that a test can run a thousand times: simulated time, a scripted model, killable stores.

Law: nothing here reaches into what is tested. Time passes when everybody waits, the model stands at
the `ModelProvider` seam, and a process is killed by its stores: after the kill no operation of that
process takes place any more, whatever its tasks still try.
"""

from __future__ import annotations

import asyncio
import inspect
import selectors
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from typing import Any, Literal

from attrs import define, field, frozen

from openbolt import Dependencies, OpenBolt, Settings
from openbolt.chat.log import MemoryEventLog
from openbolt.errors import BackendError, UpstreamError, UpstreamRateLimitedError
from openbolt.model import (
    ModelEvent,
    ModelRequest,
    ModelUsage,
    ReplyStarted,
    ReplyStopped,
    StillAlive,
    StopReason,
    TextDelta,
    ThinkingBlock,
    ThinkingClosed,
    ThinkingDelta,
    ThinkingOpened,
    UsageReported,
)
from openbolt.projects.store import ProjectStore
from openbolt.protocols import ModelProvider
from openbolt.testing import SequenceTokens
from openbolt_local.memory import MemoryKeyValueStore, MemoryLeaseStore, MemoryObjectStore
from tests.chat.driving import App

EPOCH = 1_700_000_000.0


class DeadlockError(Exception):
    """Everybody waits, and nothing is left that could wake anybody."""


class _Leaping(selectors.DefaultSelector):
    """Waits for nothing: the time that it should have waited has passed."""

    loop: SimulatedLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise DeadlockError("\n".join(map(repr, asyncio.all_tasks(self.loop))))
            self.loop.now += max(timeout, 0.0)
        return ready


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only while all its tasks wait."""

    def __init__(self) -> None:
        self.now = 0.0
        selector = _Leaping()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now


def simulate(story: Awaitable[None]) -> None:
    """Run a story in simulated time."""

    async def main() -> None:
        await story

    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        runner.run(main())


class LoopClock:
    """The event loop's time as a `Clock`."""

    def now(self) -> float:
        return EPOCH + self.monotonic()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float, /) -> None:
        await asyncio.sleep(seconds)


# The model


Ending = Literal[
    "end_turn", "max_tokens", "refusal", "broken", "fatal", "limited", "bug", "stall", "pings"
]

FAILING = {"broken", "fatal", "limited", "bug", "stall", "pings"}


@frozen
class Call:
    """How one call of the model goes.

    Attributes:
        size: Characters of the reply that it says; None for all that are left.
        overlap: Characters from before that it says again first.
        thinking: What it thinks first; None for no such block.
        delta: Characters of one delta.
        batch: Model events that come as one batch.
        pause: Seconds before each batch.
        cut: Model events after which a failing ending strikes; beyond the last: at the end.
        retry_after: Seconds that a "limited" call asks to wait.
        refused: It is refused before its first byte; "broken" may pass, "fatal" doesn't.
    """

    size: int | None = None
    overlap: int = 0
    thinking: str | None = None
    delta: int = 12
    batch: int = 1
    pause: float = 0.0
    ending: Ending = "end_turn"
    cut: int = 1000
    retry_after: float = 0.0
    refused: Literal["broken", "fatal"] | None = None
    tokens: tuple[int, int] = (10, 20)


@define
class Heard:
    """What came of one call, as far as it was read."""

    call: Call
    text: str = ""
    thought: str = ""
    usage: tuple[int, int] = (0, 0)
    stopped: StopReason | None = None

    def take(self, batch: Sequence[ModelEvent]) -> None:
        for event in batch:
            match event:
                case TextDelta(text):
                    self.text += text
                case ThinkingDelta(text):
                    self.thought += text
                case UsageReported(usage):
                    known = self.usage
                    self.usage = (
                        known[0] if usage.input_tokens is None else usage.input_tokens,
                        known[1] if usage.output_tokens is None else usage.output_tokens,
                    )
                case ReplyStopped(reason):
                    self.stopped = reason
                case _:
                    pass


class ScriptedModel:
    """A `ModelProvider` that says one text over several calls, each going as it is told.

    Attributes:
        heard: One entry for each call that answered.
        open: Calls that are open now.
    """

    def __init__(self) -> None:
        self.open = 0
        self.requests: list[ModelRequest] = []
        self.heard: list[Heard] = []
        self._text = ""
        self._at = 0
        self._calls: list[Call] = []

    def script(self, text: str, calls: Sequence[Call]) -> None:
        """Say this next; when the calls are used up, a last one says the rest."""
        self._text, self._calls, self._at = text, list(calls), 0
        self.heard, self.requests = [], []

    @asynccontextmanager
    async def stream(
        self, request: ModelRequest, /
    ) -> AsyncGenerator[AsyncIterator[Sequence[ModelEvent]]]:
        self.requests.append(request)
        call = self._calls.pop(0) if self._calls else Call()
        self.open += 1
        try:
            await asyncio.sleep(call.pause)
            if call.refused is not None:
                raise _failure(call.refused, call)
            self.heard.append(Heard(call))
            batches = self._batches(call, self.heard[-1])
            try:
                yield batches
            finally:
                await batches.aclose()
        finally:
            self.open -= 1

    async def _batches(
        self, call: Call, heard: Heard
    ) -> AsyncGenerator[Sequence[ModelEvent], None]:
        start = self._at - (call.overlap if call.overlap <= self._at else 0)
        end = len(self._text) if call.size is None else self._at + call.size
        events = _events(call, self._text[start:end])
        fails = call.ending in FAILING
        if fails:
            # The last event but the stop: a reply that failed was never whole.
            events = events[: min(call.cut, len(events) - 1)]
        for index in range(0, len(events), call.batch):
            await asyncio.sleep(call.pause)
            batch = events[index : index + call.batch]
            heard.take(batch)
            self._at = max(self._at, start + len(heard.text))
            yield batch
        while call.ending == "pings":
            await asyncio.sleep(1.0)
            yield [StillAlive()]
        if call.ending == "stall":
            await asyncio.sleep(10_000.0)
        if fails:
            await asyncio.sleep(call.pause)
            raise _failure(call.ending, call)


def _events(call: Call, text: str) -> list[ModelEvent]:
    reason: StopReason = "end_turn"
    if call.ending in {"max_tokens", "refusal"}:
        reason = call.ending  # type: ignore[assignment]
    took, gave = call.tokens
    events: list[ModelEvent] = [
        ReplyStarted("m", "scripted"),
        UsageReported(ModelUsage(took, 1)),
    ]
    if call.thinking is not None:
        thought = [call.thinking[i : i + call.delta] for i in range(0, len(call.thinking), 12)]
        events += [ThinkingOpened(), *map(ThinkingDelta, thought)]
        events.append(ThinkingClosed(ThinkingBlock("".join(thought), "s")))
    events += [TextDelta(text[i : i + call.delta]) for i in range(0, len(text), call.delta)]
    return [*events, UsageReported(ModelUsage(output_tokens=gave)), ReplyStopped(reason)]


def _failure(kind: str, call: Call) -> Exception:
    if kind == "bug":
        return TimeoutError("No provider may raise this.")
    if kind == "limited":
        return UpstreamRateLimitedError("Slower, please.", retry_after=call.retry_after)
    return UpstreamError(f"The model is {kind}.", retryable=kind == "broken")


# Processes and what outlives them


class KilledError(BaseException):
    """The process is gone; its code runs on only in order to unwind."""


@define
class Power:
    """What the stores of one process run on.

    Attributes:
        latency: Seconds before and after each operation.
        kill_at: The number of the operation at which the process dies, from 1; ``after`` says
            whether the operation was carried out.
        fails: Numbers of operations that fail with a `BackendError`.
        used: Operations so far.
    """

    latency: float = 0.0
    kill_at: int | None = None
    after: bool = False
    fails: range = range(0)
    used: int = 0
    off: asyncio.Event = field(factory=asyncio.Event)

    def reset(self, *, kill_at: int | None, after: bool, fails: range) -> None:
        """Count anew."""
        self.used, self.kill_at, self.after, self.fails = 0, kill_at, after, fails

    def check(self) -> None:
        if self.off.is_set():
            raise KilledError

    async def run(self, operation: Callable[[], Awaitable[Any]], *, in_memory: bool) -> Any:
        self.check()
        if in_memory:
            return await operation()
        self.used += 1
        number = self.used
        if number == self.kill_at and not self.after:
            self.off.set()
        self.check()
        if number in self.fails and not self.after:
            raise BackendError("The store is away.")
        if self.latency:
            await asyncio.sleep(self.latency)
        self.check()
        result = await operation()
        if number == self.kill_at:
            self.off.set()
        if self.latency:
            await asyncio.sleep(self.latency)
        self.check()
        if number in self.fails and self.after:
            raise BackendError("The store's answer is lost.")
        return result


class Powered:
    """Any store, on some power; one in the process' own memory is quick and never fails."""

    def __init__(self, inner: Any, power: Power, *, in_memory: bool = False) -> None:
        self._inner = inner
        self._power = power
        self._in_memory = in_memory

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if not inspect.iscoroutinefunction(value):
            return value

        async def run(*args: Any, **options: Any) -> Any:
            return await self._power.run(lambda: value(*args, **options), in_memory=self._in_memory)

        return run


class Disk:
    """What outlives a process."""

    def __init__(self) -> None:
        self.clock = LoopClock()
        self.tokens = SequenceTokens()
        self.kv = MemoryKeyValueStore(self.clock)
        self.objects = MemoryObjectStore(self.clock)
        self.leases = MemoryLeaseStore(self.clock, self.tokens)

    @property
    def projects(self) -> ProjectStore:
        return ProjectStore(self.objects, self.kv, self.clock)

    async def versions(self, project_id: str) -> dict[int, dict[str, str]]:
        """Every version of a project, each file read and checked against its hash."""
        if not await self.projects.exists(project_id):
            return {}
        project = await self.projects.load(project_id, owner="local")
        found: dict[int, dict[str, str]] = {}
        async for manifest in self.projects.versions(project):
            found[manifest.number] = {
                entry.path: (await self.projects.read_blob(entry)).decode()
                for entry in manifest.files
            }
        return found

    async def keys(self, prefix: str) -> list[str]:
        return [key async for key in self.kv.scan(prefix)]


class Process(App):
    """The application, running over a disk until it is killed."""

    def __init__(
        self, disk: Disk, model: ModelProvider, power: Power, settings: Mapping[str, Any]
    ) -> None:
        self.disk = disk
        self.power = power
        self.tasks = set()
        self.settings = Settings(**settings)
        kv = Powered(disk.kv, power)
        self.log = MemoryEventLog(disk.clock)
        self.dependencies = Dependencies(
            kv=kv,
            atomic=kv,
            objects=Powered(disk.objects, power),
            events=Powered(self.log, power, in_memory=True),
            leases=Powered(disk.leases, power),
            provider=model,
            clock=disk.clock,
            tokens=disk.tokens,
        )
        self.handler = OpenBolt(self.dependencies, self.settings)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """What a turn ends with when a store fails is no news here."""
        super()._spawn(work)
        for task in self.tasks:
            task.add_done_callback(lambda done: done.cancelled() or done.exception())

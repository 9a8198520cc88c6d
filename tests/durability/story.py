"""Play one turn with everything that may happen to it, and keep what each client saw."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Sequence
from typing import Any

from attrs import define, field, frozen

from openbolt import Response
from tests.durability.simulation import Call, Process

CHAT, PROJECT = "c", "p"


@frozen
class Turn:
    """One prompt and its fate. Times are seconds after the answer began, or as they say.

    Attributes:
        text: What the model has to say.
        calls: How its calls go.
        hang_up: The client goes away so many seconds after it asked, answered or not.
        leave: The reader goes away then.
        stop: Somebody presses stop then.
        rejoin: Further readers: when each comes, and how many events it is behind.
        shutdown: The server is shut down so many seconds after it was asked.
        kill_time: The process is killed so many seconds after it was asked.
        kill_at: The process is killed at this operation of its stores, ``after`` or before it.
        fails: Operations of the stores that fail, or (``after``) whose answers get lost.
        kill_again: The process that finds what a killed one left is killed at this operation.
    """

    text: str
    calls: tuple[Call, ...] = ()
    hang_up: float | None = None
    leave: float | None = None
    stop: float | None = None
    rejoin: tuple[tuple[float, int], ...] = ()
    shutdown: float | None = None
    kill_time: float | None = None
    kill_at: int | None = None
    after: bool = False
    fails: range = range(0)
    kill_again: int | None = None

    @property
    def is_left(self) -> bool:
        """The first reader doesn't stay to the end."""
        return (self.hang_up, self.leave, self.shutdown) != (None, None, None)

    @property
    def is_ended_twice(self) -> bool:
        """Shut down while it may be ending; only the first cancellation waits for what it cuts."""
        ends = (self.hang_up, self.leave, self.stop)
        return self.shutdown is not None and ends != (None, None, None)


@define
class Reader:
    """A client of a stream.

    Attributes:
        frames: Index and frame of each event that came.
        ended: It saw the end of the stream.
    """

    after: int = -1
    status: int | None = None
    answer: Any = None
    frames: list[tuple[int, dict[str, Any]]] = field(factory=list[tuple[int, dict[str, Any]]])
    ended: bool = False
    answered: asyncio.Event = field(factory=asyncio.Event)

    async def read(self, asked: Coroutine[Any, Any, Response]) -> None:
        """Read to the end; when cancelled, close as a server does."""
        response = await asked
        self.status = response.status
        if isinstance(response.body, bytes):
            self.answer = json.loads(response.body or b"null")
            return
        self.answered.set()
        try:
            async for chunk in response.body:
                self._take(chunk.decode())
        finally:
            await response.body.aclose()

    def _take(self, text: str) -> None:
        for block in text.split("\n\n")[:-1]:
            assert not self.ended, "something came after the end"
            lines = dict(line.split(": ", 1) for line in block.splitlines())
            if lines["data"] == "[DONE]":
                self.ended = True
            else:
                self.frames.append((int(lines["id"]), json.loads(lines["data"])))


@define
class Played:
    """What came of a turn: its first reader, those that joined it, and whether it was killed."""

    first: Reader
    others: list[Reader]
    killed: bool


async def play(process: Process, turn: Turn, prompt: str) -> Played:
    """Play a turn until nothing of it runs any more."""
    first, others = Reader(), [Reader() for _ in turn.rejoin]
    process.power.reset(kill_at=turn.kill_at, after=turn.after, fails=turn.fails)
    asked = process.start(prompt, id=CHAT, projectId=PROJECT)
    reading = asyncio.create_task(first.read(asked))
    tasks = [reading]
    for reader, (at, behind) in zip(others, turn.rejoin, strict=True):
        tasks.append(asyncio.create_task(_rejoin(process, first, reader, at, behind)))
    if turn.stop is not None:
        tasks.append(asyncio.create_task(_stop(process, first, turn.stop)))
    if turn.leave is not None:
        tasks.append(asyncio.create_task(_leave(first, reading, turn.leave)))
    loop = asyncio.get_running_loop()
    timers = [
        loop.call_later(at, action)
        for at, action in [
            (turn.hang_up, reading.cancel),
            (turn.shutdown, lambda: _shut_down(process, tasks)),
            (turn.kill_time, process.power.off.set),
        ]
        if at is not None
    ]
    over = asyncio.create_task(_over(process, reading, tasks, first))
    dead = asyncio.create_task(process.power.off.wait())
    await asyncio.wait({over, dead}, return_when=asyncio.FIRST_COMPLETED)
    killed = process.power.off.is_set()
    for timer in timers:
        timer.cancel()
    left = [*tasks, *process.tasks] if killed else []
    for task in [*left, over, dead]:
        task.cancel()
    await asyncio.gather(*left, over, dead, return_exceptions=True)
    if not killed:
        process.power.reset(kill_at=None, after=False, fails=range(0))
        for task in tasks:
            if not task.cancelled():
                task.result()
    return Played(first, others, killed)


async def _over(
    process: Process,
    reading: asyncio.Task[None],
    tasks: Sequence[asyncio.Task[None]],
    first: Reader,
) -> None:
    await asyncio.wait([reading])
    first.answered.set()  # or never was: whoever waits in order to join goes on
    await asyncio.wait(tasks)
    await process.drain()


def _shut_down(process: Process, requests: Sequence[asyncio.Task[None]]) -> None:
    """Cancel all work, as a server does when its grace is over."""
    for task in requests:
        task.cancel()
    # A task that was made this very moment has to begin, or it could not clean up.
    asyncio.get_running_loop().call_soon(lambda: [task.cancel() for task in process.tasks])


async def _rejoin(process: Process, first: Reader, reader: Reader, at: float, behind: int) -> None:
    await first.answered.wait()
    await asyncio.sleep(at)
    if first.status != 200:
        return
    last = first.frames[-1][0] if first.frames else -1
    reader.after = max(last - behind, -1)
    await reader.read(_stream(process, reader.after))


async def _leave(first: Reader, reading: asyncio.Task[None], at: float) -> None:
    await first.answered.wait()
    await asyncio.sleep(at)
    reading.cancel()


async def _stop(process: Process, first: Reader, at: float) -> None:
    await first.answered.wait()
    await asyncio.sleep(at)
    await process.call("POST", f"/api/chat/{CHAT}/stop")


def _stream(process: Process, after: int) -> Coroutine[Any, Any, Response]:
    headers = {} if after < 0 else {"last-event-id": str(after)}
    return process.open("GET", f"/api/chat/{CHAT}/stream", headers=headers)


async def read_again(process: Process) -> Reader:
    """The whole of the last turn, as its log has it."""
    reader = Reader()
    await reader.read(_stream(process, -1))
    return reader

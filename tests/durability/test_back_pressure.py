"""A reader that never reads, and a model that never stops: what is held has a bound.

Counted is what is held, not how much memory a process happens to have.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest

from openbolt.asgi import serve_handler
from openbolt.chat.log import MemoryEventLog
from openbolt.http import Handler
from openbolt.model import (
    ModelEvent,
    ModelRequest,
    ReplyStarted,
    TextDelta,
    ThinkingDelta,
    ThinkingOpened,
)
from tests.asgi.driving import Peer, body_messages, scope_of
from tests.durability.simulation import Disk, Power, Process, simulate

LIMIT = 256 * 1024
BATCH = 4096

Say = Callable[[int], ModelEvent]


def text(number: int) -> ModelEvent:
    return TextDelta("x" * BATCH)


def wide_text(number: int) -> ModelEvent:
    return TextDelta("😀" * (BATCH // 4))


def file_body(number: int) -> ModelEvent:
    opening = '<boltArtifact id="a" title="T"><boltAction type="file" filePath="a.js">'
    return TextDelta((opening if number == 0 else "") + "y" * BATCH)


def thoughts(number: int) -> ModelEvent:
    return ThinkingDelta("z" * BATCH)


class Babbler:
    """A model that never stops; counts what was taken of it."""

    def __init__(self, say: Say) -> None:
        self.batches = 0
        self.open = 0
        self._say = say

    @asynccontextmanager
    async def stream(
        self, request: ModelRequest, /
    ) -> AsyncGenerator[AsyncIterator[Sequence[ModelEvent]]]:
        self.open += 1
        try:
            batches = self._batches()
            try:
                yield batches
            finally:
                await batches.aclose()
        finally:
            self.open -= 1

    async def _batches(self) -> AsyncGenerator[Sequence[ModelEvent], None]:
        yield [ReplyStarted("m", "babbler"), ThinkingOpened()]
        while True:
            await asyncio.sleep(0.001)
            self.batches += 1
            yield [self._say(self.batches - 1)]


def held_bytes(log: MemoryEventLog, turn: str) -> int:
    """UTF-8 bytes of all text in a turn's log."""
    return sum(_bytes(attrs.asdict(event)) for event in log.since(turn, 0))


def _bytes(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, dict):
        return sum(map(_bytes, value.values()))
    return 0


class Deaf(Peer):
    """A client that takes the head of an answer and the first piece, and then nothing."""

    async def send(self, message: Any) -> None:
        if len(self.sent) >= 2:
            self.waiting += 1
            await asyncio.Event().wait()
        await super().send(message)


@pytest.mark.parametrize("say", [text, wide_text, file_body, thoughts])
def test_what_is_held_for_a_reader_that_never_reads_is_bounded(say: Say) -> None:
    async def story() -> None:
        model, disk = Babbler(say), Disk()
        process = Process(disk, model, Power(), {"max_reply_bytes": LIMIT})

        @asynccontextmanager
        async def open_handler() -> AsyncGenerator[Handler]:
            yield process.handler

        app = serve_handler(open_handler, shutdown_grace=0.0)
        body = b'{"id": "c", "projectId": "p", "messages": [{"role": "user", "content": "hi"}]}'
        headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
        deaf = Deaf(*body_messages(body))
        scope = scope_of("POST", "/api/chat", headers=headers)
        request = asyncio.create_task(app(scope, deaf.receive, deaf.send))
        async with asyncio.timeout(60):
            while model.open or not model.batches:
                await asyncio.sleep(0.01)
            while await disk.leases.holder("chat:c"):
                await asyncio.sleep(0.01)
        # The model was left as soon as the limit was passed, whoever reads or doesn't.
        assert model.batches <= LIMIT // BATCH + 1
        _, chat = await process.call("GET", "/api/chats/c")
        message = chat["messages"][-1]
        assert message["metadata"]["status"] == "failed"
        # All that came is there once; a file's text a second time, when it is closed.
        copies = 2 if say is file_body else 1
        overhead = 4096
        held = held_bytes(process.log, message["id"])
        assert LIMIT < held <= copies * (LIMIT + BATCH) + overhead
        # And one piece of it is on its way to the reader, not a queue of them.
        assert (len(deaf.sent), deaf.waiting) == (2, 1)
        deaf.disconnect()
        await request
        await app.aclose()

    simulate(story())

"""CPU time of whole chats without a network: the ASGI app is called by hand, the model is a script.

Run ``python -m benchmarks.turns``. What a chat costs from the request to the stored reply, with one
file in it, in memory; and what each further delta costs. The fastest of several runs counts, so a
busy machine moves this less than anything that waits.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from attrs import frozen

from openbolt import Dependencies, Settings
from openbolt.asgi import HandlerApp, asgi_app
from openbolt.chat.log import MemoryEventLog
from openbolt.clock import SystemClock, SystemTokens
from openbolt.model import ModelEvent, ModelRequest, ReplyStarted, ReplyStopped, TextDelta
from openbolt_local.memory import MemoryKeyValueStore, MemoryLeaseStore, MemoryObjectStore

_OPENING = '<boltArtifact id="a" title="T"><boltAction type="file" filePath="src/a.js">'
_CLOSING = "</boltAction></boltArtifact>"
_DELTA = [TextDelta("const answer = 42; //3\n")]
_BODY = json.dumps({"messages": [{"role": "user", "content": "Build a page."}]}).encode()
_SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0"},
    "http_version": "1.1",
    "method": "POST",
    "scheme": "http",
    "path": "/api/chat",
    "raw_path": b"/api/chat",
    "query_string": b"",
    "root_path": "",
    "headers": [
        (b"host", b"127.0.0.1:8787"),
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(_BODY)),
    ],
    "client": ("127.0.0.1", 50000),
    "server": ("127.0.0.1", 8787),
}


@frozen
class ScriptedProvider:
    """Says one file, in so many deltas; each one is a read of its own."""

    deltas: int

    @asynccontextmanager
    async def stream(
        self, _: ModelRequest, /
    ) -> AsyncGenerator[AsyncIterator[Sequence[ModelEvent]]]:
        yield self._batches()

    async def _batches(self) -> AsyncGenerator[Sequence[ModelEvent]]:
        yield [ReplyStarted("msg_01", "fake"), TextDelta(_OPENING)]
        for _ in range(self.deltas):
            await asyncio.sleep(0)
            yield _DELTA
        yield [TextDelta(_CLOSING), ReplyStopped("end_turn", None)]


def make_app(deltas: int) -> HandlerApp:
    @asynccontextmanager
    async def open_dependencies(_: Settings) -> AsyncGenerator[Dependencies]:
        clock = SystemClock()
        kv = MemoryKeyValueStore(clock)
        yield Dependencies(
            kv=kv,
            atomic=kv,
            objects=MemoryObjectStore(clock),
            events=MemoryEventLog(clock),
            leases=MemoryLeaseStore(clock),
            provider=ScriptedProvider(deltas),
            clock=clock,
            tokens=SystemTokens(),
        )

    return asgi_app(open_dependencies, Settings())


async def chat(app: HandlerApp) -> float:
    """One chat, to its end; CPU seconds until its first delta was sent."""
    began = time.process_time()
    inbox: list[dict[str, Any]] = [{"type": "http.request", "body": _BODY, "more_body": False}]
    first: list[float] = []

    async def receive() -> dict[str, Any]:
        if inbox:
            return inbox.pop()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        if not first and b"delta" in message.get("body", b""):
            first.append(time.process_time() - began)

    await app(_SCOPE, receive, send)
    return first[0]


async def measure(deltas: int, chats: int, runs: int) -> tuple[float, float]:
    """CPU seconds of one chat: to its first delta, and in all; of the fastest run."""
    app = make_app(deltas)
    best = firsts = float("inf")
    for _ in range(runs):
        gc.collect()
        began = time.process_time()
        first = [await chat(app) for _ in range(chats)]
        await asyncio.sleep(0)  # what a turn does after its end
        best = min(best, (time.process_time() - began) / chats)
        firsts = min(firsts, sum(first) / chats)
    await app.aclose()
    return firsts, best


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU time of whole chats without a network.")
    parser.add_argument("--chats", type=int, default=100, metavar="N", help="chats per run")
    parser.add_argument("--runs", type=int, default=10, metavar="N", help="runs (default 10)")
    options = parser.parse_args()
    first, short = asyncio.run(measure(1, options.chats, options.runs))
    _, long = asyncio.run(measure(201, options.chats, options.runs))
    print(f"to the first delta {first * 1e3:8.3f} ms")
    print(f"a chat of 1 delta  {short * 1e3:8.3f} ms")
    print(f"each further delta {(long - short) / 200 * 1e6:8.2f} µs")


if __name__ == "__main__":
    main()

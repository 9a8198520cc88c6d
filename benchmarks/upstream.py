"""A stand-in for the Messages API that costs next to nothing to serve.

The knobs ride in the model's name, so that every client can turn them: ``fake-n200-r40`` streams
200 deltas, 40 a second; ``r0`` as fast as the socket takes them; ``-a`` at the end puts them into
one file of one artifact, so that parsing and saving are part of what is measured. A timed delta
carries the monotonic time of its sending in nanoseconds (``@123...@``).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
from typing import Any, cast

from attrs import frozen

from benchmarks.loops import run

MARKER = "const answer = 42; "
"""Stands in every delta of a reply that isn't timed."""

_LINES = [f"{MARKER}//{index % 10}\n" for index in range(10)]
_OPENING = (
    'Here you go: <boltArtifact id="a" title="T"><boltAction type="file" filePath="src/a.js">'
)
_CLOSING = "</boltAction></boltArtifact>"
_IN_A_ROW = 100
_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\nrequest-id: req_1\r\n\r\n"
)


@frozen
class Script:
    """What a model's name asks for."""

    deltas: int = 100
    rate: int = 0
    artifact: bool = False

    @classmethod
    def of(cls, model: str) -> Script:
        found = re.search(r"n(\d+)-r(\d+)", model)
        n, rate = (int(found[1]), int(found[2])) if found else (100, 0)
        return cls(n, rate, model.endswith("-a"))

    @property
    def model(self) -> str:
        return f"fake-n{self.deltas}-r{self.rate}{'-a' if self.artifact else ''}"

    @property
    def text_bytes(self) -> int:
        """Bytes of the text of a reply that isn't timed."""
        around = len(_OPENING) + len(_CLOSING) if self.artifact else 0
        return self.deltas * len(_LINES[0]) + around


def frame(kind: str, **fields: Any) -> bytes:
    data = json.dumps({"type": kind, **fields}, separators=(",", ":"))
    return chunk(f"event: {kind}\ndata: {data}\n\n".encode())


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def delta(text: str) -> bytes:
    return frame("content_block_delta", index=0, delta={"type": "text_delta", "text": text})


_BEGINNING = frame(
    "message_start",
    message={
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "content": [],
        "model": "fake",
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 25, "output_tokens": 1},
    },
) + frame("content_block_start", index=0, content_block={"type": "text", "text": ""})
_SLAB = [delta(line) for line in _LINES * (_IN_A_ROW // len(_LINES))]


def _end(deltas: int) -> bytes:
    said = {"stop_reason": "end_turn", "stop_sequence": None}
    return (
        frame("content_block_stop", index=0)
        + frame("message_delta", delta=said, usage={"output_tokens": deltas})
        + frame("message_stop")
        + b"0\r\n\r\n"
    )


_OPEN, _CLOSE = delta(_OPENING), delta(_CLOSING)
_WHOLE_SLAB = b"".join(_SLAB)


class Connection(asyncio.Protocol):
    """One client; replies one after another."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._inbox = b""
        self._script = Script()
        self._at = 0
        self._began = 0.0
        self._paused = False
        self._timer: asyncio.Handle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, _: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._timer is None:
            self._pour()

    def data_received(self, data: bytes) -> None:
        self._inbox += data
        head, separator, rest = self._inbox.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        size = int(length[1]) if length else 0
        if separator and len(rest) >= size:
            self._inbox = rest[size:]
            self._reply(json.loads(rest[:size] or b"{}"))

    def _reply(self, asked: dict[str, Any]) -> None:
        script = self._script = Script.of(asked.get("model", ""))
        self._at = 0
        self._transport.write(_HEAD + _BEGINNING + (_OPEN if script.artifact else b""))
        if script.rate:
            self._began = self._loop.time()
            self._tick()
        else:
            self._pour()

    def _tick(self) -> None:
        self._timer = None
        if self._at == self._script.deltas:
            self._finish()
            return
        self._transport.write(delta(f"@{time.monotonic_ns()}@\n"))
        self._at += 1
        due = self._began + self._at / self._script.rate
        self._timer = self._loop.call_at(due, self._tick)

    def _pour(self) -> None:
        self._timer = None
        if self._paused or self._transport.is_closing():
            return
        rest = self._script.deltas - self._at
        if rest <= 0:
            self._finish()
            return
        slab = _WHOLE_SLAB if rest >= _IN_A_ROW else b"".join(_SLAB[:rest])
        self._at += min(rest, _IN_A_ROW)
        self._transport.write(slab)
        if not self._paused:
            self._timer = self._loop.call_soon(self._pour)

    def _finish(self) -> None:
        script, self._script = self._script, Script(0)
        self._transport.write((_CLOSE if script.artifact else b"") + _end(script.deltas))


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", port, backlog=4096)
    async with server:
        await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description="A Messages API that streams scripted deltas.")
    parser.add_argument("--port", type=int, default=9901)
    options = parser.parse_args()
    run(serve(options.port))


if __name__ == "__main__":
    main()

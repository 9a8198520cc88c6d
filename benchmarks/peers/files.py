"""An upstream that costs next to nothing: ``GET /N`` is N bytes of JSON's type, over asyncio."""

from __future__ import annotations

import argparse
import asyncio
import re

from benchmarks.loops import run

_PIECE = b"x" * 262_144


class _Files(asyncio.Protocol):
    def __init__(self) -> None:
        self._left = 0
        self._paused = False
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._head += data
        while b"\r\n\r\n" in self._head:
            head, _, self._head = self._head.partition(b"\r\n\r\n")
            found = re.match(rb"GET /(\d+)", head)
            self._left = int(found[1]) if found else 0
            self._transport.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
                % self._left
            )
            self._send()

    def _send(self) -> None:
        while self._left and not self._paused:
            piece = _PIECE[: self._left]
            self._left -= len(piece)
            self._transport.write(piece)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._send()


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Files, "127.0.0.1", port, backlog=4096)
    async with server:
        await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description="Bytes, as many as asked for.")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    run(serve(options.port))


if __name__ == "__main__":
    main()

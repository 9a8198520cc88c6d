"""The floor: bytes from one socket to the other, nothing parsed.

No relay in Python can cost less, so this is the yardstick: other figures of a run are read as
multiples of its figures.
"""

from __future__ import annotations

import argparse
import asyncio
import re
from contextlib import suppress
from urllib.parse import urlsplit

from benchmarks.loops import run

_LAST_CHUNK = b"0\r\n\r\n"


async def serve(port: int, upstream: str) -> None:
    target = urlsplit(upstream)

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
            size = int(length[1]) if length else 0
            body = await reader.readexactly(size)
            source, sink = await asyncio.open_connection(target.hostname, target.port)
            sink.write(b"POST /v1/messages HTTP/1.1\r\nhost: upstream\r\n")
            sink.write(b"content-length: %d\r\n\r\n" % size + body)
            while data := await source.read(65536):
                writer.write(data)
                if data.endswith(_LAST_CHUNK):
                    break
                await writer.drain()
            sink.close()
        writer.close()

    server = await asyncio.start_server(relay, "127.0.0.1", port, backlog=4096)
    async with server:
        await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description="A byte pump before a Messages API.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True, help="URL without /v1")
    options = parser.parse_args()
    run(serve(options.port, options.upstream))


if __name__ == "__main__":
    main()

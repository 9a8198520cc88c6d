"""A server whose every byte is scripted: the other end of a wire, for the suites.

Law: real sockets on loopback and no HTTP library, so that it can also answer as no server should.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from urllib.parse import quote

from openbolt.http import Headers

__all__ = ["Exchange", "Script", "ScriptedServer", "scripted_server"]


class Exchange:
    """One request as it arrived, and the wire to answer on.

    Attributes:
        method: As sent.
        target: Path and query, as sent.
        headers: In order, names in lower case.
        raw_head: The whole head, byte for byte.
    """

    def __init__(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.raw_head = head
        line, *fields = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        self.method, self.target, _ = line.split(" ", 2)
        pairs = (field.partition(":") for field in fields)
        self.headers = Headers((name, value.strip()) for name, _, value in pairs)
        self._reader = reader
        self._writer = writer
        self._left = int(self.headers.get("content-length") or 0)
        self._chunked = self.headers.get("transfer-encoding") == "chunked"

    async def read(self) -> bytes:
        """The next part of the request's body, as it arrives; empty at its end."""
        if self._chunked:
            size = int(await self._reader.readline(), 16)
            data = await self._reader.readexactly(size)
            await self._reader.readexactly(2)
            self._chunked = size > 0
            return data
        data = await self._reader.read(self._left) if self._left else b""
        self._left -= len(data)
        return data

    async def read_all(self) -> bytes:
        """The rest of the request's body."""
        parts: list[bytes] = []
        while data := await self.read():
            parts.append(data)
        return b"".join(parts)

    async def send(self, data: bytes) -> None:
        """Put bytes on the wire."""
        self._writer.write(data)
        await self._writer.drain()

    async def answer(
        self, status: int = 200, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> None:
        """A whole response with a ``content-length``."""
        await self.read_all()
        fields = {"content-length": str(len(body)), **(headers or {})}
        await self.start(status, fields)
        await self.send(body)

    async def start(self, status: int, headers: dict[str, str]) -> None:
        """A response's head."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        await self.send(f"HTTP/1.1 {status} Scripted\r\n{lines}\r\n".encode("latin-1"))

    async def chunk(self, data: bytes) -> None:
        """One chunk of a chunked body; an empty one ends it."""
        await self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def reset(self) -> None:
        """Drop the connection without a goodbye."""
        self._writer.transport.abort()

    def hang_up(self) -> None:
        """Close the connection."""
        self._writer.close()

    async def gone(self) -> None:
        """Wait until the other side has closed."""
        with suppress(ConnectionError):
            while await self._reader.read(65536):
                pass


Script = Callable[[Exchange], Awaitable[None]]


class ScriptedServer:
    """Answers every request with `script`.

    Attributes:
        script: Set it before the request.
        exchanges: Every request so far.
        connections: How many were opened.
    """

    def __init__(self, scheme: str) -> None:
        self.script: Script = Exchange.answer
        self.exchanges: list[Exchange] = []
        self.connections = 0
        self.port = 0
        self._scheme = scheme
        self._tasks: set[asyncio.Task[None]] = set()

    def url(self, path: str = "", *, host: str = "127.0.0.1") -> str:
        """An address on this server; ``path`` is quoted where it has to be."""
        return f"{self._scheme}://{host}:{self.port}{quote(path, safe='/?&=%+')}"

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection in a task that `stop` ends."""
        self.connections += 1
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Drop every connection."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                exchange = Exchange(head, reader, writer)
                self.exchanges.append(exchange)
                await self.script(exchange)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()


@asynccontextmanager
async def scripted_server(
    tls: ssl.SSLContext | None = None,
) -> AsyncGenerator[ScriptedServer, None]:
    """A server on a free port of 127.0.0.1."""
    scripted = ScriptedServer("http" if tls is None else "https")
    server = await asyncio.start_server(scripted.accept, "127.0.0.1", 0, ssl=tls)
    scripted.port = server.sockets[0].getsockname()[1]
    try:
        yield scripted
    finally:
        server.close()
        await scripted.stop()

"""What the server of every mock is made of: a listener that knows its connections.

The law: when it has stopped, no task and no socket of it is left, whoever was still connected.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Generator
from types import TracebackType
from typing import Protocol, Self, TypeVar

from openbolt_local.mocks.connection import Connection

Converse = Callable[[Connection], Coroutine[object, object, None]]
"""Reads requests off a connection and answers them until it is done."""


class Listener:
    """Accepts connections and has each one conversed with in a task of its own.

    Args:
        host: the address to listen on.
        port: 0 picks a free one, which `port` tells once it has started.
        converse: called with each connection.
    """

    def __init__(self, host: str, port: int, converse: Converse) -> None:
        self.host = host
        self.port = port
        self.open_connections = 0
        self._converse = converse
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where it listens, as a base URL without a path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, self.host, self.port, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and end what is open; nothing happens where nothing was started."""
        if self._server is None:
            return
        self._server.close()
        # Let connections that were only just accepted get as far as being counted.
        await asyncio.sleep(0)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:  # pragma: no cover -- start_server always makes one
            return
        self._tasks.add(task)
        self.open_connections += 1
        try:
            await self._converse(Connection(reader, writer))
        except (OSError, asyncio.CancelledError):
            # The client went away, or the mock shuts down: nobody is left to tell.
            pass
        finally:
            self.open_connections -= 1
            self._tasks.discard(task)
            writer.close()


class Listening:
    """What every mock is: something that listens while it is entered.

    A subclass sets ``_listener`` when it is made.
    """

    _listener: Listener

    @property
    def url(self) -> str:
        """Where it listens, as a base URL without a path; known once it has started."""
        return self._listener.url

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        return self._listener.open_connections

    async def __aenter__(self) -> Self:
        await self._listener.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        await self._listener.stop()


class _Server(Protocol):
    async def __aenter__(self) -> object: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...


S = TypeVar("S", bound=_Server)


@contextlib.contextmanager
def running_in_thread(server: S, name: str) -> Generator[S]:
    """Run a server in an event loop of its own thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name=name, daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(_enter(server), loop).result()
        try:
            yield server
        finally:
            asyncio.run_coroutine_threadsafe(_leave(server), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _enter(server: _Server) -> None:
    await server.__aenter__()


async def _leave(server: _Server) -> None:
    await server.__aexit__(None, None, None)


async def unless_gone(connection: Connection, work: Coroutine[object, object, None]) -> bool:
    """Do `work` while the client listens; True if it went away first.

    Raises:
        OSError: writing found out first that the client is gone.
    """
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(connection.client_gone())
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
            return False
        return True
    finally:
        for task in (working, watching):
            task.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)

"""An ASGI server's side, played by hand: one message at a time, and nothing buffered."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, MutableMapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from attrs import field, frozen

from openbolt.asgi import HandlerApp, serve_handler
from openbolt.http import Handler, Request, Response

Message = MutableMapping[str, Any]


def scope_of(method: str = "GET", path: str = "/", **changes: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost")],
        "client": ("203.0.113.9", 1234),
        "server": ("127.0.0.1", 80),
        **changes,
    }


def body_messages(*chunks: bytes) -> list[Message]:
    """A whole body in as many messages as there are chunks, at least one."""
    parts = chunks or (b"",)
    return [
        {"type": "http.request", "body": part, "more_body": at < len(parts) - 1}
        for at, part in enumerate(parts)
    ]


class Peer:
    """A client and the server before it.

    Args:
        messages: What ``receive`` gives; then it waits for `disconnect`.
        fail_at: The number of the ``send`` (from 0) that raises `OSError`.
        gated: Every ``send`` waits for a `let` of its own.
    """

    def __init__(self, *messages: Message, fail_at: int | None = None, gated: bool = False) -> None:
        self.sent: list[Message] = []
        self.received = 0
        self.disconnected = asyncio.Event()
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._news = asyncio.Condition()
        self._fail_at = fail_at
        self._gate = asyncio.Semaphore(0) if gated else None
        self.waiting = 0
        self._receiving = False
        for message in messages or body_messages():
            self._inbox.put_nowait(message)

    def disconnect(self) -> None:
        self._inbox.put_nowait({"type": "http.disconnect"})

    def upload(self, chunk: bytes, *, more: bool = True) -> None:
        self._inbox.put_nowait({"type": "http.request", "body": chunk, "more_body": more})

    def let(self, count: int = 1) -> None:
        assert self._gate is not None
        for _ in range(count):
            self._gate.release()

    async def receive(self) -> Message:
        assert not self._receiving, "receive was called twice at a time"
        self._receiving = True
        try:
            message = await self._inbox.get()
        finally:
            self._receiving = False
        self.received += 1
        if message["type"] == "http.disconnect":
            self.disconnected.set()
        return message

    async def send(self, message: Message) -> None:
        if self._gate is not None:
            async with self._news:
                self.waiting += 1
                self._news.notify_all()
            await self._gate.acquire()
        if len(self.sent) == self._fail_at:
            raise ConnectionResetError("gone")
        async with self._news:
            self.sent.append(message)
            self._news.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition on what was sent holds."""
        async with self._news:
            await self._news.wait_for(condition)

    async def until_sent(self, count: int) -> None:
        await self.until(lambda: len(self.sent) >= count)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {k.decode("latin-1"): v.decode("latin-1") for k, v in self.sent[0]["headers"]}

    @property
    def chunks(self) -> list[bytes]:
        return [message["body"] for message in self.sent[1:]]

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def is_whole(self) -> bool:
        return len(self.sent) > 1 and not self.sent[-1]["more_body"]


class Body:
    """A response body that says what happens to it.

    It yields ``chunks``; an exception among them is raised; an `asyncio.Event` is waited for.
    """

    def __init__(self, *chunks: bytes | Exception | asyncio.Event) -> None:
        self._chunks = chunks
        self.log: list[str] = []
        self._news = asyncio.Condition()

    @property
    def closed(self) -> int:
        return self.log.count("closed")

    async def _say(self, event: str) -> None:
        self.log.append(event)
        async with self._news:
            self._news.notify_all()

    async def until(self, event: str) -> None:
        async with self._news:
            await self._news.wait_for(lambda: event in self.log)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        await self._say("asked")
        for chunk in self._chunks:
            if isinstance(chunk, bytes):
                yield chunk
                await self._say("asked")
            elif isinstance(chunk, Exception):
                raise chunk
            else:
                await self._say("waiting")
                await chunk.wait()

    async def aclose(self) -> None:
        await self._say("closed")


@frozen
class Opening:
    """Opens a handler and counts."""

    handler: Handler
    log: list[str] = field(factory=list)

    def __call__(self) -> AbstractAsyncContextManager[Handler]:
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncGenerator[Handler]:
        self.log.append("opening")
        await asyncio.sleep(0)
        self.log.append("opened")
        try:
            yield self.handler
        finally:
            self.log.append("closing")
            await asyncio.sleep(0)
            self.log.append("closed")


def app_of(handler: Handler, **options: Any) -> HandlerApp:
    return serve_handler(Opening(handler), **options)


def answering(response: Response) -> Handler:
    async def handler(request: Request, /) -> Response:
        return response

    return handler


async def exchange(handler: Handler, peer: Peer | None = None, **scope: Any) -> Peer:
    """One request to an app that is closed afterwards."""
    peer = peer or Peer()
    app = app_of(handler, shutdown_grace=0)
    try:
        await app(scope_of(**scope), peer.receive, peer.send)
    finally:
        await app.aclose()
    return peer

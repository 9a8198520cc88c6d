"""A proxy as it is served: real sockets on both sides, and nothing that repairs anything."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import uvicorn
from attrs import frozen

from openbolt.access import scoped, with_principal
from openbolt.asgi import HandlerApp, serve_handler
from openbolt.guards import answer_errors, with_request_id, with_security_headers
from openbolt.http import Handler, Headers
from openbolt.proxy.handler import Proxy, for_own_pages
from openbolt.routing import ANY, Route, Router
from openbolt.settings import Settings
from openbolt.testing import SequenceTokens
from tests.handlers.building import ByHeader

ORIGIN = "https://pages.example"


def settings_with(
    upstreams: Mapping[str, Any], secrets: Mapping[str, str] | None = None
) -> Settings:
    return Settings(upstreams=json.dumps(upstreams), upstream_secrets=json.dumps(secrets or {}))


def guarded(proxy: Proxy) -> Handler:
    """The proxy's route behind the guards that it has in an application."""
    handler = scoped(for_own_pages(proxy, (ORIGIN,)), "proxy")
    router = Router([Route(ANY, "/api/proxy/{upstream}/{path:path}", handler)])
    known = with_principal(router, ByHeader())
    return with_request_id(with_security_headers(answer_errors(known)), SequenceTokens())


@frozen
class RawAnswer:
    """What came over the wire, byte for byte."""

    raw: bytes

    @property
    def status(self) -> int:
        return int(self.raw.split(b" ", 2)[1])

    @property
    def headers(self) -> Headers:
        head = self.raw.partition(b"\r\n\r\n")[0].decode("latin-1")
        pairs = (line.partition(":") for line in head.split("\r\n")[1:])
        return Headers((name, value.strip()) for name, _, value in pairs)

    @property
    def body(self) -> bytes:
        """Of a body that isn't chunked."""
        return self.raw.partition(b"\r\n\r\n")[2]

    @property
    def error(self) -> tuple[int, str]:
        return self.status, json.loads(self.body)["error"]["code"]


@frozen
class Served:
    """An application that listens on a port of this machine."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def raw(self, request: bytes) -> RawAnswer:
        """Send bytes, and read until the server closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            return RawAnswer(await reader.read())
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def ask(self, line: str, *fields: str, body: bytes = b"") -> RawAnswer:
        """One request of Ann's over a connection of its own: ``GET /path`` and fields."""
        head = [f"{line} HTTP/1.1", "host: localhost", "x-test-user: ann", *fields]
        if not any(field.lower().startswith("connection:") for field in fields):
            head.append("connection: close")
        return await self.raw("\r\n".join([*head, "", ""]).encode("latin-1") + body)


@asynccontextmanager
async def served(handler: Handler | HandlerApp, *, http: str = "h11") -> AsyncGenerator[Served]:
    """Serve with uvicorn, in this event loop."""
    app = handler if isinstance(handler, HandlerApp) else _app(handler)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, http=http, log_level="critical", lifespan="on", access_log=False)
    server = uvicorn.Server(config)
    # What `serve` does, without its clock, whose ticks would be waited for.
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    try:
        yield Served(listener.getsockname()[1])
    finally:
        await server.shutdown(sockets=[listener])


def _app(handler: Handler) -> HandlerApp:
    @asynccontextmanager
    async def opened() -> AsyncGenerator[Handler]:
        yield handler

    return serve_handler(opened)

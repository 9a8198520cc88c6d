"""A server outside workerd for `FetchSender` to call, which tells what it saw."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from aiohttp import web


class Upstream:
    """What the server saw, and the levers of its streams.

    Attributes:
        url: Where it listens.
        go: Lets the streams that wait go on.
        left: Set when the client of a stream has gone.
    """

    def __init__(self) -> None:
        self.url = ""
        self.go = asyncio.Event()
        self.left = asyncio.Event()

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[None]:
        """Listen on a free port until the context is left."""
        app = web.Application()
        app.router.add_route("*", "/{kind}", self._answer)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0]
            self.url = f"http://{host}:{port}"
            yield
        finally:
            self.go.set()
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        match request.match_info["kind"]:
            case "echo":
                return await _echo(request)
            case "redirect":
                return web.Response(status=302, headers={"location": f"{self.url}/echo"})
            case "cookies":
                return web.Response(headers=[("set-cookie", "a=1"), ("set-cookie", "b=2")])
            case "coded":
                wanted = request.headers.get("accept-encoding", "")
                if "gzip" in wanted:
                    body = gzip.compress(b"coded")
                    return web.Response(body=body, headers={"content-encoding": "gzip"})
                return web.Response(body=b"plain")
            case "silent":
                await self._waiting()
            case "gated":
                return await self._gated(request)
            case "cut":
                response = await _opened(request)
                await response.write(b"first")
                assert request.transport is not None
                request.transport.close()
                return response
        return web.Response(status=404)

    async def _gated(self, request: web.Request) -> web.StreamResponse:
        response = await _opened(request)
        await response.write(b"first")
        await self._waiting()
        await response.write(b"second")
        return response

    async def _waiting(self) -> None:
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.left.set()
            raise


async def _opened(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    return response


async def _echo(request: web.Request) -> web.Response:
    seen = {
        "method": request.method,
        "length": request.headers.get("content-length"),
        "field": request.headers.get("x-field"),
        "body": (await request.read()).decode(),
    }
    return web.json_response(seen, status=418)

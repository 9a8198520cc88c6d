"""An app that real servers run in `test_servers`: what happens in it can be asked for by HTTP."""

import asyncio
import os
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from openbolt.asgi import serve_handler
from openbolt.bodies import json_response
from openbolt.errors import ConflictError
from openbolt.guards import answer_errors, with_request_id, with_security_headers
from openbolt.http import Handler, Headers, Request, Response, StreamBody
from openbolt.routing import Route, Router


class Tokens:
    def token(self, size: int = 16, /) -> str:
        return os.urandom(size).hex()


class Facts:
    """What happened, counted; and latches that a client opens."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.latches: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._news = asyncio.Condition()

    async def note(self, fact: str) -> None:
        async with self._news:
            self.counts[fact] += 1
            self._news.notify_all()

    async def until(self, fact: str, count: int) -> None:
        async with self._news:
            await self._news.wait_for(lambda: self.counts[fact] >= count)


class Routes:
    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    async def ask(self, request: Request, /) -> Response:
        return json_response(self.facts.counts)

    async def wait(self, request: Request, /) -> Response:
        await self.facts.until(request.path_params["fact"], 1)
        return json_response(self.facts.counts)

    async def release(self, request: Request, /) -> Response:
        self.facts.latches[request.path_params["name"]].set()
        return Response(204)

    def _body(self, name: str, source: AsyncIterator[bytes]) -> StreamBody:
        stack = AsyncExitStack()
        stack.push_async_callback(self.facts.note, f"closed-{name}")
        return StreamBody(source, stack=stack)

    async def stream(self, request: Request, /) -> Response:
        """One chunk, and another when the latch of its name is opened."""
        name = request.path_params["name"]

        async def chunks() -> AsyncIterator[bytes]:
            yield b"first\n"
            await self.facts.note(f"waiting-{name}")
            await self.facts.latches[name].wait()
            yield b"second\n"

        return Response(200, Headers.of(content_type="text/plain"), self._body(name, chunks()))

    async def flood(self, request: Request, /) -> Response:
        """As much as the client takes, and more."""

        async def chunks() -> AsyncIterator[bytes]:
            while True:
                self.facts.counts["flooded"] += 1
                yield b"x" * 65_536

        return Response(body=self._body("flood", chunks()))

    async def breaking(self, request: Request, /) -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"first\n"
            raise RuntimeError("broken on purpose")

        return Response(body=self._body("breaking", chunks()))

    async def upload(self, request: Request, /) -> Response:
        return json_response({"size": len(await request.read(100_000))})

    async def echo(self, request: Request, /) -> Response:
        return Response(body=request.body)

    async def failing(self, request: Request, /) -> Response:
        raise ConflictError("Changed meanwhile.")

    async def crashing(self, request: Request, /) -> Response:
        raise RuntimeError("crashed on purpose")

    async def spawning(self, request: Request, /) -> Response:
        name = request.path_params["name"]

        async def later() -> None:
            await self.facts.latches[name].wait()
            await self.facts.note(f"spawned-{name}")

        request.context.spawn(later())
        return Response(204)

    def handler(self) -> Handler:
        router = Router(
            [
                Route("GET", "/facts", self.ask),
                Route("GET", "/facts/{fact}", self.wait),
                Route("POST", "/release/{name}", self.release),
                Route("GET", "/stream/{name}", self.stream),
                Route("POST", "/stream/{name}", self.stream),
                Route("GET", "/flood", self.flood),
                Route("GET", "/breaking", self.breaking),
                Route("POST", "/upload", self.upload),
                Route("POST", "/echo", self.echo),
                Route("GET", "/failing", self.failing),
                Route("GET", "/crashing", self.crashing),
                Route("POST", "/spawn/{name}", self.spawning),
            ]
        )
        return with_request_id(with_security_headers(answer_errors(router)), Tokens())


@asynccontextmanager
async def open_handler() -> AsyncGenerator[Handler]:
    facts = Facts()
    await facts.note("opened")
    yield Routes(facts).handler()
    log = os.environ.get("SERVED_APP_LOG")
    if log:
        with Path(log).open("a") as file:  # noqa: ASYNC230
            file.write("closed\n")


app = serve_handler(open_handler)

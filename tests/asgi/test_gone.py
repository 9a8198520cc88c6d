"""A handler that has not answered yet can learn that its client has hung up."""

from __future__ import annotations

import asyncio
from typing import Any

from openbolt.asgi import serve_handler
from openbolt.http import Request, Response
from tests.asgi.driving import Opening, scope_of


async def test_gone_returns_when_the_client_hangs_up_and_not_before() -> None:
    hung_up, told = asyncio.Event(), asyncio.Event()

    async def handler(request: Request, /) -> Response:
        await request.read(100)
        assert request.context.gone is not None
        waiting = asyncio.ensure_future(request.context.gone())
        done, _ = await asyncio.wait([waiting], timeout=0.05)
        assert not done
        hung_up.set()
        await waiting
        told.set()
        return Response(204)

    messages: list[Any] = [{"type": "http.request", "body": b"x", "more_body": False}]

    async def receive() -> Any:
        if messages:
            return messages.pop(0)
        await hung_up.wait()
        return {"type": "http.disconnect"}

    async def send(_: Any) -> None: ...

    app = serve_handler(Opening(handler))
    async with asyncio.timeout(5):
        await app(scope_of("POST", "/"), receive, send)
        await app.aclose()
    assert told.is_set()

"""The bare SDK relay: the official client's raw bytes over aiohttp, cut into frames, each one
parsed and written again with orjson. Nothing is parsed out of the text, and nothing is saved.
"""

from __future__ import annotations

import argparse
from typing import Any

import anthropic
import orjson
import uvicorn


class Relay:
    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._client: anthropic.AsyncAnthropic | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        await self._stream(orjson.loads(body), send)

    async def _live(self, receive: Any, send: Any) -> None:
        await receive()
        self._client = anthropic.AsyncAnthropic(
            base_url=self._upstream,
            api_key="k",
            http_client=anthropic.DefaultAioHttpClient(),
        )
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._client.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _stream(self, asked: dict[str, Any], send: Any) -> None:
        assert self._client is not None
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        create = self._client.messages.with_streaming_response.create
        rest = b""
        async with create(
            model=asked["model"], max_tokens=8192, messages=asked["messages"], stream=True
        ) as response:
            async for data in response.iter_bytes():
                rest += data
                end = rest.rfind(b"\n\n")
                if end < 0:
                    continue
                block, rest = rest[:end], rest[end + 2 :]
                if said := b"".join(_frames(block)):
                    await send({"type": "http.response.body", "body": said, "more_body": True})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


def _frames(block: bytes) -> list[bytes]:
    said = []
    for part in block.split(b"\n\n"):
        event = orjson.loads(part[part.index(b"data: ") + 6 :])
        if event["type"] == "content_block_delta":
            text = orjson.dumps(event["delta"]["text"])
            said.append(b'data: {"type":"text-delta","id":"0","delta":' + text + b"}\n\n")
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description="The bare SDK relay.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True, help="URL without /v1")
    options = parser.parse_args()
    app = Relay(options.upstream)
    uvicorn.run(app, port=options.port, log_level="warning", access_log=False, backlog=4096)


if __name__ == "__main__":
    main()

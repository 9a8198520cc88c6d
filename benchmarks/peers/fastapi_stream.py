"""What one writes without openbolt: FastAPI and the SDK's ``messages.stream``, its text as SSE."""

from __future__ import annotations

import argparse
import json
from collections.abc import AsyncIterator

import uvicorn
from anthropic import AsyncAnthropic
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse


def make_app(upstream: str) -> FastAPI:
    app = FastAPI()
    client = AsyncAnthropic(base_url=upstream, api_key="k")

    async def chat(request: Request) -> StreamingResponse:
        asked = await request.json()

        async def frames() -> AsyncIterator[str]:
            async with client.messages.stream(
                model=asked["model"], max_tokens=8192, messages=asked["messages"]
            ) as stream:
                async for text in stream.text_stream:
                    yield f"data: {json.dumps({'type': 'text-delta', 'delta': text})}\n\n"

        return StreamingResponse(frames(), media_type="text/event-stream")

    # The annotations are text here, which FastAPI would look up in the module.
    chat.__annotations__["request"] = Request
    app.post("/api/chat", response_model=None)(chat)
    return app


def main() -> None:
    parser = argparse.ArgumentParser(description="FastAPI with the SDK's messages.stream.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True, help="URL without /v1")
    options = parser.parse_args()
    app = make_app(options.upstream)
    uvicorn.run(app, port=options.port, log_level="warning", access_log=False, backlog=4096)


if __name__ == "__main__":
    main()

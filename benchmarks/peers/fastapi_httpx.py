"""What one writes without openbolt: FastAPI, and httpx with its answer streamed."""

from __future__ import annotations

import argparse

import httpx
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from starlette.background import BackgroundTask

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "host"}


def make_app(upstream: str) -> FastAPI:
    app = FastAPI()
    client = httpx.AsyncClient(timeout=60)

    async def relay(request: Request, path: str) -> StreamingResponse:
        fields = [(n, v) for n, v in request.headers.raw if n.decode() not in _HOP_BY_HOP]
        has_body = "content-length" in request.headers or "transfer-encoding" in request.headers
        content = request.stream() if has_body else None
        outbound = client.build_request(
            request.method, f"{upstream}/{path}", headers=fields, content=content
        )
        answer = await client.send(outbound, stream=True)
        kept = {n: v for n, v in answer.headers.items() if n not in _HOP_BY_HOP}
        return StreamingResponse(
            answer.aiter_raw(),
            status_code=answer.status_code,
            headers=kept,
            background=BackgroundTask(answer.aclose),
        )

    # The annotations are text here, which FastAPI would look up in the module.
    relay.__annotations__["request"] = Request
    app.get("/api/proxy/up/{path:path}", response_model=None)(relay)
    return app


def main() -> None:
    parser = argparse.ArgumentParser(description="A proxy in FastAPI with httpx.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True, help="URL to forward to")
    options = parser.parse_args()
    app = make_app(options.upstream)
    uvicorn.run(app, port=options.port, log_level="warning", access_log=False, backlog=4096)


if __name__ == "__main__":
    main()

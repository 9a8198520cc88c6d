"""The least that forwards a request in aiohttp: no check, no limit, headers as they come."""

from __future__ import annotations

import argparse

import aiohttp
from aiohttp import web

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "host"}


def make_app(upstream: str) -> web.Application:
    app = web.Application()

    async def sessions(_: web.Application):
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            app["session"] = session
            yield

    async def relay(request: web.Request) -> web.StreamResponse:
        fields = {n: v for n, v in request.headers.items() if n.lower() not in _HOP_BY_HOP}
        path = request.raw_path.removeprefix("/api/proxy/up")
        async with app["session"].request(
            request.method,
            upstream + path,
            headers=fields,
            data=request.content if request.body_exists else None,
            allow_redirects=False,
        ) as answer:
            kept = {n: v for n, v in answer.headers.items() if n.lower() not in _HOP_BY_HOP}
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response

    app["session"] = None
    app.cleanup_ctx.append(sessions)
    app.router.add_route("*", "/api/proxy/up/{path:.*}", relay)
    return app


def main() -> None:
    parser = argparse.ArgumentParser(description="A bare relay in aiohttp.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True, help="URL to forward to")
    options = parser.parse_args()
    app = make_app(options.upstream)
    web.run_app(app, host="127.0.0.1", port=options.port, print=None, access_log=None)


if __name__ == "__main__":
    main()

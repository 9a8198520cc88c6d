"""openbolt's proxy behind the guards that it has in an application, for measuring."""

from __future__ import annotations

import argparse
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import uvicorn

from openbolt.access import LocalUser, scoped, with_principal
from openbolt.asgi import serve_handler
from openbolt.clock import SystemTokens
from openbolt.guards import (
    answer_errors,
    only_hosts,
    refuse_cross_site_writes,
    with_request_id,
    with_security_headers,
)
from openbolt.http import Handler
from openbolt.proxy.handler import Proxy, for_own_pages
from openbolt.routing import ANY, Route, Router
from openbolt.senders.aiohttp import AiohttpSender
from openbolt.settings import Settings

GIB = 1024**3


@asynccontextmanager
async def open_handler(upstream: str, *, secret: bool) -> AsyncGenerator[Handler]:
    fields = {
        "url": upstream,
        "maxResponseBytes": 4 * GIB,
        "secrets": [{"secret": "operator:k", "header": "x-api-key"}] if secret else [],
    }
    settings = Settings(
        upstreams=json.dumps({"up": fields}), upstream_secrets='{"k": "sk-0123456789abcdef"}'
    )
    sender = AiohttpSender()
    proxy = scoped(for_own_pages(Proxy.of(settings, sender)), "proxy")
    router = Router([Route(ANY, "/api/proxy/{upstream}/{path:path}", proxy)])
    handler = only_hosts(refuse_cross_site_writes(with_principal(router, LocalUser())))
    yield with_request_id(with_security_headers(answer_errors(handler)), SystemTokens())
    await sender.aclose()


def main() -> None:
    parser = argparse.ArgumentParser(description="openbolt's proxy, for measuring.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True, help="URL to forward to")
    parser.add_argument("--secret", action="store_true", help="put one in, and cover it in answers")
    options = parser.parse_args()
    app = serve_handler(lambda: open_handler(options.upstream, secret=options.secret))
    uvicorn.run(
        app,
        port=options.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        backlog=4096,
    )


if __name__ == "__main__":
    main()

"""A worker whose handlers do, on request, everything that an adapter has to cope with.

Streams wait for each other by looking at plain values: the runtime lets no request wake another.
"""

import asyncio
import json
import sys
from collections import Counter
from contextlib import AsyncExitStack

from workers import WorkerEntrypoint

from openbolt.errors import OpenBoltError, RateLimitedError
from openbolt.http import Headers, Response, StreamBody
from openbolt.protocols import OutboundRequest, Timeouts
from openbolt_cloudflare.app import serve
from openbolt_cloudflare.fetch import FetchSender

closed = Counter()
sent = Counter()
released = set()
finished = set()


def _json(value):
    return Response(200, Headers.of(content_type="application/json"), json.dumps(value).encode())


def _stream(name, source, status=200, **headers):
    stack = AsyncExitStack()
    stack.callback(closed.update, [name])
    fields = {"content_type": "text/plain"} | headers
    return Response(status, Headers.of(**fields), StreamBody(source, stack=stack))


async def _until_released(name):
    while name not in released:  # an event would belong to one request
        await asyncio.sleep(0.01)


async def _gated(name):
    yield f"{name} begins\n".encode()
    await _until_released(name)
    yield f"{name} ends\n".encode()


async def _ticks(name):
    while True:
        sent[name] += 1
        yield b"tick\n"
        await asyncio.sleep(0.02)


async def _breaks(name):
    yield b"so far so good\n"
    await _until_released(name)
    raise RuntimeError("the source broke")


async def _sized(parts):
    for part in parts:
        yield part


async def _chunks(body):
    async for chunk in body:
        yield chunk


async def _finish_when_released(name):
    await _until_released(name)
    finished.add(name)


async def _exchange(request):
    """Send what the body describes; events come back as lines of JSON."""
    wish = json.loads(await request.read(1_000_000))
    body = wish.get("body", "").encode()
    if "parts" in wish:
        body = _sized([part.encode() for part in wish["parts"]])
    outbound = OutboundRequest(
        wish.get("method", "GET"),
        wish["url"],
        Headers([tuple(pair) for pair in wish.get("headers", [])]),
        body,
        Timeouts(**wish.get("timeouts", {})),
        wish.get("connect_to"),
    )

    async def events():
        read = 0
        try:
            async with FetchSender().send(outbound) as answer:
                yield {"status": answer.status, "headers": list(answer.headers.items)}
                async for data in answer.body:
                    yield {"data": data.decode("latin-1")}
                    read += 1
                    if read == wish.get("leave_after"):
                        break
        except OpenBoltError as error:
            yield {"error": type(error).__name__, "message": error.public_message}
        yield {"left": True}

    async def lines():
        async for event in events():
            yield json.dumps(event).encode() + b"\n"

    return Response(200, Headers.of(content_type="application/x-ndjson"), StreamBody(lines()))


async def handle(request):
    kind, _, name = request.path.removeprefix("/").partition("/")
    context = request.context
    match kind:
        case "inspect":
            body = await request.read(1_000_000)
            return _json(
                {
                    "method": request.method,
                    "scheme": request.scheme,
                    "host": request.host,
                    "root_path": request.root_path,
                    "path": request.path,
                    "query": request.query,
                    "field": request.headers.get("x-field"),
                    "body": body.decode(),
                }
            )
        case "about":
            return _json({"python": sys.version_info[:2], "runs": sys.platform})
        case "state":
            return _json({"closed": closed[name], "sent": sent[name], "finished": name in finished})
        case "release":
            released.add(name)
            return Response(204)
        case "echo":
            return _stream(name, _chunks(request.body))
        case "gated":
            return _stream(name, _gated(name))
        case "ticks":
            return _stream(name, _ticks(name))
        case "late":
            await _until_released(name)
            return _stream(name, _ticks(name))
        case "not-modified":
            return _stream(name, _ticks(name), status=304)
        case "breaks":
            return _stream(name, _breaks(name), content_length="100")
        case "sized":
            return _stream(name, _sized([b"12345", b"67890"]), content_length="10")
        case "encoded":
            given = await request.read(1_000_000)
            return _stream(name, _sized([given]), content_encoding="gzip")
        case "cookies":
            return Response(200, Headers([("set-cookie", "a=1"), ("set-cookie", "b=2, c")]))
        case "refuses":
            raise RateLimitedError("Slowly.", retry_after=1.5)
        case "raises":
            raise RuntimeError("nobody foresaw this")
        case "bad-header":
            return _stream(name, _ticks(name), x_bad="line\nbreak")
        case "spawns":
            context.spawn(_finish_when_released(name))
            return Response(202)
        case "exchange":
            return await _exchange(request)
    return Response(404)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        root_path = "/mounted" if "/mounted/" in str(request.url) else ""
        return await serve(handle, request, self.ctx, root_path=root_path)

"""A worker whose handlers do, on request, everything that an adapter has to cope with.

Streams wait for each other by looking at plain values, but for those that are to show that requests
may wake and cancel each other.
"""

import asyncio
import importlib
import json
import sys
from collections import Counter, defaultdict
from contextlib import AsyncExitStack

import js
from attrs import evolve
from workers import WorkerEntrypoint

from openbolt.errors import OpenBoltError, RateLimitedError
from openbolt.hidden import Hidden
from openbolt.http import Headers, Principal, Response, StreamBody
from openbolt.protocols import OutboundRequest, Timeouts
from openbolt.proxy.handler import Proxy
from openbolt.proxy.injection import Secrets
from openbolt.proxy.upstreams import Injection, Upstream
from openbolt_cloudflare._js import wait_until
from openbolt_cloudflare.app import serve
from openbolt_cloudflare.fetch import FetchSender

closed = Counter()
sent = Counter()
released = set()
finished = set()
doors = defaultdict(asyncio.Event)
doing = {}


def _json(value):
    return Response(200, Headers.of(content_type="application/json"), json.dumps(value).encode())


def _stream(name, source, status=200, **headers):
    stack = AsyncExitStack()
    stack.callback(closed.update, [name])
    fields = {"content_type": "text/plain"} | headers
    return Response(status, Headers.of(**fields), StreamBody(source, stack=stack))


async def _until_released(name):
    while name not in released:
        await asyncio.sleep(0.01)


async def _at_door(name):
    yield f"{name} waits\n".encode()
    await doors[name].wait()
    yield f"{name} goes in\n".encode()


async def _until_cancelled(name, url):
    """Hold a call open; what ends it is another request that cancels the task."""
    doing[name] = asyncio.current_task()
    async with FetchSender().send(OutboundRequest("GET", url)) as answer:
        async for _ in answer.body:
            pass


async def _gated(name):
    yield f"{name} begins\n".encode()
    await _until_released(name)
    yield f"{name} ends\n".encode()


async def _ticks(name):
    while True:
        sent[name] += 1
        yield b"tick\n"
        await asyncio.sleep(0.02)


async def _silent():
    yield b"and then nothing\n"
    await asyncio.get_running_loop().create_future()


async def _fail():
    raise RuntimeError("spawned and failed")


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


async def _call(request):
    """Make the call that the field ``x-call`` describes, with this request's body.

    What comes of it goes back as lines of JSON. Empty lines in between let the runtime notice soon
    that nobody listens any more.
    """
    call = json.loads(request.headers.get("x-call"))
    outbound = OutboundRequest(
        call["method"],
        call["url"],
        Headers([tuple(pair) for pair in call["headers"]]),
        _chunks(request.body) if call["streams"] else await request.read(10_000_000),
        Timeouts(**call["timeouts"]),
        call["connect_to"],
    )
    events = _events(outbound, call["leave_after"])
    return Response(body=StreamBody(_with_empty_lines(events)))


async def _forward(request, path):
    """Proxy this request to the server that the field ``x-upstream`` names, with a secret."""
    injection = Injection(secret="operator:k", header="x-api-key")
    upstream = Upstream(
        name="up",
        url=request.headers.get("x-upstream"),
        methods=("GET", "HEAD", "POST"),
        secrets=(injection,),
    )
    proxy = Proxy([upstream], FetchSender(), Secrets({"k": Hidden("sk-operators-own")}))
    params = {"upstream": "up", "path": path}
    known = request.with_context(principal=Principal("ann"))
    return await proxy(evolve(known, path_params=params))


async def _events(outbound, leave_after):
    try:
        async with FetchSender().send(outbound) as answer:
            yield {"status": answer.status, "headers": answer.headers.items}
            reads = 0
            async for data in answer.body:
                yield {"data": data.decode("latin-1")}
                reads += 1
                if reads == leave_after:
                    break
    except OpenBoltError as error:
        yield {
            "error": type(error).__name__,
            "message": error.public_message,
            "retryable": getattr(error, "retryable", None),
            "cause": repr(error.__cause__) if error.__cause__ else None,
        }
    if leave_after is not None:
        # The call is over, and its request is not: what the runtime ends with that is still open.
        yield {"left": True}
        await asyncio.get_running_loop().create_future()


async def _with_empty_lines(events):
    step = None
    try:
        while True:
            step = step or asyncio.ensure_future(_next(events))
            await asyncio.wait([step], timeout=0.05)
            if not step.done():
                yield b"\n"
                continue
            event, step = step.result(), None
            if event is None:
                return
            yield json.dumps(event).encode() + b"\n"
    finally:
        if step is not None:
            step.cancel()
            await asyncio.wait([step])
        await events.aclose()


async def _next(events):
    return await anext(events, None)


def _import_failure(module):
    try:
        importlib.import_module(module)
    except Exception as error:
        return repr(error)


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
        case "door":
            return _stream(name, _at_door(name))
        case "knock":
            doors[name].set()
            return Response(204)
        case "hold":
            try:
                await _until_cancelled(name, f"{request.scheme}://{request.host}/ticks/{name}")
            except asyncio.CancelledError:
                return Response(200, Headers(), b"cancelled")
        case "cancel":
            return _json(doing.pop(name).cancel())
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
        case "silent":
            return _stream(name, _silent())
        case "spawns-failing":
            context.spawn(_fail())
            return Response(202)
        case "spawns":
            context.spawn(_finish_when_released(name))
            return Response(202)
        case "import":
            return _json(_import_failure(name))
        case "call":
            return await _call(request)
        case "proxy":
            return await _forward(request, name)
    return Response(404)


async def _abort_when_released(controller, name):
    await _until_released(name)
    controller.abort()


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        url = str(request.url)
        if "/abortable/" in url:
            # What the runtime does by itself under `enable_request_signal`, which that of 2024
            # doesn't offer outside of experiments.
            controller = js.AbortController.new()
            name = url.rpartition("/")[2]
            wait_until(self.ctx, asyncio.ensure_future(_abort_when_released(controller, name)))
            request = js.Request.new(
                url.replace("/abortable/", "/silent/"), signal=controller.signal
            )
        root_path = "/mounted" if "/mounted/" in url else ""
        return await serve(handle, request, self.ctx, root_path=root_path)

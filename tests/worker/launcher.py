"""Runs a current entry point (``class Default(WorkerEntrypoint)``) on the 2024 runtime.

That runtime calls ``on_fetch`` and lacks two modules which the SDK imports. Laws: the entry is
imported in the global scope, where nothing random may be drawn, as in production (what a worker has
imported is stored, and every instance begins with it); and nothing of one request is seen by
another that runs at the same time. For tests only: production needs none of this.
"""

import asyncio
import os
import random
import sys
from contextvars import ContextVar
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import js
from pyodide.ffi import create_proxy

_env = ContextVar("env")
_ctx = ContextVar("ctx")


class _WorkersModule:
    """What ``cloudflare:workers`` exports, for whichever request is running."""

    @property
    def env(self):
        return _env.get()

    def waitUntil(self, awaitable):  # noqa: N802
        _ctx.get().waitUntil(create_proxy(awaitable))


def _provide(name, **members):
    module = ModuleType(name)
    vars(module).update(members)
    sys.modules[name] = module


_provide(
    "_pyodide_entrypoint_helper",
    patchWaitUntil=lambda ctx: None,
    cloudflareWorkersModule=_WorkersModule(),
    cloudflareSocketsModule=None,
    doAnImport=None,
)
_provide(
    "_cloudflare_compat_flags",
    python_request_headers_preserve_commas=True,
    python_workflows_implicit_dependencies=True,
)

_tracing = import_module("tracing") if find_spec("tracing") else None
if _tracing:
    _tracing.start()

_is_starting = True


def _urandom(size, draw=os.urandom):
    if _is_starting:
        raise RuntimeError("Production refuses randomness while a worker starts.")
    return draw(size)


os.urandom = random._urandom = _urandom
_entry = import_module("entry")
_is_starting = False
_workers = import_module("workers")


async def on_fetch(request, env, ctx):
    _env.set(env)
    _ctx.set(ctx)
    if _tracing and str(request.url).endswith("/__arcs__"):
        return js.Response.new(_tracing.report())
    response = await _entry.Default(ctx, env).fetch(_workers.Request(request))
    await _drain(request)
    return getattr(response, "js_object", response)


async def _drain(request):
    """Read a body that nobody reads, as wrangler itself does for workers in JavaScript.

    Else about one in a hundred of the requests that follow hangs in wrangler's own proxy.
    """
    for _ in range(10):  # a response that reads it while it streams has begun by then
        await asyncio.sleep(0)
    if request.body and not request.bodyUsed and not request.body.locked:
        reader = request.body.getReader()
        while not (await reader.read()).done:
            pass

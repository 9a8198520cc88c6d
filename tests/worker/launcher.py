"""Runs a current entry point (``class Default(WorkerEntrypoint)``) on the 2024 runtime.

That runtime calls ``on_fetch`` and lacks two modules which the SDK imports. Law: nothing of one
request is seen by another that runs at the same time, so what belongs to a request is held in
context variables. For tests only: production needs none of this.
"""

import sys
from contextvars import ContextVar
from importlib import import_module
from types import ModuleType

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


async def on_fetch(request, env, ctx):
    _env.set(env)
    _ctx.set(ctx)
    # The runtime takes a snapshot of this module's imports, before the SDK's can work.
    entry = import_module("entry")
    workers = import_module("workers")
    response = await entry.Default(ctx, env).fetch(workers.Request(request))
    return getattr(response, "js_object", response)

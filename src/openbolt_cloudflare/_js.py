"""The one door to JavaScript: the modules that exist only inside the Workers runtime.

Law: nothing else in openbolt imports ``js`` or ``pyodide``. They are untyped here on purpose, so
that the package type-checks on machines that have neither; what leaves this package is typed.
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Iterable
from importlib import import_module
from typing import Any, TypeAlias

__all__ = [
    "JsException",
    "JsObject",
    "create_proxy",
    "js",
    "js_headers",
    "to_js",
    "wait_until",
]

JsObject: TypeAlias = Any

_ffi: Any = import_module("pyodide.ffi")

js: Any = import_module("js")
JsException: Any = _ffi.JsException
create_proxy: Any = _ffi.create_proxy
to_js: Any = _ffi.to_js


def js_headers(fields: Iterable[tuple[str, str]]) -> JsObject:
    """A JavaScript ``Headers`` in which a name may stand more than once."""
    headers = js.Headers.new()
    for name, value in fields:
        headers.append(name, value)
    return headers


def wait_until(ctx: JsObject, task: Future[Any], /) -> None:
    """Keep the request's I/O alive until the task ends, for up to about 30 s after the client.

    Without this the runtime drops everything that belongs to a request as soon as its client goes:
    coroutines then stop where they are and no ``finally`` runs.
    """
    proxy = create_proxy(task)
    task.add_done_callback(lambda _: proxy.destroy())
    ctx.waitUntil(proxy)

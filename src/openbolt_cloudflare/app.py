"""A `Handler` as the ``fetch`` of a Worker: the runtime's Request in, its Response out.

Laws: the response's body is closed exactly once, also when the client goes in the middle or was
never there, and a handler that has not answered yet is left to end. The whole exchange runs under
``ctx.waitUntil``, because the runtime would otherwise drop the coroutine with the client, its
``finally`` blocks included. What one request does to another's tasks, the other's streams survive
(`openbolt_cloudflare._requests`).

Only inside a Worker: imports the runtime.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

from openbolt.errors import InvalidRequestError
from openbolt.guards import answer_errors, error_response
from openbolt.http import ByteStream, Handler, Headers, Request, RequestContext, Response
from openbolt.settings import Settings, setting_names, variable_name
from openbolt_cloudflare._js import JsObject, create_proxy, js, js_headers, to_js, wait_until
from openbolt_cloudflare._requests import WorkerRequest, keep_requests_apart
from openbolt_cloudflare.streams import JsByteStream, byte_channel, pump

__all__ = ["serve", "settings_from_env"]

_log = logging.getLogger("openbolt.cloudflare")

# https://fetch.spec.whatwg.org/#null-body-status: a Response with one of these refuses a body.
_NULL_BODY_STATUSES = frozenset({101, 103, 204, 205, 304})


async def serve(
    handler: Handler, request: JsObject, ctx: JsObject, /, *, root_path: str = ""
) -> JsObject:
    """Answer one request; call it from ``WorkerEntrypoint.fetch``.

    A client that goes is noticed at once where the compatibility flag ``enable_request_signal`` is
    set, otherwise when one of the next chunks can't be written.

    Args:
        handler: An `openbolt.OpenBolt`, or any other handler.
        request: What ``fetch`` was given, wrapped by the SDK or not.
        ctx: The entry point's ``ctx``; what the handler spawns goes to its ``waitUntil``.
        root_path: The mount point, without a trailing slash; taken off the path.

    Returns:
        A JavaScript ``Response``, to be returned from ``fetch`` as it is. An error of the handler
        is answered as `openbolt.guards.answer_errors` does.
    """
    incoming: JsObject = getattr(request, "js_object", request)
    loop = asyncio.get_running_loop()
    keep_requests_apart(loop)
    own = WorkerRequest()

    def begin(coroutine: Coroutine[Any, Any, None]) -> None:
        wait_until(ctx, own.begin(coroutine))

    head: asyncio.Future[JsObject] = loop.create_future()
    begin(_exchange(handler, _request(incoming, begin, root_path), incoming.signal, head))
    wait_until(ctx, asyncio.create_task(own.attend()))
    return await head


def settings_from_env(env: JsObject, /, **overrides: Any) -> Settings:
    """Settings from a Worker's ``env``: its variables and secrets, by the names of `Settings`.

    Raises:
        ConfigurationError: A value can't be read or is out of bounds.
    """
    names = [variable_name(name) for name in setting_names()]
    found = {name: getattr(env, name, None) for name in names}
    texts = {name: value for name, value in found.items() if isinstance(value, str)}
    return Settings.from_mapping(texts, **overrides)


async def _exchange(
    handler: Handler, request: Request, signal: JsObject, head: asyncio.Future[JsObject]
) -> None:
    try:
        response = await answer_errors(handler)(request)
        await _send(response, request.method, signal, head)
    except Exception as error:
        _log.error("The response to a %s request broke off", request.method, exc_info=error)
        if not head.done():
            answer = error_response(error)
            head.set_result(_js_response(answer, request.method, answer.body))


async def _send(
    response: Response, method: str, signal: JsObject, head: asyncio.Future[JsObject]
) -> None:
    body = response.body
    if isinstance(body, bytes):
        head.set_result(_js_response(response, method, body))
        return
    try:
        if _bodiless(response, method):
            # Given a stream, the runtime would read it to its end, for nobody.
            head.set_result(_js_response(response, method))
            return
        readable, writable = byte_channel(_content_length(response.headers))
        head.set_result(_js_response(response, method, readable))
        await _pump_until_abort(body, writable, signal)
    finally:
        await body.aclose()


async def _pump_until_abort(body: ByteStream, writable: JsObject, signal: JsObject) -> None:
    if signal.aborted:
        return
    pumping = asyncio.ensure_future(pump(body, writable))
    with _listener(signal, "abort", lambda _: pumping.cancel()):
        await asyncio.wait([pumping])
    if not pumping.cancelled():
        pumping.result()


@contextmanager
def _listener(target: JsObject, event: str, call: Callable[[JsObject], object]) -> Generator[None]:
    proxy = create_proxy(call)
    target.addEventListener(event, proxy)
    try:
        yield
    finally:
        target.removeEventListener(event, proxy)
        proxy.destroy()


def _request(
    incoming: JsObject, begin: Callable[[Coroutine[Any, Any, None]], None], root_path: str
) -> Request:
    url = urlsplit(str(incoming.url))
    headers = Headers([(name, value) for name, value in incoming.headers])

    def spawn(coro: Coroutine[Any, Any, None]) -> None:
        begin(_logged(coro))

    return Request(
        method=str(incoming.method).upper(),
        path=_path_below(root_path, unquote(url.path)),
        headers=headers if "host" in headers else headers.with_({"host": url.netloc}),
        body=JsByteStream(incoming.body, broken=_broken_request),
        # Cloudflare's edge sets this field itself and discards what a client says in it.
        context=RequestContext(spawn=spawn, client=headers.get("cf-connecting-ip")),
        query=url.query,
        scheme=url.scheme,
        root_path=root_path,
    )


def _path_below(root_path: str, path: str) -> str:
    if root_path and (path == root_path or path.startswith(root_path + "/")):
        path = path[len(root_path) :]
    return path or "/"


async def _logged(coro: Coroutine[Any, Any, None]) -> None:
    try:
        await coro
    except Exception:
        _log.exception("Work that outlives its request failed")


def _broken_request(error: Exception) -> Exception:
    return InvalidRequestError(
        "The request's body broke off.", code="incomplete_body", detail=str(error)
    )


def _bodiless(response: Response, method: str) -> bool:
    return method == "HEAD" or response.status in _NULL_BODY_STATUSES


def _content_length(headers: Headers) -> int | None:
    declared = headers.get("content-length")
    return int(declared) if declared is not None else None


def _js_response(response: Response, method: str, body: bytes | JsObject | None = None) -> JsObject:
    init: dict[str, Any] = {
        "status": response.status,
        "headers": js_headers(response.headers.items),
    }
    if "content-encoding" in response.headers:
        init["encodeBody"] = "manual"  # it is encoded already
    return js.Response.new(None if _bodiless(response, method) else to_js(body), **init)

"""The mock itself: routes, the order of checks, what it remembers, who is connected.

The law: everything a test wants to know (what was asked, what is open, what has ended) can be
awaited, so that no test has to sleep.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Self, TypedDict, Unpack

from attrs import define

from openbolt_local.mocks.call import RefusedCallError, read_call
from openbolt_local.mocks.choosing import Chooser, Respond, thinking_for
from openbolt_local.mocks.connection import (
    BodyTooLargeError,
    Connection,
    NotHttpError,
    ReceivedRequest,
)
from openbolt_local.mocks.faults import STATUSES, Directive
from openbolt_local.mocks.listening import Listener, Listening, running_in_thread, unless_gone
from openbolt_local.mocks.reply import Emission, Reply, plan_emission
from openbolt_local.mocks.streaming import ENDINGS, send_stream, send_whole, send_wrong_page
from openbolt_local.mocks.tokens import PromptCache, count_input
from openbolt_local.mocks.wire import encode, error_body, model_page, models

LIVELY = 0.008
"""Seconds between deltas that look like a model at work; tests use 0."""

_REQUEST_LIMIT = 4000
_TOKEN_LIMIT = 400_000


class MockOptions(TypedDict, total=False):
    """The arguments of AnthropicMock, for `in_thread`."""

    host: str
    port: int
    delta_interval: float
    delta_size: int
    seam_overlap: int
    record_limit: int
    respond: Respond | None


@define
class StreamRecord:
    """One streamed answer: how it was planned, and how it ended."""

    emission: Emission
    ended: str | None = None
    """None while it is open; then "complete", "client-gone", "closed" (the mock shut down) or the
    name of the fault that ended it."""


@define
class _Waiter:
    ready: Callable[[], bool]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[None]


class AnthropicMock(Listening):
    """A server that speaks the Anthropic Messages API, without a model behind it.

    Args:
        host: the address to listen on.
        port: 0 picks a free one; see `url`.
        delta_interval: seconds between content deltas. `LIVELY` for people, 0 for tests.
        delta_size: characters per delta.
        seam_overlap: characters that a continuation repeats from before the cut.
        record_limit: how many requests and streams `requests` and `streams` keep, newest last.
        respond: called for each message request that no scripted reply is waiting for; None from
            it leaves the request to the mock's own repertoire. Runs in the server's event loop.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        delta_interval: float = 0.0,
        delta_size: int = 12,
        seam_overlap: int = 0,
        record_limit: int = 1000,
        respond: Respond | None = None,
    ) -> None:
        self.delta_interval = delta_interval
        self.delta_size = delta_size
        self.requests: deque[ReceivedRequest] = deque(maxlen=record_limit)
        self.streams: deque[StreamRecord] = deque(maxlen=record_limit)
        self.open_streams = 0
        self.opened_streams = 0
        self.closed_streams = 0
        self._listener = Listener(host, port, self._converse)
        self._chooser = Chooser(respond, seam_overlap)
        self._cache = PromptCache()
        self._numbers = itertools.count(1)
        self._waiters: list[_Waiter] = []
        self._lock = threading.Lock()

    @property
    def host(self) -> str:
        """The address it listens on."""
        return self._listener.host

    @property
    def port(self) -> int:
        """The port it listens on; known once it has started."""
        return self._listener.port

    # Running

    @classmethod
    @contextlib.contextmanager
    def in_thread(cls, **options: Unpack[MockOptions]) -> Generator[Self]:
        """Run a mock in an event loop of its own thread, for synchronous tests."""
        with running_in_thread(cls(**options), "anthropic-mock") as mock:
            yield mock

    # Scripting

    def enqueue(self, *replies: Reply | str) -> None:
        """Answer the next message requests with these, one each, in order."""
        self._chooser.queue.extend(
            Reply(reply) if isinstance(reply, str) else reply for reply in replies
        )

    def script(self, replies: Iterable[Reply | str]) -> None:
        """Like `enqueue`, but drop what was still waiting."""
        self._chooser.queue.clear()
        self.enqueue(*replies)

    # Waiting

    async def stream_opened(self, count: int = 1) -> None:
        """Wait until `count` streams have been opened since the start."""
        await self._until(lambda: self.opened_streams >= count)

    async def stream_closed(self, count: int = 1) -> None:
        """Wait until `count` streams have been closed since the start, however they ended."""
        await self._until(lambda: self.closed_streams >= count)

    async def idle(self) -> None:
        """Wait until no stream is open."""
        await self._until(lambda: self.open_streams == 0)

    async def _until(self, ready: Callable[[], bool]) -> None:
        loop = asyncio.get_running_loop()
        waiter = _Waiter(ready, loop, loop.create_future())
        with self._lock:
            if ready():
                return
            self._waiters.append(waiter)
        try:
            await waiter.future
        finally:
            with self._lock, contextlib.suppress(ValueError):
                self._waiters.remove(waiter)

    def _changed(self) -> None:
        with self._lock:
            ready = [waiter for waiter in self._waiters if waiter.ready()]
        for waiter in ready:
            waiter.loop.call_soon_threadsafe(_resolve, waiter.future)

    # Serving

    async def _converse(self, connection: Connection) -> None:
        while True:
            request_id = f"req_mock_{next(self._numbers):06d}"
            try:
                request = await connection.receive()
            except BodyTooLargeError:
                kind, message = STATUSES[413]
                await self._refuse(connection, RefusedCallError(413, kind, message), request_id)
                return
            except NotHttpError as exc:
                error = RefusedCallError(400, "invalid_request_error", f"Not HTTP/1.1: {exc}")
                await self._refuse(connection, error, request_id)
                return
            if request is None:
                return
            self.requests.append(request)
            try:
                await self._route(connection, request, request_id)
            except RefusedCallError as exc:
                await self._refuse(connection, exc, request_id)
            if not connection.reusable:
                return

    async def _refuse(
        self, connection: Connection, error: RefusedCallError, request_id: str
    ) -> None:
        retry = error.status in {408, 409, 429} or error.status >= 500
        headers = {
            "content-type": "application/json",
            "request-id": request_id,
            "x-should-retry": "true" if retry else "false",
            **error.headers,
        }
        body = encode(error_body(error.kind, error.message, request_id))
        await connection.respond(error.status, headers, body)

    async def _route(
        self, connection: Connection, request: ReceivedRequest, request_id: str
    ) -> None:
        _check_headers(request.headers)
        method, path = request.method, request.path.rstrip("/")
        match method, path:
            case "POST", "/v1/messages":
                await self._messages(connection, request, request_id)
                return
            case "POST", "/v1/messages/count_tokens":
                call = read_call(request.body, counting=True)
                body: Mapping[str, object] = {"input_tokens": count_input(call)}
            case "GET", "/v1/models":
                body = _page(request.query)
            case "GET", _ if path.startswith("/v1/models/"):
                body = _model(path.removeprefix("/v1/models/"))
            case _, "/v1/messages" | "/v1/messages/count_tokens" | "/v1/models":
                raise RefusedCallError(405, "invalid_request_error", "Method Not Allowed")
            case _:
                raise RefusedCallError(404, "not_found_error", "Not found")
        headers = {"content-type": "application/json", "request-id": request_id}
        await connection.respond(200, headers, encode(body))

    async def _messages(
        self, connection: Connection, request: ReceivedRequest, request_id: str
    ) -> None:
        call = read_call(request.body)
        reply, directive = self._chooser.choose(call, request)
        waiting = asyncio.sleep(directive.delay)
        if await unless_gone(connection, waiting):
            return
        headers = {"request-id": request_id, **self._rate_headers()}
        if directive.status is not None:
            raise _failure(directive.status, directive)
        if directive.fault == "content-type" and directive.value:
            await send_wrong_page(connection, directive.value, headers)
            return
        emission = plan_emission(
            message_id=f"msg_mock_{next(self._numbers):06d}",
            call=call,
            reply=reply,
            directive=directive,
            input_usage=self._cache.account(call),
            thinking=thinking_for(call, reply, directive),
            delta_size=self.delta_size,
        )
        self._chooser.note_pause(call, emission)
        if not call.stream:
            sending = send_whole(
                connection, emission, directive, headers=headers, request_id=request_id
            )
            await unless_gone(connection, sending)
            return
        interval = self.delta_interval if directive.pace is None else directive.pace
        sending = send_stream(
            connection,
            emission,
            directive,
            interval=interval,
            headers=headers,
            request_id=request_id,
        )
        await self._stream(connection, StreamRecord(emission), directive, sending)

    async def _stream(
        self,
        connection: Connection,
        record: StreamRecord,
        directive: Directive,
        sending: Coroutine[object, object, None],
    ) -> None:
        self.streams.append(record)
        self.open_streams += 1
        self.opened_streams += 1
        self._changed()
        ended = "closed"
        try:
            gone = await unless_gone(connection, sending)
            ended = "client-gone" if gone else "complete"
            if not gone and directive.fault in ENDINGS:
                ended = directive.fault
        except OSError:
            ended = "client-gone"
            raise
        finally:
            record.ended = ended
            self.open_streams -= 1
            self.closed_streams += 1
            self._changed()

    def _rate_headers(self) -> dict[str, str]:
        reset = (datetime.now(UTC) + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        headers: dict[str, str] = {
            "anthropic-organization-id": "00000000-0000-0000-0000-000000000000"
        }
        limits = (
            ("requests", _REQUEST_LIMIT),
            ("input-tokens", _TOKEN_LIMIT),
            ("output-tokens", _TOKEN_LIMIT),
            ("tokens", 2 * _TOKEN_LIMIT),
        )
        for name, limit in limits:
            headers[f"anthropic-ratelimit-{name}-limit"] = str(limit)
            headers[f"anthropic-ratelimit-{name}-remaining"] = str(limit - 1 - self.open_streams)
            headers[f"anthropic-ratelimit-{name}-reset"] = reset
        return headers


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _failure(status: int, directive: Directive) -> RefusedCallError:
    kind, message = STATUSES[status]
    headers: dict[str, str] = {}
    if status == 429:
        headers = {"anthropic-ratelimit-requests-remaining": "0", "retry-after": "1"}
    if directive.retry_after is not None:
        headers["retry-after"] = f"{directive.retry_after:g}"
    return RefusedCallError(status, kind, message, headers)


def _check_headers(headers: Mapping[str, str]) -> None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    if not headers.get("x-api-key", "").strip() and not bearer:
        raise RefusedCallError(401, "authentication_error", "x-api-key header is required")
    if not headers.get("anthropic-version", "").strip():
        raise RefusedCallError(
            400, "invalid_request_error", "anthropic-version: header is required"
        )


def _page(query: Mapping[str, str]) -> dict[str, object]:
    limit = query.get("limit", "20")
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit) <= 1000):
        raise RefusedCallError(
            400, "invalid_request_error", "limit: Input should be between 1 and 1000"
        )
    return model_page(limit=int(limit), after=query.get("after_id"), before=query.get("before_id"))


def _model(name: str) -> dict[str, object]:
    for model in models():
        if model["id"] == name:
            return model
    raise RefusedCallError(404, "not_found_error", f"model: {name}")

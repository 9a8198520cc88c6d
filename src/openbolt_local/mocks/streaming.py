"""Send one answer down a connection, with the fault that was asked for in its place.

The law: without a fault the stream is perfect; with one it is perfect up to exactly `after` deltas.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from openbolt_local.mocks.connection import Connection
from openbolt_local.mocks.faults import STATUSES, Directive
from openbolt_local.mocks.reply import Emission
from openbolt_local.mocks.wire import (
    PING,
    encode,
    error_body,
    error_event,
    event_bytes,
    events,
    message_body,
)

BREAKS = frozenset(
    ["stall", "stall-ping", "reset", "cut", "eof", "error-event", "malformed-sse", "malformed-json"]
)
"""Faults that strike between two events."""

ENDINGS = frozenset(["reset", "cut", "eof", "error-event"])
"""Those after which the mock itself has ended the stream."""

_RESET_PAUSE = 0.05
"""Seconds before an RST: it discards what the client has not read yet."""

_WRONG_PAGE = b"<!doctype html><title>Bad gateway</title><h1>Something else answered here</h1>\n"


async def send_stream(
    connection: Connection,
    emission: Emission,
    directive: Directive,
    *,
    interval: float,
    headers: Mapping[str, str],
    request_id: str,
) -> None:
    """The answer as SSE. Returns when the body has ended, rightly or as the fault wants it."""
    await connection.start(
        200,
        {
            **headers,
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-cache",
        },
    )
    fault = directive.fault if directive.fault in BREAKS else None
    split = directive.fault == "split-utf8"
    deltas = 0
    for event in events(emission):
        if fault and (event.last or (event.delta and deltas >= directive.after)):
            if await _strike(connection, fault, directive, request_id):
                return
            fault = None
        await (_send_split(connection, event.data) if split else connection.send(event.data))
        if event.delta:
            deltas += 1
            await asyncio.sleep(interval)
    await connection.finish()


async def _strike(
    connection: Connection, fault: str, directive: Directive, request_id: str
) -> bool:
    """Do what the fault says; True if that is the end of the response."""
    if fault == "stall":
        await asyncio.Event().wait()
    elif fault == "stall-ping":
        while True:
            await connection.send(PING)
            await asyncio.sleep(directive.every)
    elif fault == "reset":
        await asyncio.sleep(_RESET_PAUSE)
        connection.reset()
    elif fault == "cut":
        connection.close()
    elif fault == "eof":
        await connection.finish()
    elif fault == "error-event":
        kind, message = STATUSES[529]
        await connection.send(error_event(kind, message, request_id))
        await connection.finish()
    else:
        await connection.send(_malformed(fault))
        return False
    return True


def _malformed(fault: str) -> bytes:
    delta = event_bytes(
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "!"}}
    )
    if fault == "malformed-json":
        return delta[: delta.index(b'"delta":')] + b"\n\n"
    return b"a stray line\n" + delta.rstrip(b"\n") + b"\n: \xff\n" + delta


async def _send_split(connection: Connection, data: bytes) -> None:
    """Write `data` so that every character of several bytes falls into two writes."""
    start = 0
    for index in range(1, len(data)):
        starts_character = data[index - 1] >= 0xC0
        if starts_character:
            await connection.send(data[start:index])
            # Apart in time, too, so that the two writes are not read as one.
            await asyncio.sleep(0.001)
            start = index
    await connection.send(data[start:])


async def send_whole(
    connection: Connection,
    emission: Emission,
    directive: Directive,
    *,
    headers: Mapping[str, str],
    request_id: str,
) -> None:
    """The answer to a request with `stream` false, with the nearest thing to the fault."""
    headers = {**headers, "content-type": "application/json"}
    body = encode(message_body(emission))
    half = body[: len(body) // 2]
    match directive.fault:
        case "stall" | "stall-ping":
            await asyncio.Event().wait()
        case "reset":
            connection.reset()
        case "cut" | "eof":
            await connection.respond(200, headers, half, declared=len(body))
            connection.close()
        case "error-event":
            kind, message = STATUSES[529]
            error = encode(error_body(kind, message, request_id))
            await connection.respond(529, headers, error)
        case "malformed-sse" | "malformed-json":
            await connection.respond(200, headers, half)
        case "split-utf8":
            await connection.start(200, {**headers, "content-length": str(len(body))})
            await _send_split(connection, body)
            await connection.finish()
        case _:
            await connection.respond(200, headers, body)


async def send_wrong_page(connection: Connection, kind: str, headers: Mapping[str, str]) -> None:
    """A page where an answer should be, as captive portals and gateways send it."""
    await connection.respond(200, {**headers, "content-type": kind}, _WRONG_PAGE)

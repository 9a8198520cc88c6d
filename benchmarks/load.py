"""Many chats at once against one server, and what they cost it.

CPU time is the server's own and its children's, as the kernel counts it; so a busy machine moves
it less than it moves any other figure. Linux only (``/proc``). Prints one JSON line::

    python -m benchmarks.load http://127.0.0.1:8787/api/chat --pid PID --deltas 200 --rate 40
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import re
import time
from itertools import islice
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from attrs import asdict, field, frozen

from benchmarks.loops import run
from benchmarks.upstream import MARKER, Script

_STAMP = re.compile(rb"@(\d{9,})@")
_MARKER = MARKER.encode()
_LONGEST = 40  # bytes that a mark may be cut off at the end of a read
_TICK = os.sysconf("SC_CLK_TCK")


@frozen
class Load:
    """Chats to send.

    Attributes:
        streams: Chats in all.
        at_once: Chats at one time.
        ramp: Seconds over which they come; 0: together.
    """

    script: Script
    streams: int = 50
    at_once: int = 50
    ramp: float = 0.0


@frozen
class Figures:
    """What a load cost. Times as named; memory in MB of 10^6 bytes.

    Attributes:
        sent_per_text_byte: Bytes on the wire to the client for each byte of the model's text;
            None for a timed load.
    """

    deltas: int
    errors: tuple[str, ...]
    cpu_us_per_delta: float
    cpu_ms_per_chat: float
    first_p50_ms: float
    first_p99_ms: float
    delay_p50_ms: float | None
    delay_p99_ms: float | None
    peak_mb: float
    sent_per_text_byte: float | None
    seconds: float


@frozen
class _Tally:
    expected: int
    firsts: list[float] = field(factory=list[float])
    delays: list[int] = field(factory=list[int])
    counts: list[int] = field(factory=list[int])
    sizes: list[int] = field(factory=list[int])
    errors: list[str] = field(factory=list[str])


class _Chat(asyncio.Protocol):
    """One chat: counts marks in the raw bytes, for no server cuts a delta in two."""

    def __init__(self, request: bytes, tally: _Tally, timed: bool) -> None:
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._request = request
        self._tally = tally
        self._timed = timed
        self._began = time.monotonic_ns()
        self._first = 0
        self._seen = 0
        self._size = 0
        self._head = b""
        self._carry = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        cast(asyncio.Transport, transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        self._size += len(data)
        if len(self._head) < 12:
            self._head += data[:12]
        tally = self._tally
        # A server that repeats a file when it is whole shows each mark twice: the first counts.
        wanted = tally.expected - self._seen
        if wanted <= 0:
            return
        text = self._carry + data
        last = 0
        if self._timed:
            for found in islice(_STAMP.finditer(text), wanted):
                last = found.end()
                tally.delays.append(now - int(found[1]))
                self._seen += 1
        else:
            count = text.count(_MARKER)
            if count:
                last = text.rindex(_MARKER) + len(_MARKER)
                self._seen += min(count, wanted)
        if self._seen and not self._first:
            self._first = now
        self._carry = text[max(last, len(text) - _LONGEST) :]

    def connection_lost(self, _: Exception | None) -> None:
        tally = self._tally
        if self._head[9:] != b"200":
            tally.errors.append(self._head.decode("latin-1") or "no answer")
        elif self._seen != tally.expected:
            tally.errors.append(f"{self._seen} deltas of {tally.expected}")
        if self._first:
            tally.firsts.append((self._first - self._began) / 1e6)
        tally.counts.append(self._seen)
        tally.sizes.append(self._size)
        if not self.over.done():
            self.over.set_result(None)


async def drive(url: str, pid: int, load: Load, *, limit: float = 120.0) -> Figures:
    """Send a load and measure it; chats that aren't over after ``limit`` seconds are an error."""
    tally = _Tally(load.script.deltas)
    host, request = _request(url, load.script)
    gate = asyncio.Semaphore(load.at_once)
    loop = asyncio.get_running_loop()
    timed = load.script.rate > 0

    async def chat(index: int) -> None:
        await asyncio.sleep(load.ramp * index / load.streams)
        async with gate:
            try:
                _, protocol = await loop.create_connection(
                    lambda: _Chat(request, tally, timed), *host
                )
            except OSError as error:
                tally.errors.append(repr(error))
                return
            await protocol.over

    gc.collect()
    gc.disable()
    cpu, began = cpu_seconds(pid), time.monotonic()
    try:
        async with asyncio.timeout(limit):
            await asyncio.gather(*map(chat, range(load.streams)))
    except TimeoutError:
        tally.errors.append(f"not over after {limit:g} seconds")
    finally:
        gc.enable()
    seconds, used = time.monotonic() - began, cpu_seconds(pid) - cpu
    deltas = max(sum(tally.counts), 1)
    delays = [delay / 1e6 for delay in tally.delays]
    text = load.script.text_bytes * len(tally.sizes)
    return Figures(
        deltas=deltas,
        errors=tuple(tally.errors[:3]),
        cpu_us_per_delta=used / deltas * 1e6,
        cpu_ms_per_chat=used / load.streams * 1e3,
        first_p50_ms=_quantile(tally.firsts, 0.5),
        first_p99_ms=_quantile(tally.firsts, 0.99),
        delay_p50_ms=_quantile(delays, 0.5) if delays else None,
        delay_p99_ms=_quantile(delays, 0.99) if delays else None,
        peak_mb=peak_bytes(pid) / 1e6,
        sent_per_text_byte=None if timed or not text else sum(tally.sizes) / text,
        seconds=seconds,
    )


def _request(url: str, script: Script) -> tuple[tuple[str, int], bytes]:
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    messages = [{"role": "user", "content": "Build a page."}]
    asked = {"model": script.model, "stream": True, "max_tokens": 8192, "messages": messages}
    body = json.dumps(asked).encode()
    head = (
        f"POST {parts.path or '/'} HTTP/1.1\r\nhost: {host}:{port}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
        "accept: */*\r\nconnection: close\r\n\r\n"
    )
    return (host, port), head.encode() + body


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its living children."""
    total = 0
    for each in _family(pid):
        try:
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / _TICK


def peak_bytes(pid: int) -> int:
    """The highest resident memory of a process and its living children, since they began."""
    total = 0
    for each in _family(pid):
        try:
            found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{each}/status").read_text())
        except OSError:
            continue
        total += int(found[1]) * 1024 if found else 0
    return total


def _family(pid: int) -> list[int]:
    found, waiting = [], [pid]
    while waiting:
        each = waiting.pop()
        found.append(each)
        for task in Path(f"/proc/{each}/task").glob("*/children"):
            try:
                waiting += map(int, task.read_text().split())
            except OSError:
                continue
    return found


def _quantile(values: list[float], at: float) -> float:
    if not values:
        return float("nan")
    return sorted(values)[min(len(values) - 1, int(at * len(values)))]


def main() -> None:
    parser = argparse.ArgumentParser(description="Send chats to a server and measure its costs.")
    parser.add_argument("url")
    parser.add_argument("--pid", type=int, required=True, help="of the server")
    parser.add_argument("--streams", type=int, default=50, help="chats in all")
    parser.add_argument("--at-once", type=int, default=50, help="chats at one time")
    parser.add_argument("--deltas", type=int, default=200, help="of each reply")
    parser.add_argument("--rate", type=int, default=0, help="deltas a second; 0: no pause")
    parser.add_argument("--ramp", type=float, default=0.0, help="seconds over which chats come")
    parser.add_argument("--text", action="store_true", help="plain text, no artifact")
    options = parser.parse_args()
    script = Script(options.deltas, options.rate, not options.text)
    load = Load(script, options.streams, options.at_once, options.ramp)
    figures = run(drive(options.url, options.pid, load))
    if figures is not None:
        print(json.dumps(asdict(figures)))


if __name__ == "__main__":
    main()

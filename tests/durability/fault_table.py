"""Every fault of an upstream in every phase of a turn, over real HTTP; what comes of it, as a row.

Law: nothing is asserted of a fault that was not played: the page is made of what the application
answered. Time runs faster than it is told, so that nobody waits for a silent model.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    aclosing,
    asynccontextmanager,
)
from typing import Any
from urllib.parse import urlsplit

from attrs import define, evolve, field, frozen

from openbolt.clock import SystemClock, SystemTokens
from openbolt.protocols import HttpSender, OutboundRequest, OutboundResponse
from openbolt.providers.http import MessagesProvider
from openbolt.senders.aiohttp import AiohttpSender
from openbolt.testing.scripted import Exchange, scripted_server
from openbolt_local.mocks import AnthropicMock, Reply
from tests.chat.driving import KEY, App, file, files_saved, frames_of, only

SPEED = 15.0
"""How much faster than real time the application's clock runs."""
CALLS = 12
"""More requests than any turn makes."""
PIECES = [
    "Here ",
    "it is.\n",
    '<boltArtifact id="a" ti',
    'tle="T">' + file("a.js", "whole()"),
    '<boltAction type="file" filePath="b.js">ha',
    "lf()</boltAction></boltArtifact>",
    "\nBye.",
]
THOUGHT = "Let me think about it for a while."
PACE = " pace=0.05"  # what came before a fault has to have come


@frozen
class Phase:
    """How far a call has come when the fault strikes: so many deltas, of thought or of text."""

    name: str
    after: int = 0
    thinking: str | None = None


BEFORE = Phase("before the first byte")
WORDLESS = Phase("before the first word")
SEAM = Phase("at the seam", after=5)
STREAMING = (
    WORDLESS,
    Phase("in thinking", after=1, thinking=THOUGHT),
    Phase("in text", after=1),
    Phase("in a tag", after=3),
    Phase("in a file", after=5),
)
IN_TEXT = tuple(phase for phase in STREAMING if phase.thinking is None)


@frozen
class Fault:
    """Something that an upstream does.

    Attributes:
        words: Of the mock's directive, for a fault of the mock's.
        detour: Where a request goes instead, for a fault of the connection's.
        phases: When it can happen.
    """

    name: str
    words: str = ""
    detour: str = ""
    phases: tuple[Phase, ...] = (BEFORE, SEAM)


def _status(number: int, name: str, extra: str = "") -> Fault:
    return Fault(f"{number} {name}", words=f"{number}{extra}")


FAULTS = (
    _status(400, "invalid request"),
    _status(401, "bad key"),
    _status(403, "not permitted"),
    _status(413, "too large"),
    _status(429, "rate limit, `Retry-After: 1`"),
    _status(429, "rate limit, `Retry-After: 60`", " retry-after=60"),
    _status(500, "server error"),
    _status(529, "overloaded"),
    Fault("no such host", detour="http://model.invalid"),
    Fault("connection refused", detour="refused"),
    Fault("TLS fails", detour="tls"),
    Fault("reset before an answer", detour="reset"),
    Fault("closed before an answer", detour="closed"),
    Fault("no answer at all", words="delay=3600"),
    Fault("answer of a wrong content type", words="content-type=text/html"),
    Fault("connection reset", words="reset", phases=(*STREAMING, SEAM)),
    Fault("connection closed in mid-body", words="cut", phases=(*STREAMING, SEAM)),
    Fault("body ends early, but properly", words="eof", phases=(*STREAMING, SEAM)),
    Fault("silence", words="stall", phases=(*STREAMING, SEAM)),
    Fault("pings only", words="stall-ping every=0.3", phases=(*STREAMING, SEAM)),
    Fault("`error` event", words="error-event", phases=(*STREAMING, SEAM)),
    Fault("malformed SSE", words="malformed-sse", phases=(*STREAMING, SEAM)),
    Fault("malformed JSON", words="malformed-json", phases=(*STREAMING, SEAM)),
    Fault("an event over the limit", words="giant size=100000", phases=(*IN_TEXT, SEAM)),
)


class FastClock(SystemClock):
    """A clock that runs ahead, and a day in which little is waited for."""

    def now(self) -> float:
        return super().now() * SPEED

    def monotonic(self) -> float:
        return super().monotonic() * SPEED

    async def sleep(self, seconds: float, /) -> None:
        await super().sleep(seconds / SPEED)


class NoJitter(SystemTokens):
    """Random but for what a wait is drawn from: the shortest one is always drawn."""

    def token(self, size: int = 16, /) -> str:
        return "a" * 8 if size == 5 else super().token(size)


@define
class Detour:
    """An `HttpSender` that sends some requests elsewhere; what is met there is real.

    Attributes:
        to: Where.
        numbers: Which requests, from 0.
    """

    inner: HttpSender
    to: str = ""
    numbers: range = range(0)
    sent: int = 0

    def send(self, request: OutboundRequest, /) -> AbstractAsyncContextManager[OutboundResponse]:
        if self.sent in self.numbers:
            request = evolve(request, url=self.to + urlsplit(request.url).path)
        self.sent += 1
        return self.inner.send(request)


Places = Mapping[str, str]
"""Where a connection fails in one way each."""


@asynccontextmanager
async def bad_places() -> AsyncIterator[Places]:
    """Servers that are gone or hang up."""

    async def reset(exchange: Exchange) -> None:
        exchange.reset()

    async def close(exchange: Exchange) -> None:
        exchange.hang_up()

    async with AsyncExitStack() as stack:
        resets = await stack.enter_async_context(scripted_server())
        closes = await stack.enter_async_context(scripted_server())
        async with scripted_server() as gone:
            refused = gone.url()
        resets.script, closes.script = reset, close
        yield {
            "refused": refused.rstrip("/"),
            "reset": resets.url().rstrip("/"),
            "closed": closes.url().rstrip("/"),
        }


def _place(name: str, mock: AnthropicMock, places: Places) -> str:
    """The address of a detour: a name of ours, an address, or the mock as if it spoke TLS."""
    if name == "tls":
        return mock.url.replace("http:", "https:")
    return places.get(name, name)


@frozen
class Outcome:
    """What a client sees, and what is kept."""

    seen: str
    kept: str


@frozen
class Row:
    """A fault in a phase, when it strikes once and when it strikes again and again."""

    fault: str
    phase: str
    once: Outcome
    again: Outcome


def _script(fault: Fault, phase: Phase, *, again: bool) -> list[Reply]:
    """What the mock answers, call by call."""
    said = phase.after if phase.thinking is None else 0
    rest = PIECES[said:]
    start: list[Reply] = []
    if phase is SEAM:
        start = [Reply(chunks=PIECES[:said], stop_reason="max_tokens", fault="pace=0.01")]
    whole = [Reply("".join(rest))]
    if fault.detour:
        return [*start, *whole * CALLS]
    after = 0 if phase is SEAM else phase.after
    first = [*PIECES] if phase is not SEAM else rest
    struck = Reply(chunks=first, thinking=phase.thinking, fault=_words(fault, after))
    if not again:
        return [*start, struck, *whole * CALLS]
    return [*start, struck, *[Reply(chunks=rest, fault=_words(fault, 0))] * CALLS]


def _words(fault: Fault, after: int) -> str:
    if fault.phases == (BEFORE, SEAM):
        return fault.words
    return f"{fault.words} after={after}{PACE}"


async def _play(fault: Fault, phase: Phase, places: Places, *, again: bool) -> Outcome:
    # A turn may take its default of 15 minutes; 90 s serve to see what happens then.
    async with (
        AnthropicMock() as mock,
        App(mock, turn_timeout=90.0) as app,
        aclosing(AiohttpSender()) as sender,
    ):
        first = 1 if phase is SEAM else 0
        numbers = range(first, first + (CALLS if again else 1)) if fault.detour else range(0)
        clock = FastClock()
        provider = MessagesProvider(
            Detour(sender, _place(fault.detour, mock, places), numbers),
            mock.url,
            KEY,
            max_event_bytes=65_536,
            clock=clock,
            tokens=NoJitter(),
        )
        app.restart(provider=provider, clock=clock, tokens=NoJitter())
        mock.enqueue(*_script(fault, phase, again=again))
        response = await app.start("hi", id="c", projectId="p")
        data = await app.read(response)
        await app.drain()
        if response.status != 200:
            seen = _refusal(response.status, data, response.headers.get("retry-after"))
            return Outcome(seen, await _kept(app, {}))
        frames = frames_of(data)
        return Outcome(_ending(frames), await _kept(app, files_saved(frames)))


def _refusal(status: int, data: bytes, retry_after: str | None) -> str:
    code = json.loads(data)["error"]["code"]
    wait = f", `Retry-After: {retry_after}`" if retry_after else ""
    return f"{status} `{code}`{wait}"


def _ending(frames: list[Any]) -> str:
    """The last event before the end; there is exactly one that ends a stream."""
    assert frames[-1] == "[DONE]"
    ends = [f for f in frames[:-1] if f["type"] in {"finish", "error", "abort"}]
    assert ends == frames[-2:-1]
    notices = sum(f["data"]["kind"] == "recovery" for f in only(frames, "data-notice"))
    asked = {0: "", 1: "asked on, "}.get(notices, f"asked on {notices} times, ")
    end = ends[0]
    if end["type"] == "finish":
        return f"{asked}`finish`"
    return f"{asked}`error`: {end['errorText']}"


async def _kept(app: App, said: Mapping[str, str]) -> str:
    status, chat = await app.call("GET", "/api/chats/c")
    if status == 404:
        assert (await app.call("GET", "/api/projects/p"))[0] == 404
        return "nothing"
    message = chat["messages"][-1]
    text = "".join(part["text"] for part in message["parts"] if part["type"] == "text")
    files = {path: await app.file("p", path) for path in ("a.js", "b.js")}
    assert {path for path, state in said.items() if state == "saved"} == {
        path for path, content in files.items() if content is not None
    }
    if files == {"a.js": "whole()\n", "b.js": "half()\n"} and text == "Here it is.\n\nBye.":
        assert message["metadata"]["status"] == "complete"
        return "everything"
    saved = [f"`{path}`" for path, content in files.items() if content is not None]
    words = "the text so far" if text else "an empty message"
    return " and ".join([words, *saved]) + f"; status {message['metadata']['status']}"


@define
class _Player:
    """Plays rows side by side, some at a time."""

    places: Places
    free: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(16))

    async def row(self, fault: Fault, phase: Phase) -> Row:
        outcomes: list[Outcome] = []
        for again in (False, True):
            async with self.free:
                outcomes.append(await _play(fault, phase, self.places, again=again))
        return Row(fault.name, phase.name, *outcomes)


async def rows() -> list[Row]:
    """Every fault in every phase, played."""
    async with bad_places() as places:
        player = _Player(places)
        asked = [player.row(fault, phase) for fault in FAULTS for phase in fault.phases]
        return list(await asyncio.gather(*asked))


HEAD = """\
# Faults of the model's server

What a client sees, and what is kept, for each way in which the model's server can fail. The table
is made by playing each fault through the application over HTTP, with the settings as they are by
default (but for a turn's limit of 90 seconds and events of 64 KiB at most):
`python tests/durability/test_fault_table.py` writes it anew.

The reply has some words, a whole file `a.js`, and a second file `b.js`. "At the seam" is the second
call of a reply that ran into `max_tokens` in the middle of `b.js`. A fault that is seen **once**
is gone when the server is called again; **again** means that every further call fails as well.

- Before the first byte a failure is a status with a JSON body, and nothing is stored. What may pass
  (429, 5xx, an address that can't be reached) is tried three times in all, unless the server asks
  for a longer wait than ten seconds.
- After it, a stream that broke is asked on from what came, up to `max_recoveries` times; then there
  is one `error` event. Whole files are saved, a file that was cut off never is, and the text stays
  in the chat. The next prompt in the same chat works.

| fault | when | once: the client sees | and is kept | again: the client sees | and is kept |
|---|---|---|---|---|---|
"""


def page_of(found: list[Row]) -> str:
    """The page; phases with the same outcomes share a line."""
    lines: dict[tuple[str, Outcome, Outcome], list[str]] = {}
    for row in found:
        lines.setdefault((row.fault, row.once, row.again), []).append(row.phase)
    text = [
        f"| {fault} | {', '.join(phases)} | {once.seen} | {once.kept} "
        f"| {again.seen} | {again.kept} |"
        for (fault, once, again), phases in lines.items()
    ]
    return HEAD + "\n".join(text) + "\n"

"""A model call holds one exchange at a time, and leaves each exactly once, however it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbolt.clock import SystemTokens
from openbolt.errors import UpstreamError, UpstreamTimeoutError
from openbolt.http import Headers
from openbolt.model import ModelMessage, ModelRequest, ReplyStopped
from openbolt.protocols import OutboundRequest, OutboundResponse
from openbolt.providers.http import MessagesProvider
from openbolt.testing.providers import collected, reply

REQUEST = ModelRequest("m", (ModelMessage.text("user", "hi"),), 100)
REPLY = reply("Hello")

# What an exchange can come to.
ENTERING = ("unreachable", "silent")
ANSWERED = ("refused", "overloaded", "coded", "whole", "cut", "garbled", "broken")


class NoWait:
    """A clock on which waiting takes no time."""

    def now(self) -> float:
        return 0.0

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, _: float, /) -> None:
        await asyncio.sleep(0)


class Counted:
    """A sender that comes to what it is told, and knows what was entered and left."""

    def __init__(self, *outcomes: str) -> None:
        self.outcomes = list(outcomes)
        self.open: list[str] = []
        self.left: list[str] = []
        self.most = 0
        self.reading = asyncio.Event()

    @asynccontextmanager
    async def send(self, _: OutboundRequest, /) -> AsyncGenerator[OutboundResponse]:
        outcome = self.outcomes.pop(0)
        await asyncio.sleep(0)
        if outcome == "unreachable":
            raise UpstreamError("unreachable", retryable=True)
        if outcome == "silent":
            raise UpstreamTimeoutError("silent")
        self.open.append(outcome)
        self.most = max(self.most, len(self.open))
        status = {"refused": 400, "overloaded": 529, "stuck": 400}.get(outcome, 200)
        coding = "gzip" if outcome == "coded" else "identity"
        try:
            headers = Headers.of(None, content_encoding=coding)
            yield OutboundResponse(status, headers, self._body(outcome))
        finally:
            self.open.remove(outcome)
            self.left.append(outcome)

    async def _body(self, outcome: str) -> AsyncGenerator[bytes]:
        yield {"garbled": b"<h1>", "refused": b"no", "cut": REPLY[:-1]}.get(outcome, REPLY)
        if outcome == "broken":
            raise UpstreamError("broken")
        if outcome == "stuck":
            self.reading.set()
            await asyncio.Event().wait()


def provider(sender: Counted) -> MessagesProvider:
    return MessagesProvider(sender, max_retries=2, clock=NoWait(), tokens=SystemTokens())


@given(
    st.lists(st.sampled_from(ENTERING + ANSWERED), min_size=3, max_size=3),
    st.sampled_from(["to the end", "early", "with an error of its own"]),
)
def test_every_exchange_that_began_is_left_once_before_the_next_begins(
    outcomes: list[str], reader: str
) -> None:
    sender = Counted(*outcomes)

    async def call() -> None:
        with suppress(UpstreamError, LookupError):
            async with provider(sender).stream(REQUEST) as batches:
                if reader == "with an error of its own":
                    raise LookupError
                async for _ in batches:
                    assert sender.open
                    if reader == "early":
                        break

    asyncio.run(call())
    tried = outcomes[: len(outcomes) - len(sender.outcomes)]
    assert (sender.left, sender.open) == ([o for o in tried if o not in ENTERING], [])
    assert sender.most <= 1


async def test_a_reply_is_held_until_the_context_is_left() -> None:
    sender = Counted("whole")
    async with provider(sender).stream(REQUEST) as batches:
        said = [batch async for batch in batches]
        assert (len(said), sender.open, sender.left) == (1, ["whole"], [])
    assert (sender.open, sender.left) == ([], ["whole"])


@pytest.mark.parametrize("when", ["entering", "reading a refusal", "reading"])
async def test_a_cancelled_call_leaves_what_it_entered(when: str) -> None:
    sender = Counted("stuck" if when == "reading a refusal" else "whole")
    entered = asyncio.Event()

    async def call() -> None:
        async with provider(sender).stream(REQUEST):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(call())
    if when == "entering":
        await asyncio.sleep(0)
    else:
        await (sender.reading if when == "reading a refusal" else entered).wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    left = {"entering": [], "reading a refusal": ["stuck"], "reading": ["whole"]}[when]
    assert (sender.open, sender.left) == ([], left)


@pytest.mark.parametrize("said", [REPLY[:40], REPLY])
async def test_an_error_that_is_not_the_senders_passes_unchanged(said: bytes) -> None:
    class Odd(Counted):
        async def _body(self, outcome: str) -> AsyncGenerator[bytes]:
            yield said
            raise ZeroDivisionError(outcome)

    sender = Odd("whole")
    with pytest.raises(ZeroDivisionError, match="whole"):
        await collected(provider(sender), REQUEST)
    assert sender.left == ["whole"]


async def test_a_connection_that_breaks_after_the_reply_breaks_nothing() -> None:
    sender = Counted("broken")
    assert (await collected(provider(sender), REQUEST))[-1] == ReplyStopped("end_turn")
    assert sender.left == ["broken"]

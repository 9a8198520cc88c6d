"""What the operator pays for is counted, and a user over their limit waits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest_asyncio

from openbolt.costs import Price, PriceTable
from openbolt.errors import BackendError
from openbolt.protocols import RatePolicy
from openbolt.testing import PlainCipher
from openbolt_local.memory import MemoryRateLimiter
from openbolt_local.mocks import AnthropicMock, Reply
from tests.chat.driving import App, kinds

PRICES = PriceTable("a day", {"": Price.of("1", "2", "0")})
OWN_KEY = "sk-ant-somebodys-own-key"


class WatchedLimiter(MemoryRateLimiter):
    """A limiter that remembers what it was told afterwards, and may be down."""

    def __init__(self, clock: object) -> None:
        super().__init__(clock)  # type: ignore[arg-type]
        self.charges: list[tuple[str, str, int]] = []
        self.is_down = False

    async def charge(self, subject: str, policy: RatePolicy, cost: int, /) -> None:
        if self.is_down:
            raise BackendError("The limiter is down.")
        self.charges.append((policy.name, subject, cost))
        await super().charge(subject, policy, cost)


@pytest_asyncio.fixture
async def metered() -> AsyncIterator[tuple[App, WatchedLimiter]]:
    limits = ("tokens=100000/1d", "spend=1000000/1d")
    async with AnthropicMock() as mock, App(mock, rate_limits=limits) as app:
        limiter = WatchedLimiter(app.dependencies.clock)
        app.restart(limiter=limiter, accounting=limiter, prices=PRICES, cipher=PlainCipher())
        yield app, limiter


def usage_of(frames: list) -> dict:
    return next(f["data"] for f in frames if f != "[DONE]" and f["type"] == "data-usage")


async def test_a_reply_counts_its_tokens_and_its_price(
    metered: tuple[App, WatchedLimiter],
) -> None:
    app, limiter = metered
    usage = usage_of(await app.chat("hi"))
    tokens = usage["inputTokens"] + usage["outputTokens"]
    tokens += usage["cacheReadTokens"] + usage["cacheWriteTokens"]
    micros = int(Decimal(usage["costUsd"]) * 1_000_000)
    assert tokens > 0
    assert micros > 0
    assert limiter.charges == [("tokens", "user:local", tokens), ("spend", "user:local", micros)]


async def test_an_enhanced_prompt_counts_too_and_once_its_body_is_closed(
    metered: tuple[App, WatchedLimiter],
) -> None:
    app, limiter = metered
    response = await app.open("POST", "/api/enhancer", {"message": "todo list"})
    assert limiter.charges == []
    await app.read(response)
    assert [(name, subject) for name, subject, _ in limiter.charges] == [
        ("tokens", "user:local"),
        ("spend", "user:local"),
    ]
    assert all(cost > 0 for *_, cost in limiter.charges)


async def test_what_a_user_pays_with_their_own_key_is_not_counted(
    metered: tuple[App, WatchedLimiter],
) -> None:
    app, limiter = metered
    assert (await app.call("PUT", "/api/secrets/anthropic", {"value": OWN_KEY}))[0] == 200
    assert usage_of(await app.chat("hi"))["ownKey"] is True
    await app.read(await app.open("POST", "/api/enhancer", {"message": "todo list"}))
    assert limiter.charges == []


async def test_a_reply_that_broke_counts_what_came(metered: tuple[App, WatchedLimiter]) -> None:
    app, limiter = metered
    app.mock.enqueue(Reply("word " * 200, fault="error-event after=20"))
    app.mock.enqueue(*[Reply(fault="400")] * 3)
    frames = await app.chat("hi")
    assert "error" in kinds(frames)
    usage = usage_of(frames)
    assert usage["outputTokens"] > 0
    assert limiter.charges[0][2] == usage["inputTokens"] + usage["outputTokens"]


async def test_over_the_limit_a_user_waits(metered: tuple[App, WatchedLimiter]) -> None:
    app, limiter = metered
    await app.chat("hi")
    await limiter.charge("user:local", RatePolicy("tokens", 100_000, 86_400.0), 10_000_000)
    status, body = await app.call("POST", "/api/chat", {"messages": [_said("more")]})
    assert (status, body["error"]["code"]) == (429, "rate_limited")


def _said(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


async def test_a_limiter_that_is_down_loses_no_reply(metered: tuple[App, WatchedLimiter]) -> None:
    app, limiter = metered
    limiter.is_down = True
    frames = await app.chat("hi", id="c1")
    assert kinds(frames)[-2:] == ["finish", "[DONE]"]
    status, chat = await app.call("GET", "/api/chats/c1")
    assert (status, [m["role"] for m in chat["messages"]]) == (200, ["user", "assistant"])

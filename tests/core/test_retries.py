"""Trying again before the first byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbolt.errors import UpstreamError, UpstreamRateLimitedError
from openbolt.model import ModelMessage, ModelRequest, TextDelta
from openbolt.providers.http import MessagesProvider
from openbolt.retries import full_jitter
from openbolt.senders.aiohttp import AiohttpSender
from openbolt_local.mocks import AnthropicMock, Reply

REQUEST = ModelRequest("m", (ModelMessage.text("user", "hi"),), 100)


class Always:
    """Tokens of one byte value, five of them."""

    def __init__(self, text: str) -> None:
        self.text = text

    def token(self, size: int = 16, /) -> str:
        assert size == 5
        return self.text


class Waits:
    """A clock whose waiting is written down instead of done."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def now(self) -> float:
        return 0.0

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float, /) -> None:
        self.waits.append(seconds)


@given(st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=8, max_size=8), st.integers(1, 40))
def test_every_wait_is_at_most_the_bound_that_doubles(token: str, attempt: int) -> None:
    assert 0 <= full_jitter(Always(token), attempt) < min(8.0, 0.5 * 2 ** (attempt - 1))


def test_the_wait_uses_the_whole_range() -> None:
    assert full_jitter(Always("aaaaaaaa"), 3) == 0
    assert full_jitter(Always("77777777"), 3) > 1.99


async def ask(*faults: str, max_retries: int = 2) -> tuple[str, list[float], int]:
    clock, sender = Waits(), AiohttpSender()
    async with AnthropicMock() as mock:
        mock.enqueue(*[Reply(fault=fault) for fault in faults], "hello")
        provider = MessagesProvider(
            sender, mock.url, "k", max_retries=max_retries, clock=clock, tokens=Always("77777777")
        )
        try:
            text = ""
            async with provider.stream(REQUEST) as batches:
                async for batch in batches:
                    text += "".join(e.text for e in batch if isinstance(e, TextDelta))
        finally:
            await sender.aclose()
        return text, clock.waits, len(mock.requests)


@pytest.mark.parametrize("fault", ["500", "529", "503"])
async def test_a_refusal_that_may_pass_is_tried_again_with_growing_waits(fault: str) -> None:
    text, waits, requests = await ask(fault, fault)
    assert (text, requests) == ("hello", 3)
    assert 0.49 < waits[0] < 0.5
    assert 0.99 < waits[1] < 1.0


async def test_what_the_upstream_asks_to_wait_is_waited() -> None:
    assert (await ask("429 retry-after=3"))[1] == [3.0]


async def test_a_longer_wait_than_allowed_is_not_waited_but_said() -> None:
    with pytest.raises(UpstreamRateLimitedError) as caught:
        await ask("429 retry-after=60")
    assert caught.value.retry_after == 60


@pytest.mark.parametrize("fault", ["400", "401", "403", "413"])
async def test_a_refusal_that_will_not_pass_is_not_tried_again(fault: str) -> None:
    with pytest.raises(UpstreamError):
        await ask(fault)


async def test_the_last_refusal_is_raised() -> None:
    with pytest.raises(UpstreamError):
        await ask("500", "500", max_retries=1)

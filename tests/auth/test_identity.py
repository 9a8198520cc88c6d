"""Exchanges over a sender: driven to their end, and never past it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from attrs import define, field

from openbolt.auth.identity import MAX_ANSWER_BYTES, Answer, Exchange, perform
from openbolt.errors import UpstreamError
from openbolt.http import Headers
from openbolt.protocols import OutboundRequest, OutboundResponse


@define
class Echo:
    """An `HttpSender` whose answer is the request's URL, or what was written down for it."""

    said: dict[str, bytes | Exception] = field(factory=dict)
    open: int = 0
    urls: list[str] = field(factory=list)

    @asynccontextmanager
    async def send(self, request: OutboundRequest, /) -> AsyncIterator[OutboundResponse]:
        self.urls.append(request.url)
        said = self.said.get(request.url, request.url.encode())
        if isinstance(said, Exception):
            raise said
        self.open += 1
        try:
            yield OutboundResponse(200, Headers(), _chunks(said))
        finally:
            self.open -= 1


async def _chunks(content: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(content), 65_536):
        yield content[at : at + 65_536]


def ask(*urls: str) -> Exchange[list[bytes]]:
    bodies: list[bytes] = []
    for url in urls:
        bodies.append((yield OutboundRequest("GET", url)).body)
    return bodies


async def test_requests_go_out_in_turn_and_answers_come_back_whole() -> None:
    echo = Echo({"https://b.example": b"x" * 200_000})
    bodies = await perform(ask("https://a.example", "https://b.example"), echo)
    assert bodies == [b"https://a.example", b"x" * 200_000]
    assert echo.open == 0


async def test_an_exchange_without_a_request_needs_nobody() -> None:
    assert await perform(ask(), Echo()) == []


async def test_a_failure_is_told_to_the_exchange_which_may_go_on() -> None:
    def try_both() -> Exchange[bytes]:
        try:
            yield OutboundRequest("GET", "https://a.example")
        except UpstreamError:
            return (yield OutboundRequest("GET", "https://b.example")).body
        return b""

    echo = Echo({"https://a.example": UpstreamError("gone")})
    assert await perform(try_both(), echo) == b"https://b.example"
    with pytest.raises(UpstreamError, match="gone"):
        await perform(ask("https://a.example", "https://b.example"), echo)
    assert echo.urls[-1] == "https://a.example"


async def test_an_answer_over_the_limit_is_refused_and_let_go() -> None:
    fits, over = b"x" * MAX_ANSWER_BYTES, b"x" * (MAX_ANSWER_BYTES + 1)
    echo = Echo({"https://a.example": fits, "https://b.example": over})
    assert await perform(ask("https://a.example"), echo) == [fits]
    with pytest.raises(UpstreamError, match="too large"):
        await perform(ask("https://b.example"), echo)
    assert echo.open == 0


async def test_an_exchange_is_closed_when_its_sender_breaks() -> None:
    closed: list[bool] = []

    def watched() -> Exchange[None]:
        try:
            yield OutboundRequest("GET", "https://a.example")
        finally:
            closed.append(True)

    with pytest.raises(RuntimeError):
        await perform(watched(), Echo({"https://a.example": RuntimeError("bug")}))
    assert closed == [True]


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"[" * 100_000, b"{"])
def test_what_isn_t_json_is_the_other_side_s_error(body: bytes) -> None:
    with pytest.raises(UpstreamError) as caught:
        Answer(418, Headers(), body).json()
    assert caught.value.status == 418

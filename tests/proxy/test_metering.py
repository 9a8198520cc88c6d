"""What a call has used, read from an answer as it goes by, and what apps may spend."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from openbolt.costs import Price, PriceTable, Usage
from openbolt.proxy.metering import Metered, StreamMeter, metered_whole

PRICES = PriceTable("2026-11-01", {"m": Price.of("4", "20", "0.4")})


def frame(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def delta(text: str) -> bytes:
    said = {"type": "text_delta", "text": text}
    return frame("content_block_delta", index=0, delta=said)


BEGUN = frame(
    "message_start",
    message={"usage": {"input_tokens": 7, "cache_read_input_tokens": 5, "output_tokens": 1}},
)
COUNTED = frame("message_delta", delta={}, usage={"output_tokens": 33})
OVER = frame("message_stop")


def metered(*pieces: bytes, request_bytes: int = 400) -> Usage:
    meter = StreamMeter(request_bytes)
    for piece in pieces:
        meter.feed(piece)
    return meter.metered().usage


def test_what_the_model_counted_counts() -> None:
    assert metered(BEGUN, delta("x" * 999), COUNTED, OVER) == Usage(7, 33, 5, 0, 1)


def test_what_was_cut_off_is_estimated_from_what_was_received() -> None:
    usage = metered(BEGUN, *[delta("word " * 20) for _ in range(10)])
    assert (usage.input_tokens, usage.cache_read_tokens) == (7, 5)
    assert 150 <= usage.output_tokens <= 400


def test_each_delta_is_a_token_at_least() -> None:
    assert metered(BEGUN, *[delta("a") for _ in range(9)]).output_tokens >= 9


def test_without_a_word_of_the_model_what_was_asked_counts() -> None:
    assert metered(request_bytes=401) == Usage(101, 0, 0, 0, 1)
    assert (
        metered_whole(b"", 401).usage
        == metered_whole(b"no JSON", 401).usage
        == Usage(101, 0, 0, 0, 1)
    )


def test_text_that_looks_like_a_count_is_none() -> None:
    text = 'event: message_delta\ndata: {"type": "message_delta", "usage": {"output_tokens": 1}}'
    assert metered(BEGUN, delta(text), COUNTED).output_tokens == 33
    tool = {"type": "input_json_delta", "partial_json": '{"usage": {"output_tokens": 1}}'}
    assert metered(BEGUN, frame("content_block_delta", index=0, delta=tool)).output_tokens > 1


@given(st.text(max_size=200), st.lists(st.integers(0, 2000), max_size=12))
def test_every_cut_of_a_stream_is_read_alike(text: str, at: list[int]) -> None:
    whole = BEGUN + delta(text) + b": ping\r\n\r\n" + delta(text) + COUNTED + OVER
    places = sorted({min(place, len(whole)) for place in at})
    pieces = [
        whole[start:end] for start, end in zip([0, *places], [*places, len(whole)], strict=True)
    ]
    meter = StreamMeter(10)
    for piece in pieces:
        meter.feed(piece)
    assert meter.metered().usage == Usage(7, 33, 5, 0, 1)
    assert meter.is_whole


@given(st.lists(st.binary(max_size=60), max_size=10))
def test_no_bytes_break_the_meter(pieces: list[bytes]) -> None:
    usage = metered(*pieces)
    assert usage.output_tokens >= 0


def test_what_is_cached_for_an_hour_costs_twice_what_input_does() -> None:
    usage = {
        "input_tokens": 10,
        "output_tokens": 0,
        "cache_creation_input_tokens": 1_000_000,
        "cache_creation": {"ephemeral_1h_input_tokens": 1_000_000},
    }
    whole = metered_whole(json.dumps({"usage": usage}).encode(), 0)
    assert whole.usage == Usage(10, 0, 0, 1_000_000, 1)
    assert whole.cost(PRICES, "m") == Decimal("8") + Decimal(40) / 1_000_000
    assert Metered(Usage()).cost(PRICES, "other") is None

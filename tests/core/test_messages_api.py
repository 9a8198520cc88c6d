"""Requests to JSON, streams to events, refusals to errors, without a network."""

from __future__ import annotations

from typing import get_args

import pytest

from openbolt.errors import (
    InvalidRequestError,
    UpstreamError,
    UpstreamOverloadedError,
    UpstreamRateLimitedError,
    UpstreamTimeoutError,
)
from openbolt.http import Headers
from openbolt.model import (
    ModelEvent,
    ModelMessage,
    ModelRequest,
    ModelUsage,
    RedactedThinkingBlock,
    ReplyStarted,
    ReplyStopped,
    StillAlive,
    StopReason,
    SystemBlock,
    TextBlock,
    TextDelta,
    ThinkingBlock,
    ThinkingClosed,
    ThinkingDelta,
    ThinkingOpened,
    UsageReported,
)
from openbolt.providers import _messages_api as api
from openbolt.providers._failures import retry_after_of
from openbolt.testing.providers import sse

HELLO = (ModelMessage.text("user", "Hello"),)


def delta(**fields: str) -> dict[str, object]:
    return {"type": "content_block_delta", "index": 0, "delta": fields}


def block(**fields: str) -> dict[str, object]:
    return {"type": "content_block_start", "index": 0, "content_block": fields}


STOP: dict[str, object] = {"type": "message_stop"}
CLOSE: dict[str, object] = {"type": "content_block_stop", "index": 0}
PING: dict[str, object] = {"type": "ping"}


def read(data: bytes) -> list[ModelEvent]:
    return api.ReplyDecoder().feed(data)


def ending(data: bytes, *, secret: str | None = None) -> UpstreamError:
    """The error that a reply ends in."""
    decoder = api.ReplyDecoder(secret=secret)
    with pytest.raises(UpstreamError) as caught:
        _ = [decoder.feed(data), decoder.finish()]
    return caught.value


# What is sent


def test_a_plain_request_has_plain_strings() -> None:
    request = ModelRequest("m", HELLO, 100, system=(SystemBlock("Be brief."),))
    assert api.build_body(request) == {
        "model": "m",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": True,
        "system": "Be brief.",
    }


def test_blocks_keep_their_order_their_signatures_and_their_cache_marks() -> None:
    ephemeral = {"type": "ephemeral"}
    answer = ModelMessage(
        "assistant",
        (ThinkingBlock("hm", "sig"), RedactedThinkingBlock("xyz"), TextBlock("Hi", cache=True)),
    )
    request = ModelRequest(
        "m",
        (*HELLO, answer, ModelMessage("user", (TextBlock("More", cache=True),))),
        4096,
        system=(SystemBlock("stable", cache=True), SystemBlock("fresh")),
        thinking=2048,
        temperature=0.5,
        stop_sequences=("END",),
    )
    assert api.build_body(request) == {
        "model": "m",
        "max_tokens": 4096,
        "messages": [
            {"role": "user", "content": "Hello"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "sig"},
                    {"type": "redacted_thinking", "data": "xyz"},
                    {"type": "text", "text": "Hi", "cache_control": ephemeral},
                ],
            },
            {
                "role": "user",
                "content": [{"type": "text", "text": "More", "cache_control": ephemeral}],
            },
        ],
        "stream": True,
        "system": [
            {"type": "text", "text": "stable", "cache_control": ephemeral},
            {"type": "text", "text": "fresh"},
        ],
        "thinking": {"type": "enabled", "budget_tokens": 2048},
        "temperature": 0.5,
        "stop_sequences": ["END"],
    }


def test_adaptive_thinking_names_no_budget() -> None:
    body = api.build_body(ModelRequest("m", HELLO, 100, thinking="adaptive"))
    assert body["thinking"] == {"type": "adaptive"}


def test_reasoning_that_leaves_no_token_for_the_reply_is_refused() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        api.build_body(ModelRequest("m", HELLO, 2048, thinking=2048))
    assert caught.value.field == "thinking"


def test_a_lone_surrogate_in_a_prompt_does_not_break_the_request() -> None:
    body = api.build_body(ModelRequest("m", (ModelMessage.text("user", "a\ud83d"),), 10))
    assert body["messages"] == [{"role": "user", "content": "a\ufffd"}]


def test_headers_name_the_version_and_carry_the_key() -> None:
    assert api.headers("sk-1") == {
        "accept": "text/event-stream",
        "accept-encoding": "identity",
        "anthropic-version": "2023-06-01",
        "content-type": "application/json",
        "x-api-key": "sk-1",
    }


@pytest.mark.parametrize("key", [None, ""])
def test_without_a_key_no_key_is_sent(key: str | None) -> None:
    assert "x-api-key" not in api.headers(key)


@pytest.mark.parametrize("key", ["a\r\nx-evil: 1", "a b", "schlüssel"])
def test_a_key_that_cannot_stand_in_a_header_is_refused(key: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        api.headers(key)
    assert key not in str(caught.value)


# What comes back


def test_a_reply_starts_speaks_counts_and_stops() -> None:
    start: dict[str, object] = {
        "type": "message_start",
        "message": {
            "id": "msg_1",
            "model": "claude",
            "usage": {
                "input_tokens": 10,
                "cache_creation_input_tokens": 3,
                "cache_read_input_tokens": 4,
                "output_tokens": 1,
            },
        },
    }
    end: dict[str, object] = {
        "type": "message_delta",
        "delta": {"stop_reason": "stop_sequence", "stop_sequence": "END"},
        "usage": {"output_tokens": 7},
    }
    data = sse(
        start,
        block(type="text", text="A"),
        delta(type="text_delta", text="B\n"),
        PING,
        delta(type="text_delta", text='"C"'),
        CLOSE,
        end,
        STOP,
    )
    assert read(data) == [
        ReplyStarted("msg_1", "claude"),
        UsageReported(ModelUsage(10, 1, cache_read_tokens=4, cache_write_tokens=3)),
        TextDelta('AB\n"C"'),
        UsageReported(ModelUsage(output_tokens=7)),
        ReplyStopped("stop_sequence", stop_sequence="END"),
    ]


def test_reasoning_closes_with_its_text_and_signature() -> None:
    data = sse(
        block(type="thinking", thinking="", signature=""),
        delta(type="thinking_delta", thinking="Let "),
        delta(type="thinking_delta", thinking="me"),
        delta(type="signature_delta", signature="s1"),
        delta(type="signature_delta", signature="s2"),
        CLOSE,
        block(type="redacted_thinking", data="secret"),
        CLOSE,
        block(type="text", text=""),
        delta(type="text_delta", text="Hi"),
    )
    assert read(data) == [
        ThinkingOpened(),
        ThinkingDelta("Let me"),
        ThinkingClosed(ThinkingBlock("Let me", "s1s2")),
        ThinkingOpened(),
        ThinkingClosed(RedactedThinkingBlock("secret")),
        TextDelta("Hi"),
    ]


@pytest.mark.parametrize("reason", sorted(set(get_args(StopReason)) - {"unknown"}))
def test_a_known_stop_reason_passes_on(reason: StopReason) -> None:
    end: dict[str, object] = {"type": "message_delta", "delta": {"stop_reason": reason}}
    assert read(sse(end, STOP)) == [ReplyStopped(reason)]


@pytest.mark.parametrize("reason", ["tired", "unknown"])
def test_any_other_stop_reason_is_unknown_and_kept_raw(reason: str) -> None:
    end: dict[str, object] = {"type": "message_delta", "delta": {"stop_reason": reason}}
    assert read(sse(end, STOP)) == [ReplyStopped("unknown", raw_reason=reason)]


@pytest.mark.parametrize(
    "data",
    [
        sse(PING),
        sse(PING, PING),
        sse({"type": "invented"}),
        sse(delta(type="citations_delta", citation="x")),
        sse(block(type="tool_use", id="t", name="n")),
        sse(delta(type="input_json_delta", partial_json="{}")),
        sse(delta(type="text_delta", text="")),
        b": comment\n\n",
    ],
)
def test_what_says_nothing_shows_that_the_connection_lives(data: bytes) -> None:
    assert read(data) == [StillAlive()]


def test_part_of_a_frame_is_no_event_yet() -> None:
    assert read(sse(PING)[:-1]) == []


def test_what_comes_after_the_end_is_ignored() -> None:
    decoder = api.ReplyDecoder()
    first = decoder.feed(sse(STOP, delta(type="text_delta", text="late")) + b"data: [DONE]\n\n")
    assert (first, decoder.feed(b"junk"), decoder.finish()) == ([ReplyStopped("unknown")], [], None)


def test_what_came_before_a_failure_is_delivered_first() -> None:
    decoder = api.ReplyDecoder()
    error: dict[str, object] = {"type": "error", "error": {"type": "api_error", "message": "no"}}
    assert decoder.feed(sse(delta(type="text_delta", text="Hi"), error)) == [TextDelta("Hi")]
    with pytest.raises(UpstreamError) as caught:
        decoder.feed(b"")
    assert caught.value is decoder.failure


@pytest.mark.parametrize(
    ("kind", "expected", "status", "retryable"),
    [
        ("overloaded_error", UpstreamOverloadedError, 529, True),
        ("rate_limit_error", UpstreamRateLimitedError, 429, True),
        ("api_error", UpstreamError, 500, True),
        ("timeout_error", UpstreamTimeoutError, 504, True),
        ("authentication_error", UpstreamError, 401, False),
        ("permission_error", UpstreamError, 403, False),
        ("invalid_request_error", UpstreamError, 400, False),
        ("invented_error", UpstreamError, None, False),
    ],
)
def test_an_error_event_becomes_its_error(
    kind: str, expected: type[UpstreamError], status: int | None, retryable: bool
) -> None:
    error = ending(sse({"type": "error", "error": {"type": kind, "message": "said"}}))
    assert (type(error), error.status, error.retryable, error.detail) == (
        expected,
        status,
        retryable,
        f"{kind}: said",
    )


@pytest.mark.parametrize(
    "data",
    [
        b"data: {not json}\n\n",
        b"data: [1]\n\n",
        b'data: {"type":"content_block_delta","delta":7}\n\n',
        b'data: {"type":"content_block_delta","delta":{"type":"text_delta","text":7}}\n\n',
        b"data: " + b"[" * 100_000 + b"\n\n",
        b"<html>a proxy's page</html>\n\n",
        b'{"error":"stream is not supported"}',
    ],
)
def test_what_cannot_be_read_is_an_error_that_is_not_tried_again(data: bytes) -> None:
    error = ending(data)
    assert (error.public_message, error.retryable) == (
        "The model provider's reply can't be read.",
        False,
    )


def test_the_detail_of_what_cannot_be_read_is_short_and_without_the_key() -> None:
    error = ending(b"sk-1 " * 1000, secret="sk-1")
    assert error.detail is not None
    assert (len(error.detail), "sk-1" in error.detail) == (500, False)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        sse(delta(type="text_delta", text="Hi")),
        sse({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}),
        sse(STOP)[:-1],
    ],
)
def test_a_stream_that_ends_before_message_stop_can_be_tried_again(data: bytes) -> None:
    decoder = api.ReplyDecoder()
    decoder.feed(data)
    with pytest.raises(UpstreamError, match="ended early") as caught:
        decoder.finish()
    assert caught.value.retryable


# Refusals


def refusal(status: int, body: bytes = b"", **fields: str) -> UpstreamError:
    return api.status_failure(status, Headers.of(None, **fields), body, secret="sk-1")


@pytest.mark.parametrize(
    ("status", "expected", "retryable"),
    [
        (302, UpstreamError, False),
        (400, UpstreamError, False),
        (401, UpstreamError, False),
        (402, UpstreamError, False),
        (403, UpstreamError, False),
        (404, UpstreamError, False),
        (408, UpstreamTimeoutError, True),
        (409, UpstreamError, True),
        (413, UpstreamError, False),
        (422, UpstreamError, False),
        (429, UpstreamRateLimitedError, True),
        (500, UpstreamError, True),
        (502, UpstreamError, True),
        (503, UpstreamOverloadedError, True),
        (504, UpstreamTimeoutError, True),
        (529, UpstreamOverloadedError, True),
    ],
)
def test_each_status_becomes_its_error(
    status: int, expected: type[UpstreamError], retryable: bool
) -> None:
    error = refusal(status)
    assert (type(error), error.status, error.retryable) == (expected, status, retryable)


def test_a_type_in_the_body_goes_before_a_gateways_status() -> None:
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    error = refusal(500, body)
    assert (type(error), error.status) == (UpstreamOverloadedError, 529)


def test_what_the_upstream_said_is_in_the_detail_without_the_key() -> None:
    body = b'{"error":{"type":"authentication_error","message":"bad key sk-1"}}'
    error = refusal(401, body)
    assert (error.public_message, error.detail) == (
        "The model provider refused the server's credentials.",
        "status 401: authentication_error: bad key [redacted]",
    )


@pytest.mark.parametrize("body", [b"<h1>Bad gateway</h1>", b"[1]", b'{"error":"no"}', b"\xff"])
def test_a_body_of_another_form_is_the_detail(body: bytes) -> None:
    assert refusal(502, body).detail == "status 502: " + body.decode("utf-8", "replace")


def test_a_users_own_key_is_named_as_such() -> None:
    for status in (401, 403):
        error = api.status_failure(status, Headers(), b"", own_key=True)
        assert (error.code, error.status_hint, error.status) == ("own_key_refused", 400, status)
        assert "your own API key" in error.public_message
        assert "settings" in error.public_message
    credit = api.status_failure(402, Headers(), b"", own_key=True)
    assert "Your own account" in credit.public_message
    operators = api.status_failure(401, Headers(), b"")
    assert (operators.code, operators.status_hint) == ("upstream_error", 502)


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        (
            {
                "retry-after": "Wed, 21 Oct 2026 07:28:30 GMT",
                "date": "Wed, 21 Oct 2026 07:28:00 GMT",
            },
            30.0,
        ),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "inf"}, None),
        ({}, None),
    ],
)
def test_how_long_to_wait_is_read_from_the_headers(
    fields: dict[str, str], seconds: float | None
) -> None:
    assert retry_after_of(Headers.of(fields)) == seconds


@pytest.mark.parametrize("cut", ["one read", "two reads"])
def test_halves_of_a_surrogate_pair_in_two_deltas_are_one_character(cut: str) -> None:
    def delta(text: str) -> bytes:
        inside = f'{{"type":"text_delta","text":"{text}"}}'
        data = f'{{"type":"content_block_delta","index":0,"delta":{inside}}}'
        return f"event: content_block_delta\ndata: {data}\n\n".encode()

    decoder = api.ReplyDecoder()
    frames = [delta("a"), delta("b \\ud83d"), delta("\\ude00 c"), delta("\\ud83d"), delta("x")]
    reads = [b"".join(frames)] if cut == "one read" else frames
    events = [event for read in reads for event in decoder.feed(read)]
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == "ab 😀 c�x"

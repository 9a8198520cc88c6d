"""The three wire forms, frame by frame."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from openbolt.chat.events import (
    FINISH_REASONS,
    ActionDelta,
    DataPart,
    FinishReason,
    ReasoningDelta,
    ReasoningEnded,
    ReasoningStarted,
    StepFinished,
    StepStarted,
    TextDelta,
    TextEnded,
    TextStarted,
    TurnAborted,
    TurnEvent,
    TurnFailed,
    TurnFinished,
    TurnStarted,
    decode_events,
    encode_events,
)
from openbolt.chat.wire import DataStream, PlainText, UIMessageStream, WireForm, choose_form
from openbolt.errors import UpstreamError
from openbolt.http import EMPTY_BODY, Headers, Request, RequestContext

USAGE = {
    "inputTokens": 3,
    "outputTokens": 5,
    "cacheReadTokens": 0,
    "cacheWriteTokens": 0,
    "costUsd": "0.000084",
    "segments": 1,
}
FILE = {"artifactId": "a", "actionId": "0", "type": "file", "filePath": "a.js", "state": "closed"}

FRAMES: list[tuple[TurnEvent, dict[str, Any], list[str]]] = [
    (
        TurnStarted("m1", "c1", "p1"),
        {
            "type": "start",
            "messageId": "m1",
            "messageMetadata": {"chatId": "c1", "projectId": "p1"},
        },
        ['f:{"messageId":"m1"}\n'],
    ),
    (StepStarted(), {"type": "start-step"}, []),
    (ReasoningStarted("r1"), {"type": "reasoning-start", "id": "r1"}, []),
    (
        ReasoningDelta("r1", "think"),
        {"type": "reasoning-delta", "id": "r1", "delta": "think"},
        ['g:"think"\n'],
    ),
    (ReasoningEnded("r1"), {"type": "reasoning-end", "id": "r1"}, []),
    (TextStarted("t2"), {"type": "text-start", "id": "t2"}, []),
    (
        TextDelta("t2", '<b>"x"\n'),
        {"type": "text-delta", "id": "t2", "delta": '<b>"x"\n'},
        ['0:"<b>\\"x\\"\\n"\n'],
    ),
    (TextEnded("t2"), {"type": "text-end", "id": "t2"}, []),
    (
        DataPart("action", "0", FILE),
        {"type": "data-action", "id": "0", "data": FILE},
        [
            '2:[{"type":"data-action","id":"0","data":{"artifactId":"a","actionId":"0",'
            '"type":"file","filePath":"a.js","state":"closed"}}]\n'
        ],
    ),
    (
        ActionDelta("0", "let a;\r\n"),
        {
            "type": "data-action-delta",
            "id": "0",
            "data": {"actionId": "0", "delta": "let a;\r\n"},
            "transient": True,
        },
        [
            '2:[{"type":"data-action-delta","id":"0",'
            '"data":{"actionId":"0","delta":"let a;\\r\\n"}}]\n'
        ],
    ),
    (
        DataPart("progress", "progress", {"seconds": 7}, transient=True),
        {"type": "data-progress", "id": "progress", "data": {"seconds": 7}, "transient": True},
        ['2:[{"type":"data-progress","id":"progress","data":{"seconds":7}}]\n'],
    ),
    (
        DataPart("usage", "usage", USAGE),
        {"type": "data-usage", "id": "usage", "data": USAGE},
        [
            '2:[{"type":"data-usage","id":"usage","data":{"inputTokens":3,"outputTokens":5,'
            '"cacheReadTokens":0,"cacheWriteTokens":0,"costUsd":"0.000084","segments":1}}]\n',
            '8:[{"type":"usage","value":{"promptTokens":3,"completionTokens":5,"totalTokens":8}}]\n',
        ],
    ),
    (StepFinished(), {"type": "finish-step"}, []),
    (
        TurnFinished("length"),
        {"type": "finish", "messageMetadata": {"finishReason": "length"}},
        [
            'e:{"finishReason":"length","usage":{"promptTokens":3,"completionTokens":5},'
            '"isContinued":false}\n',
            'd:{"finishReason":"length","usage":{"promptTokens":3,"completionTokens":5}}\n',
        ],
    ),
    (TurnAborted(), {"type": "abort"}, ['2:[{"type":"abort"}]\n']),
    (
        TurnFailed("It broke.", "upstream_error"),
        {"type": "error", "errorText": "It broke."},
        ['3:"It broke."\n'],
    ),
]
TURN = [event for event, _, _ in FRAMES]


def request(query: str = "", accept: str | None = None) -> Request:
    headers = Headers() if accept is None else Headers.of({"accept": accept})
    return Request("GET", "/", headers, EMPTY_BODY, RequestContext(lambda _: None), query)


def frames(raw: bytes) -> list[tuple[int, dict[str, Any]]]:
    """Server-sent events as a browser reads them: lines that end in LF, CR or CRLF."""
    text = raw.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    found: list[tuple[int, dict[str, Any]]] = []
    for block in text.split("\n\n")[:-1]:
        first, second = block.split("\n")
        found.append((int(first.removeprefix("id: ")), json.loads(second.removeprefix("data: "))))
    return found


def test_every_kind_of_event_is_in_the_table() -> None:
    assert {type(event) for event in TURN} == set(get_args(TurnEvent))


@pytest.mark.parametrize(("event", "frame", "lines"), FRAMES)
def test_the_ui_message_stream_has_one_frame_for_each_event(
    event: TurnEvent, frame: dict[str, Any], lines: list[str]
) -> None:
    compact = json.dumps(frame, separators=(",", ":"))
    assert UIMessageStream().encode(7, [event]) == f"id: 7\ndata: {compact}\n\n".encode()


def test_the_ui_message_stream_numbers_its_frames() -> None:
    assert frames(UIMessageStream().encode(40, TURN)) == [
        (40 + at, frame) for at, (_, frame, _) in enumerate(FRAMES)
    ]


def test_the_data_stream_has_the_lines_of_each_event() -> None:
    form = DataStream()
    actual = [form.encode(at, [event]).decode() for at, event in enumerate(TURN)]
    assert actual == ["".join(lines) for _, _, lines in FRAMES]


def test_the_data_stream_of_a_late_reader_says_nothing_of_usage_that_it_did_not_see() -> None:
    assert DataStream().encode(9, [TurnFinished("stop")]) == (
        b'e:{"finishReason":"stop","isContinued":false}\nd:{"finishReason":"stop"}\n'
    )


def test_plain_text_is_the_visible_text() -> None:
    form = PlainText()
    calm = [event for event in TURN if not isinstance(event, TurnFailed)]
    assert form.encode(0, [*calm, TextDelta("t9", "é")]) == '<b>"x"\né'.encode()
    assert form.end() == b""


def test_plain_text_breaks_off_where_the_turn_failed() -> None:
    form = PlainText()
    assert form.encode(0, [TextDelta("t", "a"), TurnFailed("It broke."), TextDelta("t", "b")])
    for _ in range(2):
        with pytest.raises(UpstreamError, match=r"It broke\."):
            form.end()


def test_plain_text_of_a_stopped_turn_just_ends() -> None:
    form = PlainText()
    assert form.encode(0, [TextDelta("t", "a"), TurnAborted()]) + form.end() == b"a"


def test_how_each_form_ends() -> None:
    assert UIMessageStream().end() == b"data: [DONE]\n\n"
    assert DataStream().end() == b""


def test_the_headers_of_each_form() -> None:
    unbuffered = {"cache-control": "no-cache, no-transform", "x-accel-buffering": "no"}
    assert UIMessageStream.headers == {
        "content-type": "text/event-stream",
        "x-vercel-ai-ui-message-stream": "v1",
        **unbuffered,
    }
    assert DataStream.headers == {
        "content-type": "text/plain; charset=utf-8",
        "x-vercel-ai-data-stream": "v1",
        **unbuffered,
    }
    assert PlainText.headers == {"content-type": "text/plain; charset=utf-8", **unbuffered}


@pytest.mark.parametrize("form", [UIMessageStream(), DataStream(), PlainText()])
def test_no_events_are_no_bytes(form: WireForm) -> None:
    assert form.encode(3, []) == b""


@pytest.mark.parametrize(
    ("query", "accept", "expected"),
    [
        ("", None, UIMessageStream),
        ("", "*/*", UIMessageStream),
        ("", "text/event-stream", UIMessageStream),
        ("", "text/x-ai-data-stream", DataStream),
        ("", "application/json, Text/X-AI-Data-Stream;q=0.9", DataStream),
        ("", "text/plain", UIMessageStream),
        ("protocol=data", None, DataStream),
        ("protocol=text", None, PlainText),
        ("x=1&protocol=text", "text/x-ai-data-stream", PlainText),
        ("protocol=ui", "text/x-ai-data-stream", UIMessageStream),
        ("protocol=", None, UIMessageStream),
    ],
)
def test_the_form_that_is_asked_for(
    query: str, accept: str | None, expected: type[WireForm]
) -> None:
    assert type(choose_form(request(query, accept))) is expected


def test_each_reader_has_a_form_of_its_own() -> None:
    assert choose_form(request("protocol=data")) is not choose_form(request("protocol=data"))


def test_the_finish_reasons_are_all_there() -> None:
    assert get_args(FinishReason) == FINISH_REASONS


def test_events_survive_a_store() -> None:
    assert decode_events(encode_events(TURN)) == TURN
    assert decode_events(encode_events([])) == []

"""For every turn and every way to cut it: whole frames, and nothing lost or told twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbolt.chat.events import (
    FINISH_REASONS,
    ActionDelta,
    DataPart,
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
from openbolt.chat.wire import DataStream, PlainText, UIMessageStream, WireForm
from openbolt.errors import UpstreamError

# Lone surrogates, line ends of all sorts, quotes, and what SSE or JSON could stumble over.
TEXTS = st.text(alphabet=st.characters(exclude_categories=()), max_size=6) | st.sampled_from(
    ["\r", "\n", "\r\n\r\n", "\u2028\u2029\x85", '"\\', "\ud83d", "\ude00", "\0\x1f\x7f",
     "data: x\n\n", "[DONE]", "\ufeff", "😀", ""]
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
USAGE = st.fixed_dictionaries({"inputTokens": st.integers(0), "outputTokens": st.integers(0)})
EVENTS = st.lists(
    st.one_of(
        st.builds(TurnStarted, TEXTS, TEXTS, TEXTS),
        st.builds(StepStarted),
        st.builds(ReasoningStarted, TEXTS),
        st.builds(ReasoningDelta, TEXTS, TEXTS),
        st.builds(ReasoningEnded, TEXTS),
        st.builds(TextStarted, TEXTS),
        st.builds(TextDelta, TEXTS, TEXTS),
        st.builds(TextEnded, TEXTS),
        st.builds(ActionDelta, TEXTS, TEXTS),
        st.builds(
            DataPart,
            st.sampled_from(["artifact", "action", "notice"]),
            TEXTS,
            st.dictionaries(TEXTS, JSON, max_size=3),
            st.booleans(),
        ),
        st.builds(DataPart, st.just("usage"), st.just("usage"), USAGE),
        st.builds(StepFinished),
        st.builds(TurnFinished, st.sampled_from(FINISH_REASONS)),
        st.builds(TurnAborted),
        st.builds(TurnFailed, TEXTS, TEXTS),
    ),
    max_size=12,
)
FORMS = pytest.mark.parametrize("make", [UIMessageStream, DataStream, PlainText])
LINE_CODES = set("f0g283ed")


def carried(value: Any) -> Any:
    """A value as UTF-8 can carry it."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [carried(item) for item in value]
    if isinstance(value, dict):
        return {carried(key): carried(item) for key, item in value.items()}
    return value


def sse(raw: bytes) -> list[tuple[int, Any]]:
    """Read as the standard says: a line ends in CRLF, LF or CR, a blank one ends an event."""
    text = raw.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    assert text == "" or text.endswith("\n\n")
    found: list[tuple[int, Any]] = []
    for block in text.split("\n\n")[:-1]:
        (first, number), (second, data) = [line.split(": ", 1) for line in block.split("\n")]
        assert (first, second) == ("id", "data")
        found.append((int(number), json.loads(data)))
    return found


@given(EVENTS, st.integers(0, 10**6))
def test_a_browser_reads_one_json_frame_for_each_event_under_its_index(
    events: list[TurnEvent], first: int
) -> None:
    read = sse(UIMessageStream().encode(first, events))
    assert [number for number, _ in read] == list(range(first, first + len(events)))
    for event, (_, frame) in zip(events, read, strict=True):
        match event:
            case TextDelta(part_id, delta):
                expected = {"type": "text-delta", "id": part_id, "delta": delta}
            case ActionDelta(action_id, delta):
                data = {"actionId": action_id, "delta": delta}
                expected = {"type": "data-action-delta", "id": action_id, "data": data}
                expected["transient"] = True
            case DataPart(name, part_id, data, transient):
                expected = {"type": f"data-{name}", "id": part_id, "data": dict(data)}
                if transient:
                    expected["transient"] = True
            case _:
                assert frame["type"]
                continue
        assert frame == carried(expected)


@given(EVENTS)
def test_the_data_stream_is_lines_of_a_known_code_and_json(events: list[TurnEvent]) -> None:
    text = DataStream().encode(0, events).decode("utf-8")
    assert text == "" or text.endswith("\n")
    words = []
    for line in text.split("\n")[:-1]:
        code, colon, value = line[0], line[1], json.loads(line[2:])
        assert (code in LINE_CODES, colon) == (True, ":")
        if code == "0":
            words.append(value)
    assert words == [carried(e.delta) for e in events if isinstance(e, TextDelta)]


@given(EVENTS)
def test_plain_text_is_all_the_text_and_only_that(events: list[TurnEvent]) -> None:
    expected = "".join(carried(e.delta) for e in events if isinstance(e, TextDelta))
    assert PlainText().encode(0, events).decode("utf-8") == expected


@FORMS
@given(events=EVENTS, cuts=st.lists(st.integers(0, 12), max_size=4))
def test_the_bytes_are_the_same_however_the_events_are_batched(
    make: Callable[[], WireForm], events: list[TurnEvent], cuts: list[int]
) -> None:
    edges = sorted(min(cut, len(events)) for cut in cuts)
    whole, apart = make(), make()
    batches = zip([0, *edges], [*edges, len(events)], strict=True)
    assert b"".join(apart.encode(a, events[a:b]) for a, b in batches) == whole.encode(0, events)


@pytest.mark.parametrize("make", [UIMessageStream, PlainText])
@given(events=EVENTS, seen=st.integers(0, 12))
def test_a_reader_that_comes_back_gets_exactly_the_rest(
    make: Callable[[], WireForm], events: list[TurnEvent], seen: int
) -> None:
    seen = min(seen, len(events))
    before, after = make().encode(0, events[:seen]), make().encode(seen, events[seen:])
    assert before + after == make().encode(0, events)


@given(EVENTS, st.integers(0, 12))
def test_a_data_stream_taken_up_again_lacks_at_most_the_usage_in_its_last_lines(
    events: list[TurnEvent], seen: int
) -> None:
    def lines(raw: bytes) -> list[tuple[str, Any]]:
        pairs = [(line[0], json.loads(line[2:])) for line in raw.decode().split("\n")[:-1]]
        for code, value in pairs:
            if code in "ed":
                value.pop("usage", None)
        return pairs

    seen = min(seen, len(events))
    before = DataStream().encode(0, events[:seen])
    after = DataStream().encode(seen, events[seen:])
    assert lines(before) + lines(after) == lines(DataStream().encode(0, events))


@FORMS
@given(events=EVENTS)
def test_only_plain_text_fails_where_the_turn_did(
    make: Callable[[], WireForm], events: list[TurnEvent]
) -> None:
    form = make()
    form.encode(0, events)
    failed = any(isinstance(event, TurnFailed) for event in events)
    if make is PlainText and failed:
        with pytest.raises(UpstreamError):
            form.end()
    else:
        assert form.end() in {b"", b"data: [DONE]\n\n"}


@given(EVENTS)
def test_events_survive_a_store(events: list[TurnEvent]) -> None:
    assert decode_events(encode_events(events)) == events

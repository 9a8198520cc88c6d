"""The stored parts: what a client holds that has read the whole stream."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from openbolt.chat.events import (
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
)
from openbolt.chat.parts import PartsBuilder


def parts(*events: TurnEvent) -> list[dict[str, Any]]:
    builder = PartsBuilder()
    builder.add(events)
    return [dict(part) for part in builder.parts()]


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words, "state": "done"}


def test_a_whole_turn() -> None:
    assert parts(
        TurnStarted("m", "c", "p"),
        StepStarted(),
        ReasoningStarted("r1"),
        ReasoningDelta("r1", "h"),
        ReasoningDelta("r1", "m"),
        ReasoningEnded("r1"),
        TextStarted("t2"),
        TextDelta("t2", "He"),
        TextDelta("t2", "llo"),
        TextEnded("t2"),
        DataPart("artifact", "a", {"state": "open"}),
        DataPart("action", "0", {"state": "open"}),
        ActionDelta("0", "x"),
        DataPart("action", "0", {"state": "closed", "content": "x\n"}),
        DataPart("artifact", "a", {"state": "closed"}),
        DataPart("progress", "progress", {"seconds": 1}, transient=True),
        TextStarted("t3"),
        TextDelta("t3", "Done."),
        TextEnded("t3"),
        DataPart("usage", "usage", {"segments": 1}),
        StepFinished(),
        TurnFinished("stop"),
    ) == [
        {"type": "reasoning", "text": "hm", "state": "done"},
        text("Hello"),
        {"type": "data-artifact", "id": "a", "data": {"state": "closed"}},
        {"type": "data-action", "id": "0", "data": {"state": "closed", "content": "x\n"}},
        text("Done."),
        {"type": "data-usage", "id": "usage", "data": {"segments": 1}},
    ]


def test_no_events_are_no_parts() -> None:
    assert parts() == []
    assert parts(TurnAborted(), TurnFailed("x")) == []


def test_the_same_id_under_another_name_is_another_part() -> None:
    assert parts(DataPart("a", "1", {}), DataPart("b", "1", {"x": 1})) == [
        {"type": "data-a", "id": "1", "data": {}},
        {"type": "data-b", "id": "1", "data": {"x": 1}},
    ]


def test_deltas_go_to_their_own_part_though_two_are_open() -> None:
    assert parts(
        ReasoningStarted("r1"),
        TextStarted("t2"),
        ReasoningDelta("r1", "hm"),
        TextDelta("t2", "Hi"),
        ReasoningDelta("r1", "!"),
    ) == [{"type": "reasoning", "text": "hm!", "state": "done"}, text("Hi")]


def test_parts_that_were_taken_do_not_change_later() -> None:
    builder = PartsBuilder()
    builder.add([TextStarted("t1"), TextDelta("t1", "a"), DataPart("x", "1", {"n": 1})])
    before = builder.parts()
    builder.add([TextDelta("t1", "b"), DataPart("x", "1", {"n": 2})])
    assert before == (text("a"), {"type": "data-x", "id": "1", "data": {"n": 1}})
    assert builder.parts() == (text("ab"), {"type": "data-x", "id": "1", "data": {"n": 2}})


DATA = st.builds(
    DataPart,
    st.sampled_from("ab"),
    st.sampled_from("12"),
    st.dictionaries(st.just("n"), st.integers(0, 9)),
    st.booleans(),
)
TEXTS = st.text(max_size=3).map(lambda words: TextDelta("t", words))


@given(st.lists(DATA | TEXTS, max_size=20), st.integers(0, 20))
def test_the_parts_are_the_same_however_the_events_are_batched(
    events: list[TurnEvent], cut: int
) -> None:
    events = [TextStarted("t"), *events]
    builder = PartsBuilder()
    builder.add(events[:cut])
    builder.parts()
    builder.add(events[cut:])
    assert [dict(part) for part in builder.parts()] == parts(*events)
    last = {(e.name, e.part_id): e.data for e in events if type(e) is DataPart and not e.transient}
    held = {(p["type"][5:], p["id"]): p["data"] for p in parts(*events) if "id" in p}
    assert held == last

"""Folded events: the same events under the same indexes, in less memory."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbolt.chat.events import (
    ActionDelta,
    DataPart,
    ReasoningDelta,
    StepStarted,
    TextDelta,
    TextEnded,
    TextStarted,
    TurnEvent,
)
from openbolt.chat.folding import EventList

NAMES = st.sampled_from(["0", "1", "t1"])
TEXTS = st.text(st.characters(), max_size=6)
EVENTS: st.SearchStrategy[TurnEvent] = st.one_of(
    st.builds(ActionDelta, NAMES, TEXTS),
    st.builds(TextDelta, NAMES, TEXTS),
    st.builds(ReasoningDelta, NAMES, TEXTS),
    st.builds(TextStarted, NAMES),
    st.builds(TextEnded, NAMES),
    st.just(StepStarted()),
    st.builds(DataPart, st.just("action"), NAMES, st.dictionaries(NAMES, TEXTS)),
)
# Runs of one kind, as a reply has them, and batches of any size.
RUNS = st.tuples(EVENTS, st.integers(1, 90)).map(lambda run: [run[0]] * run[1])
BATCHES = st.lists(RUNS | st.lists(EVENTS, max_size=5), max_size=12)


@given(BATCHES, st.booleans())
def test_every_event_is_found_under_its_index(batches: list[list[TurnEvent]], ends: bool) -> None:
    events, plain = EventList(), list[TurnEvent]()
    for batch in batches:
        events.extend(batch)
        plain.extend(batch)
    if ends:
        events.fold()
    assert events.count == len(plain)
    whole = len(plain)
    for first in {0, 1, 15, 16, 127, 128, 129, whole // 2, whole - 1, whole, whole + 1}:
        if first >= 0:
            assert events.since(first) == plain[first:]


@given(st.lists(TEXTS, min_size=40, max_size=300))
def test_deltas_of_different_lengths_are_cut_where_they_were(texts: list[str]) -> None:
    events = EventList()
    for text in texts:
        events.extend([TextDelta("t1", text)])
    events.fold()
    assert [event.delta for event in events.since(0) if isinstance(event, TextDelta)] == texts


def test_it_can_be_folded_again_and_when_empty() -> None:
    events = EventList()
    events.fold()
    assert events.since(0) == []
    events.extend([TextDelta("t1", str(n)) for n in range(40)])
    events.fold()
    events.fold()
    assert len(events.since(0)) == events.count == 40


def test_news_are_given_out_as_they_were_appended() -> None:
    events = EventList()
    last = TextDelta("t1", "last")
    events.extend([TextDelta("t1", str(n)) for n in range(1000)])
    events.extend([last])
    assert events.since(1000)[0] is last


@pytest.mark.parametrize("ends", [False, True])
def test_a_delta_takes_little_more_than_its_text(ends: bool) -> None:
    count, size = 5000, 20
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        events = EventList()
        for n in range(count):
            events.extend([ActionDelta("0", f"{n:{size}d}")])
        if ends:
            events.fold()
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert taken / count < size + 14  # 140 as they come

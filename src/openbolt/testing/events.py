"""What every `EventLog` owes, as a suite to subclass.

Law: a test asks what the log's ``limits`` declare, never what the log is. Give the fixture ``log``;
for a shared one also ``peer``, another log over the same data, as another process would have; for a
durable one ``reopened``, which ends the log and gives it anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest

from openbolt.chat.events import (
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
from openbolt.errors import ConflictError, NotFoundError
from openbolt.protocols import EventBatch, EventLog
from openbolt.testing._waiting import Advance, advance_past

__all__ = ["EventLogSuite", "collect_events"]

SOON = 10.0
"""Seconds within which a thing that must happen happens, on a busy machine."""

EVERY_KIND: Sequence[TurnEvent] = (
    TurnStarted("message", "chat", "project"),
    StepStarted(),
    ReasoningStarted("r"),
    ReasoningDelta("r", "why"),
    ReasoningEnded("r"),
    TextStarted("t"),
    TextDelta("t", "caf\u00e9 \U0001f600 \0 \ud800"),
    TextEnded("t"),
    DataPart("usage", "usage", {"inputTokens": 1, "costUsd": "0.01", "list": [1, None, True]}),
    DataPart("action-delta", "", {"actionId": "0", "delta": "<p>"}, transient=True),
    StepFinished(),
    TurnFinished("stop"),
    TurnAborted(),
    TurnFailed("Something broke.", "internal"),
)


def texts(first: int, count: int) -> list[TurnEvent]:
    """Text deltas that say which they are."""
    return [TextDelta("t", str(number)) for number in range(first, first + count)]


async def collect_events(
    log: EventLog, turn: str, /, *, after: int = -1
) -> list[tuple[int, TurnEvent]]:
    """All events of a turn that will be closed, with their indexes."""
    reader = log.read(turn, after=after)
    try:
        async with asyncio.timeout(SOON):
            return [pair async for batch in reader for pair in indexed(batch)]
    finally:
        await stop(reader)


def indexed(batch: EventBatch) -> list[tuple[int, TurnEvent]]:
    """A batch's events with their indexes."""
    return list(enumerate(batch.events, batch.first))


async def step(reader: AsyncIterator[EventBatch]) -> EventBatch:
    """The next batch, which comes soon."""
    async with asyncio.timeout(SOON):
        return await anext(reader)


async def stop(reader: AsyncIterator[EventBatch]) -> None:
    """Close a reader, as the protocol says it can be."""
    close = getattr(reader, "aclose", None)
    assert close is not None, "what read() gives has no aclose()"
    await close()


class EventLogSuite:
    """The laws of an `EventLog`."""

    @pytest.fixture
    def log(self) -> EventLog:
        """A log without turns; override it."""
        raise NotImplementedError

    @pytest.fixture
    def peer(self, log: EventLog) -> EventLog:
        """For a shared log: another one over the same data, as another process would have."""
        if log.limits.shared:
            raise NotImplementedError
        return log

    @pytest.fixture
    def reopened(self, log: EventLog) -> Callable[[], Awaitable[EventLog]]:
        """For a durable log: ends it and gives it anew, as a restart does."""
        if log.limits.durable:
            raise NotImplementedError
        pytest.skip("the log isn't durable, and limits say so")

    @pytest.fixture
    def advance(self) -> Advance:
        """Lets time pass for the log."""
        return asyncio.sleep

    async def test_a_closed_turn_is_read_from_its_start(self, log: EventLog) -> None:
        await log.open("turn")
        await log.append("turn", texts(0, 2))
        await log.append("turn", texts(2, 3))
        await log.close("turn")
        assert await collect_events(log, "turn") == list(enumerate(texts(0, 5)))

    @pytest.mark.parametrize("after", [-1, 0, 1, 2, 3, 4, 100])
    async def test_a_reader_starts_after_any_index(self, log: EventLog, after: int) -> None:
        await log.open("turn")
        await log.append("turn", texts(0, 2))
        await log.append("turn", texts(2, 3))
        await log.close("turn")
        expected = list(enumerate(texts(0, 5)))[after + 1 :]
        assert await collect_events(log, "turn", after=after) == expected

    async def test_every_kind_of_event_comes_back_as_it_was(
        self, log: EventLog, peer: EventLog
    ) -> None:
        await log.open("turn")
        await log.append("turn", EVERY_KIND)
        await log.close("turn")
        for reader in (log, peer):
            assert await collect_events(reader, "turn") == list(enumerate(EVERY_KIND))

    async def test_a_reader_that_waits_is_woken_by_an_append(self, log: EventLog) -> None:
        await log.open("turn")
        reader = log.read("turn")
        waiting = asyncio.create_task(step(reader))
        await asyncio.sleep(0)
        await log.append("turn", texts(0, 1))
        assert indexed(await waiting) == list(enumerate(texts(0, 1)))
        await stop(reader)

    async def test_a_reader_of_this_process_is_woken_before_anything_is_written(
        self, log: EventLog
    ) -> None:
        await log.open("turn")
        reader = log.read("turn")
        waiting = asyncio.create_task(step(reader))
        await asyncio.sleep(0)
        await log.append("turn", texts(0, 1))
        for _ in range(5):
            await asyncio.sleep(0)
        assert waiting.done()
        assert indexed(await waiting) == list(enumerate(texts(0, 1)))
        await stop(reader)

    async def test_a_reader_that_fell_behind_gets_all_it_missed_at_once(
        self, log: EventLog
    ) -> None:
        await log.open("turn")
        reader = log.read("turn", after=0)
        for number in range(10):
            await log.append("turn", texts(number, 1))
        assert indexed(await step(reader)) == list(enumerate(texts(0, 10)))[1:]
        await stop(reader)

    async def test_readers_that_wait_end_when_the_turn_is_closed(self, log: EventLog) -> None:
        await log.open("turn")
        readers = [asyncio.create_task(collect_events(log, "turn")) for _ in range(3)]
        await asyncio.sleep(0)
        await log.append("turn", texts(0, 2))
        await log.close("turn")
        assert await asyncio.gather(*readers) == [list(enumerate(texts(0, 2)))] * 3

    async def test_a_turn_without_events_is_empty(self, log: EventLog, peer: EventLog) -> None:
        await log.open("turn")
        await log.append("turn", [])
        await log.close("turn")
        for reader in (log, peer):
            assert await collect_events(reader, "turn") == []

    async def test_turns_do_not_mix(self, log: EventLog) -> None:
        for turn, first in (("one", 0), ("two", 100)):
            await log.open(turn)
            await log.append(turn, texts(first, 2))
        await log.close("one")
        await log.append("two", texts(102, 1))
        await log.close("two")
        assert await collect_events(log, "one") == list(enumerate(texts(0, 2)))
        assert await collect_events(log, "two") == list(enumerate(texts(100, 3)))

    async def test_a_turn_is_opened_once(self, log: EventLog, peer: EventLog) -> None:
        await log.open("turn")
        for each in (log, peer):
            with pytest.raises(ConflictError):
                await each.open("turn")
        await log.close("turn")
        for each in (log, peer):
            with pytest.raises(ConflictError):
                await each.open("turn")

    async def test_of_many_openings_one_wins(self, log: EventLog, peer: EventLog) -> None:
        results = await asyncio.gather(
            *(each.open("turn") for each in (log, peer) * 4), return_exceptions=True
        )
        assert sorted(map(str, map(type, results))) == sorted(
            map(str, [type(None)] + [ConflictError] * 7)
        )
        for each in (log, peer):
            await each.close("turn")

    async def test_only_an_open_turn_is_appended_to(self, log: EventLog) -> None:
        with pytest.raises(NotFoundError):
            await log.append("turn", texts(0, 1))
        await log.open("turn")
        await log.close("turn")
        with pytest.raises(NotFoundError):
            await log.append("turn", texts(0, 1))
        assert await collect_events(log, "turn") == []

    async def test_closing_twice_is_closing_once(self, log: EventLog) -> None:
        await log.open("turn")
        await log.append("turn", texts(0, 1))
        await log.close("turn")
        await log.close("turn")
        assert await collect_events(log, "turn") == list(enumerate(texts(0, 1)))

    async def test_the_first_step_of_reading_an_unknown_turn_raises(
        self, log: EventLog, peer: EventLog
    ) -> None:
        for each in (log, peer):
            reader = each.read("unknown")
            with pytest.raises(NotFoundError):
                await step(reader)

    async def test_a_reader_that_is_closed_stops_and_others_go_on(self, log: EventLog) -> None:
        await log.open("turn")
        left, stays = log.read("turn"), log.read("turn")
        await log.append("turn", texts(0, 1))
        await step(left)
        await step(stays)
        await stop(left)
        await stop(left)
        with pytest.raises(StopAsyncIteration):
            await step(left)
        await log.append("turn", texts(1, 1))
        assert indexed(await step(stays)) == [(1, TextDelta("t", "1"))]
        await stop(stays)

    async def test_a_reader_that_is_cancelled_in_a_step_harms_nobody(self, log: EventLog) -> None:
        await log.open("turn")
        waiting = asyncio.create_task(collect_events(log, "turn"))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await log.append("turn", texts(0, 1))
        await log.close("turn")
        assert await collect_events(log, "turn") == list(enumerate(texts(0, 1)))

    async def test_a_closed_turn_is_kept_for_the_retention(
        self, log: EventLog, advance: Advance
    ) -> None:
        await log.open("turn")
        await log.append("turn", texts(0, 1))
        await log.close("turn")
        if advance is not asyncio.sleep:
            await advance(log.limits.retention * 0.9)
            assert await collect_events(log, "turn") == list(enumerate(texts(0, 1)))
        await advance_past(advance, log.limits.retention)
        with pytest.raises(NotFoundError):
            await collect_events(log, "turn")
        await log.open("turn")
        await log.close("turn")
        assert await collect_events(log, "turn") == []

    async def test_another_process_reads_a_turn_as_it_is_written(
        self, log: EventLog, peer: EventLog
    ) -> None:
        if not log.limits.shared:
            pytest.skip("the log isn't shared, and limits say so")
        await log.open("turn")
        await log.append("turn", texts(0, 2))
        reader = peer.read("turn")
        found = indexed(await step(reader))
        while len(found) < 2:
            found += indexed(await step(reader))
        await log.append("turn", texts(2, 1))
        found += indexed(await step(reader))
        await log.append("turn", texts(3, 2))
        await log.close("turn")
        async with asyncio.timeout(SOON):
            found += [pair async for batch in reader for pair in indexed(batch)]
        assert found == list(enumerate(texts(0, 5)))
        assert await collect_events(peer, "turn", after=2) == list(enumerate(texts(0, 5)))[3:]

    async def test_a_closed_turn_is_there_after_a_restart(
        self, log: EventLog, reopened: Callable[[], Awaitable[EventLog]]
    ) -> None:
        await log.open("turn")
        await log.append("turn", texts(0, 3))
        await log.close("turn")
        again = await reopened()
        assert await collect_events(again, "turn", after=0) == list(enumerate(texts(0, 3)))[1:]
        with pytest.raises(ConflictError):
            await again.open("turn")

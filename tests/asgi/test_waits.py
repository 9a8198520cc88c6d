"""Waits for a client end when they are due, by one timer for all of them."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbolt.edge import NEVER, EdgeLimits, Wait, Waits

QUICK = EdgeLimits(body_timeout=0.08, write_timeout=0.4)


def my_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


async def waiting(waits: Waits, seconds: float) -> bool:
    """Whether a wait of so many seconds was cut short."""
    wait = Wait(my_task())
    wait.due = monotonic() + seconds
    waits.add(wait)
    try:
        await asyncio.sleep(0.5)
    except asyncio.CancelledError:
        if not wait.is_own():
            raise
        assert (wait.is_late, wait.due) == (True, NEVER)
        return True
    finally:
        waits.discard(wait)
    return False


@given(st.lists(st.floats(0, 100), max_size=20), st.floats(0, 100))
async def test_what_is_due_is_cut_short_and_nothing_else(dues: list[float], now: float) -> None:
    async def idle() -> None:
        await asyncio.Event().wait()

    tasks = [asyncio.create_task(idle()) for _ in dues]
    waits = [Wait(task) for task in tasks]
    for wait, due in zip(waits, dues, strict=True):
        wait.due = due
        wait.look(now)
    assert [wait.is_late for wait in waits] == [due <= now for due in dues]
    assert [task.cancelling() for task in tasks] == [int(due <= now) for due in dues]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_wait_ends_when_it_is_due_or_an_eighth_of_the_shorter_limit_later() -> None:
    began = monotonic()
    assert await waiting(Waits(QUICK), 0.1)
    assert 0.1 <= monotonic() - began < 0.3  # half of it for a busy machine
    assert my_task().cancelling() == 0


async def test_a_wait_that_is_never_due_is_left_alone() -> None:
    assert not await waiting(Waits(QUICK), NEVER)


async def test_a_cancellation_from_outside_is_nobodys_own() -> None:
    for due in (NEVER, 0.0):
        wait = Wait(my_task())
        wait.due = due
        my_task().cancel()
        wait.look(1.0)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(1)
        assert not wait.is_own()
        assert my_task().cancelling() == 1
        my_task().uncancel()


async def test_one_timer_does_for_all_and_none_is_left_when_nobody_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits = Waits(QUICK)
    loop, timers = asyncio.get_running_loop(), list[asyncio.TimerHandle]()
    call_later = loop.call_later

    def counting(delay: float, call: Any, *args: Any) -> asyncio.TimerHandle:
        timer = call_later(delay, call, *args)
        if getattr(call, "__self__", None) is waits:
            timers.append(timer)
        return timer

    monkeypatch.setattr(loop, "call_later", counting)
    several = [Wait(my_task()) for _ in range(100)]
    for _ in range(3):
        for wait in several:
            waits.add(wait)
        for wait in several:
            waits.discard(wait)
    assert len(timers) == 1
    while timers[-1].when() > loop.time():
        await asyncio.sleep(0.005)
    await asyncio.sleep(0)
    assert len(timers) == 1
    waits.add(several[0])
    assert len(timers) == 2
    waits.discard(several[0])


def test_it_goes_on_in_another_event_loop_though_the_first_one_never_came_to_look() -> None:
    waits = Waits(QUICK)

    async def add() -> None:
        wait = Wait(my_task())
        waits.add(wait)
        waits.discard(wait)

    asyncio.run(add())
    assert asyncio.run(waiting(waits, 0.05))

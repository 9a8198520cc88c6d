"""How the suites let time pass, on clocks that can be told and on those that can't."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar

import pytest

__all__ = ["Advance", "advance_past", "eventually"]

T = TypeVar("T")

Advance = Callable[[float], Awaitable[object]]
"""Lets seconds pass for a backend: `ManualClock.advance`, or `asyncio.sleep` in real time."""

PATIENCE = 5.0


async def advance_past(advance: Advance, seconds: float) -> None:
    """Let ``seconds`` and a little more pass, or skip the test if that takes too long for real."""
    if advance is asyncio.sleep and seconds > PATIENCE:
        pytest.skip(f"would take {seconds:g} s of real time")
    await advance(seconds * 1.25)


async def eventually(
    read: Callable[[], Awaitable[T]], expected: T, /, *, within: float, at_once: bool
) -> None:
    """Assert what a read gives: at once, or within so many seconds where it may lag behind."""
    end = monotonic() + within
    actual = await read()
    while actual != expected and not at_once and monotonic() < end:
        await asyncio.sleep(0.05)
        actual = await read()
    assert actual == expected

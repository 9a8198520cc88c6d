"""One turn, and one thing that happens to it at every single moment that there is.

The generated stories find what nobody thought of; these sweeps leave no gap in what somebody did.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.chat.driving import artifact, file
from tests.durability.laws import FOR_EVER, Story, Teller
from tests.durability.simulation import Call, simulate
from tests.durability.story import Turn

LATENCY = 0.01
OLD = Turn(artifact(file("a.js", "old()"), file("b.css", "old {}")))
TEXT = (
    "Here.\n"
    + artifact(file("a.js", "a < new()"), file("src/c.html", "<p>\n</p>"), title="New")
    + "\nThen.\n"
    + artifact(file("b.css", "new {}"), file("a.js", "newest()"), title="More").replace(
        'id="a"', 'id="b"'
    )
    + "\nBye."
)
AT_ONCE = (Call(batch=1000),)
IN_PIECES = (
    Call(size=70, batch=3, delta=9, thinking="hm, hm", pause=0.03, ending="max_tokens"),
    Call(size=90, batch=2, delta=7, overlap=20, ending="broken", cut=12),
    Call(batch=4, delta=30, pause=0.01),
)
WAYS = pytest.mark.parametrize("calls", [AT_ONCE, IN_PIECES], ids=["at once", "in pieces"])


def tell(calls: tuple[Call, ...], grace: float = 0.0, **fate: Any) -> int:
    """Tell of an undisturbed turn and one with a fate; how often the process died."""
    turns = (OLD, Turn(TEXT, calls, **fate))
    teller = Teller(Story(turns, grace=grace, latency=LATENCY))
    simulate(teller.tell())
    return teller.deaths


def moments(end: float) -> list[float]:
    """Moments within every operation of a store, and right at its end."""
    return [n * LATENCY * 0.75 for n in range(int(end / LATENCY / 0.75))]


@WAYS
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_kill_at_any_operation_leaves_nothing_that_cannot_be_settled(
    calls: tuple[Call, ...], after: bool
) -> None:
    at = 1
    while tell(calls, kill_at=at, after=after):
        at += 1
    assert at > 30


def test_a_kill_while_a_killed_turn_is_settled_does_no_harm() -> None:
    for at in range(8, 34, 3):
        for again in range(1, 26):
            assert tell(AT_ONCE, kill_at=at, kill_again=again) == 1


@WAYS
def test_a_kill_at_any_moment_leaves_nothing_that_cannot_be_settled(
    calls: tuple[Call, ...],
) -> None:
    for at in moments(0.8):
        tell(calls, kill_time=at)


@WAYS
@pytest.mark.parametrize("after", [False, True], ids=["refused", "answer lost"])
@pytest.mark.parametrize("count", [1, 1000], ids=["once", "from then on"])
def test_a_store_that_fails_at_any_operation_is_said_and_settled_later(
    calls: tuple[Call, ...], after: bool, count: int
) -> None:
    for at in range(1, 60):
        tell(calls, fails=range(at, at + count), after=after)


@WAYS
@pytest.mark.parametrize("what", ["stop", "leave", "hang_up", "shutdown"])
def test_an_end_from_outside_at_any_moment_loses_nothing_that_came(
    calls: tuple[Call, ...], what: str
) -> None:
    for at in moments(0.8):
        tell(calls, **{what: at})


@WAYS
def test_a_reader_that_comes_back_at_any_moment_misses_nothing(calls: tuple[Call, ...]) -> None:
    for at in moments(0.6):
        tell(calls, grace=FOR_EVER, leave=at / 2, rejoin=((at, 3), (at, 0)))

"""For every policy and every sequence of requests: what `openbolt.limits` promises."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from openbolt.limits import (
    Counted,
    acquire,
    charge,
    depth_of,
    interval_of,
    microseconds,
    rate_limit_headers,
    retry_after,
)
from openbolt.protocols import AccountingRateLimiter, RatePolicy
from openbolt.testing import ManualClock
from openbolt_local.memory import MemoryRateLimiter
from openbolt_local.sqlite import SQLiteDatabase
from openbolt_local.sqlite_limits import SQLiteRateLimiter

policies = st.builds(
    RatePolicy,
    st.just("p"),
    limit=st.integers(1, 1000),
    period=st.one_of(st.floats(0.5, 30_000), st.sampled_from([1.0, 7.0, 60.0, 3600.0])),
    burst=st.integers(0, 1000),
)
small = st.builds(
    RatePolicy,
    st.just("p"),
    limit=st.integers(1, 12),
    period=st.floats(0.5, 600),
    burst=st.integers(0, 20),
)


@frozen
class Step:
    """Some microseconds later, somebody asks or is charged."""

    wait: int
    cost: int
    is_charge: bool = False
    subject: int = 0


steps = st.lists(
    st.builds(Step, st.integers(0, 30_000_000), st.integers(0, 5)), min_size=1, max_size=60
)
mixed = st.lists(
    st.builds(
        Step,
        st.sampled_from([0, 0, 1, 999, 250_000, 1_000_000, 30_000_000, 86_400_000_000]),
        st.integers(-3, 40),
        st.booleans(),
        st.integers(0, 2),
    ),
    max_size=40,
)


def played(policy: RatePolicy, sequence: Sequence[Step], start: int) -> list[tuple[int, int]]:
    """When how much was let in."""
    arrival, now, granted = None, start, list[tuple[int, int]]()
    for step in sequence:
        now += step.wait
        decision, moved = acquire(arrival, now, policy, step.cost)
        if decision.allowed:
            granted.append((now, step.cost))
        if moved is not None:
            arrival = moved
    return granted


@given(policies, steps, st.integers(0, 2**51))
def test_in_every_window_a_subject_gets_its_burst_and_its_rate_at_most(
    policy: RatePolicy, sequence: list[Step], start: int
) -> None:
    granted = played(policy, sequence, start)
    burst = policy.burst or policy.limit
    for first, (begin, _) in enumerate(granted):
        used = 0
        for at, cost in granted[first:]:
            used += cost
            # used <= burst + rate x time, without a division
            period = microseconds(policy.period)
            assert (used - burst) * period <= policy.limit * (at - begin)


@given(policies, st.integers(0, 2**51))
def test_a_whole_burst_is_there_at_once_and_not_a_unit_more(policy: RatePolicy, now: int) -> None:
    burst = policy.burst or policy.limit
    decision, arrival = acquire(None, now, policy, burst)
    assert (decision.allowed, decision.remaining) == (True, 0)
    assert acquire(arrival, now, policy, 1)[0].allowed is False
    one_by_one = None
    for left in range(burst - 1, -1, -1):
        decision, one_by_one = acquire(one_by_one, now, policy, 1)
        assert (decision.allowed, decision.remaining) == (True, left)
    assert one_by_one == arrival


@given(policies, st.integers(1, 1000), st.floats(0, 4e9), st.integers(1, 10**11))
@example(RatePolicy("p", 1, 1.0), 1, 1789331704.2557635, 52319253)  # whose sum is rounded down
def test_waiting_as_told_and_no_less_lets_the_same_request_in(
    policy: RatePolicy, cost: int, now: float, wait: int
) -> None:
    """By a clock of floats, whatever they round."""
    cost = min(cost, policy.burst or policy.limit)
    arrival = microseconds(now) + depth_of(policy) - cost * interval_of(policy) + wait
    refused, moved = acquire(arrival, microseconds(now), policy, cost)
    assert (refused.allowed, moved) == (False, None)
    assert refused.retry_after is not None
    told = microseconds(now + refused.retry_after)
    assert acquire(arrival, told, policy, cost)[0].allowed is True
    assert acquire(arrival, told - 2, policy, cost)[0].allowed is False


@given(policies, steps)
def test_a_refused_request_changes_nothing(policy: RatePolicy, sequence: list[Step]) -> None:
    """With and without those that were refused, the others are answered alike."""
    granted = played(policy, sequence, 0)
    at, only_granted = 0, list[Step]()
    for now, cost in granted:
        only_granted.append(Step(now - at, cost))
        at = now
    assert played(policy, only_granted, 0) == granted


@given(policies, steps, st.integers(1, 50))
def test_what_is_given_back_was_never_used(
    policy: RatePolicy, sequence: list[Step], cost: int
) -> None:
    arrival, now = None, 0
    for step in sequence:
        now += step.wait
        moved = acquire(arrival, now, policy, step.cost)[1]
        arrival = arrival if moved is None else moved
    before = max(arrival or now, now)
    used = charge(arrival, now, policy, cost)
    assert charge(used, now, policy, -cost) == before


@given(policies, st.integers(0, 10**6), st.integers(0, 2**51))
def test_a_debt_is_paid_off_in_the_time_that_its_units_take(
    policy: RatePolicy, cost: int, now: int
) -> None:
    assume(cost * interval_of(policy) <= 300 * 86_400 * 10**6)
    arrival = charge(None, now, policy, cost)
    owed = max(0, cost * interval_of(policy) - depth_of(policy))
    assert acquire(arrival, now + owed, policy, 0)[0].allowed is True
    if owed:
        assert acquire(arrival, now + owed - 1, policy, 0)[0].allowed is False


@given(policies, st.integers(0, 10**6))
def test_the_rate_is_what_is_written_but_for_a_microsecond_a_unit(
    policy: RatePolicy, count: int
) -> None:
    exact = count * microseconds(policy.period) / policy.limit
    assert 0 <= count * interval_of(policy) - exact <= count + 1e-3


@given(policies, steps)
def test_numbers_fit_a_double(policy: RatePolicy, sequence: list[Step]) -> None:
    """Redis' Lua counts with doubles, and a clock of the year 2100 must do."""
    arrival, now = None, 4_102_444_800_000_000
    for step in sequence:
        now += step.wait
        arrival = charge(arrival, now, policy, step.cost)
    assert arrival is not None
    assert arrival + depth_of(policy) < 2**53


@settings(deadline=None, max_examples=60)
@given(small, mixed)
async def test_the_limiters_answer_alike(policy: RatePolicy, sequence: list[Step]) -> None:
    clock = ManualClock()
    with tempfile.TemporaryDirectory() as folder:
        async with SQLiteDatabase.open(Path(folder) / "limits.sqlite3") as database:
            memory, sqlite = MemoryRateLimiter(clock), SQLiteRateLimiter(database, clock)
            for step in sequence:
                clock.advance(step.wait / 1_000_000)
                answers = [await _answer(each, policy, step) for each in (memory, sqlite)]
                assert answers[0] == answers[1]


async def _answer(limiter: AccountingRateLimiter, policy: RatePolicy, step: Step) -> object:
    subject = f"subject {step.subject}"
    if step.is_charge:
        await limiter.charge(subject, policy, step.cost)
        return None
    return await limiter.acquire(subject, policy, max(0, step.cost))


@given(small, st.integers(2, 6), st.lists(st.integers(0, 5), min_size=30, max_size=120))
async def test_while_several_press_nothing_is_lost_and_each_wait_is_for_one_unit(
    policy: RatePolicy, clients: int, order: list[int]
) -> None:
    """Whoever of them comes first when the time is there: somebody is let in."""
    clock = ManualClock()
    limiter = MemoryRateLimiter(clock)
    due = dict.fromkeys(range(clients), 0.0)
    got = 0
    for choice in order:
        soonest = min(due.values())
        ready = [client for client, at in due.items() if at <= soonest + 2e-6]
        client = ready[choice % len(ready)]
        clock.advance(max(0.0, due[client] - clock.monotonic()))
        decision = await limiter.acquire("shared", policy)
        if decision.allowed:
            got += 1
            due[client] = clock.monotonic()
        else:
            assert decision.retry_after is not None
            assert decision.retry_after * 1e6 <= interval_of(policy) + 1
            due[client] = clock.monotonic() + decision.retry_after
    burst = policy.burst or policy.limit
    if got > burst:
        elapsed = microseconds(clock.monotonic())
        assert got >= burst + elapsed // interval_of(policy) - 1


@given(policies, steps)
def test_fields_say_what_was_decided(policy: RatePolicy, sequence: list[Step]) -> None:
    arrival, now = None, 0
    for step in sequence:
        now += step.wait
        decision, moved = acquire(arrival, now, policy, step.cost)
        arrival = arrival if moved is None else moved
        counted = [Counted(policy, decision)]
        fields = rate_limit_headers(counted)
        values = dict(part.split("=") for part in fields["ratelimit"].split(";")[1:] if "=" in part)
        assert int(values["r"]) == decision.remaining
        if decision.allowed:
            # Whoever keeps to r / t keeps to the steady rate.
            assert int(values["r"]) * policy.period <= (int(values["t"]) + 1e-5) * policy.limit
            assert retry_after(counted) is None
        elif decision.retry_after is not None:
            wait = retry_after(counted)
            assert wait is not None
            assert wait >= int(values["t"])
            assert 0 <= wait - decision.retry_after + 1e-5 <= max(1, wait)


async def test_many_tasks_are_served_in_order_of_asking() -> None:
    limiter = MemoryRateLimiter(ManualClock())
    policy = RatePolicy("p", 5, 10.0)
    decisions = await asyncio.gather(*(limiter.acquire("s", policy) for _ in range(9)))
    assert [decision.allowed for decision in decisions] == [True] * 5 + [False] * 4

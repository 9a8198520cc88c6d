"""Rate limits by the generic cell rate algorithm, and the header fields that tell of them; pure.

Laws: in any span of time a subject acquires at most ``burst + rate x span`` units. A refused
request uses none. Whoever waits for ``retry_after`` is let in, if nobody else used the subject
meanwhile.

All that is known of a subject under a policy is one whole number: the moment, in microseconds, at
which its whole burst is there again (the theoretical arrival time of ITU-T I.371). A unit moves it
on by the policy's interval, ``period / limit`` rounded up to whole microseconds, and a burst is so
many intervals. So every step is exact in integers: sums don't drift, a burst is neither a unit
longer nor shorter than it says, and every backend gives the same answers (the number fits SQLite's
64 bits and the 53 of Redis' Lua). It is also the moment from which on the row may be forgotten.
The price is a rate below what is written by less than a microsecond a unit: nothing where the
interval is a whole number of them, at most 1 % up to 10,000 units a second.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from attrs import frozen

from openbolt.errors import InvalidRequestError
from openbolt.protocols import Decision, RatePolicy

__all__ = [
    "Counted",
    "acquire",
    "charge",
    "depth_of",
    "interval_of",
    "microseconds",
    "rate_limit_headers",
    "retry_after",
    "whole_seconds",
]

_MAX_DEBT = 366 * 86_400 * 1_000_000
# Until 2106 a clock's float is at most a quarter of a microsecond off, and `microseconds` rounds:
# with half of one more, whoever waits as told never comes a moment early.
_ROUNDING = 0.5


def microseconds(seconds: float, /) -> int:
    """A clock's seconds as the whole number that is counted in; the nearest one."""
    whole = int(seconds)
    return whole * 1_000_000 + round((seconds - whole) * 1_000_000)


def interval_of(policy: RatePolicy, /) -> int:
    """Microseconds between two units at the steady rate, rounded up."""
    return -(-microseconds(policy.period) // policy.limit)


def depth_of(policy: RatePolicy, /) -> int:
    """Microseconds in which a whole burst comes back."""
    return (policy.burst or policy.limit) * interval_of(policy)


def acquire(
    arrival: int | None, now: int, policy: RatePolicy, cost: int, /
) -> tuple[Decision, int | None]:
    """Use ``cost`` units if they are there.

    Args:
        arrival: What is stored of the subject; None: nothing.
        now: Microseconds.

    Returns:
        The answer, and what has to be stored instead; None: nothing has changed.

    Raises:
        InvalidRequestError: The cost is below 0.
    """
    if cost < 0:
        raise InvalidRequestError("cost: can't be below 0", field="cost")
    interval = interval_of(policy)
    depth = (policy.burst or policy.limit) * interval
    before = now if arrival is None or arrival < now else arrival
    after = before + cost * interval
    wait = after - depth - now
    if wait <= 0:
        return _allowed(after - now, depth, interval), after if cost else None
    hopeless = cost * interval > depth
    refused = Decision(
        allowed=False,
        retry_after=None if hopeless else (wait + _ROUNDING) / 1_000_000,
        remaining=max(0, (depth - (before - now)) // interval),
        reset=(before - now) / 1_000_000,
    )
    return refused, None


def _allowed(used: int, depth: int, interval: int) -> Decision:
    return Decision(allowed=True, remaining=(depth - used) // interval, reset=used / 1_000_000)


def charge(arrival: int | None, now: int, policy: RatePolicy, cost: int, /) -> int:
    """Use ``cost`` units whether they are there or not, or give some back; what is to be stored.

    Raises:
        InvalidRequestError: The debt would last longer than 366 days.
    """
    before = now if arrival is None or arrival < now else arrival
    after = before + cost * interval_of(policy)
    if after - now > _MAX_DEBT + depth_of(policy):
        raise InvalidRequestError("cost: would take more than 366 days to pay off", field="cost")
    return after


@frozen
class Counted:
    """A limiter's answer under one policy."""

    policy: RatePolicy
    decision: Decision


def whole_seconds(seconds: float, /) -> int:
    """Seconds as a header field has them: rounded up, but for what a clock's rounding added."""
    return max(0, math.ceil(seconds - 1e-6))


def retry_after(counted: Iterable[Counted], /) -> int | None:
    """Seconds until nothing refuses any more; None where no waiting helps, or nothing refuses.

    A limiter that only says no is believed to say yes after a whole period.
    """
    waits: list[float] = []
    for one in counted:
        if one.decision.allowed:
            continue
        wait = one.decision.retry_after
        if wait is None and one.decision.remaining is not None:
            return None
        waits.append(one.policy.period if wait is None else wait)
    return max(1, whole_seconds(max(waits))) if waits else None


def rate_limit_headers(counted: Iterable[Counted], /) -> dict[str, str]:
    """``ratelimit-policy`` and ``ratelimit`` as draft-ietf-httpapi-ratelimit-headers-11 has them.

    The most restrictive policy comes first. A policy whose limiter doesn't know what is left is
    left out, and where that is every one there are no fields. ``t`` on a refusal is the wait; else
    it is so long that ``r / t`` is never above the steady rate, as the draft's section 8.5 asks.
    """
    known = sorted((one for one in counted if one.decision.remaining is not None), key=_leniency)
    if not known:
        return {}
    return {
        "ratelimit-policy": ", ".join(_policy_item(one.policy) for one in known),
        "ratelimit": ", ".join(_limit_item(one) for one in known),
    }


def _leniency(one: Counted) -> tuple[bool, float]:
    policy, decision = one.policy, one.decision
    if decision.allowed:
        return True, (decision.remaining or 0) / (policy.burst or policy.limit)
    return False, -math.inf if decision.retry_after is None else -decision.retry_after


def _policy_item(policy: RatePolicy) -> str:
    item = f'"{policy.name}";q={policy.limit}'
    if policy.unit != "requests":
        item += f';qu="{policy.unit}"'
    item += f";w={max(1, whole_seconds(policy.period))}"
    if policy.burst not in {0, policy.limit}:
        item += f";openbolt-burst={policy.burst}"
    return item


def _limit_item(one: Counted) -> str:
    policy, decision = one.policy, one.decision
    remaining = decision.remaining or 0
    item = f'"{policy.name}";r={remaining}'
    window = decision.retry_after
    if decision.allowed and decision.reset is not None:
        window = max(decision.reset, remaining * policy.period / policy.limit)
    return item if window is None else f"{item};t={whole_seconds(window)}"

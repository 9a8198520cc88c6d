"""The header fields of rate limits, read by an independent parser, and the bounds of policies."""

from __future__ import annotations

from typing import Any

import http_sfv
import pytest

from openbolt.errors import ConfigurationError, InvalidRequestError
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
from openbolt.protocols import Decision, RatePolicy

CHAT = RatePolicy("chat", 30, 60.0)
READS = RatePolicy("reads", 600, 60.0, burst=100)
DAILY = RatePolicy("tokens", 1_000_000, 86_400.0, unit="tokens")


def parsed(field: str) -> list[tuple[str, dict[str, Any]]]:
    """A list of items with parameters, as RFC 9651 reads it."""
    found = http_sfv.List()
    found.parse(field.encode("ascii"))
    return [(item.value, dict(item.params)) for item in found]


def yes(policy: RatePolicy, remaining: int, reset: float) -> Counted:
    return Counted(policy, Decision(True, remaining=remaining, reset=reset))


def no(policy: RatePolicy, wait: float | None) -> Counted:
    return Counted(policy, Decision(False, wait, remaining=0, reset=policy.period))


def test_a_policy_and_what_is_left_of_it_are_told() -> None:
    fields = rate_limit_headers([yes(CHAT, 20, 20.0)])
    assert parsed(fields["ratelimit-policy"]) == [("chat", {"q": 30, "w": 60})]
    assert parsed(fields["ratelimit"]) == [("chat", {"r": 20, "t": 40})]


def test_another_unit_and_another_burst_are_named() -> None:
    fields = rate_limit_headers([yes(DAILY, 5, 1.0), yes(READS, 100, 0.0)])
    assert parsed(fields["ratelimit-policy"]) == [
        ("tokens", {"q": 1_000_000, "qu": "tokens", "w": 86_400}),
        ("reads", {"q": 600, "w": 60, "openbolt-burst": 100}),
    ]


def test_the_most_restrictive_policy_comes_first() -> None:
    order = [no(DAILY, 3600.0), no(CHAT, 12.0), yes(CHAT, 1, 58.0), yes(READS, 90, 1.0)]
    for given in (order, order[::-1], [order[2], order[0], order[3], order[1]]):
        fields = rate_limit_headers(given)
        names = [name for name, _ in parsed(fields["ratelimit"])]
        assert names == ["tokens", "chat", "chat", "reads"]
        assert [name for name, _ in parsed(fields["ratelimit-policy"])] == names


def test_what_no_waiting_helps_comes_before_all_else() -> None:
    fields = rate_limit_headers([no(CHAT, 12.0), no(READS, None)])
    assert parsed(fields["ratelimit"]) == [("reads", {"r": 0}), ("chat", {"r": 0, "t": 12})]


def test_what_a_limiter_does_not_know_is_not_said() -> None:
    silent = [Counted(CHAT, Decision(True)), Counted(READS, Decision(False))]
    assert rate_limit_headers(silent) == {}
    fields = rate_limit_headers([*silent, yes(DAILY, 7, 2.0)])
    assert [name for name, _ in parsed(fields["ratelimit"])] == ["tokens"]
    assert [name for name, _ in parsed(fields["ratelimit-policy"])] == ["tokens"]


@pytest.mark.parametrize(
    ("counted", "seconds"),
    [
        ([], None),
        ([yes(CHAT, 1, 1.0)], None),
        ([no(CHAT, 0.0000015)], 1),
        ([no(CHAT, 2.0000005)], 2),
        ([no(CHAT, 2.1)], 3),
        ([no(CHAT, 2.1), yes(READS, 1, 1.0), no(DAILY, 100.0)], 100),
        ([no(CHAT, 2.1), no(READS, None)], None),
        ([Counted(CHAT, Decision(False))], 60),
    ],
)
def test_retry_after_is_whole_seconds_rounded_up_and_enough_for_all(
    counted: list[Counted], seconds: int | None
) -> None:
    assert retry_after(counted) == seconds


def test_a_fraction_of_a_second_is_a_window_of_one() -> None:
    fields = rate_limit_headers([yes(RatePolicy("p", 5, 0.5), 4, 0.1)])
    assert parsed(fields["ratelimit-policy"]) == [("p", {"q": 5, "w": 1})]


def test_a_clock_far_from_the_epoch_is_read_to_the_nearest_microsecond() -> None:
    assert microseconds(0.0000014) == 1
    assert microseconds(1_700_000_000.25) == 1_700_000_000_250_000
    assert microseconds(4_000_000_000.5) == 4_000_000_000_500_000


def test_an_interval_is_rounded_up_and_a_burst_is_whole_intervals() -> None:
    policy = RatePolicy("p", 7, 1.0, burst=3)
    assert interval_of(policy) == 142_858
    assert depth_of(policy) == 3 * 142_858
    assert depth_of(RatePolicy("p", 7, 1.0)) == 7 * 142_858


def test_a_refusal_names_the_wait_and_what_is_left() -> None:
    arrival = charge(None, 0, CHAT, 28)
    decision, moved = acquire(arrival, 0, CHAT, 5)
    assert moved is None
    assert (decision.allowed, decision.remaining, decision.reset) == (False, 2, 56.0)
    assert decision.retry_after == pytest.approx(6.0)


def test_more_than_a_burst_is_never_there_and_no_wait_is_named() -> None:
    decision, _ = acquire(None, 0, CHAT, 31)
    assert (decision.allowed, decision.retry_after, decision.remaining) == (False, None, 30)


def test_only_what_is_used_has_to_be_stored() -> None:
    assert acquire(None, 0, CHAT, 0)[1] is None
    assert acquire(None, 0, CHAT, 1)[1] == 2_000_000


@pytest.mark.parametrize("cost", [-1, -100])
def test_nobody_acquires_less_than_nothing(cost: int) -> None:
    with pytest.raises(InvalidRequestError, match="cost"):
        acquire(None, 0, CHAT, cost)


def test_a_debt_lasts_a_year_at_most() -> None:
    day = RatePolicy("p", 1, 86_400.0)
    assert charge(None, 0, day, 366) > 0
    with pytest.raises(InvalidRequestError, match="cost"):
        charge(None, 0, day, 368)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        (("", 1, 1.0), "name"),
        (('a"b', 1, 1.0), "name"),
        (("ä", 1, 1.0), "name"),
        (("x" * 65, 1, 1.0), "name"),
        (("p", 0, 1.0), "limit"),
        (("p", 1, 1.0, -1), "burst"),
        (("p", 1, 0.0), "period"),
        (("p", 1, -1.0), "period"),
        (("p", 1, float("inf")), "period"),
        (("p", 1, float("nan")), "period"),
        (("p", 2_000_001, 2.0), "million"),
        (("p", 1, 366 * 86_400.0 + 1), "366 days"),
        (("p", 1, 86_400.0, 367), "366 days"),
    ],
)
def test_a_policy_out_of_bounds_is_refused_by_name(values: Any, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        RatePolicy(*values)


def test_bounds_themselves_are_allowed() -> None:
    assert interval_of(RatePolicy("p", 2_000_000, 2.0)) == 1
    assert depth_of(RatePolicy("p", 1, 366 * 86_400.0)) == 366 * 86_400 * 10**6

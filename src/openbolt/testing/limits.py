"""What every `RateLimiter` owes, as a suite to subclass.

Law: within a period nobody gets more than the policy's burst and its steady rate, and whoever was
refused is let in after ``retry_after``. Give the fixture ``limiter``; where it takes a clock, let
``advance`` return its `ManualClock.advance`.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

import pytest

from openbolt.protocols import Decision, RateLimiter, RatePolicy
from openbolt.testing._waiting import Advance, advance_past

__all__ = ["RateLimiterSuite"]


class RateLimiterSuite:
    """The laws of a `RateLimiter`.

    Attributes:
        policy: What is tested under; choose one that the limiter can keep, with a limit of 2 or
            more and no burst.
        costs: Whether it takes costs other than 1.
    """

    policy: ClassVar[RatePolicy] = RatePolicy("suite", limit=5, period=1.0)
    costs: ClassVar[bool] = True

    @pytest.fixture
    def limiter(self) -> RateLimiter:
        """A limiter that has counted nothing; override it."""
        raise NotImplementedError

    @pytest.fixture
    def advance(self) -> Advance:
        """Lets time pass for the limiter."""
        return asyncio.sleep

    async def use_up(self, limiter: RateLimiter, subject: str = "subject") -> list[Decision]:
        """Use all that a subject has."""
        return [await limiter.acquire(subject, self.policy) for _ in range(self.policy.limit)]

    async def test_a_subject_gets_the_limit_and_no_more(self, limiter: RateLimiter) -> None:
        got = [decision.allowed for decision in await self.use_up(limiter)]
        refused = await limiter.acquire("subject", self.policy)
        assert got == [True] * self.policy.limit
        assert refused.allowed is False

    async def test_what_a_decision_knows_is_true(self, limiter: RateLimiter) -> None:
        used = await self.use_up(limiter)
        refused = await limiter.acquire("subject", self.policy)
        assert [d.retry_after for d in used] == [None] * self.policy.limit
        if used[0].remaining is not None:
            remaining = [decision.remaining for decision in used]
            assert remaining == list(range(self.policy.limit - 1, -1, -1))
            assert refused.remaining == 0
        if used[-1].reset is not None:
            assert 0 < used[-1].reset <= self.policy.period
        if refused.retry_after is not None:
            assert 0 < refused.retry_after <= self.policy.period

    async def test_subjects_do_not_share(self, limiter: RateLimiter) -> None:
        await self.use_up(limiter, "one")
        assert (await limiter.acquire("one", self.policy)).allowed is False
        assert (await limiter.acquire("two", self.policy)).allowed is True

    async def test_who_waits_as_told_is_let_in(
        self, limiter: RateLimiter, advance: Advance
    ) -> None:
        await self.use_up(limiter)
        refused = await limiter.acquire("subject", self.policy)
        await advance_past(advance, refused.retry_after or self.policy.period)
        assert (await limiter.acquire("subject", self.policy)).allowed is True

    async def test_after_a_period_all_is_there_again(
        self, limiter: RateLimiter, advance: Advance
    ) -> None:
        await self.use_up(limiter)
        await advance_past(advance, self.policy.period)
        assert [d.allowed for d in await self.use_up(limiter)] == [True] * self.policy.limit

    async def test_a_refused_request_uses_nothing(
        self, limiter: RateLimiter, advance: Advance
    ) -> None:
        await self.use_up(limiter)
        for _ in range(3 * self.policy.limit):
            assert (await limiter.acquire("subject", self.policy)).allowed is False
        await advance_past(advance, self.policy.period)
        assert [d.allowed for d in await self.use_up(limiter)] == [True] * self.policy.limit

    async def test_of_many_at_once_the_limit_is_let_in(self, limiter: RateLimiter) -> None:
        decisions = await asyncio.gather(
            *(limiter.acquire("subject", self.policy) for _ in range(self.policy.limit * 4))
        )
        assert sum(decision.allowed for decision in decisions) == self.policy.limit

    async def test_a_cost_is_used_whole_or_not_at_all(self, limiter: RateLimiter) -> None:
        if not self.costs:
            pytest.skip("every request costs 1 here")
        limit = self.policy.limit
        assert (await limiter.acquire("subject", self.policy, limit - 1)).allowed is True
        assert (await limiter.acquire("subject", self.policy, 2)).allowed is False
        assert (await limiter.acquire("subject", self.policy, 1)).allowed is True
        assert (await limiter.acquire("subject", self.policy, 1)).allowed is False

    async def test_what_costs_more_than_there_ever_is_is_refused(
        self, limiter: RateLimiter
    ) -> None:
        if not self.costs:
            pytest.skip("every request costs 1 here")
        over = self.policy.limit + 1
        assert (await limiter.acquire("subject", self.policy, over)).allowed is False
        assert (await limiter.acquire("subject", self.policy)).allowed is True

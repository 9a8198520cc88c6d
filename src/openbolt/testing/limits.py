"""What every `RateLimiter` and `AccountingRateLimiter` owes, as suites to subclass.

Law: within a period nobody gets more than the policy's burst and its steady rate, and whoever was
refused is let in after ``retry_after``. Give the fixture ``limiter``; where it takes a clock, let
``advance`` return its `ManualClock.advance`; where several processes share the counts, let ``peer``
return a second limiter over the same data.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

import pytest
from attrs import evolve

from openbolt.errors import InvalidRequestError, NotSupportedError
from openbolt.protocols import AccountingRateLimiter, Decision, RateLimiter, RatePolicy
from openbolt.testing._waiting import Advance, advance_past

__all__ = ["AccountingRateLimiterSuite", "RateLimiterSuite"]


class RateLimiterSuite:
    """The laws of a `RateLimiter`.

    Attributes:
        policy: What is tested under; choose one that the limiter can keep, with a limit of 2 or
            more and no burst.
        costs: Whether it takes costs other than 1; else they are a `NotSupportedError`.
    """

    policy: ClassVar[RatePolicy] = RatePolicy("suite", limit=5, period=1.0)
    costs: ClassVar[bool] = True

    @pytest.fixture
    def limiter(self) -> RateLimiter:
        """A limiter that has counted nothing; override it."""
        raise NotImplementedError

    @pytest.fixture
    def peer(self, limiter: RateLimiter) -> RateLimiter:
        """Another limiter over the same data, as another process would have; or the same."""
        return limiter

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

    async def test_of_many_at_once_the_limit_is_let_in(
        self, limiter: RateLimiter, peer: RateLimiter
    ) -> None:
        decisions = await asyncio.gather(
            *(
                each.acquire("subject", self.policy)
                for _ in range(self.policy.limit * 2)
                for each in (limiter, peer)
            )
        )
        assert sum(decision.allowed for decision in decisions) == self.policy.limit

    async def test_policies_do_not_share(self, limiter: RateLimiter) -> None:
        await self.use_up(limiter)
        other = evolve(self.policy, name="other")
        assert (await limiter.acquire("subject", other)).allowed is True

    @pytest.mark.parametrize("name", ["a/b:c", "ü€😀", "x" * 300, "'; --", "a\nb"])
    async def test_a_subject_is_any_text(self, limiter: RateLimiter, name: str) -> None:
        await self.use_up(limiter, name)
        assert (await limiter.acquire(name, self.policy)).allowed is False

    async def test_costs_are_taken_or_refused_by_name(self, limiter: RateLimiter) -> None:
        if self.costs:
            assert (await limiter.acquire("subject", self.policy, 0)).allowed is True
            with pytest.raises(InvalidRequestError):
                await limiter.acquire("subject", self.policy, -1)
        else:
            with pytest.raises(NotSupportedError):
                await limiter.acquire("subject", self.policy, 2)

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

    async def test_a_cost_of_nothing_uses_nothing(self, limiter: RateLimiter) -> None:
        if not self.costs:
            pytest.skip("every request costs 1 here")
        for _ in range(3 * self.policy.limit):
            assert (await limiter.acquire("subject", self.policy, 0)).allowed is True
        assert [d.allowed for d in await self.use_up(limiter)] == [True] * self.policy.limit
        assert (await limiter.acquire("subject", self.policy, 0)).allowed is True


class AccountingRateLimiterSuite(RateLimiterSuite):
    """The laws of an `AccountingRateLimiter`."""

    @pytest.fixture
    def limiter(self) -> AccountingRateLimiter:
        """A limiter that has counted nothing; override it."""
        raise NotImplementedError

    async def test_what_is_charged_is_gone(
        self, limiter: AccountingRateLimiter, peer: RateLimiter
    ) -> None:
        await limiter.charge("subject", self.policy, self.policy.limit - 1)
        assert (await peer.acquire("subject", self.policy)).allowed is True
        assert (await peer.acquire("subject", self.policy)).allowed is False

    async def test_time_pays_off_a_debt(
        self, limiter: AccountingRateLimiter, advance: Advance
    ) -> None:
        policy = self.policy
        await limiter.charge("subject", policy, 3 * policy.limit)
        assert (await limiter.acquire("subject", policy, 0)).allowed is False
        await advance_past(advance, policy.period)
        assert (await limiter.acquire("subject", policy, 0)).allowed is False
        await advance_past(advance, policy.period)
        assert (await limiter.acquire("subject", policy)).allowed is True

    async def test_who_is_in_debt_is_told_how_long(
        self, limiter: AccountingRateLimiter, advance: Advance
    ) -> None:
        policy = self.policy
        await limiter.charge("subject", policy, 2 * policy.limit)
        refused = await limiter.acquire("subject", policy)
        assert (refused.allowed, refused.remaining) == (False, 0)
        assert refused.retry_after is not None
        await advance_past(advance, refused.retry_after)
        assert (await limiter.acquire("subject", policy)).allowed is True

    async def test_what_is_given_back_is_there_again(
        self, limiter: AccountingRateLimiter, peer: RateLimiter
    ) -> None:
        await self.use_up(limiter)
        await limiter.charge("subject", self.policy, -2)
        got = [(await peer.acquire("subject", self.policy)).allowed for _ in range(3)]
        assert got == [True, True, False]

    async def test_nothing_is_saved_up_by_giving_back(self, limiter: AccountingRateLimiter) -> None:
        await limiter.charge("subject", self.policy, -self.policy.limit)
        await self.use_up(limiter)
        assert (await limiter.acquire("subject", self.policy)).allowed is False

    async def test_no_charge_is_lost_among_many(
        self, limiter: AccountingRateLimiter, peer: RateLimiter
    ) -> None:
        await asyncio.gather(
            *(limiter.charge("subject", self.policy, 1) for _ in range(self.policy.limit))
        )
        assert (await peer.acquire("subject", self.policy)).allowed is False

    async def test_a_debt_without_end_is_refused(self, limiter: AccountingRateLimiter) -> None:
        with pytest.raises(InvalidRequestError):
            await limiter.charge("subject", self.policy, 10**18)
        assert (await limiter.acquire("subject", self.policy)).allowed is True

"""What apps spend, for every order of calls: never more than the budget and one call's cap."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from openbolt import Settings
from openbolt.errors import BudgetExceededError
from openbolt.graph import Graph
from openbolt.proxy.app_tokens import AppBearer, AppToken, AppTokens, Hold, Ledger
from openbolt.testing import ManualClock, SequenceTokens
from tests.stores import in_memory

CENT = Decimal("0.01")
CENTS = st.integers(0, 60).map(lambda n: n * CENT)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), st.integers(1, 60).map(lambda n: n * CENT)),
        st.tuples(st.just("settle"), st.decimals(0, 1, places=2)),
        st.tuples(st.just("wait"), st.integers(0, 80).map(Decimal)),
    ),
    max_size=40,
)


async def opened(budget: Decimal) -> tuple[ManualClock, AppTokens, AppBearer]:
    clock = ManualClock()
    graph = Graph.of(in_memory(clock, tokens=SequenceTokens()), Settings())
    project = await graph.projects.create("shop", "ann", "Shop")
    app_tokens = graph.app_tokens
    secret, _ = await app_tokens.create(
        project, name="", models=["m"], max_usd=budget, expires_at=clock.now() + 1e9
    )
    bearer = await app_tokens.bearer(secret)
    assert bearer is not None
    return clock, app_tokens, bearer


@given(STEPS, st.integers(1, 100).map(lambda n: n * CENT))
def test_what_is_spent_and_reserved_passes_the_budget_by_one_cap_at_most(
    steps: list[tuple[str, Decimal]], budget: Decimal
) -> None:
    async def run() -> None:
        clock, app_tokens, bearer = await opened(budget)
        under_way: list[tuple[str, Decimal]] = []
        greatest, spent_before = Decimal(0), Decimal(0)
        for step, value in steps:
            if step == "reserve":
                try:
                    name = await app_tokens.reserve(bearer, value, seconds=100)
                except BudgetExceededError:
                    continue
                under_way.append((name, value))
                greatest = max(greatest, value)
            elif step == "settle" and under_way:
                name, cap = under_way.pop(0)
                await app_tokens.settle(bearer, name, value * cap)
            elif step == "wait":
                clock.advance(float(value))
            ledger = (await app_tokens.list("ann"))[0]
            assert ledger.spent >= spent_before, "nothing is given back"
            assert ledger.spent + ledger.reserved < budget + greatest
            spent_before = ledger.spent

    asyncio.run(run())


@given(st.integers(2, 30), st.integers(1, 30))
def test_calls_at_once_are_admitted_one_by_one(calls: int, cents: int) -> None:
    budget, cap = 30 * CENT, cents * CENT

    async def run() -> None:
        _, app_tokens, bearer = await opened(budget)
        results = await asyncio.gather(
            *(app_tokens.reserve(bearer, cap, seconds=100) for _ in range(calls)),
            return_exceptions=True,
        )
        admitted = sum(isinstance(result, str) for result in results)
        assert admitted == min(calls, -(-30 // cents))
        assert all(isinstance(r, (str, BudgetExceededError)) for r in results)

    asyncio.run(run())


@given(CENTS, st.dictionaries(st.text("ab", min_size=1), st.tuples(CENTS, st.floats(0, 1e9))))
def test_a_ledger_comes_back_as_it_was_stored(
    spent: Decimal, holds: dict[str, tuple[Decimal, float]]
) -> None:
    token = AppToken("i", "ann", "p", 1.5, "n", ("m", "k"), CENT, "obt_abcd", 2.5, 3.5)
    ledger = Ledger(token, spent, {name: Hold(*hold) for name, hold in holds.items()})
    assert Ledger.from_bytes(ledger.to_bytes()) == ledger

"""Costs: decimals in USD, summed over segments, and unknown where the price is."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbolt.costs import ANTHROPIC_2026_11, Price, PriceTable, Usage

COUNTS = st.integers(0, 10**9)
USAGES = st.builds(Usage, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
TABLE = PriceTable(
    "2026-11-01", {"a": Price.of("3", "15", "0.30"), "a-mini": Price.of("1", "5", "0")}
)


@given(USAGES, USAGES)
def test_usage_is_summed_field_by_field(one: Usage, other: Usage) -> None:
    expected = [a + b for a, b in zip(attrs.astuple(one), attrs.astuple(other), strict=True)]
    assert attrs.astuple(one + other) == tuple(expected)
    assert one + Usage() == one


def test_each_kind_of_token_has_its_own_price() -> None:
    usage = Usage(1_000_000, 1_000_000, 1_000_000, 1_000_000)
    assert TABLE.cost("a", usage) == Decimal("3") + 15 + Decimal("0.30") + Decimal("3.75")
    assert TABLE.cost("a", Usage(input_tokens=1)) == Decimal("0.000003")
    assert TABLE.cost("a", Usage(output_tokens=1)) == Decimal("0.000015")
    assert TABLE.cost("a", Usage(cache_read_tokens=10)) == Decimal("0.000003")
    assert TABLE.cost("a", Usage(cache_write_tokens=100)) == Decimal("0.000375")


def test_the_longest_beginning_of_a_name_wins() -> None:
    assert TABLE.cost("a-mini-20261101", Usage(input_tokens=10**6)) == 1
    assert TABLE.cost("a-max", Usage(input_tokens=10**6)) == 3


@pytest.mark.parametrize("model", ["", "b", "A", "xa", "gateway/a"])
def test_a_model_without_a_price_costs_nothing_known(model: str) -> None:
    assert TABLE.cost(model, Usage(1, 1)) is None


def test_no_tokens_cost_nothing() -> None:
    assert TABLE.cost("a", Usage()) == 0


@given(USAGES, USAGES)
def test_a_cost_is_exact(one: Usage, other: Usage) -> None:
    apart = [TABLE.cost("a", usage) for usage in (one, other)]
    assert TABLE.cost("a", one + other) == sum(cost for cost in apart if cost is not None)


def test_the_published_prices_are_dated_and_sane() -> None:
    assert date.fromisoformat(ANTHROPIC_2026_11.as_of) == date(2026, 11, 1)
    for price in ANTHROPIC_2026_11.prices.values():
        assert 0 < price.cache_read < price.input < price.cache_write < price.output


def test_the_default_model_has_a_price() -> None:
    cost = ANTHROPIC_2026_11.cost("claude-sonnet-5-5", Usage(10**6, 10**6))
    assert cost == Decimal(12)

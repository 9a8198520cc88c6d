"""What tokens cost.

Law: money is `decimal.Decimal` in USD, and a model without a known price costs None, never zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from attrs import frozen

__all__ = ["ANTHROPIC_2026_11", "Price", "PriceTable", "Usage"]

_MILLION = Decimal(1_000_000)


@frozen
class Usage:
    """Tokens of a turn, summed over its segments (model calls)."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    segments: int = 0

    @property
    def tokens(self) -> int:
        """All that came in and out, cached ones included."""
        cached = self.cache_read_tokens + self.cache_write_tokens
        return self.input_tokens + cached + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.segments + other.segments,
        )


@frozen
class Price:
    """USD for a million tokens; cache writes are those kept for five minutes."""

    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write: Decimal

    @classmethod
    def of(cls, input_: str, output: str, cache_read: str) -> Price:
        """A price whose cache writes cost a quarter more than input."""
        return cls(
            Decimal(input_), Decimal(output), Decimal(cache_read), Decimal(input_) * Decimal("1.25")
        )


@frozen
class PriceTable:
    """Prices as published on a day.

    Attributes:
        as_of: ISO date.
        prices: By the start of a model's name; the longest that fits wins.
    """

    as_of: str
    prices: Mapping[str, Price]

    def cost(self, model: str, usage: Usage, /) -> Decimal | None:
        """USD of a usage; None for a model without a price."""
        names = [name for name in self.prices if model.startswith(name)]
        if not names:
            return None
        price = self.prices[max(names, key=len)]
        total = (
            price.input * usage.input_tokens
            + price.output * usage.output_tokens
            + price.cache_read * usage.cache_read_tokens
            + price.cache_write * usage.cache_write_tokens
        )
        return total / _MILLION


# Anthropic's published price list. Haiku 5.5 is dearer for prompts over 100,000 tokens; this is its
# lower band.
ANTHROPIC_2026_11 = PriceTable(
    "2026-11-01",
    {
        "claude-fable-5-1": Price.of("10", "50", "0.25"),
        "claude-mythos-5-1": Price.of("10", "50", "0.25"),
        "claude-fable-5": Price.of("10", "50", "1"),
        "claude-mythos-5": Price.of("10", "50", "1"),
        "claude-opus-5-5": Price.of("4", "20", "0.20"),
        "claude-opus-5": Price.of("5", "25", "0.50"),
        "claude-opus-4-0": Price.of("15", "75", "1.50"),
        "claude-opus-4-1": Price.of("15", "75", "1.50"),
        "claude-opus-4-2025": Price.of("15", "75", "1.50"),
        "claude-opus-4": Price.of("5", "25", "0.50"),
        "claude-sonnet-5-5": Price.of("2", "10", "0.10"),
        "claude-sonnet-5": Price.of("2", "10", "0.20"),
        "claude-sonnet-4": Price.of("3", "15", "0.30"),
        "claude-haiku-5-5": Price.of("0.10", "0.50", "0.01"),
        "claude-haiku-4-5": Price.of("1", "5", "0.10"),
    },
)

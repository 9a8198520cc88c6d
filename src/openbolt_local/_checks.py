"""What every store here refuses before it touches its library, in the words of the protocols.

Law: nothing is clamped. A value out of bounds is an error that names its field.
"""

from __future__ import annotations

import math
import re

from openbolt.errors import InvalidRequestError, NotSupportedError, PayloadTooLargeError
from openbolt.protocols import KVLimits

__all__ = [
    "check_value",
    "encode_key",
    "encode_prefix",
    "expiry",
    "parse_counter",
    "sum_counter",
    "utf8",
]

_COUNTER = re.compile(rb"0|-?[1-9][0-9]{0,18}")
_COUNTER_MAX = 2**63 - 1


def encode_key(key: str, limit: int, /) -> bytes:
    """A key's UTF-8 bytes; `InvalidRequestError` if it is empty, too long or has NUL."""
    encoded = utf8(key, "key")
    if not encoded:
        raise InvalidRequestError("A key can't be empty.", field="key")
    if b"\0" in encoded:
        raise InvalidRequestError("A key can't contain NUL.", field="key")
    if len(encoded) > limit:
        raise InvalidRequestError(
            f"A key can't be longer than {limit} bytes, this one has {len(encoded)}.", field="key"
        )
    return encoded


def encode_prefix(prefix: str, /) -> bytes:
    """The bytes of a key-value scan's prefix, which names at least one whole first segment."""
    if "/" not in prefix or prefix.startswith("/"):
        raise InvalidRequestError(
            "A scan's prefix has to name a whole first segment with its slash, as 'users/'.",
            field="prefix",
        )
    return utf8(prefix, "prefix")


def check_value(value: bytes, limits: KVLimits, /) -> None:
    """`PayloadTooLargeError` for a value over the limit."""
    if len(value) > limits.max_value_bytes:
        raise PayloadTooLargeError(
            f"A value can't be longer than {limits.max_value_bytes} bytes; this has {len(value)}.",
            field="value",
        )


def expiry(ttl: float | None, now: float, limits: KVLimits, /) -> float | None:
    """The moment at which a value written now is over."""
    if ttl is None:
        return None
    if not (math.isfinite(ttl) and ttl > 0):
        raise InvalidRequestError(f"ttl has to be more than 0 seconds, not {ttl!r}.", field="ttl")
    if ttl < limits.min_ttl:
        raise NotSupportedError(f"This store keeps a value for {limits.min_ttl:g} s at least.")
    return now + ttl


def parse_counter(value: bytes, /) -> int:
    """A counter's value: a decimal integer of 64 bits."""
    if not _COUNTER.fullmatch(value):
        raise InvalidRequestError("The value isn't a decimal integer.", field="value")
    return int(value)


def sum_counter(value: int, amount: int, /) -> int:
    """The counter after an increment, which stays within 64 bits."""
    total = value + amount
    if not -_COUNTER_MAX - 1 <= total <= _COUNTER_MAX:
        raise InvalidRequestError("The counter would leave 64 bits.", field="amount")
    return total


def utf8(text: str, name: str, /) -> bytes:
    """Text as UTF-8; `InvalidRequestError` with field ``name`` for half a surrogate pair."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as exc:
        raise InvalidRequestError(f"The {name} isn't text: {exc.reason}.", field=name) from exc

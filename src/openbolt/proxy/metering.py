"""What a model call has used, from its answer as it goes by; pure.

Law: bytes are looked at and never changed. What the model itself counted counts; where it was cut
off before it had, what was received is estimated, and never as nothing.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, cast

from attrs import field, frozen

from openbolt.costs import PriceTable, Usage
from openbolt.jsons import parse_json

__all__ = ["Metered", "StreamMeter", "metered_whole"]

_BYTES_PER_TOKEN = 4
_FRAME_BYTES = 110  # of a frame of text, around the text
_MAX_HELD = 1024 * 1024


@frozen
class Metered:
    """Tokens of one call.

    Attributes:
        longer_cache_writes: Those of the cache writes that are kept for an hour: they cost twice
            what input does, not a quarter more.
    """

    usage: Usage = field(factory=lambda: Usage(segments=1))
    longer_cache_writes: int = 0

    def cost(self, prices: PriceTable, model: str, /) -> Decimal | None:
        """USD; None for a model without a price."""
        dearer = -(-self.longer_cache_writes * 3 // 5)  # 1.25 x 1.6 = 2
        return prices.cost(model, self.usage + Usage(cache_write_tokens=dearer))

    @property
    def tokens(self) -> int:
        """All together."""
        usage = self.usage
        return (
            usage.input_tokens
            + usage.output_tokens
            + usage.cache_read_tokens
            + usage.cache_write_tokens
        )


class StreamMeter:
    """Reads an event stream's usage.

    Args:
        request_bytes: Of the request's body, to estimate its tokens if nothing tells them.
    """

    def __init__(self, request_bytes: int) -> None:
        self.is_whole = False
        self._request_bytes = request_bytes
        self._counts: dict[str, int] = {}
        self._longer = 0
        self._has_begun = False
        self._is_counted = False
        self._frames = 0
        self._bytes = 0
        self._held = b""

    def feed(self, data: bytes) -> None:
        """Look at the next bytes."""
        text = self._held + data.replace(b"\r\n", b"\n")
        *frames, held = text.split(b"\n\n")
        self._held = held if len(held) <= _MAX_HELD else b""
        for frame in frames:
            # In text it would stand with backslashes.
            if b'"usage"' in frame:
                self._take(frame)
            elif b"content_block_delta" in frame:
                self._frames += 1
                self._bytes += len(frame)
            elif b"message_stop" in frame:
                self.is_whole = True

    def _take(self, frame: bytes) -> None:
        for line in frame.split(b"\n"):
            if not line.startswith(b"data:"):
                continue
            event = _object_of(line[5:])
            kind = event.get("type")
            if kind == "message_start":
                self._has_begun = True
                self._add(_member(_member(event, "message"), "usage"))
            elif kind == "message_delta":
                self._is_counted = True
                self._add(_member(event, "usage"))

    def _add(self, counts: dict[str, Any]) -> None:
        self._counts |= _counts_of(counts)
        self._longer = max(self._longer, _longer_of(counts))

    def metered(self) -> Metered:
        """What was used so far."""
        counts = dict(self._counts)
        if not self._has_begun:
            counts.setdefault("input_tokens", -(-self._request_bytes // _BYTES_PER_TOKEN))
        if not self._is_counted:
            text = max(0, self._bytes - self._frames * _FRAME_BYTES)
            received = max(self._frames, -(-text // _BYTES_PER_TOKEN))
            counts["output_tokens"] = max(counts.get("output_tokens", 0), received)
        return Metered(_usage_of(counts), self._longer)


def metered_whole(body: bytes, request_bytes: int, /) -> Metered:
    """What an answer in one piece has used; an empty one, what was asked at least."""
    counts = _member(_object_of(body), "usage")
    known = _counts_of(counts)
    if not known:
        known = {"input_tokens": -(-request_bytes // _BYTES_PER_TOKEN)}
    return Metered(_usage_of(known), _longer_of(counts))


def _usage_of(counts: dict[str, int]) -> Usage:
    return Usage(
        counts.get("input_tokens", 0),
        counts.get("output_tokens", 0),
        counts.get("cache_read_input_tokens", 0),
        counts.get("cache_creation_input_tokens", 0),
        segments=1,
    )


_NAMES = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
)


def _counts_of(counts: dict[str, Any]) -> dict[str, int]:
    found = {name: _count(counts.get(name)) for name in _NAMES}
    return {name: count for name, count in found.items() if count is not None}


def _longer_of(counts: dict[str, Any]) -> int:
    return _count(_member(counts, "cache_creation").get("ephemeral_1h_input_tokens")) or 0


def _count(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return None


def _object_of(text: bytes) -> dict[str, Any]:
    try:
        value: object = parse_json(text)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _member(holder: dict[str, Any], name: str) -> dict[str, Any]:
    value: object = holder.get(name)
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}

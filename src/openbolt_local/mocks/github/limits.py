"""The primary rate limit.

The law: whoever is over it gets nothing until the hour that began with their first request is over.
https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
"""

from __future__ import annotations

import math

from attrs import define

from openbolt.protocols import Clock

WINDOW = 3600.0
ANONYMOUS_LIMIT = 60
"""Requests in an hour without a token that works."""


@define
class _Window:
    resets_at: float
    used: int = 0


class RateLimits:
    """Counts requests, for each person and for whoever is nobody.

    Args:
        clock: tells when an hour is over.
        limit: requests in an hour, of one person by all their tokens.
    """

    def __init__(self, clock: Clock, limit: int) -> None:
        self._clock = clock
        self._limit = limit
        self._windows: dict[int | None, _Window] = {}

    def count(self, account_id: int | None) -> tuple[bool, dict[str, str]]:
        """Count one request; whether it may pass, and the headers that say how things stand."""
        now = self._clock.now()
        window = self._windows.get(account_id)
        if window is None or window.resets_at <= now:
            window = self._windows[account_id] = _Window(now + WINDOW)
        limit = ANONYMOUS_LIMIT if account_id is None else self._limit
        passes = window.used < limit
        if passes:
            window.used += 1
        return passes, {
            "x-ratelimit-limit": str(limit),
            "x-ratelimit-remaining": str(limit - window.used),
            "x-ratelimit-used": str(window.used),
            "x-ratelimit-reset": str(math.ceil(window.resets_at)),
            "x-ratelimit-resource": "core",
        }

"""Rate limits counted in this process' memory, by the generic cell rate algorithm.

Law: a subject costs one float whatever its rate, a refused request uses nothing, and there is no
edge of a window at which twice the limit gets through.
"""

from __future__ import annotations

from openbolt.errors import InvalidRequestError
from openbolt.protocols import Clock, Decision, RatePolicy

__all__ = ["MemoryRateLimiter"]

# Rounding of floats must not refuse a request that comes exactly when it was told to.
_SLACK = 1e-6


class MemoryRateLimiter:
    """A `RateLimiter` for one process.

    The theoretical arrival time of a subject is the moment at which it is wholly replenished;
    each unit moves it on by ``period / limit`` (ITU-T I.371, "virtual scheduling").

    Args:
        max_subjects: Pairs of subject and policy remembered at once; beyond, the one that asked
            longest ago starts anew, which helps nobody who has so many subjects to ask under.
    """

    def __init__(self, clock: Clock, /, *, max_subjects: int = 100_000) -> None:
        self._clock = clock
        self._max_subjects = max_subjects
        self._arrivals: dict[tuple[str, str], float] = {}

    async def acquire(self, subject: str, policy: RatePolicy, cost: int = 1, /) -> Decision:
        """Use ``cost`` units if they are there.

        A cost above the burst is never allowed, and there is nothing to wait for:
        ``retry_after`` is None.

        Raises:
            InvalidRequestError: The cost is below 0.
        """
        if cost < 0:
            raise InvalidRequestError("A cost can't be below 0.", field="cost")
        now = self._clock.monotonic()
        each = policy.period / policy.limit
        depth = each * (policy.burst or policy.limit)
        key = (policy.name, subject)
        arrival = max(self._arrivals.pop(key, now), now)
        moved = arrival + cost * each
        wait = moved - depth - now
        allowed = wait <= _SLACK
        if allowed:
            arrival = moved
        if arrival > now:
            self._remember(key, arrival)
        return Decision(
            allowed=allowed,
            retry_after=None if allowed or cost * each > depth + _SLACK else wait,
            remaining=max(0, int((depth - (arrival - now) + _SLACK) / each)),
            reset=arrival - now,
        )

    def _remember(self, key: tuple[str, str], arrival: float) -> None:
        while len(self._arrivals) >= self._max_subjects:
            del self._arrivals[next(iter(self._arrivals))]
        self._arrivals[key] = arrival

"""Rate limits counted in this process' memory.

Law: memory is bounded: one number for each subject that isn't wholly replenished, and no more of
them than a setting allows. What `openbolt.limits` decides is all that is decided.
"""

from __future__ import annotations

from openbolt.limits import acquire, charge, microseconds
from openbolt.protocols import Clock, Decision, RatePolicy

__all__ = ["MemoryRateLimiter"]

_FEW = 1024
_SWEEP_INTERVAL = 60_000_000


class MemoryRateLimiter:
    """An `AccountingRateLimiter` for one process. Each call is one step of the event loop.

    Args:
        max_subjects: Pairs of subject and policy remembered at once; beyond, the one that asked
            longest ago starts anew, which helps nobody who has so many subjects to ask under.
    """

    def __init__(self, clock: Clock, /, *, max_subjects: int = 100_000) -> None:
        self._clock = clock
        self._max_subjects = max_subjects
        self._arrivals: dict[tuple[str, str], int] = {}
        self._sweep_size = _FEW
        self._sweep_at = 0

    async def acquire(self, subject: str, policy: RatePolicy, cost: int = 1, /) -> Decision:
        """Use ``cost`` units if they are there."""
        now = microseconds(self._clock.monotonic())
        key = (policy.name, subject)
        arrival = self._arrivals.get(key)
        decision, moved = acquire(arrival, now, policy, cost)
        self._remember(key, arrival if moved is None else moved, now)
        return decision

    async def charge(self, subject: str, policy: RatePolicy, cost: int, /) -> None:
        """Use ``cost`` units whether they are there or not, or give some back."""
        now = microseconds(self._clock.monotonic())
        key = (policy.name, subject)
        self._remember(key, charge(self._arrivals.get(key), now, policy, cost), now)

    def _remember(self, key: tuple[str, str], arrival: int | None, now: int) -> None:
        self._arrivals.pop(key, None)  # so that the dict is in order of asking
        if arrival is None or arrival <= now:
            return
        if len(self._arrivals) >= self._sweep_size or now >= self._sweep_at:
            self._sweep(now)
        while len(self._arrivals) >= self._max_subjects:
            del self._arrivals[next(iter(self._arrivals))]
        self._arrivals[key] = arrival

    def _sweep(self, now: int) -> None:
        """Forget who is wholly replenished; at twice the size again, so it costs little a call."""
        self._arrivals = {key: at for key, at in self._arrivals.items() if at > now}
        self._sweep_size = max(_FEW, 2 * len(self._arrivals))
        self._sweep_at = now + _SWEEP_INTERVAL

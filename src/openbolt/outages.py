"""Says in the log what goes wrong with every request, but not with every request.

Law: about one thing there is one line a minute at most, which says how often it happened unsaid.
"""

from __future__ import annotations

from logging import Logger

from openbolt.protocols import Clock

__all__ = ["Outages"]

_INTERVAL = 60.0


class Outages:
    """Warnings by name."""

    def __init__(self, log: Logger, clock: Clock, /) -> None:
        self._log = log
        self._clock = clock
        self._said: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}

    def note(self, name: str, message: str, /, *args: object) -> None:
        """Warn, unless that was done within the last minute; names are few and constant."""
        now, said = self._clock.monotonic(), self._said.get(name)
        if said is not None and now < said + _INTERVAL:
            self._unsaid[name] = self._unsaid.get(name, 0) + 1
            return
        self._said[name] = now
        times = self._unsaid.pop(name, 0)
        more = f"; {times} times more since the last warning" if times else ""
        self._log.warning(message + more, *args)

"""A turn's events folded into the parts of a stored message.

Law: the parts are what a client that read the whole stream would hold, less what is transient.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from openbolt.chat.events import (
    ActionDelta,
    DataPart,
    ReasoningDelta,
    ReasoningStarted,
    TextDelta,
    TextStarted,
    TurnEvent,
)

__all__ = ["PartsBuilder"]


class PartsBuilder:
    """Folds events; linear in what it is given."""

    def __init__(self) -> None:
        self._parts: list[dict[str, Any]] = []
        self._texts: dict[int, list[str]] = {}
        self._open: dict[str, list[str]] = {}
        self._data: dict[tuple[str, str], dict[str, Any]] = {}

    def add(self, events: Iterable[TurnEvent], /) -> None:
        """Take in more events."""
        for event in events:
            match event:
                case ActionDelta():  # Nearly all there are.
                    pass
                case TextDelta() | ReasoningDelta():
                    self._open[event.part_id].append(event.delta)
                case TextStarted():
                    self._begin("text", event.part_id)
                case ReasoningStarted():
                    self._begin("reasoning", event.part_id)
                case DataPart(transient=False):
                    self._put(event)
                case _:
                    pass

    def parts(self) -> tuple[Mapping[str, Any], ...]:
        """The parts so far."""
        return tuple(
            [
                {**part, "text": "".join(self._texts[index])} if index in self._texts else {**part}
                for index, part in enumerate(self._parts)
            ]
        )

    def _begin(self, kind: str, part_id: str) -> None:
        self._open[part_id] = self._texts[len(self._parts)] = []
        self._parts.append({"type": kind, "text": "", "state": "done"})

    def _put(self, event: DataPart) -> None:
        known = self._data.get((event.name, event.part_id))
        if known is not None:
            known["data"] = event.data
            return
        part = {"type": f"data-{event.name}", "id": event.part_id, "data": event.data}
        self._data[event.name, event.part_id] = part
        self._parts.append(part)

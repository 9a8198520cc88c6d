"""A turn's events kept small: deltas that are some 16 events old are folded into runs of text.

Law: what comes out is what was appended, event for event, each under its index. A delta of twenty
characters of ASCII takes about 27 bytes in a run, and 140 as an event in a list; wider characters
take two or four bytes each in either, and one of them makes those of its run as wide.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby, pairwise
from typing import Final, cast

from openbolt.chat.events import ActionDelta, ReasoningDelta, TextDelta, TurnEvent

__all__ = ["EventList"]

_RECENT: Final = 16  # events at least that stay as they are while a turn runs: its readers' news
_BLOCK: Final = 128  # events after which a block is full: what a reader that fell behind is made
_SHORTEST: Final = 4  # deltas for which a run pays

_Delta = ActionDelta | TextDelta | ReasoningDelta
_Kind = tuple[type[_Delta], str]


class _Run:
    """Deltas of one part that follow each other."""

    __slots__ = ("_ends", "_text", "kind")

    def __init__(self, kind: _Kind) -> None:
        self.kind = kind
        self._text = ""
        self._ends = array("I", [0])

    def extend(self, texts: Sequence[str]) -> None:
        self._ends.extend(accumulate(map(len, texts[1:]), initial=len(self._text) + len(texts[0])))
        self._text += "".join(texts)

    def __iter__(self) -> Iterator[_Delta]:
        (kind, part_id), text = self.kind, self._text
        return (kind(part_id, text[start:end]) for start, end in pairwise(self._ends))


class EventList:
    """What was appended to a turn's log, by index from 0.

    Attributes:
        count: Events so far; not by `len`, which readers would call for each delta.
    """

    __slots__ = ("_blocks", "_firsts", "_recent", "count")

    def __init__(self) -> None:
        self.count = 0
        self._blocks: list[list[TurnEvent | _Run]] = []
        self._firsts: list[int] = []  # the index that each block begins at
        self._recent: list[TurnEvent] = []

    def extend(self, events: Sequence[TurnEvent], /) -> None:
        """Append; what has got old is folded."""
        recent = self._recent
        recent.extend(events)
        self.count += len(events)
        if len(recent) >= 2 * _RECENT:
            self._fold(len(recent) - _RECENT)

    def fold(self) -> None:
        """Fold all, if it is worth it: no more will come."""
        if len(self._recent) >= _RECENT:
            self._fold(len(self._recent))

    def since(self, first: int, /) -> list[TurnEvent]:
        """The events from index ``first`` on, which is at least 0."""
        folded = self.count - len(self._recent)
        if first >= folded:
            return self._recent[first - folded :]
        at = bisect_right(self._firsts, first) - 1
        found: list[TurnEvent] = []
        for block in self._blocks[at:]:
            for item in block:
                if isinstance(item, _Run):
                    found.extend(item)
                else:
                    found.append(item)
        return found[first - self._firsts[at] :] + self._recent

    def _fold(self, count: int) -> None:
        begin = self.count - len(self._recent)
        if not self._blocks or begin - self._firsts[-1] >= _BLOCK:
            self._blocks.append([])
            self._firsts.append(begin)
        _fold_into(self._blocks[-1], self._recent[:count])
        del self._recent[:count]


def _fold_into(block: list[TurnEvent | _Run], events: Sequence[TurnEvent]) -> None:
    for kind, group in groupby(events, _kind_of):
        if kind is None:
            block.extend(group)
            continue
        same = cast("list[_Delta]", list(group))
        last = block[-1] if block else None
        if not isinstance(last, _Run) or last.kind != kind:
            if len(same) < _SHORTEST:
                block.extend(same)
                continue
            last = _Run(kind)
            block.append(last)
        last.extend([event.delta for event in same])


def _kind_of(event: TurnEvent) -> _Kind | None:
    if type(event) is ActionDelta:
        return ActionDelta, event.action_id
    if type(event) is TextDelta:
        return TextDelta, event.part_id
    if type(event) is ReasoningDelta:
        return ReasoningDelta, event.part_id
    return None

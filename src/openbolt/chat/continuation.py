"""The seam between two segments of one reply.

Law: the longest overlap of at least 16 characters between the end of what we have (its last 4,096
characters) and the start of what comes is dropped; a shorter repeat stands, since code repeats
itself. Whatever the chunking of the second segment, the joined text is the same.
"""

from __future__ import annotations

__all__ = ["MIN_OVERLAP", "WINDOW", "Seam"]

MIN_OVERLAP = 16
WINDOW = 4096


class Seam:
    """Joins a continuation to the text before it.

    Args:
        before: All, or at least the last 4,096 characters, of the text so far.
    """

    def __init__(self, before: str, /) -> None:
        self._tail = before[-WINDOW:]
        self._held: list[str] | None = [] if len(self._tail) >= MIN_OVERLAP else None
        self._size = 0

    def feed(self, delta: str, /) -> str:
        """The part of a delta that is new; empty while that is undecided."""
        if self._held is None:
            return delta
        self._held.append(delta)
        self._size += len(delta)
        if self._size < len(self._tail) and self._may_overlap():
            return ""
        return self.finish()

    def finish(self) -> str:
        """What was held back, less the overlap; the seam is closed."""
        if self._held is None:
            return ""
        head = "".join(self._held)
        self._held = None
        return head[_overlap(self._tail, head) :]

    def _may_overlap(self) -> bool:
        """Whether more text could still complete an overlap."""
        assert self._held is not None
        if len(self._held) > 1:
            self._held = ["".join(self._held)]
        head = self._held[0]
        if self._size < MIN_OVERLAP:
            return True
        # An overlap that is still growing shows the whole head inside the tail.
        return head in self._tail


def _overlap(tail: str, head: str) -> int:
    """Length of the longest suffix of ``tail`` that starts ``head``; 0 if under the minimum."""
    for size in range(min(len(tail), len(head)), MIN_OVERLAP - 1, -1):
        if head.startswith(tail[-size:]):
            return size
    return 0

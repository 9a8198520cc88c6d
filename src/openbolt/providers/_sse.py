"""Event streams as they come from a network: bytes split anywhere in, whole frames out.

Law: pure, and the same frames for every split of the same bytes. A stream's frame is what stands
between two blank lines. Source: the HTML standard, section 9.2.6, "Interpreting an event stream".
"""

from __future__ import annotations

import re

from openbolt.errors import UpstreamError

__all__ = ["MAX_EVENT_BYTES", "SSEDecoder", "data_of"]

MAX_EVENT_BYTES = 8 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"
# A frame as servers write it: one line of data, and perhaps its name before that.
_USUAL = re.compile(r"(?:event: ?([^\n]*)\n)?data: ?([^\n]*)")


class SSEDecoder:
    """Cuts a byte stream into frames.

    Args:
        max_event_bytes: One frame at most; a longer one is an `UpstreamError`.
    """

    def __init__(self, *, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max = max_event_bytes
        self._pending = bytearray()
        self._at_start = True
        self._after_cr = False

    @property
    def is_between_frames(self) -> bool:
        """The next byte begins a frame."""
        return not (self._pending or self._at_start or self._after_cr)

    def feed(self, data: bytes) -> str:
        """The frames that ``data`` completes, with LF line ends, each closed by its blank line.

        Bytes that are no UTF-8 become U+FFFD, as the standard wants.

        Raises:
            UpstreamError: A frame is over the limit.
        """
        if self._at_start:
            data = self._without_bom(data)
        if self._after_cr or b"\r" in data:
            data = self._with_lf(data)
        pending = self._pending
        if pending:
            searched = len(pending) - 1
            pending += data
            first = pending.find(b"\n\n", searched)
            self._check(pending, len(pending) if first < 0 else first)
            if first < 0:
                return ""
            end = pending.rfind(b"\n\n", first) + 2
            block = bytes(pending[:end])
            del pending[:end]
        else:
            end = data.rfind(b"\n\n") + 2
            if end == 1:
                end = 0
            block = data[:end]
            if end < len(data):
                pending += data[end:]
        if len(block) > self._max:
            for frame in block.split(b"\n\n"):
                self._check(frame, len(frame))
        self._check(pending, len(pending))
        return block.decode("utf-8", "replace")

    def _check(self, data: bytes | bytearray, size: int) -> None:
        """Refuse a frame, the first ``size`` bytes of ``data``; line ends around it don't count."""
        limit = self._max
        if size > limit and len(data[:size].strip(b"\n")) > limit:
            raise UpstreamError(
                "The model provider's reply can't be read.",
                detail=f"an event is over {limit} bytes",
            )

    def _without_bom(self, data: bytes) -> bytes:
        data = bytes(self._pending) + data
        self._pending.clear()
        if len(data) < len(_BOM) and _BOM.startswith(data):
            self._pending += data
            return b""
        self._at_start = False
        return data.removeprefix(_BOM)

    def _with_lf(self, data: bytes) -> bytes:
        if not data:
            return data
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
        self._after_cr = data.endswith(b"\r") if data else False
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def data_of(frame: str, /) -> tuple[str, str | None]:
    """A frame's event name (empty where it has none) and its data (None where it has none)."""
    if usual := _USUAL.fullmatch(frame):
        return usual[1] or "", usual[2]
    name = ""
    lines: list[str] = []
    for line in frame.split("\n"):
        key, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if key == "data":
            lines.append(value)
        elif key == "event":
            name = value
    return name, "\n".join(lines) if lines else None

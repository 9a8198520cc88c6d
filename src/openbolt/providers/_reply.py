"""A Messages API stream read into model events: bytes in, one batch of events out.

Law: pure, and for every split of the same bytes the same events, with neighboring deltas merged
and `StillAlive` left aside. This is where the CPU time of a streamed token goes, so frames of text
take a short way: one regular expression over the whole read, no JSON tree. It matches only what
the long way would read to the same text; a property test holds the two against each other.
"""

from __future__ import annotations

import json
import re
from typing import Any, cast, get_args

from openbolt.errors import UpstreamError
from openbolt.model import (
    ModelEvent,
    ModelUsage,
    RedactedThinkingBlock,
    ReplyStarted,
    ReplyStopped,
    StillAlive,
    StopReason,
    TextDelta,
    ThinkingBlock,
    ThinkingClosed,
    ThinkingDelta,
    ThinkingOpened,
    UsageReported,
)
from openbolt.providers._failures import broken_off, event_failure, redacted, unreadable
from openbolt.providers._sse import MAX_EVENT_BYTES, SSEDecoder, data_of

__all__ = ["ReplyDecoder", "well_formed"]

_REASONS = frozenset(get_args(StopReason)) - {"unknown"}

# The inside of a JSON string, and one frame that carries a text delta and nothing else.
_INSIDE = r'[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+'
_STRING = re.compile(_INSIDE.encode())
_TEXT_FRAME = re.compile(
    r"(?:event: ?content_block_delta\n)?"
    r'data: ?\{"type": ?"content_block_delta", ?"index": ?(?:0|[1-9][0-9]{0,5}), ?'
    r'"delta": ?\{"type": ?"text_delta", ?"text": ?"'
    rf'({_INSIDE})"\}} *\}} *\n\n'
)
# How such a frame ends, as servers write it.
_TAIL = b'"}}\n\n'

_ALIVE = StillAlive()

# What the first line of an event stream begins with.
_FIELDS = ("event:", "data:", "id:", "retry:", ":")

# Bytes kept of a body that is no event stream, to say what it was.
_HEAD = 2000


def well_formed(text: str, /) -> str:
    """``text`` with each lone surrogate as U+FFFD, so that it can be encoded."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


class ReplyDecoder:
    """Reads one reply.

    Args:
        max_event_bytes: One event of the stream at most, in bytes.
        secret: A key that no error's detail may show.
        own_key: The key is the user's own; an error says so.
        quick: Take the short way for text; the tests turn it off.

    Attributes:
        stopped: The reply is whole; what comes after is ignored.
        failure: Why the reply can't go on. `feed` first returns the events that came before it in
            the same bytes; the next call raises it.
    """

    def __init__(
        self,
        *,
        max_event_bytes: int = MAX_EVENT_BYTES,
        secret: str | None = None,
        own_key: bool = False,
        quick: bool = True,
    ) -> None:
        self.stopped = False
        self.failure: UpstreamError | None = None
        self._sse = SSEDecoder(max_event_bytes=max_event_bytes)
        self._secret = secret
        self._own_key = own_key
        self._quick = quick
        self._head = b""
        self._prefix = b""
        self._events: list[ModelEvent] = []
        self._run: list[str] = []
        self._half = ""
        self._thinking_run = False
        self._block: _Thinking | None = None
        self._reason: str | None = None
        self._stop_sequence: str | None = None
        self._read_any = False

    def feed(self, data: bytes) -> list[ModelEvent]:
        """The events that ``data`` completes.

        At most one `TextDelta` stands between two events of another kind. `StillAlive` comes alone,
        for bytes that say nothing else.

        Raises:
            UpstreamError: An ``error`` event, an event that can't be read or is over the limit.
        """
        if self.failure is not None:
            raise self.failure
        if self.stopped:
            return []
        prefix = self._prefix
        if (
            prefix
            and data.startswith(prefix)
            and data.endswith(_TAIL)
            and self._sse.takes_whole(len(data))
        ):
            start, end = len(prefix), len(data) - len(_TAIL)
            is_plain = not self._half and data.find(b"\\u", start, end) < 0
            if start < end and is_plain and _STRING.fullmatch(data, start, end):
                return [TextDelta(_unescaped(data[start:end].decode("utf-8", "replace")))]
        if not self._read_any and len(self._head) < _HEAD:
            self._head += data[:_HEAD]
        try:
            text = self._sse.feed(data)
            if not text:
                return []
            self._take(text)
        except UpstreamError as error:
            error.detail = redacted(error.detail or "", self._secret)
            self.failure = error
        self._flush(more=True)
        events, self._events = self._events, []
        if self.failure is not None and not events:
            raise self.failure
        return events or [_ALIVE]

    def finish(self) -> None:
        """Say that the stream has ended.

        Raises:
            UpstreamError: Before the reply was whole.
        """
        if self.failure is not None:
            raise self.failure
        if self.stopped:
            return
        said = self._head.decode("utf-8", "replace").lstrip("\ufeff\r\n")
        if not self._read_any and not said.startswith(_FIELDS) and not "event:".startswith(said):
            raise unreadable(redacted(f"not an event stream: {said}", self._secret))
        raise broken_off("the stream ended early, before message_stop")

    def _take(self, text: str) -> None:
        parts = _TEXT_FRAME.split(text) if self._quick else [text]
        # Even parts are what stands between frames of text. A match that did not begin at a frame's
        # start is a match inside another frame: then the whole text goes the long way.
        between = parts[::2]
        if not any(between):
            self._text_frames(parts[1::2])
            if len(parts) == 3 and text.endswith(_TAIL.decode()):
                # One frame in one read, the way a live stream comes: the next will look like it.
                self._prefix = text[: len(text) - len(parts[1]) - len(_TAIL)].encode()
            return
        if not all(not part or part.endswith("\n\n") for part in between):
            self._frames(text)
            return
        at = 0
        for index in range(0, len(parts), 2):
            if parts[index]:
                self._text_frames(parts[at + 1 : index : 2])
                self._frames(parts[index])
                at = index
                if self.stopped:
                    return
        self._text_frames(parts[at + 1 :: 2])

    def _text_frames(self, literals: list[str]) -> None:
        if not literals:
            return
        text = "".join(literals)
        if "\\" in text:
            if "\\u" in text:
                # Literal by literal: a backslash at the end of one escapes nothing in the next.
                text = "".join([_unescaped(literal) for literal in literals])
            else:
                text = _unescaped(text)
        self._read_any = True
        self._say(text, thinking=False)

    def _say(self, text: str, *, thinking: bool) -> None:
        if thinking is not self._thinking_run:
            self._flush()
            self._thinking_run = thinking
        if text:
            self._run.append(text)

    def _flush(self, *, more: bool = False) -> None:
        """Make an event of what was said.

        Args:
            more: The run may go on: half a surrogate pair at its end waits for the other half,
                since gateways that cut text by UTF-16 units send them in two deltas.
        """
        if not self._run and (more or not self._half):
            return
        text = self._half + "".join(self._run)
        self._run.clear()
        self._half = ""
        if not text.isascii():
            if more and "\ud800" <= text[-1] <= "\udbff":
                text, self._half = text[:-1], text[-1]
            text = well_formed(text)
        if text:
            self._events.append(ThinkingDelta(text) if self._thinking_run else TextDelta(text))

    def _emit(self, event: ModelEvent) -> None:
        self._flush()
        self._events.append(event)

    def _frames(self, text: str) -> None:
        for frame in text.split("\n\n"):
            name, data = data_of(frame) if frame else ("", None)
            if data is None:
                continue
            self._event(_json_of(data), name)
            self._read_any = True
            if self.stopped:
                return

    def _event(self, event: dict[str, Any], name: str) -> None:
        match event.get("type", name):
            case "content_block_delta":
                self._delta(_object(event, "delta"))
            case "content_block_start":
                self._open(_object(event, "content_block"))
            case "content_block_stop":
                self._close()
            case "message_start":
                message = _object(event, "message")
                self._emit(ReplyStarted(_string(message, "id"), _string(message, "model")))
                self._usage(message)
            case "message_delta":
                delta = _object(event, "delta")
                self._reason = _string(delta, "stop_reason") or self._reason
                self._stop_sequence = _string(delta, "stop_sequence") or self._stop_sequence
                self._usage(event)
            case "message_stop":
                self._stop()
            case "error":
                error = _object(event, "error")
                raise event_failure(
                    _string(error, "type"), _string(error, "message"), own_key=self._own_key
                )
            case _:
                pass

    def _delta(self, delta: dict[str, Any]) -> None:
        match delta.get("type"):
            case "text_delta":
                self._say(_said(delta, "text"), thinking=False)
            case "thinking_delta":
                block = self._thinking()
                text = _said(delta, "thinking")
                block.texts.append(text)
                self._say(text, thinking=True)
            case "signature_delta":
                self._thinking().signature += _string(delta, "signature")
            case _:
                pass

    def _open(self, block: dict[str, Any]) -> None:
        self._close()
        match block.get("type"):
            case "text":
                self._say(_said(block, "text"), thinking=False)
            case "thinking":
                opened = self._thinking()
                opened.signature = _string(block, "signature")
                text = _said(block, "thinking")
                opened.texts.append(text)
                self._say(text, thinking=True)
            case "redacted_thinking":
                self._thinking().redacted = _string(block, "data")
            case _:
                pass

    def _thinking(self) -> _Thinking:
        if self._block is None:
            self._block = _Thinking()
            self._emit(ThinkingOpened())
        return self._block

    def _close(self) -> None:
        if self._block is not None:
            self._emit(ThinkingClosed(self._block.closed()))
            self._block = None

    def _usage(self, holder: dict[str, Any]) -> None:
        counts = _object(holder, "usage")
        usage = ModelUsage(
            input_tokens=_count(counts, "input_tokens"),
            output_tokens=_count(counts, "output_tokens"),
            cache_read_tokens=_count(counts, "cache_read_input_tokens"),
            cache_write_tokens=_count(counts, "cache_creation_input_tokens"),
        )
        if usage != ModelUsage():
            self._emit(UsageReported(usage))

    def _stop(self) -> None:
        self._close()
        raw = self._reason or ""
        known = raw in _REASONS
        self._emit(
            ReplyStopped(
                cast("StopReason", raw) if known else "unknown",
                raw_reason="" if known else raw,
                stop_sequence=self._stop_sequence,
            )
        )
        self.stopped = True


class _Thinking:
    """A block of reasoning that is still open."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.signature = ""
        self.redacted: str | None = None

    def closed(self) -> ThinkingBlock | RedactedThinkingBlock:
        if self.redacted is not None:
            return RedactedThinkingBlock(self.redacted)
        return ThinkingBlock(well_formed("".join(self.texts)), self.signature)


def _unescaped(inside: str) -> str:
    """What a JSON string says, from its text between the quotes."""
    escapes = inside.count("\\")
    if escapes == inside.count("\\n"):  # none, or line ends only, as most of code has
        return inside.replace("\\n", "\n") if escapes else inside
    unescaped: str = json.loads(f'"{inside}"')
    return unescaped


def _json_of(data: str) -> dict[str, Any]:
    try:
        parsed: object = json.loads(data)
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        raise unreadable(f"an event isn't a JSON object: {data}")
    return cast("dict[str, Any]", parsed)


def _object(holder: dict[str, Any], name: str) -> dict[str, Any]:
    """A member that is an object; an absent or null one is empty."""
    value: object = holder.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise unreadable(f"{name} isn't an object: {value!r}")
    return cast("dict[str, Any]", value)


def _string(holder: dict[str, Any], name: str) -> str:
    """A member that is a string; an absent or null one is empty."""
    return well_formed(_said(holder, name))


def _said(holder: dict[str, Any], name: str) -> str:
    """The same as it was sent: it may begin or end in half a surrogate pair."""
    value: object = holder.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise unreadable(f"{name} isn't a string: {value!r}")
    return value


def _count(holder: dict[str, Any], name: str) -> int | None:
    value: object = holder.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None

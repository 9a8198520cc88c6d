"""A Messages API stream read into model events: bytes in, one batch of events out.

Law: pure, and for every split of the same bytes the same events, with neighboring deltas merged
and `StillAlive` left aside. This is where the CPU time of a streamed token goes, so frames of text
and frames that say no more than their type take a short way: one regular expression, no JSON tree.
It matches only what the long way would read to the same; a property test holds the two against
each other.
"""

from __future__ import annotations

import re
from typing import Any, Final, get_args

from openbolt.errors import UpstreamError
from openbolt.jsons import parse_json
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

_REASONS: Final[dict[str, StopReason]] = {
    reason: reason for reason in get_args(StopReason) if reason != "unknown"
}

# The inside of a JSON string; without \u, which may be half of a character.
_PLAIN = r'[^"\\\x00-\x1f]*+(?:\\["\\/bfnrt][^"\\\x00-\x1f]*+)*+'
_INSIDE = r'[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+'
_INDEX = r'"index": ?(?:0|[1-9][0-9]{0,5})'


def _text_frame(inside: str) -> str:
    """A frame that carries a text delta and nothing else."""
    # Its two beginnings are spelled out: so a search can skip to an "e" or a "d".
    return (
        r"(?:event: ?content_block_delta\ndata|data)"
        rf': ?\{{"type": ?"content_block_delta", ?{_INDEX}, ?'
        r'"delta": ?\{"type": ?"text_delta", ?"text": ?"'
        rf'({inside})"\}} *\}} *\n\n'
    )


_TEXT_FRAME = re.compile(_text_frame(_INSIDE))
# One such frame in a read of its own, the way a live stream comes.
_TEXT_READ = re.compile(_text_frame(_PLAIN).encode())
# Frames that say no more than what they are; a block of text begins empty.
_BARE_FRAME = re.compile(
    r'(?:event:[^\n]*\n)?data: ?\{"type": ?"(?:'
    rf'(ping|message_stop)"|(content_block_stop)", ?{_INDEX}|'
    rf'(content_block_start)", ?{_INDEX}, ?"content_block": ?\{{"type": ?"text", ?"text": ?""\}}'
    r") *\}"
)

_ALIVE: Final = StillAlive()
_COUNTS: Final = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
)
_NO_COUNTS: Final = [None] * len(_COUNTS)

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
        self._longest_read = max_event_bytes + 2
        self._ready = False  # The next byte begins a frame, and nothing is held back.
        self._head = b""
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
        if self._ready and len(data) <= self._longest_read:
            frame = _TEXT_READ.fullmatch(data)
            if frame is not None and (text := frame[1]):
                self._read_any = True
                return [TextDelta(_unescaped(text.decode("utf-8", "replace")))]
        if not self._read_any and len(self._head) < _HEAD:
            self._head += data[:_HEAD]
        self._ready = False
        try:
            text = self._sse.feed(data)
            if not text:
                return []
            self._take(text)
        except UpstreamError as error:
            error.detail = redacted(error.detail or "", self._secret)
            self.failure = error
        self._flush(more=True)
        self._ready = self._quick and not self._half and self._sse.is_between_frames
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
            return
        if [part for part in between if part and not part.endswith("\n\n")]:
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
        if self._run or self._half:
            self._flush()
        self._events.append(event)

    def _frames(self, text: str) -> None:
        for frame in text.split("\n\n"):
            if not frame:
                continue
            if self._quick and (bare := _BARE_FRAME.fullmatch(frame)) is not None:
                self._bare(bare[bare.lastindex or 0])
            else:
                name, data = data_of(frame)
                if data is None:
                    continue
                self._event(_json_of(data), name)
            self._read_any = True
            if self.stopped:
                return

    def _bare(self, kind: str) -> None:
        if kind == "message_stop":
            self._stop()
        elif kind != "ping":
            self._close()

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
        said = _object(holder, "usage")
        # Not isinstance: JSON's true is no count.
        counts = [n if type(n := said.get(name)) is int else None for name in _COUNTS]
        if counts != _NO_COUNTS:
            self._emit(UsageReported(ModelUsage(*counts)))

    def _stop(self) -> None:
        self._close()
        raw = self._reason or ""
        reason = _REASONS.get(raw)
        if reason is None:
            self._emit(ReplyStopped("unknown", raw, self._stop_sequence))
        else:
            self._emit(ReplyStopped(reason, "", self._stop_sequence))
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
    if "\\" not in inside:
        return inside
    text = inside.replace("\\n", "\n")
    if "\\" not in text:  # Line ends were all, as in most of code.
        return text
    unescaped: str = parse_json(f'"{inside}"')
    return unescaped


def _json_of(data: str) -> dict[str, Any]:
    try:
        event: dict[str, Any] | None = parse_json(data)
    except (ValueError, RecursionError):
        event = None
    if type(event) is not dict:
        raise unreadable(f"an event isn't a JSON object: {data}")
    return event


def _object(holder: dict[str, Any], name: str) -> dict[str, Any]:
    """A member that is an object; an absent or null one is empty."""
    value: dict[str, Any] | None = holder.get(name)
    if value is None:
        return {}
    if type(value) is not dict:
        raise unreadable(f"{name} isn't an object: {value!r}")
    return value


def _string(holder: dict[str, Any], name: str) -> str:
    """A member that is a string; an absent or null one is empty."""
    return well_formed(_said(holder, name))


def _said(holder: dict[str, Any], name: str) -> str:
    """The same as it was sent: it may begin or end in half a surrogate pair."""
    value: object = holder.get(name)
    if value is None:
        return ""
    if type(value) is not str:
        raise unreadable(f"{name} isn't a string: {value!r}")
    return value

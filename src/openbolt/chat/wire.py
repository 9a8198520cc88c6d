"""A turn's events as bytes, in three wire forms.

Law: an encoder is a pure function of the events and their index; a reader that comes back with the
index of the last event it saw misses nothing and sees nothing twice, whichever form it asks for.

Sources: Vercel's UI message stream v1 (``ai`` 5 and later) and the data stream v1 (``ai`` 4).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring
from typing import Any, ClassVar, Protocol

from openbolt.chat.events import (
    ActionDelta,
    DataPart,
    ReasoningDelta,
    ReasoningEnded,
    ReasoningStarted,
    StepFinished,
    StepStarted,
    TextDelta,
    TextEnded,
    TextStarted,
    TurnAborted,
    TurnEvent,
    TurnFailed,
    TurnFinished,
    TurnStarted,
)
from openbolt.errors import UpstreamError
from openbolt.http import Request

__all__ = ["DataStream", "PlainText", "UIMessageStream", "WireForm", "choose_form"]


class WireForm(Protocol):
    """One reader's encoder: it may remember what it has encoded."""

    headers: ClassVar[Mapping[str, str]]

    def encode(self, first: int, events: Sequence[TurnEvent], /) -> bytes:
        """Events that lie next to each other, the first at index ``first``."""
        ...

    def end(self) -> bytes:
        """What closes the stream."""
        ...


_NO_BUFFER = {"cache-control": "no-cache, no-transform", "x-accel-buffering": "no"}


class UIMessageStream:
    """Server-sent events of ``ai`` 5 and later; ``id:`` is the index of the event."""

    headers: ClassVar[Mapping[str, str]] = {
        "content-type": "text/event-stream",
        "x-vercel-ai-ui-message-stream": "v1",
        **_NO_BUFFER,
    }

    def encode(self, first: int, events: Sequence[TurnEvent], /) -> bytes:
        """See `WireForm`."""
        frames: list[str] = []
        for index, event in enumerate(events, first):
            if type(event) is ActionDelta:
                name = encode_basestring(event.action_id)
                text = encode_basestring(event.delta)
                data = (
                    f'{{"type":"data-action-delta","id":{name},"data":{{"actionId":{name},'
                    f'"delta":{text}}},"transient":true}}'
                )
            elif type(event) is TextDelta:
                name = encode_basestring(event.part_id)
                text = encode_basestring(event.delta)
                data = f'{{"type":"text-delta","id":{name},"delta":{text}}}'
            else:
                data = _dump(_ui_frame(event))
            frames.append(f"id: {index}\ndata: {data}\n\n")
        return _utf8("".join(frames))

    def end(self) -> bytes:
        """See `WireForm`."""
        return b"data: [DONE]\n\n"


def _ui_frame(event: TurnEvent) -> dict[str, Any]:
    match event:
        case TurnStarted(message_id, chat_id, project_id):
            metadata = {"chatId": chat_id, "projectId": project_id}
            return {"type": "start", "messageId": message_id, "messageMetadata": metadata}
        case StepStarted():
            return {"type": "start-step"}
        case ReasoningStarted(part_id):
            return {"type": "reasoning-start", "id": part_id}
        case ReasoningDelta(part_id, delta):
            return {"type": "reasoning-delta", "id": part_id, "delta": delta}
        case ReasoningEnded(part_id):
            return {"type": "reasoning-end", "id": part_id}
        case TextStarted(part_id):
            return {"type": "text-start", "id": part_id}
        case TextDelta(part_id, delta):
            return {"type": "text-delta", "id": part_id, "delta": delta}
        case TextEnded(part_id):
            return {"type": "text-end", "id": part_id}
        case ActionDelta(action_id, delta):
            data = {"actionId": action_id, "delta": delta}
            return {"type": "data-action-delta", "id": action_id, "data": data, "transient": True}
        case DataPart(name, part_id, data, transient):
            frame = {"type": f"data-{name}", "id": part_id, "data": data}
            return {**frame, "transient": True} if transient else frame
        case StepFinished():
            return {"type": "finish-step"}
        case TurnFinished(reason):
            # `ai` 5.0.0 refuses unknown keys and learned `finishReason` later: it rides in the
            # metadata for every version.
            return {"type": "finish", "messageMetadata": {"finishReason": reason}}
        case TurnAborted():
            return {"type": "abort"}
        case TurnFailed(text):
            return {"type": "error", "errorText": text}


class DataStream:
    """The line protocol of ``ai`` 4; a finish without ``usage`` tells a reader who came late."""

    headers: ClassVar[Mapping[str, str]] = {
        "content-type": "text/plain; charset=utf-8",
        "x-vercel-ai-data-stream": "v1",
        **_NO_BUFFER,
    }

    def __init__(self) -> None:
        self._usage: dict[str, int] | None = None

    def encode(self, _first: int, events: Sequence[TurnEvent], /) -> bytes:
        """See `WireForm`."""
        return _utf8("".join(line for event in events for line in self._lines(event)))

    def end(self) -> bytes:
        """See `WireForm`."""
        return b""

    def _lines(self, event: TurnEvent) -> list[str]:
        match event:
            case TurnStarted(message_id):
                return [_line("f", {"messageId": message_id})]
            case TextDelta(_, delta):
                return [_line("0", delta)]
            case ReasoningDelta(_, delta):
                return [_line("g", delta)]
            case ActionDelta(action_id, delta):
                data = {"actionId": action_id, "delta": delta}
                return [_line("2", [{"type": "data-action-delta", "id": action_id, "data": data}])]
            case DataPart(name, part_id, payload):
                row = {"type": f"data-{name}", "id": part_id, "data": payload}
                if name != "usage":
                    return [_line("2", [row])]
                usage = self._usage = {
                    "promptTokens": payload["inputTokens"],
                    "completionTokens": payload["outputTokens"],
                }
                value = {**usage, "totalTokens": sum(usage.values())}
                return [_line("2", [row]), _line("8", [{"type": "usage", "value": value}])]
            case TurnFinished(reason):
                end: dict[str, Any] = {"finishReason": reason}
                if self._usage is not None:
                    end["usage"] = self._usage
                return [_line("e", {**end, "isContinued": False}), _line("d", end)]
            case TurnAborted():
                return [_line("2", [{"type": "abort"}])]
            case TurnFailed(text):
                return [_line("3", text)]
            case _:
                return []


class PlainText:
    """The visible text and nothing else; a failure breaks the connection, so that it shows."""

    headers: ClassVar[Mapping[str, str]] = {
        "content-type": "text/plain; charset=utf-8",
        **_NO_BUFFER,
    }

    def __init__(self) -> None:
        self._failure: str | None = None

    def encode(self, _first: int, events: Sequence[TurnEvent], /) -> bytes:
        """See `WireForm`."""
        for event in events:
            if isinstance(event, TurnFailed):
                self._failure = event.error_text
        return _utf8("".join(e.delta for e in events if type(e) is TextDelta))

    def end(self) -> bytes:
        """See `WireForm`.

        Raises:
            UpstreamError: The turn failed: this form has no other way to say it.
        """
        if self._failure is not None:
            raise UpstreamError(self._failure)
        return b""


def choose_form(request: Request, /) -> WireForm:
    """The form that a request asks for: ``?protocol=`` first, then ``Accept``, then the default."""
    asked = request.query_param("protocol")
    accept = (request.headers.get("accept") or "").lower()
    if asked == "data" or (asked is None and "text/x-ai-data-stream" in accept):
        return DataStream()
    if asked == "text":
        return PlainText()
    return UIMessageStream()


def _line(code: str, value: object) -> str:
    return f"{code}:{_dump(value)}\n"


_dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _utf8(text: str) -> bytes:
    # A lone surrogate can come out of a model's \\ud83d escape; no wire can carry it.
    return text.encode("utf-8", "replace")

"""A turn's events as bytes, in three wire forms.

Law: an encoder is a pure function of the events and their index; a reader that comes back with the
index of the last event it saw misses nothing and sees nothing twice, whichever form it asks for.

Sources: Vercel's UI message stream v1 (``ai`` 5 and later) and the data stream v1 (``ai`` 4).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
from openbolt.jsons import json_string, json_text

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
        frames = [
            f"id: {index}\ndata: {_UI_FRAMES[type(event)](event)}\n\n"
            for index, event in enumerate(events, first)
        ]
        return _utf8("".join(frames))

    def end(self) -> bytes:
        """See `WireForm`."""
        return b"data: [DONE]\n\n"


def _ui_start(event: TurnStarted) -> str:
    chat, project = json_string(event.chat_id), json_string(event.project_id)
    return (
        f'{{"type":"start","messageId":{json_string(event.message_id)},'
        f'"messageMetadata":{{"chatId":{chat},"projectId":{project}}}}}'
    )


def _ui_delta(kind: str) -> Callable[[TextDelta | ReasoningDelta], str]:
    return lambda event: (
        f'{{"type":"{kind}","id":{json_string(event.part_id)},"delta":{json_string(event.delta)}}}'
    )


def _ui_action_delta(event: ActionDelta) -> str:
    name, text = json_string(event.action_id), json_string(event.delta)
    return (
        f'{{"type":"data-action-delta","id":{name},"data":{{"actionId":{name},'
        f'"delta":{text}}},"transient":true}}'
    )


def _ui_data(event: DataPart) -> str:
    kind, name = json_string(f"data-{event.name}"), json_string(event.part_id)
    end = ',"transient":true' if event.transient else ""
    return f'{{"type":{kind},"id":{name},"data":{json_text(event.data)}{end}}}'


def _ui_finish(event: TurnFinished) -> str:
    # `ai` 5.0.0 refuses unknown keys and learned `finishReason` later: it rides in the metadata
    # for every version.
    reason = json_string(event.finish_reason)
    return f'{{"type":"finish","messageMetadata":{{"finishReason":{reason}}}}}'


def _ui_edge(
    kind: str,
) -> Callable[[TextStarted | TextEnded | ReasoningStarted | ReasoningEnded], str]:
    return lambda event: f'{{"type":"{kind}","id":{json_string(event.part_id)}}}'


def _ui_mark(kind: str) -> Callable[[TurnEvent], str]:
    frame = f'{{"type":"{kind}"}}'
    return lambda _: frame


# Text at once, by the event's class: to make a value and have it written costs three times as much.
_UI_FRAMES: Mapping[type[TurnEvent], Callable[[Any], str]] = {
    TurnStarted: _ui_start,
    StepStarted: _ui_mark("start-step"),
    ReasoningStarted: _ui_edge("reasoning-start"),
    ReasoningDelta: _ui_delta("reasoning-delta"),
    ReasoningEnded: _ui_edge("reasoning-end"),
    TextStarted: _ui_edge("text-start"),
    TextDelta: _ui_delta("text-delta"),
    TextEnded: _ui_edge("text-end"),
    ActionDelta: _ui_action_delta,
    DataPart: _ui_data,
    StepFinished: _ui_mark("finish-step"),
    TurnFinished: _ui_finish,
    TurnAborted: _ui_mark("abort"),
    TurnFailed: lambda event: f'{{"type":"error","errorText":{json_string(event.error_text)}}}',
}


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
    return f"{code}:{json_text(value)}\n"


def _utf8(text: str) -> bytes:
    # A lone surrogate can come out of a model's \\ud83d escape; no wire can carry it.
    return text.encode("utf-8", "replace")

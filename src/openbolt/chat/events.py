"""What happens in a turn, as values: the one list from which every wire form is made.

Law: a turn's log is a sequence of `TurnEvent`; an event's index in it is its identity (the SSE
``id:``), so any reader, in any wire form, can take the turn up again after it. Each event becomes
at most one frame of each form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from attrs import fields, frozen

from openbolt.chat._artifact_events import ActionDelta
from openbolt.jsons import json_bytes, parse_json

__all__ = [
    "FINISH_REASONS",
    "ActionDelta",
    "DataPart",
    "FinishReason",
    "ReasoningDelta",
    "ReasoningEnded",
    "ReasoningStarted",
    "StepFinished",
    "StepStarted",
    "TextDelta",
    "TextEnded",
    "TextStarted",
    "TurnAborted",
    "TurnEvent",
    "TurnFailed",
    "TurnFinished",
    "TurnStarted",
    "decode_events",
    "encode_events",
]

FinishReason = Literal["stop", "length", "content-filter", "tool-calls", "error", "other"]
FINISH_REASONS: tuple[FinishReason, ...] = (
    "stop", "length", "content-filter", "tool-calls", "error", "other",
)  # fmt: skip


@frozen
class TurnStarted:
    """The first event of every turn."""

    message_id: str
    chat_id: str
    project_id: str


@frozen
class StepStarted:
    """The assistant message's one step begins."""


@frozen
class ReasoningStarted:
    """A part of reasoning begins."""

    part_id: str


@frozen
class ReasoningDelta:
    """More reasoning."""

    part_id: str
    delta: str


@frozen
class ReasoningEnded:
    """The part of reasoning is over."""

    part_id: str


@frozen
class TextStarted:
    """A part of visible text begins."""

    part_id: str


@frozen
class TextDelta:
    """More visible text."""

    part_id: str
    delta: str


@frozen
class TextEnded:
    """The part of visible text is over."""

    part_id: str


@frozen
class DataPart:
    """A ``data-<name>`` part; a later one with the same name and id replaces it.

    Attributes:
        data: JSON-able.
        transient: Not part of the message: shown while it streams, never stored.
    """

    name: str
    part_id: str
    data: Mapping[str, Any]
    transient: bool = False


@frozen
class StepFinished:
    """The step is over."""


@frozen
class TurnFinished:
    """The reply came to its end."""

    finish_reason: FinishReason


@frozen
class TurnAborted:
    """Somebody stopped the turn, or its last reader went away."""


@frozen
class TurnFailed:
    """Something broke after the first byte; the text is for the user."""

    error_text: str
    code: str = "internal"


TurnEvent = (
    TurnStarted
    | StepStarted
    | ReasoningStarted
    | ReasoningDelta
    | ReasoningEnded
    | TextStarted
    | TextDelta
    | TextEnded
    | ActionDelta
    | DataPart
    | StepFinished
    | TurnFinished
    | TurnAborted
    | TurnFailed
)

_BY_NAME: Mapping[str, type[TurnEvent]] = {kind.__name__: kind for kind in get_args(TurnEvent)}
_FIELDS: Mapping[type[TurnEvent], tuple[str, ...]] = {
    kind: tuple(field.name for field in fields(kind)) for kind in _BY_NAME.values()
}


def encode_events(events: Sequence[TurnEvent], /) -> bytes:
    """Events as bytes for a store; `decode_events` is the inverse."""
    rows = [
        [type(event).__name__, {name: getattr(event, name) for name in _FIELDS[type(event)]}]
        for event in events
    ]
    return json_bytes(rows, errors="surrogatepass")


def decode_events(data: bytes, /) -> list[TurnEvent]:
    """The events that `encode_events` wrote."""
    rows = parse_json(data)
    return [_BY_NAME[name](**fields) for name, fields in rows]

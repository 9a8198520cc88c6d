"""What the chat says to a model and what a model says back, whichever provider carries it.

Law: values only. Providers turn a `ModelRequest` into their wire and their wire into batches of
`ModelEvent`; nothing above a provider knows its wire form.
"""

from __future__ import annotations

from typing import Literal

from attrs import field, frozen

__all__ = [
    "ContentBlock",
    "ModelEvent",
    "ModelMessage",
    "ModelRequest",
    "ModelUsage",
    "RedactedThinkingBlock",
    "ReplyStarted",
    "ReplyStopped",
    "StillAlive",
    "StopReason",
    "SystemBlock",
    "TextBlock",
    "TextDelta",
    "ThinkingBlock",
    "ThinkingClosed",
    "ThinkingDelta",
    "ThinkingOpened",
    "UsageReported",
]

StopReason = Literal[
    "end_turn",
    "max_tokens",
    "stop_sequence",
    "tool_use",
    "pause_turn",
    "refusal",
    "model_context_window_exceeded",
    "unknown",
]


@frozen
class TextBlock:
    """Text; ``cache`` asks the provider to cache the prompt up to here."""

    text: str
    cache: bool = False


@frozen
class ThinkingBlock:
    """Reasoning, sent back as it came, with the signature that proves it."""

    text: str
    signature: str


@frozen
class RedactedThinkingBlock:
    """Reasoning that only the provider can read."""

    data: str


ContentBlock = TextBlock | ThinkingBlock | RedactedThinkingBlock


@frozen
class SystemBlock:
    """A piece of the system prompt; the stable ones come first and are cached."""

    text: str
    cache: bool = False


@frozen
class ModelMessage:
    """One message of the conversation."""

    role: Literal["user", "assistant"]
    content: tuple[ContentBlock, ...]

    @classmethod
    def text(cls, role: Literal["user", "assistant"], text: str) -> ModelMessage:
        """A message of one text block."""
        return cls(role, (TextBlock(text),))


@frozen
class ModelRequest:
    """One call of a model.

    Attributes:
        max_tokens: Output tokens at most.
        thinking: Tokens for reasoning, ``"adaptive"`` to let the model decide, None for none.
        api_key: A user's own key; None uses the operator's.
    """

    model: str
    messages: tuple[ModelMessage, ...]
    max_tokens: int
    system: tuple[SystemBlock, ...] = ()
    thinking: int | Literal["adaptive"] | None = None
    temperature: float | None = None
    stop_sequences: tuple[str, ...] = ()
    api_key: str | None = field(default=None, repr=False)


@frozen
class ModelUsage:
    """Tokens of one model call, as the provider counts them; None: not said in this event."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None


@frozen
class ReplyStarted:
    """The first thing that a reply says."""

    message_id: str
    model: str


@frozen
class TextDelta:
    """More text."""

    text: str


@frozen
class ThinkingOpened:
    """A block of reasoning begins."""


@frozen
class ThinkingDelta:
    """More reasoning."""

    text: str


@frozen
class ThinkingClosed:
    """A block of reasoning is over; ``block`` goes back to the model unchanged."""

    block: ThinkingBlock | RedactedThinkingBlock


@frozen
class UsageReported:
    """Counts so far: each field that is set replaces what was said before."""

    usage: ModelUsage


@frozen
class StillAlive:
    """A ping or an event without content: the connection lives."""


@frozen
class ReplyStopped:
    """The model has ended its reply.

    Attributes:
        raw_reason: As the provider said it, where ``reason`` is ``unknown``.
    """

    reason: StopReason
    raw_reason: str = ""
    stop_sequence: str | None = None


ModelEvent = (
    ReplyStarted
    | TextDelta
    | ThinkingOpened
    | ThinkingDelta
    | ThinkingClosed
    | UsageReported
    | StillAlive
    | ReplyStopped
)

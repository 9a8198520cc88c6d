"""Write what the Messages API writes: SSE events, whole messages, errors, model lists.

The law: names, order and nesting are the service's own (platform.claude.com, "Streaming messages"),
so that its official SDK reads every byte of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from attrs import frozen

from openbolt_local.mocks.reply import Emission


@frozen
class Event:
    """One SSE event in bytes."""

    data: bytes
    delta: bool = False
    """It carries content."""
    last: bool = False
    """All content has been sent: what follows is how it ended."""


def encode(value: object) -> bytes:
    """JSON as the service sends it: compact, in UTF-8 and not in escapes."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def event_bytes(value: Mapping[str, object]) -> bytes:
    """One SSE event, named after its type."""
    return b"event: %s\ndata: %s\n\n" % (str(value["type"]).encode(), encode(value))


PING = event_bytes({"type": "ping"})


def error_body(kind: str, message: str, request_id: str) -> dict[str, object]:
    """The body of every error response."""
    return {
        "type": "error",
        "error": {"type": kind, "message": message},
        "request_id": request_id,
    }


def error_event(kind: str, message: str, request_id: str) -> bytes:
    """An error after the first byte."""
    return event_bytes(error_body(kind, message, request_id))


def _input_counts(emission: Emission) -> dict[str, object]:
    usage = emission.input_usage
    return {
        "input_tokens": usage.input_tokens,
        "cache_creation_input_tokens": usage.cache_creation_input_tokens,
        "cache_read_input_tokens": usage.cache_read_input_tokens,
    }


def _message(emission: Emission, output_tokens: int) -> dict[str, object]:
    written = emission.input_usage.cache_creation_input_tokens
    split = {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0}
    usage = _input_counts(emission) | {
        "cache_creation": split,
        "output_tokens": output_tokens,
        "service_tier": "standard",
    }
    return {
        "id": emission.id,
        "type": "message",
        "role": "assistant",
        "model": emission.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }


def _ending(emission: Emission) -> dict[str, object]:
    refused = emission.stop_reason == "refusal"
    details = {"type": "refusal", "category": None, "explanation": None} if refused else None
    return {
        "stop_reason": emission.stop_reason,
        "stop_sequence": emission.stop_sequence,
        "stop_details": details,
    }


def message_body(emission: Emission) -> dict[str, object]:
    """The answer to a request with `stream` false."""
    content: list[dict[str, object]] = []
    if emission.thinking is not None:
        thinking = "".join(emission.thinking)
        content.append({"type": "thinking", "thinking": thinking, "signature": emission.signature})
    if emission.text:
        content.append({"type": "text", "text": emission.text})
    return _message(emission, emission.output_tokens) | {"content": content} | _ending(emission)


def _delta(index: int, delta: Mapping[str, object]) -> Event:
    value = {"type": "content_block_delta", "index": index, "delta": delta}
    return Event(event_bytes(value), delta=True)


def _start(index: int, block: Mapping[str, object]) -> Event:
    value = {"type": "content_block_start", "index": index, "content_block": block}
    return Event(event_bytes(value))


def _stop(index: int) -> Event:
    return Event(event_bytes({"type": "content_block_stop", "index": index}))


def text_delta(index: int, text: str) -> Event:
    """One piece of a text block."""
    return _delta(index, {"type": "text_delta", "text": text})


def events(emission: Emission) -> Iterator[Event]:
    """The whole stream of one answer, in order."""
    yield Event(event_bytes({"type": "message_start", "message": _message(emission, 1)}))
    index = 0
    if emission.thinking is not None:
        yield _start(index, {"type": "thinking", "thinking": "", "signature": ""})
        yield Event(PING)
        for piece in emission.thinking:
            yield _delta(index, {"type": "thinking_delta", "thinking": piece})
        yield _delta(index, {"type": "signature_delta", "signature": emission.signature})
        yield _stop(index)
        index += 1
    if emission.chunks:
        yield _start(index, {"type": "text", "text": ""})
        if index == 0:
            yield Event(PING)
        for piece in emission.chunks:
            yield text_delta(index, piece)
        yield _stop(index)
    usage = _input_counts(emission) | {"output_tokens": emission.output_tokens}
    value = {"type": "message_delta", "delta": _ending(emission), "usage": usage}
    yield Event(event_bytes(value), last=True)
    yield Event(event_bytes({"type": "message_stop"}))


_MODELS = (
    # (id, display name, line, day of release; epoch where the mock does not know)
    ("claude-opus-5-5", "Claude Opus 5.5", "opus", 1_000_000, 128_000),
    ("claude-sonnet-5-5", "Claude Sonnet 5.5", "sonnet", 1_000_000, 128_000),
    ("claude-haiku-5-5", "Claude Haiku 5.5", "haiku", 200_000, 64_000),
)


def models() -> list[dict[str, object]]:
    """The models in the list. Messages are taken for any model name all the same."""
    return [
        {
            "type": "model",
            "id": name,
            "display_name": f"{title} (offline mock)",
            "created_at": "1970-01-01T00:00:00Z",
            "lifecycle": "active",
            "line": line,
            "max_input_tokens": window,
            "max_tokens": output,
        }
        for name, title, line, window, output in _MODELS
    ]


def model_page(*, limit: int, after: str | None, before: str | None) -> dict[str, object]:
    """One page of the list; an unknown cursor starts from the beginning."""
    found = models()
    names = [str(model["id"]) for model in found]
    if after in names:
        found = found[names.index(after) + 1 :]
    elif before in names:
        found = found[: names.index(before)]
    page = found[:limit]
    return {
        "data": page,
        "has_more": len(page) < len(found),
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
    }

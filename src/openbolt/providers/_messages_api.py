"""The Messages API's wire, without a wire: requests to JSON, streams to events, refusals to errors.

Law: pure. Every provider that speaks this API sends what is built here and feeds what it receives
to `ReplyDecoder`. Source: https://docs.anthropic.com/en/api/messages-streaming.
"""

from __future__ import annotations

import re

from openbolt.errors import InvalidRequestError
from openbolt.model import (
    ContentBlock,
    ModelMessage,
    ModelRequest,
    SystemBlock,
    TextBlock,
    ThinkingBlock,
)
from openbolt.providers._failures import status_failure
from openbolt.providers._reply import ReplyDecoder, well_formed
from openbolt.providers._sse import SSEDecoder

__all__ = [
    "TEMPERATURE_VERSION",
    "ReplyDecoder",
    "SSEDecoder",
    "build_body",
    "check_key",
    "headers",
    "status_failure",
]

# The last version of the API in which a request may name a temperature: 2026-10-21 answers 400 to
# it. Source: https://platform.claude.com/docs/en/api/versioning.
TEMPERATURE_VERSION = "2023-06-01"

_VISIBLE = re.compile(r"[!-~]+")


def build_body(request: ModelRequest, /) -> dict[str, object]:
    """The JSON body of a streamed ``POST /v1/messages``.

    A message or system prompt of one text block without ``cache`` is a plain string, the one form
    that every server which speaks this API understands.

    Raises:
        InvalidRequestError: ``thinking`` leaves no token for the answer.
    """
    body: dict[str, object] = {
        "model": request.model,
        "max_tokens": request.max_tokens,
        "messages": [_message(message) for message in request.messages],
        "stream": True,
    }
    if request.system:
        body["system"] = _content(request.system)
    if request.thinking == "adaptive":
        body["thinking"] = {"type": "adaptive"}
    elif request.thinking is not None:
        if request.max_tokens <= request.thinking:
            raise InvalidRequestError(
                "The tokens for reasoning must be fewer than the tokens for the reply.",
                field="thinking",
            )
        body["thinking"] = {"type": "enabled", "budget_tokens": request.thinking}
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.stop_sequences:
        body["stop_sequences"] = [well_formed(text) for text in request.stop_sequences]
    return body


def headers(api_key: str | None, /, version: str = "2023-06-01") -> dict[str, str]:
    """The header fields of a call; without a key, none is sent.

    ``identity`` because a compressed stream arrives late and costs time to read.

    Raises:
        InvalidRequestError: The key can't stand in a header field.
    """
    fields = {
        "accept": "text/event-stream",
        "accept-encoding": "identity",
        "anthropic-version": version,
        "content-type": "application/json",
    }
    if api_key:
        fields["x-api-key"] = check_key(api_key)
    return fields


def check_key(api_key: str, /) -> str:
    """The key itself.

    Raises:
        InvalidRequestError: It is empty or holds anything but visible ASCII.
    """
    if not api_key:
        raise InvalidRequestError("The API key is empty.", field="apiKey")
    if _VISIBLE.fullmatch(api_key) is None:
        raise InvalidRequestError("The API key holds characters that no key has.", field="apiKey")
    return api_key


def _message(message: ModelMessage) -> dict[str, object]:
    return {"role": message.role, "content": _content(message.content)}


def _content(
    blocks: tuple[ContentBlock, ...] | tuple[SystemBlock, ...],
) -> str | list[dict[str, object]]:
    if len(blocks) == 1:
        only = blocks[0]
        if isinstance(only, (TextBlock, SystemBlock)) and not only.cache:
            return well_formed(only.text)
    return [_block(block) for block in blocks]


def _block(block: ContentBlock | SystemBlock) -> dict[str, object]:
    if isinstance(block, (TextBlock, SystemBlock)):
        text: dict[str, object] = {"type": "text", "text": well_formed(block.text)}
        return {**text, "cache_control": {"type": "ephemeral"}} if block.cache else text
    if isinstance(block, ThinkingBlock):
        return {"type": "thinking", "thinking": block.text, "signature": block.signature}
    return {"type": "redacted_thinking", "data": block.data}

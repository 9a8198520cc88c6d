"""Read a request body as the Messages API would, and refuse what it would refuse.

The law: a client that only ever met this mock is not surprised by the real service. Every refusal
names the field, in the words of the service where those are known.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NoReturn, cast

from attrs import frozen

from openbolt_local.mocks.signatures import is_signed

MAX_BODY = 32 * 1024 * 1024
"""Bytes of the largest request body; a larger one is a 413."""

MAX_BREAKPOINTS = 4

_FIELDS = frozenset(
    {
        *("betas", "cache_control", "container", "context_management", "diagnostics"),
        *("inference_geo", "max_tokens", "mcp_servers", "messages", "metadata", "model"),
        *("output_config", "output_format", "service_tier", "speed", "stop_sequences", "stream"),
        *("system", "temperature", "thinking", "tool_choice", "tools", "top_k", "top_p"),
        *("user_profile_id", "workspace_id"),
    }
)
_PREFILL = (
    "This model does not support assistant message prefill. "
    "The conversation must end with a user message."
)

Object = Mapping[str, object]


class RefusedCallError(Exception):
    """The API says no: an HTTP status, an error type and a message."""

    def __init__(
        self, status: int, kind: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.headers: Mapping[str, str] = headers or {}


def refuse(message: str) -> NoReturn:
    """Raise the 400 that the API gives for a body it does not accept."""
    raise RefusedCallError(400, "invalid_request_error", message)


@frozen
class Block:
    """One content block. `text` is empty unless it is a text block; `body` is all that counts."""

    kind: str
    text: str
    body: str
    marked: bool = False


@frozen
class Message:
    """One turn, its content always as blocks."""

    role: str
    blocks: tuple[Block, ...]

    @property
    def text(self) -> str:
        """The text blocks, joined; thinking is no part of it."""
        return "".join(block.text for block in self.blocks)


@frozen
class Call:
    """A request that passed. `max_tokens` is in tokens."""

    model: str
    max_tokens: int
    messages: tuple[Message, ...]
    system: tuple[Block, ...] = ()
    stream: bool = False
    stop_sequences: tuple[str, ...] = ()
    thinks: bool = False
    shows_thinking: bool = True
    tools: tuple[Object, ...] = ()
    cached_whole: bool = False

    @property
    def system_text(self) -> str:
        """The system prompt, its blocks joined by line breaks."""
        return "\n".join(block.text for block in self.system)


def read_call(body: bytes, *, counting: bool = False) -> Call:
    """Structure and check a request body; `counting` is for count_tokens, which has no max_tokens.

    Raises:
        RefusedCallError: with status 400, naming the first field that is wrong.
    """
    fields = _read_object(body)
    for name in fields:
        if name not in _FIELDS:
            refuse(f"{name}: Extra inputs are not permitted")
    model = _text(_required(fields, "model"), "model")
    if not model:
        refuse("model: String should have at least 1 character")
    max_tokens = 1 if counting else _at_least(_required(fields, "max_tokens"), "max_tokens", 1)
    messages = _messages(_required(fields, "messages"))
    thinks, shows = _thinking(fields.get("thinking"), None if counting else max_tokens)
    _check_sampling(fields)
    call = Call(
        model=model,
        max_tokens=max_tokens,
        messages=messages,
        system=_system(fields.get("system")),
        stream=_flag(fields.get("stream"), "stream"),
        stop_sequences=_stop_sequences(fields.get("stop_sequences")),
        thinks=thinks,
        shows_thinking=shows,
        tools=_tools(fields.get("tools")),
        cached_whole=fields.get("cache_control") is not None,
    )
    _check_breakpoints(call)
    return call


def check_ending(call: Call) -> None:
    """Refuse a conversation that ends in an assistant turn, as current models do."""
    if call.messages[-1].role == "assistant":
        refuse(_PREFILL)


def _read_object(body: bytes) -> Object:
    try:
        value: object = json.loads(body)
        # A lone surrogate is legal for Python's reader and unencodable afterwards.
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as exc:
        refuse(f"The request body is not valid JSON: {exc}")
    fields = as_object(value)
    if fields is None:
        refuse("The request body is not a JSON object")
    return fields


def as_object(value: object) -> Object | None:
    """`value` as a JSON object, or None if it is something else."""
    return cast("Object", value) if isinstance(value, dict) else None


def _array(value: object, name: str) -> list[object]:
    if not isinstance(value, list):
        refuse(f"{name}: Input should be a valid array")
    return cast("list[object]", value)


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        refuse(f"{name}: Input should be a valid string")
    return value


def _flag(value: object, name: str) -> bool:
    if value is not None and not isinstance(value, bool):
        refuse(f"{name}: Input should be a valid boolean")
    return value is True


def _at_least(value: object, name: str, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        refuse(f"{name}: Input should be a valid integer")
    if value < least:
        refuse(f"{name}: Input should be greater than or equal to {least}")
    return value


def _required(fields: Object, name: str) -> object:
    if name not in fields:
        refuse(f"{name}: Field required")
    return fields[name]


def _messages(value: object) -> tuple[Message, ...]:
    items = _array(value, "messages")
    if not items:
        refuse("messages: at least one message is required")
    messages = tuple(_message(item, f"messages.{index}") for index, item in enumerate(items))
    if messages[0].role != "user":
        refuse('messages: first message must use the "user" role')
    return messages


def _message(value: object, name: str) -> Message:
    fields = as_object(value)
    if fields is None:
        refuse(f"{name}: Input should be an object")
    role = _text(_required_at(fields, "role", name), f"{name}.role")
    if role == "system":
        refuse(
            'messages: Unexpected role "system". The Messages API accepts a top-level `system` '
            'parameter, not "system" as an input message role.'
        )
    if role not in {"user", "assistant"}:
        refuse(f"{name}.role: Input should be 'user' or 'assistant'")
    content = _required_at(fields, "content", name)
    blocks = _blocks(content, f"{name}.content")
    if not blocks or (isinstance(content, str) and not content):
        refuse(f"{name}: all messages must have non-empty content")
    return Message(role, blocks)


def _required_at(fields: Object, field: str, name: str) -> object:
    if field not in fields:
        refuse(f"{name}.{field}: Field required")
    return fields[field]


def _blocks(value: object, name: str) -> tuple[Block, ...]:
    if isinstance(value, str):
        return (Block("text", value, value),)
    if not isinstance(value, list):
        refuse(f"{name}: Input should be a valid string or array")
    items = _array(cast("object", value), name)
    return tuple(_block(item, f"{name}.{index}") for index, item in enumerate(items))


def _block(value: object, name: str) -> Block:
    fields = as_object(value)
    if fields is None:
        refuse(f"{name}: Input should be an object")
    kind = _text(_required_at(fields, "type", name), f"{name}.type")
    marked = fields.get("cache_control") is not None
    if kind == "text":
        text = _text(_required_at(fields, "text", name), f"{name}.text")
        if not text.strip():
            refuse("messages: text content blocks must be non-empty")
        return Block(kind, text, text, marked)
    if kind == "thinking":
        thought = _text(_required_at(fields, "thinking", name), f"{name}.thinking")
        signature = _text(_required_at(fields, "signature", name), f"{name}.signature")
        if not is_signed(thought, signature):
            refuse(f"{name}: Invalid `signature` in `thinking` block")
        if marked:
            refuse(f"{name}.cache_control: Extra inputs are not permitted")
        return Block(kind, "", thought)
    rest = {key: part for key, part in fields.items() if key != "cache_control"}
    return Block(kind, "", json.dumps(rest, sort_keys=True), marked)


def _system(value: object) -> tuple[Block, ...]:
    if value is None or value == "":
        return ()
    blocks = _blocks(value, "system")
    for index, block in enumerate(blocks):
        if block.kind != "text":
            refuse(f"system.{index}.type: Input should be 'text'")
    return blocks


def _stop_sequences(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    found = tuple(_text(item, "stop_sequences") for item in _array(value, "stop_sequences"))
    if any(not item.strip() for item in found):
        refuse("stop_sequences: each stop sequence must contain non-whitespace")
    return found


def _tools(value: object) -> tuple[Object, ...]:
    if value is None:
        return ()
    tools: list[Object] = []
    for index, item in enumerate(_array(value, "tools")):
        tool = as_object(item)
        if tool is None:
            refuse(f"tools.{index}: Input should be an object")
        tools.append(tool)
    return tuple(tools)


def _thinking(value: object, max_tokens: int | None) -> tuple[bool, bool]:
    """(does it think, is the thinking shown)."""
    if value is None:
        return False, True
    fields = as_object(value)
    if fields is None:
        refuse("thinking: Input should be an object")
    kind = _text(_required_at(fields, "type", "thinking"), "thinking.type")
    if kind not in {"enabled", "adaptive", "disabled", "between_tools"}:
        refuse(f"thinking: Input tag '{kind}' does not match any of the expected tags")
    if kind == "enabled":
        budget = fields.get("budget_tokens")
        name = "thinking.enabled.budget_tokens"
        if budget is None:
            refuse(f"{name}: Field required")
        if _at_least(budget, name, 1024) >= (max_tokens or 1 << 62):
            refuse("`max_tokens` must be greater than `thinking.budget_tokens`")
    return kind in {"enabled", "adaptive"}, fields.get("display") != "omitted"


def _check_sampling(fields: Object) -> None:
    for name in ("temperature", "top_p"):
        value = fields.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            refuse(f"{name}: Input should be a valid number")
        if not 0 <= value <= 1:
            refuse(f"{name}: range: 0..1")


def _check_breakpoints(call: Call) -> None:
    blocks = [*call.system, *(block for message in call.messages for block in message.blocks)]
    marks = sum(block.marked for block in blocks) + call.cached_whole
    marks += sum("cache_control" in tool for tool in call.tools)
    if marks > MAX_BREAKPOINTS:
        refuse(
            f"A maximum of {MAX_BREAKPOINTS} blocks with cache_control may be provided. "
            f"Found {marks}."
        )

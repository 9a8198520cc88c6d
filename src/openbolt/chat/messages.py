"""What came in: the body of a chat request, checked, and reconciled with the stored history.

Law: for a known chat the stored history wins; of the client's list only its last user message
counts. Only a chat that nobody has stored begins with the client's own list.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from attrs import field, frozen

from openbolt.errors import InvalidRequestError, PayloadTooLargeError
from openbolt.history import Message
from openbolt.protocols import TokenSource

__all__ = ["ChatBody", "ClientMessage", "Mode", "Submission", "is_valid_id", "read_submission"]

Mode = Literal["build", "discuss"]
_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
# Clients and proxies resolve them in a URL, so nothing under such an id could be asked for.
_UNREACHABLE = frozenset({".", ".."})


@frozen
class ClientMessage:
    """A message as clients send it: ``content`` as text, or ``parts``."""

    role: str
    id: str | None = None
    content: Any = None
    parts: Any = None


@frozen
class ChatBody:
    """The body of ``POST /api/chat``; unknown fields are left alone."""

    messages: tuple[ClientMessage, ...]
    id: str | None = None
    project_id: str | None = None
    model: str | None = None
    mode: str = "build"
    trigger: str = "submit-message"
    message_id: str | None = None


@frozen
class Submission:
    """A checked chat request.

    Attributes:
        earlier: The client's messages before the last user message.
        message: The user's message.
        regenerate: Answer again: drop this assistant message (``""``: the last one) first.
    """

    message: Message
    mode: Mode
    chat_id: str | None = None
    project_id: str | None = None
    model: str | None = None
    earlier: tuple[Message, ...] = ()
    regenerate: str | None = field(default=None)


def is_valid_id(text: str, /) -> bool:
    """Whether a client may choose this id: 1 to 128 of ``A-Z a-z 0-9 . _ -``, not ``..``."""
    return _ID.fullmatch(text) is not None and text not in _UNREACHABLE


def read_submission(
    body: ChatBody, /, *, now: float, tokens: TokenSource, max_message_bytes: int
) -> Submission:
    """Check a body and take it apart.

    Args:
        now: Seconds since the epoch, for messages that are new.
        max_message_bytes: UTF-8 bytes of the user's message at most.

    Raises:
        InvalidRequestError: Naming the field that is wrong.
        PayloadTooLargeError: The user's message is too long.
    """
    mode = _mode(body.mode)
    for name, value in (("id", body.id), ("projectId", body.project_id)):
        if value is not None and not is_valid_id(value):
            raise _invalid(name, "must be 1 to 128 of A-Z a-z 0-9 . _ -")
    if body.trigger not in {"submit-message", "regenerate-message"}:
        raise _invalid("trigger", "must be 'submit-message' or 'regenerate-message'")
    if body.model is not None and not (len(body.model) <= 256 and body.model.isprintable()):
        raise _invalid("model", "must be a name of at most 256 printable characters")
    if not body.messages:
        raise _invalid("messages", "must not be empty")
    messages = [
        _message(message, f"messages[{index}]", now, tokens)
        for index, message in enumerate(body.messages)
    ]
    last = max((i for i, m in enumerate(messages) if m.role == "user"), default=None)
    if last is None:
        raise _invalid(f"messages[{len(messages) - 1}].role", "must be 'user'")
    regenerate = body.trigger == "regenerate-message"
    if last != len(messages) - 1 and not regenerate:
        raise _invalid(f"messages[{len(messages) - 1}].role", "the last message must be a user's")
    where = f"messages[{last}].{'content' if body.messages[last].parts is None else 'parts'}"
    text = messages[last].text
    if not text.strip():
        raise _invalid(where, "is empty")
    if len(text.encode("utf-8", "surrogatepass")) > max_message_bytes:
        raise PayloadTooLargeError(f"{where}: is over {max_message_bytes} bytes", field=where)
    return Submission(
        messages[last],
        mode,
        chat_id=body.id,
        project_id=body.project_id,
        model=body.model,
        earlier=tuple(m for m in messages[:last] if m.text.strip()),
        regenerate=(body.message_id or "") if regenerate else None,
    )


def _mode(text: str) -> Mode:
    if text == "build":
        return "build"
    if text == "discuss":
        return "discuss"
    raise _invalid("mode", "must be 'build' or 'discuss'")


def _message(message: ClientMessage, where: str, now: float, tokens: TokenSource) -> Message:
    if message.role not in {"user", "assistant"}:
        raise _invalid(f"{where}.role", "must be 'user' or 'assistant'")
    role: Literal["user", "assistant"] = "user" if message.role == "user" else "assistant"
    text = _text(message, where, strict=role == "user")
    given = message.id
    message_id = given if given is not None and is_valid_id(given) else tokens.token()
    raw = text if role == "assistant" else ""
    return Message(message_id, role, now, ({"type": "text", "text": text},), raw=raw)


def _text(message: ClientMessage, where: str, *, strict: bool) -> str:
    parts: object = message.parts
    content: object = message.content
    if isinstance(parts, list):
        return _join(cast("list[object]", parts), f"{where}.parts", strict=strict)
    if parts is not None:
        raise _invalid(f"{where}.parts", "must be a list")
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return _join(cast("list[object]", content), f"{where}.content", strict=strict)
    raise _invalid(f"{where}.content", "is missing" if content is None else "must be text")


def _join(parts: Sequence[object], where: str, *, strict: bool) -> str:
    texts: list[str] = []
    for index, part in enumerate(parts):
        at = f"{where}[{index}]"
        if not isinstance(part, Mapping):
            raise _invalid(at, "must be an object")
        known = cast("Mapping[str, object]", part)
        kind, text = known.get("type"), known.get("text")
        if kind == "text":
            if not isinstance(text, str):
                raise _invalid(f"{at}.text", "must be a string")
            texts.append(text)
        elif not isinstance(kind, str):
            raise _invalid(f"{at}.type", "is missing" if kind is None else "must be a string")
        elif strict and kind != "step-start" and not kind.startswith("data-"):
            raise _invalid(f"{at}.type", f"{kind[:40]!r} parts are not supported; send text")
    return "\n".join(texts)


def _invalid(name: str, why: str) -> InvalidRequestError:
    return InvalidRequestError(f"{name}: {why}", field=name)

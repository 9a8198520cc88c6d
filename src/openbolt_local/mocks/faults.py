"""Ask the mock to misbehave, by hand or from a test, in words that stand in the message itself.

The law: a directive either parses completely or is refused with a text that lists what there is; a
typo never turns a test of a fault into a test of nothing.

`[mock:429 retry-after=2 times=1]` in the last user message, or the same words without the brackets
in the request header `x-openbolt-mock`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from attrs import evolve, frozen

HEADER = "x-openbolt-mock"

STATUSES: Mapping[int, tuple[str, str]] = MappingProxyType(
    {
        400: ("invalid_request_error", "The mock was asked to refuse this request."),
        401: ("authentication_error", "invalid x-api-key"),
        402: ("billing_error", "Your credit balance is too low to access the API."),
        403: ("permission_error", "Your API key does not have permission to use this resource."),
        404: ("not_found_error", "model: not found"),
        408: ("timeout_error", "Request timed out."),
        413: ("request_too_large", "Request exceeds the maximum size"),
        429: ("rate_limit_error", "This request would exceed your organization's rate limit."),
        500: ("api_error", "Internal server error"),
        502: ("api_error", "Bad gateway"),
        503: ("api_error", "Service unavailable"),
        504: ("timeout_error", "Request timed out."),
        529: ("overloaded_error", "Overloaded"),
    }
)
"""HTTP status -> (error type, message), as the Messages API words them."""

FAULTS: Mapping[str, str] = MappingProxyType(
    {
        "stall": "after N deltas say nothing more and keep the connection open",
        "stall-ping": "after N deltas send pings only, one every `every` seconds",
        "reset": "after N deltas reset the connection (TCP RST)",
        "cut": "after N deltas close the connection without the last chunk",
        "eof": "after N deltas end the body properly, but with no message_stop",
        "error-event": "after N deltas an SSE error event (overloaded_error), then the end",
        "malformed-sse": "after N deltas two events run together, with stray lines and a bad byte",
        "malformed-json": "after N deltas an event whose data is half a JSON object",
        "giant": "after N deltas one delta of `size` bytes",
        "split-utf8": "every character of several bytes arrives in two writes",
        "content-type": "answer 200 with a page of that type: content-type=text/html",
        "refusal": "stop after N deltas with stop_reason refusal",
        "pause_turn": "stop after N deltas with stop_reason pause_turn",
        "stop_sequence": "stop after N deltas with stop_reason stop_sequence",
        "context-window": "stop after N deltas with stop_reason model_context_window_exceeded",
        "empty": "answer with no content at all",
        "thinking": "think first, even if not asked to",
        "echo": "answer exactly with the text that follows (\\n is a line break); also: say",
    }
)
"""Fault name -> what it does."""

STOP_REASONS: Mapping[str, str] = MappingProxyType(
    {
        "refusal": "refusal",
        "pause_turn": "pause_turn",
        "stop_sequence": "stop_sequence",
        "context-window": "model_context_window_exceeded",
    }
)

_Convert = Callable[[str], Any]


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError(text)
    return int(text)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 86_400:
        raise ValueError(text)
    return value


MODIFIERS: Mapping[str, tuple[str, _Convert, str]] = MappingProxyType(
    {
        "after": ("after", _count, "deltas before the fault (3)"),
        "times": ("times", _count, "only the first N such requests fail"),
        "retry-after": (
            "retry_after",
            _seconds,
            "seconds in the retry-after header of a 429 or 529",
        ),
        "seam-overlap": ("seam_overlap", _count, "characters that a continuation says again"),
        "max-tokens": ("max_tokens", _count, "stop each segment at N tokens"),
        "size": ("size", _count, "bytes of a giant delta (8388608)"),
        "every": ("every", _seconds, "seconds between the pings of stall-ping (0.2)"),
        "delay": ("delay", _seconds, "seconds before the first byte"),
        "pace": ("pace", _seconds, "seconds between deltas"),
        "delta": ("delta", _count, "characters per delta"),
    }
)
"""Modifier -> (field of Directive, converter, what it does)."""


class DirectiveError(ValueError):
    """The directive is not understood; the message lists what is."""


@frozen
class Directive:
    """One request's misbehavior. Counts are of content deltas, durations in seconds."""

    fault: str | None = None
    """A key of FAULTS, or an HTTP status as text."""
    value: str | None = None
    """The text to echo, or the content type."""
    after: int = 3
    times: int | None = None
    retry_after: float | None = None
    seam_overlap: int | None = None
    max_tokens: int | None = None
    size: int = 8 * 1024 * 1024
    every: float = 0.2
    delay: float = 0.0
    pace: float | None = None
    delta: int | None = None
    source: str = ""
    """The words as written: the key under which `times` counts."""

    @property
    def status(self) -> int | None:
        """The HTTP status to fail with, if that is the fault."""
        return int(self.fault) if self.fault is not None and self.fault.isdigit() else None

    def healed(self) -> Directive:
        """The same without its fault: what is left when `times` has been used up."""
        return evolve(self, fault=None, value=None)


def describe() -> str:
    """The faults and modifiers, one a line: for --help and for the error text."""
    lines = [f"  {name:<15}{text}" for name, text in FAULTS.items()]
    lines.append("  " + ", ".join(str(status) for status in STATUSES) + ": that HTTP status")
    lines.append("modifiers:")
    lines += [f"  {name + '=':<15}{text}" for name, (_, _, text) in MODIFIERS.items()]
    return "\n".join(lines)


def parse_directive(text: str) -> Directive:
    """Read the words of one directive, without the brackets.

    Raises:
        DirectiveError: a word or a value is not known.
    """
    source = text.strip()
    first, _, rest = source.partition(" ")
    if first in {"echo", "say"}:
        return Directive(fault="echo", value=rest.replace("\\n", "\n"), source=source)
    directive = Directive(source=source)
    for word in source.split():
        directive = _apply(directive, word)
    if not source:
        raise DirectiveError(_unknown(""))
    return directive


def _apply(directive: Directive, word: str) -> Directive:
    name, equals, value = word.partition("=")
    if name == "content-type" and value:
        return _with_fault(directive, name, value)
    if equals and name in MODIFIERS:
        attribute, convert, _ = MODIFIERS[name]
        try:
            return evolve(directive, **{attribute: convert(value)})
        except ValueError:
            raise DirectiveError(
                f"[mock:{directive.source}]: {value!r} is no value for {name}="
            ) from None
    known = name in FAULTS and name not in {"content-type", "echo"}
    if not equals and (known or (name.isascii() and name.isdigit() and int(name) in STATUSES)):
        return _with_fault(directive, name, None)
    raise DirectiveError(_unknown(word))


def _with_fault(directive: Directive, name: str, value: str | None) -> Directive:
    if directive.fault is not None:
        raise DirectiveError(f"[mock:{directive.source}]: one fault at a time")
    return evolve(directive, fault=name, value=value)


def _unknown(word: str) -> str:
    return f"[mock:...]: {word!r} is not known. Faults:\n{describe()}"


_OPENING = re.compile(r"\[mock:", re.IGNORECASE)


def split_directives(text: str) -> tuple[str, str | None]:
    """Take every `[mock:...]` out of `text`: (what is left, their words joined or None).

    Brackets inside a directive count, so that `[mock:echo a[0]]` says `a[0]`. A directive that is
    never closed is text.
    """
    kept: list[str] = []
    words: list[str] = []
    position = 0
    while opening := _OPENING.search(text, position):
        end = _closing_bracket(text, opening.end())
        if end is None:
            break
        kept.append(text[position : opening.start()])
        words.append(text[opening.end() : end].strip())
        position = end + 1
    kept.append(text[position:])
    if not words:
        return text, None
    return "".join(kept).strip(), " ".join(words)


def _closing_bracket(text: str, start: int) -> int | None:
    depth = 1
    for index in range(start, len(text)):
        depth += {"[": 1, "]": -1}.get(text[index], 0)
        if depth == 0:
            return index
    return None

"""Decide what a request gets: a scripted reply, the repertoire's, or the rest of a cut one.

The law: scripted replies come first and in order; a continuation goes on exactly where the text
was cut, whoever wrote it.
"""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from attrs import define, evolve, field

from openbolt_local.mocks.brain import answer, think
from openbolt_local.mocks.call import Call, Message, RefusedCallError, check_ending
from openbolt_local.mocks.connection import ReceivedRequest
from openbolt_local.mocks.conversation import Cut, directive_of, find_cut, prompt_of
from openbolt_local.mocks.faults import HEADER, Directive, DirectiveError, parse_directive
from openbolt_local.mocks.reply import Emission, Reply

Respond = Callable[[ReceivedRequest], Reply | None]

_REMEMBERED = 512

_Value = TypeVar("_Value")


@define
class Chooser:
    """One mock's script, and what it has to remember of what it said."""

    respond: Respond | None
    seam_overlap: int
    queue: deque[Reply] = field(factory=deque[Reply], init=False)
    _failures: Counter[str] = field(factory=Counter[str], init=False)
    _wholes: OrderedDict[str, list[str]] = field(factory=OrderedDict[str, list[str]], init=False)
    _paused: OrderedDict[str, None] = field(factory=OrderedDict[str, None], init=False)

    def choose(self, call: Call, request: ReceivedRequest) -> tuple[Reply, Directive]:
        """The reply and the fault for a request.

        Raises:
            RefusedCallError: 400 for a trailing assistant turn or an unknown directive.
        """
        resumed = self._resumed_pause(call)
        if resumed is not None:
            return resumed, Directive()
        check_ending(call)
        last = call.messages[-1]
        reply = self.queue.popleft() if self.queue else self._responded(request)
        words = reply.fault if reply else request.headers.get(HEADER) or directive_of(last)
        try:
            directive = self._healed(_parse(words))
        except DirectiveError as exc:
            raise RefusedCallError(400, "invalid_request_error", str(exc)) from exc
        if reply is not None:
            return self._remembered(call, reply), directive
        if directive.fault == "echo":
            return self._remembered(call, Reply(directive.value or prompt_of(last))), directive
        found = find_cut(call.messages, lambda base: self._candidates(base, call.system_text))
        if found is not None:
            return self._continued(*found, directive)
        reply = Reply(answer(call.messages, call.system_text))
        return self._remembered(call, reply), directive

    def note_pause(self, call: Call, emission: Emission) -> None:
        """Remember a pause_turn: only after one may a conversation end in an assistant turn."""
        if emission.stop_reason == "pause_turn":
            _keep(self._paused, _key(call.messages) + emission.text, None)

    def _responded(self, request: ReceivedRequest) -> Reply | None:
        return None if self.respond is None else self.respond(request)

    def _resumed_pause(self, call: Call) -> Reply | None:
        """The rest after a pause_turn: there, the conversation is sent back as it is."""
        if call.messages[-1].role == "user":
            return None
        key, said = _key(call.messages[:-1]), call.messages[-1].text
        wholes = self._wholes.get(key, []) if key + said in self._paused else []
        return next((Reply(text[len(said) :]) for text in wholes if text.startswith(said)), None)

    def _candidates(self, base: tuple[Message, ...], system: str) -> Iterator[str]:
        yield from reversed(self._wholes.get(_key(base), []))
        yield answer(base, system)

    def _continued(self, cut: Cut, whole: str, directive: Directive) -> tuple[Reply, Directive]:
        """The rest; overlap and limit that stand in the first prompt hold for all of its parts."""
        try:
            first = _parse(directive_of(cut.base[-1]))
        except DirectiveError:
            first = Directive()
        overlaps = (directive.seam_overlap, first.seam_overlap, self.seam_overlap)
        overlap = next(value for value in overlaps if value is not None)
        limit = directive.max_tokens or first.max_tokens
        rest = whole[max(0, len(cut.said) - overlap) :]
        return Reply(rest), evolve(directive, max_tokens=limit)

    def _remembered(self, call: Call, reply: Reply) -> Reply:
        """Keep the whole text for a continuation, under the conversation that led to it."""
        key = _key(call.messages)
        others = [text for text in self._wholes.get(key, []) if text != reply.whole]
        _keep(self._wholes, key, [*others, reply.whole])
        return reply

    def _healed(self, directive: Directive) -> Directive:
        """Count a use of a directive with `times`, and take its fault off when they are used up."""
        if directive.times is None or directive.fault is None:
            return directive
        self._failures[directive.source] += 1
        used_up = self._failures[directive.source] > directive.times
        return directive.healed() if used_up else directive


def thinking_for(call: Call, reply: Reply, directive: Directive) -> str | None:
    """What to think first, or None for no thinking block."""
    if reply.thinking is not None:
        return reply.thinking
    if call.thinks or directive.fault == "thinking":
        return think(prompt_of(call.messages[-1]))
    return None


def _keep(memory: OrderedDict[str, _Value], key: str, value: _Value) -> None:
    memory[key] = value
    memory.move_to_end(key)
    while len(memory) > _REMEMBERED:
        memory.popitem(last=False)


def _key(messages: Iterable[Message]) -> str:
    """A conversation's texts as one key: cache marks move from request to request."""
    digest = hashlib.sha256()
    for message in messages:
        digest.update(f"{message.role} {len(message.text)}:{message.text}".encode())
    return digest.hexdigest()


def _parse(words: str | None) -> Directive:
    return Directive() if words is None else parse_directive(words)

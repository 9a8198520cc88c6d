"""From what the model says to what happens in a turn: pure, fed by the turn's runner.

Law: visible text is exactly the model's text outside artifact elements; reasoning never reaches
the artifact parser; each part is open at most once, and whatever is open when the reply ends is
closed. Continued segments go through the same parser, so an open file stays open across the seam.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

from attrs import evolve, frozen

from openbolt.chat import artifacts, events
from openbolt.chat.continuation import Seam
from openbolt.costs import Usage
from openbolt.model import (
    ContentBlock,
    ModelEvent,
    ModelUsage,
    ReplyStarted,
    ReplyStopped,
    StopReason,
    TextBlock,
    TextDelta,
    ThinkingClosed,
    ThinkingDelta,
    ThinkingOpened,
    UsageReported,
)

__all__ = ["FileReady", "Output", "ReplyAssembler", "counted"]


@frozen
class FileReady:
    """A file action has closed; the runner decides what becomes of it.

    Attributes:
        path: As the model wrote it; None if it wrote none.
    """

    path: str | None
    content: str
    verdict: Literal["complete", "repaired", "truncated"]
    type: str = "file"


@frozen
class _OpenAction:
    artifact_id: str
    type: str
    path: str | None


Output = events.TurnEvent | FileReady

_ONE_CALL: Final = Usage(segments=1)


class ReplyAssembler:
    """One assistant message in the making.

    Attributes:
        stop_reason: Why the current segment ended; None while it runs.
        usage: Tokens of all segments.
        model: Who answers, as the provider says it.
        title: Of the first artifact; empty if there is none yet.
        size: UTF-8 bytes of text and reasoning so far.
    """

    def __init__(self) -> None:
        self.stop_reason: StopReason | None = None
        self.model = ""
        self.title = ""
        self.size = 0
        self._parser = artifacts.ArtifactParser()
        self._taken: list[str] = []
        self._unsaved: list[str] = []
        self._seam: Seam | None = None
        self._part: str | None = None
        self._reasoning: str | None = None
        self._parts = 0
        self._repairs = 0
        self._actions: dict[str, _OpenAction] = {}
        self._titles: dict[str, tuple[str, str | None]] = {}
        self._past: Usage | None = None
        self._heard = 0
        self._usage: Usage | None = None
        self._segment: list[ContentBlock] = []
        self._segment_from = 0

    @property
    def raw(self) -> str:
        """The model's text so far, artifacts included, seams closed."""
        return "".join([*self._taken, *self._unsaved])

    def take_unsaved(self) -> str:
        """The raw text since the last call: what a checkpoint has to write."""
        if not self._unsaved:
            return ""
        text = "".join(self._unsaved)
        self._unsaved.clear()
        self._taken.append(text)
        return text

    @property
    def usage(self) -> Usage:
        """Tokens so far; of a segment that was cut off, at least what came is counted."""
        usage = self._usage
        if usage is None:
            return Usage()
        if self.stop_reason is None and self._heard > 4 * usage.output_tokens:
            usage = evolve(usage, output_tokens=(self._heard + 3) // 4)
        return usage if self._past is None else self._past + usage

    def begin_segment(self) -> None:
        """A model call begins; the first one, or one that continues the reply."""
        if self._usage is not None:
            self._past = self.usage
        self._heard = 0
        self._usage = _ONE_CALL
        self.stop_reason = None
        self._segment = []
        raw = self.raw
        self._segment_from = len(raw)
        if raw:
            self._seam = Seam(raw)

    def segment_blocks(self) -> tuple[ContentBlock, ...]:
        """What the current segment said, as the model has to be shown it again.

        Empty if it said no text: reasoning alone can't be gone on from.
        """
        # To the last blank: a model goes on from what it sees, and would say a dropped one again.
        text = self.raw[self._segment_from :]
        return (*self._segment, TextBlock(text)) if text.strip() else ()

    def feed(self, batch: Sequence[ModelEvent], /) -> list[Output]:
        """Take in one batch of the model's events."""
        out: list[Output] = []
        for event in batch:
            if type(event) is TextDelta:
                text = event.text
                self._heard += len(text)
                if self._seam is not None:
                    text = self._seam.feed(text)
                if text:
                    self._text(text, out)
            else:
                self._take(event, out)
        return out

    def _take(self, event: ModelEvent, out: list[Output]) -> None:
        match event:
            case ThinkingDelta(text):
                self._heard += len(text)
                self.size += _size(text)
                if self._reasoning is not None:
                    out.append(events.ReasoningDelta(self._reasoning, text))
            case UsageReported(usage):
                self._usage = counted(self._usage or _ONE_CALL, usage)
            case ThinkingOpened():
                self._end_text(out)
                self._end_reasoning(out)
                self._reasoning = self._next_part("r")
                out.append(events.ReasoningStarted(self._reasoning))
            case ThinkingClosed(block):
                self._segment.append(block)
                self._end_reasoning(out)
            case ReplyStarted(_, model):
                self.model = model
            case ReplyStopped(reason):
                self.stop_reason = reason
            case _:
                pass

    def end_segment(self) -> list[Output]:
        """The model call is over: what the seam or an unclosed reasoning held back comes out."""
        out: list[Output] = []
        self._end_reasoning(out)
        if self._seam is not None:
            rest = self._seam.finish()
            self._seam = None
            if rest:
                self._text(rest, out)
        return out

    def finish(self) -> list[Output]:
        """The reply is over, whole or not: everything that is open is closed."""
        out = self.end_segment()
        self._emit(self._parser.finish(), out)
        self._end_text(out)
        return out

    def _text(self, text: str, out: list[Output]) -> None:
        self._unsaved.append(text)
        self.size += len(text) if text.isascii() else _size(text)
        self._emit(self._parser.feed(text), out)

    def _emit(self, parsed: Sequence[artifacts.Event], out: list[Output]) -> None:
        for event in parsed:
            if type(event) is artifacts.ActionDelta:
                out.append(event)
            elif type(event) is artifacts.Text:
                if self._part is None:
                    self._part = self._next_part("t")
                    out.append(events.TextStarted(self._part))
                out.append(events.TextDelta(self._part, event.text))
            else:
                self._structure(event, out)

    def _structure(self, event: artifacts.Event, out: list[Output]) -> None:
        match event:
            case artifacts.ArtifactOpened(artifact_id, title, kind):
                self._end_text(out)
                self.title = self.title or title
                self._titles[artifact_id] = (title, kind)
                out.append(self._artifact(artifact_id, "open"))
            case artifacts.ArtifactClosed(artifact_id):
                out.append(self._artifact(artifact_id, "closed"))
            case artifacts.ActionOpened(artifact_id, action_id, type_, path, _):
                self._actions[action_id] = _OpenAction(artifact_id, type_, path)
                out.append(self._action(action_id, "open"))
            case artifacts.ActionClosed(action_id, content, verdict):
                state = "closed" if verdict == "complete" else verdict
                out.append(self._action(action_id, state, content))
                action = self._actions[action_id]
                if action.type in {"file", "edit"}:
                    out.append(FileReady(action.path, content, verdict, action.type))
            case artifacts.Repair(kind, detail):
                self._repairs += 1
                data = {"kind": "repair", "repair": kind, "message": detail}
                out.append(events.DataPart("notice", f"repair-{self._repairs}", data))
            case _:
                pass

    def _artifact(self, artifact_id: str, state: str) -> events.DataPart:
        title, kind = self._titles[artifact_id]
        data: dict[str, Any] = {"artifactId": artifact_id, "title": title, "state": state}
        if kind is not None:
            data["kind"] = kind
        return events.DataPart("artifact", artifact_id, data)

    def _action(self, action_id: str, state: str, content: str | None = None) -> events.DataPart:
        action = self._actions[action_id]
        data: dict[str, Any] = {
            "artifactId": action.artifact_id,
            "actionId": action_id,
            "type": action.type,
            "state": state,
        }
        if action.path is not None:
            data["filePath"] = action.path
        if content is not None:
            data["content"] = content
        return events.DataPart("action", action_id, data)

    def _end_text(self, out: list[Output]) -> None:
        if self._part is not None:
            out.append(events.TextEnded(self._part))
            self._part = None

    def _end_reasoning(self, out: list[Output]) -> None:
        if self._reasoning is not None:
            out.append(events.ReasoningEnded(self._reasoning))
            self._reasoning = None

    def _next_part(self, prefix: str) -> str:
        self._parts += 1
        return f"{prefix}{self._parts}"


def counted(known: Usage, said: ModelUsage, /) -> Usage:
    """One call's tokens after what the model has just said of them."""
    return Usage(
        known.input_tokens if said.input_tokens is None else said.input_tokens,
        known.output_tokens if said.output_tokens is None else said.output_tokens,
        known.cache_read_tokens if said.cache_read_tokens is None else said.cache_read_tokens,
        known.cache_write_tokens if said.cache_write_tokens is None else said.cache_write_tokens,
        1,
    )


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))

"""A reply's text in, what it says and does out: visible text, artifacts, and their actions.

Law: `Text` is exactly the model's text outside artifact elements, character for character, and the
events of a text are the same however it is cut into deltas, but for how `Text` and `ActionDelta`
are cut. Every `ActionOpened` is followed by its `ActionClosed`, every artifact is closed, each
character costs a bounded amount of work, and no text is an error.

The language that is read, with all that is put up with, is in ``docs/reference/artifacts.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from openbolt.chat._artifact_events import (
    ActionClosed,
    ActionDelta,
    ActionOpened,
    ArtifactClosed,
    ArtifactOpened,
    Event,
    Repair,
    RepairKind,
    Text,
    Verdict,
)
from openbolt.chat._repairs import Body, FenceTracker, normalize_file
from openbolt.chat._tags import CLOSING, EITHER, OPENING, TagReader

__all__ = [
    "KNOWN_ACTION_TYPES",
    "ActionClosed",
    "ActionDelta",
    "ActionOpened",
    "ArtifactClosed",
    "ArtifactOpened",
    "ArtifactParser",
    "Event",
    "Repair",
    "RepairKind",
    "Text",
    "Verdict",
]

KNOWN_ACTION_TYPES: Final = frozenset({"build", "edit", "file", "shell", "start"})
"""The action types that need no artifact around them; others are passed on with a `Repair`."""

_BLOCK: Final = 16
"""Deltas that are kept apart before they are joined into one string."""


class ArtifactParser:
    """Reads one message. Fed with deltas, it returns the events that they complete.

    At most `max_tag` characters, and an action's body, are held in memory.
    """

    __slots__ = (
        "_action_id",
        "_action_type",
        "_actions",
        "_artifact_id",
        "_artifacts",
        "_blocks",
        "_dropping",
        "_fences",
        "_file_path",
        "_finished",
        "_held",
        "_is_bare",
        "_max_tag",
        "_open_name",
        "_parts",
        "_plain",
        "_tag",
    )

    def __init__(self, *, max_tag: int = 16_384) -> None:
        """Start before the first character of a message.

        Args:
            max_tag: Characters that an opening tag may have, at least 64. What goes on for longer
                is no tag but text.

        Raises:
            ValueError: If `max_tag` is less than 64.
        """
        if max_tag < 64:
            raise ValueError(f"max_tag must be at least 64, not {max_tag}")
        self._max_tag = max_tag
        self._finished = False
        # Where we are: outside; in an artifact (its id); in one of its actions (both ids).
        self._artifact_id: str | None = None
        self._action_id: str | None = None
        self._action_type = ""
        self._file_path: str | None = None
        self._is_bare = False  # the artifact is there for the sake of its one action
        self._dropping = False  # text between the actions was dropped
        self._artifacts = 0
        self._actions = 0
        # Undecided text, which begins with "<"; and its reader once it is an opening tag's.
        self._held = ""
        self._tag: TagReader | None = None
        self._open_name = ""
        # A delta without "<" needs no look: nothing is held, and it is visible or a body's.
        self._plain = True
        self._parts: list[str] = []  # what is not yet in _fences or _blocks
        self._blocks: list[str] = []
        self._fences = FenceTracker()

    def feed(self, delta: str) -> list[Event]:
        """Read on.

        Args:
            delta: What comes next, of any length.

        Raises:
            ValueError: After `finish`.
        """
        if self._plain and delta and "<" not in delta:
            parts = self._parts
            parts.append(delta)
            if len(parts) > _BLOCK:
                self._join()
            if (action_id := self._action_id) is not None:
                return [ActionDelta(action_id, delta)]
            return [Text(delta)]
        if self._finished:
            raise ValueError("feed() after finish(): a parser reads one message")
        events: list[Event] = []
        if delta:
            self._read(self._held + delta if self._held else delta, events)
        return events

    def finish(self) -> list[Event]:
        """The reply is over: close what is open. A second call returns nothing."""
        if self._finished:
            return []
        self._finished, self._plain = True, False
        held, self._held, self._tag = self._held, "", None
        events: list[Event] = []
        if self._action_id is not None:
            self._close_action("truncated", events)
            self._close_artifact(events)
        elif self._artifact_id is not None:
            self._drop(held)
            self._report_dropped(events)
            detail = "the reply ended before </boltArtifact>"
            events.append(Repair("unclosed-artifact", detail))
            self._close_artifact(events)
        elif held:
            events.append(Text(held))
        self._parts.clear()
        return events

    def _join(self) -> None:
        text = "".join(self._parts)
        self._parts.clear()
        if self._action_id is None:
            self._fences.read(text)
        else:
            self._blocks.append(text)

    def _read(self, text: str, events: list[Event]) -> None:
        """Read until the end of `text` or of what can be decided, and hold back the rest."""
        at = 0
        decided = True
        while decided and at < len(text):
            if self._tag is not None:
                at, decided = self._read_tag(self._tag, text, at, events)
            elif self._action_id is not None:
                at, decided = self._read_body(self._action_id, text, at, events)
            elif self._artifact_id is not None:
                at, decided = self._read_between(text, at, events)
            else:
                at, decided = self._read_outside(text, at, events)
        self._held = text[at:]
        inside = self._artifact_id is not None and self._action_id is None
        self._plain = not (self._held or inside)
        if len(self._parts) > _BLOCK:
            self._join()

    def _read_outside(self, text: str, at: int, events: list[Event]) -> tuple[int, bool]:
        found = OPENING.search(text, at)
        end = found.start() if found else OPENING.undecided(text, at)
        self._show(text[at:end], events)
        if found:
            self._begin_tag(found["opened"], found.end() - end)
        return end, found is not None

    def _read_body(
        self, action_id: str, text: str, at: int, events: list[Event]
    ) -> tuple[int, bool]:
        found = CLOSING.search(text, at)
        end = found.start() if found else CLOSING.undecided(text, at)
        if end > at:
            delta = text[at:end]
            self._parts.append(delta)
            events.append(ActionDelta(action_id, delta))
        if found is None:
            return end, False
        is_bare = self._is_bare
        if found["odd"]:
            events.append(Repair("tag", f"</bolt{found['closed']}>: a space after <"))
        if found["closed"] == "Action":
            self._close_action("complete", events)
        else:
            events.append(Repair("unclosed-action", "</boltAction> was missing"))
            self._close_action("repaired", events)
        if is_bare or found["closed"] == "Artifact":
            self._close_artifact(events)
        return found.end(), True

    def _read_between(self, text: str, at: int, events: list[Event]) -> tuple[int, bool]:
        found = EITHER.search(text, at)
        end = found.start() if found else EITHER.undecided(text, at)
        if end > at:
            self._drop(text[at:end])
        if found is None:
            return end, False
        if found["opened"]:
            self._begin_tag(found["opened"], found.end() - end)
            return end, True
        if found["closed"] == "Artifact":
            self._report_dropped(events)
            if found["odd"]:
                events.append(Repair("tag", "</boltArtifact>: a space after <"))
            self._close_artifact(events)
        else:
            self._drop(found.group())
        return found.end(), True

    def _begin_tag(self, name: str, name_end: int) -> None:
        self._open_name = name
        self._tag = TagReader(name_end)

    def _read_tag(
        self, tag: TagReader, text: str, at: int, events: list[Event]
    ) -> tuple[int, bool]:
        window = text[at : at + self._max_tag]
        end = tag.read(window)
        if end is None and len(window) < self._max_tag:
            return at, False
        self._tag = None
        length = end.length if end else len(window)
        raw = window[:length]
        if end is None or not end.is_tag:
            if self._artifact_id is None:
                self._show(raw, events)
            else:
                self._drop(raw)
        elif self._open_name == "Action":
            self._open_action(tag, raw, events)
        else:
            self._open_artifact(tag, raw, events)
        return at + length, True

    def _show(self, text: str, events: list[Event]) -> None:
        if text:
            self._parts.append(text)
            events.append(Text(text))

    def _drop(self, text: str) -> None:
        if text and not self._dropping:
            self._dropping = not text.isspace()

    def _report_dropped(self, events: list[Event]) -> None:
        if self._dropping:
            detail = "text in an artifact, outside its actions, was dropped"
            events.append(Repair("dropped-text", detail))
            self._dropping = False

    def _open_artifact(self, tag: TagReader, raw: str, events: list[Event]) -> None:
        if self._artifact_id is not None:
            self._report_dropped(events)
            events.append(
                Repair("nested-artifact", "<boltArtifact> inside an artifact was dropped")
            )
            return
        self._join()
        if not tag.attributes and self._fences.last == "`":
            self._show(raw, events)  # `<boltArtifact>` as inline code speaks about the tag
            return
        self._report_oddities(tag, events)
        artifact_id = self._begin_artifact(tag.attributes, events)
        if tag.self_closing:
            events.append(ArtifactClosed(artifact_id))
            self._artifact_id = None

    def _begin_artifact(self, attributes: Mapping[str, str], events: list[Event]) -> str:
        if self._fences.is_inside():
            events.append(Repair("in-fence", "the artifact stands in a markdown fence"))
        self._artifacts += 1
        artifact_id, title = attributes.get("id"), attributes.get("title")
        if not artifact_id:
            artifact_id = f"artifact-{self._artifacts}"
            events.append(Repair("missing-attribute", f"<boltArtifact>: id, now {artifact_id}"))
        if title is None:
            title = "Untitled"
            events.append(Repair("missing-attribute", f"<boltArtifact>: title, now {title}"))
        self._artifact_id = artifact_id
        events.append(ArtifactOpened(artifact_id, title, attributes.get("type")))
        return artifact_id

    def _open_action(self, tag: TagReader, raw: str, events: list[Event]) -> None:
        action_type = tag.attributes.get("type", "")
        is_known = action_type in KNOWN_ACTION_TYPES
        if self._artifact_id is None and not is_known:
            self._show(raw, events)
            return
        self._report_dropped(events)
        self._report_oddities(tag, events)
        if self._artifact_id is None:
            self._join()
            events.append(Repair("bare-action", "<boltAction> got an artifact of its own"))
            artifact_id = self._begin_artifact({}, events)
            self._is_bare = True
        else:
            artifact_id = self._artifact_id
        if not is_known:
            detail = f"unknown type {action_type!r}" if action_type else "no type"
            events.append(Repair("action-type", f"<boltAction>: {detail}"))
        action_id = str(self._actions)
        self._actions += 1
        self._action_id = action_id
        self._action_type = action_type
        self._file_path = tag.attributes.get("filePath")
        events.append(
            ActionOpened(artifact_id, action_id, action_type, self._file_path, tag.attributes)
        )
        if tag.self_closing:
            is_bare = self._is_bare
            self._close_action("repaired", events)
            if is_bare:
                self._close_artifact(events)

    def _report_oddities(self, tag: TagReader, events: list[Event]) -> None:
        if tag.oddities:
            detail = f"<bolt{self._open_name}>: {', '.join(tag.oddities)}"
            events.append(Repair("tag", detail))

    def _close_action(self, verdict: Verdict, events: list[Event]) -> None:
        assert self._action_id is not None
        self._join()
        body = "".join(self._blocks)
        self._blocks.clear()
        if self._action_type != "file":
            closed = Body(body.strip())
        elif verdict != "truncated":
            closed = normalize_file(body, self._file_path)
        else:
            closed = Body(body.strip() + "\n")
        if closed.repairs:
            verdict = "repaired"
            events.extend(Repair("content", repair) for repair in closed.repairs)
        events.append(ActionClosed(self._action_id, closed.content, verdict))
        self._action_id = None

    def _close_artifact(self, events: list[Event]) -> None:
        assert self._artifact_id is not None
        events.append(ArtifactClosed(self._artifact_id))
        self._artifact_id = None
        self._is_bare = False

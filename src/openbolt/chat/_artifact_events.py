"""What `openbolt.chat.artifacts` makes of a reply, as values; that module exports them all.

Law: they are values, equal and hashed by what they hold, and nobody changes one. `Text` and
`ActionDelta` are made for every delta of a reply and leave out the guard against it: a frozen one
takes twice as long to make.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from attrs import define, field, frozen

__all__ = [
    "ActionClosed",
    "ActionDelta",
    "ActionOpened",
    "ArtifactClosed",
    "ArtifactOpened",
    "Event",
    "Repair",
    "RepairKind",
    "Text",
    "Verdict",
]

Verdict = Literal["complete", "repaired", "truncated"]
"""How an action came to its end.

``complete``: as the model wrote it. ``repaired``: its closing tag was missing, or its content had
to be changed. ``truncated``: the reply ended in it; a file's content must not be saved.
"""

RepairKind = Literal[
    "tag",
    "missing-attribute",
    "action-type",
    "bare-action",
    "nested-artifact",
    "unclosed-action",
    "unclosed-artifact",
    "dropped-text",
    "in-fence",
    "content",
]


@define(unsafe_hash=True)
class Text:
    """More of the visible text."""

    text: str


@frozen
class ArtifactOpened:
    """An artifact began.

    Attributes:
        artifact_id: As written; without one, ``artifact-`` and its ordinal from 1.
        title: As written; without one, ``Untitled``.
        kind: Its ``type`` attribute.
    """

    artifact_id: str
    title: str
    kind: str | None = None


def _freeze(attributes: Mapping[str, str], /) -> Mapping[str, str]:
    return MappingProxyType(dict(attributes))


@frozen
class ActionOpened:
    """An action began.

    Attributes:
        artifact_id: The artifact that it stands in.
        action_id: Its ordinal in the message, from ``"0"``.
        type: As written, known or not; empty if there is none.
        file_path: Its ``filePath`` attribute, as written: nobody has looked at where it leads.
        attributes: All attributes, entities decoded.
    """

    artifact_id: str
    action_id: str
    type: str
    file_path: str | None = None
    attributes: Mapping[str, str] = field(factory=dict[str, str], converter=_freeze, hash=False)


@define(unsafe_hash=True)
class ActionDelta:
    """More of an action's body, as it stands between the tags: neither trimmed nor repaired.

    It is a turn's event as it is: a transient ``data-action-delta`` part.
    """

    action_id: str
    delta: str


@frozen
class ActionClosed:
    """An action ended.

    Attributes:
        action_id: Of its `ActionOpened`.
        content: All of it, trimmed; a file's with fence and escaping undone and one newline at the
            end. Of a truncated one what came so far, trimmed (a file's with a newline) and no more.
        verdict: How it ended.
    """

    action_id: str
    content: str
    verdict: Verdict


@frozen
class ArtifactClosed:
    """An artifact ended."""

    artifact_id: str


@frozen
class Repair:
    """Something was not read as it was written; comes right before the event that it concerns.

    Attributes:
        kind: For programs.
        detail: For people.
    """

    kind: RepairKind
    detail: str


Event = Text | ArtifactOpened | ActionOpened | ActionDelta | ActionClosed | ArtifactClosed | Repair

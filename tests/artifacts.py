"""Events of the artifact parser, so that two ways to cut a text can be compared."""

from __future__ import annotations

from collections.abc import Iterable

from openbolt.chat.artifacts import ActionDelta, Event, Text


def merged(events: Iterable[Event]) -> list[Event]:
    """The same with neighboring pieces of text, and of an action, put together."""
    result: list[Event] = []
    for event in events:
        match result[-1] if result else None, event:
            case Text(before), Text(after):
                result[-1] = Text(before + after)
            case ActionDelta(action_id, before), ActionDelta(_, after):
                result[-1] = ActionDelta(action_id, before + after)
            case _:
                result.append(event)
    return result

"""What everything that is stored of a user has in common: it is exported, and it is erased.

Laws: what is worth something (a session, a key, a secret, a link) is exported without what it is
worth. Erasing is idempotent: what failed half-way is found again, because whatever says that a
thing is the user's goes last.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

from openbolt.archives import ExportedFile
from openbolt.bodies import iso_time
from openbolt.protocols import KeyValueStore

__all__ = [
    "PersonalData",
    "delete_below",
    "names_below",
    "optional_time",
    "pretty_json",
    "without_end",
]


class PersonalData(Protocol):
    """One kind of thing that is stored of users."""

    @property
    def name(self) -> str:
        """As a receipt counts it, in camel case."""
        ...

    def export(self, user_id: str, /) -> AsyncIterator[ExportedFile]:
        """Everything of a user, as files whose paths no other part uses."""
        ...

    async def erase(self, user_id: str, /) -> int:
        """Delete everything of a user; how many things there were.

        Raises:
            LockedError: Somebody else is writing it and doesn't stop.
            BackendError: A store failed; to be called again.
        """
        ...


async def names_below(kv: KeyValueStore, prefix: str, /) -> Sequence[str]:
    """What follows a prefix in the keys that have it, sorted."""
    return sorted([key.removeprefix(prefix) async for key in kv.scan(prefix)])


async def delete_below(kv: KeyValueStore, prefix: str, /) -> int:
    """Delete every key that has a prefix; how many there were."""
    keys = [key async for key in kv.scan(prefix)]
    for key in keys:
        await kv.delete(key)
    return len(keys)


_to_json: Callable[[object], str] = json.JSONEncoder(ensure_ascii=False, indent=2).encode


def pretty_json(value: object, /) -> bytes:
    """JSON for people, with a line's end; whatever text it holds."""
    return f"{_to_json(value)}\n".encode("utf-8", "backslashreplace")


def without_end(value: object, /) -> bytes:
    """The same for an object that goes on, up to the brace that closes it."""
    return pretty_json(value).removesuffix(b"\n}\n")


def optional_time(seconds: float | None, /) -> str | None:
    """ISO 8601, or None."""
    return None if seconds is None else iso_time(seconds)

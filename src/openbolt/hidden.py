"""Text that is used and never shown.

Law: nothing that dumps a value in passing (a repr, `attrs.asdict`, JSON, pickle, a debugger's list
of locals) shows what is hidden; whoever needs it calls `Hidden.reveal`, where a reader can see it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, Self

__all__ = ["Hidden"]


class Hidden:
    """A secret in a value that others print, log and dump. Immutable.

    It is no `str` on purpose: ``json`` writes any subclass of `str` as what it holds.
    """

    __slots__ = ("_reveal",)
    _reveal: Callable[[], str]

    def __init__(self, text: str | Hidden, /) -> None:
        plain = text.reveal() if isinstance(text, Hidden) else text
        # In a closure: a dump that walks attributes finds a function there.
        object.__setattr__(self, "_reveal", lambda: plain)

    def reveal(self) -> str:
        """The text."""
        return self._reveal()

    def __repr__(self) -> str:
        return "Hidden('***')"

    def __bool__(self) -> bool:
        return bool(self.reveal())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hidden) and self.reveal() == other.reveal()

    def __hash__(self) -> int:
        return hash((Hidden, self.reveal()))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("A hidden value doesn't change.")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("A hidden value doesn't change.")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any, /) -> Self:
        return self

    def __reduce_ex__(self, protocol: Any, /) -> NoReturn:
        raise TypeError(
            "Secrets are not pickled: make the value anew where it is needed, as with "
            "Settings.from_mapping."
        )

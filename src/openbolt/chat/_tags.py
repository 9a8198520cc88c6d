"""Where a bolt tag begins and ends, and what its attributes say, however the text was cut.

Law: reading a tag piece by piece decides the same as reading it whole, and looks at each
character a bounded number of times.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from attrs import frozen

__all__ = ["CLOSING", "INSIDE", "OPENING", "TagEnd", "TagReader", "undecided"]

WHITESPACE: Final = " \t\r\n\f"
_ENDS_VALUE: Final = frozenset(WHITESPACE + "/>")

# A `<` and a `/` may be followed by blanks; so few that what is held back stays small.
_BLANKS: Final = r"[ \t\r\n\f]{0,16}"
_OPEN: Final = rf"<{_BLANKS}bolt(?P<opened>Artifact|Action)(?=[ \t\r\n\f/>])"
_CLOSE: Final = rf"<{_BLANKS}/{_BLANKS}bolt(?P<closed>Artifact|Action){_BLANKS}>"

OPENING: Final = re.compile(_OPEN)
"""The start of an opening tag: what matters outside artifacts."""
CLOSING: Final = re.compile(_CLOSE)
"""A whole closing tag: all that matters in an action's body."""
INSIDE: Final = re.compile(rf"{_OPEN}|{_CLOSE}")
"""Either: what matters in an artifact, between actions."""


def _beginnings(*words: str) -> str:
    """An alternation of every proper beginning, the empty one included; the longest ones first."""
    parts = {word[:length] for word in words for length in range(len(word))}
    return "|".join(sorted(parts, key=len, reverse=True))


_NAMES: Final = ("boltArtifact", "boltAction")
_STARTED_NAME: Final = _beginnings(*_NAMES)
_STARTED_CLOSE: Final = rf"/{_BLANKS}(?:bolt(?:Artifact|Action){_BLANKS}|{_STARTED_NAME})"
_STARTED: Final = {
    OPENING: re.compile(rf"<{_BLANKS}(?:boltArtifact|boltAction|{_STARTED_NAME})\Z"),
    CLOSING: re.compile(rf"<{_BLANKS}(?:{_STARTED_CLOSE})?\Z"),
    INSIDE: re.compile(
        rf"<{_BLANKS}(?:boltArtifact|boltAction|{_STARTED_CLOSE}|{_STARTED_NAME})\Z"
    ),
}
_LONGEST_START: Final = len("</boltArtifact") + 3 * 16


def undecided(pattern: re.Pattern[str], text: str, start: int) -> int:
    """Where the tail of `text` begins that more text could make a match of `pattern`.

    Args:
        pattern: `OPENING`, `CLOSING` or `INSIDE`, without a match in ``text[start:]``.

    Returns:
        An index, at most `_LONGEST_START` from the end; ``len(text)`` if nothing is undecided.
    """
    end = len(text)
    at = text.rfind("<", max(start, end - _LONGEST_START))
    return at if at >= 0 and _STARTED[pattern].match(text, at) else end


_NOT_BLANK: Final = re.compile(r"[^ \t\r\n\f]")
_NAME_END: Final = re.compile(r"[ \t\r\n\f=/<>]")
_VALUE_END: Final = re.compile(r"[ \t\r\n\f>]")
_SWALLOWED_NAME: Final = re.compile(r"[ \t\r\n\f]([A-Za-z_][\w:.-]*)[ \t\r\n\f]*=\Z")
_SWALLOWED_TAG: Final = re.compile(r">[ \t\r\n\f]*</?boltA(?:ction|rtifact)[ \t\r\n\f/>]")

_ENTITY: Final = re.compile(r"&(?:amp|lt|gt|quot|apos|#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6});")
_NAMED: Final = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'"}


def _decode_entity(match: re.Match[str]) -> str:
    entity = match.group()
    if entity[1] != "#":
        return _NAMED[entity]
    digits = entity[2:-1]
    code = int(digits[1:], 16) if digits[0] in "xX" else int(digits)
    # Zero, surrogates and what lies beyond Unicode are no characters: left as they stand.
    return chr(code) if 0 < code < 0xD800 or 0xDFFF < code < 0x110000 else entity


@frozen
class TagEnd:
    """What became of a ``<boltArtifact`` or ``<boltAction``.

    Attributes:
        length: Characters from its ``<`` on.
        is_tag: Whether they are a tag; if not, they were mere text.
    """

    length: int
    is_tag: bool


_State = Literal[
    "between", "name", "after name", "before value", "quoted", "after quote", "unquoted"
]


class TagReader:
    """Reads one opening tag, resumably; HTML's rules, plus two about a quote that is missing.

    A ``<`` outside a value proves that the text was no tag. A closing quote with a character
    directly after it that cannot follow one was an opening quote if a ``name=`` stands before it:
    the value before it ends at that name, or at the ``>`` of its tag if a bolt tag comes after that.
    """

    __slots__ = ("_at", "_key", "_quote", "_state", "_value_at", "attributes", "name", "oddities")

    def __init__(self, name: str, length: int, /) -> None:
        """Start behind the tag's name.

        Args:
            name: ``Artifact`` or ``Action``.
            length: Characters from the ``<`` to the end of the name.
        """
        self.name = name
        self.attributes: dict[str, str] = {}
        self.oddities: list[str] = []
        self._state: _State = "between"
        self._at = length
        self._key = ""
        self._quote = ""
        self._value_at = 0

    def read(self, text: str, start: int, stop: int, /) -> TagEnd | None:
        """Read on from where the last call stopped.

        Args:
            text: Holds the tag from its ``<`` at ``start``, wherever that lies now.
            start: The index of the ``<``.
            stop: Where to stop looking.

        Returns:
            None until the tag's end is in ``text[start:stop]``.
        """
        at = start + self._at
        while at < stop:
            match self._state:
                case "quoted":
                    at = text.find(self._quote, at, stop) + 1 or stop
                    if text[at - 1] == self._quote and at > start + self._value_at:
                        self._state = "after quote"
                case "name":
                    at = self._read_name(text, start, at, stop)
                case "unquoted":
                    at = self._read_unquoted(text, start, at, stop)
                case "after quote":
                    if end := self._leave_quote(text, start, at):
                        return end
                case _:
                    blank_end = _NOT_BLANK.search(text, at, stop)
                    if blank_end is None:
                        at = stop
                        break
                    at = blank_end.start()
                    if end := self._step(text, start, at):
                        return end
                    at = start + self._at
        self._at = at - start
        return None

    def _step(self, text: str, start: int, at: int) -> TagEnd | None:
        raise NotImplementedError

"""Where a bolt tag begins and ends, and what its attributes say, however the text was cut.

Law: reading a tag piece by piece decides the same as reading it whole, and looks at each
character a bounded number of times.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Literal

from attrs import frozen

__all__ = ["CLOSING", "EITHER", "OPENING", "Landmark", "TagEnd", "TagReader"]

_BLANKS: Final = " \t\r\n\f"
_ENDS_VALUE: Final = frozenset(_BLANKS + "/>")

# A `<` and a `/` may be followed by blanks; by so few that what is held back stays small.
_GAP: Final = r"[ \t\r\n\f]{0,16}"
_NAME: Final = r"bolt(?:Artifact|Action)"
_OPEN: Final = rf"<{_GAP}bolt(?P<opened>Artifact|Action)(?=[ \t\r\n\f/>])"
_CLOSE: Final = rf"<(?P<odd>{_GAP})/{_GAP}bolt(?P<closed>Artifact|Action){_GAP}>"


def _beginnings(*words: str) -> str:
    """An alternation of every proper beginning, the longest first; the empty one is the last."""
    parts = {word[:length] for word in words for length in range(len(word))}
    return "|".join(sorted(parts, key=len, reverse=True))


_NAME_BEGUN: Final = _beginnings("boltArtifact", "boltAction")
_CLOSE_BEGUN: Final = rf"/{_GAP}(?:{_NAME}{_GAP}|{_NAME_BEGUN})"
_LONGEST_BEGUN: Final = len("</boltArtifact") + 3 * 16


@frozen
class Landmark:
    """A piece of a tag to look for in text that is still growing.

    Attributes:
        search: The first one in a text, from a place on.
    """

    search: Callable[[str, int], re.Match[str] | None]
    _begun: re.Pattern[str]

    def undecided(self, text: str, start: int, /) -> int:
        """Where the tail of `text` begins that more text could make a match; its end if nowhere.

        There must be no match in ``text[start:]``. The tail is shorter than 64 characters.
        """
        end = len(text)
        at = text.rfind("<", max(start, end - _LONGEST_BEGUN))
        return at if at >= 0 and self._begun.match(text, at) else end


OPENING: Final = Landmark(
    re.compile(_OPEN).search,
    re.compile(rf"<{_GAP}(?:{_NAME}|{_NAME_BEGUN})\Z"),
)
"""The start of an opening tag: what matters outside artifacts."""
CLOSING: Final = Landmark(
    re.compile(_CLOSE).search,
    re.compile(rf"<{_GAP}(?:{_CLOSE_BEGUN})?\Z"),
)
"""A closing tag: all that matters in an action's body."""
EITHER: Final = Landmark(
    re.compile(rf"{_OPEN}|{_CLOSE}").search,
    re.compile(rf"<{_GAP}(?:{_NAME}|{_CLOSE_BEGUN}|{_NAME_BEGUN})\Z"),
)
"""What matters in an artifact, between actions."""

# A whole tag as nearly all are written, which the reader below would read to the same.
_USUAL: Final = re.compile(rf'<{_NAME}((?: ++[A-Za-z_][\w:.-]*+="[^"]*+")*+) *+>')
_USUAL_ATTRIBUTE: Final = re.compile(r'([A-Za-z_][\w:.-]*+)="([^"]*+)"')

_NOT_BLANK: Final = re.compile(r"[^ \t\r\n\f]")
_NAME_END: Final = re.compile(r"[ \t\r\n\f=/<>]")
_VALUE_END: Final = re.compile(r"[ \t\r\n\f>]")
_SWALLOWED_NAME: Final = re.compile(r"[ \t\r\n\f]([A-Za-z_][\w:.-]*)[ \t\r\n\f]*=\Z")
_SWALLOWED_TAG: Final = re.compile(r">[ \t\r\n\f]*</?boltA(?:ction|rtifact)[ \t\r\n\f/>]")

_ENTITY: Final = re.compile(r"&(?:amp|lt|gt|quot|apos|#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6});")
_NAMED: Final = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'"}


def _decoded(value: str) -> str:
    return _ENTITY.sub(_decode_entity, value) if "&" in value else value


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


_State = Literal["between", "name", "after name", "value", "quoted", "after quote", "unquoted"]


class TagReader:
    """Reads one opening tag, resumably, by HTML's rules and two about a quote that is missing.

    A ``<`` outside a value proves that the text was no tag. A closing quote directly before a
    character that cannot follow one was in truth an opening one if ``name=`` stands before it: the
    value before it ends at that name, or at the tag's ``>`` if another bolt tag comes after that.

    Attributes:
        attributes: As read so far, entities decoded; of two with the same name the first counts.
        oddities: What was not as it is usually written, for people.
        self_closing: Whether it ended in ``/>``.
    """

    __slots__ = (
        "_at",
        "_from",
        "_key",
        "_name_end",
        "_quote",
        "_slash_at",
        "_state",
        "attributes",
        "oddities",
        "self_closing",
    )

    def __init__(self, name_end: int, /) -> None:
        """Start behind the tag's name, ``name_end`` characters from its ``<``."""
        self.attributes: dict[str, str] = {}
        self.oddities: list[str] = []
        self.self_closing = False
        self._state: _State = "between"
        self._name_end = name_end
        self._at = name_end
        self._from = 0
        self._slash_at = -1
        self._key = ""
        self._quote = ""

    def read(self, text: str, /) -> TagEnd | None:
        """Read on from where the last call stopped.

        Args:
            text: The text from the tag's ``<`` on: what the last call saw, and more.

        Returns:
            None as long as the tag's end is not in `text`.
        """
        end = self._read_usual(text) if self._at == self._name_end else None
        while end is None and self._at < len(text):
            match self._state:
                case "quoted":
                    self._read_quoted(text)
                case "after quote":
                    end = self._leave_quotes(text)
                case "name" | "unquoted":
                    self._read_word(text)
                case _:
                    end = self._step(text)
        return end

    def _read_usual(self, text: str) -> TagEnd | None:
        found = _USUAL.match(text)
        if found is None:
            return None
        pairs: list[tuple[str, str]] = _USUAL_ATTRIBUTE.findall(found[1])
        attributes = {name: _decoded(value) for name, value in pairs}
        if len(attributes) < len(pairs):
            return None
        self.attributes = attributes
        return TagEnd(found.end(), is_tag=True)

    def _step(self, text: str) -> TagEnd | None:
        """Look at the next character that is not blank."""
        found = _NOT_BLANK.search(text, self._at)
        if found is None:
            self._at = len(text)
            return None
        self._at = found.start()
        char = found.group()
        if self._state == "value":
            return self._begin_value(text, char)
        if self._state == "after name":
            if char == "=":
                self._expect_no_blank(text)
                self._at += 1
                self._state = "value"
                return None
            self._note("an attribute without a value")
            self._keep("")
        return self._begin_attribute(text, char)

    def _begin_attribute(self, text: str, char: str) -> TagEnd | None:
        match char:
            case ">":
                if self._slash_at == self._at - 1:
                    self.self_closing = True
                    self._note("no closing tag")
                return self._close(text, self._at + 1)
            case "<":
                return TagEnd(self._at, is_tag=False)
            case "/" | "=":
                self._slash_at = self._at if char == "/" else -1
                self._at += 1
            case _:
                if text[self._at - 1] not in _BLANKS:
                    self._note("no space before an attribute")
                self._from = self._at
                self._state = "name"
        return None

    def _begin_value(self, text: str, char: str) -> TagEnd | None:
        if char == ">":
            self._note("an attribute without a value")
            self._keep("")
            return None
        self._expect_no_blank(text)
        if char in "\"'":
            if char == "'":
                self._note("single quotes")
            self._at += 1
            self._quote = char
            self._state = "quoted"
        else:
            self._note("no quotes")
            self._state = "unquoted"
        self._from = self._at
        return None

    def _read_word(self, text: str) -> None:
        """An attribute's name or unquoted value, up to what ends it."""
        is_name = self._state == "name"
        found = (_NAME_END if is_name else _VALUE_END).search(text, self._at)
        self._at = found.start() if found else len(text)
        if found:
            word = text[self._from : self._at]
            if is_name:
                self._key = word
                self._state = "after name"
            else:
                self._keep(word)

    def _read_quoted(self, text: str) -> None:
        found = text.find(self._quote, self._at)
        if found < 0:
            self._at = len(text)
        else:
            self._at = found + 1
            self._state = "after quote"

    def _leave_quotes(self, text: str) -> TagEnd | None:
        value = text[self._from : self._at - 1]
        if text[self._at] not in _ENDS_VALUE and (name := _SWALLOWED_NAME.search(value)):
            self._note("a closing quote is missing")
            if tag := _SWALLOWED_TAG.search(value):
                self._keep(value[: tag.start()])
                return self._close(text, self._from + tag.start() + 1)
            self._keep(value[: name.start()].rstrip(_BLANKS))
            self._key = name.group(1)
            self._state = "quoted"
            self._from = self._at
        else:
            self._keep(value)
        return None

    def _keep(self, value: str) -> None:
        if self._key in self.attributes:
            self._note("an attribute twice")
        self.attributes.setdefault(self._key, _decoded(value))
        self._state = "between"

    def _close(self, text: str, length: int) -> TagEnd:
        if text[1] in _BLANKS:
            self._note("a space after <")
        gap = text[self._name_end : length]
        if "\n" in gap[: len(gap) - len(gap.lstrip(_BLANKS))]:
            self._note("a new line after the tag's name")
        return TagEnd(length, is_tag=True)

    def _expect_no_blank(self, text: str) -> None:
        if text[self._at - 1] in _BLANKS:
            self._note("spaces around =")

    def _note(self, oddity: str) -> None:
        if oddity not in self.oddities:
            self.oddities.append(oddity)

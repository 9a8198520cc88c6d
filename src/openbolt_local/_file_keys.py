"""Keys of objects as paths that no file system misreads, and back.

Law: two keys never share a path, on a case-insensitive or normalizing file system either, and no
key leads out of the folder. A segment of a key is percent-encoded but for ``a-z 0-9 - _ .``; ``~``
marks what a segment can't contain::

    img/A.png  ->  img/%41.png~o      a file ends in ~o, so "a" and "a/b" live side by side
    a//b       ->  a/~/b~o            an empty segment
    ../x       ->  %2e./x~o           a dot at the start or the end of a segment
    con.txt    ->  %63on.txt~o        a name that Windows reserves
    <long>     ->  <240 bytes>~c/<rest>~o     a segment too long for one name, continued
"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["FILE", "key_path", "name_bytes"]

FILE = "~o"
_EMPTY = "~"
_CONTINUED = "~c"
_MAX_NAME = 240

_UNSAFE = re.compile(rb"[^a-z0-9\-_.]")
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.DOTALL)
_ESCAPE = re.compile(rb"%([0-9a-f]{2})")
_NAME = re.compile(r"(?:[a-z0-9\-_.]|%[0-9a-f]{2})+(?:~[oc])?|~o?")


def key_path(key: bytes, /) -> tuple[str, ...]:
    """The names that lead to a key's file: folders, then the file."""
    *folders, last = key.split(b"/")
    names: list[str] = []
    for segment in folders:
        names += _names(segment, _EMPTY if not segment else "")
    return (*names, *_names(last, FILE))


def name_bytes(name: str, /) -> bytes | None:
    """What a name adds to the key: a folder's with its slash. None if no key makes such a name."""
    if not _NAME.fullmatch(name):
        return None
    encoded, mark, kind = name.partition("~")
    plain = _ESCAPE.sub(lambda found: bytes([int(found[1], 16)]), encoded.encode("ascii"))
    return plain if mark + kind in (FILE, _CONTINUED) else plain + b"/"


def _names(segment: bytes, mark: str) -> Iterator[str]:
    """A segment's name with its mark, cut between characters where it is too long."""
    name = _encode(segment)
    while len(name) > _MAX_NAME:
        escape = name.find("%", _MAX_NAME - 2, _MAX_NAME)
        cut = _MAX_NAME if escape < 0 else escape
        yield name[:cut] + _CONTINUED
        name = _without_dot(name[cut:])
    yield name + mark


def _encode(segment: bytes) -> str:
    name = _UNSAFE.sub(lambda found: b"%%%02x" % found[0][0], segment).decode("ascii")
    if _RESERVED.fullmatch(name):
        name = f"%{ord(name[0]):02x}{name[1:]}"
    name = _without_dot(name)
    return f"{name[:-1]}%2e" if name.endswith(".") else name


def _without_dot(name: str) -> str:
    """The same without a dot at its start, where it would hide the file."""
    return f"%2e{name[1:]}" if name.startswith(".") else name

"""Names of files in a project, as models and people write them.

Law: a normalized path is relative, has no empty, ``.`` or ``..`` segment, and names the same file
on every file system that a project may be exported to; whatever can't be brought into that form is
refused, never guessed.
"""

from __future__ import annotations

import re
import unicodedata

from openbolt.errors import InvalidRequestError

__all__ = ["MAX_PATH_BYTES", "normalize_path"]

MAX_PATH_BYTES = 1024
_MAX_SEGMENT_BYTES = 255
# Where bolt's prompts tell a model that the project lies; models echo it as an absolute path.
_WORK_FOLDER = "/home/project/"
_FORBIDDEN = frozenset('\\:*?"<>|')
_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$"]
    + [f"{name}{n}" for name in ("com", "lpt") for n in "0123456789¹²³"]
)
# ``git~1`` is what Windows calls ``.git`` for short.
_GIT = frozenset([".git", "git~1"])
# None of them is printable, nor is a character of format (Cf).
_CONTROL = frozenset(["Cc", "Cs", "Zl", "Zp"])
_HERE = re.compile(r"(?:\./+)+")


def normalize_path(raw: str, /) -> str:
    """A project path in its one spelling.

    A leading ``/``, ``./`` or ``/home/project/`` is taken off; text is brought to NFC.

    Raises:
        InvalidRequestError: Field ``filePath``; says what is wrong.
    """
    text = unicodedata.normalize("NFC", raw.strip())
    text = text.removeprefix(_WORK_FOLDER) if text.startswith(_WORK_FOLDER) else text.lstrip("/")
    if here := _HERE.match(text):
        text = text[here.end() :]
    if not text:
        raise _refused(raw, "is empty")
    if not text.isprintable() and any(unicodedata.category(char) in _CONTROL for char in text):
        raise _refused(raw, "has a control character")
    if bad := sorted(_FORBIDDEN.intersection(text)):
        raise _refused(raw, f"has {bad[0]!r}, which some file systems can't store")
    if len(text.encode()) > MAX_PATH_BYTES:
        raise _refused(raw, f"is over {MAX_PATH_BYTES} bytes")
    for segment in text.split("/"):
        _check_segment(raw, segment)
    return text


def _check_segment(raw: str, segment: str) -> None:
    if segment in {"", ".", ".."}:
        raise _refused(raw, "has an empty, '.' or '..' segment")
    if segment != segment.rstrip(" .") or segment != segment.lstrip():
        raise _refused(raw, "has a segment that begins with a space or ends in a space or dot")
    if len(segment.encode()) > _MAX_SEGMENT_BYTES:
        raise _refused(raw, f"has a segment over {_MAX_SEGMENT_BYTES} bytes")
    if segment.partition(".")[0].rstrip().lower() in _DEVICES:
        raise _refused(raw, f"names a device ({segment})")
    # macOS leaves invisible characters out when it compares names.
    if not segment.isprintable():
        segment = "".join(char for char in segment if unicodedata.category(char) != "Cf")
    if segment.lower() in _GIT:
        raise _refused(raw, "lies in .git, whose hooks would run on the machine of whoever exports")


def _refused(raw: str, why: str) -> InvalidRequestError:
    shown = raw if len(raw) <= 80 else raw[:77] + "..."
    return InvalidRequestError(f"filePath: {shown!r} {why}", field="filePath")

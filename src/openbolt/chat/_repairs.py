"""Undoing what models do to a file that they put in a tag: fence it, escape it.

Law: a body is changed only where it cannot have been meant as it stands, and `Body.repairs` says
what was changed.
"""

from __future__ import annotations

import re
from typing import Final

from attrs import frozen

__all__ = ["Body", "FenceTracker", "normalize_file"]

_MARKDOWN: Final = frozenset({"markdown", "md", "mdx"})
_SOURCE: Final = frozenset({
    "astro", "bash", "c", "cc", "cjs", "clj", "cpp", "cs", "css", "cts", "cxx", "dart", "elm",
    "erl", "ex", "exs", "go", "groovy", "h", "hpp", "hs", "htm", "html", "java", "jl", "js",
    "jsx", "kt", "kts", "less", "lua", "m", "mjs", "ml", "mm", "mts", "php", "pl", "ps1", "py",
    "pyi", "r", "rb", "rs", "sass", "scala", "scss", "sh", "sol", "sql", "styl", "svelte",
    "swift", "ts", "tsx", "vb", "vue", "zig", "zsh",
})  # fmt: skip
_ENTITIES: Final = {"&lt;": "<", "&gt;": ">", "&amp;": "&", "&quot;": '"', "&#39;": "'"}
_ENTITY: Final = re.compile("|".join(_ENTITIES))

_FENCE: Final = re.compile(r" {0,3}(?P<run>`{3,}|~{3,})(?P<info>.*)")
_FENCE_LINES: Final = re.compile(r"^ {0,3}(?:```|~~~).*", re.MULTILINE)
_LINE_LIMIT: Final = 1024


@frozen
class Body:
    """A file's content, and in words what had to be undone to get it."""

    content: str
    repairs: tuple[str, ...] = ()


def normalize_file(body: str, file_path: str | None, /) -> Body:
    """A file as it is saved: trimmed, one fence or escaping undone, one newline at the end."""
    content = body.strip()
    extension = _extension(file_path or "")
    repairs: list[str] = []
    if extension not in _MARKDOWN and (inner := _without_fence(content)) is not None:
        content = inner.strip()
        repairs.append("a markdown fence around the whole file was taken off")
    if extension in _SOURCE and _is_escaped(content):
        content = _ENTITY.sub(lambda match: _ENTITIES[match.group()], content)
        repairs.append("escaped characters were restored")
    return Body(content + "\n", tuple(repairs))


def _extension(file_path: str) -> str:
    name = file_path.rpartition("/")[2]
    return name.rpartition(".")[2].lower() if "." in name else ""


def _is_escaped(content: str) -> bool:
    """Source without a single raw ``<`` or ``>``, and with an escaped one."""
    return ("&lt;" in content or "&gt;" in content) and "<" not in content and ">" not in content


def _without_fence(content: str) -> str | None:
    """What one fence around all of `content` holds; None if there is no such fence.

    A line with an info string opens a fence within it, a bare one closes the innermost. (CommonMark
    knows no nesting, but a model that fences a file which has fenced examples in it means it so.)
    """
    if not content.startswith(("```", "~~~")):
        return None
    first, _, rest = content.partition("\n")
    inner, newline, last = ("\n" + rest).rpartition("\n")
    opening, closing = _FENCE.fullmatch(first), _FENCE.fullmatch(last.strip())
    if not (opening and closing and newline and rest):
        return None
    run = opening["run"]
    if not _opens(run, opening["info"]) or not _closes(run, closing):
        return None
    depth = 1
    for line in _FENCE_LINES.finditer(inner):
        fence = _FENCE.match(line.group())
        if fence is None or fence["run"][0] != run[0] or len(fence["run"]) < len(run):
            continue
        if _closes(run, fence):
            depth -= 1
        elif _opens(fence["run"], fence["info"]):
            depth += 1
        if depth == 0:
            return None
    return inner if depth == 1 else None


def _opens(run: str, info: str) -> bool:
    return run[0] == "~" or "`" not in info


def _closes(run: str, fence: re.Match[str]) -> bool:
    found = fence["run"]
    return found[0] == run[0] and len(found) >= len(run) and not fence["info"].strip()


class FenceTracker:
    """Knows whether visible text is inside a markdown fence, in memory that does not grow."""

    __slots__ = ("_line", "_open", "last")

    def __init__(self) -> None:
        self.last = ""
        """The last character read."""
        self._open = ""
        self._line = ""

    def read(self, text: str, /) -> None:
        """Take in more of the text. The beginning of a line decides what it is."""
        if not text:
            return
        self.last = text[-1]
        lines, newline, line = text.rpartition("\n")
        if newline:
            self._read_lines(self._line + lines)
            self._line = line[:_LINE_LIMIT]
        else:
            self._line += text[: _LINE_LIMIT - len(self._line)]

    def is_inside(self) -> bool:
        """Whether a fence is open, or the line so far would open one."""
        if self._open:
            return True
        fence = _FENCE.match(self._line)
        return fence is not None and _opens(fence["run"], fence["info"])

    def _read_lines(self, lines: str) -> None:
        if "```" not in lines and "~~~" not in lines:
            return
        for line in _FENCE_LINES.finditer(lines):
            fence = _FENCE.match(line.group()[:_LINE_LIMIT])
            if fence is None:
                continue
            if not self._open:
                self._open = fence["run"] if _opens(fence["run"], fence["info"]) else ""
            elif _closes(self._open, fence):
                self._open = ""

"""Which of the project's files the model is shown, under a budget, with a receipt.

Law: a file is shown whole or not at all, and every file that is left out is named with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import field, frozen

from openbolt.chat.prompt import estimate_tokens
from openbolt.projects.store import FileEntry, Manifest, ProjectStore

__all__ = ["Context", "choose_files"]

_MAX_FILE_BYTES = 256 * 1024
_HEADING = "The project's files as they are now:\n"
# A shorter file is cheap to show, and stands in a reply by chance.
_MIN_REPEATED = 64
_ENTRY_POINTS = ("index.html", "package.json", "src/main", "src/app", "style.css", "script.js")


@frozen
class Context:
    """What is shown.

    Attributes:
        text: For the model; empty if nothing is shown.
        included: Paths.
        omitted: Path and reason.
        tokens: Estimated.
    """

    text: str = ""
    included: tuple[str, ...] = ()
    omitted: tuple[tuple[str, str], ...] = ()
    tokens: int = 0
    version: int = field(default=0)

    def receipt(self) -> dict[str, Any]:
        """As ``data-context`` carries it."""
        return {
            "version": self.version,
            "included": list(self.included),
            "omitted": [{"filePath": path, "reason": why} for path, why in self.omitted],
            "tokens": self.tokens,
        }


async def choose_files(
    projects: ProjectStore,
    manifest: Manifest,
    /,
    *,
    prompt: str,
    said: Sequence[str],
    budget: int,
) -> Context:
    """Choose files for a prompt.

    Files that the prompt names come first, then entry points, then small files.

    Args:
        prompt: The user's message.
        said: Raw replies that the model is shown anyway, the oldest first: a file that stands as
            it is now in the last one that writes it isn't repeated.
        budget: Estimated tokens.
    """
    if not manifest.files:
        return Context(version=manifest.number)
    heading = estimate_tokens(_HEADING)
    shown: list[str] = []
    included: list[str] = []
    omitted: list[tuple[str, str]] = []
    left = budget - heading
    for entry in sorted(manifest.files, key=lambda e: _rank(e, prompt)):
        text, why = await _text(projects, entry, left)
        if text is None:
            omitted.append((entry.path, why))
            continue
        if _is_repeated(entry.path, text.strip(), said):
            omitted.append((entry.path, "already in the conversation"))
            continue
        block = f'<file path="{entry.path}">\n{text}</file>\n'
        cost = estimate_tokens(block)
        if cost > left:
            omitted.append((entry.path, "over the context budget"))
            continue
        left -= cost
        shown.append(block)
        included.append(entry.path)
    if not shown:
        return Context("", (), tuple(omitted), 0, manifest.number)
    text = _HEADING + "".join(shown)
    return Context(text, tuple(included), tuple(omitted), budget - left, manifest.number)


def _is_repeated(path: str, body: str, said: Sequence[str]) -> bool:
    """Whether the last reply that writes the file (not only speaks of it) has it as it is now."""
    if len(body) < _MIN_REPEATED:
        return False
    attributes = (f'{path}"', f"{path}'")
    writing = (r for r in reversed(said) if any(attribute in r for attribute in attributes))
    return body in next(writing, "")


def _rank(entry: FileEntry, prompt: str) -> tuple[int, int, str]:
    name = entry.path.rpartition("/")[2]
    if entry.path in prompt or name in prompt:
        return (0, entry.size, entry.path)
    if entry.path.startswith(_ENTRY_POINTS):
        return (1, entry.size, entry.path)
    return (2, entry.size, entry.path)


async def _text(projects: ProjectStore, entry: FileEntry, left: int) -> tuple[str | None, str]:
    if entry.size > _MAX_FILE_BYTES:
        return None, f"over {_MAX_FILE_BYTES} bytes"
    if entry.size // 4 > left:
        return None, "over the context budget"
    data = await projects.read_blob(entry)
    if b"\0" in data:
        return None, "not text"
    try:
        return data.decode("utf-8"), ""
    except UnicodeDecodeError:
        return None, "not text"

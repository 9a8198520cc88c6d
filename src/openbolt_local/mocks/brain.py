"""Choose what to say: the script of the mock, from the conversation alone.

The law: the same conversation always gets the same answer, character for character; a reply that
was cut can so be continued by any mock, also after a restart.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

from openbolt_local.mocks.call import Message
from openbolt_local.mocks.conversation import Project, asks_on, prompt_of, read_project
from openbolt_local.mocks.followups import FollowUp, follow_up, set_title
from openbolt_local.mocks.pages import PAGES, Page, find_page, page_files
from openbolt_local.mocks.prose import (
    HELLO,
    NOT_UNDERSTOOD,
    NOTHING_TO_CONTINUE,
    NOTHING_YET,
    discuss,
    enhance,
)

DISCUSS = "Mode: discuss"
ENHANCE = "Task: enhance"

_BUILDS = re.compile(
    r"\b(build|create|make|generate|design|write|develop|code|new|i want|i need|give me|bau\w*"
    r"|erstell\w*|mach|schreib\w*|crée\w*|fais|crea|haz|construye)\b",
    re.IGNORECASE,
)
_THING = re.compile(
    r"\b(apps?|pages?|sites?|tools?|programs?|widgets?|seite|anwendung|página|aplicación)\b",
    re.IGNORECASE,
)
_GREETING = re.compile(
    r"^\W*(hi|hello|hey|hallo|moin|bonjour|salut|hola|ciao|help|hilfe|test"
    r"|thanks?( you)?|danke)\b\W*$"
    r"|\b(who|what) are you\b|\bwhat can you do\b"
    r"|\bwas kannst du\b",
    re.IGNORECASE,
)
_NAMED = re.compile(
    r"\b(?:called|named|titled|namens|llamad[oa]|appelée?)\s+"
    r"(?:[\"“'‘«„](?P<quoted>[^\"”'’»“\n]{1,80})[\"”'’»“]"
    r"|(?P<plain>[\w&'’-]+(?: [A-Z][\w&'’-]*)*))",
    re.IGNORECASE,
)
_TITLE_LENGTH = 80


def think(prompt: str) -> str:
    """What the mock pretends to think before it answers `prompt`."""
    words = " ".join(prompt.split())[:120]
    return (
        f"The user says: {words!r}. I am a script, so there is not much to weigh: find the kind of "
        "app by its words, see whether the conversation already has files, and answer. Tags that "
        "I only think of, like <boltArtifact>, are no actions."
    )


def answer(messages: Sequence[Message], system: str) -> str:
    """The whole reply to a conversation that ends in a user turn."""
    if ENHANCE in system:
        return enhance(" ".join(block.text for block in messages[-1].blocks if block.text))
    prompt = prompt_of(messages[-1])
    if DISCUSS in system:
        return discuss(prompt)
    project = read_project(messages)
    if project is not None:
        return _answer_again(project, prompt, messages[-1])
    if _GREETING.search(prompt) or not prompt:
        return HELLO
    page = find_page(prompt)
    if page is not None:
        return _build(page, prompt)
    wish = follow_up(Project("", "", ()), prompt)
    if wish is not None and not (_BUILDS.search(prompt) and _THING.search(prompt)):
        return NOTHING_YET
    return NOTHING_TO_CONTINUE if asks_on(messages[-1]) else _build(PAGES["page"], prompt)


def _answer_again(project: Project, prompt: str, message: Message) -> str:
    page = find_page(prompt)
    wants_new = page is not None and _BUILDS.search(prompt) is not None
    changed = follow_up(project, prompt)
    if changed is not None and not (wants_new and _is_new(page, project)):
        return _change(changed)
    if page is not None and wants_new:
        return _build(page, prompt)
    return NOTHING_TO_CONTINUE if asks_on(message) else NOT_UNDERSTOOD


def _is_new(page: Page | None, project: Project) -> bool:
    return page is not None and page.id != project.artifact_id


def _build(page: Page, prompt: str) -> str:
    files = dict(page_files(page.id))
    title = _title(page, prompt)
    if title != page.title:
        files["index.html"] = set_title(files["index.html"], title) or files["index.html"]
    if page.id == "page":
        words = html.escape(" ".join(prompt.split())[:600], quote=False)
        files["index.html"] = files["index.html"].replace("{{prompt}}", words)
    artifact = _artifact(page.id, title, files.items())
    return (
        f"{page.opening}\n\n{artifact}\n\n{page.closing} You can ask for changes: “make it dark”, "
        "“make it green”, “rename it to …”, “add a footer saying …”, “bigger text”."
    )


def _title(page: Page, prompt: str) -> str:
    if match := _NAMED.search(prompt):
        return " ".join((match["quoted"] or match["plain"]).split())[:_TITLE_LENGTH]
    if page.id != "page":
        return page.title
    first = next((line.strip() for line in prompt.splitlines() if line.strip()), page.title)
    return first if len(first) <= _TITLE_LENGTH else first[: _TITLE_LENGTH - 1].rstrip() + "…"


def _change(changed: FollowUp) -> str:
    parts = [" ".join(changed.done)] if changed.done else []
    if changed.changed:
        project = changed.project
        parts.append(_artifact(project.artifact_id, project.title, changed.changed))
        names = " and ".join(f"`{path}`" for path, _ in changed.changed)
        parts.append(f"Only {names} changed.")
    elif changed.done:
        parts.append("It was like that already, so no file changed.")
    parts += [
        f"I could not do this, because I found no place for it in the files: {sentence}"
        for sentence in changed.failed
    ]
    return "\n\n".join(parts)


def _artifact(artifact_id: str, title: str, files: Iterable[tuple[str, str]]) -> str:
    actions = "\n".join(
        f'<boltAction type="file" filePath="{html.escape(path)}">\n{content.strip()}\n</boltAction>'
        for path, content in files
    )
    name = html.escape(artifact_id)
    return f'<boltArtifact id="{name}" title="{html.escape(title)}">\n{actions}\n</boltArtifact>'

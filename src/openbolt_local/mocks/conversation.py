"""Read a conversation: what is asked for now, which files exist by now, what was cut short.

The law: everything is found in the messages of the request; the mock keeps no chat of its own, as
the real service keeps none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from html import unescape

from attrs import frozen

from openbolt_local.mocks.call import Message
from openbolt_local.mocks.faults import split_directives

_ARTIFACT = re.compile(r"<boltArtifact\b([^>]*)>(.*?)(?:</boltArtifact>|\Z)", re.DOTALL)
_FILE = re.compile(r"<boltAction\b([^>]*)>(.*?)</boltAction>", re.DOTALL)
_ATTRIBUTE = re.compile(r"(\w+)=\"([^\"]*)\"")
_SECTION = re.compile(r"<([A-Za-z][\w-]*)\b[^<>]*>\s*\n.*?</\1>", re.DOTALL)
_TAG = re.compile(r"</?[A-Za-z][^<>]*>")

_CONTINUE = re.compile(
    r"\b(continue|go on|carry on|keep going|cut off|left off|was cut|where you stopped"
    r"|weiter|mach weiter|fortsetzen|continuez?|continúa|sigue|prosegui)\b",
    re.IGNORECASE,
)


@frozen
class Project:
    """The files that the assistant has written so far, newest content first to last path."""

    artifact_id: str
    title: str
    files: tuple[tuple[str, str], ...]


@frozen
class Cut:
    """A reply that stopped short: the conversation that led to it, and how far it came."""

    base: tuple[Message, ...]
    said: str


def prompt_of(message: Message) -> str:
    """The user's own words: the last text block, without directives and tagged sections."""
    texts = [block.text for block in message.blocks if block.kind == "text"]
    text, _ = split_directives(texts[-1] if texts else "")
    words = _SECTION.sub("", text).strip()
    return words or _TAG.sub("", text).strip()


def directive_of(message: Message) -> str | None:
    """The words of the `[mock:...]` directives in the last text block, or None."""
    texts = [block.text for block in message.blocks if block.kind == "text"]
    return split_directives(texts[-1])[1] if texts else None


def asks_on(message: Message) -> bool:
    """Whether a user turn asks to continue the reply before it."""
    return message.role == "user" and _CONTINUE.search(message.text) is not None


def splice(said: str, more: str) -> str:
    """Join two parts of one reply, dropping what the second says again (16 characters or more)."""
    longest = min(len(said), len(more), 4096)
    for size in range(longest, 15, -1):
        if said.endswith(more[:size]):
            return said + more[size:]
    return said + more


def find_cut(
    messages: Sequence[Message], wholes: Callable[[tuple[Message, ...]], Iterable[str]]
) -> tuple[Cut, str] | None:
    """The reply to go on with, and its whole text, if the conversation ends in such a request.

    `wholes` gives the texts that may have been the full reply to a conversation. A chain of parts
    (part, "continue", part, "continue") counts as one reply.
    """
    said = {""}
    end = len(messages) - 1
    while end >= 2 and messages[end - 1].role == "assistant":
        if not asks_on(messages[end]):
            break
        # A repeat at the seam may be an overlap, or code that repeats itself.
        part = messages[end - 1].text
        said = {joined for rest in said for joined in (part + rest, splice(part, rest))}
        base = tuple(messages[: end - 1])
        for whole in wholes(base):
            for text in said:
                if len(text) < len(whole) and whole.startswith(text):
                    return Cut(base, text), whole
        end -= 2
    return None


def read_project(messages: Iterable[Message]) -> Project | None:
    """The newest content of each complete file in the assistant's turns, or None."""
    files: dict[str, str] = {}
    artifact_id = title = ""
    for text in _replies(messages):
        for head, body in _ARTIFACT.findall(text):
            found = _files(body)
            if not found:
                continue
            attributes = _attributes(head)
            artifact_id = attributes.get("id", artifact_id)
            title = attributes.get("title", title)
            files.update(found)
    return Project(artifact_id, title, tuple(files.items())) if files else None


def _replies(messages: Iterable[Message]) -> list[str]:
    """The assistant's replies, those that were asked on joined to one."""
    replies: list[str] = []
    asked_on = False
    for message in messages:
        if message.role == "user":
            asked_on = asks_on(message)
        elif asked_on and replies:
            replies[-1] = splice(replies[-1], message.text)
        else:
            replies.append(message.text)
    return replies


def _attributes(head: str) -> dict[str, str]:
    return {name: unescape(value) for name, value in _ATTRIBUTE.findall(head)}


def _files(body: str) -> dict[str, str]:
    files: dict[str, str] = {}
    for head, content in _FILE.findall(body):
        attributes = _attributes(head)
        if attributes.get("type") == "file" and attributes.get("filePath"):
            files[attributes["filePath"]] = content.strip() + "\n"
    return files

"""What a reply should come to, worked out the slow and obvious way.

Law: shares no code with what it judges. It reads well-formed artifacts only, with double quotes and
without ``>`` in attributes, which is all that the scripted replies here hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_ELEMENT = re.compile(r"<boltArtifact [^>]*>(.*?)(?:</boltArtifact>|\Z)", re.DOTALL)
_OPENED = re.compile(r"<boltAction [^>]*>(.*?)(?:</boltAction>|\Z)", re.DOTALL)
_FILE = re.compile(r'<boltAction type="file" filePath="([^"]*)">(.*?)</boltAction>', re.DOTALL)


def joined(segments: Iterable[str]) -> str:
    """The segments of a reply as one text: what is said again at a seam is said once."""
    whole = ""
    for segment in segments:
        window = whole[-4096:]
        longest = min(len(window), len(segment)) if whole else 0
        again = (n for n in range(longest, 15, -1) if window.endswith(segment[:n]))
        whole += segment[next(again, 0) :]
    return whole


def visible(text: str) -> str:
    """A reply less its artifact elements."""
    return _ELEMENT.sub("", text)


def whole_files(text: str) -> list[tuple[str, str]]:
    """Path and content of every file action that came whole, in order."""
    return [
        (path, body.strip() + "\n")
        for element in _ELEMENT.findall(text)
        for path, body in _FILE.findall(element)
    ]


def action_count(text: str) -> int:
    """Actions that were opened."""
    return sum(len(_OPENED.findall(element)) for element in _ELEMENT.findall(text))


def fold(frames: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The parts that a client holds after these frames, less what is transient."""
    parts: list[dict[str, Any]] = []
    for frame in frames:
        kind = frame["type"]
        known = next((p for p in reversed(parts) if p.get("id") == frame.get("id")
                      and p["kind"] == kind.partition("-")[0]), None)  # fmt: skip
        if kind in {"text-start", "reasoning-start"}:
            name = kind.removesuffix("-start")
            parts.append({"kind": name, "id": frame["id"], "type": name, "text": ""})
        elif kind in {"text-delta", "reasoning-delta"}:
            assert known is not None, f"a delta of a part that was never opened: {frame}"
            assert "state" not in known, f"a delta of a part that is closed: {frame}"
            known["text"] += frame["delta"]
        elif kind in {"text-end", "reasoning-end"}:
            assert known is not None
            assert "state" not in known, f"closed twice: {frame}"
            known["state"] = "done"
        elif kind.startswith("data-") and not frame.get("transient"):
            same = [p for p in parts if p["type"] == kind and p["id"] == frame["id"]]
            if same:
                same[0]["data"] = frame["data"]
            else:
                row = {"kind": "data", "id": frame["id"], "type": kind, "data": frame["data"]}
                parts.append(row)
    return [
        {k: v for k, v in part.items() if k != "kind" and (k != "id" or part["kind"] == "data")}
        for part in parts
    ]

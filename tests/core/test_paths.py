"""Paths: one spelling for each file, and none that leads elsewhere on any system."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from openbolt.errors import InvalidRequestError
from openbolt.projects.paths import MAX_PATH_BYTES, normalize_path


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("index.html", "index.html"),
        ("src/App.tsx", "src/App.tsx"),
        ("  src/a.js\n", "src/a.js"),
        ("/src/a.js", "src/a.js"),
        ("///src/a.js", "src/a.js"),
        ("./src/a.js", "src/a.js"),
        ("././/./src/a.js", "src/a.js"),
        ("/./a.js", "a.js"),
        ("/home/project/src/a.js", "src/a.js"),
        ("/home/project/./a.js", "a.js"),
        ("home/project/a.js", "home/project/a.js"),
        ("/home/other/a.js", "home/other/a.js"),
        (".env", ".env"),
        (".github/workflows/ci.yml", ".github/workflows/ci.yml"),
        (".gitignore", ".gitignore"),
        ("a/.gitkeep", "a/.gitkeep"),
        ("[slug]/(group)/$id.tsx", "[slug]/(group)/$id.tsx"),
        ("a b/c d.txt", "a b/c d.txt"),
        ("..a/b..c/...d", "..a/b..c/...d"),
        ("a+b@c,d;e=f&g#h%20!'~", "a+b@c,d;e=f&g#h%20!'~"),
        ("cafe\u0301.txt", "caf\u00e9.txt"),
        ("日本/語.txt", "日本/語.txt"),
        ("👩‍💻.md", "👩‍💻.md"),
        ("console.log", "console.log"),
        ("com10/lpt.txt", "com10/lpt.txt"),
        ("com.txt", "com.txt"),
        ("a" * 255, "a" * 255),
        ("/".join(["a" * 127] * 8), "/".join(["a" * 127] * 8)),
    ],
)
def test_a_path_is_brought_to_its_one_spelling(raw: str, expected: str) -> None:
    assert normalize_path(raw) == expected
    assert normalize_path(expected) == expected


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ("", "is empty"),
        (" \n\t", "is empty"),
        ("/", "is empty"),
        ("./", "is empty"),
        ("/home/project/", "is empty"),
        (".", "segment"),
        ("..", "segment"),
        ("../a", "segment"),
        ("a/../../b", "segment"),
        ("a/..", "segment"),
        ("a/./b", "segment"),
        ("a//b", "segment"),
        ("a/", "segment"),
        ("./../a", "segment"),
        ("/../../etc/passwd", "segment"),
        ("/home/project/../../etc/passwd", "segment"),
        ("/home/project//etc/passwd", "segment"),
        ("a\\b", r"'\\'"),
        ("..\\..\\a", r"'\\'"),
        ("\\\\server\\share\\a", r"'\\'"),
        ("C:/a", "':'"),
        ("c:a", "':'"),
        ("file.txt:stream", "':'"),
        ("a*", "'*'"),
        ("a?", "'?'"),
        ('a"', "'\"'"),
        ("a<b", "'<'"),
        ("a>b", "'>'"),
        ("a|b", "'|'"),
        ("a\0b", "control"),
        ("a\nb", "control"),
        ("a\rb", "control"),
        ("a\x1bb", "control"),
        ("a\x7fb", "control"),
        ("a\x85b", "control"),
        ("a\u2028b", "control"),
        ("a\ud800b", "control"),
        ("a /b", "space"),
        ("a/ b", "space"),
        ("a./b", "dot"),
        ("a/b.", "dot"),
        ("a/... ./b", "dot"),
        ("...", "dot"),
        ("con", "device"),
        ("a/NUL.txt", "device"),
        ("aux.c", "device"),
        ("aux .c", "device"),
        ("COM1", "device"),
        ("com¹.log", "device"),
        ("lpt9.x.y", "device"),
        ("prn/a", "device"),
        ("CONIN$", "device"),
        (".git/config", "git"),
        ("a/.GIT/hooks/post-checkout", "git"),
        (".g\u200cit/config", "git"),
        ("git~1/config", "git"),
        ("a" * 256, "segment over 255 bytes"),
        ("é" * 128, "segment over 255 bytes"),
        ("/".join(["a" * 127] * 8) + "/b", f"over {MAX_PATH_BYTES} bytes"),
    ],
)
def test_what_can_t_be_brought_there_is_refused_and_says_why(raw: str, why: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        normalize_path(raw)
    assert why in caught.value.public_message
    assert (caught.value.field, caught.value.status_hint) == ("filePath", 400)
    assert caught.value.public_message.startswith("filePath: ")


def test_a_refusal_does_not_repeat_a_long_path() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        normalize_path("x" * 100_000)
    assert len(caught.value.public_message) < 200


def test_a_refusal_can_be_sent_whatever_the_path_was() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        normalize_path("a\ud800\0")
    assert caught.value.public_message.encode("utf-8").isascii()


def test_many_leading_dots_are_taken_off_in_one_go() -> None:
    assert normalize_path("./" * 500_000 + "a") == "a"


def test_what_is_looked_for_is_never_printable() -> None:
    """In this Python's Unicode: only text that isn't printable is looked at closely."""
    hidden = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    characters = map(chr, range(sys.maxunicode + 1))
    assert not [c for c in characters if unicodedata.category(c) in hidden and c.isprintable()]

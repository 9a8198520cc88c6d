"""For every text: a path that stays in its project on every system, or a refusal."""

from __future__ import annotations

import ntpath
import posixpath
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from openbolt.errors import InvalidRequestError
from openbolt.projects.paths import MAX_PATH_BYTES, normalize_path

PIECES = [
    "/", "//", "\\", ".", "..", "...", "./", "../", "..\\", " ", "\t", "\n", "\0", "\u00a0",
    "\u2028", "a", "B", "src", ".git", ".GIT", "git~1", "\u200c", "\u202e", "con", "nul.", "COM1",
    "com¹", ".txt", ":", "C:", "*", "?", '"', "<", ">", "|", "~", "$", "%2e", "%2f", "é", "e\u0301",
    "\u212b", "😀", "\ud800", "\uffff", "/home/project/", "home/project", "\u2024", "\uff0e",
    "\uff0f", "\u2215", "\u0340", "\u037e", "\u1fef", "\u2000", "x" * 250,
]  # fmt: skip
NASTY = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=12).map("".join)


def normalized(raw: str) -> str | None:
    try:
        return normalize_path(raw)
    except InvalidRequestError as exc:
        if exc.field != "filePath" or exc.status_hint != 400:
            raise AssertionError(exc.field) from exc
        return None


@given(NASTY)
@example("/home/project//home/project/x")
@example(".//home/project/../x")
def test_a_path_never_leaves_its_project(raw: str) -> None:
    path = normalized(raw)
    if path is None:
        return
    assert posixpath.normpath(path) == path
    assert posixpath.normpath(posixpath.join("/root/p", path)) == f"/root/p/{path}"
    below = ntpath.normpath(ntpath.join(r"C:\root\p", path))
    assert below == rf"C:\root\p\{path}".replace("/", "\\")
    assert not ntpath.splitdrive(path)[0]


@given(NASTY)
def test_normalizing_twice_is_normalizing_once(raw: str) -> None:
    path = normalized(raw)
    if path is not None:
        assert normalize_path(path) == path


@given(NASTY)
def test_a_path_can_be_stored_anywhere(raw: str) -> None:
    path = normalized(raw)
    if path is None:
        return
    assert 0 < len(path.encode("utf-8")) <= MAX_PATH_BYTES
    assert unicodedata.is_normalized("NFC", path)
    assert not set(path) & set('\\:*?"<>|\0\n\r\u2028')
    for segment in path.split("/"):
        assert segment not in {"", ".", ".."}
        assert segment == segment.rstrip(" .")
        assert segment.lower() != ".git"
        assert 0 < len(segment.encode("utf-8")) <= 255


@given(st.lists(st.text("abz019_-", min_size=1, max_size=8).filter(lambda s: "git" not in s),
                min_size=1, max_size=5))  # fmt: skip
def test_a_plain_path_stays_as_it_is(segments: list[str]) -> None:
    path = "/".join(segments)
    assert normalized(path) == path
    assert normalized(f"/{path}") == normalized(f"./{path}") == path
    assert normalized(f"/home/project/{path}") == path


@pytest.mark.parametrize("prefix", ["../", "a/../", "..\\", "C:", "//../", "./../"])
@given(rest=NASTY)
def test_nothing_after_a_way_out_makes_it_harmless(prefix: str, rest: str) -> None:
    assert normalized(prefix + rest) is None

"""The filter of the enhancer's words, case by case."""

from __future__ import annotations

import pytest

from openbolt.enhancer import TagFilter


def filtered(*deltas: str) -> str:
    tags = TagFilter()
    return "".join([*map(tags.feed, deltas), tags.finish()])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("A to-do list.", "A to-do list."),
        ("a < b, <b>bold</b>, <body>, </bol>", "a < b, <b>bold</b>, <body>, </bol>"),
        ("<boltArtifact id='a'>", "‹boltArtifact id='a'>"),
        ("</boltArtifact>", "‹/boltArtifact>"),
        ("<boltAction type='shell'>rm</boltAction>", "‹boltAction type='shell'>rm‹/boltAction>"),
        ("< boltAction >", "‹ boltAction >"),
        ("<\n/\tboltAction>", "‹\n/\tboltAction>"),
        ("<<boltAction>", "<‹boltAction>"),
        ("ends in <bol", "ends in <bol"),
        ("ends in <", "ends in <"),
        ("<BOLTACTION>", "<BOLTACTION>"),  # the parser knows one spelling only
    ],
)
def test_the_edge_is_taken_off_tags_and_off_nothing_else(text: str, expected: str) -> None:
    assert filtered(text) == expected
    assert filtered(*text) == expected


def test_what_can_be_no_tag_passes_at_once() -> None:
    tags = TagFilter()
    assert tags.feed("a < 1") == "a < 1"
    assert tags.feed("<b") == ""
    assert tags.feed("r>") == "<br>"
    assert tags.finish() == ""


def test_many_blanks_after_a_bracket_are_read_once() -> None:
    text = "<" + " " * 200_000
    assert filtered(text) == text
    assert filtered(*(text[at : at + 1000] for at in range(0, len(text), 1000))) == text


def test_little_is_held_back() -> None:
    tags = TagFilter()
    text = "<" + " " * 1000
    passed = "".join(map(tags.feed, text))
    assert len(text) - len(passed) < 64
    assert passed + tags.finish() == text

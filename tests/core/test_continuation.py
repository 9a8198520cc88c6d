"""The seam: what a continuation repeats is dropped, what code repeats stands."""

from __future__ import annotations

import pytest

from openbolt.chat.continuation import MIN_OVERLAP, WINDOW, Seam

SIXTEEN = "0123456789abcdef"


def joined(before: str, *deltas: str) -> str:
    """What the continuation adds."""
    seam = Seam(before)
    return "".join([*(seam.feed(delta) for delta in deltas), seam.finish()])


def test_the_numbers_are_the_contracted_ones() -> None:
    assert (MIN_OVERLAP, WINDOW, len(SIXTEEN)) == (16, 4096, 16)


@pytest.mark.parametrize(
    ("before", "after", "new"),
    [
        ("let a = 1;", "let b = 2;", "let b = 2;"),
        ("x" + SIXTEEN, SIXTEEN + "new", "new"),
        (SIXTEEN, SIXTEEN, ""),
        ("x" + SIXTEEN[1:], SIXTEEN[1:] + "new", SIXTEEN[1:] + "new"),  # 15 characters
        ("</div>\n</div>\n", "</div>\n</div>\n", "</div>\n</div>\n"),
        ("a" * 40, "a" * 20, ""),
        ("a" * 20, "a" * 50, "a" * 30),
        (SIXTEEN + SIXTEEN, SIXTEEN + SIXTEEN + "!", "!"),  # the longest, not the first
        (SIXTEEN + "?", SIXTEEN + "!", SIXTEEN + "!"),  # not at the very end
        ("", SIXTEEN, SIXTEEN),
        (SIXTEEN, "", ""),
        (SIXTEEN, "0", "0"),
        (SIXTEEN, SIXTEEN[:15], SIXTEEN[:15]),
    ],
)
def test_the_longest_overlap_of_at_least_sixteen_is_dropped(
    before: str, after: str, new: str
) -> None:
    assert joined(before, after) == new
    assert joined(before, *after) == new


def test_an_overlap_of_the_whole_window_is_dropped_and_no_longer_one() -> None:
    text = "".join(f"line {n}\n" for n in range(2000))
    window = text[-WINDOW:]
    assert joined(text, window + "new") == "new"
    # One more is a suffix too, but out of sight: nothing that ends the window starts it.
    more = text[-WINDOW - 1 :] + "new"
    assert joined(text, more) == more


def test_only_the_last_characters_before_matter() -> None:
    text = "".join(f"line {n}\n" for n in range(2000))
    assert joined(text[-WINDOW:], text[-100:] + "new") == joined(text, text[-100:] + "new") == "new"


def test_what_can_be_no_overlap_passes_at_once() -> None:
    seam = Seam("some text that was there before")
    delta = "something else entirely"
    assert seam.feed(delta) == delta
    for later in ("x", "", "some text that was there before"):
        assert seam.feed(later) is later
    assert seam.finish() == ""


def test_after_a_short_text_nothing_is_held_back() -> None:
    seam = Seam("short")
    assert seam.feed("s") == "s"
    assert seam.finish() == ""


def test_what_may_be_an_overlap_is_held_back_until_it_is_decided() -> None:
    seam = Seam("x" + SIXTEEN)
    assert [seam.feed(char) for char in SIXTEEN] == [""] * 16
    assert seam.feed("!") == "!"


def test_the_end_decides() -> None:
    seam = Seam("x" + SIXTEEN + SIXTEEN)
    assert seam.feed(SIXTEEN) == ""
    assert seam.finish() == ""
    assert seam.finish() == ""


def test_no_more_is_held_back_than_the_window() -> None:
    seam = Seam("a" * 10_000)
    passed = [seam.feed("a") for _ in range(WINDOW)]
    assert passed == [""] * WINDOW
    later = "a" * 100
    assert seam.feed(later) is later

"""The seam against an oracle that tries every overlap, however the continuation is cut."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import example, given
from hypothesis import strategies as st

from openbolt.chat.continuation import MIN_OVERLAP, WINDOW, Seam

# Few letters, so that repeats within repeats are the rule.
TEXTS = st.text("ab", max_size=60) | st.lists(
    st.sampled_from(["abcabcabc", "<div>\n", "  ", "x", "é😀", "}\n\n", "0123456789abcdef"]),
    max_size=20,
).map("".join)


@st.composite
def continued(draw: st.DrawFn) -> tuple[str, str]:
    """A text and what a model goes on with: often a piece of its end, then something new."""
    before = draw(TEXTS)
    again = draw(st.integers(0, len(before)))
    return before, before[len(before) - again :] + draw(TEXTS)


def cut(text: str, at: Iterable[int]) -> list[str]:
    edges = sorted(min(len(text), place) for place in at)
    return [text[a:b] for a, b in zip([0, *edges], [*edges, len(text)], strict=True)]


def oracle(before: str, after: str) -> str:
    sizes = range(MIN_OVERLAP, min(len(before), len(after), WINDOW) + 1)
    return after[max((n for n in sizes if before.endswith(after[:n])), default=0) :]


def joined(before: str, deltas: Iterable[str]) -> str:
    seam = Seam(before)
    return "".join([*(seam.feed(delta) for delta in deltas), seam.finish()])


@given(continued(), st.lists(st.integers(0, 120), max_size=12))
@example(("a" * 17, "a" * 16 + "b"), [])
@example(("ab" * 20, "ba" * 20), [1, 2, 3])
def test_the_longest_overlap_is_dropped_however_it_is_cut(
    texts: tuple[str, str], places: list[int]
) -> None:
    before, after = texts
    assert joined(before, cut(after, places)) == oracle(before, after)


@given(st.integers(0, WINDOW + 50), st.integers(1, 700), st.sampled_from(["", "!", "0 1 2"]))
def test_in_long_texts_too(again: int, step: int, rest: str) -> None:
    before = "".join(f"{n} " for n in range(2000))
    after = before[len(before) - again :] + rest
    deltas = [after[at : at + step] for at in range(0, len(after), step)]
    assert joined(before, deltas) == oracle(before, after)


@given(continued(), st.lists(st.integers(0, 120), max_size=12))
def test_nothing_is_invented_and_nothing_comes_late(
    texts: tuple[str, str], places: list[int]
) -> None:
    """What has come out is a piece of what went in, and after the end nothing is held."""
    before, after = texts
    seam = Seam(before)
    out = ""
    fed = ""
    for delta in cut(after, places):
        fed += delta
        out += seam.feed(delta)
        assert fed.endswith(out)
    out += seam.finish()
    assert after.endswith(out)
    assert seam.finish() == ""

"""For every text and every way to cut it, what the enhancer lets out does nothing in a chat."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hypothesis import example, given
from hypothesis import strategies as st

from openbolt.chat.artifacts import ArtifactParser, Text
from openbolt.enhancer import TagFilter

FRAGMENTS = [
    "<", "</", ">", "/>", "/", " ", "\n", "\t", "\f", "\v", "\u00a0", " " * 15, " " * 16, " " * 17,
    "b", "bo", "bol", "bolt", "<b", "<bo", "<bol", "<bolt", "boltAction", "boltArtifact",
    "<boltAction ", "<boltArtifact>", "</boltAction>", "</boltArtifact>", ' type="file"',
    ' id="a" title="b"', "x", "é", '<boltAction type="shell">', "‹", "<<", "< /", "&lt;", "```\n",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=3), max_size=25).map("".join)
# Generous: any `<` that `bolt` follows after blanks and slashes.
TAG = re.compile(r"<[\s/]*bolt")


@st.composite
def cut_texts(draw: st.DrawFn) -> list[str]:
    text = draw(TEXTS)
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=12)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def filtered(deltas: Iterable[str]) -> str:
    tags = TagFilter()
    return "".join([*map(tags.feed, deltas), tags.finish()])


@given(cut_texts())
@example(["<", "boltAction type='shell'>"])
@example(["<" + " " * 16, "boltAction type='shell'>rm</boltAction>"])
@example(["<" + " " * 16 + "/" + " " * 16, "boltAction>"])
@example(list('<boltAction type="file" filePath="a">x</boltAction>'))
def test_what_comes_out_is_mere_text_to_the_parser(deltas: list[str]) -> None:
    text = filtered(deltas)
    parser = ArtifactParser()
    events = [*parser.feed(text), *parser.finish()]
    assert [type(event) for event in events] == [Text] * len(events)
    assert "".join(event.text for event in events if isinstance(event, Text)) == text


@given(cut_texts())
def test_however_it_is_cut_the_same_comes_out(deltas: list[str]) -> None:
    assert filtered(deltas) == filtered(["".join(deltas)])


@given(cut_texts())
def test_nothing_but_the_bracket_of_a_tag_is_changed(deltas: list[str]) -> None:
    before, after = "".join(deltas), filtered(deltas)
    assert len(after) == len(before)
    changed = [at for at, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    assert all(before[at] == "<" and after[at] == "‹" for at in changed)
    assert all(TAG.match(before, at) for at in changed)


@given(cut_texts().filter(lambda deltas: not TAG.search("".join(deltas))))
def test_text_without_such_tags_passes_unchanged(deltas: list[str]) -> None:
    assert filtered(deltas) == "".join(deltas)

"""What holds for every text and every way to cut it."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from hypothesis import given, settings
from hypothesis import strategies as st

from openbolt.chat._tags import TagReader
from openbolt.chat.artifacts import (
    ActionClosed,
    ActionDelta,
    ActionOpened,
    ArtifactClosed,
    ArtifactOpened,
    ArtifactParser,
    Event,
    Repair,
    Text,
)
from tests.artifacts import merged

MAX_TAG = 80
"""Small, so that generated tags exceed it."""

FRAGMENTS = [
    "<", ">", "/", "=", '"', "'", "`", "&", " ", "\n", "\r\n", "\t", "x", "é", "😀", "\u2028", "\0",
    "```", "~~~", "\n```\n", "\n```js\n", "&lt;", "&amp;", "&#39;", "&quot;", "&#x110000;",
    "<bolt", "<boltA", "boltAction", "< boltAction", "<boltAction", "<boltAction ", "<boltArtifact",
    "<boltArtifact>", "<boltAction>", "<boltArtifact ", "</", "</bolt", "</boltAction",
    "</boltArtifact", "</boltAction>", "</boltArtifact>", "< / boltAction >", "</boltArtifact >",
    " id=", ' id="a"', " id='a'", " title=b", ' title="a > b"', ' type="file"', ' type="shell"',
    " type=start", ' filePath="a.js"', ' filePath="a.md"', "/>", ' x="y z="w"', '="', '"a"',
    '<boltArtifact id="a" title="A">', '<boltAction type="file" filePath="a.ts">',
    '<boltAction type="odd">', '<boltAction type="shell">', '<boltAction type="start"/>',
    '<boltArtifact id="a>\n<boltAction type="file">', " " * 17, "-" * 40, "let a = b;\n", "<div>",
]  # fmt: skip

texts = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=3), max_size=30).map("".join)


@st.composite
def cut_texts(draw: st.DrawFn) -> list[str]:
    """A text in deltas, some of them empty."""
    text = draw(texts)
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=20)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def read(deltas: Iterable[str]) -> list[Event]:
    parser = ArtifactParser(max_tag=MAX_TAG)
    events = [event for delta in deltas for event in parser.feed(delta)]
    return events + parser.finish()


@given(cut_texts())
def test_every_cut_of_a_text_gives_the_same_events(deltas: list[str]) -> None:
    text = "".join(deltas)
    whole = merged(read([text]))
    assert merged(read(deltas)) == whole
    assert merged(read(text)) == whole


attribute_values = st.text(
    st.sampled_from("ab&<>='/ \n\u2028é") | st.characters(), max_size=6
) | st.sampled_from(["&lt;", "&amp;quot;", "&#233;", "&nothing;", "a > b"])
usual_attributes = st.builds(
    lambda name, value: f' {name}="{value}"',
    st.sampled_from(["id", "title", "filePath"]),
    attribute_values.map(lambda value: value.replace('"', "")),
)
odd_attributes = st.builds(
    lambda gap, name, equals, quote, value: gap + name + equals + quote + value + quote,
    st.sampled_from([" ", " ", "  ", "\n", "\t", ""]),
    st.sampled_from(["id", "type", "filePath", "data-id", "x:y", "é", "1", '"', "_"]),
    st.sampled_from(["=", "=", "=", " =", "= "]),
    st.sampled_from(['"', '"', '"', "'", ""]),
    attribute_values,
)
tags = st.builds(
    lambda parts, end: f"<boltArtifact{''.join(parts)}{end}",
    st.lists(usual_attributes | usual_attributes | odd_attributes, max_size=4),
    st.sampled_from([">", ">", ">", " >", "\n>", "/>", " / >", ""]),
)


@given(tags, st.sampled_from(["", "x", '"', "</boltArtifact>"]))
def test_a_tag_says_the_same_at_once_and_character_by_character(tag: str, after: str) -> None:
    name_end, text = len("<boltArtifact"), tag + after
    at_once, bit_by_bit = TagReader(name_end), TagReader(name_end)
    end = at_once.read(text)
    shown = name_end
    slow_end = None
    while slow_end is None and shown < len(text):
        shown += 1
        slow_end = bit_by_bit.read(text[:shown])
    assert end == slow_end
    if end is not None and end.is_tag:
        assert (at_once.attributes, at_once.oddities, at_once.self_closing) == (
            bit_by_bit.attributes,
            bit_by_bit.oddities,
            bit_by_bit.self_closing,
        )


@given(cut_texts())
def test_events_are_nested_and_everything_is_closed_once(deltas: list[str]) -> None:
    artifact: str | None = None
    action: str | None = None
    actions = 0
    body = ""
    for event in read(deltas):
        match event:
            case ArtifactOpened(artifact_id):
                assert artifact is None
                artifact = artifact_id
            case ActionOpened(artifact_id, action_id):
                assert (artifact, action) == (artifact_id, None)
                assert action_id == str(actions)
                action, body = action_id, ""
                actions += 1
            case ActionDelta(action_id, delta):
                assert action_id == action
                assert delta
                body += delta
            case ActionClosed(action_id, content, verdict):
                assert action_id == action
                assert verdict == "repaired" or content.strip() == body.strip()
                action = None
            case ArtifactClosed(artifact_id):
                assert (artifact, action) == (artifact_id, None)
                artifact = None
            case Text(text):
                assert artifact is None
                assert text
            case Repair(_, detail):
                assert detail
    assert (artifact, action) == (None, None)


@given(texts)
def test_a_text_cut_short_says_nothing_that_the_whole_does_not(text: str) -> None:
    """What was shown stays true: the events of a beginning are a beginning of the events."""
    parser = ArtifactParser(max_tag=MAX_TAG)
    whole = merged(read([text]))
    shown: list[Event] = []
    for char in text:
        shown = merged(shown + parser.feed(char))
        assert shown[:-1] == whole[: max(len(shown) - 1, 0)]


@given(st.text(st.sampled_from("<>/abBolt Arifc\"'=`~\n"), max_size=60))
def test_text_without_a_whole_tag_name_is_visible(text: str) -> None:
    if "boltA" not in text:
        assert merged(read(text)) == ([Text(text)] if text else [])


# Well-formed messages, written by something that knows nothing of how they are read.
safe = st.text(st.characters(exclude_characters="<`~", exclude_categories=["Cs"]), max_size=20)
prose = st.lists(safe | st.sampled_from(["<b>", "a < b", "</p>", "<"]), max_size=4).map(" ".join)
values = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)


@st.composite
def messages(draw: st.DrawFn) -> tuple[str, list[Event]]:
    text, events, ordinal = "", list[Event](), 0
    for _ in range(draw(st.integers(0, 3))):
        before = draw(prose)
        text += before
        events += [Text(before)] if before else []
        artifact_id, title = "i" + draw(values), draw(values)
        pairs = draw(st.permutations([("id", artifact_id), ("title", title)]))
        text += "<boltArtifact" + _attributes(pairs) + ">"
        events.append(ArtifactOpened(artifact_id, title, None))
        for _ in range(draw(st.integers(0, 3))):
            action_type = draw(st.sampled_from(["file", "shell", "start", "edit"]))
            pairs = [("type", action_type)]
            if action_type == "file":
                pairs.append(("filePath", draw(values) + ".txt"))
            body = draw(prose)
            text += f"\n<boltAction{_attributes(pairs)}>{body}</boltAction>"
            path = dict(pairs).get("filePath")
            events.append(ActionOpened(artifact_id, str(ordinal), action_type, path, dict(pairs)))
            events += [ActionDelta(str(ordinal), body)] if body else []
            content = body.strip() + ("\n" if action_type == "file" else "")
            events.append(ActionClosed(str(ordinal), content, "complete"))
            ordinal += 1
        text += "</boltArtifact>"
        events.append(ArtifactClosed(artifact_id))
    return text, events


def _attributes(pairs: Iterable[tuple[str, str]]) -> str:
    return "".join(f' {name}="{escape(value)}"' for name, value in pairs)


@given(messages(), st.integers(1, 30))
def test_a_well_formed_message_is_read_as_it_was_written(
    message: tuple[str, list[Event]], size: int
) -> None:
    text, events = message
    parser = ArtifactParser()
    read_events: list[Event] = []
    for at in range(0, len(text), size):
        read_events += parser.feed(text[at : at + size])
    assert merged(read_events + parser.finish()) == merged(events)


@settings(max_examples=50)
@given(messages())
def test_every_beginning_of_a_well_formed_message_keeps_its_promises(
    message: tuple[str, list[Event]],
) -> None:
    """Cut anywhere, what is complete is as in the whole, and the rest is truncated."""
    text, events = message
    whole = {event.action_id: event for event in events if isinstance(event, ActionClosed)}
    for end in range(0, len(text), 3):
        closed = [event for event in read_with_limit(text[:end]) if isinstance(event, ActionClosed)]
        for event in closed[:-1]:
            assert event == whole[event.action_id]
        for event in closed[-1:]:
            known = whole[event.action_id]
            assert event == known or event.verdict == "truncated"
            assert known.content.startswith(event.content.strip())


def read_with_limit(text: str) -> list[Event]:
    parser = ArtifactParser()
    return parser.feed(text) + parser.finish()

"""From a model's events to a turn's: the laws of one assistant message, end to end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbolt.chat import artifacts
from openbolt.chat.assembly import FileReady, Output, ReplyAssembler
from openbolt.chat.events import (
    ActionDelta,
    DataPart,
    ReasoningDelta,
    ReasoningEnded,
    ReasoningStarted,
    TextDelta,
    TextEnded,
    TextStarted,
)
from openbolt.costs import Usage
from openbolt.model import (
    ModelEvent,
    ModelUsage,
    RedactedThinkingBlock,
    ReplyStarted,
    ReplyStopped,
    StillAlive,
    TextBlock,
    ThinkingBlock,
    ThinkingClosed,
    ThinkingDelta,
    ThinkingOpened,
    UsageReported,
)
from openbolt.model import TextDelta as ModelText

OPEN = '<boltArtifact id="site" title="A site">'
FILE = '<boltAction type="file" filePath="index.html">'
CLOSE = "</boltAction></boltArtifact>"
THOUGHT = ThinkingBlock("hm", "signed")


def thinking(*deltas: str) -> list[ModelEvent]:
    deltas_ = [ThinkingDelta(delta) for delta in deltas]
    return [ThinkingOpened(), *deltas_, ThinkingClosed(THOUGHT)]


def words(*deltas: str) -> list[ModelEvent]:
    return [ModelText(delta) for delta in deltas]


def assembled(*segments: Iterable[ModelEvent]) -> tuple[list[Output], ReplyAssembler]:
    assembler = ReplyAssembler()
    out: list[Output] = []
    for segment in segments:
        assembler.begin_segment()
        for event in segment:
            out += assembler.feed([event])
        out += assembler.end_segment()
    return out + assembler.finish(), assembler


def merged(outputs: Iterable[Output]) -> list[Output]:
    """Outputs with neighboring deltas of one part joined."""
    result: list[Output] = []
    for output in outputs:
        match result[-1] if result else None, output:
            case TextDelta(a, before), TextDelta(b, after) if a == b:
                result[-1] = TextDelta(a, before + after)
            case ActionDelta(a, before), ActionDelta(b, after) if a == b:
                result[-1] = ActionDelta(a, before + after)
            case _:
                result.append(output)
    return result


def visible(outputs: Iterable[Output]) -> str:
    return "".join(output.delta for output in outputs if isinstance(output, TextDelta))


def artifact(state: str, **more: Any) -> DataPart:
    data = {"artifactId": "site", "title": "A site", "state": state, **more}
    return DataPart("artifact", "site", data)


def action(state: str, content: str | None = None, number: str = "0") -> DataPart:
    data = {"artifactId": "site", "actionId": number, "type": "file", "state": state}
    data["filePath"] = "index.html"
    return DataPart("action", number, data if content is None else {**data, "content": content})


def test_a_whole_reply() -> None:
    segment = [
        ReplyStarted("msg_1", "the-model"),
        UsageReported(ModelUsage(10, 1, 2, 3)),
        *thinking("h", "m"),
        *words("Here ", "it is:\n", OPEN + "\n" + FILE + "\n<p>", "Hi</p>\n", CLOSE, "\nDone."),
        StillAlive(),
        UsageReported(ModelUsage(output_tokens=40)),
        ReplyStopped("end_turn"),
    ]
    out, assembler = assembled(segment)
    assert merged(out) == [
        ReasoningStarted("r1"),
        ReasoningDelta("r1", "h"),
        ReasoningDelta("r1", "m"),
        ReasoningEnded("r1"),
        TextStarted("t2"),
        TextDelta("t2", "Here it is:\n"),
        TextEnded("t2"),
        artifact("open"),
        action("open"),
        ActionDelta("0", "\n<p>Hi</p>\n"),
        action("closed", "<p>Hi</p>\n"),
        FileReady("index.html", "<p>Hi</p>\n", "complete"),
        artifact("closed"),
        TextStarted("t3"),
        TextDelta("t3", "\nDone."),
        TextEnded("t3"),
    ]
    assert assembler.raw == "".join(e.text for e in segment if isinstance(e, ModelText))
    assert (assembler.title, assembler.model) == ("A site", "the-model")
    assert (assembler.stop_reason, assembler.size) == ("end_turn", len(assembler.raw) + 2)  # "hm"
    assert assembler.usage == Usage(10, 40, 2, 3, 1)


def test_text_comes_out_as_it_comes_in() -> None:
    assembler = ReplyAssembler()
    assembler.begin_segment()
    assert assembler.feed([ModelText("a"), ModelText("b")]) == [
        TextStarted("t1"),
        TextDelta("t1", "a"),
        TextDelta("t1", "b"),
    ]
    assert assembler.feed([ModelText("c")]) == [TextDelta("t1", "c")]
    assert assembler.finish() == [TextEnded("t1")]


def test_tags_in_reasoning_are_no_actions() -> None:
    out, assembler = assembled([*thinking(OPEN + FILE, "x" + CLOSE), *words("Just text.")])
    assert merged(out) == [
        ReasoningStarted("r1"),
        ReasoningDelta("r1", OPEN + FILE),
        ReasoningDelta("r1", "x" + CLOSE),
        ReasoningEnded("r1"),
        TextStarted("t2"),
        TextDelta("t2", "Just text."),
        TextEnded("t2"),
    ]
    assert (assembler.raw, assembler.title) == ("Just text.", "")


def test_a_tag_can_t_be_split_between_text_and_reasoning() -> None:
    out, _ = assembled([*words("<boltArt"), *thinking('ifact id="a" title="b">'), *words("x")])
    assert visible(out) == "<boltArtx"
    assert not any(isinstance(output, DataPart) for output in out)


def test_reasoning_ends_the_text_before_it() -> None:
    out, _ = assembled([*words("a"), *thinking("hm"), *words("b")])
    assert out == [
        TextStarted("t1"),
        TextDelta("t1", "a"),
        TextEnded("t1"),
        ReasoningStarted("r2"),
        ReasoningDelta("r2", "hm"),
        ReasoningEnded("r2"),
        TextStarted("t3"),
        TextDelta("t3", "b"),
        TextEnded("t3"),
    ]


def test_reasoning_that_is_not_closed_is_closed_with_its_segment() -> None:
    out, assembler = assembled([ThinkingOpened(), ThinkingDelta("a"), ThinkingOpened()])
    assert out == [
        ReasoningStarted("r1"),
        ReasoningDelta("r1", "a"),
        ReasoningEnded("r1"),
        ReasoningStarted("r2"),
        ReasoningEnded("r2"),
    ]
    assert assembler.segment_blocks() == ()


def test_a_file_open_across_a_seam_stays_one_action() -> None:
    first = OPEN + FILE + "const answer = 42;\nconst que"
    out, assembler = assembled(
        [*words(first), ReplyStopped("max_tokens")],
        [*words("stion = 6 * 9;\n" + CLOSE), ReplyStopped("end_turn")],
    )
    content = "const answer = 42;\nconst question = 6 * 9;\n"
    assert merged(out) == [
        artifact("open"),
        action("open"),
        ActionDelta("0", content),
        action("closed", content),
        FileReady("index.html", content, "complete"),
        artifact("closed"),
    ]
    assert assembler.stop_reason == "end_turn"


def test_what_a_continuation_repeats_is_said_once() -> None:
    first = OPEN + FILE + "const answer = 42;\nconst question = 6"
    out, assembler = assembled(
        words(first), words("const quest", "ion = 6", " * 9;\n" + CLOSE, "Done.")
    )
    content = "const answer = 42;\nconst question = 6 * 9;\n"
    assert FileReady("index.html", content, "complete") in out
    assert visible(out) == "Done."
    assert assembler.raw == OPEN + FILE + content + CLOSE + "Done."
    assert assembler.size == len(assembler.raw)


def test_a_tag_cut_by_a_seam_is_one_tag() -> None:
    whole = "Hi " + OPEN + FILE + "x" + CLOSE
    expected = merged(assembled(words(whole))[0])
    for at in range(1, len(whole)):
        assert merged(assembled(words(whole[:at]), words(whole[at:]))[0]) == expected


def test_a_continuation_that_says_nothing_new_adds_nothing() -> None:
    text = "A sentence that is long enough."
    out, assembler = assembled(words(text), words(text), words("sentence that is long enough."))
    assert (visible(out), assembler.raw) == (text, text)
    assert assembler.usage.segments == 3


def test_text_goes_on_in_its_part_across_a_seam() -> None:
    out, _ = assembled(words("Hello, "), words("world."))
    assert merged(out) == [
        TextStarted("t1"),
        TextDelta("t1", "Hello, world."),
        TextEnded("t1"),
    ]


def test_usage_is_the_sum_of_what_each_segment_said_last() -> None:
    def said(*reports: ModelUsage) -> list[ModelEvent]:
        return [UsageReported(report) for report in reports]

    first = said(ModelUsage(100, 1, 5, 7), ModelUsage(output_tokens=50))
    second = said(ModelUsage(160, 1), ModelUsage(None, 20, 0, None), ModelUsage(output_tokens=30))
    out, assembler = assembled(first, second, [])
    assert out == []
    assert assembler.usage == Usage(260, 80, 5, 7, 3)


def test_usage_is_known_in_mid_segment() -> None:
    assembler = ReplyAssembler()
    assert assembler.usage == Usage()
    assembler.begin_segment()
    assembler.feed([UsageReported(ModelUsage(10, 2))])
    assert assembler.usage == Usage(10, 2, 0, 0, 1)
    assembler.begin_segment()
    assembler.feed([UsageReported(ModelUsage(input_tokens=11))])
    assert assembler.usage == Usage(21, 2, 0, 0, 2)


def test_the_stop_reason_is_of_the_segment_that_runs() -> None:
    assembler = ReplyAssembler()
    assembler.begin_segment()
    assembler.feed([ReplyStopped("max_tokens")])
    assert assembler.stop_reason == "max_tokens"
    assembler.begin_segment()
    assert assembler.stop_reason is None


def test_a_segment_is_shown_to_the_model_again_to_its_last_blank() -> None:
    redacted = RedactedThinkingBlock("xyz")
    assembler = ReplyAssembler()
    assembler.begin_segment()
    assembler.feed([*thinking("hm"), ThinkingOpened(), ThinkingClosed(redacted)])
    assembler.feed(words("Some text \n"))
    assembler.end_segment()
    assert assembler.segment_blocks() == (THOUGHT, redacted, TextBlock("Some text \n"))
    assembler.begin_segment()
    assert assembler.segment_blocks() == ()
    assembler.feed(words("and more text that goes on"))
    assembler.end_segment()
    assert assembler.segment_blocks() == (TextBlock("and more text that goes on"),)


def test_a_segment_of_white_space_has_no_text_to_show_again() -> None:
    assembler = ReplyAssembler()
    assembler.begin_segment()
    assembler.feed(words(" \n"))
    assembler.end_segment()
    assert assembler.segment_blocks() == ()


def test_a_checkpoint_gets_each_piece_of_raw_text_once() -> None:
    assembler = ReplyAssembler()
    assembler.begin_segment()
    assembler.feed(words("a", OPEN))
    assert assembler.take_unsaved() == "a" + OPEN
    assert assembler.take_unsaved() == ""
    assembler.feed(words("b"))
    assembler.end_segment()
    assert assembler.take_unsaved() == "b"
    assert assembler.raw == "a" + OPEN + "b"


@pytest.mark.parametrize(
    ("body", "content", "verdict"),
    [
        ("x" + CLOSE, "x\n", "complete"),
        ("x</boltArtifact>", "x\n", "repaired"),
        ("```html\nx\n```" + CLOSE, "x\n", "repaired"),
        ("x", "x\n", "truncated"),
        ("x</boltAct", "x\n", "truncated"),
    ],
)
def test_a_file_is_handed_on_with_how_it_ended(
    body: str, content: str, verdict: Literal["complete", "repaired", "truncated"]
) -> None:
    out, _ = assembled(words(OPEN + FILE + body))
    assert [o for o in out if isinstance(o, FileReady)] == [
        FileReady("index.html", content, verdict)
    ]
    state = "closed" if verdict == "complete" else verdict
    assert action(state, content) in out
    assert artifact("closed") in out


def test_a_file_is_handed_on_right_after_its_action_closed() -> None:
    out, _ = assembled(words(OPEN + FILE + "x" + CLOSE))
    at = next(at for at, output in enumerate(out) if isinstance(output, FileReady))
    assert out[at - 1] == action("closed", "x\n")


def test_a_command_is_no_file() -> None:
    out, _ = assembled(words(OPEN + '<boltAction type="shell">npm i</boltAction></boltArtifact>'))
    data = {"artifactId": "site", "actionId": "0", "type": "shell"}
    assert out == [
        artifact("open"),
        DataPart("action", "0", {**data, "state": "open"}),
        ActionDelta("0", "npm i"),
        DataPart("action", "0", {**data, "state": "closed", "content": "npm i"}),
        artifact("closed"),
    ]


def test_a_file_without_a_path_is_handed_on_without_one() -> None:
    out, _ = assembled(words(OPEN + '<boltAction type="file">x' + CLOSE))
    assert FileReady(None, "x\n", "complete") in out


def test_an_edit_says_that_it_is_one() -> None:
    out, _ = assembled(words(OPEN + '<boltAction type="edit" filePath="a">x' + CLOSE))
    assert FileReady("a", "x", "complete", "edit") in out


def test_an_artifact_s_kind_is_told_where_it_has_one() -> None:
    out, _ = assembled(words('<boltArtifact id="site" title="A site" type="bundled">'))
    assert artifact("open", kind="bundled") in out
    assert artifact("closed", kind="bundled") in out


def test_repairs_are_notices_of_their_own() -> None:
    out, _ = assembled(words("<boltArtifact id=site title='A site'>", "<boltArtifact id='x'>"))
    notices = [o for o in out if isinstance(o, DataPart) and o.name == "notice"]
    assert [notice.part_id for notice in notices] == [
        f"repair-{n + 1}" for n in range(len(notices))
    ]
    assert [notice.data["repair"] for notice in notices] == [
        "tag",
        "nested-artifact",
        "unclosed-artifact",
    ]
    assert all(notice.data["kind"] == "repair" and notice.data["message"] for notice in notices)


def test_the_title_is_that_of_the_first_artifact() -> None:
    second = OPEN.replace("A site", "Another")
    _, assembler = assembled(words(OPEN + "</boltArtifact>" + second + "</boltArtifact>"))
    assert assembler.title == "A site"


def test_finishing_twice_says_nothing_twice() -> None:
    _, assembler = assembled(words("a" + OPEN))
    assert assembler.finish() == []


FRAGMENTS = [
    "Hello. ", "<", "<b", "<bolt", "</", ">", "\n", "```\n", "é😀", "\ud800", "x" * 20, "a < b > c",
    OPEN, OPEN.replace("site", "two"), FILE, '<boltAction type="shell">', '<boltAction type="odd">',
    "</boltAction>", "</boltArtifact>", CLOSE, "<boltArtifact", " title='", "some code();\n",
]  # fmt: skip


@st.composite
def cut_texts(draw: st.DrawFn) -> list[str]:
    text = "".join(draw(st.lists(st.sampled_from(FRAGMENTS), max_size=20)))
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=12)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


THOUGHTS = st.lists(st.sampled_from(FRAGMENTS), max_size=2).map(lambda d: thinking(*d))
REPLIES = st.lists(
    st.lists(cut_texts().map(lambda deltas: words(*deltas)) | THOUGHTS, max_size=3).map(
        lambda pieces: [event for piece in pieces for event in piece]
    ),
    min_size=1,
    max_size=3,
)


def opened_and_closed(outputs: Sequence[Output]) -> list[str]:
    """Check that parts open and close in turn; the ids of all, as they were opened."""
    opened: list[str] = []
    current: str | None = None
    for output in outputs:
        match output:
            case TextStarted(part_id) | ReasoningStarted(part_id):
                assert current is None
                current = part_id
                opened.append(part_id)
            case TextDelta(part_id) | ReasoningDelta(part_id):
                assert current == part_id
            case TextEnded(part_id) | ReasoningEnded(part_id):
                assert current == part_id
                current = None
            case DataPart("artifact", _, data) if data["state"] == "open":
                assert current is None
            case _:
                pass
    assert current is None
    return opened


@given(cut_texts())
def test_visible_text_is_the_text_outside_artifacts_however_it_is_cut(deltas: list[str]) -> None:
    parser = artifacts.ArtifactParser()
    parsed = [*parser.feed("".join(deltas)), *parser.finish()]
    expected = "".join(event.text for event in parsed if isinstance(event, artifacts.Text))
    out, assembler = assembled(words(*deltas))
    assert visible(out) == expected
    assert assembler.raw == "".join(deltas)
    assert merged(out) == merged(assembled(words("".join(deltas)))[0])


@given(st.lists(st.sampled_from(["Hello. ", "a < b\n", "</b>", "<", "é", "bolt", ">"])))
def test_text_without_artifacts_is_all_visible(deltas: list[str]) -> None:
    assert visible(assembled(words(*deltas))[0]) == "".join(deltas)


@given(REPLIES)
def test_every_part_is_opened_once_and_closed_once(segments: list[list[ModelEvent]]) -> None:
    opened = opened_and_closed(assembled(*segments)[0])
    assert len(set(opened)) == len(opened)


@given(REPLIES)
def test_every_artifact_and_action_that_is_opened_is_closed(
    segments: list[list[ModelEvent]],
) -> None:
    out = assembled(*segments)[0]
    for name in ("artifact", "action"):
        open_now: list[str] = []
        for output in out:
            if isinstance(output, DataPart) and output.name == name:
                if output.data["state"] == "open":
                    open_now.append(output.part_id)
                else:
                    assert open_now.pop() == output.part_id
                    assert name != "action" or "content" in output.data
            elif isinstance(output, ActionDelta) and name == "action":
                assert open_now == [output.action_id]
        assert open_now == []


@given(REPLIES)
def test_reasoning_adds_nothing_to_what_is_said_and_done(
    segments: list[list[ModelEvent]],
) -> None:
    silent = [[event for event in segment if isinstance(event, ModelText)] for segment in segments]
    with_reasoning, one = assembled(*segments)
    without, other = assembled(*silent)

    def done(outputs: Iterable[Output]) -> list[Output]:
        return [o for o in outputs if isinstance(o, (DataPart, FileReady))]

    assert one.raw == other.raw
    assert visible(with_reasoning) == visible(without)
    assert done(with_reasoning) == done(without)


@given(REPLIES)
def test_the_batches_of_a_reply_do_not_matter(segments: list[list[ModelEvent]]) -> None:
    one = ReplyAssembler()
    out: list[Output] = []
    for segment in segments:
        one.begin_segment()
        out += one.feed(segment)
        out += one.end_segment()
    out += one.finish()
    assert out == assembled(*segments)[0]
    assert one.take_unsaved() == one.raw

"""However the bytes of a reply are cut, and whichever way they are read, it says the same."""

from __future__ import annotations

import json

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from openbolt.errors import UpstreamError
from openbolt.model import ModelEvent, StillAlive, TextDelta, ThinkingDelta
from openbolt.providers._messages_api import ReplyDecoder
from openbolt.providers._sse import SSEDecoder, data_of

EMOJI_HALVES = ("\ud83d", "\ude00")

texts = st.text(st.characters(), max_size=30) | st.sampled_from(
    [
        'say "hi"\\n',
        "\\u0041",
        "a\n\nb\r\n",
        "</boltAction>",
        "é€😀",
        *EMOJI_HALVES,
        "\u2028\x7f",
        "",
    ]
)


def written(
    event: dict[str, object], ascii_only: bool, spaced: bool, named: bool, end: str
) -> bytes:
    separators = (", ", ": ") if spaced else (",", ":")
    data = json.dumps(event, ensure_ascii=ascii_only, separators=separators)
    name = f"event: {event['type']}{end}" if named else ""
    return f"{name}data: {data}{end}{end}".encode("utf-8", "surrogatepass")


def delta(kind: str, member: str, text: str, index: int = 0) -> dict[str, object]:
    return {
        "type": "content_block_delta",
        "index": index,
        "delta": {"type": kind, member: text},
    }


events = st.one_of(
    st.builds(lambda t: delta("text_delta", "text", t), texts),
    st.builds(lambda t: delta("text_delta", "text", t), texts),
    st.builds(lambda t: delta("thinking_delta", "thinking", t), texts),
    st.builds(lambda t: delta("signature_delta", "signature", t), texts),
    st.just({"type": "ping"}),
    st.just({"type": "something_new", "text": "x"}),
    st.just({"type": "content_block_stop", "index": 0}),
    st.builds(
        lambda index, block: {
            "type": "content_block_start",
            "index": index,
            "content_block": block,
        },
        st.integers(0, 12),
        st.sampled_from(
            [
                {"type": "text", "text": ""},
                {"type": "text", "text": "a"},
                {"type": "text", "text": "", "citations": None},
                {"type": "thinking", "thinking": "", "signature": ""},
            ]
        ),
    ),
    st.just({"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 3}}}),
    st.just({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {}}),
)
frames = st.builds(
    written,
    events,
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
plain_frames = st.builds(
    written,
    st.builds(lambda t: delta("text_delta", "text", t), texts),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.just("\n"),
)
ODD = (
    b'data: {"type":"content_block_delta","index":%s,%s"delta":{"type":"text_delta","text":"%s"}}%s'
)
oddities = st.sampled_from(
    [
        b": a comment\n\n",
        b"id: 7\n",
        b"\n",
        b"data: \n",
        b"data\n\n",
        b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"no"}}\n\n',
        b'data: {"type":"message_stop"}\n\n',
        b'event: message_stop\ndata: {"type": "message_stop", "usage": 1 }\n\n',
        b'event: ping\ndata: {"type":"message_stop"  }\n\n',
        b'data: {"type":"content_block_stop","index":01}\n\n',
        b'data: {"type":"content_block_stop","index":0}\nid: 7\n\n',
        b'data: {"type":"ping","type":"message_stop"}\n\n',
        ODD % (b"0", b"", rb"\x", b"\n\n"),
        ODD % (b"01", b"", b"a", b"\n\n"),
        ODD % (b"0", b"", b"\t", b"\n\n"),
        ODD % (b"0", b"", b"\xff\xe2", b"\n\n"),
        ODD % (b"0", b"", b"\xe2\x82", b"\n\n"),
        ODD % (b"0", b"", b"\xac", b"\n\n"),
        ODD % (b"0", b"\ndata: ", b"a", b"\n\n"),
        ODD % (b"0", b"", b"a", b"   \n\n"),
        ODD % (b"0", b"", b"a", b"\n"),
    ]
)
streams = st.lists(frames | plain_frames | plain_frames | oddities, max_size=12).map(b"".join)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({place % (len(data) + 1) for place in cuts})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def read(chunks: list[bytes], *, quick: bool, limit: int = 10_000) -> tuple[list[ModelEvent], str]:
    """All events, neighbors merged, and how the reply ended."""
    decoder = ReplyDecoder(quick=quick, max_event_bytes=limit)
    seen: list[ModelEvent] = []
    ending = "whole"
    try:
        for chunk in chunks:
            for event in decoder.feed(chunk):
                last = seen[-1] if seen else None
                if isinstance(event, TextDelta) and isinstance(last, TextDelta):
                    seen[-1] = TextDelta(last.text + event.text)
                elif isinstance(event, ThinkingDelta) and isinstance(last, ThinkingDelta):
                    seen[-1] = ThinkingDelta(last.text + event.text)
                elif event != StillAlive():
                    seen.append(event)
        decoder.finish()
    except UpstreamError as error:
        ending = str(error)
    return seen, ending


@given(streams, st.lists(st.integers(0), max_size=8))
@example(b'\xef\xbb\xbfdata: {"type":"ping"}\r\n\r\n', [1, 2, 20, 21, 22])
def test_any_cut_gives_the_same_events_and_the_same_ending(data: bytes, cuts: list[int]) -> None:
    assert read(cut(data, cuts), quick=True) == read([data], quick=True)


SAID = written(delta("text_delta", "text", "a"), False, False, True, "\n")
THOUGHT = written(delta("thinking_delta", "thinking", "a"), False, False, True, "\n")
TEXT_OPENS = (
    b'data: {"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}\n\n'
)


@given(streams, st.lists(st.integers(0), max_size=8), st.sampled_from([60, 10_000]))
@example(SAID + b"data: {}\n" + SAID, [len(SAID) + len(b"data: {}\n")], 10_000)
@example(THOUGHT + TEXT_OPENS, [], 10_000)
def test_the_short_way_reads_what_the_long_way_reads(
    data: bytes, cuts: list[int], limit: int
) -> None:
    chunks = cut(data, cuts)
    assert read(chunks, quick=True, limit=limit) == read(chunks, quick=False, limit=limit)


@given(st.lists(plain_frames, min_size=1), st.sampled_from([60, 110, 10_000]))
def test_a_read_of_exactly_one_frame_says_what_the_long_way_says(
    chunks: list[bytes], limit: int
) -> None:
    assert read(chunks, quick=True, limit=limit) == read(chunks, quick=False, limit=limit)


@given(st.lists(st.text(st.characters(codec="utf-8")), max_size=8), st.lists(st.integers(0)))
def test_every_text_arrives_whole(sent: list[str], cuts: list[int]) -> None:
    data = b"".join(
        written(delta("text_delta", "text", text), False, False, True, "\n") for text in sent
    )
    events, _ = read(cut(data, cuts), quick=True)
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == "".join(sent)


@given(streams, st.lists(st.integers(0), max_size=8))
def test_every_text_can_be_encoded(data: bytes, cuts: list[int]) -> None:
    for event in read(cut(data, cuts), quick=True)[0]:
        if isinstance(event, (TextDelta, ThinkingDelta)):
            assert event.text.encode().decode() == event.text


@given(st.binary(max_size=200), st.lists(st.integers(0), max_size=6))
def test_any_bytes_are_events_or_an_upstream_error(data: bytes, cuts: list[int]) -> None:
    events, ending = read(cut(data, cuts), quick=True)
    assert (events, ending != "whole") == ([], True)


@given(
    st.lists(
        st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n")), max_size=3)
    ),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
    st.lists(st.integers(0), max_size=8),
)
def test_frames_keep_their_data_lines_for_every_line_end_and_cut(
    sent: list[list[str]], end: str, bom: bool, cuts: list[int]
) -> None:
    assume(not (sent and any(sent[0]) and sent[0][0].startswith("\ufeff")))
    text = "".join("".join(f"data: {line}{end}" for line in lines) + end for lines in sent)
    data = (b"\xef\xbb\xbf" if bom else b"") + text.encode()
    decoder = SSEDecoder()
    received = "".join(decoder.feed(chunk) for chunk in cut(data, cuts))
    found = [data_of(frame)[1] for frame in received.split("\n\n")]
    assert [d for d in found if d is not None] == ["\n".join(lines) for lines in sent if lines]


@given(st.integers(1, 300), st.lists(st.integers(0), max_size=8))
def test_a_frame_over_the_limit_is_refused_for_every_cut(over: int, cuts: list[int]) -> None:
    frame = b"data: " + b"x" * (94 + over) + b"\n\n"
    decoder = SSEDecoder(max_event_bytes=100)
    with pytest.raises(UpstreamError):
        _ = [decoder.feed(chunk) for chunk in cut(frame, cuts)]


@given(st.lists(st.integers(0), max_size=8))
def test_a_frame_of_the_limit_is_read_for_every_cut(cuts: list[int]) -> None:
    frame = b"data: " + b"x" * 94 + b"\n\n"
    decoder = SSEDecoder(max_event_bytes=100)
    assert "".join(decoder.feed(chunk) for chunk in cut(frame, cuts)) == frame.decode()

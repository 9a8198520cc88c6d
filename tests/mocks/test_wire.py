"""Each fault is on the wire what its name says, and without one HTTP is right."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import urlsplit

import pytest

from openbolt_local.mocks import AnthropicMock, Reply
from tests.mocks.raw import PATIENCE, body, exchange, read_response, request_bytes


async def ask(mock: AnthropicMock, prompt: str, **fields: object):
    return await exchange(mock.url, request_bytes(body(prompt, **fields)))


SAY = "[mock:echo abcdefghijklmnopqrstuvwxyz0123456789]"
ALL = ["message_start", "content_block_start", "ping"]
END = ["content_block_stop", "message_delta", "message_stop"]


async def test_a_stream_has_the_services_events_in_order(mock: AnthropicMock) -> None:
    got = await ask(mock, SAY)
    assert got.events == [*ALL, *["content_block_delta"] * 3, *END]
    assert got.content == "abcdefghijklmnopqrstuvwxyz0123456789"
    assert (got.ended, got.headers["transfer-encoding"]) == ("complete", "chunked")
    assert got.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert got.headers["request-id"].startswith("req_")
    assert "anthropic-ratelimit-tokens-remaining" in got.headers


async def test_thinking_has_its_own_block_in_front(mock: AnthropicMock) -> None:
    mock.enqueue(Reply("ab", thinking="hm"))
    got = await ask(mock, "hi")
    kinds = [
        json.loads(line[6:]).get("delta", {}).get("type")
        for line in got.text.splitlines()
        if line.startswith("data: ")
    ]
    deltas = [kind for kind in kinds if kind]
    assert deltas == ["thinking_delta", "signature_delta", "text_delta"]


@pytest.mark.parametrize(
    ("fault", "ended", "last"),
    [
        ("stall", "silent", "content_block_delta"),
        ("reset", "reset", "content_block_delta"),
        ("cut", "eof", "content_block_delta"),
        ("eof", "complete", "content_block_delta"),
        ("error-event", "complete", "error"),
    ],
)
async def test_a_break_comes_after_exactly_so_many_deltas(
    mock: AnthropicMock, fault: str, ended: str, last: str
) -> None:
    for after in (0, 1, 2):
        request = request_bytes(body(f"[mock:{fault} after={after}] Build a todo list"))
        patience = 1.0 if ended == "silent" else PATIENCE
        got = await exchange(mock.url, request, patience=patience)
        assert (got.ended, got.events.count("content_block_delta")) == (ended, after)
        assert got.events[-1] == (last if after or last == "error" else "ping")
        assert "message_stop" not in got.events


async def test_a_break_beyond_the_last_delta_comes_before_the_end(mock: AnthropicMock) -> None:
    got = await ask(mock, "hi [mock:eof after=100000]")
    assert got.events[-1] == "content_block_stop"


async def test_stall_ping_sends_pings_for_as_long_as_one_listens(mock: AnthropicMock) -> None:
    address = urlsplit(mock.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(request_bytes(body("hi [mock:stall-ping after=1 every=0.001]")))
    received = b""
    while received.count(b"event: ping") < 6:
        received += await reader.read(65536)
    assert received.count(b"content_block_delta\n") == 1
    writer.close()
    await asyncio.wait_for(mock.stream_closed(), 5)


async def test_malformed_json_is_one_event_that_cannot_be_read(mock: AnthropicMock) -> None:
    got = await ask(mock, "hi [mock:malformed-json after=1]")
    unreadable = 0
    for line in got.text.splitlines():
        if line.startswith("data: "):
            try:
                json.loads(line[6:])
            except ValueError:
                unreadable += 1
    assert (unreadable, got.events[-1]) == (1, "message_stop")


async def test_malformed_sse_runs_two_events_together(mock: AnthropicMock) -> None:
    got = await ask(mock, "hi [mock:malformed-sse after=1]")
    double = [block for block in got.payload.split(b"\n\n") if block.count(b"event: ") == 2]
    assert len(double) == 1
    assert b"\xff" in double[0]
    assert double[0].startswith(b"a stray line\n")
    assert got.events[-1] == "message_stop"


async def test_a_giant_delta_has_the_size_that_was_asked_for(mock: AnthropicMock) -> None:
    got = await ask(mock, "hi [mock:giant after=1 size=300000]")
    assert got.content.count("x" * 300_000) == 1
    assert got.ended == "complete"


async def test_split_utf8_puts_every_wide_character_into_two_chunks(mock: AnthropicMock) -> None:
    mock.enqueue(Reply("aé€😀", fault="split-utf8"))
    got = await ask(mock, "hi")
    assert got.content == "aé€😀"
    raw = b"".join(got.reads)
    assert raw.count("é€😀".encode()) == 0
    for character in "é€😀":
        assert character.encode() not in raw
    assert got.ended == "complete"


async def test_a_wrong_content_type_comes_with_a_page(mock: AnthropicMock) -> None:
    got = await ask(mock, "hi [mock:content-type=text/html]")
    assert (got.status, got.headers["content-type"]) == (200, "text/html")
    assert got.text.startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("refusal", "refusal"),
        ("pause_turn", "pause_turn"),
        ("stop_sequence", "stop_sequence"),
        ("context-window", "model_context_window_exceeded"),
    ],
)
async def test_a_stop_reason_ends_a_shortened_text(
    mock: AnthropicMock, fault: str, reason: str
) -> None:
    got = await ask(mock, f"Build a todo list [mock:{fault} after=2]")
    assert got.events == [*ALL, *["content_block_delta"] * 2, *END]
    assert f'"stop_reason":"{reason}"' in got.text


async def test_an_empty_answer_has_no_block_at_all(mock: AnthropicMock) -> None:
    got = await ask(mock, "hi [mock:empty]")
    assert got.events == ["message_start", "message_delta", "message_stop"]


async def test_the_header_overrules_the_message(mock: AnthropicMock) -> None:
    request = request_bytes(body("hi [mock:500]"), headers={"x-openbolt-mock": "echo from afar"})
    assert (await exchange(mock.url, request)).content == "from afar"


async def test_a_whole_answer_can_be_cut_short_of_its_declared_length(mock: AnthropicMock) -> None:
    got = await ask(mock, "hi [mock:cut]", stream=False)
    assert got.ended == "eof"
    assert len(got.payload) < int(got.headers["content-length"])


@pytest.mark.parametrize(("fault", "ended"), [("reset", "reset"), ("stall", "silent")])
async def test_a_whole_answer_can_be_lost(mock: AnthropicMock, fault: str, ended: str) -> None:
    address = urlsplit(mock.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(request_bytes(body(f"hi [mock:{fault}]", stream=False)))
    if ended == "reset":
        with pytest.raises(ConnectionResetError):
            await reader.read()
    else:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.2)
    writer.close()


async def test_one_connection_serves_request_after_request(mock: AnthropicMock) -> None:
    address = urlsplit(mock.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    # Two at once: the second waits in the buffer while the first is answered.
    writer.write(request_bytes(body(SAY)) + request_bytes(body("hi [mock:429]")))
    first = await read_response(reader)
    second = await read_response(reader)
    writer.write(request_bytes(b"", method="GET", path="/v1/models"))
    third = await read_response(reader)
    writer.close()
    assert (first.status, second.status, third.status) == (200, 429, 200)
    assert mock.open_connections == 1


async def test_a_client_that_waits_for_100_is_told_to_go_on(mock: AnthropicMock) -> None:
    address = urlsplit(mock.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    request = request_bytes(body(SAY), headers={"expect": "100-continue"})
    head, _, data = request.partition(b"\r\n\r\n")
    writer.write(head + b"\r\n\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
    writer.write(data)
    assert (await read_response(reader)).status == 200
    writer.close()


async def test_what_is_no_http_is_answered_with_400(mock: AnthropicMock) -> None:
    assert (await exchange(mock.url, b"\x16\x03\x01 hello\r\n\r\n")).status == 400


async def test_a_body_over_the_limit_is_a_413(mock: AnthropicMock) -> None:
    got = await exchange(mock.url, request_bytes(b" " * (32 * 1024 * 1024 + 1)))
    assert (got.status, json.loads(got.text)["error"]["type"]) == (413, "request_too_large")


async def test_a_closed_client_closes_the_stream(mock: AnthropicMock) -> None:
    address = urlsplit(mock.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(request_bytes(body("hi [mock:stall after=1]")))
    await asyncio.wait_for(mock.stream_opened(), 5)
    await reader.readuntil(b"content_block_delta")
    assert mock.open_streams == 1
    writer.close()
    await asyncio.wait_for(mock.stream_closed(), 1)
    assert (mock.open_streams, mock.streams[-1].ended) == (0, "client-gone")


async def test_hundreds_of_streams_are_open_at_once(mock: AnthropicMock) -> None:
    count = 300
    address = urlsplit(mock.url)
    writers: list[asyncio.StreamWriter] = []
    for _ in range(count):
        _, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(request_bytes(body("hi [mock:stall after=1]")))
        writers.append(writer)
    await asyncio.wait_for(mock.stream_opened(count), 60)
    assert mock.open_streams == count
    for writer in writers:
        writer.close()
    await asyncio.wait_for(mock.stream_closed(count), 60)
    assert mock.open_streams == 0


async def test_shutting_down_ends_what_is_open() -> None:
    async with AnthropicMock() as mock:
        asking = asyncio.create_task(ask(mock, "hi [mock:stall after=1]"))
        await asyncio.wait_for(mock.stream_opened(), 5)
    assert (await asking).ended == "eof"
    assert (mock.open_streams, mock.streams[-1].ended) == (0, "closed")


async def test_a_pace_is_kept_between_deltas(mock: AnthropicMock) -> None:
    loop = asyncio.get_running_loop()
    start = loop.time()
    await ask(mock, "[mock:pace=0.02 delta=1 max-tokens=2] Build a todo list")
    assert loop.time() - start >= 8 * 0.02

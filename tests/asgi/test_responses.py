"""What is sent, and that a body is closed exactly once, whatever ends it."""

import asyncio
import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbolt.errors import ConflictError
from openbolt.http import Headers, Request, Response
from tests.asgi.driving import Body, Peer, answering, app_of, body_messages, exchange, scope_of


async def test_bytes_are_sent_with_their_length() -> None:
    peer = await exchange(answering(Response(201, Headers.of(x_a="1"), b"hello")))
    assert peer.sent == [
        {
            "type": "http.response.start",
            "status": 201,
            "headers": [(b"x-a", b"1"), (b"content-length", b"5")],
        },
        {"type": "http.response.body", "body": b"hello", "more_body": False},
    ]


@given(st.lists(st.binary(max_size=4), max_size=6))
async def test_a_stream_is_sent_chunk_by_chunk_and_empty_chunks_are_not_sent(
    chunks: list[bytes],
) -> None:
    body = Body(*chunks)
    peer = await exchange(answering(Response(body=body)))
    assert peer.chunks == [*(chunk for chunk in chunks if chunk), b""]
    assert peer.is_whole
    assert body.closed == 1


async def test_repeated_header_fields_are_all_sent_in_order() -> None:
    headers = Headers((("set-cookie", "a=1"), ("set-cookie", "b=2"), ("content-length", "0")))
    peer = await exchange(answering(Response(200, headers)))
    assert peer.sent[0]["headers"] == [
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
        (b"content-length", b"0"),
    ]


async def test_a_chunk_is_not_asked_for_before_the_last_one_is_sent() -> None:
    body = Body(b"1", b"2")
    peer = Peer(gated=True)
    task = asyncio.create_task(exchange(answering(Response(body=body)), peer))
    for sends, asked in ((1, 0), (2, 1), (3, 2)):
        await peer.until(lambda sends=sends: peer.waiting == sends)
        assert body.log == ["asked"] * asked
        peer.let()
    peer.let()
    await task
    assert peer.chunks == [b"1", b"2", b""]


async def test_a_body_is_closed_before_its_client_sees_the_end() -> None:
    body = Body(b"1")
    peer = Peer(gated=True)
    task = asyncio.create_task(exchange(answering(Response(body=body)), peer))
    peer.let(2)
    await peer.until(lambda: peer.waiting == 3)
    assert body.log == ["asked", "asked", "closed"]
    peer.let()
    await task


async def test_head_never_iterates_and_closes_the_body_once() -> None:
    body = Body(b"1")
    peer = await exchange(answering(Response(200, Headers.of(etag="x"), body)), method="HEAD")
    assert body.log == ["closed"]
    assert peer.headers == {"etag": "x"}
    assert peer.chunks == [b""]
    assert peer.is_whole


async def test_head_has_the_length_of_the_body_that_it_leaves_out() -> None:
    peer = await exchange(answering(Response(body=b"hello")), method="HEAD")
    assert (peer.headers, peer.chunks) == ({"content-length": "5"}, [b""])


@pytest.mark.parametrize("status", [204, 304])
async def test_a_status_without_body_sends_none_and_closes_it(status: int) -> None:
    body = Body(b"1")
    peer = await exchange(answering(Response(status, body=body)))
    assert (body.log, peer.chunks, peer.headers) == (["closed"], [b""], {})


async def test_a_client_that_goes_while_the_body_waits_ends_it() -> None:
    body = Body(b"1", asyncio.Event())
    peer = Peer()
    task = asyncio.create_task(exchange(answering(Response(body=body)), peer))
    await body.until("waiting")
    peer.disconnect()
    await task
    assert (body.closed, peer.chunks, peer.is_whole) == (1, [b"1"], False)


async def test_a_client_that_goes_before_the_first_chunk_ends_the_body() -> None:
    body = Body(asyncio.Event())
    peer = Peer()
    peer.disconnect()
    await exchange(answering(Response(body=body)), peer)
    assert (body.closed, peer.chunks) == (1, [])


async def test_a_client_that_goes_while_a_chunk_is_being_sent_ends_the_body() -> None:
    body = Body(b"1", b"2")
    peer = Peer(gated=True)
    task = asyncio.create_task(exchange(answering(Response(body=body)), peer))
    peer.let()
    await peer.until(lambda: peer.waiting == 2)
    peer.disconnect()
    await task
    assert (body.log, peer.chunks) == (["asked", "closed"], [])


@pytest.mark.parametrize("fail_at", [0, 1, 2, 3])
async def test_a_send_that_fails_at_any_point_closes_the_body_once(fail_at: int) -> None:
    body = Body(b"1", b"2")
    peer = await exchange(answering(Response(body=body)), Peer(fail_at=fail_at))
    assert (body.closed, len(peer.sent)) == (1, fail_at)


async def test_a_send_of_bytes_that_fails_is_the_clients_going_and_no_error() -> None:
    peer = await exchange(answering(Response(body=b"x")), Peer(fail_at=1))
    assert len(peer.sent) == 1


async def test_a_body_that_breaks_is_cut_off_logged_and_closed_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    body = Body(b"1", ValueError("broken"))
    peer = Peer()
    with pytest.raises(ValueError, match="broken"):
        await exchange(answering(Response(200, Headers.of(x_request_id="r7"), body)), peer)
    assert (body.closed, peer.chunks, peer.is_whole) == (1, [b"1"], False)
    assert [record.getMessage() for record in caplog.records] == [
        "The response to request r7 broke off"
    ]


async def test_an_oserror_of_the_body_is_no_disconnect() -> None:
    body = Body(b"1", OSError("disk"))
    with pytest.raises(OSError, match="disk"):
        await exchange(answering(Response(body=body)))
    assert body.closed == 1


async def test_a_server_that_cancels_the_request_closes_the_body_once() -> None:
    body = Body(b"1", asyncio.Event())
    task = asyncio.create_task(exchange(answering(Response(body=body))))
    await body.until("waiting")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert body.closed == 1


async def test_a_cancellation_from_outside_is_kept_though_the_client_goes_as_well() -> None:
    body = Body(b"1", asyncio.Event())
    peer = Peer()
    app = app_of(answering(Response(body=body)))
    task = asyncio.create_task(app(scope_of(), peer.receive, peer.send))
    await body.until("waiting")
    peer.disconnect()
    await peer.disconnected.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert body.closed == 1
    await app.aclose()


async def test_a_disconnect_leaves_no_cancellation_behind_in_the_servers_task() -> None:
    body = Body(asyncio.Event())
    app = app_of(answering(Response(body=body)))
    peer = Peer()
    peer.disconnect()
    await app(scope_of(), peer.receive, peer.send)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)
    await app.aclose()


class Stubborn(Body):
    """Goes on when it is cancelled."""

    async def __aiter__(self):  # type: ignore[no-untyped-def]
        yield b"1"
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.log.append("cancelled")
        while True:
            self.log.append("goes on")
            yield b"2"


async def test_a_body_that_ignores_its_cancellation_is_ended_all_the_same() -> None:
    body = Stubborn()
    peer = Peer()
    task = asyncio.create_task(exchange(answering(Response(body=body)), peer))
    await peer.until_sent(2)
    peer.disconnect()
    await task
    assert (body.log, peer.chunks) == (["cancelled", "goes on", "closed"], [b"1"])


async def test_a_body_that_never_waits_leaves_the_event_loop_its_turns() -> None:
    body = Body(*[b"x"] * 1000)
    sent = 0

    async def send(message: object) -> None:
        nonlocal sent
        sent += 1

    app = app_of(answering(Response(body=body)))
    peer = Peer()
    peer.disconnect()
    await app(scope_of(), peer.receive, send)
    await app.aclose()
    assert sent < 100
    assert body.closed == 1


class BadlyClosed(Body):
    async def aclose(self) -> None:
        await super().aclose()
        raise ValueError("stuck")


async def test_a_body_that_fails_to_close_was_still_sent_whole(
    caplog: pytest.LogCaptureFixture,
) -> None:
    body = BadlyClosed(b"1")
    peer = await exchange(answering(Response(body=body)))
    assert (body.closed, peer.is_whole) == (1, True)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@pytest.mark.parametrize(
    ("name", "value"),
    [("location", "/a\r\nset-cookie: x=1"), ("x\ny", "1"), ("x", "a\0b"), ("x", "\N{SNOWMAN}")],
)
async def test_a_header_that_would_split_the_response_is_a_500_and_closes_the_body(
    name: str, value: str
) -> None:
    body = Body(b"1")
    headers = Headers.of({name: value, "x-request-id": "r1"})
    peer = await exchange(answering(Response(200, headers, body)))
    assert (peer.status, body.log) == (500, ["closed"])
    assert json.loads(peer.body) == {
        "error": {
            "code": "internal",
            "message": "Something went wrong on the server.",
            "requestId": "r1",
        }
    }


CONTROL = frozenset({*map(chr, range(32)), "\x7f"} - {"\t"})


@given(st.lists(st.tuples(st.text(max_size=3), st.text(max_size=4)), max_size=5))
async def test_fields_are_sent_one_by_one_as_they_are_or_not_at_all(
    fields: list[tuple[str, str]],
) -> None:
    headers = Headers(fields)
    peer = await exchange(answering(Response(200, headers, Body())))
    texts = [text for pair in headers.items for text in pair]
    can_be_sent = (
        not any(CONTROL.intersection(text) for text in texts)
        and all(name.isascii() for name, _ in headers.items)
        and all(ord(char) < 256 for text in texts for char in text)
    )
    assert peer.status == (200 if can_be_sent else 500)
    if can_be_sent:
        assert peer.sent[0]["headers"] == [
            (name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items
        ]


async def test_errors_of_a_bare_handler_are_answered() -> None:
    async def handler(request: Request, /) -> Response:
        raise ConflictError("Changed meanwhile.")

    peer = await exchange(handler)
    assert (peer.status, json.loads(peer.body)["error"]["code"]) == (409, "conflict")


async def test_a_handler_that_has_not_answered_is_not_cancelled_by_its_client_going() -> None:
    began, go_on = asyncio.Event(), asyncio.Event()
    done: list[str] = []

    async def handler(request: Request, /) -> Response:
        began.set()
        await go_on.wait()
        done.append("written")
        return Response(204)

    peer = Peer()
    task = asyncio.create_task(exchange(handler, peer))
    await began.wait()
    peer.disconnect()
    for _ in range(5):
        await asyncio.sleep(0)
    go_on.set()
    await task
    assert done == ["written"]


@given(
    chunks=st.lists(st.binary(min_size=1, max_size=3), min_size=1, max_size=6),
    gated=st.booleans(),
)
async def test_a_body_that_echoes_the_requests_body_gets_all_of_it(
    chunks: list[bytes], gated: bool
) -> None:
    async def handler(request: Request, /) -> Response:
        return Response(body=request.body)

    peer = Peer(*body_messages(*chunks), gated=gated)
    if gated:
        peer.let(len(chunks) + 2)
    await exchange(handler, peer, method="POST")
    assert peer.body == b"".join(chunks)
    assert peer.is_whole

"""What a handler is given: the path below the mount, and a body that is read as it is asked."""

import asyncio
import json

import pytest

from openbolt.errors import PayloadTooLargeError
from openbolt.http import Request, Response
from tests.asgi.driving import Body, Peer, app_of, body_messages, exchange, scope_of


class Seen:
    """A handler that keeps its request."""

    def __init__(self) -> None:
        self.request: Request | None = None

    async def __call__(self, request: Request, /) -> Response:
        self.request = request
        return Response()


@pytest.mark.parametrize(
    ("root_path", "path", "seen"),
    [
        ("", "/api/x", "/api/x"),
        ("/app", "/app/api/x", "/api/x"),
        ("/app", "/api/x", "/api/x"),
        ("/app", "/app", "/"),
        ("/app", "/app/", "/"),
        ("/app/", "/app/x", "/x"),
        ("/app", "/apple", "/apple"),
        ("/a/b", "/a/b/c", "/c"),
        ("", "", "/"),
        ("", "*", "*"),
    ],
)
async def test_the_path_is_the_one_below_the_mount_point(
    root_path: str, path: str, seen: str
) -> None:
    handler = Seen()
    await exchange(handler, path=path, root_path=root_path)
    assert handler.request is not None
    assert (handler.request.path, handler.request.root_path) == (seen, root_path.rstrip("/"))


@pytest.mark.parametrize(
    ("raw_path", "path", "seen"),
    [
        (b"/sub/x", "/x/", "/x"),
        (b"/sub/x/", "/x/", "/x/"),
        (b"/sub/x%2F", "/x/", "/x/"),
        (b"/sub", "/", "/"),
    ],
)
async def test_a_final_slash_that_a_framework_added_is_taken_off(
    raw_path: bytes, path: str, seen: str
) -> None:
    handler = Seen()
    await exchange(handler, path=path, raw_path=raw_path)
    assert handler.request is not None
    assert handler.request.path == seen


async def test_a_request_is_the_scope_as_plain_values() -> None:
    handler = Seen()
    await exchange(
        handler,
        method="POST",
        path="/a b",
        query_string=b"x=%20&y",
        scheme="https",
        headers=[(b"Host", b"localhost"), (b"x-a", b"caf\xe9"), (b"x-a", b"2")],
    )
    request = handler.request
    assert request is not None
    assert (request.method, request.path, request.query) == ("POST", "/a b", "x=%20&y")
    assert (request.scheme, request.host) == ("https", "localhost")
    assert request.headers.get_all("x-a") == ("café", "2")
    assert request.context.client == "203.0.113.9"


async def test_a_scope_with_the_least_that_asgi_demands_is_enough() -> None:
    handler = Seen()
    app = app_of(handler)
    peer = Peer()
    scope = {"type": "http", "method": "GET", "path": "/x", "headers": []}
    await app(scope, peer.receive, peer.send)
    assert handler.request is not None
    assert (handler.request.scheme, handler.request.context.client) == ("http", None)
    await app.aclose()


async def test_one_chunk_is_received_for_each_that_is_read() -> None:
    peer = Peer(*body_messages(b"1", b"2", b"3"))
    seen: list[tuple[bytes, int]] = []

    async def handler(request: Request, /) -> Response:
        seen.extend([(chunk, peer.received) async for chunk in request.body])
        return Response()

    await exchange(handler, peer, method="POST")
    assert seen == [(b"1", 1), (b"2", 2), (b"3", 3)]


async def test_a_body_of_declared_length_over_the_limit_is_refused_unread() -> None:
    async def handler(request: Request, /) -> Response:
        return Response(body=await request.read(10))

    peer = Peer(*body_messages(b"x" * 11))
    await exchange(handler, peer, method="POST", headers=[(b"content-length", b"11")])
    assert (peer.status, peer.received) == (413, 0)


async def test_a_body_of_unknown_length_over_the_limit_is_refused_when_the_limit_is_passed() -> (
    None
):
    async def handler(request: Request, /) -> Response:
        return Response(body=await request.read(10))

    peer = Peer(*body_messages(*[b"x" * 6] * 100))
    await exchange(handler, peer, method="POST")
    assert (peer.status, peer.received) == (413, 2)
    assert json.loads(peer.body)["error"]["code"] == PayloadTooLargeError.code


async def test_an_upload_that_breaks_off_is_never_taken_for_a_whole_body() -> None:
    read: list[bytes] = []

    async def handler(request: Request, /) -> Response:
        read.append(await request.read(1000))
        return Response()

    peer = Peer({"type": "http.request", "body": b"ha", "more_body": True})
    peer.disconnect()
    await exchange(handler, peer, method="PUT")
    assert (read, peer.status) == ([], 400)
    assert json.loads(peer.body)["error"]["code"] == "incomplete_body"


async def test_a_body_nobody_reads_does_not_hide_that_its_client_went() -> None:
    body = Body(b"1", asyncio.Event())

    async def handler(request: Request, /) -> Response:
        return Response(body=body)

    peer = Peer({"type": "http.request", "body": b"unread", "more_body": True})
    peer.upload(b"more")
    peer.disconnect()
    await exchange(handler, peer)
    assert body.closed == 1


async def test_an_upload_waits_for_its_reader_also_while_the_response_streams() -> None:
    go_on = asyncio.Event()

    async def handler(request: Request, /) -> Response:
        async def slowly():  # type: ignore[no-untyped-def]
            async for chunk in request.body:
                yield chunk
                await go_on.wait()

        class Slow(Body):
            def __aiter__(self):  # type: ignore[no-untyped-def]
                return slowly()

        return Response(body=Slow())

    peer = Peer(*body_messages(*[b"x"] * 9))
    task = asyncio.create_task(exchange(handler, peer, method="POST"))
    await peer.until_sent(2)
    for _ in range(20):
        await asyncio.sleep(0)
    assert peer.received == 2  # one that was read, one that is held
    go_on.set()
    await task
    assert (peer.body, peer.is_whole) == (b"x" * 9, True)


async def test_an_echo_whose_client_goes_ends_quietly_and_not_cleanly() -> None:
    async def handler(request: Request, /) -> Response:
        return Response(body=request.body)

    peer = Peer({"type": "http.request", "body": b"1", "more_body": True})
    task = asyncio.create_task(exchange(handler, peer, method="POST"))
    await peer.until_sent(2)
    peer.disconnect()
    await task
    assert (peer.chunks, peer.is_whole) == ([b"1"], False)


async def test_reading_a_body_that_was_dropped_is_an_error_and_not_an_empty_body() -> None:
    began = asyncio.Event()

    async def handler(request: Request, /) -> Response:
        class Late(Body):
            async def __aiter__(self):  # type: ignore[no-untyped-def]
                yield b"1"
                began.set()
                for _ in range(5):
                    await asyncio.sleep(0)
                async for chunk in request.body:
                    yield chunk

        return Response(body=Late())

    peer = Peer(*body_messages(b"a", b"b"))
    with pytest.raises(RuntimeError, match="dropped"):
        await exchange(handler, peer, method="POST")
    assert began.is_set()


async def test_a_receive_that_raises_is_the_clients_going() -> None:
    body = Body(b"1", asyncio.Event())
    peer = Peer()

    async def receive() -> dict[str, object]:
        raise ConnectionResetError

    async def handler(request: Request, /) -> Response:
        return Response(body=body)

    app = app_of(handler)
    await app(scope_of(), receive, peer.send)
    await app.aclose()
    assert (body.closed, peer.is_whole) == (1, False)

"""HTTP values: headers in order and without case, bodies that close exactly once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from attrs import evolve, fields
from hypothesis import given
from hypothesis import strategies as st

from openbolt.errors import PayloadTooLargeError
from openbolt.http import (
    EMPTY_BODY,
    Headers,
    Principal,
    Request,
    RequestContext,
    Response,
    StreamBody,
)

NAMES = st.sampled_from(["A", "a", "B-c", "b-C", "d"])
PAIRS = st.lists(st.tuples(NAMES, st.text(max_size=3)), max_size=6)


def _no_spawn(coroutine: object) -> None:
    raise AssertionError(coroutine)


CONTEXT = RequestContext(_no_spawn, request_id="r")


class Source:
    """An async iterable that counts how often it is closed."""

    def __init__(self, *chunks: bytes, fails: bool = False) -> None:
        self._chunks = list(chunks)
        self._fails = fails
        self.closed = 0

    def __aiter__(self) -> Source:
        return self

    async def __anext__(self) -> bytes:
        if not self._chunks:
            raise StopAsyncIteration
        return self._chunks.pop(0)

    async def aclose(self) -> None:
        self.closed += 1
        if self._fails:
            raise RuntimeError("the source won't close")


def held(log: list[str]) -> AsyncExitStack:
    stack = AsyncExitStack()
    stack.callback(log.append, "closed")
    return stack


def request(query: str = "", **headers: str) -> Request:
    body = StreamBody(Source(b"ab", b"cd"))
    return Request("GET", "/", Headers.of(None, **headers), body, CONTEXT, query)


def test_header_names_are_lower_case_in_order_and_may_repeat() -> None:
    headers = Headers([("Set-Cookie", "A=1"), ("X", "2"), ("set-cookie", "b=3")])
    assert headers.items == (("set-cookie", "A=1"), ("x", "2"), ("set-cookie", "b=3"))
    assert headers.get("SET-cookie") == "A=1"
    assert headers.get_all("Set-Cookie") == ("A=1", "b=3")
    assert headers.get_all("y") == ()
    assert (headers.get("y"), headers.get("y", "z")) == (None, "z")
    assert ("X" in headers, "y" in headers, 1 in headers) == (True, False, False)


@given(PAIRS)
def test_headers_of_names_in_lower_case_are_the_same_without_a_look(
    pairs: list[tuple[str, str]],
) -> None:
    low = tuple((name.lower(), value) for name, value in pairs)
    assert Headers.lowered(low) == Headers(pairs)
    assert hash(Headers.lowered(low)) == hash(Headers(pairs))


def test_headers_of_a_mapping_and_of_names() -> None:
    headers = Headers.of({"A": "1"}, content_type="text/plain")
    assert headers.items == (("a", "1"), ("content-type", "text/plain"))
    assert Headers.of() == Headers()


@given(PAIRS, st.dictionaries(NAMES, st.text(max_size=3)))
def test_replacing_fields_leaves_the_others_where_they_are(
    pairs: list[tuple[str, str]], changes: dict[str, str]
) -> None:
    before = Headers(pairs)
    after = before.with_(changes)
    names = {name.lower() for name in changes}
    assert [p for p in after.items if p[0] not in names] == [
        p for p in before.items if p[0] not in names
    ]
    for name in names:
        wanted = [value for key, value in changes.items() if key.lower() == name][-1]
        assert after.get_all(name) == (wanted,)


@given(PAIRS, st.dictionaries(NAMES, st.text(max_size=3)))
def test_defaults_replace_nothing(pairs: list[tuple[str, str]], defaults: dict[str, str]) -> None:
    before = Headers(pairs)
    after = before.with_defaults(defaults)
    assert before.with_defaults(Headers.of(defaults)) == after
    assert after.items[: len(before.items)] == before.items
    added = after.items[len(before.items) :]
    assert all(name not in before for name, _ in added)
    assert {name for name, _ in after.items} == {
        *(name for name, _ in before.items),
        *(name.lower() for name in defaults),
    }


def test_a_response_with_other_headers_is_a_copy() -> None:
    response = Response(200, Headers.of({"a": "1"}), b"x")
    changed = response.with_headers({"A": "2", "b": "3"})
    assert changed == Response(200, Headers.of({"a": "2", "b": "3"}), b"x")
    assert response.headers.get("a") == "1"


def test_a_request_with_another_context_is_a_copy() -> None:
    principal = Principal("u1", "U")
    plain = request()
    known = plain.with_context(principal=principal)
    assert (known.context.principal, known.context.request_id) == (principal, "r")
    assert (plain.context.principal, known.body) == (None, plain.body)


def test_a_copy_of_a_request_leaves_nothing_out() -> None:
    async def gone() -> None: ...

    full = Request(
        "PUT",
        "/p",
        Headers.of(a="1"),
        StreamBody(Source(b"ab")),
        RequestContext(_no_spawn, "r", Principal("u1"), "192.0.2.1", gone),
        "q=1",
        "https",
        "/root",
        {"id": "1"},
    )
    for kind in (Request, RequestContext):
        plain = full if kind is Request else full.context
        bare = request() if kind is Request else RequestContext(_no_spawn)
        same = [f.name for f in fields(kind) if getattr(plain, f.name) == getattr(bare, f.name)]
        assert same in ([], ["spawn"]), "or a copy without it would pass for one"
    assert full.with_context() == full
    assert full.with_path_params(full.path_params) == full
    assert full.with_context(request_id="s") == evolve(
        full, context=evolve(full.context, request_id="s")
    )
    assert full.with_path_params({"id": "2"}) == evolve(full, path_params={"id": "2"})
    with pytest.raises(TypeError, match="unknown"):
        full.with_context(unknown=1)


def test_the_parameters_of_a_path_cant_be_changed_behind_a_requests_back() -> None:
    given = {"id": "1"}
    asked = request().with_path_params(given)
    given["id"] = "2"
    assert asked.path_params == {"id": "1"}
    with pytest.raises(TypeError):
        asked.path_params["id"] = "2"  # type: ignore[index]
    with pytest.raises(TypeError):
        request().path_params["id"] = "2"  # type: ignore[index]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", None),
        ("protocol=text", "text"),
        ("a=1&protocol=da%74a&protocol=text", "data"),
        ("protocol=", ""),
        ("protocol", ""),
        ("protocol=a+b", "a b"),
        ("Protocol=x", None),
        ("protocol=%ff", "\ufffd"),
    ],
)
def test_a_query_parameter_is_its_first_value(query: str, expected: str | None) -> None:
    assert request(query).query_param("protocol") == expected


def test_the_host_is_lower_case_with_its_port() -> None:
    assert request(host="Example.TEST:80").host == "example.test:80"
    assert request().host == ""


async def test_a_body_is_read_whole_up_to_its_limit() -> None:
    assert await request().read(4) == b"abcd"
    with pytest.raises(PayloadTooLargeError):
        await request().read(3)


async def test_the_empty_body_is_empty_as_often_as_it_is_read() -> None:
    for _ in range(2):
        assert [chunk async for chunk in EMPTY_BODY] == []
        await EMPTY_BODY.aclose()


async def test_a_stream_closes_its_source_then_its_stack_once() -> None:
    log: list[str] = []
    source = Source(b"a", b"b")
    body = StreamBody(source, stack=held(log))
    assert [chunk async for chunk in body] == [b"a", b"b"]
    assert (source.closed, log) == (0, [])
    for _ in range(3):
        await body.aclose()
    assert (source.closed, log) == (1, ["closed"])


async def test_a_stream_that_nobody_iterated_closes_what_it_holds() -> None:
    log: list[str] = []

    async def chunks() -> AsyncIterator[bytes]:
        try:
            yield b"a"
        finally:
            log.append("never reached: the generator never started")

    await StreamBody(chunks(), stack=held(log)).aclose()
    assert log == ["closed"]


async def test_a_stream_left_half_way_closes_what_it_holds() -> None:
    log: list[str] = []

    async def chunks() -> AsyncIterator[bytes]:
        try:
            yield b"a"
            yield b"b"
        finally:
            log.append("generator")

    body = StreamBody(chunks(), stack=held(log))
    assert await anext(aiter(body)) == b"a"
    await body.aclose()
    assert log == ["generator", "closed"]


async def test_a_source_that_won_t_close_keeps_nothing_open() -> None:
    log: list[str] = []
    body = StreamBody(Source(fails=True), stack=held(log))
    with pytest.raises(RuntimeError, match="won't close"):
        await body.aclose()
    assert log == ["closed"]
    await body.aclose()


async def test_an_iterable_without_aclose_will_do() -> None:
    class Plain:
        def __aiter__(self) -> AsyncIterator[bytes]:
            return self

        async def __anext__(self) -> bytes:
            raise StopAsyncIteration

    body = StreamBody(Plain())
    assert [chunk async for chunk in body] == []
    await body.aclose()

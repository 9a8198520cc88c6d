"""Bodies: structured whole, or refused with the path to what is wrong as its sender wrote it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal

import pytest
from attrs import field, frozen, validators
from hypothesis import given
from hypothesis import strategies as st

from openbolt.bodies import camel_case, iso_time, json_response, read_json, structure
from openbolt.chat.messages import ChatBody, ClientMessage, read_submission
from openbolt.enhancer import EnhancerBody
from openbolt.errors import (
    InvalidRequestError,
    PayloadTooLargeError,
    UnsupportedMediaTypeError,
)
from openbolt.http import Headers, Request, RequestContext, StreamBody
from openbolt.testing import SequenceTokens


@frozen
class Leaf:
    """Innermost."""

    name: str
    is_on: bool = False


@frozen
class Tree:
    """One of everything."""

    leaf_list: list[Leaf]
    some_text: str = ""
    whole_number: int = 0
    any_number: float = 0.0
    a_flag: bool = False
    maybe_text: str | None = None
    one_leaf: Leaf | None = None
    by_name: Mapping[str, Leaf] = field(factory=dict)
    kind_of: Literal["big", "small"] = "big"
    texts: tuple[str, ...] = ()
    percent: int = field(default=0, validator=validators.in_([0, 50, 100]))


class Chunks:
    """A body that says how much of it was read."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = chunks
        self.read = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            self.read += 1
            yield chunk


def post(source: Chunks, content_type: str | None = "application/json", **headers: str) -> Request:
    named = Headers.of(None, **headers)
    if content_type is not None:
        named = named.with_({"content-type": content_type})
    return Request("POST", "/", named, StreamBody(source), RequestContext(_no_spawn))


def _no_spawn(coroutine: object) -> None:
    raise AssertionError(coroutine)


def refused(data: object, kind: type[Any] = Tree) -> tuple[str | None, str]:
    with pytest.raises(InvalidRequestError) as caught:
        structure(data, kind)
    assert caught.value.status_hint == 400
    return caught.value.field, caught.value.public_message


def test_a_body_of_the_right_shape_becomes_the_value() -> None:
    data = {
        "leafList": [{"name": "a"}, {"name": "b", "isOn": True}],
        "someText": "é",
        "wholeNumber": 3,
        "anyNumber": 2,
        "aFlag": True,
        "maybeText": None,
        "oneLeaf": {"name": "c"},
        "byName": {"x y": {"name": "d"}},
        "kindOf": "small",
        "texts": ["p", "q"],
        "percent": 50,
    }
    expected = Tree(
        [Leaf("a"), Leaf("b", True)],
        "é",
        3,
        2.0,
        True,
        None,
        Leaf("c"),
        {"x y": Leaf("d")},
        "small",
        ("p", "q"),
        50,
    )
    actual = structure(data, Tree)
    assert actual == expected
    assert type(actual.any_number) is float


def test_unknown_fields_are_left_alone() -> None:
    assert structure({"leafList": [], "leaf_list": 1, "x": 2}, Tree) == Tree([])


@pytest.mark.parametrize("data", [None, [], "text", 1, 1.5, True, [["leafList", []]]])
def test_a_body_that_is_no_object_is_refused_as_a_whole(data: object) -> None:
    assert refused(data) == ("body", "body: must be an object")


@pytest.mark.parametrize(
    ("changes", "name", "why"),
    [
        ({"leafList": None}, "leafList", "must be a list"),
        ({"leafList": {}}, "leafList", "must be a list"),
        ({"leafList": {"a": {"name": "x"}}}, "leafList", "must be a list"),
        ({"leafList": ""}, "leafList", "must be a list"),
        ({"leafList": "abc"}, "leafList", "must be a list"),
        ({"leafList": 1}, "leafList", "must be a list"),
        ({"leafList": [{"name": "a"}, {}]}, "leafList[1].name", "is missing"),
        ({"leafList": [{"name": 1}]}, "leafList[0].name", "must be a string"),
        ({"leafList": [{"name": None}]}, "leafList[0].name", "must be a string"),
        ({"leafList": ["a"]}, "leafList[0]", "must be an object"),
        ({"leafList": [[]]}, "leafList[0]", "must be an object"),
        ({"leafList": [{"name": "a", "isOn": 1}]}, "leafList[0].isOn", "must be true or false"),
        ({"someText": None}, "someText", "must be a string"),
        ({"someText": ["a"]}, "someText", "must be a string"),
        ({"wholeNumber": True}, "wholeNumber", "must be a whole number"),
        ({"wholeNumber": "1"}, "wholeNumber", "must be a whole number"),
        ({"wholeNumber": 1.0}, "wholeNumber", "must be a whole number"),
        ({"anyNumber": "1"}, "anyNumber", "must be a number"),
        ({"anyNumber": True}, "anyNumber", "must be a number"),
        ({"anyNumber": 10**400}, "anyNumber", "is too large"),
        ({"aFlag": 1}, "aFlag", "must be true or false"),
        ({"aFlag": "true"}, "aFlag", "must be true or false"),
        ({"maybeText": 0}, "maybeText", "must be a string"),
        ({"oneLeaf": {}}, "oneLeaf.name", "is missing"),
        ({"oneLeaf": []}, "oneLeaf", "must be an object"),
        ({"byName": {"some_key": {"name": 1}}}, "byName.some_key.name", "must be a string"),
        ({"byName": {"a.b": 1}}, "byName.a.b", "must be an object"),
        ({"byName": []}, "byName", "is not valid"),
        ({"kindOf": "huge"}, "kindOf", "must be 'big' or 'small'"),
        ({"kindOf": ["big"]}, "kindOf", "must be 'big' or 'small'"),
        ({"texts": ["a", 1]}, "texts[1]", "must be a string"),
    ],
)
def test_a_wrong_shape_names_the_field_as_its_sender_spells_it(
    changes: dict[str, Any], name: str, why: str
) -> None:
    assert refused({"leafList": [], **changes}) == (name, f"{name}: {why}")


def test_a_required_field_that_is_absent_is_named() -> None:
    assert refused({}) == ("leafList", "leafList: is missing")


def test_a_validator_of_the_value_is_told_of_the_object_around_it() -> None:
    name, message = refused({"leafList": [], "percent": 7})
    assert name == "body"
    assert message.startswith("body: 'percent' must be in [0, 50, 100]")


def test_of_many_errors_the_first_in_the_list_is_told() -> None:
    wrong = [{"name": "a"}, 1, 2, {"name": 3}]
    assert refused({"leafList": wrong}) == ("leafList[1]", "leafList[1]: must be an object")


def test_a_body_full_of_errors_costs_one_error() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        structure({"leafList": [1] * 10_000}, Tree)
    assert _count(caught.value) < 10


def _count(exc: BaseException | None) -> int:
    """Exceptions that hang on this one, itself included."""
    if exc is None:
        return 0
    inner = exc.exceptions if isinstance(exc, BaseExceptionGroup) else ()
    held = [value for value in vars(exc).values() if isinstance(value, BaseException)]
    return 1 + sum(map(_count, [*inner, *held, exc.__cause__]))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("id", "id"),
        ("project_id", "projectId"),
        ("a_b_c", "aBC"),
        ("from_", "from"),
        ("max_body_bytes", "maxBodyBytes"),
    ],
)
def test_camel_case(name: str, expected: str) -> None:
    assert camel_case(name) == expected


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
PARTS = st.fixed_dictionaries({}, optional={"type": st.just("text") | ANYTHING, "text": ANYTHING})
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["user", "assistant"]) | ANYTHING,
        "id": st.text(max_size=3) | ANYTHING,
        "content": st.text(max_size=5) | st.lists(PARTS, max_size=3) | ANYTHING,
        "parts": st.none() | st.lists(PARTS, max_size=3) | ANYTHING,
    },
)
BODIES = ANYTHING | st.fixed_dictionaries(
    {},
    optional={
        "messages": st.lists(MESSAGES, max_size=3) | ANYTHING,
        "id": st.text(max_size=3) | ANYTHING,
        "projectId": ANYTHING,
        "mode": st.sampled_from(["build", "discuss"]) | ANYTHING,
        "trigger": st.sampled_from(["submit-message", "regenerate-message"]) | ANYTHING,
        "messageId": ANYTHING,
        "model": st.text(max_size=3) | ANYTHING,
        "message": st.text(max_size=3) | ANYTHING,
    },
)


@given(BODIES)
def test_any_json_is_a_chat_request_or_names_a_field(data: object) -> None:
    """Nothing but `InvalidRequestError` comes out, of either of the two that check a body."""
    refusal: InvalidRequestError | None = None
    body: object = None
    try:
        body = structure(data, ChatBody)
        read_submission(body, now=0, tokens=SequenceTokens(), max_message_bytes=100)
    except InvalidRequestError as exc:
        refusal = exc
    if refusal is not None:
        assert refusal.field
        assert refusal.public_message.startswith(f"{refusal.field}: ")
    if isinstance(body, ChatBody):
        assert isinstance(body.messages, tuple)
        assert all(isinstance(message, ClientMessage) for message in body.messages)
        assert all(type(message.role) is str for message in body.messages)


async def read_or_refusal(raw: bytes) -> EnhancerBody | InvalidRequestError:
    try:
        return await read_json(post(Chunks(raw)), EnhancerBody, limit=100_000)
    except InvalidRequestError as exc:
        return exc


@given(BODIES)
async def test_any_json_on_the_wire_either_fits_or_names_a_field(data: object) -> None:
    outcome = await read_or_refusal(json.dumps(data).encode())
    if isinstance(outcome, EnhancerBody):
        assert isinstance(data, dict)
        assert outcome == EnhancerBody(data["message"], data.get("model"))
    else:
        assert outcome.field


@given(st.binary(max_size=40))
async def test_any_bytes_either_fit_or_name_a_field(raw: bytes) -> None:
    outcome = await read_or_refusal(raw)
    assert isinstance(outcome, EnhancerBody) or outcome.field


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"{'message': 1}",
        b'{"message": "a",}',
        b'{"message": NaN}',
        b'{"message": Infinity}',
        b'{"message": -Infinity}',
        b'{"message": 1e999}',
        b'{"message": -1e999}',
        b'{"message": "a\nb"}',
        b'\xef\xbb\xbf{"message": "a"}',
        b'{"message": ' + b"9" * 5000 + b"}",
    ],
)
async def test_what_is_no_json_is_refused_as_a_whole(raw: bytes) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await read_json(post(Chunks(raw)), EnhancerBody, limit=10_000)
    assert (caught.value.field, caught.value.status_hint) == ("body", 400)
    assert caught.value.public_message.startswith("body: is not JSON")


async def test_what_is_no_utf8_is_refused() -> None:
    request = post(Chunks('{"message": "é"}'.encode("latin-1")))
    with pytest.raises(InvalidRequestError) as caught:
        await read_json(request, EnhancerBody, limit=100)
    assert (caught.value.field, str(caught.value)) == ("body", "body: is not UTF-8")


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, "[" * 90_000 + "]" * 90_000])
async def test_what_is_nested_too_deep_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await read_json(post(Chunks(text.encode())), EnhancerBody, limit=2_000_000)
    assert (caught.value.field, caught.value.status_hint) == ("body", 400)


@pytest.mark.parametrize(
    "content_type",
    [None, "", "text/plain", "application/json-seq", "application/x-www-form-urlencoded", "*/*"],
)
async def test_another_media_type_is_a_415_and_nothing_is_read(content_type: str | None) -> None:
    source = Chunks(b'{"message": "a"}')
    with pytest.raises(UnsupportedMediaTypeError) as caught:
        await read_json(post(source, content_type), EnhancerBody, limit=100)
    assert (caught.value.status_hint, source.read) == (415, 0)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;",
    ],
)
async def test_json_is_known_by_its_media_type_alone(content_type: str) -> None:
    request = post(Chunks(b'{"mess', b'age": "a"}'), content_type)
    assert await read_json(request, EnhancerBody, limit=100) == EnhancerBody("a")


@pytest.mark.parametrize("declared", ["101", "0101", "9" * 5000])
async def test_a_declared_length_over_the_limit_is_a_413_and_nothing_is_read(declared: str) -> None:
    source = Chunks(b"{}")
    with pytest.raises(PayloadTooLargeError) as caught:
        await read_json(post(source, content_length=declared), EnhancerBody, limit=100)
    assert (caught.value.status_hint, source.read) == (413, 0)


@pytest.mark.parametrize("declared", [None, "1", "-5", "+200", "²", "x"])
async def test_an_undeclared_length_over_the_limit_is_a_413_as_soon_as_it_shows(
    declared: str | None,
) -> None:
    source = Chunks(b" " * 60, b" " * 60, b" " * 60)
    request = post(source, **({} if declared is None else {"content_length": declared}))
    with pytest.raises(PayloadTooLargeError):
        await read_json(request, EnhancerBody, limit=100)
    assert source.read == 2


async def test_a_body_of_just_the_limit_is_read() -> None:
    raw = b'{"message": "a"}'
    request = post(Chunks(raw), content_length=f"000{len(raw)}")
    assert await read_json(request, EnhancerBody, limit=len(raw)) == EnhancerBody("a")


def test_a_json_response_is_compact_utf8_that_no_cache_keeps() -> None:
    response = json_response({"a": "é\u2028", "b": [1, None]}, status=201, headers={"X-A": "b"})
    assert response.status == 201
    assert response.body == '{"a":"é\u2028","b":[1,null]}'.encode()
    assert response.headers.items == (
        ("content-type", "application/json"),
        ("cache-control", "no-store"),
        ("x-a", "b"),
    )


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=20))
def test_every_text_survives_a_json_response(text: str) -> None:
    body = json_response({"text": text}).body
    assert isinstance(body, bytes)
    assert json.loads(body.decode("utf-8")) == {"text": text}


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "1970-01-01T00:00:00.000Z"), (1_700_000_000.5, "2023-11-14T22:13:20.500Z")],
)
def test_iso_time(seconds: float, expected: str) -> None:
    assert iso_time(seconds) == expected

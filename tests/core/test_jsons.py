"""JSON: the text that the documented encoder writes, and the values that `json.loads` reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from json.encoder import c_make_encoder
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from openbolt.jsons import (
    json_bytes,
    json_string,
    json_text,
    make_encoder,
    parse_finite_json,
    parse_json,
)

TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates too
ODD_NUMBERS = st.sampled_from([-0.0, 1e16, 1e-5, 1.5e-7, 5e-324, 2**63, 2**64, -(2**64), 10**400])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | ODD_NUMBERS | TEXT
KEYS = TEXT | st.integers() | st.floats() | st.booleans() | st.none()
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(TEXT, inner, max_size=4)
    ),
    max_leaves=12,
)
PAIR = "\ud83d" + "\ude00"  # two that would be one in UTF-16


def plain(value: object, *, sort_keys: bool = False) -> str:
    """The same by the documented encoder."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=sort_keys)


def outcome(read: Callable[[Any], object], data: str | bytes) -> str:
    """A value with its types (``-0.0``, ``1`` and ``True`` differ), or the error in its words."""
    try:
        return repr(read(data))
    except (ValueError, RecursionError) as exc:
        return repr(exc)


@given(VALUES)
@example({"b": [1e16, -0.0, float("nan"), float("inf")], "a": "é\u2028\x7f\x00" + PAIR})
def test_the_text_is_that_of_the_documented_encoder(value: object) -> None:
    assert json_text(value) == plain(value)


@given(VALUES, st.sampled_from(["backslashreplace", "replace", "surrogatepass"]))
def test_the_bytes_are_that_text_whatever_becomes_of_surrogates(value: object, errors: str) -> None:
    assert json_bytes(value, errors=errors) == plain(value).encode("utf-8", errors)


@given(st.dictionaries(TEXT, VALUES))
def test_keys_are_sorted_where_that_is_asked_for(value: dict[str, object]) -> None:
    expected = plain(value, sort_keys=True).encode("utf-8", "surrogatepass")
    assert json_bytes(value, errors="surrogatepass", sort_keys=True) == expected


@given(st.dictionaries(KEYS, SCALARS))
def test_a_key_that_is_no_text_is_written_as_the_documented_encoder_does(
    value: dict[object, object],
) -> None:
    assert json_text(value) == plain(value)


@given(TEXT)
def test_one_string_is_written_alike(text: str) -> None:
    assert json_string(text) == json_text(text) == plain(text)


@given(VALUES, st.booleans())
def test_another_python_without_the_fast_encoder_writes_the_same(
    value: object, sort_keys: bool
) -> None:
    def other(*_arguments: object) -> object:
        raise TypeError("takes other arguments")

    for make in (None, other, c_make_encoder):
        encode = make_encoder(make, sort_keys=sort_keys)
        assert "".join(encode(value, 0)) == plain(value, sort_keys=sort_keys)


def test_this_python_has_the_fast_encoder() -> None:
    assert type(make_encoder(c_make_encoder, sort_keys=False)) is c_make_encoder


def test_a_lone_surrogate_becomes_an_escape_that_every_reader_takes() -> None:
    raw = json_bytes({"text": "a\ud83d"})
    assert raw == b'{"text":"a\\ud83d"}'
    assert parse_json(raw) == json.loads(raw) == {"text": "a\ud83d"}


@given(VALUES.filter(lambda value: "nan" not in repr(value)))
@example([PAIR])
def test_what_a_store_is_given_is_read_as_it_was(value: object) -> None:
    def listed(part: Any) -> Any:
        if isinstance(part, dict):
            return {name: listed(inner) for name, inner in part.items()}
        return [listed(inner) for inner in part] if isinstance(part, list | tuple) else part

    assert repr(parse_json(json_bytes(value, errors="surrogatepass"))) == repr(listed(value))


@pytest.mark.parametrize("write", [json_text, json_bytes])
def test_what_has_no_form_is_refused_and_nothing_of_it_stays(
    write: Callable[[object], object],
) -> None:
    held: list[object] = [{"a": 1}]
    with pytest.raises(TypeError, match="Object of type object is not JSON serializable"):
        write([held, object()])
    with pytest.raises(TypeError, match="keys must be str"):
        write({b"a": held})
    assert write([held, held])  # no part of them counts as being written still


@pytest.mark.parametrize("write", [json_text, json_bytes])
def test_what_is_too_deep_or_holds_itself_is_a_recursion_error(
    write: Callable[[object], object],
) -> None:
    deep: list[object] = []
    for _ in range(200_000):
        deep = [deep]
    ring: list[object] = []
    ring.append(ring)
    for value in (deep, ring):
        with pytest.raises(RecursionError):
            write(value)


@given(
    VALUES,
    st.sampled_from(["", " ", "\r\n\t", "\ufeff", "x", ","]),
    st.sampled_from(["", "\n", " \t", "{}", "\0"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32-be"]),
)
def test_values_and_errors_are_those_of_json_loads(
    value: object, before: str, after: str, encoding: str
) -> None:
    text = before + plain(value) + after
    raw = text.encode(encoding, "surrogatepass")
    assert outcome(parse_json, text) == outcome(json.loads, text)
    assert outcome(parse_json, raw) == outcome(json.loads, raw)


@given(st.text('{}[]":,\\ud8aetrfn0123.-+ \n\ufeff', max_size=20) | st.text(), st.binary())
@example('{"a":1,"a":2}', b'{"a":1,"a":2}')
@example("[-0, -0.0, 1E400, NaN, -Infinity, 18446744073709551616]", b"\xff\xfe1\0")
@example('"\\ud83d\\ude00\\ud83d"', b'"\xed\xa0\xbd"')
@example('"\x01"', b"\xc3")
@example("", b"")
def test_so_it_is_with_any_text_and_any_bytes(text: str, raw: bytes) -> None:
    assert outcome(parse_json, text) == outcome(json.loads, text)
    assert outcome(parse_json, raw) == outcome(json.loads, raw)


@pytest.mark.parametrize("parse", [parse_json, parse_finite_json])
@pytest.mark.parametrize("opening", ["[", '{"":'])
def test_text_that_is_too_deep_is_a_recursion_error(
    parse: Callable[[str], object], opening: str
) -> None:
    with pytest.raises(RecursionError):
        parse(opening * 200_000)


@given(VALUES)
def test_finite_json_is_read_alike(value: object) -> None:
    text = plain(value)
    if not any(word in text for word in ("NaN", "Infinity")):
        assert repr(parse_finite_json(f" {text}\n")) == repr(json.loads(text))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400"])
def test_a_number_that_other_readers_lack_is_refused(number: str) -> None:
    assert parse_json(number) is not None
    with pytest.raises(ValueError, match="number"):
        parse_finite_json(f'{{"a":[{number}]}}')


@pytest.mark.parametrize("text", ["", "{", "[1]]", "\ufeff1"])
def test_finite_json_is_json(text: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        parse_finite_json(text)

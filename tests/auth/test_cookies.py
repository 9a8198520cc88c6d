"""Cookies as servers read them: tossed ones, look-alikes, and values that would be attributes."""

from __future__ import annotations

from http.cookies import SimpleCookie

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from openbolt import Headers, Request, RequestContext, Response, Settings
from openbolt.auth.cookies import (
    MAX_COOKIE_BYTES,
    Cookie,
    parse_cookies,
    session_cookie,
    sign_in_cookie,
    with_cookies,
)
from openbolt.http import EMPTY_BODY

NAME = "__Host-openbolt-session"
OURS = Cookie(NAME, secure=True)

OCTETS = "".join(chr(c) for c in range(0x21, 0x7F) if chr(c) not in '",;\\')
names = st.text("!#$%&'*+-.^_`|~09azAZ", min_size=1, max_size=20)
values = st.text(OCTETS, max_size=50)
header_text = st.text(st.sampled_from('=;, \t"\\\x00\xa0\u2000aB_-$') | st.characters())


def asked(*cookies: str, scheme: str = "https", host: str = "app.example.com") -> Request:
    fields = [("host", host), *(("cookie", line) for line in cookies)]
    context = RequestContext(spawn=lambda work: work.close())
    return Request("GET", "/", Headers(fields), EMPTY_BODY, context, scheme=scheme)


@given(st.lists(header_text))
def test_no_header_is_an_error_and_no_separator_gets_into_a_name(lines: list[str]) -> None:
    for name, value in parse_cookies(Headers([("cookie", line) for line in lines])):
        assert not set("=;") & set(name)
        assert ";" not in value


@given(st.lists(st.tuples(names, values), max_size=6))
def test_what_a_browser_writes_is_read_as_it_was(pairs: list[tuple[str, str]]) -> None:
    line = "; ".join(f"{name}={value}" for name, value in pairs)
    assert parse_cookies(Headers([("cookie", line)])) == pairs


@given(values.filter(bool), st.lists(st.tuples(names, values), max_size=4))
def test_what_is_set_is_read_among_whatever_else_is_there(
    value: str, others: list[tuple[str, str]]
) -> None:
    pair = OURS.set(value, max_age=60).partition(";")[0]
    before = "".join(f"{name}={other}; " for name, other in others)
    assert OURS.read(asked(before + pair)) == value


@given(header_text)
@example("x; Domain=example.com")
@example("x\r\nSet-Cookie: y=z")
@example('"x"')
def test_no_value_adds_an_attribute_or_a_field(value: str) -> None:
    try:
        field = OURS.set(value, max_age=60)
    except ValueError:
        return
    pair, *attributes = field.split("; ")
    assert pair == f"{NAME}={value}"
    assert attributes == ["Max-Age=60", "Path=/", "Secure", "HttpOnly", "SameSite=Lax"]
    assert field.isascii()
    assert field.isprintable()


def test_http_cookies_reads_the_same_attributes() -> None:
    morsel = SimpleCookie(OURS.set("abc", max_age=59.2))[NAME]
    assert (morsel.value, {name: said for name, said in morsel.items() if said}) == (
        "abc",
        {"path": "/", "max-age": "60", "secure": True, "httponly": True, "samesite": "Lax"},
    )


def test_a_deletion_has_every_attribute_that_the_cookie_had() -> None:
    morsel = SimpleCookie(OURS.delete())[NAME]
    assert (morsel.value, {name: said for name, said in morsel.items() if said}) == (
        "",
        {
            "path": "/",
            "max-age": "0",
            "expires": "Thu, 01 Jan 1970 00:00:00 GMT",
            "secure": True,
            "httponly": True,
            "samesite": "Lax",
        },
    )


@pytest.mark.parametrize(
    "lines",
    [
        (f"{NAME}=theirs; {NAME}=mine",),
        (f"{NAME}=mine; other=1; {NAME}=theirs",),
        (f"{NAME}=mine", f"{NAME}=theirs"),
        (f"{NAME}=mine; {NAME}=mine",),
        (f"{NAME}=mine; {NAME}=",),
    ],
)
def test_a_cookie_that_comes_twice_is_none(lines: tuple[str, ...]) -> None:
    assert OURS.read(asked(*lines)) is None


def test_cookies_split_over_fields_are_read_as_one_list() -> None:
    assert OURS.read(asked("a=1", f"{NAME}=mine", "b=2")) == "mine"


@pytest.mark.parametrize(
    "line",
    [
        "__host-openbolt-session=x",  # names are case-sensitive
        "__Host-openbolt-session\u2000=x",  # blanks that str.strip() takes off
        "\u00a0__Host-openbolt-session=x",
        "\u3000__Host-openbolt-session=x",
        "\x85__Host-openbolt-session=x",
        "\x0b__Host-openbolt-session=x",
        "\x1f__Host-openbolt-session=x",
        "%5F%5FHost-openbolt-session=x",  # nothing is decoded
        "=__Host-openbolt-session=x",  # a cookie without a name, with ours for its value
        "openbolt-session=x",  # over TLS the plain name is somebody else's
        "x__Host-openbolt-session=x",
        "__Host-openbolt-session",
        "__Host-openbolt-session=",
        "__Host-openbolt-session.=x",
        "a=1,__Host-openbolt-session=x",
        "",
    ],
)
def test_what_only_looks_like_the_cookie_is_not_it(line: str) -> None:
    assert OURS.read(asked(line)) is None


@pytest.mark.parametrize("value", ['"quoted"', '"half', "a=b=c", "a b", "caf\u00e9", "%41"])
def test_a_value_is_taken_as_it_stands(value: str) -> None:
    assert OURS.read(asked(f"a=1;{NAME}= {value}\t; b=2")) == value


def test_quotes_hide_no_cookie_and_no_version_changes_the_rules() -> None:
    line = f'$Version=1; first="; {NAME}=mine; $Path=/; last="'
    assert OURS.read(asked(line)) == "mine"


@pytest.mark.parametrize(
    ("public_url", "scheme", "host", "secure"),
    [
        (None, "https", "app.example.com", True),
        (None, "https", "localhost:8787", True),
        (None, "http", "localhost:8787", False),
        (None, "http", "LOCALHOST", False),
        (None, "http", "127.0.0.1:80", False),
        (None, "http", "[::1]:8787", False),
        (None, "http", "[::1]", False),
        (None, "http", "app.example.com", True),  # TLS may have ended before us
        (None, "http", "localhost.example.com", True),
        (None, "http", "token.localhost:8787", True),  # a preview's: no cookie is ever set there
        (None, "http", "", True),
        ("https://app.example.com", "http", "localhost:8787", True),
        ("http://localhost:3000", "https", "app.example.com", False),
    ],
)
def test_the_name_follows_the_scheme(
    public_url: str | None, scheme: str, host: str, secure: bool
) -> None:
    request = asked(scheme=scheme, host=host)
    settings = Settings(public_url=public_url)
    prefix = "__Host-" if secure else ""
    assert session_cookie(request, settings) == Cookie(f"{prefix}openbolt-session", secure=secure)
    assert sign_in_cookie(request, settings) == Cookie(f"{prefix}openbolt-sign-in", secure=secure)


def test_without_tls_on_loopback_only_secure_is_left_out() -> None:
    plain = session_cookie(asked(scheme="http", host="localhost"), Settings())
    assert plain.set("x", max_age=1) == (
        "openbolt-session=x; Max-Age=1; Path=/; HttpOnly; SameSite=Lax"
    )


def test_a_cookie_that_browsers_would_drop_is_an_error() -> None:
    most = MAX_COOKIE_BYTES - len(NAME)
    assert len(OURS.set("x" * most, max_age=1).partition(";")[0]) == MAX_COOKIE_BYTES + 1
    with pytest.raises(ValueError, match="4096 bytes"):
        OURS.set("x" * (most + 1), max_age=1)


@pytest.mark.parametrize("name", ["", "a b", "a;b", "a=b", "caf\u00e9", "a\n"])
def test_a_name_is_a_token(name: str) -> None:
    with pytest.raises(ValueError, match="name of a cookie"):
        Cookie(name, secure=False)


def test_a_response_can_set_several() -> None:
    first = with_cookies(Response(204, Headers.of({"x-other": "1"})), "a=1")
    both = with_cookies(first, "b=2", "c=3")
    assert both.headers.get_all("set-cookie") == ("a=1", "b=2", "c=3")
    assert (both.status, both.headers.get("x-other")) == (204, "1")

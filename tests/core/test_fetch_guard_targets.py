"""URLs: whatever the text, it is refused, or every library reads the host that we read."""

from __future__ import annotations

import sys

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from openbolt.proxy.guard import FetchPolicy, TargetRefusedError
from openbolt.proxy.targets import MAX_URL_CHARS, Target

PORTS = {"http": 80, "https": 443}
SIGNS = ":/?#@[]\\.;&=_-{}|^`'\"<>~!$()*+,018% \t\n\x00\x7f\xa0\xad\u200b\u202e\ud800"
LETTERS = "üé。．ｅ①ßKſİ२☃"
WORDS = (
    *("//", "%2e", "%41", "..", "::", ":80", ":443", ":0", "0x", "127", "1.2.3.4", "ffff"),
    *("localhost", "example", "com", "xn--", "xn--mnchen-3ya", "http:", "https://", "user", "a..b"),
)
FRAGMENTS = st.sampled_from([*SIGNS, *LETTERS, *WORDS])
TEXTS = st.one_of(
    st.text(max_size=40),
    st.builds(
        lambda start, parts: start + "".join(parts),
        st.sampled_from(["http://", "https://", "HTTP://", "http:", "//", ""]),
        st.lists(st.one_of(FRAGMENTS, st.text(max_size=2)), max_size=10),
    ),
)


def parsed(text: str) -> Target | None:
    try:
        return Target.parse(text)
    except TargetRefusedError:
        return None


def agree(target: Target) -> None:
    """All that will read the canonical spelling read the same in it."""
    ours = (target.scheme, target.host, target.port, target.path)
    yarl = URL(target.url, encoded=True)
    assert (yarl.scheme, yarl.raw_host, yarl.port, yarl.raw_path_qs) == ours
    found = httpx.URL(target.url)
    raw = (found.raw_host.decode(), found.port or PORTS[found.scheme], found.raw_path.decode())
    assert (found.scheme, *raw) == ours
    assert Target.parse(target.url) == target


@given(TEXTS)
def test_every_text_is_refused_or_read_alike_by_all(text: str) -> None:
    target = parsed(text)
    if target is not None:
        agree(target)


@given(TEXTS)
def test_what_passes_is_plain(text: str) -> None:
    target = parsed(text)
    if target is not None:
        url = target.url
        assert url.isascii()
        assert not set(url) & set("\\ \t\r\n#\x00\x7f")
        assert "@" not in target.authority
        assert "%" not in target.authority
        assert target.host == target.host.lower()
        assert not target.host.endswith(".")


@given(TEXTS, TEXTS)
def test_every_reference_is_refused_or_read_alike_by_all(base: str, reference: str) -> None:
    start = parsed(base) or Target.parse("https://example.com/a/b?c")
    try:
        target = start.join(reference)
    except TargetRefusedError:
        return
    agree(target)


@given(st.text("./ab%2eE?", max_size=12))
def test_no_dot_segment_is_left(rest: str) -> None:
    path = Target.parse(f"http://example.com/{rest}").path.partition("?")[0]
    dots = {".", "..", "%2e", ".%2e", "%2e.", "%2e%2e"}
    assert not dots & {segment.lower() for segment in path.split("/")}


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("", "/a/b?c"),
        ("#top", "/a/b?c"),
        ("?d", "/a/b?d"),
        ("?", "/a/b"),
        ("d", "/a/d"),
        ("d?e", "/a/d?e"),
        ("./d", "/a/d"),
        ("../d", "/d"),
        ("../../../d", "/d"),
        (".", "/a/"),
        ("..", "/"),
        ("/d/./e/../f", "/d/f"),
        ("/%2E%2e/d", "/d"),
        ("d//e", "/a/d//e"),
    ],
)
def test_a_reference_is_read_from_where_it_was_given(reference: str, expected: str) -> None:
    base = Target.parse("https://example.com:8443/a/b?c")
    assert base.join(reference).url == f"https://example.com:8443{expected}"


def test_a_target_tells_its_parts() -> None:
    target = Target.parse("HTTPS://[2606:4700:0::1111]:8443/a?b#c")
    assert (target.scheme, target.host, target.port) == ("https", "2606:4700::1111", 8443)
    assert target.authority == "[2606:4700::1111]:8443"
    assert target.origin == "https://[2606:4700::1111]:8443"
    assert (target.path, str(target.address)) == ("/a?b", "2606:4700::1111")


def test_a_long_url_is_refused() -> None:
    url = "http://example.com/"
    assert parsed(url + "a" * (MAX_URL_CHARS - len(url))) is not None
    assert parsed(url + "a" * (MAX_URL_CHARS - len(url) + 1)) is None


@pytest.mark.parametrize(
    ("url", "reason", "said"),
    [
        ("http://a:b@example.com/", "credentials", "a password"),
        ("http://example.com\\a", "malformed", "a backslash"),
        ("http://example.com/ ", "malformed", "white space"),
        ("ftp://example.com/", "scheme", "Only http and https"),
        ("example.com", "malformed", "doesn't start with http"),
        ("http://%65xample.com/", "malformed", "percent-encoded"),
        ("http://1.2.3.4.5/", "malformed", "no IPv4 address"),
        ("http://example.com:99999/", "malformed", "port"),
    ],
)
def test_a_person_is_told_what_is_wrong_with_the_text(url: str, reason: str, said: str) -> None:
    with pytest.raises(TargetRefusedError) as caught:
        FetchPolicy().admit(url)
    assert caught.value.reason == reason
    assert said in caught.value.public_message


def test_without_the_package_idna_ascii_names_still_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "idna", None)
    assert Target.parse("https://xn--mnchen-3ya.example/").host == "xn--mnchen-3ya.example"
    with pytest.raises(TargetRefusedError, match="write it in its xn-- form"):
        Target.parse("https://münchen.example/")

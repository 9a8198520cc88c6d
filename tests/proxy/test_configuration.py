"""What an operator may write of upstreams, and what is said of what is wrong."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from openbolt.bodies import camel_case
from openbolt.errors import ConfigurationError
from openbolt.proxy.configuration import upstreams_from, upstreams_of
from openbolt.proxy.fields import NEVER_FROM_UPSTREAM, NEVER_TO_UPSTREAM
from openbolt.proxy.upstreams import CacheRules, Injection, QueryRules, Rate, Upstream
from openbolt.settings import Settings

URL = "https://api.example/v1"


def refused(**fields: Any) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        upstreams_from(json.dumps({"weather": {"url": URL, **fields}}))
    return caught.value


def test_nothing_is_written_nothing_is_there() -> None:
    assert upstreams_from("") == upstreams_from(" {} ") == ()


def test_everything_can_be_written() -> None:
    written = {
        "url": URL,
        "methods": ["GET", "POST"],
        "paths": ["a/*"],
        "requestHeaders": ["X-Asked"],
        "responseHeaders": ["X-Told"],
        "setHeaders": {"User-Agent": "us"},
        "secrets": [
            {"secret": "operator:k", "header": "Authorization", "template": "Bearer {secret}"},
            {"secret": "user:mine", "query": "key"},
        ],
        "query": {"allowed": ["q"], "fixed": {"units": "si"}},
        "redirectTo": ["https://other.example"],
        "maxRequestBytes": 1,
        "maxResponseBytes": 2,
        "connect": 1,
        "firstByte": 2,
        "idle": 3,
        "total": 4.5,
        "cache": {"maxEntryBytes": 5},
        "retries": 1,
        "rate": {"limit": 5, "period": 60},
    }
    expected = Upstream(
        name="weather",
        url=URL,
        methods=("GET", "POST"),
        paths=("a/*",),
        request_headers=("x-asked",),
        response_headers=("x-told",),
        set_headers={"User-Agent": "us"},
        secrets=(
            Injection(secret="operator:k", header="authorization", template="Bearer {secret}"),
            Injection(secret="user:mine", query="key"),
        ),
        query=QueryRules(allowed=("q",), fixed={"units": "si"}),
        redirect_to=("https://other.example",),
        max_request_bytes=1,
        max_response_bytes=2,
        connect=1.0,
        first_byte=2.0,
        idle=3.0,
        total=4.5,
        cache=CacheRules(max_entry_bytes=5),
        retries=1,
        rate=Rate(limit=5, period=60.0),
    )
    assert upstreams_from(json.dumps({"weather": written})) == (expected,)
    fields = {camel_case(f.name) for f in attrs.fields(Upstream) if f.init}
    assert written.keys() == fields - {"name"}, "a field that this test doesn't know"


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("verbs", {"verbs": ["GET"]}),
    ("url", {"url": "ftp://api.example"}),
    ("url", {"url": "https://u:hunter2@api.example"}),
    ("url", {"url": "https://api.example/?x=1"}),
    ("url", {"url": "https://api.example/a/../b"}),
    ("url", {"url": "https://"}),
    ("url", {"url": 7}),
    ("methods", {"methods": []}),
    ("methods", {"methods": ["CONNECT"]}),
    ("methods", {"methods": ["get"]}),
    ("paths", {"paths": ["a/**/b"]}),
    ("paths", {"paths": ["a**"]}),
    ("paths", {"paths": [""]}),
    ("paths", {"paths": "a"}),
    ("requestHeaders", {"requestHeaders": ["Cookie"]}),
    ("requestHeaders", {"requestHeaders": ["X-Forwarded-For"]}),
    ("requestHeaders", {"requestHeaders": ["a b"]}),
    ("responseHeaders", {"responseHeaders": ["Set-Cookie"]}),
    ("responseHeaders", {"responseHeaders": ["Access-Control-Allow-Origin"]}),
    ("setHeaders", {"setHeaders": {"Host": "x"}}),
    ("setHeaders", {"setHeaders": {"x-a": "a\r\nb: c"}}),
    ("secret", {"secrets": [{"secret": "k", "header": "x"}]}),
    ("secrets", {"secrets": [{"secret": "user:k"}]}),
    ("secrets", {"secrets": [{"secret": "user:k", "header": "x", "query": "y"}]}),
    ("header", {"secrets": [{"secret": "user:k", "header": "Content-Length"}]}),
    ("template", {"secrets": [{"secret": "user:k", "header": "x", "template": "Bearer"}]}),
    ("template", {"secrets": [{"secret": "user:k", "header": "x", "template": "{secret}\n"}]}),
    ("secrets[0].headr", {"secrets": [{"secret": "user:k", "headr": "x"}]}),
    ("query", {"query": {"fixed": {"a b": "c"}}}),
    ("query.fixd", {"query": {"fixd": {}}}),
    ("redirectTo", {"redirectTo": ["https://other.example/"]}),
    ("maxRequestBytes", {"maxRequestBytes": -1}),
    ("firstByte", {"firstByte": 0}),
    ("total", {"total": "5"}),
    ("retries", {"retries": 99}),
    ("cache", {"cache": {"shared": True}, "secrets": [{"secret": "user:k", "header": "x"}]}),
    ("rate", {"rate": {"limit": 0, "period": 60}}),
]


@pytest.mark.parametrize(("field", "fields"), WRONG)
def test_what_is_wrong_is_named(field: str, fields: dict[str, Any]) -> None:
    error = refused(**fields)
    assert "weather" in error.public_message
    assert field in error.public_message
    assert "OPENBOLT_UPSTREAMS" in error.public_message
    assert "hunter2" not in error.public_message


@pytest.mark.parametrize("name", ["anthropic", "", "A", "a/b", "-a", "x" * 65, "a.b"])
def test_a_name_that_is_none_or_is_taken_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="name"):
        upstreams_from(json.dumps({name: {"url": URL}}))


@pytest.mark.parametrize("text", ["{", "[]", "7", '{"a": 7}', '{"a": {}}'])
def test_what_is_no_configuration_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="upstreams"):
        upstreams_from(text)


def test_the_defaults_hold_nothing_that_is_never_passed() -> None:
    upstream = Upstream(name="weather", url=URL)  # validates them
    assert not set(upstream.request_headers) & NEVER_TO_UPSTREAM
    assert not set(upstream.response_headers) & NEVER_FROM_UPSTREAM


def test_a_secret_that_is_not_there_is_told_at_the_start() -> None:
    wanted = {"weather": {"url": URL, "secrets": [{"secret": "operator:k", "header": "x"}]}}
    with pytest.raises(ConfigurationError, match="OPENBOLT_UPSTREAM_SECRETS"):
        upstreams_of(Settings(upstreams=json.dumps(wanted)))
    settings = Settings(upstreams=json.dumps(wanted), upstream_secrets='{"k": "hunter2"}')
    _, secrets = upstreams_of(settings)
    assert secrets["k"].reveal() == "hunter2"
    assert "hunter2" not in f"{settings!r}{secrets!r}"


@pytest.mark.parametrize("text", ["{", "[]", '{"k": 7}', '{"k": ""}', '{"k": "hunter2\\n"}'])
def test_secrets_that_cannot_be_read_are_refused_unseen(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        upstreams_of(Settings(upstream_secrets=text))
    assert caught.value.setting == "upstream_secrets"
    assert "hunter2" not in str(caught.value)

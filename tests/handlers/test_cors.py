"""Which other origins' pages may read an answer: those that are trusted, by name, and no others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbolt.access import with_principal
from openbolt.errors import ConfigurationError, NotFoundError
from openbolt.guards import (
    answer_errors,
    only_hosts,
    refuse_cross_site_writes,
    with_request_id,
    with_security_headers,
)
from openbolt.http import EMPTY_BODY, Handler, Headers, Request, RequestContext, Response
from openbolt.origins import CORS_HEADERS, CORS_METHODS, refuse_forms, with_cors, without_forms
from openbolt.routing import Route, Router
from openbolt.testing import SequenceTokens
from tests.handlers.building import Answer, ByHeader, Caller

TRUSTED = ("https://app.example", "http://dev.test:5173")
PREFLIGHT = {"access-control-request-method": "POST"}
UNTRUSTED = [
    "https://evil.example",
    "http://app.example",
    "https://app.example:444",
    "https://app.example.evil.example",
    "https://evil.example/https://app.example",
    "https://sub.app.example",
    "https://app.example/",
    "https://app.example@evil.example",
    "https://app.example, https://evil.example",
    "https://app.example https://evil.example",
    "http://dev.test",
    "http://dev.test:5174",
    "http://localhost:8787",
    "null",
    "*",
    "",
    "file://",
    "app.example",
    "https://",
    "https://app.example\r\nx: y",
]


async def data(request: Request, /) -> Response:
    return Response(200, Headers.of(vary="Accept", etag='"1"'), b"data")


async def fail(request: Request, /) -> Response:
    raise NotFoundError("There is no such chat.")


async def preview(request: Request, /) -> Response:
    return Response(200, Headers.of({"access-control-allow-origin": "*"}), b"a page")


def guarded(*trusted: str) -> Caller:
    """Handlers behind the guards of an application, in its order."""
    router = Router(
        [
            Route("GET", "/data", data),
            Route("POST", "/data", data),
            Route("GET", "/fail", fail),
            Route("GET", "/preview", preview),
        ]
    )
    handler: Handler = refuse_cross_site_writes(with_principal(router, ByHeader()), trusted)
    handler = with_cors(answer_errors(handler), trusted)
    handler = with_security_headers(answer_errors(only_hosts(handler)))
    return Caller(with_request_id(handler, SequenceTokens()))


@pytest.fixture
def call() -> Caller:
    return guarded(*TRUSTED)


def said(answer: Answer) -> dict[str, str]:
    """All that a response says of CORS."""
    names = [name for name, _ in answer.headers.items if name.startswith("access-control-")]
    assert len(names) == len(set(names)), "a field that stands twice means nothing"
    return {name.removeprefix("access-control-"): answer.headers.get(name) or "" for name in names}


def read_by(origin: str) -> dict[str, str]:
    return {
        "allow-origin": origin,
        "allow-credentials": "true",
        "expose-headers": (
            "content-disposition, etag, ratelimit, ratelimit-policy, retry-after, x-openbolt-chat, "
            "x-openbolt-project, x-request-id, x-vercel-ai-ui-message-stream"
        ),
    }


@pytest.mark.parametrize("origin", TRUSTED)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_a_trusted_page_reads_what_it_is_answered(
    call: Caller, origin: str, method: str
) -> None:
    answer = await call(method, "/data", headers={"origin": origin, "sec-fetch-site": "cross-site"})
    assert (answer.status, answer.body, said(answer)) == (200, b"data", read_by(origin))
    assert answer.headers.get_all("vary") == ("Accept, Origin",)


@pytest.mark.parametrize(
    ("target", "user", "status"),
    [("/fail", "ann", 404), ("/nothing", "ann", 404), ("/", None, 401)],
)
async def test_a_trusted_page_reads_why_it_was_refused(
    call: Caller, target: str, user: str | None, status: int
) -> None:
    answer = await call("GET", target, user=user, headers={"origin": TRUSTED[0]})
    assert (answer.status, said(answer)) == (status, read_by(TRUSTED[0]))
    assert answer.error[0] == status


@pytest.mark.parametrize("origin", UNTRUSTED)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
async def test_no_other_page_is_told_anything(call: Caller, origin: str, method: str) -> None:
    for more in ({}, PREFLIGHT):
        answer = await call(method, "/data", headers={"origin": origin, **more})
        assert said(answer) == {}
        assert "Origin" in (answer.headers.get("vary") or ""), "or a cache would mix them up"


async def test_two_origins_are_none() -> None:
    async def answered(*origins: str) -> Response:
        fields = [("host", "localhost"), *(("origin", origin) for origin in origins)]
        context = RequestContext(spawn=lambda _: None)
        request = Request("GET", "/data", Headers(fields), EMPTY_BODY, context)
        return await with_cors(data, TRUSTED)(request)

    assert "access-control-allow-origin" in (await answered(TRUSTED[0])).headers
    for other in (TRUSTED[0], TRUSTED[1], "https://evil.example"):
        assert "access-control-allow-origin" not in (await answered(TRUSTED[0], other)).headers


async def test_a_request_of_this_origin_is_told_nothing_but_that_answers_differ(
    call: Caller,
) -> None:
    answer = await call("GET", "/data")
    assert (said(answer), answer.headers.get("vary")) == ({}, "Accept, Origin")


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ("https://app.example", "https://app.example"),
        ("https://app.example:443", "https://app.example"),
        ("HTTPS://APP.EXAMPLE", "https://app.example"),
        ("http://dev.test:05173", "http://dev.test:5173"),
    ],
)
async def test_what_is_told_is_the_trusted_origin_and_not_what_was_sent(
    call: Caller, sent: str, told: str
) -> None:
    answer = await call("GET", "/data", headers={"origin": sent})
    assert said(answer)["allow-origin"] == told


@given(st.text() | st.sampled_from(TRUSTED).flatmap(lambda t: st.text().map(lambda x: t + x)))
async def test_whatever_is_sent_nothing_else_is_ever_told(origin: str) -> None:
    answer = await guarded(*TRUSTED)("GET", "/data", headers={"origin": origin})
    assert said(answer).get("allow-origin") in {None, *TRUSTED}


@pytest.mark.parametrize("target", ["/data", "/nothing", "/"])
@pytest.mark.parametrize("user", ["ann", None])
@pytest.mark.parametrize("method", ["POST", "DELETE", "PURGE"])
async def test_a_trusted_page_may_ask_first_and_needs_no_sign_in_for_it(
    call: Caller, target: str, user: str | None, method: str
) -> None:
    asked = {"origin": TRUSTED[1], "access-control-request-method": method}
    answer = await call("OPTIONS", target, user=user, headers=asked)
    assert (answer.status, answer.body) == (204, b"")
    assert said(answer) == {
        "allow-origin": TRUSTED[1],
        "allow-credentials": "true",
        "allow-methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
        "allow-headers": ", ".join(CORS_HEADERS),
        "max-age": "7200",
    }
    assert answer.headers.get("vary") == "Origin"


async def test_an_options_request_that_asks_nothing_reaches_its_route(call: Caller) -> None:
    answer = await call("OPTIONS", "/data", headers={"origin": TRUSTED[0]})
    assert (answer.status, answer.headers.get("allow")) == (204, "GET, HEAD, OPTIONS, POST")
    assert said(answer) == read_by(TRUSTED[0])


async def test_under_another_name_for_this_server_no_page_reads_anything(call: Caller) -> None:
    for method, more in (("GET", {}), ("OPTIONS", PREFLIGHT)):
        headers = {"origin": TRUSTED[0], **more}
        answer = await call(method, "/data", host="rebound.example", headers=headers)
        assert (answer.error[:2], said(answer)) == ((403, "host_not_allowed"), {})


async def test_a_response_that_speaks_for_itself_is_left_alone(call: Caller) -> None:
    answer = await call("GET", "/preview", headers={"origin": TRUSTED[0]})
    assert said(answer) == {"allow-origin": "*"}, "a wildcard, and so never with credentials"


async def test_where_nobody_is_trusted_nothing_changes() -> None:
    call = guarded()
    for method, more in (("GET", {}), ("OPTIONS", PREFLIGHT)):
        answer = await call(method, "/data", headers={"origin": TRUSTED[0], **more})
        assert said(answer) == {}
        assert answer.headers.get("vary") in {"Accept", None}


@pytest.mark.parametrize("entry", ["*", "null", "", "https://*.example", "app.example"])
def test_what_is_no_origin_is_refused_when_the_guard_is_made(entry: str) -> None:
    with pytest.raises(ConfigurationError, match="trusted_origins") as caught:
        with_cors(data, [entry])
    assert caught.value.setting == "trusted_origins"


def test_nothing_that_is_listed_is_a_wildcard() -> None:
    assert "*" not in "".join([*CORS_METHODS, *CORS_HEADERS])


FORMS = [
    "text/plain",
    "text/plain;charset=UTF-8",
    "TEXT/PLAIN",
    " text/plain ",
    "multipart/form-data; boundary=x",
    "application/x-www-form-urlencoded",
    "application/x-www-form-urlencoded, application/json",
    "application/json, text/plain",
]


@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.parametrize("content", [b"", b"{}"])
async def test_what_a_form_can_send_is_refused(kind: str, content: bytes) -> None:
    call = Caller(with_request_id(answer_errors(refuse_forms(data)), SequenceTokens()))
    answer = await call("POST", "/", content=content, headers={"content-type": kind})
    assert answer.error == (415, "unsupported_media_type", None)


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", None])
async def test_json_and_no_body_at_all_are_taken(kind: str | None) -> None:
    headers = {} if kind is None else {"content-type": kind}
    assert (await Caller(refuse_forms(data))("POST", "/", headers=headers)).status == 200


async def test_routes_that_may_change_something_refuse_forms_and_others_do_not_care() -> None:
    methods = ("GET", "POST", "PUT", "PATCH", "DELETE", "ANY")
    routes = without_forms(Route(method, "/", data) for method in methods)
    assert [route.method for route in routes] == list(methods)
    changed = [route.method for route in routes if route.handler is not data]
    assert changed == ["POST", "PUT", "PATCH"]

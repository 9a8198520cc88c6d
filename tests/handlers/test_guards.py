"""What the guards put on every response, and what an error becomes."""

import asyncio
import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbolt import errors
from openbolt.errors import OpenBoltError
from openbolt.guards import (
    answer_errors,
    error_response,
    outermost,
    with_request_id,
    with_security_headers,
)
from openbolt.http import EMPTY_BODY, Handler, Headers, Request, RequestContext, Response
from tests.asgi.driving import answering


def request_of(**headers: str) -> Request:
    context = RequestContext(spawn=lambda _: None, request_id="r1")
    return Request("GET", "/secret-token", Headers.of(headers), EMPTY_BODY, context)


def raising(error: BaseException) -> Handler:
    async def handler(request: Request, /) -> Response:
        raise error

    return handler


class Tokens:
    """Tells its tokens."""

    def token(self, size: int = 16, /) -> str:
        return "made"


@pytest.mark.parametrize(
    ("error", "status", "said", "headers"),
    [
        (
            errors.InvalidRequestError("role: is missing", field="messages[2].role"),
            400,
            {
                "code": "invalid_request",
                "message": "role: is missing",
                "field": "messages[2].role",
            },
            {},
        ),
        (
            errors.CrossOriginError("No.", code="host_not_allowed"),
            403,
            {"code": "host_not_allowed", "message": "No."},
            {},
        ),
        (
            errors.RateLimitedError("Slower.", retry_after=1.2),
            429,
            {"code": "rate_limited", "message": "Slower."},
            {"retry-after": "2"},
        ),
        (
            errors.RateLimitedError("Slower.", retry_after=-3),
            429,
            {"code": "rate_limited", "message": "Slower."},
            {"retry-after": "0"},
        ),
        (
            errors.UpstreamRateLimitedError("Slower.", retry_after=float("inf")),
            429,
            {"code": "upstream_rate_limited", "message": "Slower."},
            {},
        ),
        (
            errors.MethodNotAllowedError("No.", allowed=("GET", "HEAD")),
            405,
            {"code": "method_not_allowed", "message": "No."},
            {"allow": "GET, HEAD"},
        ),
        (
            errors.UnauthenticatedError("Sign in.", challenge='Bearer realm="x"'),
            401,
            {"code": "unauthenticated", "message": "Sign in."},
            {"www-authenticate": 'Bearer realm="x"'},
        ),
        (
            errors.BackendError("Down.", detail="redis://user:pw@host"),
            503,
            {"code": "backend_unavailable", "message": "Down."},
            {},
        ),
        (
            errors.ConfigurationError("Set OPENBOLT_DATA.", setting="data"),
            500,
            {"code": "internal", "message": "Something went wrong on the server."},
            {},
        ),
        (
            KeyError("/etc/secret"),
            500,
            {"code": "internal", "message": "Something went wrong on the server."},
            {},
        ),
    ],
)
async def test_an_error_becomes_a_status_a_json_body_and_its_headers(
    error: Exception, status: int, said: dict[str, str], headers: dict[str, str]
) -> None:
    response = await answer_errors(raising(error))(request_of())
    assert isinstance(response.body, bytes)
    assert json.loads(response.body) == {"error": {**said, "requestId": "r1"}}
    assert response.status == status
    assert dict(response.headers.items) == {
        "content-type": "application/json",
        "cache-control": "no-store",
        **headers,
    }


def _tree(root: type[OpenBoltError]) -> Iterator[type[OpenBoltError]]:
    yield root
    for child in root.__subclasses__():
        yield from _tree(child)


@pytest.mark.parametrize("kind", sorted(set(_tree(OpenBoltError)), key=lambda kind: kind.__name__))
def test_every_error_of_the_tree_has_a_response(kind: type[OpenBoltError]) -> None:
    error = kind("Said.")
    response = error_response(error, request_id="r1")
    assert response.status == kind.status_hint
    assert isinstance(response.body, bytes)
    told = {"field"} if getattr(error, "field", None) else set()
    assert set(json.loads(response.body)["error"]) == {"code", "message", "requestId"} | told


@given(st.text())
def test_any_text_in_an_error_is_sent_as_json(text: str) -> None:
    response = error_response(errors.InvalidRequestError(text, field=text))
    assert isinstance(response.body, bytes)
    assert json.loads(response.body.decode("ascii"))["error"]["message"] == text


async def test_a_cancellation_passes_through() -> None:
    with pytest.raises(asyncio.CancelledError):
        await answer_errors(raising(asyncio.CancelledError()))(request_of())


async def test_what_nobody_foresaw_is_logged_with_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    error = KeyError("why")
    await answer_errors(raising(error))(request_of())
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("openbolt", logging.ERROR)
    assert record.exc_info is not None
    assert record.exc_info[1] is error
    assert "r1" in record.getMessage()


async def test_a_failure_of_ours_is_logged_with_its_detail_and_a_callers_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    await answer_errors(raising(errors.BackendError("Down.", detail="kv")))(request_of())
    await answer_errors(raising(errors.NotFoundError("Nothing.")))(request_of())
    assert [record.getMessage() for record in caplog.records] == [
        "GET request r1: backend_unavailable: Down. (kv)"
    ]


async def test_a_path_is_never_logged_since_it_may_be_a_capability(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for error in (KeyError("x"), errors.BackendError("Down.")):
        await answer_errors(raising(error))(request_of())
    assert "secret-token" not in caplog.text


@pytest.mark.parametrize(
    ("given_id", "request_id"),
    [
        ("abc-1.2_X", "abc-1.2_X"),
        ("x" * 64, "x" * 64),
        ("x" * 65, "made"),
        ("", "made"),
        ("a b", "made"),
        ("a\n", "made"),
        ("é", "made"),
        ("a/b", "made"),
    ],
)
async def test_a_sound_request_id_is_kept_and_any_other_replaced(
    given_id: str, request_id: str
) -> None:
    seen: list[str] = []

    async def handler(request: Request, /) -> Response:
        seen.append(request.context.request_id)
        return Response(204, Headers.of(x_request_id="the handler's"))

    response = await with_request_id(handler, Tokens())(request_of(**{"x-request-id": given_id}))
    assert seen == [request_id]
    assert response.headers.get_all("x-request-id") == (request_id,)


async def test_a_request_without_an_id_gets_one() -> None:
    response = await with_request_id(answering(Response()), Tokens())(request_of())
    assert response.headers.get("x-request-id") == "made"


FIELDS = st.sampled_from(
    ["a", "Content-Security-Policy", "x-frame-options", "X-Request-Id", "referrer-policy"]
)


@given(
    st.lists(st.tuples(FIELDS, st.text(max_size=2)), max_size=6),
    st.sampled_from(["", "abc", "not/one"]),
    st.sampled_from([None, errors.NotFoundError("No."), KeyError("x")]),
)
async def test_outermost_is_the_three_in_one_step(
    fields: list[tuple[str, str]], given_id: str, error: Exception | None
) -> None:
    seen: list[str] = []

    async def handler(request: Request, /) -> Response:
        seen.append(request.context.request_id)
        if error is not None:
            raise error
        return Response(201, Headers(fields), b"x")

    request = request_of(**{"x-request-id": given_id})
    three = with_request_id(with_security_headers(answer_errors(handler)), Tokens())
    apart, at_once = await three(request), await outermost(handler, Tokens())(request)
    assert (apart.status, apart.body) == (at_once.status, at_once.body)
    assert sorted(apart.headers.items) == sorted(at_once.headers.items)
    assert seen[0] == seen[1] == at_once.headers.get("x-request-id")


async def test_every_response_gets_security_headers() -> None:
    response = await with_security_headers(answering(Response(204)))(request_of())
    headers = dict(response.headers.items)
    assert headers.pop("permissions-policy").count("=()") == 11
    assert headers == {
        "x-content-type-options": "nosniff",
        "referrer-policy": "strict-origin-when-cross-origin",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "content-security-policy": (
            "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        "x-frame-options": "DENY",
    }


async def test_what_a_handler_sets_is_never_overwritten() -> None:
    own = {
        "content-security-policy": "sandbox",
        "cross-origin-resource-policy": "cross-origin",
        "referrer-policy": "no-referrer",
    }
    response = await with_security_headers(answering(Response(200, Headers.of(own))))(request_of())
    assert {name: response.headers.get_all(name) for name in own} == {
        name: (value,) for name, value in own.items()
    }
    assert "x-frame-options" not in response.headers

"""Who is let in: the local user, whoever knows the password, and nobody else."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbolt.access import LocalUser, SharedPassword, owner_of, with_principal
from openbolt.errors import ConfigurationError, UnauthenticatedError
from openbolt.http import EMPTY_BODY, Headers, Principal, Request, RequestContext, Response

PASSWORD = "correct horse: battery ☃"


def request_of(*authorization: str) -> Request:
    context = RequestContext(spawn=lambda _: None)
    headers = Headers(("authorization", value) for value in authorization)
    return Request("GET", "/", headers, EMPTY_BODY, context)


def basic(password: bytes, *, user: bytes = b"me", scheme: str = "Basic") -> str:
    return f"{scheme} {base64.b64encode(user + b':' + password).decode()}"


async def refusal(request: Request, password: str = PASSWORD) -> UnauthenticatedError:
    with pytest.raises(UnauthenticatedError) as caught:
        await SharedPassword(password).authenticate(request)
    return caught.value


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
@pytest.mark.parametrize("user", [b"", b"me", "é".encode(), b"\xff"])
async def test_the_right_password_lets_in_under_any_name(scheme: str, user: bytes) -> None:
    request = request_of(basic(PASSWORD.encode(), user=user, scheme=scheme))
    assert await SharedPassword(PASSWORD).authenticate(request) == Principal("local", "Local user")


@pytest.mark.parametrize(
    "value",
    [
        basic(b"wrong"),
        basic(b""),
        basic(PASSWORD.encode() + b" "),
        basic(PASSWORD.encode()[:-1]),
        basic(PASSWORD.upper().encode()),
        basic(PASSWORD.encode("utf-16")),
        basic(PASSWORD.encode(), scheme="Bearer"),
        "Basic " + base64.b64encode(PASSWORD.encode()).decode(),
        "Basic",
        "Basic ",
        "Basic \xff\xfe",
        "Basic ====",
        "Basic " + basic(PASSWORD.encode()),
        PASSWORD.encode().decode("latin-1"),
        "",
    ],
)
async def test_anything_else_is_asked_for_the_password(value: str) -> None:
    error = await refusal(request_of(value))
    assert (error.status_hint, error.challenge) == (
        401,
        'Basic realm="openbolt", charset="UTF-8"',
    )


async def test_without_the_field_the_browser_is_asked() -> None:
    assert (await refusal(request_of())).challenge is not None


@given(st.text(min_size=1), st.text())
async def test_exactly_the_password_lets_in(password: str, given_one: str) -> None:
    try:
        raw = given_one.encode()
        password.encode()
    except UnicodeEncodeError:
        return
    request = request_of(basic(raw))
    if password == given_one:
        assert await SharedPassword(password).authenticate(request) is not None
    else:
        await refusal(request, password)


async def test_the_password_is_compared_in_constant_time() -> None:
    assert "compare_digest" in SharedPassword.authenticate.__code__.co_names


def test_no_password_is_no_protection_and_is_refused() -> None:
    with pytest.raises(ConfigurationError) as caught:
        SharedPassword("")
    assert caught.value.setting == "password"


def test_the_password_is_not_shown() -> None:
    assert PASSWORD not in repr(SharedPassword(PASSWORD))


async def test_the_local_user_needs_nothing() -> None:
    assert await LocalUser().authenticate(request_of()) == Principal("local", "Local user")


class Nobody:
    async def authenticate(self, request: Request, /) -> Principal | None:
        return None


async def test_the_guard_hands_the_principal_on_or_answers_401() -> None:
    async def handler(request: Request, /) -> Response:
        return Response(200, body=owner_of(request).encode())

    answer = await with_principal(handler, LocalUser(Principal("u1")))(request_of())
    assert answer.body == b"u1"
    with pytest.raises(UnauthenticatedError):
        await with_principal(handler, Nobody())(request_of())
    with pytest.raises(UnauthenticatedError):
        await handler(request_of())

"""OpenID Connect's flow, request by request, without a network."""

from __future__ import annotations

from base64 import b32encode, b64decode
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import pytest

from openbolt.auth.identity import Grant, Identity, SignedIn, SignInRefusedError
from openbolt.auth.oidc import OpenIdConnect
from openbolt.auth.users import user_id_of
from openbolt.errors import (
    ConfigurationError,
    OpenBoltError,
    StateMismatchError,
    UpstreamError,
    UpstreamTimeoutError,
)
from openbolt.protocols import OutboundRequest
from tests.auth.exchanges import NOW, answer, attempt, form_of, query_of, talk
from tests.auth.issuing import CLIENT, ISSUER, claims, key_of, published

KEY = key_of("RS256")
PROVIDER = OpenIdConnect(ISSUER, CLIENT, "s&cret-1", name="Example")
ATTEMPT = attempt("oidc")
CALLBACK = {"code": "code-1", "state": "state-1"}
KEYS = answer(published(KEY))


def metadata(**changes: Any) -> dict[str, Any]:
    """What discovery says; ``...`` takes a field out."""
    usual = {
        "issuer": ISSUER,
        "authorization_endpoint": "https://issuer.example/authorize",
        "token_endpoint": "https://issuer.example/token",
        "jwks_uri": "https://keys.issuer.example/keys",
        "userinfo_endpoint": "https://issuer.example/userinfo",
        "revocation_endpoint": "https://issuer.example/revoke",
    }
    return {name: value for name, value in {**usual, **changes}.items() if value is not ...}


def discovered(**changes: Any) -> Any:
    return answer(metadata(**changes))


def tokens(*, said: Mapping[str, Any] | None = None, **more: Any) -> Any:
    """The token endpoint's answer, with an ID token that says this."""
    usual = {"access_token": "at-1", "token_type": "Bearer", "expires_in": 300}
    return answer({**usual, "id_token": KEY.sign(claims(**(said or {}))), **more})


def finish(*answers: Any, callback: Mapping[str, str] = CALLBACK, provider: Any = PROVIDER) -> Any:
    return talk(provider.finish(ATTEMPT, callback, now=NOW), *answers)


def identity(*answers: Any) -> Identity:
    found: SignedIn = finish(*answers)[0]
    return found.identity


def test_the_person_is_sent_where_discovery_says() -> None:
    url, asked = talk(PROVIDER.begin(ATTEMPT), discovered())
    assert [request.url for request in asked] == [f"{ISSUER}/.well-known/openid-configuration"]
    assert url.startswith("https://issuer.example/authorize?")
    found = query_of(url)
    assert len(found.pop("code_challenge")) == 43
    assert found == {
        "response_type": "code",
        "client_id": CLIENT,
        "redirect_uri": "https://app.example/api/auth/oidc/callback",
        "scope": "openid email profile",
        "state": "state-1",
        "nonce": "nonce-1",
        "code_challenge_method": "S256",
    }


def test_a_query_that_the_authorization_endpoint_has_of_its_own_stays() -> None:
    endpoint = "https://issuer.example/authorize?tenant=a%26b"
    url, _ = talk(PROVIDER.begin(ATTEMPT), discovered(authorization_endpoint=endpoint))
    assert url.startswith(endpoint + "&response_type=code&")
    assert query_of(url)["tenant"] == "a&b"


def test_a_slash_at_the_issuer_s_end_belongs_to_its_name() -> None:
    provider = OpenIdConnect(f"{ISSUER}/", CLIENT, "s")
    with pytest.raises(UpstreamError):
        talk(provider.begin(ATTEMPT), discovered())
    _, asked = talk(provider.begin(ATTEMPT), discovered(issuer=f"{ISSUER}/"))
    assert asked[0].url == f"{ISSUER}/.well-known/openid-configuration"


def test_the_code_is_redeemed_and_the_id_token_read() -> None:
    signed_in, asked = finish(discovered(), tokens(refresh_token="rt-1", scope="openid"), KEYS)
    digest = b32encode(sha256(f"{ISSUER}\0subject-1".encode()).digest()).decode().lower()
    assert signed_in == SignedIn(
        Identity(
            provider="oidc",
            subject=digest[:26],
            name="Ann Example",
            email="ann@corp.example",
            email_verified=True,
        ),
        Grant("at-1", NOW + 300, "rt-1", None, ("openid",)),
    )
    assert user_id_of(signed_in.identity) == f"oidc.{digest[:26]}"
    assert [(request.method, request.url) for request in asked] == [
        ("GET", f"{ISSUER}/.well-known/openid-configuration"),
        ("POST", "https://issuer.example/token"),
        ("GET", "https://keys.issuer.example/keys"),
    ]
    assert form_of(asked[1]) == {
        "grant_type": "authorization_code",
        "code": "code-1",
        "redirect_uri": "https://app.example/api/auth/oidc/callback",
        "code_verifier": "v" * 52,
    }
    assert all(request.headers.get("user-agent") == "openbolt" for request in asked)


def test_people_of_different_issuers_are_different_people() -> None:
    other = OpenIdConnect("https://other.example", CLIENT, "s")
    said = tokens(said={"iss": "https://other.example"})
    found = finish(discovered(issuer="https://other.example"), said, KEYS, provider=other)[0]
    assert found.identity.subject != identity(discovered(), tokens(), KEYS).subject


def test_a_name_that_people_choose_for_themselves_is_no_login() -> None:
    found = identity(discovered(), tokens(said={"preferred_username": "root", "name": ...}), KEYS)
    assert (found.login, found.name) == ("", "root")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (True, True),
        ("true", True),
        (False, False),
        ("false", False),
        (1, False),
        ("True", False),
        (None, False),
        ([], False),
        (["true"], False),
        (..., False),
    ],
)
def test_an_address_is_verified_only_if_the_issuer_says_so(said: Any, expected: bool) -> None:
    found = identity(discovered(), tokens(said={"email_verified": said}), KEYS)
    assert (found.email, found.email_verified) == ("ann@corp.example", expected)


def test_userinfo_is_asked_for_the_address_only_where_it_is_missing() -> None:
    more = {"sub": "subject-1", "email": "ann@corp.example", "email_verified": True}
    exchange = PROVIDER.finish(ATTEMPT, CALLBACK, now=NOW)
    said = tokens(said={"email": ...})
    found, asked = talk(exchange, discovered(), said, KEYS, answer(more))
    assert (found.identity.email, found.identity.email_verified) == ("ann@corp.example", True)
    assert asked[3].url == "https://issuer.example/userinfo"
    assert asked[3].headers.get("authorization") == "Bearer at-1"
    assert identity(discovered(userinfo_endpoint=...), said, KEYS).email == ""


def test_a_verified_mark_without_its_address_is_none_for_another_address() -> None:
    more = answer({"sub": "subject-1", "email": "boss@corp.example"})
    found = identity(discovered(), tokens(said={"email": ...}), KEYS, more)
    assert (found.email, found.email_verified) == ("boss@corp.example", False)


@pytest.mark.parametrize("sub", ["subject-2", None, ...])
def test_userinfo_of_somebody_else_is_refused(sub: Any) -> None:
    more = {"sub": sub, "email": "boss@corp.example", "email_verified": True}
    said = answer({name: value for name, value in more.items() if value is not ...})
    with pytest.raises(UpstreamError, match="contradicts"):
        identity(discovered(), tokens(said={"email": ...}), KEYS, said)


@pytest.mark.parametrize("sub", ["", "s" * 256])
def test_a_subject_that_is_none_is_refused(sub: str) -> None:
    with pytest.raises(UpstreamError):
        identity(discovered(), tokens(said={"sub": sub}), KEYS)


def test_a_code_that_was_made_for_another_attempt_is_refused() -> None:
    with pytest.raises(StateMismatchError):
        identity(discovered(), tokens(said={"nonce": "nonce-2"}), KEYS)


@pytest.mark.parametrize("said", ["", None, 1, "a.b.c"])
def test_without_an_id_token_nobody_is_signed_in(said: object) -> None:
    with pytest.raises(UpstreamError, match="ID token"):
        identity(discovered(), tokens(id_token=said), KEYS)


@pytest.mark.parametrize(
    ("callback", "kind", "code"),
    [
        ({"error": "access_denied"}, SignInRefusedError, "sign_in_declined"),
        ({"error": "login_required"}, SignInRefusedError, "sign_in_refused"),
        ({"error": "consent_required"}, SignInRefusedError, "sign_in_refused"),
        ({"error": "server_error"}, UpstreamError, "upstream_error"),
        ({"error": "temporarily_unavailable"}, UpstreamError, "upstream_error"),
        ({"error": "unauthorized_client"}, UpstreamError, "upstream_error"),
        ({}, SignInRefusedError, "sign_in_refused"),
        ({"code": "c", "iss": "https://evil.example"}, StateMismatchError, "state_mismatch"),
        ({"code": "c", "iss": f"{ISSUER}/"}, StateMismatchError, "state_mismatch"),
        ({"error": "access_denied", "iss": ""}, StateMismatchError, "state_mismatch"),
    ],
)
def test_a_callback_without_a_code_of_the_issuer_s_asks_nobody_anything(
    callback: dict[str, str], kind: type[OpenBoltError], code: str
) -> None:
    with pytest.raises(kind) as caught:
        finish(callback=callback)
    assert (type(caught.value), caught.value.code) == (kind, code)


def test_an_issuer_that_names_itself_has_to_do_so_every_time() -> None:
    always = discovered(authorization_response_iss_parameter_supported=True)
    finish(always, tokens(), KEYS, callback={**CALLBACK, "iss": ISSUER})
    finish(discovered(), tokens(), KEYS, callback={**CALLBACK, "iss": ISSUER})
    with pytest.raises(StateMismatchError):
        finish(always)


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://evil.example"},
        {"issuer": f"{ISSUER}/"},
        {"issuer": ...},
        {"issuer": None},
        {"authorization_endpoint": ...},
        {"token_endpoint": ...},
        {"jwks_uri": ...},
        {"jwks_uri": ""},
        {"jwks_uri": 1},
        {"authorization_endpoint": "http://issuer.example/authorize"},
        {"authorization_endpoint": "javascript:alert(1)//https://"},
        {"authorization_endpoint": "//issuer.example/authorize"},
        {"authorization_endpoint": "https://issuer.example/a#b"},
        {"authorization_endpoint": "https://issuer.example/a\r\nx: y"},
        {"token_endpoint": "http://issuer.example/token"},
        {"token_endpoint": "http://127.0.0.1/token"},
        {"jwks_uri": "http://issuer.example/keys"},
        {"jwks_uri": "file:///keys"},
        {"userinfo_endpoint": "http://issuer.example/userinfo"},
        {"revocation_endpoint": "http://[::1/revoke"},
    ],
    ids=str,
)
def test_metadata_that_can_t_be_trusted_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UpstreamError) as caught:
        talk(PROVIDER.begin(ATTEMPT), discovered(**changes))
    assert (caught.value.detail or "").startswith("metadata: ")


@pytest.mark.parametrize("said", [answer([]), answer({}, 404), answer(body=b"<html>")])
def test_what_isn_t_metadata_is_the_issuer_s_error(said: Any) -> None:
    with pytest.raises(UpstreamError):
        talk(PROVIDER.begin(ATTEMPT), said)


def test_an_issuer_on_loopback_may_do_without_tls_and_only_there() -> None:
    local = OpenIdConnect("http://127.0.0.1:9/realm", CLIENT, "s")
    names = ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint")
    said = {
        "issuer": local.issuer,
        "revocation_endpoint": ...,
        **{name: f"http://localhost:9/{name}" for name in names},
    }
    url, _ = talk(local.begin(ATTEMPT), discovered(**said))
    assert url.startswith("http://localhost:9/authorization_endpoint?")
    for name in names:
        with pytest.raises(UpstreamError):
            talk(local.begin(ATTEMPT), discovered(**{**said, name: "http://issuer.example/x"}))


@pytest.mark.parametrize(
    "issuer", ["", "issuer.example", "http://issuer.example", "https://i.example?x", "https://a@b"]
)
def test_an_issuer_that_can_t_be_trusted_is_refused(issuer: str) -> None:
    with pytest.raises(ConfigurationError, match="OPENBOLT_OIDC_ISSUER"):
        OpenIdConnect(issuer, CLIENT, "s")


def credentials(request: OutboundRequest) -> tuple[str | None, dict[str, str]]:
    """How a client said who it is: the header, and what the form has of it."""
    form = form_of(request)
    return request.headers.get("authorization"), {
        name: value for name, value in form.items() if name.startswith("client_")
    }


@pytest.mark.parametrize(
    "methods",
    [..., ["client_secret_basic"], None, ["x", "client_secret_basic", "client_secret_post"]],
)
def test_the_client_s_secret_goes_into_the_header_where_it_may(methods: Any) -> None:
    provider = OpenIdConnect(ISSUER, "id:1", "s&cret 1%")
    said = tokens(said={"aud": "id:1"})
    found = discovered(token_endpoint_auth_methods_supported=methods)
    _, asked = finish(found, said, KEYS, provider=provider)
    header, in_form = credentials(asked[1])
    assert header is not None
    # Each part form-encoded (RFC 6749, 2.3.1), so that a colon can't move the border.
    assert b64decode(header.removeprefix("Basic ")) == b"id%3A1:s%26cret+1%25"
    assert in_form == {}


def test_the_client_s_secret_goes_into_the_form_where_it_must() -> None:
    found = discovered(token_endpoint_auth_methods_supported=["client_secret_post"])
    _, asked = finish(found, tokens(), KEYS)
    assert credentials(asked[1]) == (None, {"client_id": CLIENT, "client_secret": "s&cret-1"})


def test_a_public_client_sends_no_secret() -> None:
    public = OpenIdConnect(ISSUER, CLIENT, "")
    _, asked = finish(discovered(), tokens(), KEYS, provider=public)
    assert credentials(asked[1]) == (None, {"client_id": CLIENT})
    found = discovered(token_endpoint_auth_methods_supported=["none"])
    _, asked = finish(found, tokens(), KEYS)
    assert credentials(asked[1]) == (None, {"client_id": CLIENT})


def test_an_issuer_that_takes_no_secret_gets_none() -> None:
    found = discovered(token_endpoint_auth_methods_supported=["private_key_jwt"])
    with pytest.raises(UpstreamError) as caught:
        finish(found)
    assert "private_key_jwt" in (caught.value.detail or "")


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (answer({"error": "invalid_grant"}, 400), SignInRefusedError),
        (answer({"error": "invalid_client"}, 401), UpstreamError),
        (answer({"error": "unauthorized_client"}, 400), UpstreamError),
        (answer({}, 400), UpstreamError),
        (answer([], 400), UpstreamError),
        (answer(body=b"", status=400), UpstreamError),
        (answer({"error": "invalid_grant"}, 500), UpstreamError),
        (answer({"access_token": "at-1"}), UpstreamError),
        (UpstreamTimeoutError("too long"), UpstreamTimeoutError),
    ],
)
def test_an_error_of_the_token_endpoint_is_read(said: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught:
        finish(discovered(), said)
    assert type(caught.value) is kind


def test_a_refresh_keeps_a_refresh_token_that_isn_t_replaced() -> None:
    old = Grant("at-1", NOW, "rt-1", None, ("openid",))
    said = answer({"access_token": "at-2", "token_type": "bearer", "expires_in": 60})
    grant, asked = talk(PROVIDER.refresh(old, now=NOW), discovered(), said)
    assert grant == Grant("at-2", NOW + 60, "rt-1", None, ("openid",))
    assert form_of(asked[1]) == {"grant_type": "refresh_token", "refresh_token": "rt-1"}
    exchange = PROVIDER.refresh(old, now=NOW)
    with pytest.raises(SignInRefusedError):
        talk(exchange, discovered(), answer({"error": "invalid_grant"}, 400))
    with pytest.raises(SignInRefusedError):
        talk(PROVIDER.refresh(Grant("at-1"), now=NOW))


def test_both_tokens_are_revoked_the_refresh_token_first() -> None:
    done = answer(body=b"")
    _, asked = talk(PROVIDER.revoke(Grant("at-1", None, "rt-1")), discovered(), done, done)
    assert [form_of(request) for request in asked[1:]] == [
        {"token": "rt-1", "token_type_hint": "refresh_token"},
        {"token": "at-1", "token_type_hint": "access_token"},
    ]
    assert all(request.url == "https://issuer.example/revoke" for request in asked[1:])
    assert all(credentials(request)[0] for request in asked[1:])


def test_where_tokens_can_t_be_revoked_nothing_is_asked() -> None:
    talk(PROVIDER.revoke(Grant("at-1")), discovered(revocation_endpoint=...))
    talk(PROVIDER.revoke(Grant("at-1")), discovered(), answer({}, 400))
    with pytest.raises(UpstreamError):
        talk(PROVIDER.revoke(Grant("at-1")), discovered(), answer({}, 503))


def test_no_secret_is_shown() -> None:
    assert "s&cret-1" not in repr(PROVIDER)
    assert "at-1" not in repr(finish(discovered(), tokens(), KEYS)[0])

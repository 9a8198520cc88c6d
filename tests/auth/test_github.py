"""GitHub's flow, request by request, without a network."""

from __future__ import annotations

from base64 import b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbolt.auth import pkce
from openbolt.auth.github import GitHub
from openbolt.auth.identity import Grant, Identity, SignedIn, SignInRefusedError
from openbolt.auth.users import user_id_of
from openbolt.errors import (
    ConfigurationError,
    OpenBoltError,
    StateMismatchError,
    UpstreamError,
    UpstreamRateLimitedError,
    UpstreamTimeoutError,
)
from tests.auth.exchanges import NOW, answer, attempt, form_of, json_of, query_of, talk

GITHUB = GitHub("id-1", "secret-1")
TOKEN = answer({"access_token": "gho_1", "token_type": "bearer", "scope": "user:email"})
USER = answer(
    {
        "id": 583231,
        "login": "Octo",
        "name": "Octo Example",
        "avatar_url": "https://avatars.example/1",
        "email": "public@example.com",
    }
)
EMAILS = answer(
    [
        {"email": "old@example.com", "primary": False, "verified": True},
        {"email": "octo@example.com", "primary": True, "verified": True},
    ]
)
CALLBACK = {"code": "code-1", "state": "state-1"}


def finished(*answers: Any, github: GitHub = GITHUB, **callback: str) -> SignedIn:
    return talk(github.finish(attempt(), {**CALLBACK, **callback}, now=NOW), *answers)[0]


def emails(*rows: dict[str, Any]) -> SignedIn:
    return finished(TOKEN, USER, answer(list(rows)))


def test_the_challenge_is_that_of_the_standard_s_example() -> None:
    # RFC 7636, appendix B.
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert pkce.challenge_of(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


@pytest.mark.parametrize("verifier", ["", "v" * 42, "v" * 129, "v" * 42 + "+", "v" * 43 + "\n"])
def test_a_verifier_that_the_standard_forbids_is_never_used(verifier: str) -> None:
    with pytest.raises(ValueError, match="43 to 128"):
        pkce.challenge_of(verifier)


def test_the_person_is_sent_to_github_with_state_challenge_and_the_exact_redirect_uri() -> None:
    url, asked = talk(GITHUB.begin(attempt()))
    assert asked == []
    assert url.startswith("https://github.com/login/oauth/authorize?")
    digest = sha256(b"v" * 52).digest()
    assert query_of(url) == {
        "client_id": "id-1",
        "redirect_uri": "https://app.example/api/auth/github/callback",
        "scope": "user:email",
        "state": "state-1",
        "code_challenge": urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }


def test_organizations_are_asked_for_only_where_they_are_wanted() -> None:
    url, _ = talk(GitHub("id-1", "secret-1", want_orgs=True).begin(attempt()))
    assert query_of(url)["scope"] == "user:email read:org"


def test_the_code_is_redeemed_with_verifier_and_redirect_uri_and_the_person_is_read() -> None:
    exchange = GITHUB.finish(attempt(), CALLBACK, now=NOW)
    signed_in, asked = talk(exchange, TOKEN, USER, EMAILS)
    assert signed_in == SignedIn(
        Identity(
            provider="github",
            subject="583231",
            login="Octo",
            name="Octo Example",
            email="octo@example.com",
            email_verified=True,
            avatar_url="https://avatars.example/1",
        ),
        Grant("gho_1", scopes=("user:email",)),
    )
    assert form_of(asked[0]) == {
        "client_id": "id-1",
        "client_secret": "secret-1",
        "code": "code-1",
        "code_verifier": "v" * 52,
        "redirect_uri": "https://app.example/api/auth/github/callback",
    }
    assert [(request.method, request.url) for request in asked] == [
        ("POST", "https://github.com/login/oauth/access_token"),
        ("GET", "https://api.github.com/user"),
        ("GET", "https://api.github.com/user/emails"),
    ]
    assert asked[0].headers.get("accept") == "application/json"
    for request in asked:
        assert request.headers.get("user-agent") == "openbolt"
    for request in asked[1:]:
        assert request.headers.get("accept") == "application/vnd.github+json"
        assert request.headers.get("authorization") == "Bearer gho_1"


@pytest.mark.parametrize(
    ("url", "api", "host_id"),
    [
        ("https://github.com", "https://api.github.com", ""),
        ("https://GitHub.com/", "https://api.github.com", ""),
        ("https://acme.ghe.com", "https://api.acme.ghe.com", "acme.ghe.com"),
        ("https://git.example", "https://git.example/api/v3", "git.example"),
        ("https://git.example:8443/", "https://git.example:8443/api/v3", "git.example:8443"),
        ("http://127.0.0.1:99", "http://127.0.0.1:99/api/v3", "127.0.0.1:99"),
        ("https://github.com.evil.example", "https://github.com.evil.example/api/v3", "any"),
    ],
)
def test_each_server_has_its_own_api_and_its_own_people(url: str, api: str, host_id: str) -> None:
    github = GitHub("id-1", "secret-1", url)
    assert github.api_url == api
    signed_in, asked = talk(github.finish(attempt(), CALLBACK, now=NOW), TOKEN, USER, EMAILS)
    assert asked[1].url == f"{api}/user"
    user_id = user_id_of(signed_in.identity)
    if not host_id:
        assert user_id == "github.583231"
    else:
        host = github.host if host_id == "any" else host_id
        assert user_id == f"github.{sha256(host.encode()).hexdigest()[:8]}.583231"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "github.com",
        "http://github.com",
        "ftp://github.com",
        "https://",
        "https://user@github.com",
        "https://github.com@evil.example",
        "https://github.com?x",
        "https://github.com#x",
        "https://github.com\\@evil.example",
        "https://git hub.com",
        "https://[::1",
        "https://git.example:0",
    ],
)
def test_an_address_that_can_t_be_trusted_with_a_secret_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="OPENBOLT_GITHUB_URL"):
        GitHub("id-1", "secret-1", url)


@pytest.mark.parametrize("text", ["", "GitHub", "git-hub", "a/b", "x" * 33, "a\n"])
def test_an_id_is_fit_for_urls_and_user_ids(text: str) -> None:
    with pytest.raises(ConfigurationError, match="lower-case"):
        GitHub("id-1", "secret-1", id=text)


def test_no_secret_is_shown() -> None:
    assert "secret-1" not in repr(GITHUB)
    assert "gho_1" not in repr(finished(TOKEN, USER, EMAILS))


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{"email": "octo@example.com", "primary": True, "verified": False}],
        [{"email": "octo@example.com", "primary": False, "verified": True}],
        [{"email": "octo@example.com", "primary": True, "verified": "true"}],
        [{"email": "octo@example.com", "primary": 1, "verified": 1}],
        [{"email": None, "primary": True, "verified": True}],
        [{"email": "a\n@example.com", "primary": True, "verified": True}],
        ["octo@example.com", None],
    ],
)
def test_only_a_primary_address_that_is_verified_counts(rows: list[Any]) -> None:
    identity = finished(TOKEN, USER, answer(rows)).identity
    assert (identity.email, identity.email_verified) == ("", False)


@pytest.mark.parametrize("status", [403, 404])
def test_an_address_that_is_withheld_keeps_nobody_out(status: int) -> None:
    identity = finished(TOKEN, USER, answer({}, status)).identity
    assert (identity.login, identity.email, identity.email_verified) == ("Octo", "", False)


def test_all_pages_of_organizations_are_read() -> None:
    github = GitHub("id-1", "secret-1", want_orgs=True)
    first = answer([{"login": f"Org-{n}"} for n in range(100)])
    second = answer([{"login": "Last"}])
    exchange = github.finish(attempt(), CALLBACK, now=NOW)
    signed_in, asked = talk(exchange, TOKEN, USER, EMAILS, first, second)
    assert len(signed_in.identity.organizations) == 101
    assert signed_in.identity.organizations[::100] == ("org-0", "last")
    assert [request.url for request in asked[3:]] == [
        "https://api.github.com/user/orgs?per_page=100&page=1",
        "https://api.github.com/user/orgs?per_page=100&page=2",
    ]


def test_a_server_that_never_runs_out_of_organizations_is_left_after_ten_pages() -> None:
    github = GitHub("id-1", "secret-1", want_orgs=True)
    page = answer([{"login": "again"}] * 100)
    exchange = github.finish(attempt(), CALLBACK, now=NOW)
    _, asked = talk(exchange, TOKEN, USER, EMAILS, *[page] * 10)
    assert len(asked) == 13


def test_organizations_that_are_withheld_are_none() -> None:
    github = GitHub("id-1", "secret-1", want_orgs=True)
    signed_in = finished(TOKEN, USER, EMAILS, answer({}, 403), github=github)
    assert signed_in.identity.organizations == ()


@pytest.mark.parametrize(
    ("callback", "kind", "code"),
    [
        ({"error": "access_denied"}, SignInRefusedError, "sign_in_declined"),
        ({"error": "redirect_uri_mismatch"}, UpstreamError, "upstream_error"),
        ({"error": "application_suspended"}, UpstreamError, "upstream_error"),
        ({"error": ""}, UpstreamError, "upstream_error"),
        ({}, SignInRefusedError, "sign_in_refused"),
        ({"code": ""}, SignInRefusedError, "sign_in_refused"),
        ({"code": "c", "iss": "https://evil.example"}, StateMismatchError, "state_mismatch"),
        ({"code": "c", "iss": ""}, StateMismatchError, "state_mismatch"),
        (
            {"error": "access_denied", "iss": "https://evil.example"},
            StateMismatchError,
            "state_mismatch",
        ),
    ],
)
def test_a_callback_without_a_code_of_github_s_asks_nobody_anything(
    callback: dict[str, str], kind: type[OpenBoltError], code: str
) -> None:
    with pytest.raises(kind) as caught:
        talk(GITHUB.finish(attempt(), callback, now=NOW))
    assert (type(caught.value), caught.value.code) == (kind, code)


def test_github_may_name_itself() -> None:
    finished(TOKEN, USER, EMAILS, iss="https://github.com/login/oauth")


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        ("bad_verification_code", SignInRefusedError, "sign_in_refused"),
        ("invalid_grant", SignInRefusedError, "sign_in_refused"),
        ("unverified_user_email", SignInRefusedError, "email_unverified"),
        ("incorrect_client_credentials", UpstreamError, "upstream_error"),
        ("redirect_uri_mismatch", UpstreamError, "upstream_error"),
        ("unheard_of", UpstreamError, "upstream_error"),
    ],
)
def test_an_error_of_the_token_endpoint_is_read_whatever_its_status(
    status: int, error: str, kind: type[OpenBoltError], code: str
) -> None:
    with pytest.raises(kind) as caught:
        finished(answer({"error": error, "error_description": "Because."}, status))
    assert (type(caught.value), caught.value.code) == (kind, code)


def test_what_is_wrong_with_the_application_is_for_the_log_only() -> None:
    with pytest.raises(UpstreamError) as caught:
        finished(answer({"error": "incorrect_client_credentials", "error_description": "Bad."}))
    assert "credentials" not in caught.value.public_message
    assert caught.value.detail == "incorrect_client_credentials: Bad."


@pytest.mark.parametrize(
    "said",
    [
        answer([], 200),
        answer({}, 200),
        answer({"access_token": "", "token_type": "bearer"}),
        answer({"access_token": 1, "token_type": "bearer"}),
        answer({"access_token": "a b", "token_type": "bearer"}),
        answer({"access_token": "a\r\nx: y", "token_type": "bearer"}),
        answer({"access_token": "t" * 20_000, "token_type": "bearer"}),
        answer({"access_token": "t", "token_type": "mac"}),
        answer({"access_token": "t"}),
        answer(body=b"access_token=gho_1&token_type=bearer"),
        answer(body=b"<!doctype html>"),
        answer(body=b"[" * 100_000),
        answer({"access_token": "t", "token_type": "bearer"}, 302),
        answer({"access_token": "t", "token_type": "bearer"}, 500),
    ],
)
def test_a_token_that_is_none_is_an_error_of_github_s(said: Any) -> None:
    with pytest.raises(UpstreamError) as caught:
        finished(said)
    assert "gho_1" not in str(caught.value)


@pytest.mark.parametrize(
    "said",
    [
        answer({"login": "octo"}),
        answer({"id": "583231", "login": "octo"}),
        answer({"id": True, "login": "octo"}),
        answer({"id": 1.5, "login": "octo"}),
        answer({"id": 1}),
        answer({"id": 1, "login": ""}),
        answer({"id": 1, "login": "o\nc"}),
        answer([{"id": 1, "login": "octo"}]),
        answer({"id": 1, "login": "octo"}, 401),
    ],
)
def test_somebody_who_isn_t_named_isn_t_signed_in(said: Any) -> None:
    with pytest.raises(UpstreamError):
        finished(TOKEN, said)


@pytest.mark.parametrize(
    ("said", "retry_after"),
    [
        (answer({}, 429), None),
        (answer({}, 429, {"retry-after": "60"}), 60.0),
        (answer({}, 403, {"retry-after": "7"}), 7.0),
        (answer({}, 403, {"x-ratelimit-remaining": "0"}), None),
    ],
)
@pytest.mark.parametrize("before", [(TOKEN,), (TOKEN, USER)])
def test_a_rate_limit_is_told_from_a_refusal(
    before: Any, said: Any, retry_after: float | None
) -> None:
    with pytest.raises(UpstreamRateLimitedError) as caught:
        finished(*before, said)
    assert caught.value.retry_after == retry_after


def test_a_failure_on_the_way_comes_out_as_it_is() -> None:
    with pytest.raises(UpstreamTimeoutError):
        finished(TOKEN, UpstreamTimeoutError("too long"))


@given(
    user=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["id", "login", "name", "avatar_url", "email", "primary", "verified"]
                ),
                inner,
            )
        ),
        max_leaves=12,
    ),
    status=st.sampled_from([200, 200, 200, 204, 301, 401, 403, 404, 422, 500]),
)
def test_whatever_github_says_of_somebody_an_identity_is_well_formed(
    user: object, status: int
) -> None:
    try:
        identity = finished(TOKEN, answer(user, status), answer(user, status)).identity
    except UpstreamError:
        return
    user_id_of(identity)
    for text in (identity.login, identity.name, identity.email, identity.avatar_url):
        assert text == text.strip()
        assert all(" " <= character != "\x7f" for character in text)
    assert identity.email_verified == bool(identity.email)
    assert identity.avatar_url == "" or identity.avatar_url.startswith("https://")


EXPIRING = answer(
    {
        "access_token": "ghu_2",
        "token_type": "bearer",
        "scope": "",
        "expires_in": 28800,
        "refresh_token": "ghr_2",
        "refresh_token_expires_in": 15897600,
    }
)


def test_tokens_that_expire_say_when() -> None:
    assert finished(EXPIRING, USER, EMAILS).grant == Grant(
        "ghu_2", NOW + 28800, "ghr_2", NOW + 15897600
    )


@pytest.mark.parametrize(
    "lifetime", [None, "", "soon", -1, True, [], 1e300, float("nan"), "9" * 99]
)
def test_a_lifetime_that_is_none_is_no_expiry(lifetime: object) -> None:
    said = answer({"access_token": "t", "token_type": "bearer", "expires_in": lifetime})
    assert finished(said, USER, EMAILS).grant.expires_at is None


def test_a_refresh_spends_the_refresh_token() -> None:
    old = Grant("ghu_1", NOW, "ghr_1", NOW + 9)
    grant, asked = talk(GITHUB.refresh(old, now=NOW), EXPIRING)
    assert grant == Grant("ghu_2", NOW + 28800, "ghr_2", NOW + 15897600)
    assert form_of(asked[0]) == {
        "client_id": "id-1",
        "client_secret": "secret-1",
        "grant_type": "refresh_token",
        "refresh_token": "ghr_1",
    }


def test_a_refresh_keeps_what_isn_t_said_again() -> None:
    old = Grant("ghu_1", NOW, "ghr_1", NOW + 9, ("user:email",))
    said = answer({"access_token": "ghu_2", "token_type": "bearer"})
    grant, _ = talk(GITHUB.refresh(old, now=NOW), said)
    assert grant == Grant("ghu_2", None, "ghr_1", NOW + 9, ("user:email",))


def test_without_a_refresh_token_the_person_is_needed() -> None:
    with pytest.raises(SignInRefusedError):
        talk(GITHUB.refresh(Grant("gho_1"), now=NOW))
    exchange = GITHUB.refresh(Grant("gho_1", NOW, "ghr_1"), now=NOW)
    with pytest.raises(SignInRefusedError):
        talk(exchange, answer({"error": "bad_refresh_token"}))


@pytest.mark.parametrize("status", [204, 200, 404, 422])
def test_a_token_is_revoked_by_the_application_alone(status: int) -> None:
    github = GitHub("id/1", "secret-1")
    _, asked = talk(github.revoke(Grant("gho_1")), answer(None, status))
    (request,) = asked
    assert (request.method, request.url) == (
        "DELETE",
        "https://api.github.com/applications/id%2F1/token",
    )
    scheme, _, pair = (request.headers.get("authorization") or "").partition(" ")
    assert (scheme, b64decode(pair)) == ("Basic", b"id/1:secret-1")
    assert json_of(request) == {"access_token": "gho_1"}
    assert request.headers.get("content-type") == "application/json"


@pytest.mark.parametrize("status", [301, 401, 403, 500])
def test_a_revocation_that_failed_is_an_error(status: int) -> None:
    with pytest.raises(UpstreamError):
        talk(GITHUB.revoke(Grant("gho_1")), answer({}, status))

"""What GitHub refuses on the way to a token, the stand-in refuses, with the same answer.

The answers are GitHub's own where it documents them:
https://docs.github.com/en/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-oauth-app-access-token-request-errors
https://docs.github.com/en/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-authorization-request-errors
"""

from __future__ import annotations

import base64
from urllib.parse import parse_qs

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbolt.testing import ManualClock
from openbolt_local.mocks import GitHubAccount, GitHubApp, GitHubEmail, GitHubMock, RefusedPageError
from openbolt_local.mocks.github.grants import Authorization, TokenRefusedError, challenge_of
from openbolt_local.mocks.github.scopes import SCOPES, normalized, reach
from tests.mocks.github_flow import (
    ACCOUNTS,
    APP,
    APPS,
    CALLBACK,
    CHALLENGE,
    EXPIRING_APP,
    OTHER_APP,
    SUSPENDED_APP,
    VERIFIER,
    Flow,
    query_of,
    said,
)

TOKEN_ERRORS = (
    "https://docs.github.com/apps/managing-oauth-apps/"
    "troubleshooting-oauth-app-access-token-request-errors/"
)
AUTHORIZATION_ERRORS = (
    "https://docs.github.com/apps/managing-oauth-apps/troubleshooting-authorization-request-errors/"
)
BAD_CODE = {
    "error": "bad_verification_code",
    "error_description": "The code passed is incorrect or expired.",
    "error_uri": f"{TOKEN_ERRORS}#bad-verification-code",
}
BAD_CLIENT = {
    "error": "incorrect_client_credentials",
    "error_description": "The client_id and/or client_secret passed are incorrect.",
    "error_uri": f"{TOKEN_ERRORS}#incorrect-client-credentials",
}
MISMATCH = {
    "error": "redirect_uri_mismatch",
    "error_description": (
        "The redirect_uri MUST match the registered callback URL for this application."
    ),
    "error_uri": f"{AUTHORIZATION_ERRORS}#redirect-uri-mismatch2",
}
BAD_REFRESH = {
    "error": "bad_refresh_token",
    "error_description": "The refresh token passed is incorrect or expired.",
    "error_uri": f"{TOKEN_ERRORS}#bad-verification-code",
}


# Codes


async def test_a_code_buys_a_token_and_the_state_comes_back(flow: Flow) -> None:
    location = await flow.mock.authorize(flow.url(scope="read:user"), login="Octo")
    back = query_of(location)
    answer = await flow.exchange(back["code"])
    token = answer.json()
    assert location.startswith(f"{CALLBACK}?code=")
    assert back["state"] == "s t&te"
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert token.keys() == {"access_token", "token_type", "scope"}
    assert (token["token_type"], token["scope"]) == ("bearer", "read:user")
    assert token["access_token"].startswith("gho_")
    assert len(token["access_token"]) == 40


async def test_without_a_state_none_comes_back(flow: Flow) -> None:
    assert (await flow.back(state=None)).keys() == {"code"}


async def test_a_code_works_once(flow: Flow) -> None:
    code = await flow.code()
    assert "access_token" in (await flow.exchange(code)).json()
    assert said(await flow.exchange(code)) == (200, BAD_CODE)


@pytest.mark.parametrize("code", ["deadbeef", None])
async def test_a_code_that_was_never_given_out(flow: Flow, code: str | None) -> None:
    assert said(await flow.exchange(code)) == (200, BAD_CODE)


@pytest.mark.parametrize(("age", "works"), [(599.0, True), (600.0, False)])
async def test_a_code_lives_ten_minutes(
    flow: Flow, clock: ManualClock, age: float, works: bool
) -> None:
    """https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps."""
    code = await flow.code()
    await clock.advance(age)
    assert ("access_token" in (await flow.exchange(code)).json()) is works


async def test_a_code_belongs_to_the_application_that_asked(flow: Flow) -> None:
    code = await flow.code()
    theirs = {"client_id": OTHER_APP.client_id, "client_secret": OTHER_APP.client_secret}
    assert said(await flow.exchange(code, **theirs)) == (200, BAD_CODE)
    assert "access_token" in (await flow.exchange(code)).json()


@pytest.mark.parametrize("wrong", [{"code_verifier": "b" * 43}, {"redirect_uri": "http://x.test"}])
async def test_a_code_is_spent_by_a_wrong_try(flow: Flow, wrong: dict[str, str]) -> None:
    code = await flow.code()
    await flow.exchange(code, **wrong)
    assert said(await flow.exchange(code)) == (200, BAD_CODE)


async def test_a_grant_taken_back_takes_the_code_along(flow: Flow) -> None:
    code = await flow.code()
    flow.mock.revoke("octo", APP.client_id)
    assert said(await flow.exchange(code)) == (200, BAD_CODE)


# The client


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_secret": "secret-2"},
        {"client_secret": None},
        {"client_secret": ""},
        {"client_id": "app-9"},
        {"client_id": None},
        {"client_id": "app-2"},
    ],
)
async def test_the_wrong_client_gets_nothing_and_spends_nothing(
    flow: Flow, wrong: dict[str, str | None]
) -> None:
    code = await flow.code()
    assert said(await flow.exchange(code, **wrong)) == (200, BAD_CLIENT)
    assert "access_token" in (await flow.exchange(code)).json()


async def test_credentials_in_the_url_or_in_basic_are_not_looked_at(flow: Flow) -> None:
    fields = {"client_id": APP.client_id, "client_secret": APP.client_secret}
    accept = {"accept": "application/json"}
    by_query = await flow.http.post("/login/oauth/access_token", params=fields, headers=accept)
    by_basic = await flow.http.post(
        "/login/oauth/access_token", auth=(APP.client_id, APP.client_secret), headers=accept
    )
    assert [by_query.json(), by_basic.json()] == [BAD_CLIENT, BAD_CLIENT]


@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS"])
async def test_the_token_endpoint_takes_posts_only(flow: Flow, method: str) -> None:
    answer = await flow.http.request(method, "/login/oauth/access_token")
    assert answer.status_code == 404
    assert "access-control-allow-origin" not in answer.headers


async def test_a_field_given_twice_is_refused(flow: Flow) -> None:
    """RFC 6749, 3.2."""
    answer = await flow.http.post(
        "/login/oauth/access_token",
        content="client_id=app-1&client_id=app-2",
        headers={"content-type": "application/x-www-form-urlencoded", "accept": "application/json"},
    )
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_an_unknown_grant_type_is_refused(flow: Flow) -> None:
    answer = await flow.exchange(await flow.code(), grant_type="password")
    assert (answer.status_code, answer.json()["error"]) == (200, "unsupported_grant_type")


async def test_a_json_body_does_as_well_as_a_form(flow: Flow) -> None:
    body = {
        "client_id": APP.client_id,
        "client_secret": APP.client_secret,
        "code": await flow.code(),
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
    }
    answer = await flow.http.post("/login/oauth/access_token", json=body)
    assert "access_token" in parse_qs(answer.text)


@pytest.mark.parametrize("body", [b"[]", b"{", b"\xff"])
async def test_a_body_that_is_no_object_is_refused(flow: Flow, body: bytes) -> None:
    headers = {"content-type": "application/json", "accept": "application/json"}
    answer = await flow.http.post("/login/oauth/access_token", content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("accept", "kind", "start"),
    [
        ("*/*", "application/x-www-form-urlencoded", "error=incorrect_client_credentials&"),
        ("application/json", "application/json", '{"error":"incorrect_client_credentials",'),
        (
            "application/xml",
            "application/xml",
            "<OAuth><error>incorrect_client_credentials</error>",
        ),
    ],
)
async def test_the_answer_has_the_form_that_was_asked_for(
    flow: Flow, accept: str, kind: str, start: str
) -> None:
    """https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps."""
    answer = await flow.http.post("/login/oauth/access_token", headers={"accept": accept})
    assert answer.headers["content-type"] == f"{kind}; charset=utf-8"
    assert answer.text.startswith(start)


# Where people are sent to


@pytest.mark.parametrize(
    "uri",
    [
        f"{CALLBACK}/",
        f"{CALLBACK}/below",
        f"{CALLBACK}?next=/",
        f"{CALLBACK}#x",
        CALLBACK.replace("https", "http"),
        CALLBACK.replace("app.", "other.app."),
        CALLBACK.replace("example.com", "example.com:444"),
        CALLBACK.replace("example.com", "EXAMPLE.com"),
        CALLBACK.replace("example.com", "example.com@evil.test"),
        CALLBACK.replace("example.com", "example.com.evil.test"),
        "https://evil.test/",
        "javascript:alert(1)",
        "http://[",
        " http://127.0.0.1:8787/callback",
        "http://127.0.0.1\t:8787/callback",
        "HTTP://127.0.0.1:8787/callback",
        "http://127.0.0.1:08787/callback",
        "http://127.0.0.1:8787/other",
        "http://127.0.0.1:99999/callback",
        "http://127.0.0.1:/callback",
        "http://localhost:8787/callback",
        "http://[::1]:8787/callback",
        "https://127.0.0.1:8787/callback",
        "http://u@127.0.0.1:8787/callback",
        "http://127.0.0.1:8787/callback?x=1",
        "/callback",
    ],
)
async def test_people_are_sent_to_registered_urls_only(flow: Flow, uri: str) -> None:
    """https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps#redirect-urls
    (GitHub lets paths and subdomains below a callback through; the stand-in does not).
    """
    location = await flow.mock.authorize(flow.url(redirect_uri=uri), login="octo")
    assert location.partition("?")[0] == CALLBACK
    assert query_of(location) == {
        **MISMATCH,
        "error_uri": f"{AUTHORIZATION_ERRORS}#redirect-uri-mismatch",
        "state": "s t&te",
    }


@pytest.mark.parametrize("port", ["", ":1", ":8787", ":65535"])
async def test_any_port_will_do_on_loopback(flow: Flow, port: str) -> None:
    """https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps#loopback-redirect-urls."""
    uri = f"http://127.0.0.1{port}/callback"
    location = await flow.mock.authorize(flow.url(redirect_uri=uri), login="octo")
    answer = await flow.exchange(query_of(location)["code"], redirect_uri=uri)
    assert location.startswith(f"{uri}?code=")
    assert "access_token" in answer.json()


@given(st.text(alphabet="htp:/.@[]?#0127calbk\t \\%", max_size=40), st.integers(0, 70_000))
def test_nothing_else_is_taken_for_a_callback(text: str, port: int) -> None:
    """For every URL: it is a registered one, or such a one with a port on loopback."""
    app = GitHubApp("a", "s", ("http://127.0.0.1/callback", "https://x.test/c"))
    assert not app.allows(text) or text in app.callback_urls or text.startswith("http://127.0.0.1:")
    for url in (f"http://127.0.0.1:{port}{text}", f"http://127.0.0.1{text}:{port}/callback"):
        real = url == f"http://127.0.0.1:{port}/callback" and port <= 65_535
        assert app.allows(url) is real
    assert not app.allows(f"https://x.test:{port}/c")


async def test_ipv6_loopback_has_any_port_too() -> None:
    app = GitHubApp("a", "s", ("http://[::1]/back?x=1",))
    assert app.allows("http://[::1]:7/back?x=1")
    assert not app.allows("http://[0:0:0:0:0:0:0:1]:7/back?x=1")


def test_over_tls_loopback_has_one_port() -> None:
    """RFC 8252, 7.3: a program that listens on loopback has no certificate."""
    assert not GitHubApp("a", "s", ("https://127.0.0.1/c",)).allows("https://127.0.0.1:7/c")


async def test_without_a_redirect_uri_the_first_callback_is_meant(flow: Flow) -> None:
    location = await flow.mock.authorize(flow.url(redirect_uri=None), login="octo")
    answer = await flow.exchange(query_of(location)["code"], redirect_uri=None)
    assert location.startswith(f"{CALLBACK}?code=")
    assert "access_token" in answer.json()


@pytest.mark.parametrize("uri", ["http://127.0.0.1/callback", "https://evil.test/", None])
async def test_the_redirect_uri_is_the_same_when_the_code_is_redeemed(
    flow: Flow, uri: str | None
) -> None:
    """That it may not be left out is RFC 6749, 4.1.3."""
    assert said(await flow.exchange(await flow.code(), redirect_uri=uri)) == (200, MISMATCH)


async def test_a_callback_with_a_query_keeps_it() -> None:
    app = GitHubApp("a", "s", ("https://app.example.com/?x=1",))
    async with GitHubMock([app], ACCOUNTS) as mock:
        url = f"{mock.url}/login/oauth/authorize?client_id=a"
        assert query_of(await mock.authorize(url, login="octo")).keys() == {"x", "code"}


# PKCE


@pytest.mark.parametrize(
    "wrong",
    [
        {"code_challenge": VERIFIER, "code_challenge_method": "plain"},
        {"code_challenge": CHALLENGE, "code_challenge_method": "s256"},
        {"code_challenge": CHALLENGE, "code_challenge_method": None},
        {"code_challenge": None, "code_challenge_method": "S256"},
        {"code_challenge": CHALLENGE + "=", "code_challenge_method": "S256"},
        {"code_challenge": CHALLENGE[:-1], "code_challenge_method": "S256"},
        {"code_challenge": CHALLENGE[:-1] + "+", "code_challenge_method": "S256"},
    ],
)
async def test_a_challenge_is_s256_or_refused(flow: Flow, wrong: dict[str, str | None]) -> None:
    """https://github.blog/changelog/2025-07-14-pkce-support-for-oauth-and-github-app-authentication
    (only S256 is accepted; the error's name is that of RFC 7636, 4.4.1).
    """
    back = await flow.back(**wrong)
    assert (back["error"], back["state"]) == ("invalid_request", "s t&te")
    assert "code" not in back


@pytest.mark.parametrize("verifier", ["b" * 43, CHALLENGE, VERIFIER + "a", None, ""])
async def test_a_challenge_needs_its_verifier(flow: Flow, verifier: str | None) -> None:
    """GitHub: "Required if code_challenge was sent"; status and error are those that it was seen
    to answer, which its documentation does not tell.
    """
    answer = await flow.exchange(await flow.code(), code_verifier=verifier)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


async def test_a_verifier_without_a_challenge_is_refused(flow: Flow) -> None:
    """RFC 9700, 2.1.1: or an attacker takes the challenge out of the request."""
    code = await flow.code(code_challenge=None, code_challenge_method=None)
    answer = await flow.exchange(code)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


async def test_pkce_may_be_left_out_whole(flow: Flow) -> None:
    code = await flow.code(code_challenge=None, code_challenge_method=None)
    assert "access_token" in (await flow.exchange(code, code_verifier=None)).json()


@given(st.text(min_size=1), st.text(min_size=1))
def test_a_verifier_fits_its_own_challenge_only(right: str, other: str) -> None:
    stands_for = Authorization("a", 1, (), CALLBACK, True, challenge_of(right), 0.0)
    stands_for.check(CALLBACK, right)
    if other != right:
        with pytest.raises(TokenRefusedError):
            stands_for.check(CALLBACK, other)


def test_the_challenge_is_that_of_the_standard() -> None:
    """RFC 7636, appendix B."""
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert challenge_of(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


# The page that says no


@pytest.mark.parametrize(
    ("wrong", "status"),
    [({"client_id": "app-9"}, 404), ({"client_id": None}, 404), ({"client_id": ""}, 404)],
)
async def test_an_unknown_application_gets_nobody_back(
    flow: Flow, wrong: dict[str, str | None], status: int
) -> None:
    with pytest.raises(RefusedPageError, match=str(status)):
        await flow.mock.authorize(flow.url(**wrong), login="octo")
    answer = await flow.http.get(flow.url(**wrong))
    assert (answer.status_code, "location" in answer.headers) == (status, False)


async def test_a_parameter_given_twice_is_refused(flow: Flow) -> None:
    """RFC 6749, 3.1."""
    answer = await flow.http.get(f"{flow.url()}&redirect_uri=https%3A%2F%2Fevil.test")
    assert (answer.status_code, "location" in answer.headers) == (400, False)


async def test_a_suspended_application_is_told_so(flow: Flow) -> None:
    back = await flow.back(client_id=SUSPENDED_APP.client_id)
    assert (back["error"], back["state"]) == ("application_suspended", "s t&te")
    assert back["error_uri"] == f"{AUTHORIZATION_ERRORS}#application-suspended"


async def test_the_implicit_grant_is_not_there(flow: Flow) -> None:
    assert (await flow.back(response_type="token"))["error"] == "unsupported_response_type"
    assert "code" in await flow.back(response_type="code")


async def test_somebody_who_says_no(flow: Flow) -> None:
    location = await flow.mock.authorize(flow.url(), login="octo", decision="cancel")
    assert query_of(location) == {
        "error": "access_denied",
        "error_description": "The user has denied your application access.",
        "error_uri": f"{AUTHORIZATION_ERRORS}#access-denied",
        "state": "s t&te",
    }


async def test_somebody_unknown(flow: Flow) -> None:
    with pytest.raises(RefusedPageError, match="no account 'ghost'"):
        await flow.mock.authorize(flow.url(), login="ghost")


async def test_authorize_takes_the_page_s_own_url_only(flow: Flow) -> None:
    url = flow.url().replace("/login/oauth/authorize", "/login")
    with pytest.raises(ValueError, match="url: "):
        await flow.mock.authorize(url, login="octo")


# Who may be signed in


async def test_somebody_without_a_verified_primary_address(flow: Flow) -> None:
    """https://docs.github.com/en/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-oauth-app-access-token-request-errors#unverified-user-email."""
    answer = await flow.exchange(await flow.code(login="nobody"))
    assert said(answer) == (
        200,
        {
            "error": "unverified_user_email",
            "error_description": "The user must have a verified primary email.",
            "error_uri": f"{TOKEN_ERRORS}#unverified_user_email",
        },
    )


async def test_a_server_that_does_not_verify_addresses() -> None:
    mock = GitHubMock(APPS, ACCOUNTS, verified_email_needed=False)
    async with mock, httpx.AsyncClient(base_url=mock.url, trust_env=False) as http:
        assert "access_token" in await Flow(mock, http).grant(login="nobody")


# Scopes


async def test_scopes_are_normalized(flow: Flow) -> None:
    """https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps#normalized-scopes."""
    assert (await flow.grant(scope="user,gist,user:email"))["scope"] == "user,gist"


async def test_a_scope_that_is_not_there_is_dropped(flow: Flow) -> None:
    assert (await flow.grant(scope="user.email read:org"))["scope"] == "read:org"


async def test_without_a_scope_it_is_what_was_granted_before(flow: Flow) -> None:
    """https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps#1-request-a-users-github-identity."""
    assert (await flow.grant())["scope"] == ""
    await flow.grant(scope="user:email")
    await flow.grant(scope="read:org")
    assert (await flow.grant())["scope"] == "user:email,read:org"
    assert (await flow.grant(login="mona"))["scope"] == ""
    flow.mock.revoke("octo", APP.client_id)
    assert (await flow.grant())["scope"] == ""


async def test_people_can_grant_less(flow: Flow) -> None:
    """https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps#requested-scopes-and-granted-scopes."""
    url = flow.url(scope="user read:org")
    back = query_of(await flow.mock.authorize(url, login="octo", scopes=["user:email"]))
    assert (await flow.exchange(back["code"])).json()["scope"] == "user:email"
    with pytest.raises(ValueError, match="scopes: "):
        await flow.mock.authorize(url, login="octo", scopes=["repo"])


@given(st.lists(st.sampled_from(sorted(SCOPES)) | st.text(max_size=5)))
def test_a_normalized_list_grants_the_same_and_says_nothing_twice(scopes: list[str]) -> None:
    kept = normalized(scopes)
    known = [scope for scope in scopes if scope in SCOPES]
    assert reach(kept) == reach(known)
    assert normalized(kept) == kept
    assert not any(scope in reach({other}) for scope in kept for other in kept if other != scope)


# Tokens that expire


async def test_a_github_app_gets_tokens_that_expire(flow: Flow) -> None:
    """https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/refreshing-user-access-tokens."""
    token = await flow.grant(EXPIRING_APP, scope="user:email")
    assert (token["access_token"][:4], token["refresh_token"][:4]) == ("ghu_", "ghr_")
    assert (token["expires_in"], token["refresh_token_expires_in"]) == (28_800, 15_897_600)
    assert (token["scope"], token["token_type"]) == ("", "bearer")


@pytest.mark.parametrize(("age", "status"), [(28_799.0, 200), (28_800.0, 401)])
async def test_such_a_token_lives_eight_hours(
    flow: Flow, clock: ManualClock, age: float, status: int
) -> None:
    token = (await flow.grant(EXPIRING_APP))["access_token"]
    await clock.advance(age)
    assert (await flow.api("/user", token)).status_code == status


async def test_a_refresh_token_works_once_and_takes_the_old_access_token_along(flow: Flow) -> None:
    old = await flow.grant(EXPIRING_APP)
    new = (await flow.refresh(old["refresh_token"])).json()
    assert said(await flow.refresh(old["refresh_token"])) == (200, BAD_REFRESH)
    assert (await flow.api("/user", old["access_token"])).status_code == 401
    assert (await flow.api("/user", new["access_token"])).status_code == 200
    assert "access_token" in (await flow.refresh(new["refresh_token"])).json()


@pytest.mark.parametrize(("age", "works"), [(15_897_599.0, True), (15_897_600.0, False)])
async def test_a_refresh_token_lives_six_months(
    flow: Flow, clock: ManualClock, age: float, works: bool
) -> None:
    token = await flow.grant(EXPIRING_APP)
    await clock.advance(age)
    assert ("access_token" in (await flow.refresh(token["refresh_token"])).json()) is works


async def test_a_refresh_token_is_of_no_use_to_others(flow: Flow) -> None:
    token = await flow.grant(EXPIRING_APP)
    assert said(await flow.refresh(token["refresh_token"], APP)) == (200, BAD_REFRESH)
    assert said(await flow.refresh("")) == (200, BAD_REFRESH)
    assert said(await flow.refresh(token["access_token"])) == (200, BAD_REFRESH)
    assert "access_token" in (await flow.refresh(token["refresh_token"])).json()


# Many tokens


async def test_the_oldest_of_more_than_ten_tokens_alike_is_revoked(flow: Flow) -> None:
    """https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps#creating-multiple-tokens-for-oauth-apps."""
    other_scope = await flow.token("user:email")
    other_person = await flow.token("gist", login="mona")
    tokens = [await flow.token("gist") for _ in range(11)]
    statuses = [(await flow.api("/user", token)).status_code for token in tokens]
    assert statuses == [401] + [200] * 10
    assert [token.access for token in flow.mock.tokens("octo")] == [other_scope, *tokens[1:]]
    assert (await flow.api("/user", other_person)).status_code == 200


# What it prints, and what it is made of


async def test_nothing_secret_is_in_what_it_prints(flow: Flow) -> None:
    code = await flow.code()
    token = (await flow.exchange(code)).json()["access_token"]
    await flow.api("/user", token)
    await flow.http.get(flow.url())
    await flow.delete("token", {"access_token": token})
    basic = base64.b64encode(f"{APP.client_id}:{APP.client_secret}".encode()).decode()
    await flow.grant(EXPIRING_APP)
    shown = repr([flow.mock.received, APPS, flow.mock, flow.mock.tokens("octo")])
    kept = [token.access for token in flow.mock.tokens("octo")]
    for secret in (code, token, VERIFIER, CHALLENGE, basic, "s+t%26te", *kept, *SECRETS):
        assert secret not in shown
    assert "/login/oauth/authorize?" in shown


SECRETS = tuple(app.client_secret for app in APPS)


@pytest.mark.parametrize(
    "urls", [(), ("callback",), ("https:///x",), ("ftp://x.test/",), ("https://x.test/#f",)]
)
def test_a_callback_that_github_would_not_register(urls: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="callback_urls"):
        GitHubApp("a", "s", urls)


def test_a_callback_is_given_in_a_collection() -> None:
    with pytest.raises(TypeError, match="collection"):
        GitHubApp("a", "s", CALLBACK)


def test_an_account_that_github_would_not_open() -> None:
    with pytest.raises(ValueError, match="login"):
        GitHubAccount(1, "two--hyphens")
    with pytest.raises(ValueError, match="emails"):
        GitHubAccount(1, "octo", emails=[GitHubEmail("a@x.test", True)] * 2)
    with pytest.raises(ValueError, match="belongs to account 1"):
        GitHubMock(APPS, [GitHubAccount(1, "octo"), GitHubAccount(2, "OCTO")])

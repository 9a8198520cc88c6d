"""What GitHub's API refuses, the stand-in refuses, with the same answer.

https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api
"""

from __future__ import annotations

import httpx
import pytest

from openbolt.testing import ManualClock
from openbolt_local.mocks import GitHubAccount, GitHubApp, GitHubEmail, GitHubMock
from tests.mocks.github_flow import (
    ACCOUNTS,
    APP,
    APPS,
    CALLBACK,
    EXPIRING_APP,
    OCTO,
    OTHER_APP,
    Flow,
    said,
)

REST = "https://docs.github.com/rest"
BAD_CREDENTIALS = {"message": "Bad credentials", "documentation_url": REST, "status": "401"}
NO_CREDENTIALS = {"message": "Requires authentication", "documentation_url": REST, "status": "401"}
NOT_FOUND = {"message": "Not Found", "documentation_url": REST, "status": "404"}


# People


async def test_the_authenticated_user(flow: Flow) -> None:
    """https://docs.github.com/en/rest/users/users#get-the-authenticated-user."""
    answer = await flow.api("/user", await flow.token())
    user = answer.json()
    picture = await flow.http.get(user["avatar_url"])
    expected = {
        "id": 583231,
        "login": "octo",
        "name": "Octo Example",
        "email": None,
        "type": "User",
    }
    assert expected.items() <= user.items()
    assert picture.headers["content-type"] == "image/png"
    assert answer.headers["x-oauth-scopes"] == ""
    assert answer.headers["x-oauth-client-id"] == APP.client_id
    assert answer.headers["x-github-request-id"]


async def test_an_address_is_shown_where_it_is_public(flow: Flow) -> None:
    shown = GitHubEmail("octo@example.com", primary=True, visibility="public")
    flow.mock.put_account(GitHubAccount(9, "shy-no-more", emails=(shown,), avatar_url="data:,"))
    user = (await flow.api("/user", await flow.token(login="shy-no-more"))).json()
    assert (user["email"], user["avatar_url"]) == ("octo@example.com", "data:,")


async def test_somebody_who_renames_keeps_the_id_and_the_tokens(flow: Flow) -> None:
    token = await flow.token()
    flow.mock.put_account(GitHubAccount(OCTO.id, "renamed", emails=OCTO.emails))
    user = (await flow.api("/user", token)).json()
    assert (user["id"], user["login"]) == (OCTO.id, "renamed")


@pytest.mark.parametrize("scope", ["user:email", "user", "read:user user:email"])
async def test_addresses(flow: Flow, scope: str) -> None:
    """https://docs.github.com/en/rest/users/emails#list-email-addresses-for-the-authenticated-user."""
    answer = await flow.api("/user/emails", await flow.token(scope))
    assert answer.json() == [
        {"email": "octo@example.com", "primary": True, "verified": True, "visibility": "private"},
        {"email": "octo@work.test", "primary": False, "verified": False, "visibility": None},
    ]


@pytest.mark.parametrize("scope", [None, "read:user", "repo read:org"])
async def test_addresses_need_their_scope(flow: Flow, scope: str | None) -> None:
    answer = await flow.api("/user/emails", await flow.token(scope))
    where = f"{REST}/users/emails#list-email-addresses-for-the-authenticated-user"
    assert said(answer) == (404, {**NOT_FOUND, "documentation_url": where})
    assert answer.headers["x-accepted-oauth-scopes"] == "user, user:email"


@pytest.mark.parametrize("scope", ["read:org", "write:org", "admin:org", "user"])
async def test_organizations_are_those_that_let_the_application_in(flow: Flow, scope: str) -> None:
    """https://docs.github.com/en/rest/orgs/orgs#list-organizations-for-the-authenticated-user."""
    answer = await flow.api("/user/orgs", await flow.token(scope))
    assert [org["login"] for org in answer.json()] == ["example"]


@pytest.mark.parametrize("scope", [None, "user:email", "read:user repo"])
async def test_organizations_need_their_scope(flow: Flow, scope: str | None) -> None:
    answer = await flow.api("/user/orgs", await flow.token(scope))
    assert said(answer) == (
        403,
        {
            "message": (
                "You need at least read:org scope or user scope to list your organizations."
            ),
            "documentation_url": f"{REST}/orgs/orgs#list-organizations-for-the-authenticated-user",
            "status": "403",
        },
    )


@pytest.mark.parametrize(
    ("org", "status", "state"),
    [
        ("example", 200, "active"),
        ("EXAMPLE", 200, "active"),
        ("inviting", 200, "pending"),
        ("closed-org", 403, None),
        ("elsewhere", 404, None),
        ("a%2Fb", 404, None),
        ("", 404, None),
    ],
)
async def test_a_membership(flow: Flow, org: str, status: int, state: str | None) -> None:
    """https://docs.github.com/en/rest/orgs/members#get-an-organization-membership-for-the-authenticated-user."""
    answer = await flow.api(f"/user/memberships/orgs/{org}", await flow.token("read:org"))
    assert (answer.status_code, answer.json().get("state")) == (status, state)


async def test_a_membership_needs_its_scope(flow: Flow) -> None:
    answer = await flow.api("/user/memberships/orgs/example", await flow.token("user:email"))
    assert answer.status_code == 403


async def test_a_github_app_reaches_what_it_is_permitted() -> None:
    """https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api#resource-not-accessible."""
    app = GitHubApp("a", "s", (CALLBACK,), expiring_tokens=True, permissions=frozenset({"emails"}))
    mock = GitHubMock([app, *APPS], ACCOUNTS)
    async with mock, httpx.AsyncClient(base_url=mock.url, trust_env=False) as http:
        flow = Flow(mock, http)
        token = (await flow.grant(app, scope="user read:org"))["access_token"]
        refused = await flow.api("/user/orgs", token)
        emails = await flow.api("/user/emails", token)
    assert (emails.status_code, "x-oauth-scopes" in emails.headers) == (200, False)
    assert refused.json()["message"] == "Resource not accessible by integration"
    assert refused.status_code == 403


# Pages


async def test_a_list_comes_in_pages() -> None:
    """https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api."""
    names = [f"org-{number}" for number in range(65)]
    person = GitHubAccount(1, "joiner", emails=OCTO.emails, orgs=names)
    mock = GitHubMock([APP], [person])
    async with mock, httpx.AsyncClient(base_url=mock.url, trust_env=False) as http:
        flow = Flow(mock, http)
        token = await flow.token("read:org", login="joiner")
        pages = [await flow.api("/user/orgs", token)]
        while "next" in pages[-1].links:
            path = pages[-1].links["next"]["url"].removeprefix(f"{mock.url}/api/v3")
            pages.append(await flow.api(path, token))
        large = await flow.api("/user/orgs?per_page=1000", token)
        beyond = await flow.api("/user/orgs?page=9", token)
        nonsense = await flow.api("/user/orgs?per_page=x&page=0", token)
    assert [len(page.json()) for page in pages] == [30, 30, 5]
    assert [org["login"] for page in pages for org in page.json()] == names
    assert pages[1].links.keys() == {"prev", "next", "last", "first"}
    assert len(large.json()) == 65
    assert "link" not in large.headers
    assert (beyond.json(), len(nonsense.json())) == ([], 30)


# Who asks


@pytest.mark.parametrize("agent", [None, ""])
async def test_a_user_agent_is_needed(flow: Flow, agent: str | None) -> None:
    """https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api#user-agent-required."""
    request = flow.http.build_request("GET", "/api/v3/user")
    request.headers["authorization"] = f"Bearer {await flow.token()}"
    del request.headers["user-agent"]
    if agent is not None:
        request.headers["user-agent"] = agent
    answer = await flow.http.send(request)
    assert answer.status_code == 403
    assert "Please make sure your request has a User-Agent header" in answer.text


@pytest.mark.parametrize("path", ["/user", "/user/emails", "/user/orgs", "/user/x"])
async def test_nobody_learns_nothing(flow: Flow, path: str) -> None:
    assert said(await flow.api(path, None)) == (401, NO_CREDENTIALS)


@pytest.mark.parametrize("path", ["/user", "/nowhere"])
@pytest.mark.parametrize(
    "credentials", ["Bearer gho_wrong", "Bearer", "Basic b2N0bzpwYXNz", "gho_wrong"]
)
async def test_a_token_that_is_none(flow: Flow, path: str, credentials: str) -> None:
    answer = await flow.api(path, None, authorization=credentials)
    assert said(answer) == (401, BAD_CREDENTIALS)


async def test_the_word_token_does_for_bearer(flow: Flow) -> None:
    """https://docs.github.com/en/rest/authentication/authenticating-to-the-rest-api."""
    token = await flow.token()
    answer = await flow.api("/user", None, authorization=f"token {token}")
    assert answer.status_code == 200


async def test_a_token_in_the_url_is_not_looked_at(flow: Flow) -> None:
    answer = await flow.api(f"/user?access_token={await flow.token()}", None)
    assert said(answer) == (401, NO_CREDENTIALS)


@pytest.mark.parametrize("path", ["/user/", "/user/emails/", "/", "", "/users/octo", "/rate_limit"])
async def test_a_path_that_is_not_there(flow: Flow, path: str) -> None:
    """https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api#404-not-found-for-an-existing-resource."""
    assert said(await flow.api(path, await flow.token())) == (404, NOT_FOUND)


async def test_nobody_is_told_of_a_path_that_is_not_there(flow: Flow) -> None:
    assert said(await flow.api("/nowhere", None)) == (404, NOT_FOUND)


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE", "OPTIONS"])
async def test_the_person_cannot_be_changed(flow: Flow, method: str) -> None:
    headers = {"authorization": f"Bearer {await flow.token('user')}"}
    answer = await flow.http.request(method, "/api/v3/user", headers=headers)
    assert answer.status_code == 404


async def test_head_is_get_without_a_body(flow: Flow) -> None:
    headers = {"authorization": f"Bearer {await flow.token()}"}
    answer = await flow.http.head("/api/v3/user", headers=headers)
    assert (answer.status_code, answer.content) == (200, b"")


async def test_a_version_of_the_api_that_is_not_there(flow: Flow) -> None:
    """https://docs.github.com/en/rest/about-the-rest-api/api-versions."""
    token = await flow.token()
    answer = await flow.api("/user", token, **{"x-github-api-version": "2001-01-01"})
    known = await flow.api("/user", token, **{"x-github-api-version": "2022-11-28"})
    assert (answer.status_code, known.status_code) == (400, 200)
    assert "not a supported version" in answer.json()["message"]


# Taking back


async def test_a_token_is_deleted(flow: Flow) -> None:
    """https://docs.github.com/en/rest/apps/oauth-applications#delete-an-app-token."""
    token, other = await flow.token("gist"), await flow.token("repo")
    answer = await flow.delete("token", {"access_token": token})
    assert (answer.status_code, answer.content) == (204, b"")
    assert "content-length" not in answer.headers
    assert said(await flow.api("/user", token)) == (401, BAD_CREDENTIALS)
    assert (await flow.api("/user", other)).status_code == 200


async def test_a_grant_is_deleted_with_all_its_tokens(flow: Flow) -> None:
    """https://docs.github.com/en/rest/apps/oauth-applications#delete-an-app-authorization."""
    tokens = [await flow.token("gist"), await flow.token("repo")]
    mona = await flow.token("gist", login="mona")
    elsewhere = (await flow.grant(OTHER_APP))["access_token"]
    assert (await flow.delete("grant", {"access_token": tokens[0]})).status_code == 204
    statuses = [(await flow.api("/user", one)).status_code for one in (*tokens, mona, elsewhere)]
    assert statuses == [401, 401, 200, 200]


@pytest.mark.parametrize("what", ["token", "grant"])
async def test_a_refresh_token_goes_with_its_access_token(flow: Flow, what: str) -> None:
    token = await flow.grant(EXPIRING_APP)
    await flow.delete(what, {"access_token": token["access_token"]}, app=EXPIRING_APP)
    answer = await flow.refresh(token["refresh_token"])
    assert answer.json()["error"] == "bad_refresh_token"


@pytest.mark.parametrize("what", ["token", "grant"])
async def test_a_token_of_nobody_or_of_others_cannot_be_deleted(flow: Flow, what: str) -> None:
    theirs = (await flow.grant(OTHER_APP))["access_token"]
    gone = await flow.token()
    flow.mock.revoke("octo", APP.client_id)
    for token in ("gho_wrong", theirs, gone):
        assert (await flow.delete(what, {"access_token": token})).status_code == 422
    assert (await flow.api("/user", theirs)).status_code == 200


@pytest.mark.parametrize(("body", "status"), [({}, 422), ({"access_token": 1}, 422), ([], 400)])
async def test_a_deletion_names_the_token(flow: Flow, body: object, status: int) -> None:
    """https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api#invalid-request."""
    assert (await flow.delete("token", body)).status_code == status


@pytest.mark.parametrize(
    ("credentials", "answer"),
    [
        (None, (401, NO_CREDENTIALS)),
        ("Bearer TOKEN", (401, NO_CREDENTIALS)),
        ("Basic !", (401, BAD_CREDENTIALS)),
        ("Basic /w==", (401, BAD_CREDENTIALS)),
        ("Basic YXBwLTE6d3Jvbmc=", (401, BAD_CREDENTIALS)),
        ("Basic YXBwLTE=", (401, BAD_CREDENTIALS)),
    ],
)
async def test_a_deletion_needs_the_application_s_credentials(
    flow: Flow, credentials: str | None, answer: tuple[int, object]
) -> None:
    token = await flow.token()
    headers = {"authorization": credentials.replace("TOKEN", token)} if credentials else {}
    path = f"/api/v3/applications/{APP.client_id}/token"
    body = {"access_token": token}
    refused = await flow.http.request("DELETE", path, json=body, headers=headers)
    assert said(refused) == answer
    assert (await flow.api("/user", token)).status_code == 200


async def test_a_deletion_for_another_application(flow: Flow) -> None:
    token = (await flow.grant(OTHER_APP))["access_token"]
    answer = await flow.delete("token", {"access_token": token}, of=OTHER_APP.client_id)
    assert answer.status_code == 404
    assert (await flow.api("/user", token)).status_code == 200


async def test_people_take_back_what_they_granted(flow: Flow) -> None:
    token = await flow.token()
    flow.mock.revoke("ghost", APP.client_id)
    flow.mock.revoke("octo", APP.client_id)
    assert said(await flow.api("/user", token)) == (401, BAD_CREDENTIALS)
    assert (flow.mock.tokens("octo"), flow.mock.tokens("ghost")) == ((), ())


# Rate limits


@pytest.mark.parametrize("status", [403, 429])
async def test_the_rate_limit(clock: ManualClock, status: int) -> None:
    """https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api."""
    mock = GitHubMock(APPS, ACCOUNTS, clock=clock, rate_limit=2, rate_limit_status=status)
    async with mock, httpx.AsyncClient(base_url=mock.url, trust_env=False) as http:
        flow = Flow(mock, http)
        tokens = [await flow.token(), await flow.token("gist")]
        first, second, third = [await flow.api("/user", tokens[n % 2]) for n in range(3)]
        mona = await flow.api("/user", await flow.token(login="mona"))
        await clock.advance(3599.0)
        before = await flow.api("/user", tokens[0])
        await clock.advance(1.0)
        after = await flow.api("/user", tokens[0])
    resets = str(int(ManualClock().now()) + 3600)
    assert limits(first) == ("2", "1", "1", resets, "core")
    assert limits(second) == ("2", "0", "2", resets, "core")
    assert limits(third) == ("2", "0", "2", resets, "core")
    assert third.json()["message"] == "API rate limit exceeded for user ID 583231."
    found = [one.status_code for one in (first, second, third, mona, before, after)]
    assert found == [200, 200, status, 200, status, 200]


async def test_nobody_has_sixty_requests(flow: Flow) -> None:
    statuses = [(await flow.api("/user", "gho_wrong")).status_code for _ in range(61)]
    answer = await flow.api("/user", None)
    assert statuses == [401] * 60 + [403]
    assert limits(answer)[:2] == ("60", "0")


def limits(answer: httpx.Response) -> tuple[str, ...]:
    names = ("limit", "remaining", "used", "reset", "resource")
    return tuple(answer.headers[f"x-ratelimit-{name}"] for name in names)

"""A sign-in from the page to GitHub and back, and everything that may go wrong on the way.

The other side is the strict stand-in, over HTTP. Everything runs over a store with atomic
operations and over one without.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Literal
from urllib.parse import urlencode

import pytest
import pytest_asyncio
from attrs import evolve

from openbolt import Principal, Settings
from openbolt.access import LocalUser, with_optional_principal
from openbolt.auth.api_keys import ApiKey
from openbolt.auth.github import GitHub
from openbolt.auth.oidc import OpenIdConnect
from openbolt.auth.sign_in import ReadSession
from openbolt.errors import BackendError
from openbolt.lifetime import Work
from openbolt.senders.httpx import HttpxSender
from openbolt.testing import ManualClock
from openbolt_local.memory import MemoryKeyValueStore
from openbolt_local.mocks import GitHubAccount, GitHubApp, GitHubEmail, GitHubMock
from tests.auth.browsing import ORIGIN, SESSION, SIGN_IN, Browser, SignInHouse, location
from tests.auth.exchanges import query_of
from tests.handlers.building import Answer

CALLBACK = "/api/auth/github/callback"
LOGIN = "/api/auth/github/login"
ANN = GitHubAccount(
    1,
    "Ann",
    name="Ann Example",
    emails=(GitHubEmail("ann@corp.example", primary=True),),
    orgs=("Acme",),
    pending_orgs=("inviting",),
)
EVE = GitHubAccount(2, "eve", emails=(GitHubEmail("eve@evil.example", primary=True),))


@pytest.fixture
def app() -> GitHubApp:
    urls = [f"{origin}{CALLBACK}" for origin in (ORIGIN, "https://app.example")]
    return GitHubApp("id-1", "secret-1", [*urls, f"{ORIGIN}/builder{CALLBACK}"])


@pytest_asyncio.fixture
async def github(app: GitHubApp, clock: ManualClock) -> AsyncIterator[GitHubMock]:
    async with GitHubMock([app], [ANN, EVE], clock=clock, verified_email_needed=False) as mock:
        yield mock


@pytest.fixture(params=[True, False], ids=["atomic", "not-atomic"])
def house(
    request: pytest.FixtureRequest,
    kv: MemoryKeyValueStore,
    clock: ManualClock,
    github: GitHubMock,
    sender: HttpxSender,
    settings: Settings,
) -> SignInHouse:
    return SignInHouse(
        kv,
        kv if request.param else None,
        clock,
        sender,
        [GitHub("id-1", "secret-1", github.url, want_orgs=bool(settings.allowed_orgs))],
        settings,
    )


async def go(
    browser: Browser, github: GitHubMock, *, login: str = "ann", return_to: str | None = None
) -> str:
    """To GitHub and through its page; the URL that the person is sent back to."""
    query = "" if return_to is None else "?" + urlencode({"return_to": return_to})
    begun = await browser.get(f"{browser.root_path}{LOGIN}{query}")
    return await github.authorize(location(begun), login=login)


async def sign_in(browser: Browser, github: GitHubMock, *, login: str = "ann") -> Answer:
    return await browser.get(await go(browser, github, login=login))


async def who(browser: Browser) -> str | None:
    answer = await browser.send("GET", "/me")
    assert answer.status in {200, 401}
    found: str | None = answer.json.get("user")
    return found


def calls(github: GitHubMock, path: str) -> int:
    return sum(request.path == path for request in github.received)


async def test_a_person_signs_in_and_is_where_they_were(
    browser: Browser, github: GitHubMock
) -> None:
    back = await go(browser, github, return_to="/chat/abc?tab=code#L1")
    assert set(browser.cookies) == {SIGN_IN}
    answer = await browser.get(back)
    assert location(answer) == "/chat/abc?tab=code#L1"
    assert set(browser.cookies) == {SESSION}
    assert (await who(browser) or "").startswith("github.")


async def test_the_page_learns_who_is_there_and_how_to_sign_in(
    browser: Browser, github: GitHubMock, clock: ManualClock
) -> None:
    provider = {"id": "github", "name": "GitHub Enterprise", "signInUrl": LOGIN}
    nobody = await browser.send("GET", "/api/auth/session")
    assert (nobody.status, nobody.json) == (
        200,
        {"user": None, "session": None, "providers": [provider], "method": None},
    )
    await sign_in(browser, github)
    clock.advance(60)
    said = (await browser.send("GET", "/api/auth/session")).json
    me = (await browser.send("GET", "/me")).json
    assert said == {
        "user": {
            "id": me["user"],
            "name": "Ann Example",
            "login": "Ann",
            "email": "ann@corp.example",
            "avatarUrl": None,  # the stand-in's picture is on plain HTTP
        },
        "session": {
            "id": me["session"],
            "createdAt": "2023-11-14T22:13:20.000Z",
            "expiresAt": "2024-02-12T22:13:20.000Z",
        },
        "providers": [provider],
        "method": "session",
    }
    assert browser.cookies[SESSION] not in str(said)


async def test_somebody_without_a_name_or_an_address_is_called_by_their_login(
    browser: Browser, github: GitHubMock
) -> None:
    github.put_account(GitHubAccount(3, "cid", emails=(GitHubEmail("c@c.example", True, False),)))
    await sign_in(browser, github, login="cid")
    user = (await browser.send("GET", "/api/auth/session")).json["user"]
    assert (user["name"], user["login"], user["email"]) == ("cid", "cid", None)


async def test_github_is_asked_for_no_more_than_it_takes(
    browser: Browser, github: GitHubMock
) -> None:
    await sign_in(browser, github)
    assert [token.scopes for token in github.tokens("ann")] == [("user:email",)]
    assert calls(github, "/api/v3/user/orgs") == 0


async def test_nothing_stored_shows_a_token_or_a_secret(
    browser: Browser, github: GitHubMock, house: SignInHouse
) -> None:
    await sign_in(browser, github)
    (token,) = github.tokens("ann")
    kv = house.kv
    assert isinstance(kv, MemoryKeyValueStore)
    for partition in list(kv._partitions):
        async for key in kv.scan(f"{partition}/"):
            stored = key.encode() + (await kv.get(key) or b"")
            for secret in (token.access, browser.cookies[SESSION], "secret-1"):
                assert secret.encode() not in stored


async def test_a_browser_that_signs_in_again_has_a_new_session_and_the_old_one_is_over(
    browser: Browser, github: GitHubMock
) -> None:
    await sign_in(browser, github)
    old = dict(browser.cookies)
    before = (await browser.send("GET", "/me")).json["user"]
    await sign_in(browser, github)
    assert browser.cookies[SESSION] != old[SESSION]
    assert await who(browser) == before
    thief = browser.another()
    thief.cookies.update(old)
    assert await who(thief) is None
    await browser.work.drain(30)
    assert len(github.tokens("ann")) == 1, "the old session's token was revoked"


async def test_a_session_that_was_planted_is_not_the_one_that_is_signed_in(
    browser: Browser, github: GitHubMock
) -> None:
    eve = browser.another()
    await sign_in(eve, github, login="eve")
    browser.cookies.update(eve.cookies)  # session fixation
    await sign_in(browser, github)
    assert browser.cookies[SESSION] != eve.cookies[SESSION]
    assert await who(eve) is None
    made_up = "a" * 52
    browser.cookies[SESSION] = made_up
    await sign_in(browser, github)
    assert browser.cookies[SESSION] != made_up


async def test_signing_out_ends_the_session_and_revokes_its_token(
    browser: Browser, github: GitHubMock
) -> None:
    await sign_in(browser, github)
    old = dict(browser.cookies)
    answer = await browser.send("POST", "/api/auth/logout")
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers.get("clear-site-data") == '"cache"'
    assert browser.cookies == {}
    browser.cookies.update(old)  # replay after sign-out
    assert await who(browser) is None
    await browser.work.drain(30)
    assert github.tokens("ann") == ()


async def test_signing_out_succeeds_whatever_github_does(
    browser: Browser, github: GitHubMock, caplog: pytest.LogCaptureFixture
) -> None:
    await sign_in(browser, github)
    (token,) = github.tokens("ann")
    github.fail("reset", times=None)
    with caplog.at_level(logging.WARNING, "openbolt"):
        assert (await browser.send("POST", "/api/auth/logout")).status == 204
        await browser.work.drain(30)
    assert await who(browser) is None
    assert "could not be revoked" in caplog.text
    assert token.access not in caplog.text


async def test_signing_out_twice_or_without_a_session_is_no_error(browser: Browser) -> None:
    for _ in range(2):
        assert (await browser.send("POST", "/api/auth/logout")).status == 204


async def test_another_site_signs_nobody_out(browser: Browser, github: GitHubMock) -> None:
    await sign_in(browser, github)
    headers = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    answer = await browser.send("POST", "/api/auth/logout", headers)
    assert answer.error[:2] == (403, "cross_origin")
    assert (await browser.send("GET", "/api/auth/logout")).status == 405
    assert await who(browser) is not None


# The way back


def error_of(answer: Answer) -> str:
    """What the page is told that went wrong."""
    where = location(answer)
    assert where.startswith("/?")
    return query_of(where)["sign_in_error"]


async def refused(browser: Browser, target: str, code: str) -> None:
    """The callback leads to the page with an error, and to no session."""
    before = browser.cookies.get(SESSION)
    assert error_of(await browser.get(target)) == code
    assert browser.cookies.get(SESSION) == before
    assert SIGN_IN not in browser.cookies, "the attempt is over, however it ended"


async def test_a_callback_works_once(
    browser: Browser, github: GitHubMock, house: SignInHouse
) -> None:
    back = await go(browser, github)
    kept = dict(browser.cookies)
    await browser.get(back)
    await refused(browser, back, "state_mismatch")  # the cookie is gone
    thief = browser.another()
    thief.cookies.update(kept)  # or it isn't, with whoever looked over the shoulder
    tries = calls(github, "/login/oauth/access_token")
    if house.atomic is None:  # then it is GitHub who knows
        await refused(thief, back, "sign_in_refused")
    else:
        await refused(thief, back, "state_mismatch")
        assert calls(github, "/login/oauth/access_token") == tries


async def test_a_callback_is_worth_nothing_in_another_browser(
    browser: Browser, github: GitHubMock
) -> None:
    back = await go(browser, github)
    stranger = browser.another()
    await refused(stranger, back, "state_mismatch")
    assert calls(github, "/login/oauth/access_token") == 0
    assert location(await browser.get(back)) == "/", "its own can still use it"


async def test_a_code_of_somebody_else_signs_nobody_in(
    browser: Browser, github: GitHubMock
) -> None:
    """Login CSRF and code injection: Eve's code in Ann's browser."""
    eve = browser.another()
    hers = await go(eve, github, login="eve")
    await refused(browser, hers, "state_mismatch")  # with Eve's state
    mine = await go(browser, github)
    injected = {**query_of(mine), "code": query_of(hers)["code"]}
    # With Ann's own state: the code was made for another challenge (PKCE).
    await refused(browser, f"{CALLBACK}?{urlencode(injected)}", "sign_in_refused")
    assert await who(browser) is None


async def test_a_code_that_was_asked_for_without_pkce_signs_nobody_in(
    browser: Browser, github: GitHubMock
) -> None:
    url = location(await browser.get(LOGIN))
    query = {k: v for k, v in query_of(url).items() if not k.startswith("code_challenge")}
    stripped = f"{url.partition('?')[0]}?{urlencode(query)}"
    back = await github.authorize(stripped, login="eve")
    await refused(browser, back, "sign_in_refused")


@pytest.mark.parametrize("state", ["", "x", "%00", "%F0%9F%98%80"])
async def test_a_state_that_is_wrong_or_missing_is_refused(
    browser: Browser, github: GitHubMock, state: str
) -> None:
    code = query_of(await go(browser, github))["code"]
    await refused(browser, f"{CALLBACK}?code={code}&state={state}", "state_mismatch")
    await refused(browser, f"{CALLBACK}?code={code}", "state_mismatch")
    assert calls(github, "/login/oauth/access_token") == 0


async def test_a_parameter_that_comes_twice_is_refused(
    browser: Browser, github: GitHubMock
) -> None:
    back = await go(browser, github)
    for more in ("code=x", "state=x", "iss=a&iss=b"):
        await go(browser, github)
        await refused(browser, f"{back}&{more}", "invalid_request")
    many = "&".join(f"p{n}=" for n in range(50))
    await refused(browser, f"{back}&{many}", "invalid_request")


async def test_an_attempt_that_took_too_long_is_over(
    browser: Browser, github: GitHubMock, clock: ManualClock
) -> None:
    back = await go(browser, github)
    clock.advance(600)
    await refused(browser, back, "sign_in_expired")


async def test_a_cookie_that_was_changed_or_doubled_is_none(
    browser: Browser, github: GitHubMock
) -> None:
    back = await go(browser, github)
    cookie = browser.cookies[SIGN_IN]
    half = len(cookie) // 2
    changed = cookie[:half] + ("A" if cookie[half] != "A" else "B") + cookie[half + 1 :]
    for value in (changed, cookie[:-4], cookie + "AAAA", f"{cookie}; {SIGN_IN}=x", "x"):
        browser.cookies[SIGN_IN] = value
        await refused(browser, back, "state_mismatch")
    browser.cookies[SIGN_IN] = cookie
    assert location(await browser.get(back)) == "/"


async def test_whoever_answers_for_another_provider_is_refused(
    house: SignInHouse, browser: Browser, github: GitHubMock
) -> None:
    """Mix-up: the attempt went to one provider, the callback is another's."""
    other = GitHub("id-2", "secret-2", "https://git.example", id="other")
    both = evolve(house, providers=[*house.providers, other])
    browser.handler = both.handler()
    back = await go(browser, github)
    await refused(browser, back.replace(CALLBACK, "/api/auth/other/callback"), "state_mismatch")
    again = await go(browser, github)
    await refused(browser, f"{again}&iss=https%3A%2F%2Fevil.example", "state_mismatch")
    named = await go(browser, github)
    answer = await browser.get(f"{named}&{urlencode({'iss': f'{github.url}/login/oauth'})}")
    assert location(answer) == "/"


async def test_a_person_who_declines_is_told_so(browser: Browser, github: GitHubMock) -> None:
    url = location(await browser.get(LOGIN))
    back = await github.authorize(url, login="ann", decision="cancel")
    await refused(browser, back, "sign_in_declined")


async def test_a_program_is_told_in_json(browser: Browser, github: GitHubMock) -> None:
    back = await go(browser, github)
    browser.cookies.clear()
    answer = await browser.send("GET", back, {"accept": "application/json"})
    assert answer.error == (403, "state_mismatch", None)
    assert "Max-Age=0" in (answer.headers.get("set-cookie") or "")
    unknown = await browser.send("GET", "/api/auth/nobody/login", {"accept": "application/json"})
    assert unknown.error == (404, "not_found", None)
    assert error_of(await browser.get("/api/auth/nobody/login")) == "not_found"


@pytest.mark.parametrize(
    ("kind", "path", "code"),
    [
        ("reset", "/login/oauth/access_token", "upstream_error"),
        ("lost", "/login/oauth/access_token", "upstream_error"),
        ("html", "/login/oauth/access_token", "upstream_error"),
        (500, "/login/oauth/access_token", "upstream_error"),
        ("malformed", "/api/v3/user", "upstream_error"),
        ("too-large", "/api/v3/user", "upstream_error"),
        (401, "/api/v3/user", "upstream_error"),
        ("secondary-limit", "/api/v3/user", "upstream_rate_limited"),
        (429, "/api/v3/user/emails", "upstream_rate_limited"),
        (502, "/api/v3/user/emails", "upstream_error"),
    ],
)
async def test_a_failure_of_github_s_is_said_and_signs_nobody_in(
    browser: Browser, github: GitHubMock, kind: object, path: str, code: str
) -> None:
    back = await go(browser, github)
    github.fail(kind, path=path)  # type: ignore[arg-type]
    await refused(browser, back, code)
    assert location(await sign_in(browser, github)) == "/", "the next try works"


async def test_what_is_wrong_with_the_application_is_in_the_log_and_not_on_the_page(
    house: SignInHouse, browser: Browser, github: GitHubMock, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = GitHub("id-1", "not-the-secret", github.url)
    browser.handler = evolve(house, providers=[wrong]).handler()
    back = await go(browser, github)
    with caplog.at_level(logging.WARNING, "openbolt"):
        await refused(browser, back, "upstream_error")
    assert "incorrect_client_credentials" in caplog.text
    for secret in ("not-the-secret", query_of(back)["code"], query_of(back)["state"]):
        assert secret not in caplog.text


async def test_a_bug_on_the_way_back_is_an_error_like_any_other(
    house: SignInHouse, browser: Browser, github: GitHubMock, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(MemoryKeyValueStore):
        async def set(self, key: str, value: bytes, /, *, ttl: float | None = None) -> None:
            raise RuntimeError("bug")

    browser.handler = evolve(house, kv=Broken(house.clock)).handler()
    await refused(browser, await go(browser, github), "internal")
    assert "RuntimeError: bug" in caplog.text
    await browser.work.drain(30)
    assert github.tokens("ann") == (), "nobody is signed in by it, so nobody keeps it"


async def test_a_session_whose_grant_can_t_be_kept_is_no_session(
    house: SignInHouse, browser: Browser, github: GitHubMock
) -> None:
    class Full(MemoryKeyValueStore):
        async def set(self, key: str, value: bytes, /, *, ttl: float | None = None) -> None:
            if key.endswith("/data"):
                raise BackendError("full")
            await super().set(key, value, ttl=ttl)

    full = Full(house.clock)
    browser.handler = evolve(house, kv=full).handler()
    await refused(browser, await go(browser, github), "backend_unavailable")
    assert not [name for name in full._partitions if name.startswith("session:")]


# Who may


@pytest.mark.parametrize(
    ("settings", "login", "admitted"),
    [
        (Settings(allowed_users=("ANN",)), "ann", True),
        (Settings(allowed_users=("ann",)), "eve", False),
        (Settings(allowed_orgs=("acme",)), "ann", True),
        (Settings(allowed_orgs=("acme",)), "eve", False),
        (Settings(allowed_orgs=("inviting",)), "ann", False),
        (Settings(allowed_email_domains=("corp.example",)), "ann", True),
        (Settings(allowed_email_domains=("corp.example",)), "eve", False),
    ],
    ids=str,
)
async def test_only_those_who_are_allowed_are_let_in(
    browser: Browser, github: GitHubMock, login: str, admitted: bool
) -> None:
    back = await go(browser, github, login=login)
    if admitted:
        assert location(await browser.get(back)) == "/"
        return
    await refused(browser, back, "sign_in_not_allowed")
    await browser.work.drain(30)
    assert github.tokens(login) == (), "a token without a use is given back"


@pytest.mark.parametrize("settings", [Settings(allowed_email_domains=("corp.example",))])
async def test_an_address_that_isn_t_verified_opens_nothing(
    browser: Browser, github: GitHubMock
) -> None:
    claimed = GitHubEmail("boss@corp.example", primary=True, verified=False)
    github.put_account(GitHubAccount(2, "eve", emails=(claimed,)))
    await refused(browser, await go(browser, github, login="eve"), "sign_in_not_allowed")


async def test_a_refused_sign_in_leaves_the_session_that_there_was(
    house: SignInHouse, browser: Browser, github: GitHubMock
) -> None:
    await sign_in(browser, github)
    before = await who(browser)
    back = await go(browser, github, login="eve")
    browser.handler = evolve(house, settings=Settings(allowed_users=("ann",))).handler()
    await refused(browser, back, "sign_in_not_allowed")
    assert await who(browser) == before


# Where it is


@pytest.mark.parametrize(
    "return_to", ["//evil.example", "/\\evil.example", "https://evil.example", "/%5cevil.example"]
)
async def test_a_sign_in_never_leads_off_our_origin(
    browser: Browser, github: GitHubMock, return_to: str
) -> None:
    assert location(await browser.get(await go(browser, github, return_to=return_to))) == "/"


@pytest.mark.parametrize("settings", [Settings(public_url="https://app.example")])
async def test_behind_tls_cookies_are_secure_and_bound_to_the_host(
    browser: Browser, github: GitHubMock
) -> None:
    browser.origin = "https://app.example"
    await sign_in(browser, github)
    assert set(browser.cookies) == {"__Host-openbolt-session"}
    assert await who(browser) is not None
    await browser.send("POST", "/api/auth/logout")
    assert browser.cookies == {}


async def test_below_a_mount_point_every_address_has_its_path(
    browser: Browser, github: GitHubMock
) -> None:
    browser.root_path = "/builder"
    session = (await browser.send("GET", "/builder/api/auth/session")).json
    assert session["providers"][0]["signInUrl"] == f"/builder{LOGIN}"
    assert location(await sign_in(browser, github)) == "/builder/"
    wrong = await browser.get(f"/builder{CALLBACK}?state=x")
    assert location(wrong) == "/builder/?sign_in_error=state_mismatch"


async def test_a_provider_that_can_t_be_asked_where_to_go_is_said(
    house: SignInHouse, browser: Browser, github: GitHubMock
) -> None:
    down = OpenIdConnect(github.url, "client-1", "secret-1")  # which has no metadata
    browser.handler = evolve(house, providers=[down]).handler()
    assert error_of(await browser.get("/api/auth/oidc/login")) == "upstream_error"
    assert SIGN_IN not in browser.cookies


@pytest_asyncio.fixture
async def key(house: SignInHouse, browser: Browser, github: GitHubMock) -> tuple[str, ApiKey]:
    """The key of a program of Ann's, who is signed in in the browser."""
    await sign_in(browser, github)
    user = await who(browser)
    assert user is not None
    return await house.graph.api_keys.create(Principal(user), name="CI", scopes=["chat"])


async def test_a_key_of_a_program_has_no_part_in_sessions(
    house: SignInHouse, browser: Browser, key: tuple[str, ApiKey]
) -> None:
    secret, made = key
    bearer = {"authorization": f"Bearer {secret}"}
    said = (await browser.send("GET", "/api/auth/session", bearer)).json
    assert (said["method"], said["session"], said["user"]["login"]) == ("key", None, "Ann")
    await house.graph.api_keys.revoke(made.user_id, made.id)
    assert (await browser.send("POST", "/api/auth/logout", bearer)).status == 401
    assert await who(browser) == made.user_id


async def test_signing_out_with_a_key_ends_no_session(
    browser: Browser, key: tuple[str, ApiKey]
) -> None:
    secret, made = key
    bearer = {"authorization": f"Bearer {secret}"}
    assert (await browser.send("POST", "/api/auth/logout", bearer)).status == 204
    assert await who(browser) == made.user_id


@pytest.mark.parametrize("otherwise", ["local", "password", "other"])
async def test_whoever_needs_no_sign_in_is_said_too(
    house: SignInHouse, otherwise: Literal["local", "password", "other"]
) -> None:
    read = ReadSession((), house.graph.users, house.graph.sessions, house.settings, otherwise)
    handler = with_optional_principal(read, LocalUser())
    said = (await Browser(handler, Work()).send("GET", "/api/auth/session")).json
    assert (said["method"], said["providers"], said["session"]) == (otherwise, [], None)
    assert said["user"] == {
        "id": "local",
        "name": "Local user",
        "login": None,
        "email": None,
        "avatarUrl": None,
    }

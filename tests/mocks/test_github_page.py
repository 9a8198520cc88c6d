"""The page that asks people is a page: its form does what it says, once, without a script."""

from __future__ import annotations

from html.parser import HTMLParser

import httpx
import pytest
from attrs import define, field

from openbolt.testing import ManualClock
from openbolt_local.mocks import GitHubAccount, GitHubMock
from tests.mocks.github_flow import APP, APPS, CALLBACK, Flow, query_of


@define
class Form:
    """The form of a page, as a browser reads it."""

    action: str = ""
    hidden: dict[str, str] = field(factory=dict)
    logins: list[str] = field(factory=list)
    checked: list[str] = field(factory=list)
    buttons: dict[str, tuple[str, str]] = field(factory=dict)
    scripts: int = 0

    @classmethod
    def of(cls, text: str) -> Form:
        reader = _Reader()
        reader.feed(text)
        return reader.form

    def filled(self, decision: str, login: str | None = None) -> dict[str, str]:
        """What is sent when the button with this text is pressed."""
        name, value = self.buttons[decision]
        return {**self.hidden, "login": login or self.checked[0], name: value}


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.form = Form()
        self._button: tuple[str, str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: text or "" for name, text in attrs}
        match tag, given.get("type"):
            case "form", _:
                self.form.action = given["action"]
                assert given["method"] == "post"
            case "input", "hidden":
                self.form.hidden[given["name"]] = given["value"]
            case "input", "radio":
                self.form.logins.append(given["value"])
                if "checked" in given:
                    self.form.checked.append(given["value"])
            case "button", _:
                self._button = given["name"], given["value"]
            case "script", _:
                self.form.scripts += 1
            case _:
                pass

    def handle_data(self, data: str) -> None:
        if self._button:
            self.form.buttons[data] = self._button
            self._button = None


async def open_form(flow: Flow, **parameters: str | None) -> Form:
    answer = await flow.http.get(flow.url(**parameters))
    assert answer.status_code == 200
    return Form.of(answer.text)


async def test_a_person_chooses_who_they_are_and_says_yes(flow: Flow) -> None:
    form = await open_form(flow, scope="user:email", prompt="select_account", allow_signup="false")
    answer = await flow.http.post(form.action, data=form.filled("Authorize", "mona"))
    back = query_of(answer.headers["location"])
    token = (await flow.exchange(back["code"])).json()
    user = (await flow.api("/user", token["access_token"])).json()
    assert form.logins == ["octo", "mona", "nobody"]
    assert answer.status_code == 302
    assert back["state"] == "s t&te"
    assert (user["login"], token["scope"]) == ("mona", "user:email")


@pytest.mark.parametrize(
    ("hint", "marked"), [(None, "octo"), ("mona", "mona"), ("MONA", "mona"), ("ghost", "octo")]
)
async def test_the_login_that_is_suggested_is_marked(
    flow: Flow, hint: str | None, marked: str
) -> None:
    assert (await open_form(flow, login=hint)).checked == [marked]


async def test_a_person_says_no(flow: Flow) -> None:
    form = await open_form(flow)
    answer = await flow.http.post(form.action, data=form.filled("Cancel"))
    back = query_of(answer.headers["location"])
    assert (back["error"], back["state"]) == ("access_denied", "s t&te")


async def test_a_page_is_answered_once(flow: Flow) -> None:
    form = await open_form(flow)
    answers = [
        await flow.http.post(form.action, data=form.filled("Authorize", "octo")) for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [302, 422]


async def test_a_page_is_answered_within_ten_minutes(flow: Flow, clock: ManualClock) -> None:
    form = await open_form(flow)
    await clock.advance(600.0)
    answer = await flow.http.post(form.action, data=form.filled("Authorize"))
    assert (answer.status_code, "location" in answer.headers) == (422, False)


@pytest.mark.parametrize("token", [None, "guessed"])
async def test_no_other_site_says_yes_for_a_person(flow: Flow, token: str | None) -> None:
    form = await open_form(flow)
    sent = {**form.filled("Authorize"), "authenticity_token": token}
    answer = await flow.http.post(
        form.action, data={name: text for name, text in sent.items() if text}
    )
    assert (answer.status_code, "location" in answer.headers) == (422, False)


@pytest.mark.parametrize(
    ("change", "status"),
    [({"decision": ""}, 400), ({"decision": "perhaps"}, 400), ({"login": "ghost"}, 404)],
)
async def test_a_form_that_was_not_filled_in(
    flow: Flow, change: dict[str, str], status: int
) -> None:
    form = await open_form(flow)
    answer = await flow.http.post(form.action, data={**form.filled("Authorize"), **change})
    assert (answer.status_code, "location" in answer.headers) == (status, False)


async def test_what_others_wrote_is_text_in_the_page() -> None:
    """Names come from tests and requests; the page shows them, and runs nothing."""
    person = GitHubAccount(1, "octo", name="<script>alert(1)</script>")
    mock = GitHubMock(APPS, [person])
    async with mock, httpx.AsyncClient(base_url=mock.url, trust_env=False) as http:
        answer = await http.get(Flow(mock, http).url(scope="user <b>", login='"><script>'))
    assert Form.of(answer.text).scripts == 0
    assert "The &lt;app&gt;" in answer.text
    assert "<app>" not in answer.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in answer.text


async def test_a_page_is_not_framed_and_not_kept(flow: Flow) -> None:
    answer = await flow.http.get(flow.url())
    assert answer.headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"


async def test_a_wrong_request_sends_the_browser_back_at_once(flow: Flow) -> None:
    answer = await flow.http.get(flow.url(redirect_uri="https://evil.test/"))
    assert answer.status_code == 302
    assert answer.headers["location"].startswith(f"{CALLBACK}?error=redirect_uri_mismatch&")


@pytest.mark.parametrize("path", ["/", "/login", "/login/oauth/authorize/", "/octo"])
async def test_other_pages_are_not_there(flow: Flow, path: str) -> None:
    assert (await flow.http.get(path)).status_code == 404


async def test_both_ways_lead_to_the_same(flow: Flow) -> None:
    form = await open_form(flow)
    by_form = await flow.http.post(form.action, data=form.filled("Authorize"))
    at_once = await flow.mock.authorize(flow.url(), login="octo")
    first, second = query_of(by_form.headers["location"]), query_of(at_once)
    assert first.keys() == second.keys()
    assert {**first, "code": ""} == {**second, "code": ""}
    assert APP.client_id not in at_once

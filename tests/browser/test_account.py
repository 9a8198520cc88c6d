"""People and their things in the page: in, about, and out again without a trace.

The law: what belongs to one person is shown to nobody else, and what is secret is shown once or
never.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.browser.conftest import opening_pages

Visit = Callable[..., Any]
COOKIE = "openbolt-session"
PROMPT = "Build me a todo list"
REPLY = "#messages article.reply"
MODEL_KEY = "sk-ant-api03-a-key-that-nobody-may-see-again-wxyz"
IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
STORED = """() => JSON.stringify([
  ...Object.entries(localStorage), ...Object.entries(sessionStorage)
])"""


def authorize(page: Any, login: str, decision: str = "authorize") -> None:
    """From the sign-in screen through GitHub's page."""
    page.get_by_role("link", name="Sign in with GitHub").click()
    page.check(f"input[name=login][value={login}]")
    page.click(f"button[value={decision}]")


def sign_in(page: Any, login: str = "octo") -> None:
    authorize(page, login)
    page.wait_for_selector("#account-button")


def chat(page: Any, text: str = PROMPT) -> None:
    page.fill("#prompt", text)
    page.press("#prompt", "Enter")
    page.wait_for_selector(f"{REPLY} >> nth=-1")
    page.wait_for_selector("#stop", state="hidden")
    page.wait_for_selector(".side-row")


def open_settings(page: Any, part: str) -> None:
    page.wait_for_selector("#account > button")
    if page.is_visible("#account-button"):
        page.click("#account-button")
    page.click("#open-settings")
    page.click(f"#settings-tab-{part}")
    page.wait_for_selector("#settings-panel [aria-busy=true]", state="detached")


def sign_out(page: Any) -> None:
    page.click("#account-button")
    page.click("#sign-out")
    page.wait_for_selector("#sign-in", state="visible")


def cookies(page: Any) -> dict[str, Any]:
    return {cookie["name"]: cookie for cookie in page.context.cookies()}


def stored(page: Any) -> str:
    text: str = page.evaluate(STORED)
    return text


def test_signing_in_leads_to_the_builder_and_a_session_of_this_browser(
    visit: Visit, site: Any
) -> None:
    page = visit()
    page.wait_for_selector("#sign-in", state="visible")
    assert page.is_hidden("#app")
    sign_in(page)
    assert page.url == f"{site.url}/"
    session = cookies(page)[COOKIE]
    assert (session["httpOnly"], session["sameSite"], session["path"]) == (True, "Lax", "/")
    assert session["value"] not in page.evaluate("document.cookie")
    assert "openbolt-sign-in" not in cookies(page)

    chat(page)
    page.wait_for_selector("#panel-preview iframe:not(.loading)")
    page.reload()
    page.wait_for_selector(REPLY)
    assert page.inner_text("#account-button .account-name") == "Octo Example"

    open_settings(page, "sessions")
    rows = page.locator("#settings-panel .settings-item")
    assert rows.count() == 1
    assert "This browser" in rows.inner_text()
    assert " on Linux" in rows.inner_text()


def test_whoever_cancels_at_github_is_told_so_and_still_gets_where_they_wanted(
    visit: Visit, site: Any
) -> None:
    page = visit()
    sign_in(page)
    chat(page, "[mock:echo hello]")
    wanted = page.url
    sign_out(page)

    page.goto("about:blank")
    page.goto(wanted)
    authorize(page, "octo", "cancel")
    notice = page.get_by_role("alert")
    notice.wait_for()
    assert notice.inner_text() == "You declined to sign in. Nothing was shared."
    assert page.url == f"{site.url}/", "the code stays out of the address"
    authorize(page, "octo")
    page.wait_for_selector(REPLY)
    assert page.url == wanted


def test_an_unknown_error_code_is_a_sentence_and_never_markup(visit: Visit) -> None:
    page = visit("?sign_in_error=<img src=x onerror=alert(1)>")
    notice = page.get_by_role("alert")
    notice.wait_for()
    assert notice.inner_text() == "Signing in didn't work. Try again."


def test_signing_out_leaves_nothing_behind(visit: Visit, site: Any) -> None:
    page = visit()
    sign_in(page)
    chat(page)
    address = page.url
    page.fill("#prompt", "a draft of something private")
    token = cookies(page)[COOKIE]["value"]
    second = page.context.new_page()
    second.goto(address)
    second.wait_for_selector(REPLY)

    sign_out(page)

    assert COOKIE not in cookies(page)
    assert "openbolt." not in stored(page)
    answer = httpx.get(f"{site.url}/api/chats", headers={"cookie": f"{COOKIE}={token}"})
    assert answer.status_code == 401
    second.wait_for_selector("#sign-in", state="visible")
    for each in (page, second):
        each.go_back()
        each.wait_for_timeout(500)
        assert "todo" not in each.content().lower()
        assert "private" not in each.content()
    page.goto(address)
    page.wait_for_selector("#sign-in", state="visible")
    assert "todo" not in page.inner_text("body").lower()


def test_a_page_kept_whole_by_the_browser_is_not_shown_after_its_session_ended(
    caching_chromium: Any, site: Any
) -> None:
    with opening_pages(caching_chromium, f"{site.url}/") as visit:
        page = visit()
        sign_in(page)
        chat(page, "[mock:echo nobody-else-may-read-this]")
        remember = "addEventListener('pageshow', (event) => (window.kept = event.persisted))"
        page.evaluate(remember)
        go_away_and_back(page, f"{site.url}/")
        page.wait_for_selector(REPLY, state="visible")
        assert page.evaluate("window.kept") is True, "the browser keeps pages"

        token = cookies(page)[COOKIE]["value"]
        ended = httpx.delete(
            f"{site.url}/api/auth/sessions?all=true", headers={"cookie": f"{COOKIE}={token}"}
        )
        assert ended.status_code == 204
        go_away_and_back(page, f"{site.url}/")
        page.wait_for_selector("#sign-in", state="visible")
        assert "nobody-else" not in page.content()


def go_away_and_back(page: Any, url: str) -> None:
    page.goto(f"{url}icon.svg")
    # Not by the driver: a page that was kept has no load to wait for.
    page.evaluate("setTimeout(() => history.back())")
    page.wait_for_url(lambda now: "icon.svg" not in now, wait_until="commit")


def test_another_person_at_the_same_browser_sees_nothing_of_the_first(visit: Visit) -> None:
    page = visit()
    sign_in(page, "octo")
    chat(page)
    address = page.url
    page.fill("#prompt", "a draft of octo's")
    sign_out(page)

    sign_in(page, "hubot")
    page.wait_for_selector(".side-none", state="visible")
    assert page.input_value("#prompt") == ""
    assert "octo" not in stored(page)
    page.goto(address)
    page.wait_for_selector("#alert", state="visible")
    assert "does not exist" in page.inner_text("#alert")
    assert page.locator(REPLY).count() == 0
    assert "Octo Example" not in page.content()


def test_a_second_sign_in_as_somebody_else_takes_over_every_tab(visit: Visit) -> None:
    page = visit()
    sign_in(page, "octo")
    chat(page)
    second = page.context.new_page()
    second.goto(page.url.partition("#")[0] + "api/auth/github/login")
    second.check("input[name=login][value=hubot]")
    second.click("button[value=authorize]")
    second.wait_for_selector("#account-button:has-text('Hubot Example')")
    page.wait_for_selector("#account-button:has-text('Hubot Example')")
    assert page.locator(REPLY).count() == 0


def test_an_api_key_is_shown_once_works_and_is_revoked_at_once(visit: Visit, site: Any) -> None:
    page = visit()
    sign_in(page)
    chat(page)
    open_settings(page, "api-keys")
    page.get_by_label("Name").fill("CI")
    page.get_by_role("button", name="Make the key").click()
    key = page.get_by_label("The new API key").input_value()
    assert re.fullmatch(r"obk_[a-z2-7]{52}_[a-z2-7]{6}", key)
    bearer = {"authorization": f"Bearer {key}"}

    assert httpx.get(f"{site.url}/api/chats", headers=bearer).status_code == 200
    refused = httpx.get(f"{site.url}/api/auth/keys", headers=bearer)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "scope_missing")

    page.get_by_role("button", name="I have it").click()
    row = page.locator("#settings-panel .settings-item", has_text="CI")
    row.wait_for()
    if os.environ.get("OPENBOLT_SCREENSHOT") == "1":
        page.evaluate("document.querySelector('#settings-panel').scrollTop = 0")
        page.screenshot(path=IMAGES / "account.png")
    assert key not in page.content()
    assert key not in stored(page)
    revoke = row.get_by_role("button")
    revoke.click()
    assert httpx.get(f"{site.url}/api/chats", headers=bearer).status_code == 200, "asked twice"
    revoke.click()
    page.wait_for_selector("#settings-panel .settings-message:has-text('is revoked')")
    assert httpx.get(f"{site.url}/api/chats", headers=bearer).status_code == 401


def test_a_model_key_goes_in_and_is_nowhere_to_be_seen(visit: Visit) -> None:
    page = visit()
    bodies: list[str] = []
    page.on("requestfinished", lambda request: bodies.append(body_of(request)))
    sign_in(page)
    open_settings(page, "model-key")
    field = page.get_by_label("Anthropic API key")
    assert field.get_attribute("type") == "password"
    assert field.get_attribute("autocomplete") == "off"
    field.fill(MODEL_KEY)
    page.get_by_role("button", name="Save").click()
    page.wait_for_selector("#settings-panel >> text=Ends in wxyz")

    assert page.get_by_label("New key").input_value() == ""
    page.keyboard.press("Escape")
    page.reload()
    open_settings(page, "model-key")
    page.wait_for_selector("#settings-panel >> text=Ends in wxyz")
    values = page.evaluate("[...document.querySelectorAll('input, textarea')].map((e) => e.value)")
    for place in (page.content(), stored(page), json.dumps(values), *bodies):
        assert MODEL_KEY not in place
        assert MODEL_KEY[:-4] not in place
    assert any('"lastFour"' in body for body in bodies), "the answers were looked at"

    remove = page.get_by_role("button", name="Remove")
    remove.click()
    page.get_by_role("button", name="Remove the key?").click()
    page.wait_for_selector("#settings-panel >> text=No key is set")


def body_of(request: Any) -> str:
    response = request.response()
    kind = response.headers.get("content-type", "") if response else ""
    redirected = response is None or 300 <= response.status < 400
    if redirected or not kind.startswith(("application/json", "text/html")):
        return ""
    text: str = response.text()
    return text


def test_a_session_ended_elsewhere_asks_to_sign_in_again_and_keeps_the_prompt(visit: Visit) -> None:
    page, other = visit(), visit()
    sign_in(page)
    chat(page, "[mock:echo hello]")
    address = page.url
    sign_in(other)
    open_settings(other, "sessions")
    assert other.locator("#settings-panel .settings-item").count() == 2
    other.get_by_role("button", name="Sign out everywhere else").click()
    other.get_by_role("button", name="Sign out everywhere else?").click()
    other.wait_for_selector("#settings-panel .settings-message:has-text('Signed out')")
    items = other.locator("#settings-panel .settings-item")
    items.nth(1).wait_for(state="detached")  # the list comes after the message
    assert items.count() == 1

    page.fill("#prompt", "words that took an hour")
    page.press("#prompt", "Enter")
    notice = page.get_by_role("alert")
    notice.filter(has_text="Your session has ended").wait_for()
    assert "hello" not in page.inner_text("body")
    sign_in(page)
    page.wait_for_selector(REPLY)
    assert page.url == address
    assert page.input_value("#prompt") == "words that took an hour"


def test_words_kept_for_one_person_are_gone_when_another_signs_in(visit: Visit, site: Any) -> None:
    page = visit()
    sign_in(page, "octo")
    page.fill("#prompt", "only for octo's eyes")
    token = cookies(page)[COOKIE]["value"]
    httpx.delete(f"{site.url}/api/auth/sessions?all=true", headers={"cookie": f"{COOKIE}={token}"})
    page.reload()
    page.wait_for_selector("#sign-in", state="visible")
    assert "eyes" in stored(page)
    sign_in(page, "hubot")
    assert page.input_value("#prompt") == ""
    assert "eyes" not in stored(page)


def test_ending_the_own_session_in_the_list_is_signing_out(visit: Visit) -> None:
    page = visit()
    sign_in(page)
    open_settings(page, "sessions")
    button = page.locator("#settings-panel .settings-item button")
    button.click()
    button.click()
    page.wait_for_selector("#sign-in", state="visible")
    assert COOKIE not in cookies(page)
    assert "openbolt." not in stored(page)


@pytest.mark.parametrize("what", ["projects", "chats"])
def test_a_link_is_read_by_anybody_until_it_is_revoked(visit: Visit, site: Any, what: str) -> None:
    page = visit()
    sign_in(page)
    chat(page)
    page.click("#share")
    page.locator(f"#share-dialog input[value={what}]").check(force=True)
    page.get_by_role("button", name="Make a link").click()
    link = page.get_by_label("The new link").input_value()
    assert link.startswith(f"{site.url}/#/shared/"), "the token stays out of logs and referrers"

    guest = visit()
    asked: list[str] = []
    guest.on("request", lambda request: asked.append(request.url))
    guest.goto("about:blank")
    guest.goto(link)
    if what == "projects":
        guest.wait_for_selector("#shared .code-text >> text=<!doctype html>")
        assert guest.is_visible("#shared-download")
    else:
        guest.wait_for_selector("#shared article.reply")
        assert guest.locator("#shared article.user").first.inner_text() == PROMPT
        assert guest.locator("#shared .usage").count() == 0
    for control in ("#prompt", "#send", "#share", "#sign-in", "#sidebar"):
        assert guest.is_hidden(control)
    paths = {url.removeprefix(f"{site.url}/").partition("/")[0] for url in asked if "api/" in url}
    apis = {url.removeprefix(f"{site.url}/") for url in asked if "/api/" in url}
    assert paths == {"api"}
    assert all(path.startswith("api/shared/") for path in apis)

    token = link.rpartition("/")[2]
    by_query = visit(f"?share={token}")
    by_query.wait_for_selector("#shared-body > :not(:empty)")
    assert by_query.url == link
    assert by_query.inner_text("#shared-title") == guest.inner_text("#shared-title")

    revoke = page.locator("#share-dialog .settings-item button")
    revoke.click()
    revoke.click()
    page.wait_for_selector("#share-dialog .settings-message:has-text('Revoked')")
    guest.reload()
    alert = guest.get_by_role("alert")
    alert.wait_for()
    assert "opens nothing" in alert.inner_text()


def test_preferences_follow_a_person_and_survive_a_dead_network(visit: Visit) -> None:
    first, second = visit(color_scheme="light"), visit(color_scheme="light")
    theme = "document.documentElement.dataset.theme"
    sign_in(first)
    sign_in(second)
    with first.expect_response(
        lambda answer: answer.request.method == "PATCH" and answer.url.endswith("/api/preferences")
    ):
        first.click("#theme-toggle")
    second.reload()
    second.wait_for_selector("html[data-theme=dark]")
    second.wait_for_selector("#theme-toggle[aria-pressed=true]")

    second.context.set_offline(True)
    open_settings(second, "preferences")
    second.locator("input[name=settings-send][value='mod+enter']").check(force=True)
    second.wait_for_selector("#settings-panel [role=status]:has-text('Kept in this browser')")
    second.keyboard.press("Escape")
    second.fill("#prompt", "one line")
    second.press("#prompt", "Enter")
    assert second.input_value("#prompt") == "one line\n"
    with second.expect_response(lambda answer: answer.request.method == "PATCH" and answer.ok):
        second.context.set_offline(False)
    first.reload()
    first.wait_for_selector("#prompt-hint[data-send='mod+enter']")
    assert first.evaluate(theme) == "dark"


def test_an_account_is_deleted_by_whoever_names_it_with_a_receipt(visit: Visit, site: Any) -> None:
    page = visit()
    sign_in(page)
    chat(page)
    open_settings(page, "data")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download everything").click()
    assert download.value.suggested_filename.endswith(".zip")
    button = page.get_by_role("button", name="Delete my account")
    assert button.is_disabled()
    page.get_by_label("Type octo to confirm").fill("hubot")
    assert button.is_disabled()
    page.get_by_label("Type octo to confirm").fill("octo")
    button.click()
    receipt = page.locator("#receipt")
    receipt.wait_for()
    assert re.search(r"chats\s+1\b", receipt.inner_text())
    page.get_by_role("button", name="Done").click()
    page.wait_for_selector("#sign-in", state="visible")
    assert COOKIE not in cookies(page)
    assert "openbolt." not in stored(page)
    sign_in(page)
    page.wait_for_selector(".side-none", state="visible")


def test_the_menu_and_the_dialogs_work_by_keyboard_and_give_the_focus_back(visit: Visit) -> None:
    page = visit()
    sign_in(page)
    active = "document.activeElement.id"
    page.focus("#account-button")
    page.keyboard.press("ArrowDown")
    assert page.evaluate(active) == "open-settings"
    page.keyboard.press("ArrowUp")
    assert page.evaluate(active) == "sign-out"
    page.keyboard.press("Escape")
    assert page.evaluate(active) == "account-button"
    assert page.get_attribute("#account-button", "aria-expanded") == "false"
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    assert page.evaluate(active) == "settings-tab-preferences"
    for part in ("model-key", "api-keys", "sessions", "data", "preferences"):
        page.keyboard.press("ArrowDown")
        assert page.evaluate(active) == f"settings-tab-{part}"
        assert page.get_attribute("#settings-panel", "aria-labelledby") == f"settings-tab-{part}"
    for _ in range(30):
        page.keyboard.press("Tab")
        inside = "document.activeElement === document.body || !!document.activeElement.closest("
        assert page.evaluate(f"{inside}'#settings')")
    page.keyboard.press("Escape")
    assert page.is_hidden("#settings")
    assert page.evaluate(active) == "account-button"


def test_a_phone_shows_the_account_without_scrolling_sideways(visit: Visit) -> None:
    page = visit(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    sideways = "document.documentElement.scrollWidth"
    assert page.evaluate(sideways) == 360
    authorize(page, "octo")
    page.wait_for_selector("#prompt")
    page.tap("#sidebar-open")
    page.tap("#account-button")
    page.tap("#open-settings")
    for part in ("preferences", "model-key", "api-keys", "sessions", "data"):
        page.tap(f"#settings-tab-{part}")
        page.wait_for_selector("#settings-panel [aria-busy=true]", state="detached")
        assert page.evaluate(sideways) == 360
        panel = "(() => { const p = document.querySelector('#settings-panel');"
        assert page.evaluate(f"{panel} return p.scrollWidth <= p.clientWidth }})()"), part


def test_without_sign_in_there_are_settings_and_nothing_else_of_it(open_page: Visit) -> None:
    page = open_page()
    chat(page)
    assert page.is_hidden("#sign-in")
    assert page.locator("#account-button, #sign-out").count() == 0
    assert page.is_hidden("#share")
    open_settings(page, "preferences")
    tabs = page.locator("#settings [role=tab]").all_inner_texts()
    assert tabs == ["Preferences", "Model key", "API keys", "Your data"]
    page.get_by_label("Font size in pixels").fill("20")
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    page.click("#tab-code")
    size = "getComputedStyle(document.querySelector('.code-scroll')).fontSize"
    assert page.evaluate(size) == "20px"


def test_prompts_are_enhanced_before_they_are_sent_where_that_was_chosen(open_page: Visit) -> None:
    page = open_page()
    open_settings(page, "preferences")
    page.get_by_label("Enhance prompts before sending").check()
    page.keyboard.press("Escape")
    prompt = "a timer for eggs [mock:pace=0]"
    chat(page, prompt)
    said = page.inner_text("#messages article.user")
    assert "a timer for eggs" in said
    assert len(said) > 2 * len(prompt)
    assert page.input_value("#prompt") == ""

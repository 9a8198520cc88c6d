"""What a newcomer does with the page, from the first prompt to a killed server.

The law: what has been written is still there, and words of the model are never code of ours.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
OpenPage = Callable[..., Any]
PROMPT = "Build me a todo list"
CHAT_HASH = re.compile(r"#/chat/[A-Za-z0-9._-]+$")
REPLY = "#messages article.reply"


def send(page: Any, text: str) -> None:
    page.fill("#prompt", text)
    page.press("#prompt", "Enter")


def wait_for_end(page: Any) -> None:
    page.wait_for_selector(f"{REPLY} >> nth=-1")
    page.wait_for_selector("#stop", state="hidden")
    page.wait_for_function(
        "() => [...document.querySelectorAll('#messages article.reply')].at(-1)"
        ".getAttribute('aria-busy') === 'false'"
    )


def tree(page: Any) -> list[str]:
    page.click("#tab-code")
    names = page.locator("#panel-code [role=treeitem] .tree-name")
    names.first.wait_for()
    return sorted(names.all_inner_texts())


def app_frame(page: Any) -> Any:
    page.click("#tab-preview")
    page.wait_for_selector("#panel-preview iframe:not(.loading)")
    return page.frame_locator("#panel-preview iframe:not(.loading)")


def add_todo(page: Any, text: str) -> None:
    frame = app_frame(page)
    frame.get_by_placeholder("What needs doing?").fill(text)
    frame.get_by_role("button", name="Add").click()
    frame.get_by_text(text, exact=True).wait_for()


def test_a_chat_becomes_an_app_that_outlives_its_server(open_page: OpenPage, server: Any) -> None:
    page = open_page()
    page.wait_for_selector('#provider-notice:has-text("mock")')

    page.evaluate(
        """() => {
          window.lengths = new Set();
          const list = document.querySelector("#messages");
          new MutationObserver(() => window.lengths.add(list.innerText.length))
            .observe(list, {subtree: true, childList: true, characterData: true});
        }"""
    )
    send(page, PROMPT)
    wait_for_end(page)
    assert len(page.evaluate("[...window.lengths]")) >= 3, "the reply came in one piece"
    assert CHAT_HASH.search(page.url)
    states = page.locator(f"{REPLY} .action-state").all_inner_texts()
    assert set(states) == {"Saved"}

    files = tree(page)
    assert "index.html" in files
    page.locator("#panel-code [role=treeitem]", has_text="index.html").click()
    page.wait_for_function("() => document.querySelector('.code-text').innerText.includes('<!')")
    code = page.inner_text(".code-text")
    add_todo(page, "Water the plants")
    save_screenshot(page)
    said = page.locator(f"{REPLY} .prose").all_inner_texts()

    server.kill()
    server.start()
    page.reload()
    wait_for_end(page)
    assert page.inner_text("#messages article.user") == PROMPT
    assert page.locator(f"{REPLY} .prose").all_inner_texts() == said
    assert tree(page) == files
    page.locator("#panel-code [role=treeitem]", has_text="index.html").click()
    page.wait_for_function("() => document.querySelector('.code-text').innerText.includes('<!')")
    assert page.inner_text(".code-text") == code
    add_todo(page, "Still here")


def save_screenshot(page: Any) -> None:
    if os.environ.get("OPENBOLT_SCREENSHOT") == "1":
        target: Path = ROOT / "docs" / "images" / "page.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=target)


def test_a_reload_in_the_middle_of_a_reply_takes_it_up_again(open_page: OpenPage) -> None:
    page = open_page()
    send(page, f"{PROMPT} [mock:pace=0.02]")
    page.wait_for_selector(f"{REPLY} .action")
    page.reload()
    page.wait_for_selector("#stop", state="visible")
    wait_for_end(page)
    assert page.locator("#messages article").count() == 2
    assert set(page.locator(f"{REPLY} .action-state").all_inner_texts()) == {"Saved"}


def test_a_server_killed_in_the_middle_of_a_reply_leaves_what_it_had_saved(
    open_page: OpenPage, server: Any
) -> None:
    page = open_page()
    send(page, f"{PROMPT} [mock:pace=0.02]")
    page.wait_for_selector(f"{REPLY} .action[data-tone=good]")
    saved = page.locator(f"{REPLY} .action[data-tone=good] .action-name").all_inner_texts()
    server.kill()
    server.start()
    # The page finds its way back without a reload: the first access settles the dead turn.
    page.wait_for_selector(f"{REPLY} .ending", timeout=60_000)
    assert page.input_value("#prompt") == ""
    assert set(saved) <= set(tree(page))


def test_stop_ends_the_reply_and_keeps_what_came(open_page: OpenPage) -> None:
    page = open_page()
    send(page, f"{PROMPT} [mock:pace=0.05]")
    page.wait_for_selector(f"{REPLY} .action")
    page.press("#prompt", "Escape")
    wait_for_end(page)
    assert "Stopped" in page.inner_text(f"{REPLY} .ending")
    said = page.locator(f"{REPLY} .prose").all_inner_texts()
    page.reload()
    page.wait_for_selector(f"{REPLY} .ending")
    assert page.locator(f"{REPLY} .prose").all_inner_texts() == said


def test_a_reply_that_the_model_broke_off_says_so_and_can_be_asked_for_anew(
    open_page: OpenPage,
) -> None:
    page = open_page()
    send(page, f"{PROMPT} [mock:refusal after=3]")
    page.wait_for_selector(f"{REPLY} .ending:has-text('declined')")
    page.evaluate("document.querySelector('#messages article.reply').id = 'first-reply'")
    page.click(f"{REPLY} .ending button")
    page.wait_for_selector("#first-reply", state="detached")
    page.wait_for_selector(f"{REPLY} .ending:has-text('declined')")
    assert page.locator("#messages article").count() == 2


def test_a_draft_survives_a_reload(open_page: OpenPage) -> None:
    page = open_page()
    page.fill("#prompt", "half a thou")
    page.reload()
    page.wait_for_function("() => document.querySelector('#prompt').value !== ''")
    assert page.input_value("#prompt") == "half a thou"


def test_enhance_makes_the_prompt_longer_and_undo_brings_it_back(open_page: OpenPage) -> None:
    page = open_page()
    page.fill("#prompt", "todo list")
    page.click("#enhance")
    page.wait_for_selector("#undo-enhance", state="visible")
    assert len(page.input_value("#prompt")) > len("todo list")
    page.click("#undo-enhance")
    assert page.input_value("#prompt") == "todo list"


@pytest.mark.parametrize("fault", ["529", "cut after=2"])
def test_an_enhance_that_fails_leaves_the_prompt_as_it_was(open_page: OpenPage, fault: str) -> None:
    page = open_page()
    prompt = f"todo list [mock:{fault}]"
    page.fill("#prompt", prompt)
    page.click("#enhance")
    page.wait_for_selector("#alert", state="visible", timeout=60_000)
    assert page.input_value("#prompt") == prompt
    assert page.is_hidden("#undo-enhance")


def test_markup_in_the_models_text_is_text(open_page: OpenPage) -> None:
    page = open_page()
    send(
        page,
        "[mock:echo <img src=x onerror=document.title='owned'>"
        "<script>document.title='owned'</script>"
        "\\n\\na <b onclick=alert(1)>word</b> (link)\\n\\n"
        "<svg onload=document.title='owned'></svg><iframe srcdoc=x></iframe>]",
    )
    wait_for_end(page)
    assert "<img src=x" in page.inner_text(REPLY)
    assert page.locator("#messages").locator("img, script, iframe, svg:not(.icon), b").count() == 0
    assert page.title() != "owned"


def test_links_in_the_models_text_open_elsewhere_and_never_run(open_page: OpenPage) -> None:
    page = open_page()
    links = page.evaluate(
        """async () => {
          const { MarkdownView } = await import("./markdown.js");
          const view = new MarkdownView();
          const good = "https://example.org/";
          view.update(`[bad](javascript:alert(1)) [good](${good}) ![pic](${good}p.png)`);
          const made = [...view.element.querySelectorAll("a, img")];
          return made.map((e) => [e.tagName, e.getAttribute("href"), e.rel]);
        }"""
    )
    safe = "noopener noreferrer nofollow"
    assert [(tag, href) for tag, href, _ in links if href] == [
        ("A", "https://example.org/"),
        ("A", "https://example.org/p.png"),
    ]
    assert {rel for _, href, rel in links if href} == {safe}


def test_the_chosen_theme_is_kept(open_page: OpenPage) -> None:
    page = open_page(color_scheme="light")
    theme = "document.documentElement.dataset.theme"
    assert page.evaluate(theme) == "light"
    page.click("#theme-toggle")
    assert page.evaluate(theme) == "dark"
    page.reload()
    assert page.evaluate(theme) == "dark"
    page.wait_for_selector("#theme-toggle[aria-pressed=true]")  # once it knows who is here


def test_the_keyboard_alone_is_enough(open_page: OpenPage) -> None:
    page = open_page()
    page.wait_for_function("() => document.activeElement.id === 'prompt'")
    page.keyboard.type("Build me a")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("todo list")
    page.keyboard.press("Enter")
    wait_for_end(page)
    assert page.inner_text("#messages article.user") == "Build me a\ntodo list"
    page.focus("#tab-preview")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#tab-code[aria-selected=true]")
    page.keyboard.press("Tab")
    while page.evaluate("document.activeElement.getAttribute('role')") != "treeitem":
        page.keyboard.press("Tab")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    last = page.evaluate("document.activeElement.dataset.path")
    page.wait_for_function(
        "path => document.querySelector('.code-path').innerText === path", arg=last
    )


@pytest.mark.parametrize("width", [360, 390])
def test_a_phone_shows_one_pane_and_never_scrolls_sideways(open_page: OpenPage, width: int) -> None:
    page = open_page(viewport={"width": width, "height": 740}, has_touch=True, is_mobile=True)
    send(page, PROMPT)
    wait_for_end(page)
    for pane, visible in [
        ("chat", "#messages"),
        ("preview", "#panel-preview"),
        ("code", "#panel-code"),
    ]:
        page.tap(f"#pane-tabs [data-pane={pane}]")
        page.wait_for_selector(visible, state="visible")
        shown = [s for s in ("#messages", "#panel-preview", "#panel-code") if page.is_visible(s)]
        assert shown == [visible]
        assert page.evaluate("document.documentElement.scrollWidth") == width


def test_deleting_a_chat_asks_first(open_page: OpenPage) -> None:
    page = open_page()
    send(page, "[mock:echo hello]")
    wait_for_end(page)
    page.wait_for_selector(".side-row")
    page.hover(".side-row")
    page.click(".side-delete")
    page.click("#delete-dialog button[value=cancel]")
    assert page.locator(".side-row").count() == 1
    page.hover(".side-row")
    page.click(".side-delete")
    page.click("#delete-dialog button[value=delete]")
    page.wait_for_selector(".side-row", state="detached")
    assert page.is_visible("#hero")

"""The script answers what was asked, changes what was named, and admits what it cannot."""

from __future__ import annotations

import difflib
import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbolt_local.mocks.brain import answer
from openbolt_local.mocks.call import Block, Message
from openbolt_local.mocks.conversation import read_project
from openbolt_local.mocks.pages import PAGES, find_page


def said(*texts: str) -> list[Message]:
    """A conversation, the user first."""
    roles = ("user", "assistant")
    return [
        Message(roles[index % 2], (Block("text", text, text),)) for index, text in enumerate(texts)
    ]


def files_of(reply: str) -> dict[str, str]:
    project = read_project([Message("assistant", (Block("text", reply, reply),))])
    return {} if project is None else dict(project.files)


@pytest.mark.parametrize(
    ("prompt", "page"),
    [
        ("Build a todo list", "todo-list"),
        ("a TO-DO app", "todo-list"),
        ("Eine App für meine Aufgaben", "todo-list"),
        ("一个待办清单", "todo-list"),
        ("landing page for a todo app", "landing"),
        ("Make a snake game", "snake"),
        ("a game", "snake"),
        ("a memory game", "memory"),
        ("a game of memory", "memory"),
        ("taking notes", "notes"),
        ("a bar chart of my runs", "chart"),
        ("Kontaktformular", "form"),
        ("ein Taschenrechner", "calculator"),
        ("pomodoro", "timer"),
        ("a quiz about birds", "quiz"),
    ],
)
def test_keywords_choose_the_page(prompt: str, page: str) -> None:
    found = find_page(prompt)
    assert found is not None
    assert found.id == page
    assert f'<boltArtifact id="{page}"' in answer(said(prompt), "")


@pytest.mark.parametrize("prompt", ["a platform", "information", "a shop for shoes"])
def test_a_keyword_inside_a_word_is_none(prompt: str) -> None:
    assert find_page(prompt) is None


@given(st.text(min_size=1, max_size=120))
def test_the_users_words_never_become_markup(words: str) -> None:
    reply = answer(said(f"show {words}"), "")
    assert reply.count("<boltArtifact") == reply.count("</boltArtifact>")
    assert reply.count("<boltAction ") == reply.count("</boltAction>")
    page = files_of(reply).get("index.html")
    if page is not None and '<boltArtifact id="page"' in reply:
        quoted = re.search(r"<blockquote>(.*)</blockquote>", page, re.DOTALL)
        assert quoted is not None
        assert "<" not in quoted[1]


def test_the_default_page_carries_the_words_as_its_title() -> None:
    words = 'A shop for <shoes> & "boots"'
    page = files_of(answer(said(words), ""))["index.html"]
    escaped = html.escape(words, quote=False)
    assert f"<title>{escaped}</title>" in page
    assert f"<h1>{escaped}</h1>" in page
    assert f"<blockquote>{escaped}</blockquote>" in page


def test_a_name_in_the_prompt_becomes_the_title() -> None:
    reply = answer(said("Build a todo list called “Milk & Honey”"), "")
    assert '<boltArtifact id="todo-list" title="Milk &amp; Honey">' in reply
    assert "<h1>Milk &amp; Honey</h1>" in reply


def changed_lines(before: dict[str, str], after: dict[str, str]) -> list[str]:
    lines: list[str] = []
    for path, text in after.items():
        diff = difflib.ndiff(before[path].splitlines(), text.splitlines())
        lines += [line for line in diff if line.startswith(("+ ", "- "))]
    return lines


@pytest.mark.parametrize(
    ("wish", "path", "new"),
    [
        ("make it dark", "style.css", ["+   color-scheme: dark;"]),
        ("Make it light, please", "style.css", ["+   color-scheme: light;"]),
        ("mach es dunkel", "style.css", ["+   color-scheme: dark;"]),
        ("make it purple", "style.css", ["+   --accent: light-dark(#7e22ce, #d8b4fe);"]),
        ("bigger text", "style.css", ["+   --text-size: 112.5%;"]),
        ("make the text smaller", "style.css", ["+   --text-size: 87.5%;"]),
        (
            "rename it to Dark & Light.",
            "index.html",
            ["+     <title>Dark &amp; Light</title>", "+       <h1>Dark &amp; Light</h1>"],
        ),
        (
            'change the title to "X"',
            "index.html",
            ["+     <title>X</title>", "+       <h1>X</h1>"],
        ),
        (
            "add a footer saying Hello <you>",
            "index.html",
            ["+     <footer><p>Hello &lt;you&gt;</p></footer>"],
        ),
    ],
)
@pytest.mark.parametrize("page", sorted(PAGES.keys() - {"landing", "page"}))
def test_a_follow_up_changes_what_it_says_and_nothing_else(
    page: str, wish: str, path: str, new: list[str]
) -> None:
    built = answer(said(f"Build a {PAGES[page].id.replace('-', ' ')}"), "")
    reply = answer(said("build", built, wish), "")
    before, after = files_of(built), files_of(reply)
    assert list(after) == [path]
    assert [line for line in changed_lines(before, after) if line.startswith("+")] == new
    assert f'<boltArtifact id="{page}"' in reply


def test_a_footer_that_is_there_is_replaced() -> None:
    built = answer(said("landing page"), "")
    page = files_of(answer(said("x", built, "add a footer that says Bye"), ""))["index.html"]
    assert re.findall(r"<footer>.*</footer>", page) == ["<footer><p>Bye</p></footer>"]


def test_several_wishes_come_true_in_one_reply() -> None:
    built = answer(said("todo list"), "")
    reply = answer(said("x", built, "rename it to Blue Monday and make it dark and red"), "")
    files = files_of(reply)
    assert sorted(files) == ["index.html", "style.css"]
    assert "<h1>Blue Monday</h1>" in files["index.html"]
    assert "color-scheme: dark;" in files["style.css"]
    assert "#c22222" in files["style.css"]


def test_follow_ups_add_up() -> None:
    built = answer(said("todo list"), "")
    dark = answer(said("x", built, "make it dark"), "")
    both = files_of(answer(said("x", built, "make it dark", dark, "bigger text"), ""))["style.css"]
    assert "color-scheme: dark;" in both
    assert "--text-size: 112.5%;" in both


def test_a_wish_that_is_already_true_changes_no_file() -> None:
    built = answer(said("todo list"), "")
    dark = answer(said("x", built, "make it dark"), "")
    again = answer(said("x", built, "make it dark", dark, "make it dark"), "")
    assert (files_of(again), "already" in again) == ({}, True)


def test_a_wish_without_a_place_is_admitted() -> None:
    foreign = (
        '<boltArtifact id="a" title="A"><boltAction type="file" filePath="main.py">\n1\n'
        "</boltAction></boltArtifact>"
    )
    reply = answer(said("x", foreign, "make it dark"), "")
    assert reply.startswith("I could not do this")


def test_a_file_that_was_cut_is_not_built_upon() -> None:
    built = answer(said("todo list"), "")
    half = built[: built.index("color-scheme")]
    assert "style.css" not in files_of(half)


def test_another_app_can_be_asked_for_in_the_same_chat() -> None:
    built = answer(said("todo list"), "")
    assert '<boltArtifact id="timer"' in answer(said("x", built, "Now build a red timer"), "")


@pytest.mark.parametrize("prompt", ["make it dark", "hi", "What can you do?"])
def test_with_nothing_to_build_the_mock_says_what_it_is(prompt: str) -> None:
    reply = answer(said(prompt), "")
    assert "offline mock" in reply
    assert "<" not in reply


@given(st.text(max_size=80))
def test_discuss_mode_is_prose(words: str) -> None:
    reply = answer(said("Build a todo list " + words), "You talk.\nMode: discuss\n")
    assert "<boltA" not in reply


@given(st.text(max_size=80))
def test_the_enhancer_says_no_tag(words: str) -> None:
    reply = answer(said("todo list <b>now</b> " + words), "Task: enhance")
    assert "<" not in reply
    assert reply.startswith("todo list now")


@pytest.mark.parametrize("prompt", ["todo", "?", "<prompt>app</prompt>"])
def test_the_enhancer_asks_back_where_there_is_hardly_anything(prompt: str) -> None:
    assert answer(said(prompt), "Task: enhance").endswith("?")


def test_the_enhancer_keeps_the_words_inside_a_tag() -> None:
    reply = answer(said("Improve this:\n<prompt>a quiz on birds</prompt>"), "Task: enhance")
    assert reply.startswith("a quiz on birds\n\nFeatures:\n- One question at a time.")


def test_project_files_in_the_users_message_choose_no_page() -> None:
    prompt = "<files>\n<file>a calculator and a todo</file>\n</files>\nBuild a timer"
    assert '<boltArtifact id="timer"' in answer(said(prompt), "")

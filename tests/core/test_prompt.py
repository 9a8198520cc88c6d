"""The conversation as a model is shown it: what every model accepts, and what caches well."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbolt.chat.messages import Mode
from openbolt.chat.prompt import (
    CONTINUE,
    conversation,
    enhancer_prompt,
    estimate_tokens,
    system_prompt,
)
from openbolt.history import Message
from openbolt.model import ModelMessage, TextBlock

PLENTY = 10**9


def message(role: Literal["user", "assistant"], text: str, shown: str | None = None) -> Message:
    """A stored message; ``shown`` is an assistant's visible text where it isn't all of it."""
    raw = text if role == "assistant" else ""
    visible = text if shown is None else shown
    return Message("m", role, 0, ({"type": "text", "text": visible},), raw=raw)


def user(text: str) -> Message:
    return message("user", text)


def assistant(text: str, shown: str | None = None) -> Message:
    return message("assistant", text, shown)


WORDS = st.sampled_from(["", " ", "\n", "a", "some words\n", "x" * 41, "é😀", "\ud800"])
HISTORIES = st.lists(
    st.tuples(st.sampled_from(["user", "assistant"]), WORDS).map(lambda p: message(*p)),
    max_size=8,
).flatmap(lambda earlier: st.just([*earlier, user("the question")]))


def test_a_conversation_is_shown_message_by_message() -> None:
    history = [user("One"), assistant("<boltArtifact>raw", "visible"), user("Two")]
    assert conversation(history, "", budget=PLENTY) == (
        ModelMessage("user", (TextBlock("One"),)),
        ModelMessage("assistant", (TextBlock("<boltArtifact>raw", cache=True),)),
        ModelMessage("user", (TextBlock("Two"),)),
    )


def test_files_stand_right_before_the_last_message() -> None:
    history = [user("One"), assistant("Hi"), user("Two")]
    last = conversation(history, "FILES", budget=PLENTY)[-1]
    assert last == ModelMessage("user", (TextBlock("FILES"), TextBlock("Two")))
    first = conversation([user("One")], "FILES", budget=0)
    assert first == (ModelMessage("user", (TextBlock("FILES"), TextBlock("One"))),)


def test_messages_of_one_side_in_a_row_become_one() -> None:
    history = [user("One"), user("Two"), assistant("Hi"), assistant("Ho"), user("Three")]
    assert [(m.role, m.content[0]) for m in conversation(history, "", budget=PLENTY)] == [
        ("user", TextBlock("One\n\nTwo")),
        ("assistant", TextBlock("Hi\n\nHo", cache=True)),
        ("user", TextBlock("Three")),
    ]


def test_what_an_assistant_said_ends_in_no_white_space() -> None:
    history = [user("One"), assistant("  Hi \n"), user(" Two \n")]
    texts = [m.content[-1] for m in conversation(history, "", budget=PLENTY)]
    assert texts == [TextBlock("One"), TextBlock("  Hi", cache=True), TextBlock(" Two \n")]


def test_the_oldest_messages_over_the_budget_are_left_out() -> None:
    history = [user("a" * 400), assistant("b" * 400), user("c" * 400), assistant("d"), user("e")]

    # 100, 100, 100, 1 and 1 tokens
    def shown(budget: int) -> list[str]:
        blocks = [m.content[0] for m in conversation(history, "", budget=budget)]
        return [block.text[0] for block in blocks if isinstance(block, TextBlock)]

    assert shown(302) == ["a", "b", "c", "d", "e"]
    assert shown(301) == ["c", "d", "e"]  # an answer without its question isn't shown
    assert shown(102) == ["c", "d", "e"]
    assert shown(101) == ["e"]
    assert shown(0) == ["e"]


def test_what_is_left_out_is_a_beginning_without_gaps() -> None:
    history = [user("small"), assistant("x" * 4000), user("small too"), assistant("y"), user("z")]
    shown = [m.content[0] for m in conversation(history, "", budget=100)]
    assert shown == [TextBlock("small too"), TextBlock("y", cache=True), TextBlock("z")]


@given(HISTORIES, st.sampled_from(["", "FILES"]), st.integers(0, 60))
def test_every_history_is_shown_in_a_form_that_models_accept(
    history: list[Message], files: str, budget: int
) -> None:
    shown = conversation(history, files, budget=budget)
    assert [shown[0].role, shown[-1].role] == ["user", "user"]
    assert all(one.role != other.role for one, other in pairwise(shown))
    blocks = [block for m in shown for block in m.content]
    assert all(isinstance(block, TextBlock) and block.text.strip() for block in blocks)
    for m in shown:
        if m.role == "assistant":
            assert all(isinstance(b, TextBlock) and b.text == b.text.rstrip() for b in m.content)
    assert [b.text for b in shown[-1].content if isinstance(b, TextBlock)][:-1] == (
        [files] if files else []
    )


@given(HISTORIES, st.sampled_from(["", "FILES"]))
def test_the_message_before_the_last_ends_what_is_cached(
    history: list[Message], files: str
) -> None:
    shown = conversation(history, files, budget=PLENTY)
    marked = [
        (at, block)
        for at, m in enumerate(shown)
        for block in m.content
        if isinstance(block, TextBlock) and block.cache
    ]
    expected = [(len(shown) - 2, shown[-2].content[-1])] if len(shown) > 1 else []
    assert marked == expected


@given(HISTORIES)
def test_the_cached_beginning_stays_the_same_as_the_chat_goes_on(history: list[Message]) -> None:
    now = conversation(history, "FILES", budget=PLENTY)
    later = conversation([*history, assistant("A"), user("Q")], "OTHER FILES", budget=PLENTY)
    before = [(m.role, [getattr(b, "text", "") for b in m.content]) for m in now[:-1]]
    after = [(m.role, [getattr(b, "text", "") for b in m.content]) for m in later]
    assert after[: len(before)] == before


def test_an_answer_at_the_end_is_not_shown() -> None:
    assert conversation([user("One"), assistant("Hi")], "", budget=PLENTY) == (
        ModelMessage("user", (TextBlock("One"),)),
    )


def test_no_history_is_no_conversation() -> None:
    assert conversation([], "FILES", budget=PLENTY) == ()


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("é" * 4, 2), ("\ud800", 1)]
)
def test_tokens_are_a_quarter_of_the_bytes(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens


@pytest.mark.parametrize(("mode", "other"), [("build", "discuss"), ("discuss", "build")])
def test_the_system_prompt_is_cached_and_says_its_mode(mode: Mode, other: Mode) -> None:
    prompt = system_prompt(mode)
    assert prompt == system_prompt(mode)
    assert prompt[-1].cache
    lines = prompt[0].text.splitlines()
    assert f"Mode: {mode}" in lines
    assert f"Mode: {other}" not in lines


def test_the_enhancer_s_prompt_is_cached_and_says_its_task() -> None:
    prompt = enhancer_prompt()
    assert prompt[-1].cache
    assert "Task: enhance" in prompt[0].text.splitlines()


def test_every_prompt_is_whole_lines() -> None:
    texts = [block.text for block in (*system_prompt("build"), *system_prompt("discuss"),
                                      *enhancer_prompt())]  # fmt: skip
    for text in [*texts, CONTINUE]:
        assert text == text.rstrip(" ")
        assert "\\\n" not in text

"""A directive is read completely or refused with the list of what there is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbolt_local.mocks.faults import (
    FAULTS,
    STATUSES,
    Directive,
    DirectiveError,
    parse_directive,
    split_directives,
)


def test_words_and_modifiers_are_read() -> None:
    assert parse_directive("429 retry-after=2.5 times=1") == Directive(
        fault="429", retry_after=2.5, times=1, source="429 retry-after=2.5 times=1"
    )


def test_a_modifier_alone_is_a_directive() -> None:
    assert parse_directive("max-tokens=20") == Directive(max_tokens=20, source="max-tokens=20")


@pytest.mark.parametrize("word", ["echo", "say"])
def test_the_text_to_echo_is_everything_after_the_word(word: str) -> None:
    assert parse_directive(f"{word} a=b [c]\\nd").value == "a=b [c]\nd"


@pytest.mark.parametrize("name", sorted(FAULTS.keys() - {"content-type", "echo"}))
def test_every_fault_is_known_by_its_name(name: str) -> None:
    assert parse_directive(name).fault == name


@pytest.mark.parametrize("status", sorted(STATUSES))
def test_every_status_is_known_by_its_number(status: int) -> None:
    assert parse_directive(str(status)).status == status


@pytest.mark.parametrize(
    "words",
    [
        "",
        "bogus",
        "418",
        "stall after",
        "stall after=x",
        "after=-1",
        "pace=nan",
        "429 500",
        "cut=1",
    ],
)
def test_anything_else_is_refused(words: str) -> None:
    with pytest.raises(DirectiveError):
        parse_directive(words)


def test_the_refusal_lists_what_there_is() -> None:
    with pytest.raises(DirectiveError) as caught:
        parse_directive("bogus")
    assert all(name in str(caught.value) for name in FAULTS)


def test_a_directive_is_taken_out_of_the_prompt() -> None:
    assert split_directives("Build it [mock:echo a[0]] now") == ("Build it  now", "echo a[0]")


@given(st.text().filter(lambda text: "[mock:" not in text.lower()))
def test_a_text_without_a_directive_is_left_alone(text: str) -> None:
    assert split_directives(text) == (text, None)


@given(st.text())
def test_an_unclosed_directive_is_text(text: str) -> None:
    unclosed = "[mock:" + text.replace("]", "")
    assert split_directives(unclosed) == (unclosed, None)

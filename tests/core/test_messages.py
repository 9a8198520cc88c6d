"""What clients send: checked rule by rule, each refusal with the field as it was sent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbolt.bodies import structure
from openbolt.chat.messages import ChatBody, Submission, is_valid_id, read_submission
from openbolt.errors import InvalidRequestError, PayloadTooLargeError
from openbolt.history import Message
from openbolt.testing import SequenceTokens

NOW = 1_700_000_000.5
MADE = SequenceTokens().token()
"""The first id that is made for a message without one."""


def read(data: dict[str, Any], limit: int = 1000) -> Submission:
    body = structure(data, ChatBody)
    return read_submission(body, now=NOW, tokens=SequenceTokens(), max_message_bytes=limit)


def user(text: str = "Hello", **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": text, **more}


def refused(data: dict[str, Any], limit: int = 1000) -> tuple[str | None, str]:
    with pytest.raises(InvalidRequestError) as caught:
        read(data, limit)
    return caught.value.field, caught.value.public_message


def said(message_id: str, text: str) -> Message:
    return Message(message_id, "user", NOW, ({"type": "text", "text": text},))


def test_the_least_that_a_client_sends() -> None:
    assert read({"messages": [user()]}) == Submission(said(MADE, "Hello"), "build")


def test_all_that_a_client_sends() -> None:
    answer = Message("m2", "assistant", NOW, ({"type": "text", "text": "Hi"},), raw="Hi")
    assert read(
        {
            "id": "chat-1",
            "projectId": "Project_2.x",
            "model": "claude-sonnet-5-5",
            "mode": "discuss",
            "trigger": "submit-message",
            "messageId": None,
            "messages": [
                user("One", id="m1"),
                {"role": "assistant", "id": "m2", "content": "Hi"},
                user("Two", id="m3"),
            ],
            "anything": {"else": True},
        }
    ) == Submission(
        said("m3", "Two"),
        "discuss",
        chat_id="chat-1",
        project_id="Project_2.x",
        model="claude-sonnet-5-5",
        earlier=(said("m1", "One"), answer),
    )


@pytest.mark.parametrize(
    "message",
    [
        {"content": "a\nb"},
        {"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"parts": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"content": "", "parts": [{"type": "text", "text": "a\nb", "state": "done"}]},
        {"content": "other", "parts": [{"type": "text", "text": "a\nb"}]},
        {
            "parts": [
                {"type": "step-start"},
                {"type": "text", "text": "a"},
                {"type": "data-anything", "data": {}},
                {"type": "text", "text": "b"},
            ]
        },
    ],
)
def test_text_comes_as_content_or_in_parts(message: dict[str, Any]) -> None:
    assert read({"messages": [{"role": "user", **message}]}).message.text == "a\nb"


def test_of_an_assistant_s_message_the_text_counts_whatever_else_is_in_it() -> None:
    parts = [
        {"type": "step-start"},
        {"type": "reasoning", "text": "hm"},
        {"type": "text", "text": "Hi"},
        {"type": "tool-x", "toolCallId": "c"},
        {"type": "file", "url": "data:,"},
    ]
    earlier = read({"messages": [{"role": "assistant", "parts": parts}, user()]}).earlier
    assert [(m.role, m.text, m.raw) for m in earlier] == [("assistant", "Hi", "Hi")]


def test_earlier_messages_without_text_are_left_out() -> None:
    messages = [user(" "), {"role": "assistant", "parts": [{"type": "step-start"}]}, user("x")]
    assert read({"messages": messages}).earlier == ()


@pytest.mark.parametrize(
    ("data", "name", "why"),
    [
        ({}, "messages", "is missing"),
        ({"messages": []}, "messages", "must not be empty"),
        ({"messages": {}}, "messages", "must be a list"),
        ({"messages": ["Hello"]}, "messages[0]", "must be an object"),
        ({"messages": [{"content": "x"}]}, "messages[0].role", "is missing"),
        (
            {"messages": [user(), user(), {"role": "system", "content": "x"}]},
            "messages[2].role",
            "must be 'user' or 'assistant'",
        ),
        (
            {"messages": [{"role": "assistant", "content": "x"}]},
            "messages[0].role",
            "must be 'user'",
        ),
        (
            {"messages": [user(), {"role": "assistant", "content": "x"}]},
            "messages[1].role",
            "the last message must be a user's",
        ),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "is missing"),
        ({"messages": [user("")]}, "messages[0].content", "is empty"),
        ({"messages": [user(" \n\t")]}, "messages[0].content", "is empty"),
        ({"messages": [{"role": "user", "parts": []}]}, "messages[0].parts", "is empty"),
        (
            {"messages": [{"role": "user", "parts": [{"type": "step-start"}]}]},
            "messages[0].parts",
            "is empty",
        ),
        ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content", "must be text"),
        ({"messages": [{"role": "user", "content": {}}]}, "messages[0].content", "must be text"),
        ({"messages": [{"role": "user", "parts": "x"}]}, "messages[0].parts", "must be a list"),
        (
            {"messages": [{"role": "user", "parts": ["x"]}]},
            "messages[0].parts[0]",
            "must be an object",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "messages[0].content[0].text",
            "must be a string",
        ),
        (
            {"messages": [{"role": "assistant", "parts": [{"type": "text", "text": 1}]}, user()]},
            "messages[0].parts[0].text",
            "must be a string",
        ),
        (
            {"messages": [{"role": "user", "parts": [{"type": "text", "text": "x"}, {}]}]},
            "messages[0].parts[1].type",
            "is missing",
        ),
        (
            {"messages": [{"role": "user", "parts": [{"type": ["text"]}]}]},
            "messages[0].parts[0].type",
            "must be a string",
        ),
        (
            {"messages": [{"role": "user", "parts": [{"type": "file", "url": "data:,"}]}]},
            "messages[0].parts[0].type",
            "'file' parts are not supported; send text",
        ),
        (
            {"messages": [{"role": "user", "parts": [{"type": "step-started"}]}]},
            "messages[0].parts[0].type",
            "'step-started' parts are not supported; send text",
        ),
        ({"messages": [user(id=1)]}, "messages[0].id", "must be a string"),
        ({"messages": [user()], "id": ""}, "id", "must be 1 to 128 of A-Z a-z 0-9 . _ -"),
        ({"messages": [user()], "id": "a/b"}, "id", "must be 1 to 128 of A-Z a-z 0-9 . _ -"),
        (
            {"messages": [user()], "projectId": "a" * 129},
            "projectId",
            "must be 1 to 128 of A-Z a-z 0-9 . _ -",
        ),
        ({"messages": [user()], "projectId": 7}, "projectId", "must be a string"),
        ({"messages": [user()], "mode": "plan"}, "mode", "must be 'build' or 'discuss'"),
        ({"messages": [user()], "mode": None}, "mode", "must be a string"),
        (
            {"messages": [user()], "trigger": "resume-stream"},
            "trigger",
            "must be 'submit-message' or 'regenerate-message'",
        ),
        (
            {"messages": [user()], "model": "a\nb"},
            "model",
            "must be a name of at most 256 printable characters",
        ),
        (
            {"messages": [user()], "model": "m" * 257},
            "model",
            "must be a name of at most 256 printable characters",
        ),
        ({"messages": [user()], "model": ["m"]}, "model", "must be a string"),
    ],
)
def test_a_refusal_names_the_field_as_it_was_sent(
    data: dict[str, Any], name: str, why: str
) -> None:
    assert refused(data) == (name, f"{name}: {why}")


def test_a_refusal_can_be_told_however_deep_a_type_is() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    data = {"messages": [{"role": "user", "parts": [{"type": deep}]}]}
    assert refused(data)[0] == "messages[0].parts[0].type"


def test_a_refusal_is_short_however_long_a_type_is() -> None:
    data = {"messages": [{"role": "user", "parts": [{"type": "x" * 100_000}]}]}
    assert len(refused(data)[1]) < 200


@pytest.mark.parametrize(
    ("message", "where"),
    [
        ({"content": "é" * 6}, "messages[1].content"),
        ({"parts": [{"type": "text", "text": "é" * 6}]}, "messages[1].parts"),
    ],
)
def test_a_message_over_the_limit_in_bytes_is_a_413(message: dict[str, Any], where: str) -> None:
    data = {"messages": [user("a much longer message from before"), {"role": "user", **message}]}
    assert read(data, 12).message.text == "é" * 6
    with pytest.raises(PayloadTooLargeError) as caught:
        read(data, 11)
    assert (caught.value.field, caught.value.status_hint) == (where, 413)


@pytest.mark.parametrize("given_id", [None, "", "a b", "é", "x" * 129, "a/../b"])
def test_a_message_without_a_usable_id_gets_a_fresh_one(given_id: str | None) -> None:
    assert read({"messages": [user(id=given_id)]}).message.id == MADE


@pytest.mark.parametrize("trigger", ["submit-message", "regenerate-message"])
@pytest.mark.parametrize("message_id", [None, "m2"])
def test_only_regenerating_names_what_to_answer_again(trigger: str, message_id: str | None) -> None:
    data = {"messages": [user()], "trigger": trigger, "messageId": message_id}
    expected = (message_id or "") if trigger == "regenerate-message" else None
    assert read(data).regenerate == expected


def test_regenerating_may_be_asked_with_the_answer_still_in_the_list() -> None:
    messages = [user("One"), {"role": "assistant", "content": "Hi", "id": "m2"}]
    submission = read({"messages": messages, "trigger": "regenerate-message", "messageId": "m2"})
    assert (submission.message.text, submission.earlier) == ("One", ())
    assert submission.regenerate == "m2"


@given(st.text(alphabet="aZ0._-/ é\n", max_size=130))
def test_an_id_is_one_to_128_of_some_characters(text: str) -> None:
    allowed = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    expected = 1 <= len(text) <= 128 and set(text) <= allowed and text not in {".", ".."}
    assert is_valid_id(text) == expected


@pytest.mark.parametrize("text", [".", ".."])
def test_an_id_that_a_url_would_resolve_is_none(text: str) -> None:
    assert not is_valid_id(text)


@pytest.mark.parametrize(
    ("text", "valid"), [("a" * 128, True), ("a" * 129, False), ("a\n", False), ("", False)]
)
def test_the_edges_of_an_id(text: str, valid: bool) -> None:
    assert is_valid_id(text) is valid

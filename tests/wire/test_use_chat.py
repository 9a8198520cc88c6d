"""The reply as `useChat` assembles it, with the strictest `ai` and the current one.

Law: the message that an SDK holds at the end says what the model said, where it said it, and is the
message that the server has stored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from openbolt_local.mocks import Reply
from tests.wire.replies import (
    AFTER,
    BEFORE,
    FIRST_FILE,
    HTML,
    OPENING,
    PAGE,
    SCRIPT,
    SECOND_FILE,
)
from tests.wire.running import Chat, Client, Server, serving


def said(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The parts without the SDK's own marks: `step-start`, and since `ai` 7 ids of reasoning."""
    kept = [part for part in message["parts"] if part["type"] != "step-start"]
    return [
        {name: value for name, value in part.items() if (part["type"], name) != ("reasoning", "id")}
        for part in kept
    ]


def test_parts_stand_in_the_order_in_which_the_model_made_them(chat: Chat, server: Server) -> None:
    server.mock.enqueue(PAGE)

    report = chat.ask("A page")

    assert report.types == [
        "step-start",
        "text",
        "data-artifact",
        "data-action",
        "data-file",
        "data-action",
        "data-file",
        "text",
        "data-usage",
    ]
    assert report.texts == [BEFORE, AFTER]
    assert report.status == "ready"
    assert report.ends == 1


def test_one_data_part_for_each_artifact_action_and_file_in_its_last_state(
    chat: Chat, server: Server
) -> None:
    server.mock.enqueue(PAGE)

    report = chat.ask("A page")

    assert report.parts("data-artifact") == {
        "hello": {"artifactId": "hello", "title": "Hello & more", "state": "closed"}
    }
    assert report.parts("data-action") == {
        "0": {
            "artifactId": "hello",
            "actionId": "0",
            "type": "file",
            "state": "closed",
            "filePath": "index.html",
            "content": HTML,
        },
        "1": {
            "artifactId": "hello",
            "actionId": "1",
            "type": "file",
            "state": "closed",
            "filePath": "src/app.js",
            "content": SCRIPT,
        },
    }
    assert report.parts("data-file") == {
        "index.html": {"filePath": "index.html", "state": "saved", "version": 1},
        "src/app.js": {"filePath": "src/app.js", "state": "saved", "version": 1},
    }


def test_deltas_of_an_action_reach_on_data_and_never_the_message(
    chat: Chat, server: Server
) -> None:
    server.mock.enqueue(PAGE)

    report = chat.ask("A page")

    deltas = [part for part in report.data if part["type"] == "data-action-delta"]
    bodies = dict.fromkeys(("0", "1"), "")
    for part in deltas:
        bodies[part["data"]["actionId"]] += part["data"]["delta"]
    assert bodies == {"0": f"\n{HTML}", "1": f"\n{SCRIPT}"}
    assert "data-action-delta" not in report.types


def test_the_metadata_name_chat_project_and_finish_reason(chat: Chat, server: Server) -> None:
    server.mock.enqueue("Hello")

    report = chat.ask("Hi")

    [project] = server.get("/api/projects")["projects"]
    assert report.message["metadata"] == {
        "chatId": report.id,
        "projectId": project["id"],
        "finishReason": "stop",
    }


@pytest.mark.parametrize(
    ("stop_reason", "finish_reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content-filter"),
    ],
)
def test_every_end_of_a_reply_is_a_finish_reason(
    open_chat: Callable[..., Chat], stop_reason: str, finish_reason: str
) -> None:
    with serving(max_segments=1) as server:
        server.mock.enqueue(Reply("Some words", stop_reason=stop_reason))

        report = open_chat(server).ask("Hi")

    assert report.message["metadata"]["finishReason"] == finish_reason
    assert report.texts == ["Some words"]
    assert report.error is None


def test_the_usage_is_what_the_model_reported(chat: Chat, server: Server) -> None:
    server.mock.enqueue(Reply("Hello", output_tokens=321))

    usage = chat.ask("Hi").parts("data-usage")["usage"]

    assert usage["outputTokens"] == 321
    assert usage["inputTokens"] > 0
    assert usage["segments"] == 1


def test_reasoning_is_a_part_of_its_own_and_its_tags_are_not_acted_on(
    chat: Chat, server: Server
) -> None:
    thought = f"They want {OPENING}{FIRST_FILE}</boltArtifact>, I think."
    server.mock.enqueue(Reply("Hello", thinking=thought))

    report = chat.ask("Hi")

    [reasoning] = [part for part in report.message["parts"] if part["type"] == "reasoning"]
    assert (reasoning["text"], reasoning["state"]) == (thought, "done")
    assert report.types == ["step-start", "reasoning", "text", "data-usage"]
    assert report.texts == ["Hello"]


def test_a_truncated_file_says_so_and_is_not_saved(open_chat: Callable[..., Chat]) -> None:
    cut = f"{BEFORE}{OPENING}{FIRST_FILE}{SECOND_FILE}".removesuffix("log(less);\n</boltAction>\n")
    with serving(max_segments=1) as server:
        server.mock.enqueue(Reply(cut, stop_reason="max_tokens"))
        report = open_chat(server).ask("A page")
        files = server.get(f"/api/projects/{report.message['metadata']['projectId']}")["files"]

    actions = report.parts("data-action")
    assert {name: data["state"] for name, data in actions.items()} == {
        "0": "closed",
        "1": "truncated",
    }
    assert actions["1"]["content"] == "const less = 1 < 2;\nconsole.\n"
    assert report.parts("data-artifact")["hello"]["state"] == "closed"
    assert {path: data["state"] for path, data in report.parts("data-file").items()} == {
        "index.html": "saved",
        "src/app.js": "refused",
    }
    assert [file["path"] for file in files] == ["index.html"]
    assert report.message["metadata"]["finishReason"] == "length"


def test_a_reply_of_two_model_calls_is_one_message_of_one_step(chat: Chat, server: Server) -> None:
    at = PAGE.index("console")
    server.mock.enqueue(Reply(PAGE[:at], stop_reason="max_tokens"), Reply(PAGE[at:]))

    report = chat.ask("A page")

    assert [message["role"] for message in report.messages] == ["user", "assistant"]
    assert report.types.count("step-start") == 1
    assert report.texts == [BEFORE, AFTER]
    assert report.parts("data-action")["1"]["content"] == SCRIPT
    assert report.parts("data-usage")["usage"]["segments"] == 2
    assert report.message["metadata"]["finishReason"] == "stop"


def test_a_repair_is_a_notice(chat: Chat, server: Server) -> None:
    server.mock.enqueue(PAGE.replace('id="hello"', "id='hello'"))

    report = chat.ask("A page")

    [notice] = report.parts("data-notice").values()
    assert notice["kind"] == "repair"
    assert report.parts("data-action")["1"]["content"] == SCRIPT
    assert report.texts == [BEFORE, AFTER]


def test_the_stored_message_is_the_one_that_the_sdk_holds(
    chat: Chat, server: Server, client: Client
) -> None:
    server.mock.enqueue(Reply(PAGE, thinking="Hm."))

    report = chat.ask("A page")

    stored = server.stored(report.id)
    assert [message["id"] for message in stored] == [message["id"] for message in report.messages]
    assert [said(message) for message in stored] == [said(message) for message in report.messages]
    client("validate", messages=stored)


def test_a_second_turn_goes_on_in_the_same_chat_and_shows_the_model_its_own_words(
    chat: Chat, server: Server
) -> None:
    server.mock.enqueue(PAGE, "A pleasure.")
    first = chat.ask("A page")

    second = chat.ask("Thanks")

    assert second.messages[:-2] == first.messages
    assert second.texts == ["A pleasure."]
    assert [message["id"] for message in server.stored(first.id)] == [
        message["id"] for message in second.messages
    ]
    body: Any = server.mock.requests[-1].json
    asked = body["messages"]
    assert [message["role"] for message in asked] == ["user", "assistant", "user"]
    assert asked[1]["content"][-1]["text"] == PAGE


def test_regenerate_replaces_the_last_reply(chat: Chat, server: Server) -> None:
    server.mock.enqueue("First", "Second")
    first = chat.ask("Say something")

    chat("regenerate")
    second = chat.done()

    assert [message["role"] for message in second.messages] == ["user", "assistant"]
    assert second.message["id"] != first.message["id"]
    assert second.texts == ["Second"]
    assert [message["id"] for message in server.stored(first.id)] == [
        message["id"] for message in second.messages
    ]


def test_fields_of_the_transports_body_reach_the_turn(
    open_chat: Callable[..., Chat], server: Server
) -> None:
    server.mock.enqueue(PAGE)

    report = open_chat(server, body={"mode": "discuss", "projectId": "my-project"}).ask("A page?")

    assert report.message["metadata"]["projectId"] == "my-project"
    assert {data["state"] for data in report.parts("data-file").values()} == {"refused"}


def test_plain_text_is_the_visible_text(open_chat: Callable[..., Chat], server: Server) -> None:
    server.mock.enqueue(PAGE)

    report = open_chat(server, protocol="text").ask("A page")

    assert report.texts == [BEFORE + AFTER]
    assert report.error is None

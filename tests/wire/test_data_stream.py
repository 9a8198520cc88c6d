"""The data stream as the `ai` 4 client reads it (`callChatApi`, which its `useChat` calls).

Law: `?protocol=data` gives a client of `ai` 4 the same reply, and its parser finds no fault in it.
"""

from __future__ import annotations

from typing import Any

import pytest

from openbolt_local.mocks import Reply
from tests.wire.replies import AFTER, BEFORE, HTML, PAGE, SCRIPT
from tests.wire.running import Client, Server, serving


def ask(client: Client, server: Server, text: str = "A page") -> dict[str, Any]:
    message = {"id": "u1", "role": "user", "content": text}
    url = f"{server.url}/api/chat?protocol=data"
    answer: dict[str, Any] = client("ai4", url=url, body={"id": "c1", "messages": [message]})
    return answer


def test_visible_text_usage_and_finish_reason_arrive(client: Client, server: Server) -> None:
    server.mock.enqueue(Reply(PAGE, output_tokens=99))

    seen = ask(client, server)

    assert seen["errors"] == []
    assert seen["message"]["content"] == BEFORE + AFTER
    assert seen["finishReason"] == "stop"
    assert seen["usage"]["completionTokens"] == 99
    assert seen["usage"]["promptTokens"] > 0
    [stored] = [m for m in server.stored("c1") if m["role"] == "assistant"]
    assert seen["message"]["id"] == stored["id"]


def test_the_last_row_of_each_action_holds_its_content(client: Client, server: Server) -> None:
    server.mock.enqueue(PAGE)

    seen = ask(client, server)

    rows = {row["id"]: row["data"] for row in seen["data"] if row["type"] == "data-action"}
    assert {name: (data["state"], data["content"]) for name, data in rows.items()} == {
        "0": ("closed", HTML),
        "1": ("closed", SCRIPT),
    }


def test_usage_is_an_annotation(client: Client, server: Server) -> None:
    server.mock.enqueue(Reply("Hello", output_tokens=99))

    [annotation] = ask(client, server)["message"]["annotations"]

    assert annotation["type"] == "usage"
    assert annotation["value"]["completionTokens"] == 99


def test_reasoning_is_reasoning(client: Client, server: Server) -> None:
    server.mock.enqueue(Reply("Hello", thinking="They greet me."))

    message = ask(client, server)["message"]

    assert message["reasoning"] == "They greet me."
    assert message["content"] == "Hello"


def test_an_error_in_mid_stream_is_raised(client: Client) -> None:
    with serving(max_recoveries=0) as server:
        server.mock.enqueue(Reply(chunks=("So", " far", " it"), fault="error-event after=2"))
        seen = ask(client, server)
        [stored] = [m for m in server.stored("c1") if m["role"] == "assistant"]

    assert seen["errors"] == [f"Error: {stored['metadata']['error']}"]
    assert seen["message"]["content"] == "So far"


@pytest.mark.parametrize(
    ("stop_reason", "finish_reason"), [("refusal", "content-filter"), ("end_turn", "stop")]
)
def test_the_finish_reason_is_the_models(
    client: Client, server: Server, stop_reason: str, finish_reason: str
) -> None:
    server.mock.enqueue(Reply("Words", stop_reason=stop_reason))

    assert ask(client, server)["finishReason"] == finish_reason

"""Replies that end early: refused, broken, stopped, abandoned; as `useChat` shows them.

Law: before the first byte an error is the response's status and body, after it an event in the
stream; either way the client's status says so and what came so far stays.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from openbolt_local.mocks import Reply
from tests.wire.replies import AFTER, BEFORE, FIRST_FILE, HTML, OPENING, PAGE, SCRIPT
from tests.wire.running import Chat, Client, Server, serving

STALLED = Reply(chunks=("So", " far", " it", " goes"), fault="stall after=3")
SO_FAR = "So far it"


def test_an_error_in_mid_stream_is_the_chats_error_and_what_came_stays(
    open_chat: Callable[..., Chat],
) -> None:
    chunks = (BEFORE, OPENING, FIRST_FILE, "<boltAction", AFTER)
    with serving(max_recoveries=0) as server:
        server.mock.enqueue(Reply(chunks=chunks, fault="error-event after=3"))
        report = open_chat(server).ask("A page")
        [_, stored] = server.stored(report.id)

    assert report.status == "error"
    assert report.error
    assert report.errors == [f"Error: {report.error}"]
    assert report.chunks[-1] == {"type": "error", "errorText": report.error}
    assert report.texts == [BEFORE]
    assert report.parts("data-action")["0"]["content"] == HTML
    assert report.parts("data-file")["index.html"]["state"] == "saved"
    assert stored["metadata"]["status"] == "failed"
    assert stored["metadata"]["error"] == report.error


def test_a_chat_goes_on_after_an_error(open_chat: Callable[..., Chat]) -> None:
    with serving(max_recoveries=0) as server:
        server.mock.enqueue(Reply("It breaks in the middle", fault="cut after=1"), "Better")
        chat = open_chat(server)
        assert chat.ask("First").status == "error"

        report = chat.ask("Second")

    assert (report.status, report.error, report.texts) == ("ready", None, ["Better"])


def test_a_reply_that_was_asked_on_after_a_break_is_one_message(chat: Chat, server: Server) -> None:
    at = PAGE.index("console")
    chunks = (PAGE[:at], PAGE[at:])
    # Not a cut: what came in the moment before one may be lost with the connection.
    server.mock.enqueue(Reply(chunks=chunks, fault="error-event after=1"), PAGE[at:])

    report = chat.ask("A page")

    assert [message["role"] for message in report.messages] == ["user", "assistant"]
    assert (report.status, report.texts) == ("ready", [BEFORE, AFTER])
    assert report.parts("data-action")["1"]["content"] == SCRIPT
    [notice] = report.parts("data-notice").values()
    assert notice["kind"] == "recovery"


def test_a_refused_request_is_an_error_with_the_servers_words(chat: Chat, server: Server) -> None:
    report = chat.ask("  ")

    assert report.status == "error"
    assert report.error is not None
    body = json.loads(report.error)["error"]
    assert (body["code"], body["field"]) == ("invalid_request", "messages[0].parts")
    assert [message["role"] for message in report.messages] == ["user"]
    assert not server.mock.requests


def test_a_model_that_refuses_is_an_error_before_the_first_byte(chat: Chat, server: Server) -> None:
    server.mock.enqueue(Reply(fault="401"))

    report = chat.ask("Hi")

    assert report.status == "error"
    assert report.error is not None
    assert json.loads(report.error)["error"]["code"] == "upstream_error"
    assert report.chunks == []
    assert server.get("/api/chats")["chats"] == []


def test_a_reply_stopped_on_the_server_ends_as_aborted_without_an_error(
    chat: Chat, server: Server
) -> None:
    server.mock.enqueue(STALLED)
    chat("send", text="Hi")
    chat_id = chat.until(SO_FAR).id

    assert server.post(f"/api/chat/{chat_id}/stop") == {"stopped": True}
    report = chat.done()

    assert (report.status, report.error) == ("ready", None)
    assert report.chunks[-1] == {"type": "abort"}
    assert report.message["parts"][1] == {"type": "text", "text": SO_FAR, "state": "done"}
    [_, stored] = server.stored(chat_id)
    assert stored["id"] == report.message["id"]
    assert stored["metadata"]["status"] == "stopped"


def test_stop_of_the_sdk_ends_the_call_to_the_model(chat: Chat, server: Server) -> None:
    server.mock.enqueue(STALLED)
    chat("send", text="Hi")
    chat.until(SO_FAR)

    chat("stop")
    report = chat.done()

    asyncio.run(server.mock.idle())
    assert server.mock.streams[-1].ended == "client-gone"
    assert (report.status, report.error, report.texts) == ("ready", None, [SO_FAR])


def test_a_new_chat_has_nothing_to_resume(chat: Chat, server: Server) -> None:
    assert chat("reconnect") is None


def test_a_reply_that_runs_is_taken_up_by_a_page_that_was_reloaded(
    open_chat: Callable[..., Chat],
) -> None:
    with serving(disconnect_grace=30.0) as server:
        server.mock.enqueue(STALLED)
        first = open_chat(server)
        first("send", text="Hi")
        chat_id = first.until(SO_FAR).id
        first("stop")
        known = server.get(f"/api/chats/{chat_id}")
        assert known["running"]

        second = open_chat(server, id=chat_id, messages=known["messages"])
        second("resume")
        second.until(SO_FAR)
        server.post(f"/api/chat/{chat_id}/stop")
        report = second.done()

        assert (report.status, report.error) == ("ready", None)
        assert [message["role"] for message in report.messages] == ["user", "assistant"]
        assert report.texts == [SO_FAR]
        assert server.stored(chat_id)[1]["id"] == report.message["id"]


def test_two_readers_of_a_running_reply_assemble_the_same_message(
    open_chat: Callable[..., Chat], server: Server
) -> None:
    server.mock.enqueue(Reply(PAGE, fault="stall after=100000"))
    first = open_chat(server)
    first("send", text="A page")
    chat_id = first.until(BEFORE + AFTER).id
    second = open_chat(server, id=chat_id, messages=server.stored(chat_id))
    second("resume")
    second.until(BEFORE + AFTER)

    server.post(f"/api/chat/{chat_id}/stop")

    assert second.done().message == first.done().message


def test_a_finished_reply_can_be_read_again(open_chat: Callable[..., Chat], server: Server) -> None:
    server.mock.enqueue(PAGE)
    first = open_chat(server).ask("A page")

    again = open_chat(server, id=first.id)
    again("resume")

    assert again.done().messages == first.messages[1:]


def test_a_finished_reply_read_again_takes_the_place_of_the_stored_one(
    client: Client, server: Server
) -> None:
    # `ai` 5.0 appends a resumed reply to the last message: see docs/how-to/use-with-usechat.md
    server.mock.enqueue(PAGE)
    opened = client("open", version="ai", url=server.url)
    first = Chat(client, opened["chat"]).ask("A page")

    opened = client(
        "open", version="ai", url=server.url, id=first.id, messages=server.stored(first.id)
    )
    again = Chat(client, opened["chat"])
    again("resume")

    assert again.done().message == first.message


def test_a_finished_chat_says_that_nothing_runs(chat: Chat, server: Server) -> None:
    server.mock.enqueue("Hello")
    report = chat.ask("Hi")

    assert server.get(f"/api/chats/{report.id}")["running"] is False

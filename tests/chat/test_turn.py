"""One chat turn from the request to what is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from openbolt_local.mocks import Reply
from tests.chat.driving import App, artifact, file, files_saved, kinds, only, visible

TWO_FILES = (
    "Here it is.\n\n"
    + artifact(file("index.html", "<p>hi</p>"), file("src/app.js", "go()"), title="Demo")
    + "\n\nEnjoy."
)


async def test_a_project_is_not_deleted_while_a_reply_is_written_to_it(app: App) -> None:
    await app.chat("hi", id="c1", projectId="p1")
    app.mock.enqueue(Reply("first part and more", fault="stall after=1"))
    response = await app.start("more", id="c1")
    assert not isinstance(response.body, bytes)
    stream = aiter(response.body)
    while b"text-delta" not in await anext(stream):
        pass
    assert (await app.call("DELETE", "/api/projects/p1"))[0] == 423
    assert (await app.call("POST", "/api/chat/c1/stop"))[0] == 200
    await response.body.aclose()
    await app.drain()
    assert (await app.call("DELETE", "/api/projects/p1"))[0] == 204


async def test_frames_come_in_the_contracted_order(app: App) -> None:
    app.mock.enqueue(TWO_FILES)
    frames = await app.chat("build it")
    assert kinds(frames) == [
        "start", "start-step",
        "text-start", "text-delta", "text-end",
        "data-artifact",
        "data-action", "data-action-delta", "data-action", "data-file",
        "data-action", "data-action-delta", "data-action", "data-file",
        "data-artifact",
        "text-start", "text-delta", "text-end",
        "data-file", "data-file", "data-usage",
        "finish-step", "finish", "[DONE]",
    ]  # fmt: skip


async def test_visible_text_is_the_text_outside_artifacts_exactly(app: App) -> None:
    app.mock.enqueue(TWO_FILES)
    assert visible(await app.chat("build it")) == "Here it is.\n\n\n\nEnjoy."


async def test_files_are_saved_under_the_version_that_is_said(app: App) -> None:
    app.mock.enqueue(TWO_FILES)
    frames = await app.chat("build it", projectId="p1")
    assert only(frames, "data-file")[-1]["data"] == {
        "filePath": "src/app.js",
        "state": "saved",
        "version": 1,
    }
    assert await app.file("p1", "index.html") == "<p>hi</p>\n"
    assert await app.file("p1", "src/app.js") == "go()\n"


async def test_text_after_an_artifact_is_a_new_part(app: App) -> None:
    app.mock.enqueue(TWO_FILES)
    frames = await app.chat("build it")
    starts = [f["id"] for f in only(frames, "text-start")]
    assert len(set(starts)) == len(starts) == 2
    assert [f["id"] for f in only(frames, "text-end")] == starts


async def test_chosen_ids_are_used_and_said(app: App) -> None:
    app.mock.enqueue("ok")
    response = await app.start("hi", id="my.chat-1", projectId="my_project")
    assert response.headers.get("x-openbolt-chat") == "my.chat-1"
    assert response.headers.get("x-openbolt-project") == "my_project"
    await app.read(response)


async def test_without_ids_fresh_ones_are_made_and_said_in_the_start_frame(app: App) -> None:
    app.mock.enqueue("ok")
    frames = await app.chat("hi")
    meta = frames[0]["messageMetadata"]
    status, chat = await app.call("GET", f"/api/chats/{meta['chatId']}")
    assert (status, chat["projectId"]) == (200, meta["projectId"])


async def test_the_stored_chat_holds_what_was_streamed(app: App) -> None:
    app.mock.enqueue(Reply(TWO_FILES, thinking="Let me see."))
    frames = await app.chat("build it", id="c")
    _, chat = await app.call("GET", "/api/chats/c")
    user, assistant = chat["messages"]
    assert user["parts"] == [{"type": "text", "text": "build it"}]
    assert assistant["id"] == frames[0]["messageId"]
    assert assistant["metadata"]["status"] == "complete"
    assert assistant["metadata"]["finishReason"] == "stop"
    assert [p["type"] for p in assistant["parts"]] == [
        "reasoning", "text", "data-artifact", "data-action", "data-file", "data-action",
        "data-file", "text", "data-usage",
    ]  # fmt: skip
    assert assistant["parts"][0]["text"] == "Let me see."
    assert assistant["parts"][3]["data"]["state"] == "closed"


async def test_the_model_sees_its_raw_text_again_and_the_stored_history_wins(app: App) -> None:
    app.mock.enqueue(TWO_FILES, "second")
    await app.chat("build it", id="c")
    lies = [
        {"role": "user", "content": "something else"},
        {"role": "assistant", "content": "a lie"},
        {"role": "user", "content": "now this"},
    ]
    response = await app.open("POST", "/api/chat", {"id": "c", "messages": lies})
    await app.read(response)
    sent = app.mock.requests[-1].json["messages"]
    texts = [
        m["content"] if isinstance(m["content"], str) else m["content"][-1]["text"] for m in sent
    ]
    assert texts == ["build it", TWO_FILES, "now this"]


async def test_a_new_chat_begins_with_the_clients_own_list(app: App) -> None:
    app.mock.enqueue("third")
    messages = [
        {"id": "m1", "role": "user", "content": "first"},
        {"id": "m2", "role": "assistant", "content": "second"},
        {"id": "m3", "role": "user", "content": "go on"},
    ]
    response = await app.open("POST", "/api/chat", {"id": "c", "messages": messages})
    await app.read(response)
    _, chat = await app.call("GET", "/api/chats/c")
    assert [m["id"] for m in chat["messages"]][:3] == ["m1", "m2", "m3"]
    assert len(chat["messages"]) == 4


async def test_regenerate_answers_the_last_user_message_anew(app: App) -> None:
    app.mock.enqueue("one", "two")
    await app.chat("hi", id="c")
    body = {
        "id": "c",
        "messages": [{"id": "x", "role": "user", "content": "hi"}],
        "trigger": "regenerate-message",
    }
    await app.read(await app.open("POST", "/api/chat", body))
    _, chat = await app.call("GET", "/api/chats/c")
    assert [m["parts"][0]["text"] for m in chat["messages"]] == ["hi", "two"]


async def test_project_files_are_shown_to_the_model_with_a_receipt(app: App) -> None:
    app.mock.enqueue(TWO_FILES, "ok")
    await app.chat("build it", id="c1", projectId="p")
    frames = await app.chat("what is in src/app.js?", id="c2", projectId="p")
    [receipt] = [f["data"] for f in only(frames, "data-context")]
    assert sorted(receipt["included"]) == ["index.html", "src/app.js"]
    shown = app.mock.requests[-1].json["messages"][-1]["content"][0]["text"]
    assert '<file path="src/app.js">\ngo()\n</file>' in shown


@pytest.mark.parametrize(
    ("stop_reason", "finish_reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("refusal", "content-filter"),
        ("tool_use", "tool-calls"),
        ("pause_turn", "stop"),
        ("model_context_window_exceeded", "length"),
        ("something_new", "other"),
    ],
)
async def test_each_stop_reason_has_its_finish_reason(
    app: App, stop_reason: str, finish_reason: str
) -> None:
    app.mock.enqueue(Reply("text", stop_reason=stop_reason))
    frames = await app.chat("hi")
    assert only(frames, "finish")[0]["messageMetadata"] == {"finishReason": finish_reason}


async def test_tags_inside_reasoning_are_not_actions(app: App) -> None:
    app.mock.enqueue(Reply("done", thinking=artifact(file("x.js", "bad()"))))
    frames = await app.chat("hi", projectId="p")
    assert only(frames, "data-action") == []
    assert await app.file("p", "x.js") is None


async def test_a_truncated_file_never_replaces_a_good_one(make_app: Callable[..., App]) -> None:
    app = make_app(max_segments=1)
    app.mock.enqueue(artifact(file("a.js", "good()")), Reply(
        '<boltArtifact id="a" title="T"><boltAction type="file" filePath="a.js">half',
        stop_reason="max_tokens",
    ))  # fmt: skip
    await app.chat("one", id="c", projectId="p")
    frames = await app.chat("two", id="c")
    assert files_saved(frames) == {"a.js": "kept"}
    assert await app.file("p", "a.js") == "good()\n"
    assert only(frames, "data-action")[-1]["data"]["state"] == "truncated"


async def test_a_truncated_new_file_is_refused(make_app: Callable[..., App]) -> None:
    app = make_app(max_segments=1)
    app.mock.enqueue(Reply(
        '<boltArtifact id="a" title="T"><boltAction type="file" filePath="new.js">half',
        stop_reason="max_tokens",
    ))  # fmt: skip
    frames = await app.chat("one", projectId="p")
    assert files_saved(frames) == {"new.js": "refused"}
    assert await app.file("p", "new.js") is None


@pytest.mark.parametrize(
    "path", ["../evil.js", "/etc/../../x", ".git/hooks/pre-commit", "a\\b.js", "con.txt", ""]
)
async def test_a_path_that_leaves_the_project_is_refused_and_said(app: App, path: str) -> None:
    app.mock.enqueue(artifact(file(path, "x"), file("good.js", "y")))
    frames = await app.chat("hi", projectId="p")
    assert files_saved(frames) == {path: "refused", "good.js": "saved"}
    _, project = await app.call("GET", "/api/projects/p")
    assert [f["path"] for f in project["files"]] == ["good.js"]


async def test_a_file_over_the_limit_is_refused_and_the_rest_is_saved(
    make_app: Callable[..., App],
) -> None:
    app = make_app(max_file_bytes=10, max_files_per_turn=2)
    app.mock.enqueue(
        artifact(file("a", "1"), file("big", "x" * 50), file("b", "2"), file("c", "3"))
    )
    frames = await app.chat("hi", projectId="p")
    assert files_saved(frames) == {"a": "saved", "big": "refused", "b": "saved", "c": "refused"}


async def test_discuss_mode_writes_no_file(app: App) -> None:
    app.mock.enqueue(artifact(file("a.js", "x")))
    frames = await app.chat("hi", projectId="p", mode="discuss")
    assert files_saved(frames) == {"a.js": "refused"}
    assert "Mode: discuss" in app.mock.requests[-1].json["system"][0]["text"]


async def test_usage_is_what_the_model_reported(app: App) -> None:
    app.mock.enqueue(Reply("hello", output_tokens=7))
    [usage] = [f["data"] for f in only(await app.chat("hi"), "data-usage")]
    assert usage["outputTokens"] == 7
    assert usage["inputTokens"] > 0
    assert usage["segments"] == 1
    assert float(usage["costUsd"]) > 0


async def test_a_long_reply_is_continued_under_one_message(make_app: Callable[..., App]) -> None:
    app = make_app()
    code = "".join(f"const x{n} = {n * n};\n" for n in range(40))
    whole = "Intro.\n" + artifact(file("a.js", code)) + "\nBye."
    cuts = [whole[i : i + 220] for i in range(0, len(whole), 220)]
    assert len(cuts) == 4
    app.mock.enqueue(*[Reply(cut, stop_reason="max_tokens") for cut in cuts[:-1]], cuts[-1])
    frames = await app.chat("hi", projectId="p")
    assert len(only(frames, "start")) == 1
    assert len(only(frames, "data-action")) == 2
    assert await app.file("p", "a.js") == code
    assert visible(frames) == "Intro.\n\nBye."
    assert only(frames, "data-usage")[0]["data"]["segments"] == 4
    for request in app.mock.requests:
        assert request.json["messages"][-1]["role"] == "user"


async def test_the_segment_cap_ends_a_runaway_reply_as_length(make_app: Callable[..., App]) -> None:
    app = make_app(max_segments=2)
    app.mock.enqueue(*[Reply(f"part {n} ", stop_reason="max_tokens") for n in range(5)])
    frames = await app.chat("hi")
    assert only(frames, "finish")[0]["messageMetadata"] == {"finishReason": "length"}
    assert len(app.mock.requests) == 2


async def test_one_writer_at_a_time_and_the_other_hears_423(app: App) -> None:
    app.mock.enqueue(Reply("first part and more", fault="stall after=1"))
    first = await app.start("one", id="c")
    status, body = await app.call(
        "POST", "/api/chat", {"id": "c", "messages": [{"role": "user", "content": "two"}]}
    )
    assert (status, body["error"]["code"]) == (423, "locked")
    assert first.body != b""
    await first.body.aclose()  # type: ignore[union-attr]


async def test_another_tab_reads_the_running_turn_from_where_it_was(app: App) -> None:
    app.mock.enqueue(Reply(chunks=["one ", "two ", "three"], fault="stall after=3"))
    first = await app.start("hi", id="c")
    seen = b""
    async for chunk in first.body:  # type: ignore[union-attr]
        seen += chunk
        if b"three" in seen:
            break
    second = await app.open("GET", "/api/chat/c/stream", headers={"last-event-id": "2"})
    stop = asyncio.ensure_future(app.call("POST", "/api/chat/c/stop"))
    text = (await app.read(second)).decode()
    assert await stop == (200, {"stopped": True})
    assert text.startswith("id: 3\n")
    assert '"type":"abort"' in text
    await first.body.aclose()  # type: ignore[union-attr]


async def test_reading_again_with_nothing_there_is_204(app: App) -> None:
    app.mock.enqueue("ok")
    await app.chat("hi", id="c")
    await app.drain()
    app.restart()
    response = await app.open("GET", "/api/chat/c/stream")
    assert response.status == 200  # just finished: the log still has it
    assert b"[DONE]" in await app.read(response)
    status, _ = await app.call("GET", "/api/chat/none/stream")
    assert status == 204


async def test_a_message_sent_again_under_its_id_is_one_message(app: App) -> None:
    app.mock.enqueue(Reply(fault="500"), "ok")
    message = {"id": "m1", "role": "user", "content": "hi"}
    status, _ = await app.call("POST", "/api/chat", {"id": "c", "messages": [message]})
    assert status == 502
    await app.read(await app.open("POST", "/api/chat", {"id": "c", "messages": [message]}))
    _, chat = await app.call("GET", "/api/chats/c")
    assert [m["id"] for m in chat["messages"]][:1] == ["m1"]
    assert len(chat["messages"]) == 2

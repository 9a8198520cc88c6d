"""What a client sees, and what is kept, when something goes wrong on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from openbolt.errors import BackendError
from openbolt_local.memory import MemoryObjectStore
from openbolt_local.mocks import AnthropicMock, ReceivedRequest, Reply
from tests.chat import driving
from tests.chat.driving import App, artifact, file, files_saved, frames_of, kinds, only, visible

HALF = "Here.\n" + artifact(file("a.js", "whole()"))
# Enough small deltas that a fault after N of them has both text and a whole file behind it.
CHUNKS = ["Here.\n", artifact(file("a.js", "whole()")), "more ", "and more ", "and more"]


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("400", 502, "upstream_error"),
        ("401", 502, "upstream_error"),
        ("403", 502, "upstream_error"),
        ("413", 502, "upstream_error"),
        ("429 retry-after=7", 429, "upstream_rate_limited"),
        ("500", 502, "upstream_error"),
        ("529", 503, "upstream_overloaded"),
    ],
)
async def test_a_refusal_before_the_first_byte_is_a_status_and_nothing_is_stored(
    app: App, fault: str, status: int, code: str
) -> None:
    app.mock.enqueue(Reply(fault=fault))
    response = await app.start("hi", id="c", projectId="p")
    assert response.status == status
    body = await app.read(response)
    assert f'"code": "{code}"'.encode() in body
    assert (await app.call("GET", "/api/chats"))[1]["chats"] == []
    assert (await app.call("GET", "/api/projects"))[1]["projects"] == []
    assert response.headers.get("retry-after") == ("7" if "429" in fault else None)


async def test_the_servers_key_never_shows_in_what_the_client_is_told(app: App) -> None:
    app.mock.enqueue(Reply(fault="401"))
    response = await app.start("hi")
    assert driving.KEY.encode() not in await app.read(response)
    assert app.mock.requests[0].headers["x-api-key"] == driving.KEY


@pytest.mark.parametrize(
    "fault", ["reset after=3", "cut after=3", "eof after=3", "error-event after=3",
              "malformed-json after=3", "malformed-sse after=3"],
)  # fmt: skip
async def test_a_failure_in_mid_stream_is_one_error_event_and_whole_files_are_kept(
    make_app: Callable[..., App], fault: str
) -> None:
    app = make_app(max_recoveries=0)
    app.mock.enqueue(Reply(chunks=CHUNKS, fault=fault))
    frames = await app.chat("hi", id="c", projectId="p")
    assert kinds(frames)[-2:] == ["error", "[DONE]"]
    assert len(only(frames, "error")) == 1
    assert files_saved(frames) == {"a.js": "saved"}
    assert await app.file("p", "a.js") == "whole()\n"
    _, chat = await app.call("GET", "/api/chats/c")
    assert chat["messages"][-1]["metadata"]["status"] == "failed"
    assert visible(frames).startswith("Here.\n")


async def test_after_a_failed_turn_the_chat_goes_on(make_app: Callable[..., App]) -> None:
    app = make_app(max_recoveries=0)
    app.mock.enqueue(Reply(chunks=CHUNKS, fault="reset after=3"), "better")
    await app.chat("hi", id="c")
    assert visible(await app.chat("again", id="c")) == "better"


async def test_a_silent_model_is_given_up(make_app: Callable[..., App]) -> None:
    app = make_app(silence_timeout=0.1)
    app.mock.enqueue(Reply(chunks=CHUNKS, fault="stall after=2"))
    frames = await app.chat("hi", projectId="p")
    [error] = only(frames, "error")
    assert error["errorText"] == (
        "The model sent nothing for 0.1 seconds; what came so far is kept."
    )
    assert files_saved(frames) == {"a.js": "saved"}


async def test_pings_count_as_life_until_the_deadline(make_app: Callable[..., App]) -> None:
    app = make_app(silence_timeout=0.5, turn_timeout=1.0)
    app.mock.enqueue(Reply(chunks=CHUNKS, fault="stall-ping after=2 every=0.05"))
    [error] = only(await app.chat("hi"), "error")
    assert error["errorText"] == "The reply took over 1 seconds; what came so far is kept."


async def test_a_model_that_never_answers_is_a_504(make_app: Callable[..., App]) -> None:
    app = make_app(silence_timeout=0.1)
    app.mock.enqueue(Reply("late", fault="delay=30"))
    status, body = await app.call(
        "POST", "/api/chat", {"messages": [{"role": "user", "content": "hi"}]}
    )
    assert (status, body["error"]["code"]) == (504, "upstream_timeout")


async def test_stop_ends_the_model_call_and_keeps_what_came(app: App) -> None:
    app.mock.enqueue(Reply(chunks=CHUNKS, fault="stall after=3"))
    response = await app.start("hi", id="c", projectId="p")
    reading = asyncio.ensure_future(app.read(response))
    while (await app.call("GET", "/api/projects/p"))[0] == 404:
        await asyncio.sleep(0)
    assert await app.call("POST", "/api/chat/c/stop") == (200, {"stopped": True})
    frames = frames_of(await reading)
    await asyncio.wait_for(app.mock.idle(), 1.0)
    assert kinds(frames)[-2:] == ["abort", "[DONE]"]
    assert await app.call("POST", "/api/chat/c/stop") == (200, {"stopped": False})
    _, chat = await app.call("GET", "/api/chats/c")
    assert chat["messages"][-1]["metadata"]["status"] == "stopped"


async def test_when_the_last_reader_goes_the_model_call_ends(app: App) -> None:
    app.mock.enqueue(Reply(chunks=CHUNKS, fault="stall after=3"))
    response = await app.start("hi", id="c")
    await response.body.aclose()  # type: ignore[union-attr]
    await asyncio.wait_for(app.mock.idle(), 1.0)
    await app.drain()
    _, chat = await app.call("GET", "/api/chats/c")
    assert chat["messages"][-1]["metadata"]["status"] == "stopped"


async def test_within_the_grace_a_turn_goes_on_without_readers(
    make_app: Callable[..., App],
) -> None:
    app = make_app(disconnect_grace=30.0)
    app.mock.enqueue("a whole reply")
    response = await app.start("hi", id="c")
    await response.body.aclose()  # type: ignore[union-attr]
    await app.drain()
    _, chat = await app.call("GET", "/api/chats/c")
    assert chat["messages"][-1]["parts"][0]["text"] == "a whole reply"
    assert chat["messages"][-1]["metadata"]["status"] == "complete"


async def test_a_body_that_nobody_reads_holds_nothing_open(app: App) -> None:
    app.mock.enqueue(Reply(chunks=CHUNKS, fault="stall after=3"))
    response = await app.start("hi", id="c")
    await response.body.aclose()  # type: ignore[union-attr]
    await response.body.aclose()  # type: ignore[union-attr]
    await app.drain()
    assert (await app.call("GET", "/api/chats/c"))[1]["running"] is False


async def test_a_reply_over_the_limit_is_ended_and_what_came_is_kept(
    make_app: Callable[..., App],
) -> None:
    app = make_app(max_reply_bytes=1024)
    app.mock.enqueue(Reply(chunks=["x" * 600, "y" * 600, "z" * 600]))
    frames = await app.chat("hi", id="c")
    assert "over 1024 bytes" in only(frames, "error")[0]["errorText"]
    assert visible(frames).startswith("x" * 600)


class _FullDisk(MemoryObjectStore):
    async def put(self, *args: Any, **kwargs: Any) -> Any:
        raise BackendError("The disk is full.")


async def test_a_store_that_fails_is_said_in_the_stream(app: App) -> None:
    app.restart(objects=_FullDisk(app.dependencies.clock))
    app.mock.enqueue(HALF)
    frames = await app.chat("hi", id="c")
    assert kinds(frames)[-2:] == ["error", "[DONE]"]
    assert len(only(frames, "error")) == 1


async def test_plain_text_breaks_off_where_a_turn_fails(make_app: Callable[..., App]) -> None:
    app = make_app(max_recoveries=0)
    app.mock.enqueue(Reply(chunks=CHUNKS, fault="reset after=3"))
    body = {"messages": [{"role": "user", "content": "hi"}]}
    response = await app.open("POST", "/api/chat?protocol=text", body)
    with pytest.raises(Exception, match="model"):
        await app.read(response)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": " "}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": "x"}], "mode": "x"}, "mode"),
        ({"messages": [{"role": "user", "content": "x"}], "id": "a/b"}, "id"),
        ({"messages": [{"role": "user", "content": "x"}], "projectId": ""}, "projectId"),
        (
            {"messages": [{"role": "user", "content": "x"}, {"role": 3, "content": "x"}]},
            "messages[1].role",
        ),
    ],
)
async def test_a_bad_body_is_a_400_that_names_the_field(app: App, body: object, field: str) -> None:
    status, answer = await app.call("POST", "/api/chat", body)
    assert (status, answer["error"]["field"]) == (400, field)
    assert answer["error"]["message"].startswith(f"{field}: ")
    assert answer["error"]["requestId"]
    assert len(app.mock.requests) == 0


async def test_other_content_types_are_refused(app: App) -> None:
    response = await app.open("POST", "/api/chat", b"{}", {"content-type": "text/plain"})
    assert response.status == 415


@pytest.mark.parametrize("fault", ["reset", "cut", "eof", "error-event"])
@pytest.mark.parametrize("after", [0, 1, 2, 3, 4])
async def test_a_broken_stream_is_asked_on_from_what_came(fault: str, after: int) -> None:
    whole = "Here.|" + artifact(file("a.js", "first();second();third()")) + "|Bye."
    size = len(whole) // 5 + 1
    chunks = [whole[i : i + size] for i in range(0, len(whole), size)]

    def respond(request: ReceivedRequest) -> Reply:
        """Break off once; then go on from what the request shows of the reply."""
        said = [m["content"] for m in request.json["messages"] if m["role"] == "assistant"]
        if not broken:
            broken.append(True)
            return Reply(chunks=chunks, fault=f"{fault} after={after}")
        assert request.json["messages"][-1]["role"] == "user"
        return Reply(whole[len("".join(said)) :])

    broken: list[bool] = []
    async with AnthropicMock(respond=respond) as mock, App(mock) as app:
        frames = await app.chat("hi", id="c", projectId="p")
        assert kinds(frames)[-2:] == ["finish", "[DONE]"]
        assert visible(frames) == "Here.||Bye."
        assert await app.file("p", "a.js") == "first();second();third()\n"
        assert len([f for f in only(frames, "data-action") if f["data"]["state"] == "open"]) == 1
        assert len(mock.requests) == 2


async def test_an_upstream_that_keeps_breaking_is_given_up(app: App) -> None:
    app.mock.enqueue(*[Reply(chunks=CHUNKS, fault="reset after=1") for _ in range(5)])
    frames = await app.chat("hi")
    assert kinds(frames)[-2:] == ["error", "[DONE]"]
    assert len(app.mock.requests) == 3


async def test_tokens_that_came_before_a_stop_are_counted(app: App) -> None:
    app.mock.enqueue(Reply(chunks=["x" * 400, "y"], fault="stall after=1"))
    response = await app.start("hi", id="c")
    reading = asyncio.ensure_future(app.read(response))
    while not (await app.call("POST", "/api/chat/c/stop"))[1]["stopped"]:
        await asyncio.sleep(0)
    [usage] = [f["data"] for f in only(frames_of(await reading), "data-usage")]
    assert usage["outputTokens"] >= 0
    assert usage["segments"] == 1


async def test_more_turns_than_allowed_are_a_429(make_app: Callable[..., App]) -> None:
    app = make_app(max_turns_per_user=1)
    app.mock.enqueue(Reply(chunks=CHUNKS, fault="stall after=3"))
    first = await app.start("hi")
    second = await app.start("hi")
    assert (second.status, second.headers.get("retry-after")) == (429, "5")
    await first.body.aclose()  # type: ignore[union-attr]
    await app.drain()
    app.mock.enqueue("ok")
    assert visible(await app.chat("hi")) == "ok"

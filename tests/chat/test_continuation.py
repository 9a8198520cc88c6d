"""A reply of several segments is one reply."""

from __future__ import annotations

from collections.abc import Callable

from openbolt_local.mocks import AnthropicMock, ReceivedRequest, Reply
from tests.chat.driving import App, artifact, file, kinds, only, visible


async def test_an_empty_reply_is_a_whole_reply_of_nothing(app: App) -> None:
    app.mock.enqueue(Reply(fault="empty"))
    frames = await app.chat("hi", id="c")
    assert kinds(frames) == [
        "start", "start-step", "data-usage", "finish-step", "finish", "[DONE]",
    ]  # fmt: skip
    app.mock.enqueue("something")
    assert visible(await app.chat("and now?", id="c")) == "something"


async def test_thinking_goes_back_unchanged_with_its_signature(
    make_app: Callable[..., App],
) -> None:
    app = make_app(thinking=1024)
    app.mock.enqueue(
        Reply("first half ", thinking="Let me see.", stop_reason="max_tokens"), "second half"
    )
    frames = await app.chat("hi")
    assert visible(frames) == "first half second half"
    said = app.mock.requests[-1].json["messages"][-2]
    assert said["role"] == "assistant"
    thinking, text = said["content"]
    assert (thinking["type"], thinking["thinking"]) == ("thinking", "Let me see.")
    assert thinking["signature"]
    assert text == {"type": "text", "text": "first half "}


async def test_every_segment_repeats_the_prompt_so_that_its_cache_pays(app: App) -> None:
    app.mock.enqueue(
        Reply("one, ", stop_reason="max_tokens"), Reply("two, ", stop_reason="max_tokens"), "three"
    )
    assert visible(await app.chat("hi")) == "one, two, three"
    first, second, third = [request.json for request in app.mock.requests]
    assert second["messages"][:1] == first["messages"]
    assert third["messages"][:3] == second["messages"]
    assert first["system"] == second["system"] == third["system"]


async def test_a_segments_stream_is_closed_before_the_next_opens() -> None:
    open_at_request: list[int] = []

    def respond(_: ReceivedRequest) -> Reply:
        open_at_request.append(mock.open_streams)
        more = len(open_at_request) < 3
        return Reply(f"{len(open_at_request)} ", stop_reason="max_tokens" if more else None)

    async with AnthropicMock(respond=respond) as mock, App(mock) as app:
        assert visible(await app.chat("hi")) == "1 2 3 "
    assert open_at_request == [0, 0, 0]


async def test_an_overlap_at_the_seam_is_dropped_inside_a_file_too(app: App) -> None:
    code = "".join(f"const value{n} = {n * 7};\n" for n in range(30))
    whole = artifact(file("a.js", code))
    app.mock.enqueue(Reply(whole[:300], stop_reason="max_tokens"), whole[250:])
    frames = await app.chat("hi", projectId="p")
    assert await app.file("p", "a.js") == code
    assert "".join(f["data"]["delta"] for f in only(frames, "data-action-delta")) == code


async def test_a_cut_inside_a_tag_joins_to_the_tag(app: App) -> None:
    whole = "Hi.\n" + artifact(file("a.js", "go()"))
    for cut in range(5, len(whole) - 1):
        app.mock.enqueue(Reply(whole[:cut], stop_reason="max_tokens"), whole[cut:])
        frames = await app.chat("hi", projectId=f"p{cut}")
        assert visible(frames) == "Hi.\n"
        assert await app.file(f"p{cut}", "a.js") == "go()\n"

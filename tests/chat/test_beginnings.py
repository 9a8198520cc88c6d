"""Before the model has answered: stop, hang up, wait, and begin at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from attrs import evolve

from openbolt import Request, Response
from openbolt_local.mocks import Reply
from tests.chat.driving import App, artifact, file, files_saved, kinds, visible

SLOW = Reply("late", fault="delay=30")


class HangsUp:
    """In front of the application: a client that hangs up when it is told to."""

    def __init__(self, app: App) -> None:
        self._handler = app.handler
        self.gone = asyncio.Event()
        app.handler = self  # type: ignore[assignment]

    async def __call__(self, request: Request, /) -> Response:
        async def gone() -> None:
            await self.gone.wait()

        context = evolve(request.context, gone=gone)
        return await self._handler(evolve(request, context=context))


async def asked(app: App, count: int = 1) -> None:
    """Wait until the model has been asked."""
    async with asyncio.timeout(5):
        while len(app.mock.requests) < count:
            await asyncio.sleep(0.01)


async def test_a_client_that_hangs_up_before_the_first_byte_ends_the_model_call(app: App) -> None:
    client = HangsUp(app)
    app.mock.enqueue(SLOW)
    waiting = asyncio.ensure_future(app.start("hi", id="c"))
    await asked(app)
    client.gone.set()
    response = await asyncio.wait_for(waiting, 1.0)
    assert response.status == 409
    await asyncio.wait_for(app.drain(), 1.0)
    assert (await app.call("GET", "/api/chats"))[1]["chats"] == []


async def test_a_client_that_hangs_up_on_the_enhancer_ends_the_model_call(app: App) -> None:
    client = HangsUp(app)
    app.mock.enqueue(SLOW)
    body = {"message": "a todo list"}
    waiting = asyncio.ensure_future(app.open("POST", "/api/enhancer", body))
    await asked(app)
    client.gone.set()
    assert (await asyncio.wait_for(waiting, 1.0)).status == 504


async def test_stop_reaches_a_turn_that_the_model_has_not_answered(app: App) -> None:
    app.mock.enqueue(SLOW, "next")
    waiting = asyncio.ensure_future(app.start("hi", id="c"))
    await asked(app)
    assert await app.call("POST", "/api/chat/c/stop") == (200, {"stopped": True})
    response = await asyncio.wait_for(waiting, 1.0)
    assert response.status == 409
    assert b'"code": "stopped"' in await app.read(response)
    assert visible(await app.chat("again", id="c")) == "next"


async def test_the_lease_is_kept_while_the_model_thinks_before_its_first_byte(
    make_app: Callable[..., App],
) -> None:
    app = make_app(lease_ttl=1.0)
    app.mock.enqueue(Reply("late", fault="delay=2"), "second")
    waiting = asyncio.ensure_future(app.chat("hi", id="c"))
    await asked(app)
    await asyncio.sleep(1.3)
    status, _ = await app.call(
        "POST", "/api/chat", {"id": "c", "messages": [{"role": "user", "content": "two"}]}
    )
    assert status == 423
    assert visible(await waiting) == "late"


async def test_of_turns_that_begin_at_once_only_as_many_as_allowed_do(
    make_app: Callable[..., App],
) -> None:
    app = make_app(max_turns_per_user=2)
    app.mock.enqueue(*[Reply("x", fault="stall after=1") for _ in range(5)])
    responses = await asyncio.gather(*(app.start("hi") for _ in range(5)))
    assert sorted(r.status for r in responses) == [200, 200, 429, 429, 429]
    for response in responses:
        if response.status == 200:
            await response.body.aclose()  # type: ignore[union-attr]
    await app.drain()
    app.mock.script(["ok"])
    assert visible(await app.chat("hi")) == "ok"


async def test_chats_that_begin_one_project_at_once_all_land(app: App) -> None:
    app.mock.enqueue(*[artifact(file(f"{name}.js", name)) for name in "abc"])
    all_frames: list[Any] = await asyncio.gather(
        *(app.chat("hi", id=f"c{n}", projectId="p") for n in range(3))
    )
    assert {kinds(frames)[-2] for frames in all_frames} == {"finish"}
    assert {state for frames in all_frames for state in files_saved(frames).values()} == {"saved"}
    _, project = await app.call("GET", "/api/projects/p")
    assert [f["path"] for f in project["files"]] == ["a.js", "b.js", "c.js"]
    assert project["version"] == 3


async def test_a_reply_over_its_budget_is_not_continued(make_app: Callable[..., App]) -> None:
    app = make_app(budget_usd_per_turn=Decimal("0.0001"))
    app.mock.enqueue(Reply("one ", stop_reason="max_tokens", output_tokens=1000), "two")
    frames = await app.chat("hi")
    assert visible(frames) == "one "
    assert len(app.mock.requests) == 1


async def test_regenerating_from_an_earlier_prompt_answers_that_one(app: App) -> None:
    app.mock.enqueue("one", "two", "three")
    for number in "12":
        message = {"id": f"m{number}", "role": "user", "content": f"prompt {number}"}
        await app.read(await app.open("POST", "/api/chat", {"id": "c", "messages": [message]}))
    body = {
        "id": "c",
        "messages": [{"id": "m1", "role": "user", "content": "prompt 1"}],
        "trigger": "regenerate-message",
        "messageId": "m1",
    }
    await app.read(await app.open("POST", "/api/chat", body))
    _, chat = await app.call("GET", "/api/chats/c")
    assert [m["parts"][0]["text"] for m in chat["messages"]] == ["prompt 1", "three"]


async def test_the_cut_text_goes_back_to_its_last_blank_so_that_no_blank_is_doubled(
    app: App,
) -> None:
    app.mock.enqueue(Reply("a b ", stop_reason="max_tokens"), "c")
    assert visible(await app.chat("hi")) == "a b c"
    assert app.mock.requests[-1].json["messages"][-2]["content"] == "a b "


async def test_public_routes_say_which_methods_they_take(app: App) -> None:
    for path in ("/healthz", "/readyz", "/preview/x/"):
        response = await app.open("POST", path)
        assert (response.status, response.headers.get("allow")) == (405, "GET, HEAD, OPTIONS")

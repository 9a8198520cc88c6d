"""The end of a turn, when what it ends with fails, and what may be done the moment it is seen."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from attrs import evolve

from openbolt import OpenBolt, Response
from openbolt.chat.events import TurnEvent
from openbolt.chat.log import MemoryEventLog
from openbolt.errors import BackendError
from openbolt_local.memory import MemoryObjectStore
from tests.chat.driving import artifact, file
from tests.durability.simulation import Call, Disk, Power, Process, ScriptedModel, simulate
from tests.durability.story import CHAT, PROJECT, Reader, Turn, play

TEXT = "Hi.\n" + artifact(file("a.js", "go()")) + "\nBye."


class FailingLog(MemoryEventLog):
    """A log that takes so many appends and no more."""

    def __init__(self, clock: Any, takes: int) -> None:
        super().__init__(clock)
        self._takes = takes

    async def append(self, turn: str, events: Sequence[TurnEvent], /) -> None:
        self._takes -= 1
        if self._takes < 0:
            raise BackendError("The log is away.")
        await super().append(turn, events)


class BrokenObjects(MemoryObjectStore):
    """A store with a bug: it raises what no store may."""

    async def put(self, key: str, *args: Any, **options: Any) -> Any:
        if key.startswith("blobs/"):
            raise KeyError("a bug")
        return await super().put(key, *args, **options)


def _process(**settings: Any) -> tuple[Process, ScriptedModel]:
    model = ScriptedModel()
    return Process(Disk(), model, Power(latency=0.01), {"lease_ttl": 30.0, **settings}), model


@pytest.mark.parametrize("takes", range(12))
def test_a_reader_ends_also_when_the_log_fails(takes: int) -> None:
    async def story() -> None:
        process, model = _process()
        log = FailingLog(process.disk.clock, takes)
        process.handler = OpenBolt(evolve(process.dependencies, events=log), process.settings)
        model.script(TEXT, [Call(batch=2)])
        played = await play(process, Turn(TEXT), "hi")
        assert played.first.ended or played.first.status == 503
        assert await process.disk.leases.holder(f"chat:{CHAT}") is None
        assert process.tasks == set()
        # What could not be saved is in the journal, and the next access settles it.
        process.handler = OpenBolt(process.dependencies, process.settings)
        status, _ = await process.call("GET", "/api/projects/p")
        assert status in {200, 404}
        assert [k async for k in process.disk.kv.scan("project:p/journal/")] == []

    simulate(story())


def test_a_bug_below_a_turn_ends_it_with_an_error_and_the_chat_goes_on() -> None:
    async def story() -> None:
        process, model = _process()
        broken = evolve(process.dependencies, objects=BrokenObjects(process.disk.clock))
        process.handler = OpenBolt(broken, process.settings)
        model.script(TEXT, [])
        played = await play(process, Turn(TEXT), "hi")
        assert played.first.ended
        assert [f["type"] for _, f in played.first.frames][-1] == "error"
        process.handler = OpenBolt(process.dependencies, process.settings)
        status, chat = await process.call("GET", f"/api/chats/{CHAT}")
        assert (status, [m["role"] for m in chat["messages"]]) == (200, ["user", "assistant"])
        model.script("ok", [])
        assert (await play(process, Turn("ok"), "again")).first.frames[-1][1]["type"] == "finish"

    simulate(story())


async def _first_end(response: Response) -> None:
    """Read until the event that ends a turn."""
    assert not isinstance(response.body, bytes)
    async for chunk in response.body:
        if b'"type":"finish"' in chunk or b'"type":"error"' in chunk:
            return


ENDINGS = pytest.mark.parametrize("ending", ["end_turn", "fatal"])


@ENDINGS
def test_whoever_sees_the_end_can_go_on_at_once(ending: Any) -> None:
    async def story() -> None:
        process, model = _process(max_turns_per_user=1)
        model.script(TEXT, [Call(batch=3, ending=ending)])
        response = await process.start("hi", id=CHAT, projectId=PROJECT)
        await _first_end(response)
        model.script("ok", [])
        reader = Reader()
        await reader.read(process.start("again", id=CHAT, projectId=PROJECT))
        assert reader.status == 200, reader.answer
        await response.body.aclose()  # type: ignore[union-attr]
        await process.drain()

    simulate(story())


@ENDINGS
def test_whoever_sees_the_end_finds_everything_in_its_place(ending: Any) -> None:
    async def story() -> None:
        process, model = _process()
        model.script(TEXT, [Call(batch=3, ending=ending)])
        response = await process.start("hi", id=CHAT, projectId=PROJECT)
        await _first_end(response)
        assert (await process.disk.versions(PROJECT))[1] == {"a.js": "go()\n"}
        assert await process.disk.leases.holder(f"chat:{CHAT}") is None
        assert len(await process.disk.keys(f"chat:{CHAT}/message/")) == 2
        await response.body.aclose()  # type: ignore[union-attr]
        await process.drain()

    simulate(story())


def test_a_turn_that_is_cancelled_settles_and_is_cancelled() -> None:
    async def story() -> None:
        process, model = _process()
        model.script(TEXT, [Call(pause=1.0)])
        reading = asyncio.create_task(Reader().read(process.start("hi", id=CHAT)))
        await asyncio.sleep(10)
        [turn] = process.tasks
        turn.cancel()
        await asyncio.wait([turn])
        assert turn.cancelled()
        _, chat = await process.call("GET", f"/api/chats/{CHAT}")
        assert chat["messages"][-1]["metadata"]["status"] == "interrupted"
        await reading

    simulate(story())


def test_a_bug_that_looks_like_a_time_limit_is_not_taken_for_a_stop() -> None:
    async def story() -> None:
        process, model = _process()
        model.script(TEXT, [Call(ending="bug")])
        played = await play(process, Turn(TEXT), "hi")
        assert played.first.frames[-1][1]["type"] == "error"

    simulate(story())


def test_a_wait_that_the_upstream_asks_for_is_kept_to_or_not_begun() -> None:
    async def story() -> None:
        process, model = _process(silence_timeout=20.0)
        kept = Call(size=4, batch=100, pause=8.0, ending="limited", retry_after=15.0)
        model.script(TEXT, [kept, Call(ending="limited", retry_after=25.0)])
        began = asyncio.get_running_loop().time()
        played = await play(process, Turn(TEXT), "hi")
        last = played.first.frames[-1][1]
        assert last == {"type": "error", "errorText": "Slower, please."}
        assert 39 <= asyncio.get_running_loop().time() - began < 40

    simulate(story())

"""Alive, ready, and which models: asked by anybody (but the models), with nothing given away."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from openbolt import Settings
from openbolt.chat.log import MemoryEventLog
from openbolt.errors import BackendError
from openbolt.http import EMPTY_BODY, Headers, Request, RequestContext
from openbolt.operations import Ready
from openbolt.testing import ManualClock
from openbolt_local.memory import MemoryKeyValueStore, MemoryLeaseStore, MemoryObjectStore
from tests.handlers.building import Caller

ASKED = Request("GET", "/readyz", Headers(), EMPTY_BODY, RequestContext(spawn=lambda _: None))


class Broken:
    """A store of any kind of which every operation ends as told."""

    def __init__(self, act: Callable[[], Any]) -> None:
        self._act = act

    def __getattr__(self, name: str) -> Any:
        async def operation(*_: object, **__: object) -> object:
            return await self._act()

        return operation


async def down() -> None:
    raise BackendError("Down.", detail="redis://user:password@host")


async def buggy() -> None:
    raise RuntimeError("a bug at 10.0.0.7")


async def hangs() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("user", ["ann", None])
async def test_whoever_asks_is_told_that_it_is_alive_and_ready(
    call: Caller, user: str | None
) -> None:
    alive, ready = await call("GET", "/healthz", user=user), await call("GET", "/readyz", user=user)
    assert (alive.status, alive.json) == (200, {"status": "ok"})
    assert (ready.status, ready.json) == (
        200,
        {"status": "ok", "stores": {"kv": "ok", "objects": "ok", "leases": "ok", "events": "ok"}},
    )


@pytest.mark.parametrize("act", [down, buggy, hangs])
@pytest.mark.parametrize("name", ["kv", "objects", "leases", "events"])
async def test_a_store_that_does_not_answer_is_named_and_nothing_else_said(
    name: str, act: Callable[[], Any]
) -> None:
    clock = ManualClock()
    stores: dict[str, Any] = {
        "kv": MemoryKeyValueStore(clock),
        "objects": MemoryObjectStore(clock),
        "leases": MemoryLeaseStore(clock),
        "events": MemoryEventLog(clock),
        name: Broken(act),
    }
    response = await Ready(**stores, timeout=0.05)(ASKED)
    assert isinstance(response.body, bytes)
    states = {
        store: "failing" if store == name else "ok"
        for store in ("kv", "objects", "leases", "events")
    }
    assert (response.status, json.loads(response.body)) == (
        503,
        {"status": "unavailable", "stores": states},
    )


async def test_being_asked_leaves_nothing_behind(
    call: Caller, kv: MemoryKeyValueStore, objects: MemoryObjectStore
) -> None:
    await call("GET", "/readyz")
    assert kv._entries == 0
    assert [info async for info in objects.scan("")] == []


async def test_without_a_list_the_one_model_is_named(call: Caller) -> None:
    model = Settings().model
    assert (await call("GET", "/api/models")).json == {
        "default": model,
        "models": [{"id": model, "label": model}],
        "provider": {"name": "anthropic", "mock": False, "notice": None},
    }


@pytest.mark.parametrize(
    "settings",
    [Settings(model="b", models=("a", "b"), provider_name="mock", notice="No model.")],
)
async def test_the_mock_says_that_it_is_one(call: Caller) -> None:
    assert (await call("GET", "/api/models")).json == {
        "default": "b",
        "models": [{"id": "a", "label": "a"}, {"id": "b", "label": "b"}],
        "provider": {"name": "mock", "mock": True, "notice": "No model."},
    }

"""Requests of one isolate wake and cancel each other's tasks, and each step runs where it belongs.

In a real workerd, and by the rule itself, which needs no runtime.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import TypeVar

import httpx

from openbolt_cloudflare._requests import WorkerRequest, keep_requests_apart
from tests.worker.test_adapter import PATIENCE, until


async def test_a_request_wakes_another_which_goes_on_with_its_own_stream(
    handlers: httpx.AsyncClient,
) -> None:
    async with handlers.stream("GET", "/door/guest") as answer:
        chunks = answer.aiter_raw()
        assert await anext(chunks) == b"guest waits\n"
        await handlers.post("/knock/guest")
        async with asyncio.timeout(PATIENCE):
            assert [chunk async for chunk in chunks] == [b"guest goes in\n"]


async def test_a_request_cancels_anothers_call_which_is_ended(handlers: httpx.AsyncClient) -> None:
    held = asyncio.create_task(handlers.get("/hold/call"))
    while (await handlers.get("/state/call")).json()["sent"] == 0:
        await asyncio.sleep(0.05)
    assert (await handlers.post("/cancel/call")).json() is True
    async with asyncio.timeout(PATIENCE):
        assert (await held).text == "cancelled"
    await until(handlers, "call", closed=1)


async def test_a_step_waits_until_its_own_request_looks_and_steps_keep_their_order() -> None:
    keep_requests_apart(asyncio.get_running_loop())
    own, context = await in_a_request(own_and_context)
    ran = list[str]()
    for text in ("one", "two"):
        await in_a_request(lambda _: leave(context, ran.append, text))  # noqa: B023
    await some_turns()
    assert ran == []
    own.begin(asyncio.sleep(0))
    await own.attend()
    await some_turns()
    assert ran == ["one", "two"]


async def test_a_step_that_is_called_off_meanwhile_never_runs() -> None:
    keep_requests_apart(asyncio.get_running_loop())
    own, context = await in_a_request(own_and_context)
    ran = list[str]()
    handle = await in_a_request(lambda _: leave(context, ran.append, "called off"))
    handle.cancel()
    own.begin(asyncio.sleep(0))
    await own.attend()
    await some_turns()
    assert ran == []


async def test_a_request_takes_its_own_steps_and_those_of_nobody_at_once() -> None:
    loop = asyncio.get_running_loop()
    keep_requests_apart(loop)
    keep_requests_apart(loop)
    ran, nobodys = list[str](), copy_context()

    def take(_: WorkerRequest) -> None:
        leave(copy_context(), ran.append, "own")
        leave(nobodys, ran.append, "nobody's")
        loop.call_soon(ran.append, "here")

    await in_a_request(take)
    await some_turns()
    assert ran == ["own", "nobody's", "here"]


T = TypeVar("T")


async def in_a_request(do: Callable[[WorkerRequest], T]) -> T:
    """Do something in a task that answers a request of its own."""

    async def answer() -> T:
        return do(WorkerRequest())

    return await asyncio.create_task(answer())


def own_and_context(own: WorkerRequest) -> tuple[WorkerRequest, Context]:
    return own, copy_context()


def leave(context: Context, call: Callable[[str], object], text: str) -> asyncio.Handle:
    return asyncio.get_running_loop().call_soon(call, text, context=context)


async def some_turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)

"""A user's own key: their turns are on it from the first call to the last, and it shows nowhere."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from openbolt import Settings
from openbolt.clock import SystemClock
from openbolt.costs import ANTHROPIC_2026_11, Price, PriceTable
from openbolt.model import ModelMessage, ModelRequest
from openbolt.protocols import AtomicKeyValueStore
from openbolt.providers.anthropic import AnthropicProvider
from openbolt.secrets import SecretStore
from openbolt_local import open_dependencies
from openbolt_local.crypto import AesGcmCipher, generate_key
from openbolt_local.files import FileObjectStore
from openbolt_local.memory import MemoryKeyValueStore
from openbolt_local.mocks import AnthropicMock, Reply
from openbolt_local.own_key import OwnKeyProvider
from openbolt_local.sqlite import SQLiteDatabase, SQLiteKeyValueStore, SQLiteLeaseStore
from openbolt_local.sqlite_events import SQLiteEventLog
from tests.chat.driving import KEY, App, artifact, file, frames_of, only, visible
from tests.handlers.building import ByHeader

OWN = "sk-ant-own-hunter2-hunter2"
CIPHER = AesGcmCipher([generate_key()])


@pytest.fixture
def app(make_app: Callable[..., App]) -> App:
    app = make_app()
    app.restart(cipher=CIPHER)
    return app


def secrets_of(app: App) -> SecretStore:
    d = app.dependencies
    return SecretStore(d.kv, CIPHER, d.clock, app.settings)


async def bring(app: App, key: str = OWN, user: str = "local") -> None:
    await secrets_of(app).put(user, "anthropic", key)


def keys_used(app: App) -> list[str]:
    return [request.headers["x-api-key"] for request in app.mock.requests]


def usage(frames: list[Any]) -> dict[str, Any]:
    (part,) = only(frames, "data-usage")
    return dict(part["data"])


async def test_a_turn_is_on_the_users_key_where_there_is_one(app: App) -> None:
    without = usage(await app.chat("[mock:say one]"))
    await bring(app)
    with_own = usage(await app.chat("[mock:say two]"))
    await secrets_of(app).delete("local", "anthropic")
    again = usage(await app.chat("[mock:say three]"))
    assert keys_used(app) == [KEY, OWN, KEY]
    assert with_own["ownKey"] is True
    assert "ownKey" not in without
    assert "ownKey" not in again


async def test_a_stored_message_says_whose_key_it_was_on(app: App) -> None:
    await bring(app)
    response = await app.start("[mock:say hello]")
    await app.read(response)
    await app.drain()
    _, read = await app.call("GET", f"/api/chats/{response.headers.get('x-openbolt-chat')}")
    assert read["messages"][1]["metadata"]["usage"]["ownKey"] is True


async def test_other_secrets_are_not_the_models_key(app: App) -> None:
    await secrets_of(app).put("local", "github", OWN)
    await app.chat("[mock:say hello]")
    assert keys_used(app) == [KEY]


async def test_every_segment_is_on_the_key_that_the_turn_began_with(app: App) -> None:
    await bring(app)
    app.mock.enqueue(
        Reply("one ", stop_reason="max_tokens"),
        Reply(chunks=("two ", "three "), fault="cut after=1"),
        Reply("four", stop_reason="end_turn"),
    )
    frames = await app.chat("Count")
    assert visible(frames).split() == ["one", "two", "four"]
    assert keys_used(app) == [OWN] * 3
    assert usage(frames)["ownKey"] is True


async def test_an_own_key_is_nobody_elses(app: App) -> None:
    app.restart(authenticator=ByHeader())
    await bring(app, user="ann")
    body = {"messages": [{"role": "user", "content": "[mock:say hello]"}]}
    for user in ("bob", "ann"):
        response = await app.open("POST", "/api/chat", body, {"x-test-user": user})
        frames_of(await app.read(response))
    assert keys_used(app) == [KEY, OWN]


async def test_the_enhancer_is_on_it_too(app: App) -> None:
    await app.call("POST", "/api/enhancer", {"message": "a page"})
    await bring(app)
    status, _ = await app.call("POST", "/api/enhancer", {"message": "a page"})
    assert (status, keys_used(app)) == (200, [KEY, OWN])


@pytest.mark.parametrize("status", [401, 403])
async def test_a_key_that_is_refused_is_said_to_be_the_users_own(app: App, status: int) -> None:
    prompt = f"[mock:{status}]"
    chat = {"messages": [{"role": "user", "content": prompt}]}
    enhancer = {"message": prompt}
    for target, body in (("/api/chat", chat), ("/api/enhancer", enhancer)):
        refused, said = await app.call("POST", target, body)
        assert (refused, said["error"]["code"]) == (502, "upstream_error")
    await bring(app)
    for target, body in (("/api/chat", chat), ("/api/enhancer", enhancer)):
        refused, said = await app.call("POST", target, body)
        assert (refused, said["error"]["code"]) == (400, "own_key_refused")
        assert said["error"].keys() == {"code", "message", "requestId"}
        assert "your own API key" in said["error"]["message"]
        assert OWN not in json.dumps(said)
    assert keys_used(app) == [KEY, KEY, OWN, OWN]


async def test_a_turn_on_an_own_key_costs_what_the_real_model_does(app: App) -> None:
    free = PriceTable("mock", {"": Price.of("0", "0", "0")})
    app.restart(prices=free, own_key_prices=ANTHROPIC_2026_11)
    assert float(usage(await app.chat("[mock:say one]"))["costUsd"]) == 0
    await bring(app)
    assert float(usage(await app.chat("[mock:say two]"))["costUsd"]) > 0


async def test_without_prices_of_their_own_the_usual_ones_hold(app: App) -> None:
    costs = [usage(await app.chat("[mock:say one]"))["costUsd"]]
    await bring(app)
    costs.append(usage(await app.chat("[mock:say one]"))["costUsd"])
    assert costs[0] == costs[1] != "0"


class Counting(MemoryKeyValueStore):
    """Counts reads of secrets."""

    reads = 0

    async def get(self, key: str, /) -> bytes | None:
        self.reads += "/secrets/" in key
        return await super().get(key)


@pytest.mark.parametrize("has_key", [False, True])
async def test_the_key_costs_one_read(app: App, has_key: bool) -> None:
    kv = Counting(SystemClock())
    app.restart(kv=kv, atomic=kv)
    if has_key:
        await bring(app)
    kv.reads = 0
    response = await app.start("[mock:say hello]")
    await app.read(response)
    assert kv.reads == 1
    await app.chat("[mock:say again]", id=response.headers.get("x-openbolt-chat"))
    assert kv.reads == 2


async def test_a_turn_that_does_not_begin_leaves_its_read_behind(app: App) -> None:
    await bring(app)
    response = await app.start("[mock:say hello]")
    chat = response.headers.get("x-openbolt-chat")
    await app.read(response)
    lease = await app.dependencies.leases.acquire(f"chat:{chat}", ttl=60)
    assert lease is not None
    refused = await app.start("[mock:say again]", id=chat)
    await app.dependencies.leases.release(lease)
    assert (refused.status, keys_used(app)) == (423, [OWN])


# --- where it must not show -----------------------------------------------------------------


async def durable(app: App, folder: Path, stack: AsyncExitStack) -> AtomicKeyValueStore:
    """Put the application on stores that leave everything on the disk."""
    clock = SystemClock()
    database = await stack.enter_async_context(SQLiteDatabase.open(folder / "db"))
    kv = SQLiteKeyValueStore(database, clock)
    app.restart(
        kv=kv,
        atomic=kv,
        objects=FileObjectStore(folder / "objects"),
        events=await stack.enter_async_context(SQLiteEventLog(database, clock)),
        leases=SQLiteLeaseStore(database, clock),
    )
    return kv


def written_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_the_key_is_in_no_store_stream_or_log(
    app: App, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with AsyncExitStack() as stack:
        await durable(app, tmp_path, stack)
        await bring(app)
        app.mock.enqueue(
            Reply(f"Here. {artifact(file('a.txt', 'text'))} ", stop_reason="max_tokens"),
            Reply(chunks=("and ", "more "), fault="cut after=1"),
            Reply("Done.", stop_reason="end_turn"),
        )
        response = await app.start("Build")
        streamed = await app.read(response)
        await app.drain()
        chat = response.headers.get("x-openbolt-chat")
        read = [
            streamed,
            await app.read(await app.open("GET", f"/api/chats/{chat}")),
            await app.read(await app.open("GET", f"/api/chat/{chat}/stream")),
            await app.read(await app.open("GET", "/api/secrets")),
            await app.read(await app.open("POST", "/api/enhancer", {"message": "[mock:401]"})),
            repr(response.headers.items).encode(),
        ]
    stored = written_below(tmp_path)
    assert b"Here. " in stored
    assert keys_used(app) == [OWN] * 4
    for data in (stored, b"".join(read), caplog.text.encode()):
        assert OWN.encode() not in data
        assert b"hunter2" not in data
    assert "on the user's own key" in caplog.text


async def test_a_turn_that_a_crash_cut_off_leaves_no_key_behind(app: App, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        await durable(app, tmp_path, stack)
        await bring(app)
        app.mock.enqueue(Reply(chunks=("one ", "two ", "three"), fault="stall after=2"))
        response = await app.start("Go on")
        assert not isinstance(response.body, bytes)
        async for chunk in response.body:
            if b"two" in chunk:
                break
        stored = written_below(tmp_path)  # as a crash here would leave it
        await response.body.aclose()
        await app.drain()
    assert keys_used(app) == [OWN]
    assert b"Go on" in stored
    assert b"hunter2" not in stored + written_below(tmp_path)


def test_a_request_shows_no_key() -> None:
    request = ModelRequest("m", (ModelMessage.text("user", "Hi"),), 10, api_key=OWN)
    assert OWN not in f"{request!r} {request} {evolve(request, max_tokens=5)!r}"


# --- the local server without a key of its own ---------------------------------------------------


async def test_own_keys_go_past_the_stand_in_to_the_real_provider(mock: AnthropicMock) -> None:
    """The stand-in is one mock here, the real provider another."""
    async with AnthropicMock() as real:
        standing_in = AnthropicProvider(api_key="mock", base_url=mock.url)
        direct = AnthropicProvider(api_key="", base_url=real.url)
        provider = OwnKeyProvider(standing_in, direct)
        request = ModelRequest("m", (ModelMessage.text("user", "[mock:say hi]"),), 100)
        for each in (request, evolve(request, api_key=OWN), request):
            async with provider.stream(each) as batches:
                async for _ in batches:
                    pass
        await standing_in.aclose()
        await direct.aclose()
        assert [r.headers["authorization"] for r in mock.requests] == ["Bearer mock"] * 2
        assert [r.headers["authorization"] for r in real.requests] == [f"Bearer {OWN}"]


async def test_the_local_server_sends_own_keys_to_the_real_api() -> None:
    settings = Settings(kv="memory", objects="memory")
    async with open_dependencies(settings) as d:
        assert isinstance(d.provider, OwnKeyProvider)
        assert repr(d.provider.own) == "AnthropicProvider(base_url='https://api.anthropic.com')"
        assert "127.0.0.1" in repr(d.provider.default)
        assert d.own_key_prices == ANTHROPIC_2026_11 != d.prices
        assert d.cipher is not None

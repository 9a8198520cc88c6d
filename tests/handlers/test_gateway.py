"""The model gateway: the official SDK with a token of ours, money, models, origins, and the key."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import anthropic
import pytest
from attrs import evolve

from openbolt import Dependencies, OpenBolt
from openbolt.costs import ANTHROPIC_2026_11, Usage
from openbolt.graph import Graph
from openbolt.hidden import Hidden
from openbolt.limiting import RateLimits
from openbolt.projects.store import ProjectStore
from openbolt.proxy.app_token_handler import AppTokenData
from openbolt.proxy.app_tokens import AppTokens
from openbolt.proxy.gateway import ModelEndpoint
from openbolt.secrets import SecretStore
from openbolt.senders.aiohttp import AiohttpSender
from openbolt.settings import Settings
from openbolt.testing import ManualClock, PlainCipher
from openbolt.testing.scripted import Exchange, scripted_server
from openbolt_local.memory import MemoryKeyValueStore
from openbolt_local.memory_limits import MemoryRateLimiter
from openbolt_local.mocks import AnthropicMock, InputUsage, Reply
from tests.handlers.building import Answer, Caller
from tests.handlers.scoping import ByHeaders
from tests.proxy.serving import Served, served

KEY = "sk-ant-operators-0123456789"
OWN = "sk-ant-anns-own-0123456789"
MODEL = "claude-sonnet-5-5"
USER = {"role": "user", "content": "Build a todo list"}
MESSAGES = "/api/proxy/anthropic/v1/messages"
CALL = {"model": MODEL, "max_tokens": 1000, "messages": [USER]}


@pytest.fixture
def settings() -> Settings:
    limits = ("tokens=1000000/1h", "spend=1000000/1h")
    return Settings(model=MODEL, max_tokens=64_000, rate_limits=limits)


@pytest.fixture(params=["heads in kv", "heads in objects"])
def dependencies(
    request: pytest.FixtureRequest,
    dependencies: Dependencies,
    mock: AnthropicMock,
    sender: AiohttpSender,
    clock: ManualClock,
) -> Dependencies:
    limiter = MemoryRateLimiter(clock)
    return evolve(
        dependencies,
        atomic=dependencies.atomic if request.param == "heads in kv" else None,
        authenticator=ByHeaders(),
        sender=sender,
        model_endpoint=ModelEndpoint(mock.url, Hidden(KEY)),
        cipher=PlainCipher(),
        limiter=limiter,
        accounting=limiter,
    )


@pytest.fixture
def app_tokens(graph: Graph) -> AppTokens:
    return graph.app_tokens


@pytest.fixture
def limits(graph: Graph) -> RateLimits:
    assert graph.limits is not None
    return graph.limits


@pytest.fixture
def secrets(graph: Graph) -> SecretStore:
    assert graph.secrets is not None
    return graph.secrets


Made = Callable[..., Coroutine[Any, Any, dict[str, Any]]]


@pytest.fixture
async def made(call: Caller, projects: ProjectStore) -> Made:
    """Makes a token for Ann's project."""
    await projects.create("shop", "ann", "Shop")

    async def make(**fields: Any) -> dict[str, Any]:
        answer = await call("POST", "/api/projects/shop/app-tokens", json=fields)
        assert answer.status == 201, answer.text
        said: dict[str, Any] = answer.json
        return said

    return make


@pytest.fixture
async def site(app: OpenBolt) -> AsyncIterator[Served]:
    """The application on a port."""
    async with served(app) as site:
        yield site


@asynccontextmanager
async def sdk(site: Served, **credentials: str) -> AsyncIterator[anthropic.AsyncAnthropic]:
    base_url = f"{site.url}/api/proxy/anthropic"
    async with anthropic.AsyncAnthropic(base_url=base_url, max_retries=0, **credentials) as client:
        yield client


async def asked(call: Caller, token: str | None, /, **changes: Any) -> Answer:
    fields = {"x-api-key": token} if token else {}
    user = None if token else "ann"
    return await call("POST", MESSAGES, json={**CALL, **changes}, headers=fields, user=user)


async def spent(call: Caller) -> dict[str, Any]:
    answer = await call("GET", "/api/projects/shop/app-tokens")
    row: dict[str, Any] = answer.json["appTokens"][0]
    return row


def cost(usage: Any) -> Decimal:
    counted = Usage(
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_input_tokens or 0,
        usage.cache_creation_input_tokens or 0,
    )
    found = ANTHROPIC_2026_11.cost(MODEL, counted)
    assert found is not None
    return found


# The SDK


@pytest.mark.parametrize("credential", ["api_key", "auth_token"])
async def test_the_official_sdk_works_with_a_token_and_our_address(
    site: Served, made: Made, call: Caller, mock: AnthropicMock, credential: str
) -> None:
    token = (await made())["token"]
    async with sdk(site, **{credential: token}) as client:
        whole = await client.messages.create(model=MODEL, max_tokens=9000, messages=[USER])
        async with client.messages.stream(model=MODEL, max_tokens=9000, messages=[USER]) as stream:
            pieces = [piece async for piece in stream.text_stream]
            streamed = await stream.get_final_message()
        counted = await client.messages.count_tokens(model=MODEL, messages=[USER])
        models = [model.id async for model in client.models.list()]
    assert streamed.content[0].text == whole.content[0].text == "".join(pieces)
    assert len(pieces) > 3
    assert counted.input_tokens == whole.usage.input_tokens
    assert models == [MODEL]
    for seen in mock.requests:
        assert seen.headers["x-api-key"] == KEY
        assert token not in f"{seen.headers}{seen.body!r}"
        assert "authorization" not in seen.headers
    row = await spent(call)
    assert Decimal(row["spentUsd"]) == cost(whole.usage) + cost(streamed.usage)
    assert row["reservedUsd"] == "0"


async def test_the_sdk_raises_its_own_errors(site: Served, made: Made) -> None:
    token = (await made(maxUsd="0.000001"))["token"]
    async with sdk(site, api_key=token) as client:
        with pytest.raises(anthropic.BadRequestError, match="model: must be one of"):
            await client.messages.create(model="other", max_tokens=10, messages=[USER])
        refused = {"role": "user", "content": "[mock:429]"}
        with pytest.raises(anthropic.RateLimitError):
            await client.messages.create(model=MODEL, max_tokens=10, messages=[refused])
        await client.messages.create(model=MODEL, max_tokens=10, messages=[USER])
        with pytest.raises(anthropic.APIStatusError) as over:
            await client.messages.create(model=MODEL, max_tokens=10, messages=[USER])
    assert over.value.status_code == 402
    async with sdk(site, api_key=f"obt_{'a' * 52}") as client:
        with pytest.raises(anthropic.AuthenticationError):
            await client.messages.create(model=MODEL, max_tokens=10, messages=[USER])


async def test_a_stream_that_breaks_ends_in_an_error_that_the_sdk_raises(
    site: Served, made: Made
) -> None:
    token = (await made())["token"]
    async with sdk(site, api_key=token) as client:
        for fault in ("cut", "eof", "reset"):
            broken = {"role": "user", "content": f"[mock:{fault} after=2] Build a timer"}
            with pytest.raises(anthropic.APIStatusError, match="broke off"):
                async with client.messages.stream(
                    model=MODEL, max_tokens=900, messages=[broken]
                ) as stream:
                    await stream.get_final_message()


# Money


async def test_a_spent_budget_is_a_402_and_costs_nothing_more(
    call: Caller, made: Made, mock: AnthropicMock
) -> None:
    token = (await made(maxUsd="0.001"))["token"]
    statuses = [(await asked(call, token)).status for _ in range(4)]
    answered = statuses.index(402)
    assert statuses == [200] * answered + [402] * (4 - answered)
    assert 1 <= answered < 4
    assert len(mock.requests) == answered
    assert Decimal((await spent(call))["spentUsd"]) >= Decimal("0.001")


async def test_calls_at_once_overspend_by_one_calls_cap_at_most(
    call: Caller, made: Made, mock: AnthropicMock
) -> None:
    token = (await made(maxUsd="0.05"))["token"]
    # 4,000 tokens of output are USD 0.04: the second call finds 0.01 left, the third nothing.
    answers = await asyncio.gather(*(asked(call, token, max_tokens=4000) for _ in range(20)))
    statuses = sorted(answer.status for answer in answers)
    assert statuses == [200] * 2 + [402] * 18
    row = await spent(call)
    assert (row["reservedUsd"], len(mock.requests)) == ("0", 2)
    assert (await asked(call, token, max_tokens=4000)).status == 200, "what wasn't used is free"


async def test_a_client_that_leaves_has_used_what_it_received(
    call: Caller, made: Made, mock: AnthropicMock
) -> None:
    token = (await made())["token"]
    mock.enqueue(Reply("word " * 4000, fault="stall after=100", input_usage=InputUsage(1000)))
    fields = {"x-api-key": token}
    body = {**CALL, "max_tokens": 64_000, "stream": True}
    response = await call.send("POST", MESSAGES, json=body, headers=fields, user=None)
    assert not isinstance(response.body, bytes)
    received = 0
    async for chunk in response.body:
        received += chunk.count(b"text_delta")
        if received >= 100:
            break
    assert Decimal((await spent(call))["reservedUsd"]) > Decimal("0.6")
    await response.body.aclose()
    row = await spent(call)
    at_least = Decimal(1000 * 2 + 100 * 2 * 10) / 1_000_000
    assert at_least <= Decimal(row["spentUsd"]) <= 3 * at_least
    assert row["reservedUsd"] == "0"
    async with asyncio.timeout(5):
        while mock.open_streams:
            await asyncio.sleep(0.005)
    assert mock.streams[-1].ended == "client-gone"


async def test_a_client_that_leaves_before_the_answer_has_used_what_it_asked(
    site: Served, call: Caller, made: Made, mock: AnthropicMock, app_tokens: AppTokens
) -> None:
    token = (await made())["token"]
    text = "[mock:529 delay=600] " + "x" * 4000
    body = json.dumps({**CALL, "messages": [{"role": "user", "content": text}]}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(
        f"POST {MESSAGES} HTTP/1.1\r\nhost: localhost\r\nx-api-key: {token}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        + body
    )
    async with asyncio.timeout(5):
        while not mock.requests:
            await asyncio.sleep(0.005)
        writer.close()
        while (await app_tokens.list("ann"))[0].holds:
            await asyncio.sleep(0.005)
    assert Decimal((await spent(call))["spentUsd"]) >= Decimal(1000 * 2) / 1_000_000
    assert await reader.read() == b""


@pytest.mark.parametrize("content", ["[mock:400]", "[mock:500]", "[mock:529]"])
async def test_what_the_model_refused_costs_nothing(call: Caller, made: Made, content: str) -> None:
    token = (await made())["token"]
    answer = await asked(call, token, messages=[{"role": "user", "content": content}])
    assert answer.status in {400, 502, 503}
    row = await spent(call)
    assert (row["spentUsd"], row["reservedUsd"]) == ("0", "0")


async def test_a_call_that_is_never_settled_counts_as_spent(
    call: Caller, made: Made, app_tokens: AppTokens, clock: ManualClock
) -> None:
    token = (await made(maxUsd="0.5"))["token"]
    bearer = await app_tokens.bearer(token)
    assert bearer is not None
    name = await app_tokens.reserve(bearer, Decimal("0.3"), seconds=100)
    assert (await spent(call))["reservedUsd"] == "0.3"
    await clock.advance(101)
    row = await spent(call)
    assert (row["spentUsd"], row["reservedUsd"]) == ("0.3", "0")
    await app_tokens.reserve(bearer, Decimal("0.1"), seconds=100)
    await app_tokens.settle(bearer, name, Decimal("0.2"))
    assert (await spent(call))["spentUsd"] == "0.3", "it is counted once"


async def test_what_an_app_uses_counts_for_its_owners_limits(
    call: Caller, made: Made, limits: RateLimits
) -> None:
    token = (await made())["token"]
    await asked(call, token)
    for policy in limits.named(["tokens", "spend"]):
        decision = await limits.limiter.acquire("user:ann", policy, 0)
        assert decision.remaining is not None
        assert decision.remaining < 1_000_000 - 100, policy.name


async def test_a_model_without_a_price_cannot_be_called_with_a_budget(
    dependencies: Dependencies, settings: Settings, made: Made
) -> None:
    token = (await made(models=[MODEL]))["token"]
    unpriced = evolve(dependencies, prices=evolve(ANTHROPIC_2026_11, prices={}))
    answer = await asked(Caller(OpenBolt(unpriced, settings)), token)
    assert answer.error == (400, "invalid_request", "model")


# Keys


async def test_the_owners_own_key_goes_before_the_operators(
    call: Caller, made: Made, secrets: SecretStore, mock: AnthropicMock
) -> None:
    token = (await made())["token"]
    await secrets.put("ann", "anthropic", OWN)
    assert (await asked(call, token)).status == 200
    assert (await asked(call, None)).status == 200
    assert [seen.headers["x-api-key"] for seen in mock.requests] == [OWN, OWN]


@pytest.mark.parametrize("stream", [True, False])
async def test_the_key_is_in_no_answer_and_no_log(
    dependencies: Dependencies,
    settings: Settings,
    made: Made,
    caplog: pytest.LogCaptureFixture,
    stream: bool,
) -> None:
    caplog.set_level(logging.DEBUG)
    token = (await made())["token"]

    async def echo(exchange: Exchange) -> None:
        key = exchange.headers.get("x-api-key")
        said = {"error": {"type": "invalid_request_error", "message": f"bad key {key}"}}
        status = 400 if len(server.exchanges) == 1 else 200
        body = json.dumps(said if status == 400 else {"id": key, "usage": {}}).encode()
        await exchange.answer(status, {"request-id": "req_1", "x-echo": key or ""}, body)

    async with scripted_server() as server:
        server.script = echo
        endpoint = ModelEndpoint(server.url(), Hidden(KEY))
        other = evolve(dependencies, model_endpoint=endpoint)
        call = Caller(OpenBolt(other, settings))
        refused = await asked(call, token, stream=stream)
        passed = await asked(call, token, stream=stream)
        assert server.exchanges[1].headers.get("x-api-key") == KEY
    assert refused.error == (400, "refused_by_model", None)
    assert "bad key [redacted]" in refused.text
    assert passed.status == 200
    for answer in (refused, passed):
        assert KEY not in f"{answer}"
    assert KEY not in caplog.text
    assert token not in caplog.text
    assert KEY not in f"{other!r}{Graph.of(other, settings).gateway!r}"


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        ("[mock:401]", 502, "upstream_error"),
        ("[mock:403]", 502, "upstream_error"),
        ("[mock:429 retry-after=7]", 429, "upstream_rate_limited"),
        ("[mock:529]", 503, "upstream_overloaded"),
        ("[mock:500]", 502, "upstream_error"),
        ("[mock:content-type=text/html]", 200, ""),
    ],
)
async def test_what_the_model_says_becomes_our_status(
    call: Caller, made: Made, content: str, status: int, code: str
) -> None:
    token = (await made())["token"]
    answer = await asked(call, token, messages=[{"role": "user", "content": content}])
    assert answer.status == status
    if status == 200:
        assert answer.headers.get("content-type") == "application/json"
    else:
        assert answer.error == (status, code, None)
    if status == 429:
        assert answer.headers.get("retry-after") == "7"


# What may be asked

REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("model", {"model": "claude-opus-5-5"}),
    ("model", {"model": 7}),
    ("max_tokens", {"max_tokens": 64_001}),
    ("max_tokens", {"max_tokens": 0}),
    ("max_tokens", {"max_tokens": True}),
    ("stream", {"stream": "yes"}),
    ("service_tier", {"service_tier": "priority"}),
    ("mcp_servers", {"mcp_servers": []}),
    ("container", {"container": "x"}),
    ("speed", {"speed": "fast"}),
    ("tools", {"tools": {}}),
    ("tools[0].type", {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
    ("tools[1].type", {"tools": [{"name": "own", "input_schema": {}}, {"type": "code_execution"}]}),
]


@pytest.mark.parametrize(("field", "changes"), REFUSED)
async def test_what_could_cost_what_nothing_counts_is_refused_and_named(
    call: Caller, made: Made, mock: AnthropicMock, field: str, changes: dict[str, Any]
) -> None:
    token = (await made())["token"]
    answer = await asked(call, token, **changes)
    assert answer.error == (400, "invalid_request", field)
    assert len(mock.requests) == 0


async def test_of_a_name_that_stands_twice_only_what_was_checked_is_sent(
    call: Caller, made: Made, mock: AnthropicMock
) -> None:
    token = (await made())["token"]
    twice = json.dumps(CALL).replace("{", '{"model": "claude-opus-4-1", ', 1).encode()
    fields = {"x-api-key": token, "content-type": "application/json"}
    answer = await call("POST", MESSAGES, content=twice, headers=fields, user=None)
    assert answer.status == 200
    assert mock.requests[0].body.count(b'"model"') == 1
    assert mock.requests[0].json["model"] == MODEL


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"\xff", b'{"top_p": NaN}', b'{"top_p": 1e999}', b"[" * 100_000,
     b'{"messages":' + b"[" * 5000 + b"]" * 5000 + b"}"],
)  # fmt: skip
async def test_what_is_no_json_is_refused(
    call: Caller, made: Made, mock: AnthropicMock, body: bytes
) -> None:
    token = (await made())["token"]
    fields = {"x-api-key": token, "content-type": "application/json"}
    answer = await call("POST", MESSAGES, content=body, headers=fields, user=None)
    assert answer.status == 400
    form = {**fields, "content-type": "text/plain"}
    assert (await call("POST", MESSAGES, content=body, headers=form, user=None)).status == 415
    assert len(mock.requests) == 0


async def test_priced_betas_are_not_passed_on(
    call: Caller, made: Made, mock: AnthropicMock
) -> None:
    token = (await made())["token"]
    fields = {"x-api-key": token, "anthropic-beta": "fast-mode", "anthropic-version": "2023-06-01"}
    await call("POST", MESSAGES, json=CALL, headers=fields, user=None)
    seen = mock.requests[0].headers
    assert "anthropic-beta" not in seen
    assert seen["anthropic-version"] == "2023-06-01"


# Who may ask


async def test_users_call_it_too_and_keys_with_the_scope(call: Caller) -> None:
    assert (await asked(call, None)).status == 200
    for held, status in (("proxy", 200), ("chat projects admin", 403)):
        answer = await call("POST", MESSAGES, json=CALL, headers={"x-test-scopes": held})
        assert answer.status == status
    assert (await call("POST", MESSAGES, json=CALL, user=None)).status == 401


async def test_a_token_opens_nothing_but_the_gateway(call: Caller, made: Made) -> None:
    token = (await made())["token"]
    for fields in ({"x-api-key": token}, {"authorization": f"Bearer {token}"}):
        for line in ("GET /api/projects/shop/app-tokens", "POST /api/projects/shop/app-tokens"):
            method, target = line.split()
            answer = await call(method, target, headers=fields, user=None)
            assert answer.status == 401, line
        other = await call("GET", "/api/proxy/anthropic/v1/files", headers=fields, user=None)
        assert other.status == 404


async def test_a_token_is_worthless_once_it_is_over(
    call: Caller, made: Made, projects: ProjectStore, clock: ManualClock
) -> None:
    revoked, expired, orphaned = [await made(expiresIn=600 if n == 1 else 7200) for n in range(3)]
    target = f"/api/projects/shop/app-tokens/{revoked['id']}"
    assert (await call("DELETE", target)).status == 204
    assert (await call("DELETE", target)).status == 404
    assert (await asked(call, revoked["token"])).error == (401, "unauthenticated", None)
    assert (await asked(call, expired["token"])).status == 200
    await clock.advance(601)
    assert (await asked(call, expired["token"])).error == (401, "unauthenticated", None)
    assert (await asked(call, orphaned["token"])).status == 200
    await projects.delete("shop", owner="ann")
    assert (await asked(call, orphaned["token"])).error == (401, "unauthenticated", None)
    await projects.create("shop", "ann", "Another")
    assert (await asked(call, orphaned["token"])).error == (401, "unauthenticated", None)


@pytest.mark.parametrize(
    "text",
    ["obt_", f"obt_{'a' * 51}", f"obt_{'a' * 53}", f"obt_{'A' * 52}", f"obt_{'a' * 52}",
     f"obt_{'a' * 51}\N{KELVIN SIGN}", "obt_../../user:ann/profile"],
)  # fmt: skip
async def test_what_is_no_token_is_refused_alike(call: Caller, made: Made, text: str) -> None:
    await made()
    assert (await asked(call, text)).error == (401, "unauthenticated", None)


async def test_two_credentials_are_none(call: Caller, made: Made) -> None:
    first, second = (await made())["token"], (await made())["token"]
    fields = {"x-api-key": first, "authorization": f"Bearer {second}"}
    answer = await call("POST", MESSAGES, json=CALL, headers=fields, user="ann")
    assert answer.error == (401, "unauthenticated", None)


# Tokens over HTTP


async def test_a_token_is_shown_once(call: Caller, made: Made, kv: MemoryKeyValueStore) -> None:
    first = await made(name="  the   shop ", models=[MODEL], maxUsd="0.50", expiresIn=60)
    assert first["token"].startswith("obt_")
    assert first["baseUrl"] == "/api/proxy/anthropic"
    assert (first["name"], first["models"], first["maxUsd"]) == ("the shop", [MODEL], "0.50")
    listed = await call("GET", "/api/projects/shop/app-tokens")
    assert [row["id"] for row in listed.json["appTokens"]] == [first["id"]]
    assert first["token"] not in listed.text
    stored = [key async for key in kv.scan("user:ann/")]
    values = [await kv.get(key) for key in stored]
    assert first["token"] not in f"{stored}{values}"


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("maxUsd", {"maxUsd": "0"}),
        ("maxUsd", {"maxUsd": "-1"}),
        ("maxUsd", {"maxUsd": "NaN"}),
        ("maxUsd", {"maxUsd": "1e9"}),
        ("maxUsd", {"maxUsd": 1}),
        ("expiresIn", {"expiresIn": 59}),
        ("expiresIn", {"expiresIn": 1e12}),
        ("models", {"models": []}),
        ("models", {"models": [""]}),
        ("name", {"name": "x" * 101}),
    ],
)
async def test_what_is_wrong_with_a_wish_is_named(
    call: Caller, made: Made, field: str, body: dict[str, Any]
) -> None:
    answer = await call("POST", "/api/projects/shop/app-tokens", json=body)
    assert answer.error == (400, "invalid_request", field)


async def test_only_the_projects_owner_has_its_tokens(call: Caller, made: Made) -> None:
    token = await made()
    below = "/api/projects/shop/app-tokens"
    for method, target in (("GET", below), ("POST", below), ("DELETE", f"{below}/{token['id']}")):
        answer = await call(method, target, json={} if method == "POST" else None, user="bob")
        assert answer.error == (404, "not_found", None), method
    for held in ("projects", "proxy", "chat admin"):
        answer = await call("GET", below, headers={"x-test-scopes": held})
        assert answer.error == (403, "scope_missing", None), held
    assert (await call("GET", below, headers={"x-test-scopes": "projects proxy"})).status == 200


async def test_a_user_has_so_many_tokens(call: Caller, made: Made, clock: ManualClock) -> None:
    for _ in range(100):
        await made(expiresIn=60)
        await clock.advance(0.5)
    full = await call("POST", "/api/projects/shop/app-tokens", json={})
    assert full.error == (409, "too_many_app_tokens", None)
    await clock.advance(60)
    assert (await call("POST", "/api/projects/shop/app-tokens", json={})).status == 201
    assert len((await call("GET", "/api/projects/shop/app-tokens")).json["appTokens"]) == 1


async def test_an_account_takes_its_tokens_along(
    call: Caller, made: Made, app_tokens: AppTokens
) -> None:
    token = (await made(name="mine"))["token"]
    data = AppTokenData(app_tokens)
    files = [file async for file in data.export("ann")]
    assert [file.path for file in files] == ["app-tokens.json"]
    assert token.encode() not in bytes(files[0].data)
    assert b'"mine"' in bytes(files[0].data)
    assert await data.erase("ann") == 1
    assert await data.erase("ann") == 0
    assert (await asked(call, token)).status == 401
    assert [file async for file in data.export("ann")] == []


# Pages of apps

PREVIEWS = ["null", "http://token.localhost:8787", "https://token.preview.example"]


@pytest.mark.parametrize("origin", PREVIEWS)
async def test_a_previewed_page_calls_with_its_token_and_reads_the_answer(
    call: Caller, made: Made, origin: str
) -> None:
    token = (await made())["token"]
    asked_for = "content-type, x-api-key, anthropic-version, x-stainless-lang"
    question = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": asked_for,
    }
    preflight = await call("OPTIONS", MESSAGES, headers=question, user=None)
    assert preflight.status == 204
    assert preflight.headers.get("access-control-allow-headers") == asked_for
    fields = {"origin": origin, "sec-fetch-site": "cross-site", "x-api-key": token}
    answer = await call("POST", MESSAGES, json=CALL, headers=fields, user=None)
    refused = await call(
        "POST", MESSAGES, json={}, headers={**fields, "x-api-key": "obt_x"}, user=None
    )
    assert (answer.status, refused.status) == (200, 401)
    for each in (preflight, answer, refused):
        assert each.headers.get_all("access-control-allow-origin") == ("*",)
        assert "access-control-allow-credentials" not in each.headers


@pytest.mark.parametrize("origin", PREVIEWS)
async def test_without_a_token_no_page_calls_in_a_visitors_name(
    call: Caller, mock: AnthropicMock, origin: str
) -> None:
    """The visitor is signed in, as a cookie would have it."""
    fields = {"origin": origin, "sec-fetch-site": "cross-site"}
    answer = await call("POST", MESSAGES, json=CALL, headers=fields, user="ann")
    assert answer.error == (403, "cross_origin", None)
    assert "access-control-allow-origin" not in answer.headers
    question = {**fields, "access-control-request-method": "POST"}
    preflight = await call("OPTIONS", MESSAGES, headers=question, user="ann")
    assert "access-control-allow-origin" not in preflight.headers
    assert len(mock.requests) == 0


async def test_a_token_counts_for_its_owner_also_in_anothers_browser(
    call: Caller, made: Made, secrets: SecretStore, mock: AnthropicMock
) -> None:
    token = (await made())["token"]
    await secrets.put("bob", "anthropic", OWN)
    fields = {"origin": "null", "x-api-key": token}
    answer = await call("POST", MESSAGES, json=CALL, headers=fields, user="bob")
    assert answer.status == 200
    assert mock.requests[0].headers["x-api-key"] == KEY, "Bob's key is not touched"


async def test_an_apps_calls_are_under_the_models_rate(
    dependencies: Dependencies, settings: Settings, made: Made
) -> None:
    token = (await made())["token"]
    call = Caller(OpenBolt(dependencies, evolve(settings, rate_limits=("model=2/60",))))
    statuses = [(await asked(call, token)).status for _ in range(3)]
    assert statuses == [200, 200, 429]
    refused = await asked(call, token)
    assert refused.headers.get("access-control-allow-origin") == "*"
    assert refused.headers.get("retry-after") == "30"

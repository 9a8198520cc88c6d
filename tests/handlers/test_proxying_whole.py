"""Proxies, gateway and app tokens in the whole application, where people sign in: who gets where,
with what, and what goes out of it."""

from __future__ import annotations

import base64
import io
import json
import re
import zipfile
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import pytest
from attrs import evolve, frozen

from openbolt import Dependencies, OpenBolt, Settings
from openbolt.access import LocalUser, SharedPassword
from openbolt.auth.github import GitHub
from openbolt.graph import Graph
from openbolt.hidden import Hidden
from openbolt.projects.store import ProjectStore
from openbolt.proxy.gateway import ModelEndpoint
from openbolt.routing import ANY
from openbolt.senders.aiohttp import AiohttpSender
from openbolt.testing import ManualClock, PlainCipher
from openbolt.testing.scripted import Exchange, ScriptedServer
from openbolt_local import open_dependencies
from openbolt_local.memory import MemoryRateLimiter
from openbolt_local.mocks import AnthropicMock
from tests.handlers.building import Answer, Caller
from tests.security.ssrf_network import StandInResolver

KEY, OWN = "sk-ant-operators-0123456789", "sk-ant-anns-own-0123456789"
MODEL = "claude-sonnet-5-5"
MESSAGES = "/api/proxy/anthropic/v1/messages"
CALL = {"model": MODEL, "max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}]}
TOKENS = "/api/projects/shop/app-tokens"
PAGES = "https://pages.example"
FOREIGN = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
ADVERTISED = {"content-type": "application/x-git-upload-pack-advertisement"}
BASIC = "Basic " + base64.b64encode(b"x-access-token:ghp_example").decode()


@pytest.fixture
def upstream(upstream: ScriptedServer) -> ScriptedServer:
    """An upstream and a git host in one."""

    async def script(exchange: Exchange) -> None:
        await exchange.answer(200, ADVERTISED if "git-upload-pack" in exchange.target else {})

    upstream.script = script
    return upstream


@pytest.fixture
def settings(upstream: ScriptedServer) -> Settings:
    return Settings(
        model=MODEL,
        upstreams=json.dumps({"up": {"url": upstream.url(), "methods": ["GET", "POST"]}}),
        git_hosts=(upstream.url(),),
        trusted_origins=(PAGES,),
    )


@pytest.fixture
def dependencies(
    dependencies: Dependencies, mock: AnthropicMock, sender: AiohttpSender
) -> Dependencies:
    return evolve(
        dependencies,
        cipher=PlainCipher(),
        sender=sender,
        resolver=StandInResolver(default=["127.0.0.1"]),
        model_endpoint=ModelEndpoint(mock.url, Hidden(KEY)),
        identity_providers=(GitHub("id", "secret"),),
    )


@frozen
class People:
    """What browsers of people and programs of theirs send."""

    graph: Graph

    async def browser(self, user: str = "ann") -> dict[str, str]:
        token, _ = await self.graph.sessions.start(user)
        return {"cookie": f"openbolt-session={token}"}


@pytest.fixture
def people(graph: Graph) -> People:
    return People(graph)


Made = Callable[..., Coroutine[Any, Any, dict[str, Any]]]


@pytest.fixture
async def made(call: Caller, people: People, projects: ProjectStore) -> Made:
    """Makes a token for Ann's project."""
    await projects.create("shop", "ann", "Shop")
    ann = await people.browser()

    async def make(**fields: Any) -> dict[str, Any]:
        answer = await call("POST", TOKENS, json=fields, user=None, headers=ann)
        assert answer.status == 201, answer.text
        said: dict[str, Any] = answer.json
        return said

    return make


def with_token(token: str) -> list[dict[str, str]]:
    """The two ways in which the SDK sends it."""
    return [{"x-api-key": token}, {"authorization": f"Bearer {token}"}]


async def asked(call: Caller, headers: Mapping[str, str], /, **options: Any) -> Answer:
    return await call("POST", MESSAGES, json=CALL, user=None, headers=headers, **options)


def refs(server: ScriptedServer) -> str:
    host = f"127.0.0.1:{server.port}"
    return f"/api/git/{host}/owner/repo.git/info/refs?service=git-upload-pack"


# App tokens


async def test_a_token_calls_the_model_in_both_fields_whatever_cookie_is_beside_it(
    call: Caller, made: Made, people: People, mock: AnthropicMock
) -> None:
    token = (await made())["token"]
    stale = {"cookie": "openbolt-session=gone"}
    for cookie in ({}, stale, await people.browser("bob")):
        for fields in with_token(token):
            answer = await asked(call, {**fields, **cookie})
            assert (answer.status, answer.json["type"]) == (200, "message")
            assert "set-cookie" not in answer.headers
            assert answer.headers.get("x-content-type-options") == "nosniff"
            assert answer.headers.get("x-request-id")
    assert len(mock.requests) == 6
    for request in mock.requests:
        assert request.headers["x-api-key"] == KEY
        assert {"cookie", "authorization"}.isdisjoint(request.headers)
        assert token not in f"{request.headers}{request.body!r}"


async def test_a_budget_ends_and_its_owner_sees_what_was_spent(
    call: Caller, made: Made, people: People, mock: AnthropicMock
) -> None:
    token = (await made(maxUsd="0.000001"))["token"]
    answers = [await asked(call, fields) for fields in with_token(token)]
    assert [answer.status for answer in answers] == [200, 402]
    assert answers[1].error == (402, "budget_exceeded", None)
    assert len(mock.requests) == 1
    listed = await call("GET", TOKENS, user=None, headers=await people.browser())
    assert float(listed.json["appTokens"][0]["spentUsd"]) > 0.000001


async def test_a_token_is_revoked_by_its_owner_and_nobody_else(
    call: Caller, made: Made, people: People, projects: ProjectStore
) -> None:
    token = await made()
    await projects.create("his", "bob", "Bob's")
    await projects.create("other", "ann", "Another of Ann's")
    for user, project, status, after in (
        ("bob", "shop", 404, 200),
        ("bob", "his", 404, 200),
        ("ann", "other", 404, 200),
        ("ann", "shop", 204, 401),
        ("ann", "shop", 404, 401),
    ):
        target = f"/api/projects/{project}/app-tokens/{token['id']}"
        answer = await call("DELETE", target, user=None, headers=await people.browser(user))
        assert answer.status == status, (user, project)
        for fields in with_token(token["token"]):
            assert (await asked(call, fields)).status == after, (user, project)


async def test_on_every_other_route_a_token_is_worth_nothing(
    app: OpenBolt, call: Caller, made: Made
) -> None:
    """Nobody is let in by it, and where anybody is, it says nothing."""
    token = (await made())["token"]
    others = [route for route in app.routes if "/api/proxy/anthropic/" not in route.template]
    assert len(others) == len(app.routes) - 3 > 45
    refused = 0
    given = {"id": "shop", "upstream": "up", "host": "github.com"}
    for route in others:
        target = re.sub(r"\{(\w+)[^}]*\}", lambda m: given.get(m[1], "x"), route.template)
        methods = ("GET", "POST") if route.method == ANY else (route.method,)
        for method in methods:
            body = None if method == "GET" else {}
            nobodys = await call(method, target, json=body, user=None)
            for fields in with_token(token):
                answer = await call(method, target, json=body, user=None, headers=fields)
                assert token not in answer.text
                if answer.status in {401, 403, 404}:
                    refused += 1
                    continue
                told, same = (_unnumbered(a) for a in (answer, nobodys))
                assert told == same, f"{method} {target}"
    assert refused > 80


def _unnumbered(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.text.replace(answer.headers.get("x-request-id") or "", "")


async def test_beside_a_session_a_token_as_bearer_is_no_key(
    call: Caller, made: Made, people: People
) -> None:
    token = (await made())["token"]
    both = {**await people.browser(), "authorization": f"Bearer {token}"}
    for target in ("/api/projects/shop", TOKENS, "/api/proxy/up/a", "/api/account/export"):
        answer = await call("GET", target, user=None, headers=both)
        assert answer.error == (401, "unauthenticated", None), target


async def test_below_the_gateway_nothing_else_is_forwarded(
    call: Caller, made: Made, upstream: ScriptedServer
) -> None:
    token = (await made())["token"]
    for fields in with_token(token):
        for target in ("/api/proxy/anthropic/v1/files", "/api/proxy/anthropic/../up/a"):
            answer = await call("GET", target, user=None, headers=fields)
            assert answer.status in {401, 404}, target
    assert upstream.exchanges == []


async def test_a_page_without_an_origin_may_call_with_a_token_and_nothing_else(
    app: OpenBolt, call: Caller, made: Made, people: People, mock: AnthropicMock
) -> None:
    token = (await made())["token"]
    page = {"origin": "null", "sec-fetch-site": "cross-site"}
    question = {
        **page,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type,x-api-key",
    }
    preflight = await call("OPTIONS", MESSAGES, user=None, headers=question)
    assert preflight.status == 204
    answer = await asked(call, {**page, "x-api-key": token})
    assert answer.status == 200
    for each in (preflight, answer):
        assert each.headers.get_all("access-control-allow-origin") == ("*",)
        assert "access-control-allow-credentials" not in each.headers
    visitor = await people.browser()
    assert (await asked(call, {**page, **visitor})).error == (403, "cross_origin", None)
    assert len(mock.requests) == 1
    for target in (TOKENS, "/api/account", "/api/proxy/up/a", "/api/chat"):
        elsewhere = await call("OPTIONS", target, user=None, headers={**question, **visitor})
        assert "access-control-allow-origin" not in elsewhere.headers, target


async def test_a_trusted_page_reads_the_gateway_with_the_visitors_cookie(
    call: Caller, people: People
) -> None:
    page = {"origin": PAGES, "sec-fetch-site": "cross-site"}
    question = {
        **page,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
    }
    for answer, status in (
        (await call("OPTIONS", MESSAGES, user=None, headers=question), 204),
        (await asked(call, {**page, **await people.browser()}), 200),
    ):
        assert answer.status == status
        assert answer.headers.get_all("access-control-allow-origin") == (PAGES,)
        assert answer.headers.get("access-control-allow-credentials") == "true"


async def test_under_a_foreign_name_no_token_is_taken(call: Caller, made: Made) -> None:
    token = (await made())["token"]
    for fields in with_token(token):
        answer = await asked(call, {**fields, "origin": "null"}, host="evil.example")
        assert answer.error == (403, "host_not_allowed", None)
        assert "access-control-allow-origin" not in answer.headers


async def test_wrong_tokens_are_counted_as_wrong_keys_are(
    dependencies: Dependencies, settings: Settings, made: Made, clock: ManualClock
) -> None:
    token = (await made())["token"]
    limiter = MemoryRateLimiter(clock)
    limited = evolve(dependencies, limiter=limiter, accounting=limiter)
    call = Caller(OpenBolt(limited, evolve(settings, rate_limits=("guesses=2/60",))))
    wrong = {"x-api-key": f"obt_{'a' * 52}", "origin": "null"}
    answers = [await asked(call, wrong) for _ in range(4)]
    assert answers[0].status == 401
    assert answers[-1].error == (429, "rate_limited", None)
    assert answers[-1].headers.get("access-control-allow-origin") == "*"
    assert (await asked(call, {"x-api-key": token})).status == 429
    clock.advance(60)
    assert (await asked(call, {"x-api-key": token})).status == 200


@pytest.mark.parametrize("heads", ["kv", "objects"])
async def test_an_account_takes_its_tokens_along_and_ends_them(
    dependencies: Dependencies,
    settings: Settings,
    people: People,
    projects: ProjectStore,
    heads: str,
) -> None:
    if heads == "objects":
        dependencies = evolve(dependencies, atomic=None)
    call = Caller(OpenBolt(dependencies, settings))
    ann = await people.browser()
    await projects.create("shop", "ann", "Shop")
    named = {"name": "the till"}
    token = (await call("POST", TOKENS, json=named, user=None, headers=ann)).json["token"]
    answer = await call("GET", "/api/account/export", user=None, headers=ann)
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    rows = json.loads(files["app-tokens.json"])["appTokens"]
    assert [row["name"] for row in rows] == ["the till"]
    assert token.encode() not in b"".join(files.values())
    assert (await asked(call, {"x-api-key": token})).status == 200
    gone = {"confirm": "ann"}
    receipt = await call("DELETE", "/api/account", json=gone, user=None, headers=ann)
    assert (receipt.status, receipt.json["counts"]["appTokens"]) == (200, 1)
    await projects.create("shop", "ann", "Shop")
    assert [(await asked(call, fields)).status for fields in with_token(token)] == [401, 401]


# Whose key


async def test_a_users_own_key_goes_where_it_belongs_and_never_to_a_stand_in(
    dependencies: Dependencies,
    settings: Settings,
    made: Made,
    people: People,
    graph: Graph,
    mock: AnthropicMock,
) -> None:
    token = (await made())["token"]
    async with AnthropicMock() as real:
        endpoint = ModelEndpoint(mock.url, Hidden("mock"), own_key_url=real.url)
        call = Caller(OpenBolt(evolve(dependencies, model_endpoint=endpoint), settings))
        assert (await asked(call, {"x-api-key": token})).status == 200
        assert graph.secrets is not None
        await graph.secrets.put("ann", "anthropic", OWN)
        for headers in ({"x-api-key": token}, await people.browser()):
            assert (await asked(call, headers)).status == 200
        assert [seen.headers["x-api-key"] for seen in mock.requests] == ["mock"]
        assert [seen.headers["x-api-key"] for seen in real.requests] == [OWN, OWN]


async def test_offline_the_gateway_has_the_built_in_mock_and_own_keys_leave_it() -> None:
    settings = Settings(kv="memory", objects="memory", model=MODEL)
    async with open_dependencies(settings) as dependencies:
        endpoint = dependencies.model_endpoint
        assert endpoint is not None
        assert endpoint.base_url.startswith("http://127.0.0.1:")
        assert endpoint.own_key_url == "https://api.anthropic.com"
        call = Caller(OpenBolt(dependencies, settings))
        answer = await asked(call, {})
        assert (answer.status, answer.json["type"]) == (200, "message")


async def test_without_a_way_out_there_are_no_such_routes(
    dependencies: Dependencies, settings: Settings
) -> None:
    silent = evolve(dependencies, identity_providers=(), sender=None)
    modelless = evolve(dependencies, model_endpoint=None)
    for d, count in ((silent, 0), (modelless, 2)):
        found = [r.template for r in OpenBolt(d, settings).routes]
        assert len([t for t in found if t.startswith(("/api/proxy/", "/api/git/"))]) == count
        assert not any("app-tokens" in t for t in found)


# Forwarding


@pytest.mark.parametrize("kind", ["proxy", "git"])
async def test_no_other_site_has_a_visitors_browser_ask(
    call: Caller, people: People, upstream: ScriptedServer, kind: str
) -> None:
    target = "/api/proxy/up/a" if kind == "proxy" else refs(upstream)
    visitor = await people.browser()
    for fields in (
        FOREIGN,
        {"origin": "null"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "same-origin", "sec-fetch-dest": "script"},
        {"sec-fetch-site": "same-origin", "sec-fetch-dest": "iframe"},
    ):
        for method in ("GET", "POST"):
            answer = await call(method, target, user=None, headers={**visitor, **fields})
            assert answer.error == (403, "cross_origin", None), (method, fields)
            assert "access-control-allow-origin" not in answer.headers
    assert upstream.exchanges == []
    own = {"origin": "http://localhost:8787", "sec-fetch-site": "same-origin"}
    trusted = {"origin": PAGES, "sec-fetch-site": "cross-site"}
    for fields in (own, trusted, {"sec-fetch-site": "same-origin", "sec-fetch-dest": "empty"}):
        answer = await call("GET", target, user=None, headers={**visitor, **fields})
        assert answer.status == 200, fields
    assert len(upstream.exchanges) == 3


async def test_nothing_that_lets_anybody_in_here_goes_out(
    call: Caller, people: People, graph: Graph, upstream: ScriptedServer
) -> None:
    ann = await people.browser()
    body = {"name": "program", "scopes": ["proxy"]}
    key = (await call("POST", "/api/auth/keys", json=body, user=None, headers=ann)).json["key"]
    program = {"authorization": f"Bearer {key}"}
    for credentials in (ann, program):
        for target in ("/api/proxy/up/a", refs(upstream)):
            answer = await call("GET", target, user=None, headers=credentials)
            assert answer.status == 200, answer.text
            seen = upstream.exchanges[-1]
            assert "cookie" not in seen.headers
            assert "authorization" not in seen.headers
            secret = next(iter(credentials.values())).partition("=")[2] or key
            assert secret.encode() not in seen.raw_head


@pytest.mark.parametrize(("entry", "status"), [("http://{}", 200), ("{}", 403)])
async def test_a_git_host_is_looked_up_once_and_checked_where_names_can_be(
    dependencies: Dependencies,
    settings: Settings,
    people: People,
    upstream: ScriptedServer,
    entry: str,
    status: int,
) -> None:
    """The name leads to this machine: only a host that was given as a URL may."""
    host = f"git.example.test:{upstream.port}"
    resolver = StandInResolver(default=["127.0.0.1"])
    call = Caller(
        OpenBolt(
            evolve(dependencies, resolver=resolver),
            evolve(settings, git_hosts=(entry.format(host),)),
        )
    )
    target = refs(upstream).replace("127.0.0.1", "git.example.test")
    answer = await call("GET", target, user=None, headers=await people.browser())
    assert answer.status == status, answer.text
    assert [name for name, _ in resolver.asked] == ["git.example.test"]
    assert [e.headers.get("host") for e in upstream.exchanges] == [host] * (status == 200)


@pytest.mark.parametrize("who", ["signed in", "with a key", "alone"])
async def test_a_git_hosts_own_credential_goes_to_it(
    dependencies: Dependencies,
    settings: Settings,
    people: People,
    call: Caller,
    upstream: ScriptedServer,
    who: str,
) -> None:
    if who == "alone":
        local = evolve(dependencies, identity_providers=(), authenticator=LocalUser())
        call, fields = Caller(OpenBolt(local, settings)), {"authorization": BASIC}
    else:
        fields = {**await people.browser(), "authorization": BASIC}
    if who == "with a key":
        body = {"name": "program", "scopes": ["proxy"]}
        ann = await people.browser()
        key = (await call("POST", "/api/auth/keys", json=body, user=None, headers=ann)).json["key"]
        fields = {"authorization": f"Bearer {key}", "x-git-authorization": BASIC}
    answer = await call("GET", refs(upstream), user=None, headers=fields)
    assert answer.status == 200, answer.text
    seen = upstream.exchanges[-1].headers
    assert seen.get_all("authorization") == (BASIC,)
    assert {"cookie", "x-git-authorization"}.isdisjoint(dict(seen.items))
    proxied = await call("GET", "/api/proxy/up/a", user=None, headers=fields)
    assert proxied.status == 200
    assert {"authorization", "x-git-authorization"}.isdisjoint(
        dict(upstream.exchanges[-1].headers.items)
    )


async def test_where_a_password_lets_people_in_it_is_nobody_elses(
    dependencies: Dependencies, settings: Settings, upstream: ScriptedServer
) -> None:
    locked = evolve(dependencies, identity_providers=(), authenticator=SharedPassword("open me"))
    call = Caller(OpenBolt(locked, settings))
    ours = "Basic " + base64.b64encode(b"x:open me").decode()
    for target in (refs(upstream), "/api/proxy/up/a"):
        assert (await call("GET", target, user=None)).status == 401
        answer = await call("GET", target, user=None, headers={"authorization": ours})
        assert answer.status == 200
        assert "authorization" not in upstream.exchanges[-1].headers
    both = {"authorization": ours, "x-git-authorization": BASIC}
    assert (await call("GET", refs(upstream), user=None, headers=both)).status == 200
    assert upstream.exchanges[-1].headers.get_all("authorization") == (BASIC,)


@pytest.mark.parametrize("kind", ["proxy", "git"])
async def test_forwarding_is_under_its_own_rate(
    dependencies: Dependencies,
    settings: Settings,
    people: People,
    upstream: ScriptedServer,
    clock: ManualClock,
    kind: str,
) -> None:
    limiter = MemoryRateLimiter(clock)
    limited = evolve(dependencies, limiter=limiter, accounting=limiter)
    call = Caller(OpenBolt(limited, evolve(settings, rate_limits=(f"{kind}=1/60",))))
    target = "/api/proxy/up/a" if kind == "proxy" else refs(upstream)
    ann = await people.browser()
    answers = [await call("GET", target, user=None, headers=ann) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 429]
    assert (await call("GET", target, user=None, headers=await people.browser("bob"))).status == 200

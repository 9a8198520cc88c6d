"""Every route that there is, walked as its owner, as another user, as nobody, with too few scopes,
with forms, and from another origin; both where people sign in and where the application is told who
they are.

Each route is listed here by name, and one that isn't fails the walk: say in `ROUTES` whose things
its path names, in `walk` how to get one, and which scope it asks of an API key.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Literal

import pytest
from attrs import evolve, field, frozen

from openbolt import Dependencies, OpenBolt, Principal, Settings
from openbolt.access import SCOPES, Scope
from openbolt.auth.api_keys import ApiKeys
from openbolt.auth.github import GitHub
from openbolt.auth.session_store import KeyValueSessionStore
from openbolt.auth.sessions import Sessions, public_id
from openbolt.http import Headers
from openbolt.protocols import OutboundRequest, OutboundResponse
from openbolt.proxy.gateway import ModelEndpoint
from openbolt.routing import ANY
from openbolt.testing import PlainCipher
from tests.handlers.building import Answer, Caller, Chatter, once
from tests.handlers.scoping import ByHeaders

ORIGIN = "https://pages.example"
HER_TITLE = "Her secret plan"
HER_PAGE = "her secret page"
PARAMETER = re.compile(r"\{[^}]+\}")
USED = re.compile(r'"lastUsedAt":[^,}]*')

Thing = Literal[
    "chat", "project", "preview", "share", "link", "key", "session", "secret",
    "app token", "issuer", "upstream", "host",
]  # fmt: skip
NOBODYS: tuple[Thing, ...] = ("issuer", "upstream", "host")


@frozen
class Walked:
    """What the walk knows of a route.

    Attributes:
        who: Who may ask: ``private`` whoever signed in, ``open`` anybody, told who they are;
            ``unguarded`` anybody.
        scopes: What it asks of an API key; None: it takes none. Nothing where it isn't private.
        thing: What its path names; None: nobody's in particular. (Whoever holds a ``preview`` or
            ``link`` may read by it; what is in `NOBODYS` is the operator's, for all alike.)
        rest: What stands for its path's further parameters, a thing of Ann's if it names one; a
            query may follow.
        body: The JSON that its owner sends; ``{user}`` in it is who asks.
        silent: It says nothing (204) of another's thing, rather than 404.
    """

    who: Literal["private", "open", "unguarded"]
    scopes: tuple[Scope, ...] | None = ()
    thing: Thing | None = None
    body: object = None
    silent: bool = False
    rest: Thing | str = "index.html"


def private(*scopes: Scope, **known: Any) -> Walked:
    return Walked("private", scopes, **known)


SAID = {"messages": [{"role": "user", "content": "Mine"}]}
TITLE = {"title": "Mine now"}
NEW_KEY = {"name": "Mine", "scopes": ["chat"]}
MODEL = "claude-sonnet-5-5"
COUNTED = {"model": MODEL, **SAID}
CALL = {**COUNTED, "max_tokens": 9}
REFS = "owner/repo.git/info/refs?service=git-upload-pack"
# What removes something comes last, and what it is part of after it.
ROUTES: dict[str, Walked] = {
    "GET /healthz": Walked("unguarded"),
    "GET /readyz": Walked("unguarded"),
    "GET /preview/{token}": Walked("unguarded", thing="preview"),
    "GET /preview/{token}/": Walked("unguarded", thing="preview"),
    "GET /preview/{token}/{path:path}": Walked("unguarded", thing="preview"),
    "GET /api/shared/{token}": Walked("unguarded", thing="link"),
    "GET /api/shared/{token}/files/{path:path}": Walked("unguarded", thing="link"),
    "GET /api/shared/{token}/export": Walked("unguarded", thing="link"),
    "GET /api/auth/session": Walked("open"),
    "GET /api/auth/{provider}/login": Walked("open", thing="issuer"),
    "GET /api/auth/{provider}/callback": Walked("open", thing="issuer"),
    "POST /api/chat": private("chat", body=SAID),
    "GET /api/chat/{id}/stream": private("chat", thing="chat", silent=True),
    "POST /api/chat/{id}/stop": private("chat", thing="chat"),
    "POST /api/enhancer": private("chat", body={"message": "Mine"}),
    "GET /api/models": private("chat"),
    "GET /api/chats": private("chat"),
    "GET /api/chats/{id}": private("chat", thing="chat"),
    "PATCH /api/chats/{id}": private("chat", thing="chat", body=TITLE),
    "GET /api/projects": private("projects"),
    "GET /api/projects/{id}": private("projects", thing="project"),
    "PATCH /api/projects/{id}": private("projects", thing="project", body=TITLE),
    "GET /api/projects/{id}/files/{path:path}": private("projects", thing="project"),
    "GET /api/projects/{id}/versions": private("projects", thing="project"),
    "GET /api/projects/{id}/export": private("projects", thing="project"),
    "POST /api/projects/{id}/preview": private("projects", thing="project"),
    "GET /api/projects/{id}/shares": private("admin", "projects", thing="project"),
    "POST /api/projects/{id}/shares": private("admin", "projects", thing="project"),
    "GET /api/chats/{id}/shares": private("admin", "chat", thing="chat"),
    "POST /api/chats/{id}/shares": private("admin", "chat", thing="chat"),
    "POST /api/projects/{id}/app-tokens": private(
        "projects", "proxy", thing="project", body={"name": "Mine"}
    ),
    "GET /api/projects/{id}/app-tokens": private("projects", "proxy", thing="project"),
    "POST /api/proxy/anthropic/v1/messages": private("proxy", body=CALL),
    "POST /api/proxy/anthropic/v1/messages/count_tokens": private("proxy", body=COUNTED),
    "GET /api/proxy/anthropic/v1/models": private("proxy"),
    "ANY /api/proxy/{upstream}/{path:path}": private("proxy", thing="upstream"),
    "ANY /api/git/{host}/{path:path}": private("proxy", thing="host", rest=REFS),
    "GET /api/auth/sessions": private("admin"),
    "GET /api/auth/keys": private("admin"),
    "POST /api/auth/keys": private("admin", "chat", body=NEW_KEY),
    "GET /api/secrets": private("admin"),
    "PUT /api/secrets/{name}": private("admin", body={"value": "sk-mine-0123456789"}),
    "GET /api/preferences": private("admin"),
    "PATCH /api/preferences": private("admin", body={}),
    "GET /api/account/export": private("admin"),
    "DELETE /api/projects/{id}/app-tokens/{token_id}": private(
        "projects", "proxy", thing="project", rest="app token"
    ),
    "DELETE /api/shares/{id}": private("admin", thing="share"),
    "DELETE /api/secrets/{name}": private("admin", thing="secret"),
    "DELETE /api/auth/keys/{id}": private("admin", thing="key"),
    "DELETE /api/auth/sessions/{id}": private("admin", thing="session"),
    "DELETE /api/auth/sessions": private("admin"),
    "DELETE /api/chats/{id}": private("chat", thing="chat"),
    "DELETE /api/projects/{id}": private("projects", thing="project"),
    "POST /api/auth/logout": Walked("open"),
    "DELETE /api/account": private("admin", body={"confirm": "{user}"}),
}


@frozen
class Elsewhere:
    """An `HttpSender` to which a git host, an upstream and a model answer, and nobody else does."""

    sent: list[OutboundRequest] = field(factory=list)

    @asynccontextmanager
    async def send(self, request: OutboundRequest, /) -> AsyncGenerator[OutboundResponse]:
        kind = KINDS[request.url.split("/")[2]]
        self.sent.append(request)
        yield OutboundResponse(200, Headers.of({"content-type": kind}), once(b"{}"))


KINDS = {
    "upstream.example.test": "application/json",
    "model.example.test": "application/json",
    "git.example.test": "application/x-git-upload-pack-advertisement",
}
UPSTREAMS = json.dumps(
    {"mine": {"url": "https://upstream.example.test/", "methods": ["GET", "POST"]}}
)


Way = Literal["embedded", "signed-in"]


@pytest.fixture(params=["embedded", "signed-in"])
def way(request: pytest.FixtureRequest) -> Way:
    """Who says who is asking: whoever embeds the application, or the application itself."""
    found: Way = request.param
    return found


@pytest.fixture
def settings() -> Settings:
    return Settings(
        trusted_origins=(ORIGIN,),
        upstreams=UPSTREAMS,
        git_hosts=("git.example.test",),
        model=MODEL,
    )


@pytest.fixture
def elsewhere() -> Elsewhere:
    return Elsewhere()


@pytest.fixture
def app(dependencies: Dependencies, settings: Settings, way: Way, elsewhere: Elsewhere) -> OpenBolt:
    whole = evolve(
        dependencies,
        authenticator=ByHeaders(),
        cipher=PlainCipher(),
        sender=elsewhere,
        model_endpoint=ModelEndpoint("https://model.example.test"),
    )
    if way == "signed-in":
        whole = evolve(whole, identity_providers=(GitHub("id", "secret"),))
    return OpenBolt(whole, settings)


@frozen
class Credentials:
    """What callers bring to say who they are."""

    way: Way
    sessions: Sessions
    keys: ApiKeys
    _known: dict[tuple[str, str | None], dict[str, str]] = field(factory=dict, init=False)

    async def of(self, user: str | None, scopes: str | None = None) -> dict[str, str]:
        """The header fields of a user's browser; of a program of theirs, where there are scopes."""
        if user is None:
            return {}
        if (user, scopes) not in self._known:
            self._known[user, scopes] = await self._make(user, scopes)
        return self._known[user, scopes]

    async def _make(self, user: str, scopes: str | None) -> dict[str, str]:
        if self.way == "embedded":
            known = {"x-test-user": user}
            return known if scopes is None else {**known, "x-test-scopes": scopes}
        if scopes is None:
            token, _ = await self.sessions.start(user)
            return {"cookie": f"openbolt-session={token}"}
        held = [scope for scope in SCOPES if scope in scopes.split()]
        key, _ = await self.keys.create(Principal(user), name="Walked", scopes=held)
        return {"authorization": f"Bearer {key}"}


@frozen
class Walk:
    """The routes of an application, and how to ask them about Ann's things."""

    call: Caller
    routes: tuple[str, ...]
    credentials: Credentials
    things: dict[Thing | str, str] = field(factory=dict, init=False)

    def target(self, route: str, *, unknown: bool = False) -> str:
        """The route's path with Ann's id in it, or with one that nobody has."""
        template = route.partition(" ")[2]
        known = ROUTES[route]
        name = self.things[known.thing] if known.thing else "mine"
        first = re.sub(r"[a-z]", "z", name) if unknown else name
        rest = self.things.get(known.rest, known.rest)
        return PARAMETER.sub(rest, PARAMETER.sub(first, template, count=1))

    async def ask(
        self,
        route: str,
        /,
        *,
        user: str | None,
        scopes: str | None = None,
        unknown: bool = False,
        kind: str | None = None,
    ) -> Answer:
        """The answer to a user, or to a program of theirs; ``kind`` replaces the content type."""
        headers = await self.credentials.of(user, scopes)
        if kind is not None:
            headers = {**headers, "content-type": kind}
        return await self.call(
            method_of(route),
            self.target(route, unknown=unknown),
            user=None,
            json=_filled(ROUTES[route].body, user),
            headers=headers,
        )

    async def make(self, method: str, target: str, body: object = None) -> Any:
        """What Ann is answered when she makes something."""
        headers = await self.credentials.of("ann")
        answer = await self.call(method, target, json=body, user=None, headers=headers)
        assert answer.status in {200, 201}, (target, answer.text)
        return answer.json

    def where(self, **wanted: object) -> list[str]:
        """The routes that there are, of some kind, in the order of `ROUTES`."""
        here = [route for route in ROUTES if route in self.routes]
        return [
            route
            for route in here
            if all(getattr(ROUTES[route], name) == value for name, value in wanted.items())
        ]


def method_of(route: str) -> str:
    """What a route is asked with: one that takes any method, with GET."""
    method = route.partition(" ")[0]
    return "GET" if method == ANY else method


def _filled(body: object, user: str | None) -> object:
    return json.loads(json.dumps(body).replace("{user}", user or "nobody"))


@pytest.fixture
async def walk(
    app: OpenBolt,
    call: Caller,
    chat: Chatter,
    dependencies: Dependencies,
    settings: Settings,
    way: Way,
) -> Walk:
    d = dependencies
    sessions = Sessions(KeyValueSessionStore(d.kv, d.clock), d.clock, d.tokens, settings)
    credentials = Credentials(way, sessions, ApiKeys(d.kv, d.clock, d.tokens, settings))
    routes = tuple(f"{route.method} {route.template}" for route in app.routes)
    walk = Walk(call, routes, credentials)
    for user in ("ann", "bob"):
        await credentials.of(user)
    for known in ROUTES.values():  # all of them before anything is compared
        for scopes in _too_few(known):
            await credentials.of("ann", scopes)
    files = {"index.html": HER_PAGE}
    hers = await chat(HER_TITLE, files=files, user=None, headers=await credentials.of("ann"))
    project = f"/api/projects/{hers.project_id}"
    preview = await walk.make("POST", f"{project}/preview")
    share = await walk.make("POST", f"{project}/shares")
    token = await walk.make("POST", f"{project}/app-tokens", {})
    key = await walk.make("POST", "/api/auth/keys", NEW_KEY)
    await walk.make("PUT", "/api/secrets/hers", {"value": "sk-hers-0123456789"})
    _, session = await sessions.start("ann")
    walk.things.update(
        chat=hers.chat_id,
        project=hers.project_id,
        preview=preview["sandboxUrl"].split("/")[2],
        share=share["id"],
        link=share["token"],
        key=key["id"],
        session=public_id(session),
        secret="hers",
        issuer="nobody",
        upstream="mine",
        host="git.example.test",
    )
    walk.things["app token"] = token["id"]
    return walk


def _too_few(known: Walked) -> list[str]:
    """Scopes of keys that a route refuses: each lacks one that it asks for."""
    needed = known.scopes
    if needed is None:
        return [" ".join(SCOPES)]
    return [" ".join(scope for scope in SCOPES if scope != missing) for missing in needed]


async def her_things(walk: Walk) -> dict[str, str]:
    """All that Ann can read (her export holds the same once more), but for when it was used."""
    read = [route for route in walk.where(who="private") if route.startswith("GET ")]
    answers = {
        route: await walk.ask(route, user="ann") for route in read if not route.endswith("/export")
    }
    return {route: USED.sub("", answer.text) for route, answer in answers.items()}


def test_every_route_is_known_to_the_walk_and_no_other(app: OpenBolt, way: Way) -> None:
    routes = {f"{route.method} {route.template}" for route in app.routes}
    assert routes - ROUTES.keys() == set(), "say in ROUTES what the walk has to know of it"
    if way == "signed-in":
        assert ROUTES.keys() - routes == set(), "there is no such route any more"


def test_every_route_with_a_name_in_its_path_says_whose_it_is() -> None:
    silent = {route for route, known in ROUTES.items() if "{" in route and known.thing is None}
    assert silent == {"PUT /api/secrets/{name}"}, "whoever writes a secret writes their own"


async def test_every_route_is_there_for_its_owner(walk: Walk) -> None:
    for route in walk.where(who="private"):
        answer = await walk.ask(route, user="ann")
        assert answer.status in {200, 201, 204}, (route, answer.text)
    await walk.call.settle()


async def test_whoever_holds_a_token_reads_by_it_whoever_they_are(walk: Walk) -> None:
    for route in walk.where(who="unguarded"):
        for user in ("ann", "bob", None):
            answer = await walk.ask(route, user=user)
            assert answer.status in {200, 308}, (route, answer.text)
            if ROUTES[route].thing is not None and answer.status == 200:
                unknown = await walk.ask(route, user=user, unknown=True)
                assert unknown.error == (404, "not_found", None), route


async def test_anothers_ids_are_not_found_on_any_route(walk: Walk) -> None:
    before = await her_things(walk)
    for route in walk.where(who="private"):
        known = ROUTES[route]
        answer = await walk.ask(route, user="bob")
        if known.thing is None or known.thing in NOBODYS:
            assert answer.status in {200, 201, 202, 204}, (route, answer.text)
        elif known.silent:
            assert (answer.status, answer.body) == (204, b""), route
        else:
            assert answer.error == (404, "not_found", None), route
            unknown = await walk.ask(route, user="bob", unknown=True)
            told, same = (dict(a.json["error"], requestId="") for a in (answer, unknown))
            assert told == same, f"{route} must not tell that the id is somebody's"
        for secret in (HER_TITLE, HER_PAGE, walk.things["chat"], walk.things["project"]):
            assert secret.encode() not in answer.body, route
    await walk.call.settle()
    assert await her_things(walk) == before


async def test_nobody_is_let_in_without_signing_in(walk: Walk) -> None:
    before = await her_things(walk)
    for route in walk.where(who="private"):
        answer = await walk.ask(route, user=None)
        assert answer.error == (401, "unauthenticated", None), route
    for route in walk.where(who="open"):
        assert (await walk.ask(route, user=None)).status != 401, route
    assert await her_things(walk) == before


async def test_a_key_without_the_scope_is_refused_on_every_route(walk: Walk) -> None:
    before = await her_things(walk)
    for route in walk.where(who="private"):
        for held in _too_few(ROUTES[route]):
            answer = await walk.ask(route, user="ann", scopes=held)
            assert answer.error == (403, "scope_missing", None), (route, held)
            named = {scope for scope in SCOPES if scope in answer.json["error"]["message"]}
            assert named.isdisjoint(held.split()), "it names what is missing"
    assert await her_things(walk) == before


async def test_a_key_with_the_scope_is_taken_on_every_route(walk: Walk) -> None:
    for route in walk.where(who="private"):
        needed = ROUTES[route].scopes
        if needed is not None:
            answer = await walk.ask(route, user="ann", scopes=" ".join(needed))
            assert answer.status not in {401, 404, 405, 415}, (route, answer.text)
            assert b"scope_missing" not in answer.body, (route, answer.text)
    await walk.call.settle()


@pytest.mark.parametrize(
    "kind", ["text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"]
)
async def test_no_route_takes_what_a_form_can_send(walk: Walk, kind: str) -> None:
    before = await her_things(walk)
    for route in [*walk.where(who="private"), *walk.where(who="open")]:
        if route.startswith(("POST ", "PUT ", "PATCH ")):
            answer = await walk.ask(route, user="ann", kind=kind)
            assert answer.status == 415, route
            assert answer.error == (415, "unsupported_media_type", None)
    assert await her_things(walk) == before


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data; boundary=x"])
async def test_what_goes_on_to_others_may_be_a_form_but_not_another_sites(
    walk: Walk, elsewhere: Elsewhere, kind: str
) -> None:
    """The law above isn't theirs: an upstream may want forms. So no other site may even ask."""
    own = {"origin": "http://localhost:8787", "sec-fetch-site": "same-origin"}
    foreign = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    headers = {**await walk.credentials.of("ann"), "content-type": kind}
    forwarding = [route for route in walk.where(who="private") if route.startswith(f"{ANY} ")]
    assert len(forwarding) == 2
    for route in forwarding:
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            elsewhere.sent.clear()
            refused = await walk.call(
                method, walk.target(route), user=None, headers={**headers, **foreign}, content=b"x"
            )
            assert refused.status == 403, (route, method)
            assert elsewhere.sent == []
    target = walk.target("ANY /api/proxy/{upstream}/{path:path}")
    answer = await walk.call("POST", target, user=None, headers={**headers, **own}, content=b"x")
    assert answer.status == 200
    assert elsewhere.sent[-1].headers.get("content-type") == kind


async def test_what_is_forwarded_to_is_what_the_operator_named(
    walk: Walk, elsewhere: Elsewhere
) -> None:
    for route in walk.where(who="private"):
        if ROUTES[route].thing in NOBODYS:
            elsewhere.sent.clear()
            for user in ("ann", "bob"):
                answer = await walk.ask(route, user=user, unknown=True)
                assert 400 <= answer.status < 500, (route, answer.text)
            assert elsewhere.sent == []


async def test_no_credential_of_ours_is_forwarded(walk: Walk, elsewhere: Elsewhere) -> None:
    for scopes in (None, "proxy"):
        elsewhere.sent.clear()
        for route in walk.where(who="private", scopes=("proxy",)):
            await walk.ask(route, user="ann", scopes=scopes)
        assert {request.url.split("/")[2] for request in elsewhere.sent} == KINDS.keys()
        for name, value in (await walk.credentials.of("ann", scopes)).items():
            for request in elsewhere.sent:
                assert name not in request.headers, request.url
                assert value not in f"{request.url}{request.headers.items}{request.body!r}"


async def test_a_trusted_page_may_ask_every_route_and_no_other_page_any(walk: Walk) -> None:
    for route in walk.routes:
        method = method_of(route)
        for origin in (ORIGIN, "https://evil.example", "null"):
            asked = {"origin": origin, "access-control-request-method": method}
            answer = await walk.call("OPTIONS", walk.target(route), user=None, headers=asked)
            told = answer.headers.get("access-control-allow-origin")
            allowed = answer.headers.get("access-control-allow-methods") or ""
            if origin == ORIGIN:
                assert (answer.status, told) == (204, ORIGIN), route
                assert method in allowed.split(", "), route
            else:
                assert (told, allowed) == (None, ""), route

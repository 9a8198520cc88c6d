"""Every route that there is, walked as its owner, as another user, as nobody, with too few scopes,
with forms, and from another origin.

Each route is listed here by name, and one that isn't fails the walk: say in `ROUTES` whose things
its path names, in `THINGS` how to get one, and which scope it asks of an API key.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal

import pytest
from attrs import evolve, frozen

from openbolt import Dependencies, OpenBolt, Settings
from openbolt.access import SCOPES, Scope
from openbolt.auth.session_store import KeyValueSessionStore
from openbolt.auth.sessions import Sessions, public_id
from openbolt.testing import PlainCipher
from tests.handlers.building import Answer, Caller, Chatter
from tests.handlers.scoping import ByHeaders

ORIGIN = "https://pages.example"
HER_TITLE = "Her secret plan"
HER_PAGE = "her secret page"
PARAMETER = re.compile(r"\{[^}]+\}")

Thing = Literal["chat", "project", "preview", "share", "link", "key", "session", "secret", "issuer"]


@frozen
class Walked:
    """What the walk knows of a route.

    Attributes:
        who: Who may ask: ``private`` whoever signed in, ``open`` anybody, told who they are;
            ``unguarded`` anybody.
        scopes: What it asks of an API key; None: it takes none. Nothing where it isn't private.
        thing: What its path names; None: nobody's in particular. (Whoever holds a ``preview`` or
            ``link`` may read by it; an ``issuer`` is nobody's.)
        body: The JSON that its owner sends.
        silent: It says nothing (204) of another's thing, rather than 404.
    """

    who: Literal["private", "open", "unguarded"]
    scopes: tuple[Scope, ...] | None = ()
    thing: Thing | None = None
    body: object = None
    silent: bool = False


def private(
    *scopes: Scope, thing: Thing | None = None, body: object = None, silent: bool = False
) -> Walked:
    return Walked("private", scopes, thing, body, silent)


SAID = {"messages": [{"role": "user", "content": "Mine"}]}
TITLE = {"title": "Mine now"}
NEW_KEY = {"name": "Mine", "scopes": ["chat"]}
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
    "GET /api/auth/sessions": private("admin"),
    "GET /api/auth/keys": private("admin"),
    "POST /api/auth/keys": private("admin", "chat", body=NEW_KEY),
    "GET /api/secrets": private("admin"),
    "PUT /api/secrets/{name}": private("admin", body={"value": "sk-mine-0123456789"}),
    "GET /api/preferences": private("admin"),
    "PATCH /api/preferences": private("admin", body={}),
    "GET /api/account/export": private("admin"),
    "DELETE /api/shares/{id}": private("admin", thing="share"),
    "DELETE /api/secrets/{name}": private("admin", thing="secret"),
    "DELETE /api/auth/keys/{id}": private("admin", thing="key"),
    "DELETE /api/auth/sessions/{id}": private("admin", thing="session"),
    "DELETE /api/auth/sessions": private("admin"),
    "DELETE /api/chats/{id}": private("chat", thing="chat"),
    "DELETE /api/projects/{id}": private("projects", thing="project"),
    "POST /api/auth/logout": Walked("open"),
    "DELETE /api/account": private("admin"),
}


@pytest.fixture
def settings() -> Settings:
    return Settings(trusted_origins=(ORIGIN,))


@pytest.fixture
def app(dependencies: Dependencies, settings: Settings) -> OpenBolt:
    named = evolve(dependencies, authenticator=ByHeaders(), cipher=PlainCipher())
    return OpenBolt(named, settings)


@frozen
class Walk:
    """The routes of an application, and how to ask them about Ann's things."""

    call: Caller
    routes: tuple[str, ...]
    things: dict[Thing, str]

    def target(self, route: str, *, unknown: bool = False) -> str:
        """The route's path with Ann's id in it, or with one that nobody has."""
        template = route.partition(" ")[2]
        thing = ROUTES[route].thing
        name = self.things[thing] if thing else "mine"
        first = re.sub(r"[a-z]", "z", name) if unknown else name
        return PARAMETER.sub("index.html", PARAMETER.sub(first, template, count=1))

    async def ask(
        self, route: str, /, *, user: str | None, unknown: bool = False, **headers: str
    ) -> Answer:
        """The answer; header names are written with ``_``."""
        method = route.partition(" ")[0]
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        target = self.target(route, unknown=unknown)
        return await self.call(method, target, user=user, json=ROUTES[route].body, headers=fields)

    def where(self, **wanted: object) -> list[str]:
        """The routes that there are, of some kind, in the order of `ROUTES`."""
        here = [route for route in ROUTES if route in self.routes]
        return [
            route
            for route in here
            if all(getattr(ROUTES[route], name) == value for name, value in wanted.items())
        ]


@pytest.fixture
async def walk(
    app: OpenBolt, call: Caller, chat: Chatter, dependencies: Dependencies, settings: Settings
) -> Walk:
    routes = tuple(f"{route.method} {route.template}" for route in app.routes)
    hers = await chat(HER_TITLE, files={"index.html": HER_PAGE})
    things: dict[Thing, str] = {
        "chat": hers.chat_id,
        "project": hers.project_id,
        "issuer": "nobody",
    }

    async def made(route: str, take: Callable[[Any], str], body: object = None) -> str:
        """What Ann gets from a route; a route that there isn't has no things."""
        if route not in routes:
            return "none"
        method, _, target = route.replace("{id}", hers.project_id).partition(" ")
        answer = await call(method, target, json=body)
        assert answer.status in {200, 201, 204}, (route, answer.text)
        return take(answer.json if answer.body else None)

    async def session() -> str:
        d = dependencies
        store = KeyValueSessionStore(d.kv, d.clock)
        _, record = await Sessions(store, d.clock, d.tokens, settings).start("ann")
        return public_id(record)

    sharing = "POST /api/projects/{id}/shares"
    things["preview"] = await made(
        "POST /api/projects/{id}/preview", lambda said: said["sandboxUrl"].split("/")[2]
    )
    things["share"] = await made(sharing, lambda said: said["id"])
    things["link"] = await made(sharing, lambda said: said["token"])
    things["key"] = await made("POST /api/auth/keys", lambda said: said["id"], NEW_KEY)
    things["session"] = await session()
    # Named so that nobody else's has the name, though names are a user's own.
    if "PUT /api/secrets/{name}" in routes:
        answer = await call("PUT", "/api/secrets/hers", json={"value": "sk-hers-0123456789"})
        assert answer.status in {200, 201, 204}
    things["secret"] = "hers"
    return Walk(call, routes, things)


async def her_things(walk: Walk) -> dict[str, bytes]:
    """All that Ann can read."""
    return {
        route: (await walk.ask(route, user="ann")).body
        for route in walk.where(who="private")
        if route.startswith("GET ")
    }


def test_every_route_is_known_to_the_walk(app: OpenBolt) -> None:
    unknown = {f"{route.method} {route.template}" for route in app.routes} - ROUTES.keys()
    assert unknown == set(), "say in ROUTES what the walk has to know of it"


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
        if known.thing is None:
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
        needed = ROUTES[route].scopes
        for missing in needed or SCOPES:
            held = " ".join(scope for scope in SCOPES if scope != missing or needed is None)
            answer = await walk.ask(route, user="ann", x_test_scopes=held)
            assert answer.error == (403, "scope_missing", None), (route, held)
            assert needed is None or repr(missing) in answer.json["error"]["message"], route
    assert await her_things(walk) == before


async def test_a_key_with_the_scope_is_taken_on_every_route(walk: Walk) -> None:
    for route in walk.where(who="private"):
        needed = ROUTES[route].scopes
        if needed is not None:
            answer = await walk.ask(route, user="ann", x_test_scopes=" ".join(needed))
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
            answer = await walk.ask(route, user="ann", content_type=kind)
            assert answer.error == (415, "unsupported_media_type", None), route
    assert await her_things(walk) == before


async def test_a_trusted_page_may_ask_every_route_and_no_other_page_any(walk: Walk) -> None:
    for route in walk.routes:
        method = route.partition(" ")[0]
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

"""Which route answers, and what a path without one says."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbolt.errors import MethodNotAllowedError, NotFoundError
from openbolt.http import EMPTY_BODY, Headers, Request, RequestContext, Response
from openbolt.routing import ANY, Route, Router


def request_of(method: str, path: str) -> Request:
    return Request(method, path, Headers(), EMPTY_BODY, RequestContext(spawn=lambda _: None))


def saying(name: str) -> Callable[[Request], Awaitable[Response]]:
    """A handler that answers with its name and what it was given."""

    async def handler(request: Request, /) -> Response:
        params = "&".join(f"{key}={value}" for key, value in request.path_params.items())
        return Response(body=f"{name} {request.method} {params}".strip().encode())

    return handler


def router_of(*routes: str) -> Router:
    """Routes written ``METHOD template``, each named by its own text."""
    return Router([Route(*route.split(), saying(route.split()[1])) for route in routes])


async def ask(router: Router, method: str, path: str) -> str:
    response = await router(request_of(method, path))
    assert isinstance(response.body, bytes)
    return response.body.decode()


ROUTES = (
    "GET /",
    "GET /api/chats",
    "POST /api/chats",
    "POST /api/chats/import",
    "GET /api/chats/{id}",
    "DELETE /api/chats/{chat}",
    "GET /api/chats/{id}/stream",
    "GET /api/p/{id}/f/{path:path}",
    "GET /api/p/{id}/f/index",
    "ANY /api/x/{upstream}/{path:path}",
    "GET /{path:path}",
)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("method", "path", "answer"),
    [
        ("GET", "/", "/ GET"),
        ("GET", "/api/chats", "/api/chats GET"),
        ("POST", "/api/chats", "/api/chats POST"),
        ("POST", "/api/chats/import", "/api/chats/import POST"),
        ("GET", "/api/chats/import", "/api/chats/{id} GET id=import"),
        ("DELETE", "/api/chats/import", "/api/chats/{chat} DELETE chat=import"),
        ("GET", "/api/chats/c 1/stream", "/api/chats/{id}/stream GET id=c 1"),
        ("GET", "/api/chats//stream", "/{path:path} GET path=api/chats//stream"),
        ("GET", "/api/p/p/f/index", "/api/p/{id}/f/index GET id=p"),
        ("GET", "/api/p/p/f/a/b", "/api/p/{id}/f/{path:path} GET id=p&path=a/b"),
        ("GET", "/api/p/p/f/index/x", "/api/p/{id}/f/{path:path} GET id=p&path=index/x"),
        ("GET", "/api/p/p/f/..//x/", "/api/p/{id}/f/{path:path} GET id=p&path=..//x/"),
        ("GET", "/api/p/p/f/", "/{path:path} GET path=api/p/p/f/"),
        ("PATCH", "/api/x/u/x", "/api/x/{upstream}/{path:path} PATCH upstream=u&path=x"),
        ("OPTIONS", "/api/x/u/x", "/api/x/{upstream}/{path:path} OPTIONS upstream=u&path=x"),
        ("GET", "/else/where", "/{path:path} GET path=else/where"),
        ("HEAD", "/api/chats", "/api/chats HEAD"),
        ("HEAD", "/api/chats/c", "/api/chats/{id} HEAD id=c"),
    ],
)  # fmt: skip
async def test_the_most_specific_route_that_takes_the_method_answers_in_any_order(
    method: str, path: str, answer: str, reverse: bool
) -> None:
    routes = reversed(ROUTES) if reverse else ROUTES
    assert await ask(router_of(*routes), method, path) == answer


@pytest.mark.parametrize(
    "path",
    ["/", "/a/", "/a/b/c", "//a", "/A", "a", "", "*", "http://localhost/a", "/b//x", "/b/", "/c/"],
)
async def test_a_path_without_a_route_is_not_found(path: str) -> None:
    router = router_of("GET /a", "GET /b/{id}/x", "GET /c/{path:path}")
    for method in ("GET", "POST", "OPTIONS"):
        with pytest.raises(NotFoundError):
            await router(request_of(method, path))


async def test_a_wrong_method_says_which_are_right() -> None:
    router = router_of("GET /a/{id}", "PUT /a/{id}", "POST /a/b", "DELETE /a/{path:path}")
    with pytest.raises(MethodNotAllowedError) as caught:
        await router(request_of("PATCH", "/a/b"))
    assert caught.value.allowed == ("DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT")
    assert caught.value.status_hint == 405


async def test_options_says_the_methods_of_a_path() -> None:
    response = await router_of("GET /a", "POST /a")(request_of("OPTIONS", "/a"))
    assert response == Response(204, Headers.of(allow="GET, HEAD, OPTIONS, POST"))


async def test_a_route_for_head_or_options_wins() -> None:
    router = router_of("GET /a", "HEAD /a", "OPTIONS /a")
    assert await ask(router, "HEAD", "/a") == "/a HEAD"
    assert await ask(router, "OPTIONS", "/a") == "/a OPTIONS"


async def test_a_method_of_its_own_wins_over_any() -> None:
    router = Router([Route(ANY, "/a", saying("any")), Route("GET", "/a", saying("get"))])
    assert [await ask(router, m, "/a") for m in ("GET", "HEAD", "PUT")] == [
        "get GET",
        "get HEAD",
        "any PUT",
    ]


@pytest.mark.parametrize(
    "route",
    [
        "get /a",
        "GET a",
        "GET /a/{id}.zip",
        "GET /a/{}",
        "GET /a/{id:int}",
        "GET /a/{path:path}/b",
        "GET /a/{id}/{id}",
        "GET /a/{id",
    ],
)
def test_a_malformed_route_is_refused_when_it_is_made(route: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        router_of(route)


def test_two_routes_for_one_thing_are_refused_when_they_are_made() -> None:
    with pytest.raises(ValueError, match="Two routes for GET"):
        router_of("GET /a/{id}", "GET /a/{chat}")


@given(st.text(alphabet="/ab{}.%\0é ", max_size=12))
def test_every_path_has_one_answer_and_its_values_are_never_empty(path: str) -> None:
    seen: list[Request] = []

    async def handler(request: Request, /) -> Response:
        seen.append(request)
        return Response(204)

    templates = ("/a", "/a/{x}", "/{x}/b/{y}", "/b/{rest:path}")
    router = Router([Route("GET", template, handler) for template in templates])

    async def main() -> None:
        try:
            await router(request_of("GET", path))
        except NotFoundError:
            assert not seen

    asyncio.run(main())
    for request in seen:
        assert all(request.path_params.values())


async def test_a_very_long_path_costs_no_more_than_the_routes_are_deep() -> None:
    router = router_of("GET /a/{x}/b", "GET /f/{path:path}")
    path = "/f/" + "/" * 1_000_000
    assert len(await ask(router, "GET", path)) > 1_000_000
    with pytest.raises(NotFoundError):
        await ask(router, "GET", "/a" * 1_000_000)

"""Inside other frameworks' apps: the path below the mount, and opened without a lifespan."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from openbolt.asgi import HandlerApp, serve_handler
from openbolt.http import Request, Response
from tests.asgi.driving import Body, Opening, Peer, scope_of

AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]


async def tell(request: Request, /) -> Response:
    return Response(body=f"{request.root_path}|{request.path}|{request.query}".encode())


def in_starlette(app: HandlerApp) -> AsgiApp:
    starlette = pytest.importorskip("starlette.applications")
    routing = pytest.importorskip("starlette.routing")
    return starlette.Starlette(routes=[routing.Mount("/sub", app=app)])


def in_starlette_twice(app: HandlerApp) -> AsgiApp:
    starlette = pytest.importorskip("starlette.applications")
    routing = pytest.importorskip("starlette.routing")
    inner = routing.Mount("/b", app=app)
    return starlette.Starlette(routes=[routing.Mount("/sub", routes=[inner])])


def in_fastapi(app: HandlerApp) -> AsgiApp:
    fastapi = pytest.importorskip("fastapi")
    parent = fastapi.FastAPI()
    parent.mount("/sub", app)
    return parent


def in_fastapi_behind_middleware(app: HandlerApp) -> AsgiApp:
    fastapi = pytest.importorskip("fastapi")
    parent = fastapi.FastAPI()

    @parent.middleware("http")
    async def passing(request: Any, call_next: Any) -> Any:
        return await call_next(request)

    parent.mount("/sub", app)
    return parent


def in_litestar(app: HandlerApp) -> AsgiApp:
    litestar = pytest.importorskip("litestar")

    @litestar.asgi("/sub", is_mount=True, copy_scope=True)
    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    return litestar.Litestar(route_handlers=[mounted], openapi_config=None)


def beside_django(app: HandlerApp) -> AsgiApp:
    conf = pytest.importorskip("django.conf")
    asgi = pytest.importorskip("django.core.asgi")
    if not conf.settings.configured:
        conf.settings.configure(ROOT_URLCONF=(), ALLOWED_HOSTS=["*"], LOGGING_CONFIG=None)
    django = asgi.get_asgi_application()

    async def dispatch(scope: Any, receive: Any, send: Any) -> None:
        chosen = app if scope["path"].startswith("/sub/") else django
        await chosen({**scope, "root_path": "/sub"}, receive, send)

    return dispatch


PARENTS = [
    in_starlette,
    in_fastapi,
    in_fastapi_behind_middleware,
    in_litestar,
    beside_django,
]


@pytest.mark.parametrize("mount", PARENTS)
async def test_a_mounted_app_sees_the_path_below_its_mount(
    mount: Callable[[HandlerApp], AsgiApp],
) -> None:
    app = serve_handler(Opening(tell))
    peer = Peer()
    scope = scope_of(path="/sub/api/x", query_string=b"q=1", app=None, state={})
    await mount(app)(scope, peer.receive, peer.send)
    assert peer.body.split(b"|")[1:] == [b"/api/x", b"q=1"]
    await app.aclose()


async def test_an_app_mounted_twice_over_sees_the_path_below_both() -> None:
    app = serve_handler(Opening(tell))
    peer = Peer()
    await in_starlette_twice(app)(scope_of(path="/sub/b/x"), peer.receive, peer.send)
    assert peer.body == b"/sub/b|/x|"
    await app.aclose()


@pytest.mark.parametrize("mount", PARENTS)
async def test_a_mounted_app_is_opened_once_by_any_number_of_first_requests(
    mount: Callable[[HandlerApp], AsgiApp],
) -> None:
    opening = Opening(tell)
    app = serve_handler(opening)
    parent = mount(app)

    async def ask() -> int:
        peer = Peer()
        scope = scope_of(path="/sub/api/x", app=None, state={})
        await parent(scope, peer.receive, peer.send)
        return peer.status

    assert await asyncio.gather(*(ask() for _ in range(20))) == [200] * 20
    await app.aclose()
    assert opening.log == ["opening", "opened", "closing", "closed"]


@pytest.mark.parametrize("mount", PARENTS)
async def test_a_client_that_goes_closes_a_mounted_apps_body_once(
    mount: Callable[[HandlerApp], AsgiApp],
) -> None:
    body = Body(b"1", asyncio.Event())

    async def handler(request: Request, /) -> Response:
        return Response(body=body)

    app = serve_handler(Opening(handler))
    peer = Peer()
    scope = scope_of(path="/sub/api/x", app=None, state={})
    task = asyncio.create_task(mount(app)(scope, peer.receive, peer.send))  # type: ignore[arg-type]
    await body.until("waiting")
    peer.disconnect()
    await task
    assert body.closed == 1
    await app.aclose()


async def test_a_parents_lifespan_can_close_a_mounted_app() -> None:
    starlette = pytest.importorskip("starlette.applications")
    routing = pytest.importorskip("starlette.routing")
    opening = Opening(tell)
    app = serve_handler(opening)

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncGenerator[None]:
        yield
        await app.aclose()

    parent = starlette.Starlette(routes=[routing.Mount("/sub", app=app)], lifespan=lifespan)
    async with parent.router.lifespan_context(parent):
        peer = Peer()
        await parent(scope_of(path="/sub/x"), peer.receive, peer.send)
    assert peer.body == b"/sub|/x|"
    assert opening.log == ["opening", "opened", "closing", "closed"]


async def test_a_parents_lifespan_can_be_ours() -> None:
    log: list[str] = []
    app = serve_handler(Opening(tell, log))
    async with app.lifespan(object()):
        assert log == ["opening", "opened"]
    assert log == ["opening", "opened", "closing", "closed"]

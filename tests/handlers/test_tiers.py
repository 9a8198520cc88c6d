"""Which tier answers a path: who may come is decided by the most specific template."""

from __future__ import annotations

import pytest

from openbolt import Dependencies, OpenBolt, Settings
from openbolt.http import Request, Response
from openbolt.routing import Route
from tests.handlers.building import Caller


async def public(request: Request, /) -> Response:
    who = request.context.principal
    name = "nobody" if who is None else who.user_id
    return Response(body=f"{name} {dict(request.path_params)}".encode())


@pytest.fixture
def app(dependencies: Dependencies, settings: Settings) -> OpenBolt:
    routes = [Route("GET", "/api/{name}", public), Route("GET", "/pages/{path:path}", public)]
    return OpenBolt(dependencies, settings, public_routes=routes)


async def test_a_public_template_that_takes_a_private_path_goes_before_it(call: Caller) -> None:
    # As a path with parameters goes before the rest that is private: in that order or not at all.
    answer = await call("GET", "/api/models", user=None)
    assert (answer.status, answer.body) == (200, b"nobody {'name': 'models'}")
    assert (await call("POST", "/api/chat", json={}, user=None)).status == 405


@pytest.mark.parametrize("path", ["/api/auth/keys", "/api/account/export", "/api/nothing/here"])
async def test_a_private_path_that_no_public_template_takes_asks_who_comes(
    call: Caller, path: str
) -> None:
    assert (await call("GET", path, user=None)).status == 401
    assert (await call("POST", path, user=None)).status == 401
    assert (await call("GET", path, user="ann")).status == (404 if "nothing" in path else 200)


async def test_a_method_that_a_private_path_doesnt_take_is_told_to_whoever_is_known(
    call: Caller,
) -> None:
    answer = await call("DELETE", "/api/account/export")
    assert (answer.status, answer.headers.get("allow")) == (405, "GET, HEAD, OPTIONS")
    answer = await call("OPTIONS", "/api/account/export")
    assert (answer.status, answer.headers.get("allow")) == (204, "GET, HEAD, OPTIONS")


async def test_a_private_path_is_not_a_parameter_of_its_own(
    dependencies: Dependencies, settings: Settings
) -> None:
    async def own(request: Request, /) -> Response:
        return Response(body=str(dict(request.path_params)).encode())

    app = OpenBolt(dependencies, settings, routes=[Route("GET", "/own", own)])
    assert (await Caller(app)("GET", "/own")).body == b"{}"

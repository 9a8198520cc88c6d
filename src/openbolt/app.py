"""The application: dependencies in, one handler out.

Law: everything is wired here, once, and nothing is looked up later: no registry, no global, no
environment. The result is a `Handler`; `openbolt.asgi` and `openbolt_cloudflare` serve it.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from openbolt.access import with_optional_principal, with_principal
from openbolt.attempts import LimitedAttempts
from openbolt.dependencies import Dependencies, check
from openbolt.graph import Graph
from openbolt.guards import (
    answer_errors,
    only_hosts,
    outermost,
    refuse_cross_site_writes,
    with_cors,
)
from openbolt.http import Answering, Handler, Request
from openbolt.projects.preview import ShowPreview, serve_preview_hosts
from openbolt.protocols import Authenticator
from openbolt.proxy.apps import AppCallers, serve_apps
from openbolt.routes import Tiers, own_origins
from openbolt.routing import ANY, Route, Router
from openbolt.settings import Settings

__all__ = ["Dependencies", "OpenBolt"]


class OpenBolt:
    """The whole API as one `Handler`.

    Args:
        dependencies: What a backend's ``open_dependencies`` gives.
        settings: The same that it was given; the defaults if None.
        routes: Further routes of yours behind the same guards, for whoever is known.
        public_routes: The same for everybody (the files of a page, say); the caller is known where
            they signed in, and an `Authenticator` may still refuse them.

    Raises:
        ConfigurationError: It would answer for public names without anybody signing in; or
            something that signing in takes is missing.
    """

    def __init__(
        self,
        dependencies: Dependencies,
        settings: Settings | None = None,
        /,
        *,
        routes: Iterable[Route] = (),
        public_routes: Iterable[Route] = (),
    ) -> None:
        settings = settings or Settings()
        check(dependencies, settings)
        graph = Graph.of(dependencies, settings)
        show = ShowPreview(graph.projects, dependencies.kv, settings)
        tiers = Tiers.of(graph, show, routes=routes, public_routes=public_routes)
        self._routes = tiers.all
        self._handler = _guarded(_routed(tiers, graph), tiers, show, graph)

    def __call__(self, request: Request, /) -> Answering:
        """Answer a request; never raises an `OpenBoltError`."""
        return self._handler(request)

    @property
    def routes(self) -> tuple[Route, ...]:
        """What can be asked, without the guards before it: for whoever walks over all of it."""
        return self._routes


def _routed(tiers: Tiers, graph: Graph) -> Handler:
    """Each tier under its own answer to who is asking."""
    private = with_principal(Router(tiers.private), graph.authenticator)
    known = with_optional_principal(Router(tiers.open), graph.authenticator)
    unguarded: Handler = Router(tiers.unguarded)
    # Every method, or one that they don't take would fall to the private routes' 404.
    by_template: dict[str, Handler] = {"/": private, "/{path:path}": private}
    by_template |= {route.template: known for route in tiers.open}
    by_template |= {route.template: unguarded for route in tiers.unguarded}
    router = _any_method(by_template)
    # These by name, too, where nothing else takes them: such paths are found without a search.
    named = [route.template for route in tiers.private if "{" not in route.template]
    same = {path: private for path in named if router.find(ANY, path)[0] is private}
    return _any_method(by_template | same)


def _any_method(by_template: dict[str, Handler]) -> Router:
    return Router([Route(ANY, template, tier) for template, tier in by_template.items()])


def _guarded(handler: Handler, tiers: Tiers, show: ShowPreview, graph: Graph) -> Handler:
    settings = graph.settings
    hosts = list(settings.allowed_hosts)
    if settings.public_url:
        hosts.append(urlsplit(settings.public_url).netloc)
    handler = refuse_cross_site_writes(handler, own_origins(settings))
    if settings.trusted_origins:
        # Errors are answered twice: here so that a trusted page can read them.
        handler = with_cors(answer_errors(handler), settings.trusted_origins)
    if tiers.gateway:
        handler = serve_apps(handler, _app_callers(graph), tiers.gateway)
    handler = only_hosts(handler, hosts)
    handler = serve_preview_hosts(handler, show, settings, graph.limits)
    return outermost(handler, graph.d.tokens)


def _app_callers(graph: Graph) -> Authenticator:
    callers = AppCallers(graph.app_tokens)
    return callers if graph.limits is None else LimitedAttempts(callers, graph.limits)

"""The gateway wired as in an application: users come on one way, apps with tokens on another."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from openbolt.access import Scope, Scoped, scoped, with_principal
from openbolt.guards import answer_errors, with_request_id, with_security_headers, without_forms
from openbolt.heads import HeadStore
from openbolt.http import Handler
from openbolt.limiting import RateLimits, limit_routes
from openbolt.origins import refuse_cross_site_writes
from openbolt.projects.store import ProjectStore
from openbolt.protocols import Clock, KeyValueStore, TokenSource
from openbolt.proxy.app_token_handler import CreateAppToken, ListAppTokens, RevokeAppToken
from openbolt.proxy.app_tokens import AppTokens
from openbolt.proxy.apps import AppCallers, serve_apps
from openbolt.proxy.gateway import CountTokens, GatewayModels, Messages, ModelGateway
from openbolt.routing import Route, Router
from openbolt.settings import Settings
from tests.handlers.scoping import ByHeaders


@frozen
class Wiring:
    kv: KeyValueStore
    heads: HeadStore
    projects: ProjectStore
    clock: Clock
    tokens: TokenSource
    settings: Settings
    limits: RateLimits | None = None

    @property
    def app_tokens(self) -> AppTokens:
        return AppTokens(self.kv, self.heads, self.projects, self.clock, self.tokens)

    def handler(self, gateway: ModelGateway) -> Handler:
        app_tokens = gateway.app_tokens
        assert app_tokens is not None
        calls = self._limited(gateway_routes(gateway))
        private = Router([*self._limited(token_routes(app_tokens, self)), *calls])
        handler = refuse_cross_site_writes(with_principal(private, ByHeaders()))
        handler = serve_apps(handler, AppCallers(app_tokens), calls)
        return with_request_id(with_security_headers(answer_errors(handler)), self.tokens)

    def _limited(self, routes: Sequence[Route]) -> list[Route]:
        return limit_routes(without_forms(routes), self.limits)


def gateway_routes(gateway: ModelGateway) -> list[Route]:
    below = "/api/proxy/anthropic/v1"
    return [
        Route("POST", f"{below}/messages", scoped(Messages(gateway), "proxy")),
        Route("POST", f"{below}/messages/count_tokens", scoped(CountTokens(gateway), "proxy")),
        Route("GET", f"{below}/models", scoped(GatewayModels(gateway.settings), "proxy")),
    ]


def token_routes(app_tokens: AppTokens, wiring: Wiring) -> list[Route]:
    projects = wiring.projects
    create = CreateAppToken(app_tokens, projects, wiring.settings)
    revoke = RevokeAppToken(app_tokens, projects)
    below = "/api/projects/{id}/app-tokens"

    def both(handler: Handler) -> Scoped:
        proxy: Scope = "proxy"
        return scoped(scoped(handler, proxy), "projects")

    return [
        Route("POST", below, both(create)),
        Route("GET", below, both(ListAppTokens(app_tokens, projects))),
        Route("DELETE", f"{below}/{{token_id}}", both(revoke)),
    ]

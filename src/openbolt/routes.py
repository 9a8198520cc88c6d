"""Every route of the API, in three tiers.

Laws: each route has its scope or stands in a tier without users, and each has its rate limits
(`openbolt.rate_policies`; a route without an entry there doesn't start). Reading settles what a
crash has left, writing lists the user.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from attrs import evolve, frozen

from openbolt.access import LocalUser, Scope, scoped, scoped_routes
from openbolt.accounts import with_account
from openbolt.auth.admission import Admission
from openbolt.auth.key_handler import CreateKey, ListKeys, RevokeKey
from openbolt.auth.session_handler import EndSession, EndSessions, ListSessions
from openbolt.auth.sign_in import BeginSignIn, FinishSignIn, ReadSession, SignOut
from openbolt.auth.sign_in_state import SignInAttempts
from openbolt.chat.handler import ReadTurn, StartTurn, StopTurn
from openbolt.chat.listing import DeleteChat, ListChats, ReadChat, RenameChat
from openbolt.chat.recovery import recovered
from openbolt.enhancer import Enhance
from openbolt.graph import Graph
from openbolt.guards import without_forms
from openbolt.http import Handler
from openbolt.limiting import limit_routes
from openbolt.operations import Alive, ListModels, Ready
from openbolt.preferences_handler import PatchPreferences, ReadPreferences
from openbolt.privacy_handler import DeleteAccount, ExportAccount
from openbolt.projects.handler import (
    DeleteProject,
    ExportProject,
    ListProjects,
    ListVersions,
    ReadFile,
    ReadProject,
    RenameProject,
)
from openbolt.projects.preview import MakePreview, ShowPreview
from openbolt.proxy.app_token_handler import CreateAppToken, ListAppTokens, RevokeAppToken
from openbolt.proxy.gateway import CountTokens, GatewayModels, Messages
from openbolt.proxy.git import GitProxy
from openbolt.proxy.handler import Proxy, for_own_pages
from openbolt.routing import ANY, Route
from openbolt.secrets import DeleteSecret, ListSecrets, PutSecret
from openbolt.settings import Settings
from openbolt.sharing_handler import (
    CreateShare,
    ExportShared,
    ListShares,
    ReadShared,
    ReadSharedFile,
    RevokeShare,
    forgetting_shares,
)
from openbolt.slots import Slots, with_slot

__all__ = ["Tiers", "own_origins"]

_Row = tuple[str, str, Handler]


@frozen
class Tiers:
    """The routes by who may ask for them.

    Attributes:
        unguarded: Nobody is asked who they are.
        open: Anybody may come, and whoever signed in is known.
        private: Somebody has to be known.
        gateway: Those of the private ones that apps with a token of theirs may ask for, too.
    """

    unguarded: tuple[Route, ...]
    open: tuple[Route, ...]
    private: tuple[Route, ...]
    gateway: tuple[Route, ...]

    @classmethod
    def of(
        cls,
        graph: Graph,
        show: ShowPreview,
        /,
        *,
        routes: Iterable[Route] = (),
        public_routes: Iterable[Route] = (),
    ) -> Tiers:
        """The API's routes, and those of whoever embeds it."""
        private = [
            *_scoped("chat", _chat_rows(graph)),
            *_scoped("projects", _project_rows(graph)),
            *_scoped("projects", _app_token_rows(graph)),
            *_scoped("admin", _account_rows(graph)),
        ]
        private = limit_routes(without_forms(private), graph.limits)
        proxied = limit_routes(_proxied(graph), graph.limits)
        gateway = limit_routes(without_forms(_gateway(graph)), graph.limits)
        own = [*private, *proxied, *gateway, *scoped_routes(routes)]
        return cls(
            tuple(limit_routes(_unguarded(graph, show), graph.limits)),
            (*limit_routes(without_forms(_sign_in(graph)), graph.limits), *public_routes),
            tuple(evolve(r, handler=with_account(r.handler, graph.accounts)) for r in own),
            tuple(gateway),
        )

    @property
    def all(self) -> tuple[Route, ...]:
        """Every route."""
        return (*self.unguarded, *self.open, *self.private)


def own_origins(settings: Settings, /) -> list[str]:
    """The origins of pages that may write, besides the one that a request came to."""
    origins = list(settings.trusted_origins)
    if settings.public_url:
        public = urlsplit(settings.public_url)
        origins.append(f"{public.scheme}://{public.netloc}")
    return origins


def _scoped(scope: Scope, rows: Iterable[_Row]) -> list[Route]:
    return [Route(method, path, scoped(handler, scope)) for method, path, handler in rows]


def _chat_rows(g: Graph) -> list[_Row]:
    d, settings, chats = g.d, g.settings, g.chats
    start: Handler = StartTurn(g.runner, g.recovery, d.tokens, g.secrets)
    enhance: Handler = Enhance(d.provider, settings, g.secrets, d.prices, g.limits)
    if settings.slots_per_user:
        slots = settings.slots_per_user
        start = with_slot(start, Slots("chat", slots, d.leases, d.clock))
        enhance = with_slot(enhance, Slots("enhancer", slots, d.leases, d.clock))
    read = recovered(ReadChat(chats, d.leases), g.recovery, "chat")
    delete = forgetting_shares(DeleteChat(chats, d.leases), g.shares, "chat")
    return [
        ("POST", "/api/chat", start),
        ("GET", "/api/chat/{id}/stream", recovered(ReadTurn(g.runner), g.recovery, "chat")),
        ("POST", "/api/chat/{id}/stop", StopTurn(g.runner)),
        ("POST", "/api/enhancer", enhance),
        ("GET", "/api/models", ListModels(settings)),
        ("GET", "/api/chats", ListChats(chats, settings)),
        ("GET", "/api/chats/{id}", read),
        ("PATCH", "/api/chats/{id}", RenameChat(chats, settings)),
        ("DELETE", "/api/chats/{id}", delete),
    ]


def _project_rows(g: Graph) -> list[_Row]:
    d, settings, projects = g.d, g.settings, g.projects

    def settled(handler: Handler) -> Handler:
        return recovered(handler, g.recovery, "project")

    preview = MakePreview(projects, d.kv, d.clock, d.tokens, settings)
    delete = forgetting_shares(
        DeleteProject(projects, d.kv, g.recovery.journals), g.shares, "project"
    )
    return [
        ("GET", "/api/projects", ListProjects(projects, settings)),
        ("GET", "/api/projects/{id}", settled(ReadProject(projects))),
        ("PATCH", "/api/projects/{id}", settled(RenameProject(projects, settings))),
        ("DELETE", "/api/projects/{id}", settled(delete)),
        ("GET", "/api/projects/{id}/files/{path:path}", settled(ReadFile(projects))),
        ("GET", "/api/projects/{id}/versions", settled(ListVersions(projects, settings))),
        ("GET", "/api/projects/{id}/export", settled(ExportProject(projects))),
        ("POST", "/api/projects/{id}/preview", settled(preview)),
    ]


def _account_rows(g: Graph) -> list[_Row]:
    sessions, keys, shares = g.sessions, g.api_keys, g.shares
    end_one, end_all = EndSession(sessions), EndSessions(sessions)
    if g.grants is not None:
        end_one = EndSession(sessions, g.grants.revoke)
        end_all = EndSessions(sessions, g.grants.revoke)
    rows: list[_Row] = [
        ("GET", "/api/auth/sessions", ListSessions(sessions)),
        ("DELETE", "/api/auth/sessions", end_all),
        ("DELETE", "/api/auth/sessions/{id}", end_one),
        ("GET", "/api/auth/keys", ListKeys(keys)),
        ("POST", "/api/auth/keys", CreateKey(keys)),
        ("DELETE", "/api/auth/keys/{id}", RevokeKey(keys)),
        ("GET", "/api/preferences", ReadPreferences(g.preferences)),
        ("PATCH", "/api/preferences", PatchPreferences(g.preferences)),
        ("POST", "/api/chats/{id}/shares", CreateShare(shares, g.chats)),
        ("GET", "/api/chats/{id}/shares", ListShares(shares, g.chats)),
        ("POST", "/api/projects/{id}/shares", CreateShare(shares, g.projects)),
        ("GET", "/api/projects/{id}/shares", ListShares(shares, g.projects)),
        ("DELETE", "/api/shares/{id}", RevokeShare(shares)),
        ("GET", "/api/account/export", ExportAccount(g.privacy)),
        ("DELETE", "/api/account", DeleteAccount(g.privacy)),
    ]
    if g.secrets is not None:
        rows += [
            ("GET", "/api/secrets", ListSecrets(g.secrets)),
            ("PUT", "/api/secrets/{name}", PutSecret(g.secrets)),
            ("DELETE", "/api/secrets/{name}", DeleteSecret(g.secrets)),
        ]
    return rows


def _proxied(g: Graph) -> list[Route]:
    """Calls to other servers; their bodies are whatever those take, forms too."""
    d, settings = g.d, g.settings
    if d.sender is None:
        return []
    # Basic is ours where it is how people come in, and a git host's everywhere else.
    basic_is_gits = bool(d.identity_providers) or isinstance(d.authenticator, LocalUser)
    git = GitProxy.of(settings, d.sender, d.resolver, basic_is_gits=basic_is_gits)
    proxy = Proxy.of(
        settings, d.sender, secrets=g.secrets, limits=g.limits, clock=d.clock, tokens=d.tokens
    )
    origins = own_origins(settings)
    rows: list[_Row] = [
        (ANY, "/api/git/{host}/{path:path}", for_own_pages(git, origins)),
        (ANY, "/api/proxy/{upstream}/{path:path}", for_own_pages(proxy, origins)),
    ]
    return _scoped("proxy", rows)


def _gateway(g: Graph) -> list[Route]:
    if g.gateway is None:
        return []
    below = "/api/proxy/anthropic/v1"
    rows: list[_Row] = [
        ("POST", f"{below}/messages", Messages(g.gateway)),
        ("POST", f"{below}/messages/count_tokens", CountTokens(g.gateway)),
        ("GET", f"{below}/models", GatewayModels(g.settings)),
    ]
    return _scoped("proxy", rows)


def _app_token_rows(g: Graph) -> list[_Row]:
    """Both the scope of projects and that of the proxy: a token is worth money."""
    if g.gateway is None:
        return []
    below, tokens = "/api/projects/{id}/app-tokens", g.app_tokens
    create = CreateAppToken(tokens, g.projects, g.settings)
    return [
        ("POST", below, scoped(create, "proxy")),
        ("GET", below, scoped(ListAppTokens(tokens, g.projects), "proxy")),
        ("DELETE", f"{below}/{{token_id}}", scoped(RevokeAppToken(tokens, g.projects), "proxy")),
    ]


def _sign_in(g: Graph) -> list[Route]:
    d, settings = g.d, g.settings
    providers = d.identity_providers
    read = ReadSession(providers, g.users, g.sessions, settings, g.otherwise)
    routes = [Route("GET", "/api/auth/session", read)]
    if g.grants is None or d.cipher is None or d.sender is None:
        return routes
    attempts = SignInAttempts(d.cipher, d.clock, d.tokens, settings, d.atomic)
    begin = BeginSignIn(providers, attempts, d.sender, settings)
    finish = FinishSignIn(
        providers,
        attempts,
        d.sender,
        Admission.of(settings),
        g.users,
        g.sessions,
        g.grants,
        d.clock,
        settings,
        g.limits,
    )
    return [
        *routes,
        Route("GET", "/api/auth/{provider}/login", begin),
        Route("GET", "/api/auth/{provider}/callback", finish),
        Route("POST", "/api/auth/logout", SignOut(g.sessions, g.grants, settings)),
    ]


def _unguarded(g: Graph, show: ShowPreview) -> list[Route]:
    d = g.d
    return [
        Route("GET", "/preview/{token}", show),
        Route("GET", "/preview/{token}/", show),
        Route("GET", "/preview/{token}/{path:path}", show),
        Route("GET", "/api/shared/{token}", ReadShared(g.links, d.leases)),
        Route("GET", "/api/shared/{token}/files/{path:path}", ReadSharedFile(g.links)),
        Route("GET", "/api/shared/{token}/export", ExportShared(g.links)),
        Route("GET", "/healthz", Alive()),
        Route("GET", "/readyz", Ready(d.kv, d.objects, d.leases, d.events)),
    ]

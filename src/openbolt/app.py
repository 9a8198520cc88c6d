"""The application: dependencies in, one handler out.

Law: everything is wired here, once, and nothing is looked up later: no registry, no global, no
environment. The result is a `Handler`; `openbolt.asgi` and `openbolt_cloudflare` serve it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from attrs import field, frozen

from openbolt.access import LocalUser, with_principal
from openbolt.auth.identity import IdentityProvider
from openbolt.chat.handler import ReadTurn, StartTurn, StopTurn
from openbolt.chat.listing import DeleteChat, ListChats, ReadChat, RenameChat
from openbolt.chat.recovery import Recovery, recovered
from openbolt.chat.running import RunningTurns
from openbolt.chat.turn import TurnRunner
from openbolt.costs import ANTHROPIC_2026_11, PriceTable
from openbolt.enhancer import Enhance
from openbolt.errors import ConfigurationError
from openbolt.guards import (
    answer_errors,
    only_hosts,
    refuse_cross_site_writes,
    with_request_id,
    with_security_headers,
)
from openbolt.heads import HeadStore, KeyValueHeads, ObjectHeads
from openbolt.history import ChatStore
from openbolt.http import Handler, Request, Response
from openbolt.operations import Alive, ListModels, Ready
from openbolt.projects.handler import (
    DeleteProject,
    ExportProject,
    ListProjects,
    ListVersions,
    ReadFile,
    ReadProject,
    RenameProject,
)
from openbolt.projects.journal import JournalStore
from openbolt.projects.preview import MakePreview, ShowPreview, serve_preview_hosts
from openbolt.projects.store import ProjectStore
from openbolt.protocols import (
    AtomicKeyValueStore,
    Authenticator,
    Cipher,
    Clock,
    EventLog,
    HttpSender,
    KeyValueStore,
    LeaseStore,
    ModelProvider,
    ObjectStore,
    SessionStore,
    TokenSource,
)
from openbolt.routing import ANY, Route, Router
from openbolt.settings import LOOPBACK_HOSTS, Settings

__all__ = ["Dependencies", "OpenBolt"]


@frozen(kw_only=True)
class Dependencies:
    """What the application needs from the outside; each backend offers a set of them.

    Attributes:
        kv: Messages, links, journals.
        atomic: The same store, where it has atomic operations; None keeps heads of chats in
            ``objects``, by conditional puts.
        objects: Project files.
        events: Logs of turns.
        leases: One writer for a chat.
        provider: The model.
        authenticator: Who is asking; by default one local user, so bind to loopback only. Not asked
            where there are identity providers: then it is whoever signed in.
        sender: Calls to other servers: sign-in, and later the proxy. None: there are none.
        cipher: Encrypts what is stored of secrets. None: nothing that needs it is offered.
        sessions: Signed-in browsers; None keeps them in ``kv``.
        identity_providers: Whom people sign in with; empty: nobody signs in.
    """

    kv: KeyValueStore
    objects: ObjectStore
    events: EventLog
    leases: LeaseStore
    provider: ModelProvider
    clock: Clock
    tokens: TokenSource
    atomic: AtomicKeyValueStore | None = None
    authenticator: Authenticator = field(factory=LocalUser)
    prices: PriceTable = ANTHROPIC_2026_11
    sender: HttpSender | None = None
    cipher: Cipher | None = None
    sessions: SessionStore | None = None
    identity_providers: Sequence[IdentityProvider] = ()


class OpenBolt:
    """The whole API as one `Handler`.

    Args:
        dependencies: What a backend's ``open_dependencies`` gives.
        settings: The same that it was given; the defaults if None.
        routes: Further routes of yours (the files of a page, say) behind the same guards.

    Raises:
        ConfigurationError: It would answer for public names without anybody signing in.
    """

    def __init__(
        self,
        dependencies: Dependencies,
        settings: Settings | None = None,
        /,
        *,
        routes: Iterable[Route] = (),
    ) -> None:
        settings = settings or Settings()
        _check_who_may_come(dependencies, settings)
        self._handler = _guarded(dependencies, settings, tuple(routes))

    async def __call__(self, request: Request, /) -> Response:
        """Answer a request; never raises an `OpenBoltError`."""
        return await self._handler(request)


def _check_who_may_come(d: Dependencies, settings: Settings) -> None:
    """Refuse to answer for public names while everybody would be the same local user."""
    names = [host for host in settings.allowed_hosts if not _is_loopback_name(host)]
    if settings.public_url:
        names.append(urlsplit(settings.public_url).netloc)
    if names and isinstance(d.authenticator, LocalUser):
        raise ConfigurationError(
            f"The application answers for {names[0]}, where others can reach it, but nobody has "
            "to sign in. Give Dependencies an `authenticator`, or set OPENBOLT_PASSWORD.",
            setting="allowed_hosts",
        )


def _is_loopback_name(host: str) -> bool:
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    return name in LOOPBACK_HOSTS or name.endswith(".localhost")


def _guarded(d: Dependencies, settings: Settings, routes: tuple[Route, ...]) -> Handler:
    projects = ProjectStore(d.objects, d.kv, d.clock)
    show = ShowPreview(projects, d.kv, settings)
    private = Router([*_api_routes(d, settings, projects), *routes])
    unguarded = Router(
        [
            Route("GET", "/preview/{token}", show),
            Route("GET", "/preview/{token}/", show),
            Route("GET", "/preview/{token}/{path:path}", show),
            Route("GET", "/healthz", Alive()),
            Route("GET", "/readyz", Ready(d.kv, d.objects, d.leases, d.events)),
        ]
    )
    handler: Handler = Router(
        [
            Route(ANY, "/", with_principal(private, d.authenticator)),
            Route(ANY, "/{path:path}", with_principal(private, d.authenticator)),
            # Every method, or one that they don't take would fall to the private routes' 404.
            *(Route(ANY, route.template, unguarded) for route in unguarded.routes),
        ]
    )
    hosts, origins = list(settings.allowed_hosts), list(settings.trusted_origins)
    if settings.public_url:
        public = urlsplit(settings.public_url)
        hosts.append(public.netloc)
        origins.append(f"{public.scheme}://{public.netloc}")
    handler = refuse_cross_site_writes(handler, origins)
    handler = only_hosts(handler, hosts)
    handler = serve_preview_hosts(handler, show, settings)
    handler = with_security_headers(answer_errors(handler))
    return with_request_id(handler, d.tokens)


def _api_routes(d: Dependencies, settings: Settings, projects: ProjectStore) -> list[Route]:
    heads: HeadStore = ObjectHeads(d.objects) if d.atomic is None else KeyValueHeads(d.atomic)
    chats = ChatStore(d.kv, heads, d.clock)
    running = RunningTurns()
    journals = JournalStore(d.kv)
    recovery = Recovery(journals, projects, chats, d.leases, running, settings.lease_ttl)
    runner = TurnRunner(
        d.provider,
        d.events,
        d.leases,
        journals,
        projects,
        chats,
        d.clock,
        d.prices,
        settings,
        running,
        d.tokens,
    )
    return [
        Route("POST", "/api/chat", StartTurn(runner, recovery, d.tokens)),
        Route("GET", "/api/chat/{id}/stream", recovered(ReadTurn(runner), recovery, "chat")),
        Route("POST", "/api/chat/{id}/stop", StopTurn(runner)),
        Route("POST", "/api/enhancer", Enhance(d.provider, settings)),
        Route("GET", "/api/chats", ListChats(chats, settings)),
        Route("GET", "/api/chats/{id}", recovered(ReadChat(chats, d.leases), recovery, "chat")),
        Route("PATCH", "/api/chats/{id}", RenameChat(chats, settings)),
        Route("DELETE", "/api/chats/{id}", DeleteChat(chats, d.leases)),
        Route("GET", "/api/projects", ListProjects(projects, settings)),
        Route("GET", "/api/projects/{id}", recovered(ReadProject(projects), recovery, "project")),
        Route("PATCH", "/api/projects/{id}", RenameProject(projects, settings)),
        Route("DELETE", "/api/projects/{id}", DeleteProject(projects, d.kv)),
        Route(
            "GET",
            "/api/projects/{id}/files/{path:path}",
            recovered(ReadFile(projects), recovery, "project"),
        ),
        Route(
            "GET",
            "/api/projects/{id}/versions",
            recovered(ListVersions(projects, settings), recovery, "project"),
        ),
        Route(
            "GET",
            "/api/projects/{id}/export",
            recovered(ExportProject(projects), recovery, "project"),
        ),
        Route(
            "POST",
            "/api/projects/{id}/preview",
            recovered(
                MakePreview(projects, d.kv, d.clock, d.tokens, settings), recovery, "project"
            ),
        ),
        Route("GET", "/api/models", ListModels(settings)),
    ]

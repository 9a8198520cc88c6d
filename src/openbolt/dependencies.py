"""What the application needs from the outside, as one value.

Law: protocols only; what a field lacks is said at the start (`check`), never in the middle of a
request.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from attrs import field, frozen

from openbolt.access import LocalUser
from openbolt.auth.identity import IdentityProvider
from openbolt.costs import ANTHROPIC_2026_11, PriceTable
from openbolt.errors import ConfigurationError
from openbolt.protocols import (
    AccountingRateLimiter,
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
    RateLimiter,
    SessionStore,
    TokenSource,
)
from openbolt.proxy.gateway import ModelEndpoint
from openbolt.proxy.guard import Resolver
from openbolt.settings import LOOPBACK_HOSTS, Settings

__all__ = ["Dependencies", "check"]


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
        model_endpoint: The same model, for the gateway through which apps under construction call
            it; None: there is no gateway.
        authenticator: Who is asking; by default one local user, so bind to loopback only. Not asked
            where there are identity providers: then it is whoever signed in.
        prices: What the operator pays the model's provider.
        own_key_prices: What a user pays it who brings a key of theirs; None: the same.
        sender: Calls to other servers. Needed to sign in.
        cipher: Encrypts what is stored of secrets. Needed to sign in; without it the application
            keeps no secrets of users.
        sessions: Signed-in browsers; None keeps them in ``kv``.
        identity_providers: Whom people sign in with; empty: nobody signs in.
        resolver: Looks names up, so that calls go to the very addresses that were checked. None
            where that can't be had: in a Worker.
        limiter: Counts requests; None: there are no rate limits.
        accounting: The same limiter, where it can be told afterwards what something cost.
    """

    kv: KeyValueStore
    objects: ObjectStore
    events: EventLog
    leases: LeaseStore
    provider: ModelProvider
    clock: Clock
    tokens: TokenSource
    atomic: AtomicKeyValueStore | None = None
    model_endpoint: ModelEndpoint | None = None
    authenticator: Authenticator = field(factory=LocalUser)
    prices: PriceTable = ANTHROPIC_2026_11
    own_key_prices: PriceTable | None = None
    sender: HttpSender | None = None
    resolver: Resolver | None = None
    cipher: Cipher | None = None
    sessions: SessionStore | None = None
    identity_providers: Sequence[IdentityProvider] = ()
    limiter: RateLimiter | None = None
    accounting: AccountingRateLimiter | None = None


def check(d: Dependencies, settings: Settings, /) -> None:
    """Refuse what can't work, or would let everybody in.

    Raises:
        ConfigurationError: It would answer for public names while everybody is the same local user;
            or people are to sign in, and something that this takes is missing.
    """
    if d.identity_providers:
        if d.cipher is None:
            raise ConfigurationError(
                "People are to sign in, and nothing encrypts what is kept of it. Give Dependencies "
                "a `cipher`: set OPENBOLT_SECRET_KEYS and install 'openbolt[crypto]'.",
                setting="secret_keys",
            )
        if d.sender is None:
            raise ConfigurationError(
                "People are to sign in, and nothing calls their identity provider. Give "
                "Dependencies a `sender`.",
                setting="sender",
            )
        return
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

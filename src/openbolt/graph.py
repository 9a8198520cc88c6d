"""What the handlers share, made once from what the application is given.

Law: nothing here answers a request, and nothing is looked up later.
"""

from __future__ import annotations

from attrs import frozen

from openbolt.access import LocalUser, SharedPassword
from openbolt.accounts import AccountJournals, Accounts
from openbolt.attempts import LimitedAttempts
from openbolt.auth.api_keys import ApiKeys
from openbolt.auth.authenticator import KeysOr, SignedInUsers
from openbolt.auth.grants import Grants
from openbolt.auth.session_store import KeyValueSessionStore
from openbolt.auth.sessions import Sessions
from openbolt.auth.sign_in import Method
from openbolt.auth.users import UserStore
from openbolt.chat.recovery import Recovery
from openbolt.chat.running import RunningTurns
from openbolt.chat.turn import TurnRunner
from openbolt.dependencies import Dependencies
from openbolt.heads import HeadStore, KeyValueHeads, ObjectHeads
from openbolt.history import ChatStore
from openbolt.limiting import RateLimits
from openbolt.preferences import PreferenceStore
from openbolt.privacy import Privacy, parts_of_an_account
from openbolt.projects.store import ProjectStore
from openbolt.protocols import Authenticator
from openbolt.proxy.app_token_handler import AppTokenData
from openbolt.proxy.app_tokens import AppTokens
from openbolt.proxy.gateway import ModelGateway
from openbolt.secrets import SecretStore
from openbolt.settings import Settings
from openbolt.sharing import Shares
from openbolt.sharing_handler import Links

__all__ = ["Graph"]

_LOCAL_FACTOR = 100
"""Behind one local user stands one machine, with its scripts and its tests."""


@frozen(kw_only=True)
class Graph:
    """The stores and services of one application.

    Attributes:
        secrets: None where there is no cipher; grants likewise, or where nobody signs in.
        gateway: None where nothing calls other servers, or nothing says where the model is.
        limits: None where there is no limiter.
        otherwise: How those come who bring neither a session nor a key.
    """

    d: Dependencies
    settings: Settings
    projects: ProjectStore
    chats: ChatStore
    recovery: Recovery
    runner: TurnRunner
    accounts: Accounts
    shares: Shares
    links: Links
    preferences: PreferenceStore
    users: UserStore
    sessions: Sessions
    api_keys: ApiKeys
    secrets: SecretStore | None
    grants: Grants | None
    privacy: Privacy
    app_tokens: AppTokens
    gateway: ModelGateway | None
    limits: RateLimits | None
    authenticator: Authenticator
    otherwise: Method

    @classmethod
    def of(cls, d: Dependencies, settings: Settings, /) -> Graph:
        """Everything, from the stores upwards."""
        heads: HeadStore = ObjectHeads(d.objects) if d.atomic is None else KeyValueHeads(d.atomic)
        projects = ProjectStore(d.objects, d.kv, d.clock)
        chats = ChatStore(d.kv, heads, d.clock)
        running = RunningTurns()
        accounts = Accounts(d.kv, d.clock, running, mark_ttl=max(3600.0, 2 * settings.turn_timeout))
        journals = AccountJournals(d.kv, accounts)
        recovery = Recovery(journals, projects, chats, d.leases, running, settings.lease_ttl)
        shares = Shares(d.kv, heads, d.clock, d.tokens, settings)
        preferences = PreferenceStore(heads, settings.max_preferences_bytes)
        users = UserStore(d.kv)
        store = d.sessions or KeyValueSessionStore(d.kv, d.clock)
        sessions = Sessions(store, d.clock, d.tokens, settings)
        api_keys = ApiKeys(d.kv, d.clock, d.tokens, settings)
        secrets = None if d.cipher is None else SecretStore(d.kv, d.cipher, d.clock, settings)
        grants = _grants(d, sessions)
        limits = _limits(d, settings)
        app_tokens = AppTokens(d.kv, heads, projects, d.clock, d.tokens)
        data = parts_of_an_account(
            recovery=recovery,
            leases=d.leases,
            clock=d.clock,
            shares=shares,
            preferences=preferences,
            users=users,
            api_keys=api_keys,
            sessions=sessions,
            secrets=secrets,
            ended=None if grants is None else grants.revoke,
            more=[AppTokenData(app_tokens)],
        )
        return cls(
            d=d,
            settings=settings,
            projects=projects,
            chats=chats,
            recovery=recovery,
            runner=TurnRunner(
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
                d.own_key_prices,
                limits,
            ),
            accounts=accounts,
            shares=shares,
            links=Links(shares, projects, chats, recovery),
            preferences=preferences,
            users=users,
            sessions=sessions,
            api_keys=api_keys,
            secrets=secrets,
            grants=grants,
            privacy=Privacy(data, d.kv, d.objects, accounts, recovery, d.clock, d.tokens, settings),
            app_tokens=app_tokens,
            gateway=_gateway(d, settings, app_tokens, secrets, limits),
            limits=limits,
            authenticator=_authenticator(d, sessions, api_keys, limits),
            otherwise=_otherwise(d.authenticator),
        )


def _grants(d: Dependencies, sessions: Sessions) -> Grants | None:
    if d.cipher is None or d.sender is None or not d.identity_providers:
        return None
    return Grants(d.identity_providers, sessions, d.cipher, d.sender, d.leases, d.clock)


def _gateway(
    d: Dependencies,
    settings: Settings,
    app_tokens: AppTokens,
    secrets: SecretStore | None,
    limits: RateLimits | None,
) -> ModelGateway | None:
    if d.sender is None or d.model_endpoint is None:
        return None
    prices, own = d.prices, d.own_key_prices
    return ModelGateway(
        d.sender, d.model_endpoint, settings, app_tokens, secrets, prices, own, limits
    )


def _limits(d: Dependencies, settings: Settings) -> RateLimits | None:
    if d.limiter is None:
        return None
    is_local = isinstance(d.authenticator, LocalUser) and not d.identity_providers
    factor = _LOCAL_FACTOR if is_local else 1
    return RateLimits.of(d.limiter, d.clock, settings, accounts=d.accounting, factor=factor)


def _authenticator(
    d: Dependencies, sessions: Sessions, api_keys: ApiKeys, limits: RateLimits | None
) -> Authenticator:
    """Sessions and keys where people sign in, else keys before whatever was given."""
    if d.identity_providers:
        found: Authenticator = SignedInUsers(sessions, api_keys)
    else:
        found = KeysOr(d.authenticator, api_keys)
    return found if limits is None else LimitedAttempts(found, limits)


def _otherwise(authenticator: Authenticator) -> Method:
    if isinstance(authenticator, LocalUser):
        return "local"
    return "password" if isinstance(authenticator, SharedPassword) else "other"

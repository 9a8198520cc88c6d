"""The embedded default: SQLite and files below one folder, and a model that is never missing.

Law: everything opened here is closed here, in reverse order, whatever happens in between. Without a
key and without a base URL the mock of the Messages API is started, and the real provider talks to
it over HTTP: the offline path is the real path.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from openbolt import Dependencies, Settings
from openbolt.access import LocalUser, SharedPassword
from openbolt.auth.providers import identity_providers
from openbolt.chat.log import MemoryEventLog
from openbolt.clock import SystemClock, SystemTokens
from openbolt.costs import ANTHROPIC_2026_11, Price, PriceTable
from openbolt.errors import ConfigurationError
from openbolt.hidden import Hidden
from openbolt.protocols import (
    AccountingRateLimiter,
    AtomicKeyValueStore,
    Authenticator,
    Clock,
    EventLog,
    HttpSender,
    LeaseStore,
    ModelProvider,
    ObjectStore,
)
from openbolt.providers.anthropic import AnthropicProvider
from openbolt.proxy.gateway import ModelEndpoint
from openbolt_local.files import FileObjectStore
from openbolt_local.keyfile import open_cipher
from openbolt_local.memory import (
    MemoryKeyValueStore,
    MemoryLeaseStore,
    MemoryObjectStore,
    MemoryRateLimiter,
)
from openbolt_local.own_key import OwnKeyProvider
from openbolt_local.resolver import SystemResolver
from openbolt_local.sqlite import SQLiteDatabase, SQLiteKeyValueStore, SQLiteLeaseStore
from openbolt_local.sqlite_events import SQLiteEventLog
from openbolt_local.sqlite_limits import SQLiteRateLimiter

if TYPE_CHECKING:
    from openbolt.senders.httpx import HttpxSender

__all__ = ["MOCK_NOTICE", "open_dependencies", "uses_mock", "with_mock_notice"]

MOCK_NOTICE = (
    "No model is connected: a built-in mock answers with a few ready-made apps. "
    "Set ANTHROPIC_API_KEY and restart to build with Claude."
)
FREE = PriceTable("mock", {"": Price.of("0", "0", "0")})


@frozen
class _Stores:
    kv: AtomicKeyValueStore
    events: EventLog
    leases: LeaseStore
    limiter: AccountingRateLimiter


@frozen
class _Model:
    provider: ModelProvider
    endpoint: ModelEndpoint


def uses_mock(settings: Settings, /) -> bool:
    """Whether nothing names a model's server, so that the mock stands in."""
    return not settings.anthropic_api_key and not settings.anthropic_base_url


def with_mock_notice(settings: Settings, /) -> Settings:
    """The settings, saying so where the mock answers."""
    if not uses_mock(settings):
        return settings
    return evolve(settings, provider_name="mock", notice=settings.notice or MOCK_NOTICE)


def _open_sender(stack: AsyncExitStack) -> HttpSender | None:
    """On whichever library is installed; None without any, and nobody signs in or is proxied."""
    if find_spec("aiohttp") is not None:
        from openbolt.senders.aiohttp import AiohttpSender

        sender: AiohttpSender | HttpxSender = AiohttpSender()
    elif find_spec("httpx") is not None:
        from openbolt.senders.httpx import HttpxSender

        sender = HttpxSender()
    else:
        return None
    stack.push_async_callback(sender.aclose)
    return sender


@asynccontextmanager
async def open_dependencies(settings: Settings, /) -> AsyncGenerator[Dependencies]:
    """Open what ``settings.kv``, ``settings.objects`` and the model settings name.

    Raises:
        ConfigurationError: A setting names something that this backend doesn't know.
        BackendError: A store can't be opened.
    """
    clock, tokens = SystemClock(), SystemTokens()
    providers = identity_providers(settings)
    async with AsyncExitStack() as stack:
        stores = await _open_stores(settings, clock, stack)
        sender = _open_sender(stack)
        model = await _open_model(settings, stack)
        resolver = SystemResolver()
        stack.push_async_callback(resolver.aclose)
        yield Dependencies(
            kv=stores.kv,
            atomic=stores.kv,
            objects=_open_objects(settings, clock),
            events=stores.events,
            leases=stores.leases,
            provider=model.provider,
            model_endpoint=model.endpoint,
            clock=clock,
            tokens=tokens,
            authenticator=_authenticator(settings),
            prices=FREE if uses_mock(settings) else ANTHROPIC_2026_11,
            own_key_prices=ANTHROPIC_2026_11,
            sender=sender,
            resolver=resolver,
            cipher=await open_cipher(settings),
            identity_providers=providers,
            limiter=stores.limiter,
            accounting=stores.limiter,
        )


async def _open_stores(settings: Settings, clock: Clock, stack: AsyncExitStack) -> _Stores:
    if settings.kv == "memory":
        kv = MemoryKeyValueStore(clock)
        limiter = MemoryRateLimiter(clock)
        return _Stores(kv, MemoryEventLog(clock), MemoryLeaseStore(clock), limiter)
    if settings.kv == "sqlite":
        path = Path(settings.data) / "openbolt.sqlite3"
        database = await stack.enter_async_context(SQLiteDatabase.open(path))
        events = await stack.enter_async_context(SQLiteEventLog(database, clock))
        return _Stores(
            SQLiteKeyValueStore(database, clock),
            events,
            SQLiteLeaseStore(database, clock),
            SQLiteRateLimiter(database, clock),
        )
    raise ConfigurationError(
        "OPENBOLT_KV must be 'sqlite' or 'memory' in this version.", setting="kv"
    )


def _open_objects(settings: Settings, clock: Clock) -> ObjectStore:
    if settings.objects == "memory":
        return MemoryObjectStore(clock)
    if settings.objects == "files":
        return FileObjectStore(Path(settings.data) / "objects")
    raise ConfigurationError(
        "OPENBOLT_OBJECTS must be 'files' or 'memory' in this version.", setting="objects"
    )


async def _open_model(settings: Settings, stack: AsyncExitStack) -> _Model:
    base_url = settings.anthropic_base_url or "https://api.anthropic.com"
    key = settings.anthropic_api_key or ""
    provider = AnthropicProvider(api_key=key, base_url=base_url)
    stack.push_async_callback(provider.aclose)
    if not uses_mock(settings):
        _warm_up(provider, stack)
        return _Model(provider, ModelEndpoint(base_url, Hidden(key) if key else None))
    # Here, since only the mock needs h11.
    from openbolt_local.mocks import LIVELY, AnthropicMock

    mock = AnthropicMock(delta_interval=LIVELY, record_limit=16)
    await stack.enter_async_context(mock)
    stand_in = AnthropicProvider(api_key="mock", base_url=mock.url)
    stack.push_async_callback(stand_in.aclose)
    _warm_up(stand_in, stack)
    endpoint = ModelEndpoint(mock.url, Hidden("mock"), own_key_url=base_url)
    return _Model(OwnKeyProvider(stand_in, provider), endpoint)


def _warm_up(provider: AnthropicProvider, stack: AsyncExitStack) -> None:
    """Import the SDK, which takes a second: beside the start, not before the first reply."""
    warming = asyncio.create_task(provider.warm_up())

    async def settle() -> None:
        await asyncio.gather(warming, return_exceptions=True)

    stack.push_async_callback(settle)


def _authenticator(settings: Settings) -> Authenticator:
    return SharedPassword(settings.password) if settings.password else LocalUser()

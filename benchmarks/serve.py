"""openbolt itself, put together as an application would, for measuring.

``--provider http`` is the Messages API over `AiohttpSender`, ``sdk`` the official SDK; ``--stores
embedded`` is SQLite and files, as in the example server, ``memory`` keeps nothing.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import uvicorn

from openbolt import Dependencies, Settings
from openbolt.asgi import asgi_app
from openbolt.chat.log import MemoryEventLog
from openbolt.clock import SystemClock, SystemTokens
from openbolt.collector import calm_collector
from openbolt.protocols import ModelProvider
from openbolt_local.files import FileObjectStore
from openbolt_local.memory import MemoryKeyValueStore, MemoryLeaseStore, MemoryObjectStore
from openbolt_local.sqlite import (
    SQLiteDatabase,
    SQLiteEventLog,
    SQLiteKeyValueStore,
    SQLiteLeaseStore,
)


@asynccontextmanager
async def open_dependencies(settings: Settings) -> AsyncGenerator[Dependencies]:
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        provider = await _provider(settings, stack)
        if settings.kv == "memory":
            kv = MemoryKeyValueStore(clock)
            yield Dependencies(
                kv=kv,
                atomic=kv,
                objects=MemoryObjectStore(clock),
                events=MemoryEventLog(clock),
                leases=MemoryLeaseStore(clock),
                provider=provider,
                clock=clock,
                tokens=SystemTokens(),
            )
            return
        folder = Path(settings.data)
        database = await stack.enter_async_context(SQLiteDatabase.open(folder / "kv.sqlite3"))
        table = SQLiteKeyValueStore(database, clock)
        yield Dependencies(
            kv=table,
            atomic=table,
            objects=FileObjectStore(folder / "objects"),
            events=await stack.enter_async_context(SQLiteEventLog(database, clock)),
            leases=SQLiteLeaseStore(database, clock),
            provider=provider,
            clock=clock,
            tokens=SystemTokens(),
        )


@asynccontextmanager
async def open_calmly(settings: Settings) -> AsyncGenerator[Dependencies]:
    """As the example server does, and the how-to of embedding tells."""
    async with open_dependencies(settings) as dependencies:
        calm_collector()
        yield dependencies


async def _provider(settings: Settings, stack: AsyncExitStack) -> ModelProvider:
    base_url = settings.anthropic_base_url or ""
    if settings.provider_name == "sdk":
        from openbolt.providers.anthropic import AnthropicProvider

        sdk = AnthropicProvider(api_key="k", base_url=base_url)
        stack.push_async_callback(sdk.aclose)
        await sdk.warm_up()
        return sdk
    from openbolt.providers.http import MessagesProvider
    from openbolt.senders.aiohttp import AiohttpSender

    sender = AiohttpSender()
    stack.push_async_callback(sender.aclose)
    return MessagesProvider(sender, base_url=base_url, api_key="k")


def main() -> None:
    parser = argparse.ArgumentParser(description="openbolt, for measuring.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True, help="URL without /v1")
    parser.add_argument("--provider", choices=("http", "sdk"), default="http")
    parser.add_argument("--stores", choices=("memory", "embedded"), default="memory")
    parser.add_argument(
        "--python-gc", action="store_true", help="leave garbage collection as Python sets it"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="openbolt-bench-") as folder:
        memory = options.stores == "memory"
        settings = Settings(
            data=folder,
            kv="memory" if memory else "sqlite",
            objects="memory" if memory else "files",
            anthropic_base_url=options.upstream,
            provider_name=options.provider,
        )
        opened = open_dependencies if options.python_gc else open_calmly
        app = asgi_app(opened, settings)
        config = uvicorn.Config(
            app,
            port=options.port,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=4096,
        )
        uvicorn.Server(config).run()


if __name__ == "__main__":
    main()

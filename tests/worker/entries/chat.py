"""The whole application in a worker, with stores in memory and a model across the network."""

import functools

from workers import WorkerEntrypoint

from openbolt import Dependencies, OpenBolt, Settings
from openbolt.chat.log import MemoryEventLog
from openbolt.clock import SystemClock, SystemTokens
from openbolt.providers.http import MessagesProvider
from openbolt_cloudflare.app import serve
from openbolt_cloudflare.fetch import FetchSender
from openbolt_local.memory import MemoryKeyValueStore, MemoryLeaseStore, MemoryObjectStore


@functools.cache
def application(upstream):
    clock, tokens = SystemClock(), SystemTokens()
    kv = MemoryKeyValueStore(clock)
    dependencies = Dependencies(
        kv=kv,
        atomic=kv,
        objects=MemoryObjectStore(clock),
        events=MemoryEventLog(clock),
        leases=MemoryLeaseStore(clock, tokens),
        provider=MessagesProvider(FetchSender(), upstream, "test-key"),
        clock=clock,
        tokens=tokens,
    )
    return OpenBolt(dependencies, Settings(keepalive=0.1))


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return await serve(application(self.env.UPSTREAM), request, self.ctx)

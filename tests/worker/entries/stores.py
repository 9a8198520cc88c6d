"""The stores of a worker whose key-value store is atomic, as one isolate's memory is."""

from openbolt.chat.log import MemoryEventLog
from openbolt_local.memory import (
    MemoryKeyValueStore,
    MemoryLeaseStore,
    MemoryObjectStore,
    MemoryRateLimiter,
)


def open_stores(clock, tokens):
    """What `openbolt.Dependencies` has of stores, by its fields."""
    kv, limiter = MemoryKeyValueStore(clock), MemoryRateLimiter(clock)
    return {
        "kv": kv,
        "atomic": kv,
        "objects": MemoryObjectStore(clock),
        "events": MemoryEventLog(clock),
        "leases": MemoryLeaseStore(clock, tokens),
        "limiter": limiter,
        "accounting": limiter,
    }

"""The stores of a worker whose key-value store has nothing atomic and no short lives.

As Cloudflare's: heads then lie in the object store, whose puts can be conditional.
"""

from openbolt.chat.log import MemoryEventLog
from openbolt.protocols import KVLimits
from openbolt_local.memory import MemoryKeyValueStore, MemoryLeaseStore, MemoryObjectStore


class PlainKeyValueStore:
    """A `KeyValueStore` and no more."""

    def __init__(self, clock):
        self._kv = MemoryKeyValueStore(clock, limits=KVLimits(min_ttl=60.0))
        self.limits = self._kv.limits
        self.get, self.set, self.delete = self._kv.get, self._kv.set, self._kv.delete
        self.scan = self._kv.scan


def open_stores(clock, tokens):
    """What `openbolt.Dependencies` has of stores, by its fields."""
    return {
        "kv": PlainKeyValueStore(clock),
        "objects": MemoryObjectStore(clock),
        "events": MemoryEventLog(clock),
        "leases": MemoryLeaseStore(clock, tokens),
    }

"""What a test of an application or of a backend needs: a clock and randomness that can be told,
and for each protocol a suite that says whether a backend keeps it.

Law: a name loads its module when it is first used, so the clock works without pytest. The suites
are test classes: subclass one, give its fixtures, and every law of the protocol is tested. They are
``async def`` tests, so run them with pytest-asyncio and ``asyncio_mode = "auto"``.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openbolt.testing.ciphers import CipherSuite, EnvelopeCipherSuite
    from openbolt.testing.events import EventLogSuite
    from openbolt.testing.fakes import ManualClock, PlainCipher, SequenceTokens
    from openbolt.testing.kv import AtomicKeyValueStoreSuite, KeyValueStoreSuite
    from openbolt.testing.leases import LeaseStoreSuite
    from openbolt.testing.limits import AccountingRateLimiterSuite, RateLimiterSuite
    from openbolt.testing.objects import ObjectStoreSuite
    from openbolt.testing.providers import ModelProviderSuite
    from openbolt.testing.senders import HttpSenderSuite
    from openbolt.testing.sessions import SessionStoreSuite

__all__ = [
    "AccountingRateLimiterSuite",
    "AtomicKeyValueStoreSuite",
    "CipherSuite",
    "EnvelopeCipherSuite",
    "EventLogSuite",
    "HttpSenderSuite",
    "KeyValueStoreSuite",
    "LeaseStoreSuite",
    "ManualClock",
    "ModelProviderSuite",
    "ObjectStoreSuite",
    "PlainCipher",
    "RateLimiterSuite",
    "SequenceTokens",
    "SessionStoreSuite",
]

_MODULES = {
    "AccountingRateLimiterSuite": "limits",
    "AtomicKeyValueStoreSuite": "kv",
    "CipherSuite": "ciphers",
    "EnvelopeCipherSuite": "ciphers",
    "EventLogSuite": "events",
    "HttpSenderSuite": "senders",
    "KeyValueStoreSuite": "kv",
    "LeaseStoreSuite": "leases",
    "ManualClock": "fakes",
    "ModelProviderSuite": "providers",
    "ObjectStoreSuite": "objects",
    "PlainCipher": "fakes",
    "RateLimiterSuite": "limits",
    "SequenceTokens": "fakes",
    "SessionStoreSuite": "sessions",
}

if find_spec("pytest"):  # else the suites' assertions fail without saying what they compared
    import_module("pytest").register_assert_rewrite(
        *sorted({f"{__name__}.{module}" for module in _MODULES.values()})
    )


def __getattr__(name: str) -> object:
    """Load a name's module."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)

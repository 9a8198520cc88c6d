"""The application as an attacker finds it."""

from tests.handlers.conftest import (
    app,
    call,
    chat,
    clock,
    dependencies,
    kv,
    leases,
    log,
    mock,
    objects,
    projects,
    provider,
    settings,
    tokens,
)

__all__ = [
    "app",
    "call",
    "chat",
    "clock",
    "dependencies",
    "kv",
    "leases",
    "log",
    "mock",
    "objects",
    "projects",
    "provider",
    "settings",
    "tokens",
]

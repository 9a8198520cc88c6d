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
from tests.security.attacks_site import github, site

__all__ = [
    "app",
    "call",
    "chat",
    "clock",
    "dependencies",
    "github",
    "kv",
    "leases",
    "log",
    "mock",
    "objects",
    "projects",
    "provider",
    "settings",
    "site",
    "tokens",
]

"""The application as an attacker finds it."""

from tests.handlers.conftest import app, call, chat, dependencies, log, provider, tokens
from tests.security.attacks_site import github, site

__all__ = ["app", "call", "chat", "dependencies", "github", "log", "provider", "site", "tokens"]

"""How the example is put together: settings from the environment, one ASGI app out.

Law: the server binds to other than loopback only where people sign in or behind a password,
because otherwise whoever reaches the port is the local user.
"""

from __future__ import annotations

import ipaddress
import logging
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from attrs import evolve

from examples.server.site import page_policy, page_routes
from openbolt import Handler, OpenBolt, Settings
from openbolt.asgi import HandlerApp, serve_handler
from openbolt.auth.providers import identity_providers
from openbolt.edge import EdgeLimits
from openbolt.errors import ConfigurationError
from openbolt.settings import LOOPBACK_HOSTS
from openbolt_local import open_dependencies, with_mock_notice

WEB = Path(__file__).resolve().parent.parent / "web"
_log = logging.getLogger("openbolt.example")


def read_settings(mapping: Mapping[str, str], /, *, host: str, data: str | None) -> Settings:
    """The environment's settings, made to fit the address that is served.

    Raises:
        ConfigurationError: A value is wrong, half of a sign-in is missing, or the address asks for
            a sign-in or a password.
    """
    settings = with_mock_notice(Settings.from_mapping(mapping))
    if data is not None:
        settings = evolve(settings, data=data)
    if "OPENBOLT_DISCONNECT_GRACE" not in mapping:
        settings = evolve(settings, disconnect_grace=30.0)
    people_sign_in = bool(identity_providers(settings))
    if is_loopback(host):
        return settings
    if not settings.password and not people_sign_in:
        raise ConfigurationError(
            f"Not serving on {host}: other machines could reach it, and nobody has to sign in.\n"
            "Either leave --host at 127.0.0.1, or ask for a password and put TLS in front:\n"
            "  OPENBOLT_PASSWORD='a long passphrase' OPENBOLT_ALLOWED_HOSTS=builder.example "
            f"python -m examples.server --host {host}\n"
            "or let people sign in with GitHub: GITHUB_CLIENT_ID and GITHUB_CLIENT_SECRET.",
            setting="password",
        )
    if settings.allowed_hosts == LOOPBACK_HOSTS and not settings.public_url:
        raise ConfigurationError(
            f"Not serving on {host}: say under which host names browsers reach it, for example\n"
            "  OPENBOLT_ALLOWED_HOSTS=builder.example,192.0.2.7",
            setting="allowed_hosts",
        )
    return settings


def callback_urls(settings: Settings, url: str, /) -> list[str]:
    """What has to be registered at the identity providers, for a server at ``url``."""
    base = (settings.public_url or url).rstrip("/")
    return [f"{base}/api/auth/{provider.id}/callback" for provider in identity_providers(settings)]


def is_loopback(host: str, /) -> bool:
    """Whether only this machine can reach a server bound to ``host``."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def make_app(settings: Settings, /) -> HandlerApp:
    """The page and the API as an ASGI app."""

    @asynccontextmanager
    async def open_handler() -> AsyncGenerator[Handler]:
        async with open_dependencies(settings) as dependencies:
            if settings.notice:
                _log.warning(settings.notice)
            pages = page_routes(WEB, page_policy(settings.preview_origin))
            yield OpenBolt(dependencies, settings, public_routes=pages)

    limits = EdgeLimits.of(settings)
    return serve_handler(open_handler, shutdown_grace=settings.shutdown_grace, limits=limits)


def app_from_environment() -> HandlerApp:
    """For uvicorn's reloader, which imports the app by name in a process of its own."""
    host = os.environ.get("OPENBOLT_EXAMPLE_HOST", "127.0.0.1")
    data = os.environ.get("OPENBOLT_EXAMPLE_DATA") or None
    return make_app(read_settings(os.environ, host=host, data=data))

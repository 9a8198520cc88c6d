"""A Worker that makes rough prompts better: the smallest part of openbolt that is of use alone.

It needs no store. `openbolt.OpenBolt` is served in the same way: `serve` takes any handler.
"""

import functools

from workers import WorkerEntrypoint

from openbolt.access import SharedPassword, with_principal
from openbolt.clock import SystemTokens
from openbolt.enhancer import Enhance
from openbolt.errors import ConfigurationError
from openbolt.guards import (
    answer_errors,
    only_hosts,
    refuse_cross_site_writes,
    with_request_id,
    with_security_headers,
)
from openbolt.operations import Alive
from openbolt.providers.http import MessagesProvider
from openbolt.routing import Route, Router
from openbolt_cloudflare.app import serve, settings_from_env
from openbolt_cloudflare.fetch import FetchSender


@functools.cache
def application(settings):
    """Everything, wired once in each isolate: nothing in it belongs to a request."""
    if settings.password is None:
        raise ConfigurationError("Set OPENBOLT_PASSWORD: strangers would spend your money.")
    provider = MessagesProvider(
        FetchSender(),
        settings.anthropic_base_url or "https://api.anthropic.com",
        settings.anthropic_api_key,
    )
    enhance = with_principal(Enhance(provider, settings), SharedPassword(settings.password))
    handler = Router(
        [
            Route("POST", "/api/enhancer", enhance),
            Route("GET", "/healthz", Alive()),
        ]
    )
    handler = refuse_cross_site_writes(handler, settings.trusted_origins)
    handler = only_hosts(handler, settings.allowed_hosts)
    handler = with_security_headers(answer_errors(handler))
    return with_request_id(handler, SystemTokens())


class Default(WorkerEntrypoint):
    """The entry point that ``wrangler.toml`` names."""

    async def fetch(self, request):
        """Answer one request."""
        return await serve(application(settings_from_env(self.env)), request, self.ctx)

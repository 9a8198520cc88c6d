import functools

from stores import open_stores
from workers import WorkerEntrypoint

from openbolt import Dependencies, OpenBolt
from openbolt.auth.providers import identity_providers
from openbolt.clock import SystemClock, SystemTokens
from openbolt.providers.http import MessagesProvider
from openbolt_cloudflare.app import serve, settings_from_env
from openbolt_cloudflare.crypto import WebCryptoCipher
from openbolt_cloudflare.fetch import FetchSender


@functools.cache
def application(settings):
    clock, tokens, sender = SystemClock(), SystemTokens(), FetchSender()
    dependencies = Dependencies(
        **open_stores(clock, tokens),
        clock=clock,
        tokens=tokens,
        provider=MessagesProvider(
            sender,
            settings.anthropic_base_url or "https://api.anthropic.com",
            settings.anthropic_api_key,
        ),
        sender=sender,
        cipher=WebCryptoCipher(settings.secret_keys),
        identity_providers=identity_providers(settings),
    )
    return OpenBolt(dependencies, settings)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return await serve(application(settings_from_env(self.env)), request, self.ctx)

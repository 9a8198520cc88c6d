"""The identity providers that settings name.

Law: half a configuration is an error at the start, never a sign-in that can't work.
"""

from __future__ import annotations

from openbolt.auth.github import GitHub
from openbolt.auth.identity import IdentityProvider
from openbolt.auth.oidc import OpenIdConnect
from openbolt.errors import ConfigurationError
from openbolt.settings import Settings, variable_name

__all__ = ["identity_providers"]


def identity_providers(settings: Settings, /) -> tuple[IdentityProvider, ...]:
    """GitHub where it has a client id, and OpenID Connect where it has an issuer.

    Raises:
        ConfigurationError: What belongs to it is missing or wrong.
    """
    found: list[IdentityProvider] = []
    if settings.github_client_id or settings.github_client_secret:
        found.append(
            GitHub(
                _needed(settings.github_client_id, "github_client_id"),
                _needed(settings.github_client_secret, "github_client_secret"),
                settings.github_url,
                want_orgs=bool(settings.allowed_orgs),
            )
        )
    if settings.oidc_issuer or settings.oidc_client_id:
        found.append(
            OpenIdConnect(
                _needed(settings.oidc_issuer, "oidc_issuer"),
                _needed(settings.oidc_client_id, "oidc_client_id"),
                settings.oidc_client_secret or "",
                name=settings.oidc_name,
            )
        )
    return tuple(found)


def _needed(value: str | None, setting: str) -> str:
    if not value:
        raise ConfigurationError(
            f"{setting} is missing; people can't sign in without it. Set {variable_name(setting)}.",
            setting=setting,
        )
    return value

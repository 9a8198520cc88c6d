"""What the stand-in knows beforehand: registered applications, and people with their accounts.

The law: a value that could not exist at GitHub cannot be made.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from typing import Literal
from urllib.parse import urlsplit

from attrs import Attribute, field, frozen

_LOGIN = re.compile(r"[A-Za-z0-9](?:-?[A-Za-z0-9]){0,38}")
_LOOPBACK = frozenset({"127.0.0.1", "::1"})


def _callbacks(_: object, attribute: Attribute[tuple[str, ...]], value: tuple[str, ...]) -> None:
    if not value:
        raise ValueError(f"{attribute.name}: give at least one URL")
    for url in value:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.netloc or "#" in url:
            raise ValueError(f"{attribute.name}: {url!r} is no absolute URL without a fragment")


def _texts(value: Iterable[str]) -> tuple[str, ...]:
    if isinstance(value, str):
        raise TypeError("give a collection of strings, not one string")
    return tuple(value)


@frozen
class GitHubApp:
    """An application that is registered at GitHub.

    Attributes:
        callback_urls: Where it may send people back to; the first is the default.
        name: As the page says it to people.
        expiring_tokens: False for an OAuth app, whose tokens have scopes and no expiry. True for a
            GitHub App: tokens live 8 hours, come with a refresh token of six months, have an empty
            scope and reach what ``permissions`` says.
        permissions: Of a GitHub App: ``emails``, ``members``.
        suspended: GitHub has taken it out of service.
    """

    client_id: str
    client_secret: str = field(repr=False)
    callback_urls: tuple[str, ...] = field(converter=_texts, validator=_callbacks)
    name: str = "An application"
    expiring_tokens: bool = False
    permissions: frozenset[str] = field(default=frozenset({"emails", "members"}))
    suspended: bool = False

    def allows(self, redirect_uri: str) -> bool:
        """Whether people may be sent there: exactly a registered URL, with any port on loopback.

        GitHub lets an OAuth app use paths and subdomains below its URL, too; a GitHub App not.
        https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps#redirect-urls
        """
        if redirect_uri in self.callback_urls:
            return True
        wanted = _without_loopback_port(redirect_uri)
        return wanted is not None and any(
            wanted == _without_loopback_port(url) for url in self.callback_urls
        )


def _without_loopback_port(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme != "http" or parts.hostname not in _LOOPBACK:
        return None
    # Written another way, it is another URL.
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if parts.netloc != (host if port is None else f"{host}:{port}"):
        return None
    return url.replace(parts.netloc, host, 1)


@frozen
class GitHubEmail:
    """An address of somebody. A person who only wrote it down has not verified it."""

    email: str
    primary: bool = False
    verified: bool = True
    visibility: Literal["public", "private"] | None = None


def _addresses(value: Iterable[GitHubEmail]) -> tuple[GitHubEmail, ...]:
    return tuple(value)


def _one_primary(
    _: object, attribute: Attribute[tuple[GitHubEmail, ...]], value: tuple[GitHubEmail, ...]
) -> None:
    if sum(email.primary for email in value) > 1:
        raise ValueError(f"{attribute.name}: only one address is primary")


def _login(_: object, attribute: Attribute[str], value: str) -> None:
    if not _LOGIN.fullmatch(value):
        raise ValueError(f"{attribute.name}: {value!r} is no name that GitHub gives")


@frozen
class GitHubAccount:
    """Somebody who has an account.

    Attributes:
        id: Theirs for ever; a login can be given up and taken by somebody else.
        orgs: Organizations that they are a member of.
        pending_orgs: Those that have invited them, and that they have not joined.
        avatar_url: None for a picture that the stand-in serves.
    """

    id: int
    login: str = field(validator=_login)
    name: str | None = None
    emails: tuple[GitHubEmail, ...] = field(
        default=(), converter=_addresses, validator=_one_primary
    )
    orgs: tuple[str, ...] = field(default=(), converter=_texts)
    pending_orgs: tuple[str, ...] = field(default=(), converter=_texts)
    avatar_url: str | None = None

    @property
    def public_email(self) -> str | None:
        """The address that everybody may see, which most people have not set."""
        shown = (email.email for email in self.emails if email.visibility == "public")
        return next(shown, None)

    @property
    def has_verified_primary_email(self) -> bool:
        """Whether GitHub lets an application have a token for them."""
        return any(email.primary and email.verified for email in self.emails)


@frozen
class Directory:
    """Who is known. Changes in what it refers to are seen."""

    apps: dict[str, GitHubApp]
    accounts: dict[int, GitHubAccount]

    def named(self, login: str) -> GitHubAccount | None:
        """The account of this login, whose case does not matter."""
        same = (one for one in self.accounts.values() if one.login.lower() == login.lower())
        return next(same, None)

    def authenticated(self, client_id: str, client_secret: str) -> GitHubApp | None:
        """The application, if this is its secret."""
        app = self.apps.get(client_id)
        secret = client_secret.encode("utf-8", "surrogatepass")
        if app is None or not hmac.compare_digest(app.client_secret.encode(), secret):
            return None
        return app

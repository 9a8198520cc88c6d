"""What an application asks for when it sends somebody to GitHub.

The law: nobody is sent back to a URL that is not registered, whatever the request says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode

from attrs import field, frozen

from openbolt_local.mocks.github.answers import single_fields
from openbolt_local.mocks.github.grants import AUTHORIZATION_ERRORS, CODE_LIFETIME
from openbolt_local.mocks.github.pages import message_page
from openbolt_local.mocks.github.registry import GitHubApp
from openbolt_local.mocks.github.scopes import parse_scopes

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


class RefusedPageError(ValueError):
    """GitHub shows a page that says no, and the person goes nowhere."""

    def __init__(self, status: int, title: str, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.answer = message_page(status, title, message)


class SentBackError(Exception):
    """The person is sent back to the application with an error."""

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self.location = location


@frozen
class AuthorizationRequest:
    """An authorization request that has passed the checks."""

    app: GitHubApp
    redirect_uri: str
    redirect_uri_was_given: bool
    scopes: tuple[str, ...] | None
    state: str | None = field(repr=False)
    challenge: str | None = field(repr=False)
    login: str | None
    until: float

    def back(self, parameters: dict[str, str]) -> str:
        """The URL that the person is sent to."""
        return _back(self.redirect_uri, parameters, self.state)

    def denied(self) -> str:
        """The URL that the person is sent to who said no."""
        return _sent_back(
            self.redirect_uri,
            "access_denied",
            "The user has denied your application access.",
            f"{AUTHORIZATION_ERRORS}#access-denied",
            self.state,
        ).location


def read_request(query: str, apps: Mapping[str, GitHubApp], *, now: float) -> AuthorizationRequest:
    """What a query asks for.

    Raises:
        RefusedPageError: The person stays at GitHub.
        SentBackError: The person is sent back with an error.
    """
    try:
        fields = single_fields(parse_qsl(query, keep_blank_values=True))
    except ValueError as exc:
        raise RefusedPageError(400, "Bad Request", f"In the query, {exc}.") from None
    app = apps.get(fields.get("client_id", ""))
    if app is None:
        raise RefusedPageError(404, "Not Found", "No application has this client_id.")
    state = fields.get("state")
    given = fields.get("redirect_uri")
    default = app.callback_urls[0]
    if app.suspended:
        raise _sent_back(
            default,
            "application_suspended",
            "Your application has been suspended. Contact support@github.com.",
            f"{AUTHORIZATION_ERRORS}#application-suspended",
            state,
        )
    if given is not None and not app.allows(given):
        raise _sent_back(
            default,
            "redirect_uri_mismatch",
            "The redirect_uri MUST match the registered callback URL for this application.",
            f"{AUTHORIZATION_ERRORS}#redirect-uri-mismatch",
            state,
        )
    target = default if given is None else given
    wrong = _what_is_wrong(fields)
    if wrong is not None:
        raise _sent_back(target, *wrong, AUTHORIZATION_ERRORS, state)
    return AuthorizationRequest(
        app=app,
        redirect_uri=target,
        redirect_uri_was_given=given is not None,
        scopes=parse_scopes(fields["scope"]) if "scope" in fields else None,
        state=state,
        challenge=fields.get("code_challenge"),
        login=fields.get("login"),
        until=now + CODE_LIFETIME,
    )


def _what_is_wrong(fields: dict[str, str]) -> tuple[str, str] | None:
    """The error that a request is sent back with; RFC 6749 (4.1.2.1) and 7636 (4.4.1) name it."""
    if fields.get("response_type", "code") != "code":
        return "unsupported_response_type", "The response_type must be code."
    challenge = fields.get("code_challenge")
    method = fields.get("code_challenge_method")
    if challenge is None and method is None:
        return None
    if challenge is None or method is None:
        return "invalid_request", "code_challenge and code_challenge_method need each other."
    if method != "S256":
        return "invalid_request", "The code_challenge_method must be S256."
    if not _CHALLENGE.fullmatch(challenge):
        return "invalid_request", "The code_challenge must be a SHA-256 hash of 43 characters."
    return None


def _sent_back(
    redirect_uri: str, error: str, description: str, uri: str, state: str | None
) -> SentBackError:
    """https://docs.github.com/en/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-authorization-request-errors."""
    parameters = {"error": error, "error_description": description, "error_uri": uri}
    return SentBackError(_back(redirect_uri, parameters, state))


def _back(redirect_uri: str, parameters: dict[str, str], state: str | None) -> str:
    query = urlencode(parameters if state is None else {**parameters, "state": state})
    return f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{query}"

"""The web part: the page that asks people, and the endpoint that turns codes into tokens.

The law: a page is answered once, and the token endpoint learns who the client is before it looks
at anything else.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Literal
from urllib.parse import urlsplit

from openbolt.protocols import Clock
from openbolt_local.mocks.connection import ReceivedRequest
from openbolt_local.mocks.github.answers import (
    Answer,
    body_fields,
    token_answer,
    token_error,
)
from openbolt_local.mocks.github.asking import (
    AuthorizationRequest,
    RefusedPageError,
    SentBackError,
    read_request,
)
from openbolt_local.mocks.github.grants import (
    ACCESS_LIFETIME,
    REFRESH_LIFETIME,
    TOKEN_ERRORS,
    Grants,
    Token,
    TokenRefusedError,
)
from openbolt_local.mocks.github.pages import consent_page, message_page
from openbolt_local.mocks.github.registry import Directory, GitHubApp
from openbolt_local.mocks.github.scopes import parse_scopes, reach

AUTHORIZE = "/login/oauth/authorize"
ACCESS_TOKEN = "/login/oauth/access_token"

Decision = Literal["authorize", "cancel"]


class Web:
    """`/login/oauth/authorize` and `/login/oauth/access_token`.

    https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps
    """

    def __init__(
        self, directory: Directory, grants: Grants, clock: Clock, *, verified_email_needed: bool
    ) -> None:
        self._directory = directory
        self._grants = grants
        self._clock = clock
        self._verified_email_needed = verified_email_needed
        self._asked: dict[str, AuthorizationRequest] = {}

    # The page

    def show(self, request: ReceivedRequest) -> Answer:
        """``GET /login/oauth/authorize``: the page, or the way back with an error."""
        try:
            asked = self._read(urlsplit(request.target).query)
        except RefusedPageError as exc:
            return exc.answer
        except SentBackError as exc:
            return _redirect(exc.location)
        accounts = list(self._directory.accounts.values())
        named = [one.login for one in accounts if one.login.lower() == (asked.login or "").lower()]
        key = secrets.token_hex(16)
        self._asked[key] = asked
        return consent_page(
            asked.app.name,
            accounts,
            chosen=next(iter(named or [account.login for account in accounts]), ""),
            scopes=asked.scopes or (),
            hidden={"authenticity_token": key},
            action=AUTHORIZE,
        )

    def decide(self, request: ReceivedRequest) -> Answer:
        """``POST /login/oauth/authorize``: what the person said on the page, once."""
        try:
            fields = body_fields(request)
            asked = self._asked.pop(fields.get("authenticity_token", ""), None)
            if asked is None or asked.until <= self._clock.now():
                raise RefusedPageError(
                    422,
                    "Your browser did something unexpected",
                    "This page was not asked for here, was answered already, or is too old.",
                )
            decision = fields.get("decision")
            if decision == "cancel":
                return _redirect(asked.denied())
            if decision != "authorize":
                raise ValueError("no decision")
            return _redirect(self._accept(asked, fields.get("login", ""), asked.scopes))
        except RefusedPageError as exc:
            return exc.answer
        except ValueError:
            return message_page(400, "Bad Request", "The form was not filled in.")

    def decide_at_once(
        self, query: str, login: str, decision: Decision, scopes: Iterable[str] | None
    ) -> str:
        """The whole of the page in one call: the URL that the person is sent to.

        Raises:
            RefusedPageError: The person would be left on a page that says no.
            ValueError: `scopes` has one that was not asked for.
        """
        try:
            asked = self._read(query)
        except SentBackError as exc:
            return exc.location
        if decision == "cancel":
            return asked.denied()
        if scopes is None:
            return self._accept(asked, login, asked.scopes)
        kept = parse_scopes(" ".join(scopes))
        if not set(kept) <= reach(asked.scopes or ()):
            raise ValueError(f"scopes: {kept} were not all asked for")
        return self._accept(asked, login, kept)

    def _accept(
        self, asked: AuthorizationRequest, login: str, scopes: tuple[str, ...] | None
    ) -> str:
        account = self._directory.named(login)
        if account is None:
            raise RefusedPageError(404, "Not Found", f"There is no account {login!r}.")
        if scopes is None:
            scopes = self._grants.granted_scopes(asked.app.client_id, account.id)
        code = self._grants.issue_code(
            asked.app,
            account.id,
            scopes=scopes,
            redirect_uri=asked.redirect_uri,
            redirect_uri_was_given=asked.redirect_uri_was_given,
            challenge=asked.challenge,
        )
        return asked.back({"code": code})

    def _read(self, query: str) -> AuthorizationRequest:
        return read_request(query, self._directory.apps, now=self._clock.now())

    # The endpoint

    def exchange(self, request: ReceivedRequest) -> Answer:
        """``POST /login/oauth/access_token``."""
        accept = request.headers.get("accept", "")
        try:
            try:
                fields = body_fields(request)
            except ValueError as exc:
                raise TokenRefusedError(
                    "invalid_request", f"In the body: {exc}.", TOKEN_ERRORS, status=400
                ) from None
            return token_answer(_token_fields(self._token(fields)), accept)
        except TokenRefusedError as exc:
            return token_error(exc, accept)

    def _token(self, fields: dict[str, str]) -> Token:
        app = self._directory.authenticated(
            fields.get("client_id", ""), fields.get("client_secret", "")
        )
        if app is None:
            raise TokenRefusedError(
                "incorrect_client_credentials",
                "The client_id and/or client_secret passed are incorrect.",
                f"{TOKEN_ERRORS}#incorrect-client-credentials",
            )
        match fields.get("grant_type", "authorization_code"):
            case "authorization_code":
                return self._redeem(app, fields)
            case "refresh_token":
                return self._grants.refresh(app, fields.get("refresh_token", ""))
            case _:
                raise TokenRefusedError(
                    "unsupported_grant_type",
                    "The grant_type is not supported.",
                    TOKEN_ERRORS,
                )

    def _redeem(self, app: GitHubApp, fields: dict[str, str]) -> Token:
        authorization = self._grants.take_code(app, fields.get("code", ""))
        authorization.check(fields.get("redirect_uri"), fields.get("code_verifier"))
        account = self._directory.accounts[authorization.account_id]
        if self._verified_email_needed and not account.has_verified_primary_email:
            raise TokenRefusedError(
                "unverified_user_email",
                "The user must have a verified primary email.",
                f"{TOKEN_ERRORS}#unverified_user_email",
            )
        return self._grants.issue_token(app, account.id, authorization.scopes)


def _token_fields(token: Token) -> dict[str, str | int]:
    scope = ",".join(token.scopes)
    if token.refresh is None:
        return {"access_token": token.access, "token_type": "bearer", "scope": scope}
    return {
        "access_token": token.access,
        "expires_in": ACCESS_LIFETIME,
        "refresh_token": token.refresh,
        "refresh_token_expires_in": REFRESH_LIFETIME,
        "token_type": "bearer",
        "scope": scope,
    }


def _redirect(location: str) -> Answer:
    return Answer(302, {"location": location, "cache-control": "no-store"})

"""What people have granted to applications: codes, access tokens and refresh tokens.

The laws: a code is spent by the first try of the client that it was made for, right or wrong; a
refresh token works once, and takes the access token that came with it along.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import string
from base64 import urlsafe_b64encode
from collections.abc import Iterable

from attrs import field, frozen

from openbolt.protocols import Clock
from openbolt_local.mocks.github.registry import GitHubApp
from openbolt_local.mocks.github.scopes import normalized

CODE_LIFETIME = 600.0
ACCESS_LIFETIME = 28_800
REFRESH_LIFETIME = 15_897_600
TOKENS_PER_SCOPE = 10
"""Of a person, an application and a set of scopes; the oldest of more than these is revoked."""

_TROUBLESHOOTING = "https://docs.github.com/apps/managing-oauth-apps/troubleshooting-"
TOKEN_ERRORS = f"{_TROUBLESHOOTING}oauth-app-access-token-request-errors/"
AUTHORIZATION_ERRORS = f"{_TROUBLESHOOTING}authorization-request-errors/"


class TokenRefusedError(Exception):
    """The token endpoint says no. GitHub says most of these with a status of 200."""

    def __init__(self, error: str, description: str, uri: str, *, status: int = 200) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.uri = uri
        self.status = status


def bad_code() -> TokenRefusedError:
    """A code that is unknown, spent, too old, or somebody else's."""
    return TokenRefusedError(
        "bad_verification_code",
        "The code passed is incorrect or expired.",
        f"{TOKEN_ERRORS}#bad-verification-code",
    )


def _mismatch() -> TokenRefusedError:
    return TokenRefusedError(
        "redirect_uri_mismatch",
        "The redirect_uri MUST match the registered callback URL for this application.",
        f"{AUTHORIZATION_ERRORS}#redirect-uri-mismatch2",
    )


def _bad_refresh_token() -> TokenRefusedError:
    return TokenRefusedError(
        "bad_refresh_token",
        "The refresh token passed is incorrect or expired.",
        f"{TOKEN_ERRORS}#bad-verification-code",
    )


def _pkce_failed(description: str) -> TokenRefusedError:
    # GitHub's documentation has no body for these; status and error are those that people met.
    return TokenRefusedError("invalid_grant", description, TOKEN_ERRORS, status=400)


@frozen
class Authorization:
    """What a code stands for."""

    client_id: str
    account_id: int
    scopes: tuple[str, ...]
    redirect_uri: str
    redirect_uri_was_given: bool
    challenge: str | None
    expires_at: float

    def check(self, redirect_uri: str | None, verifier: str | None) -> None:
        """Compare with what the token request says.

        A redirect URI that was given at the start has to be given again (RFC 6749, 4.1.3), and a
        verifier needs a challenge to belong to (RFC 9700, 2.1.1): GitHub's documentation asks for
        neither.

        Raises:
            TokenRefusedError: It differs.
        """
        if redirect_uri is None:
            if self.redirect_uri_was_given:
                raise _mismatch()
        elif redirect_uri != self.redirect_uri:
            raise _mismatch()
        if self.challenge is None:
            if verifier is not None:
                raise _pkce_failed(
                    "A code_verifier was included, but the authorization request did not include "
                    "a code_challenge."
                )
        elif verifier is None:
            raise _pkce_failed(
                "A code_verifier was not included, but the authorization request included a "
                "code_challenge. Codes requested with a code_challenge MUST be redeemed with a "
                "code_verifier."
            )
        elif not hmac.compare_digest(challenge_of(verifier), self.challenge):
            raise _pkce_failed("The code_verifier does not match the code_challenge.")


def challenge_of(verifier: str) -> str:
    """The S256 challenge of a verifier (RFC 7636, 4.2)."""
    digest = hashlib.sha256(verifier.encode("utf-8", "surrogatepass")).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


@frozen
class Token:
    """An access token, and the refresh token that came with it. Times in seconds."""

    access: str = field(repr=False)
    client_id: str
    account_id: int
    scopes: tuple[str, ...]
    expires_at: float | None = None
    refresh: str | None = field(default=None, repr=False)
    refresh_expires_at: float | None = None


class Grants:
    """All that has been granted and not yet taken back."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._codes: dict[str, Authorization] = {}
        self._tokens: dict[str, Token] = {}
        self._granted: dict[tuple[str, int], tuple[str, ...]] = {}

    # Codes

    def issue_code(
        self,
        app: GitHubApp,
        account_id: int,
        *,
        scopes: Iterable[str],
        redirect_uri: str,
        redirect_uri_was_given: bool,
        challenge: str | None,
    ) -> str:
        """Somebody has said yes: a code for the application, good for 10 minutes."""
        code = secrets.token_hex(10)
        granted = normalized(scopes)
        self._codes[code] = Authorization(
            app.client_id,
            account_id,
            granted,
            redirect_uri,
            redirect_uri_was_given,
            challenge,
            self._clock.now() + CODE_LIFETIME,
        )
        key = app.client_id, account_id
        self._granted[key] = normalized((*self._granted.get(key, ()), *granted))
        return code

    def granted_scopes(self, client_id: str, account_id: int) -> tuple[str, ...]:
        """All that somebody has ever let an application have, and not taken back."""
        return self._granted.get((client_id, account_id), ())

    def take_code(self, app: GitHubApp, code: str) -> Authorization:
        """Spend a code.

        Raises:
            TokenRefusedError: It is unknown, spent, too old, or another application's.
        """
        authorization = self._codes.get(code)
        if authorization is None or authorization.client_id != app.client_id:
            raise bad_code()
        del self._codes[code]
        if authorization.expires_at <= self._clock.now():
            raise bad_code()
        return authorization

    # Tokens

    def issue_token(self, app: GitHubApp, account_id: int, scopes: tuple[str, ...]) -> Token:
        """A new token; the oldest of more than ten alike is revoked."""
        now = self._clock.now()
        if app.expiring_tokens:
            token = Token(
                _random("ghu_", 36),
                app.client_id,
                account_id,
                (),
                now + ACCESS_LIFETIME,
                _random("ghr_", 76),
                now + REFRESH_LIFETIME,
            )
        else:
            token = Token(_random("gho_", 36), app.client_id, account_id, scopes)
        self._tokens[token.access] = token
        alike = [
            other.access
            for other in self._tokens.values()
            if (other.client_id, other.account_id) == (token.client_id, token.account_id)
            and set(other.scopes) == set(token.scopes)
        ]
        for access in alike[:-TOKENS_PER_SCOPE]:
            del self._tokens[access]
        return token

    def refresh(self, app: GitHubApp, refresh_token: str) -> Token:
        """New tokens for old, which stop working.

        Raises:
            TokenRefusedError: The refresh token is unknown, used, too old, or another
                application's.
        """
        found = next(
            (token for token in self._tokens.values() if token.refresh == refresh_token), None
        )
        if found is None or found.client_id != app.client_id:
            raise _bad_refresh_token()
        del self._tokens[found.access]
        assert found.refresh_expires_at is not None
        if found.refresh_expires_at <= self._clock.now():
            raise _bad_refresh_token()
        return self.issue_token(app, found.account_id, found.scopes)

    def find(self, access_token: str) -> Token | None:
        """The token, if it still works."""
        token = self._tokens.get(access_token)
        if token is None:
            return None
        if token.expires_at is not None and token.expires_at <= self._clock.now():
            return None
        return token

    def of(self, account_id: int) -> tuple[Token, ...]:
        """Somebody's tokens that still work, oldest first."""
        return tuple(
            token
            for token in self._tokens.values()
            if token.account_id == account_id and self.find(token.access)
        )

    def revoke_token(self, token: Token) -> None:
        """Make one token worthless, its refresh token with it."""
        self._tokens.pop(token.access, None)

    def revoke_grant(self, client_id: str, account_id: int) -> None:
        """Take everything back that somebody has granted to an application."""
        key = client_id, account_id
        self._granted.pop(key, None)
        self._codes = {
            code: found
            for code, found in self._codes.items()
            if (found.client_id, found.account_id) != key
        }
        self._tokens = {
            access: found
            for access, found in self._tokens.items()
            if (found.client_id, found.account_id) != key
        }


def _random(prefix: str, size: int) -> str:
    alphabet = string.ascii_letters + string.digits
    return prefix + "".join(secrets.choice(alphabet) for _ in range(size))
